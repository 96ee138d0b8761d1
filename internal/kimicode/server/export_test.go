package server

import (
	"iter"
	"time"
)

// SetPatience sets how long a stream of a server elsewhere tries to connect again.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }

// Take waits for the next item until limit. It reports false at the end, and late where neither came.
func (st *Stream) Take(limit <-chan time.Time) (item Item, ok, late bool) {
	for {
		if item, ok = st.Next(); ok || st.Over() {
			return item, ok, false
		}
		select {
		case <-st.C:
		case <-limit:
			return item, false, true
		}
	}
}

// Items waits for all that comes.
func (st *Stream) Items() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for item, ok, _ := st.Take(nil); ok && yield(item); item, ok, _ = st.Take(nil) {
		}
	}
}
