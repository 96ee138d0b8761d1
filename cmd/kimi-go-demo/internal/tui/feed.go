package tui

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/grant"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	frame      = time.Second / 30 // the least time between two batches
	maxWaiting = 256 << 10        // bytes of text that wait for the model; if there are more, the turn waits
	maxBatch   = 32 << 10         // bytes of text in a batch; it is small, so that a key never waits long
)

// run is text that the agent writes in small parts. The parts that wait in the feed are joined.
type run struct {
	kind runKind
	text []byte
}

type runKind int

const (
	saying    runKind = iota // text of an answer
	thinking                 // what the model thinks
	arguments                // arguments of the latest tool call
)

const itemSize = 16 // the bytes that an item counts for, in addition to its text

// feed passes events from other goroutines to the model: in order, each once, in at most 30 batches a second.
type feed struct {
	mu     sync.Mutex
	room   sync.Cond // items have been taken, or the feed is closed
	items  []any
	size   int // bytes of text in items
	closed bool
	news   chan struct{} // has a token while there are items
	orders atomic.Int64
	grants *grant.Book // its rules answer requests before the person is asked
}

// batch has items of a feed, which the model gets in one message.
type batch []any

func newFeed(grants *grant.Book) *feed {
	f := &feed{news: make(chan struct{}, 1), grants: grants}
	f.room.L = &f.mu
	return f
}

// next returns a number that is greater than those before it.
func (f *feed) next() int64 { return f.orders.Add(1) }

// add appends an item. It blocks while too much text waits in the feed.
func (f *feed) add(item any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.size > maxWaiting && !f.closed {
		f.room.Wait()
	}
	if f.closed {
		return
	}
	switch m := item.(type) {
	case *wireproto.TextPart:
		f.joinLocked(m.Text, saying)
	case *wireproto.ThinkPart:
		f.joinLocked(m.Think, thinking)
	case *wireproto.ToolCallPart:
		if m.ArgumentsPart != nil {
			f.joinLocked(*m.ArgumentsPart, arguments)
		}
	default:
		f.items = append(f.items, item)
		f.size += itemSize
	}
	f.signal()
}

// joinLocked adds text to the last item if that is of the same kind. Otherwise it adds another item.
func (f *feed) joinLocked(t string, kind runKind) {
	if n := len(f.items); n > 0 {
		if last, ok := f.items[n-1].(*run); ok && last.kind == kind && len(last.text) < maxBatch/2 {
			last.text = append(last.text, t...)
			f.size += len(t)
			return
		}
	}
	f.items = append(f.items, &run{kind, []byte(t)})
	f.size += itemSize + len(t)
}

func (f *feed) signal() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// take removes the items of the next batch and returns them.
func (f *feed) take() batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, size := 0, 0
	for n < len(f.items) && size < maxBatch {
		size += itemSize
		if r, ok := f.items[n].(*run); ok {
			size += len(r.text)
		}
		n++
	}
	b := batch(f.items[:n:n])
	f.items = f.items[n:]
	f.size = max(f.size-size, 0)
	if len(f.items) == 0 {
		f.items, f.size = nil, 0
	} else {
		f.signal()
	}
	f.room.Broadcast()
	return b
}

// pump hands batches to send until ctx ends.
func (f *feed) pump(ctx context.Context, send func(tea.Msg)) {
	pause := time.NewTimer(frame)
	defer pause.Stop()
	for {
		select {
		case <-f.news:
		case <-ctx.Done():
			return
		}
		if b := f.take(); len(b) > 0 {
			send(b)
		}
		pause.Reset(frame)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// close releases the callers that wait in add.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.items = nil
	f.room.Broadcast()
	f.mu.Unlock()
}
