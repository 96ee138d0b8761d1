package server

import (
	"iter"
	"time"
)

// SetPatience sets how long a stream of a server on another machine tries to connect again.
func (s *Server) SetPatience(d time.Duration) { s.patience = d }

// Take waits for the next item. It returns false at the end of the stream, and late if limit has passed first.
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

// Items yields all items until the stream ends.
func (st *Stream) Items() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for item, ok, _ := st.Take(nil); ok && yield(item); item, ok, _ = st.Take(nil) {
		}
	}
}
