package bridge

import (
	"bytes"
	"io"
	"sync"
)

// crowded is how many bytes may wait for the client before the loop takes no more events.
const crowded = 1 << 20

// outlet is the queue of lines to the client. Writing to it never waits.
type outlet struct {
	mu      sync.Mutex
	waiting bytes.Buffer
	ended   bool // nothing more comes
	stopped bool // no one reads
	wanted  bool // the loop waits for room

	wake chan struct{} // to the reader: something new
	room chan struct{} // tells the loop that there is room again

	// The reader's own.
	batch bytes.Buffer
}

func newOutlet() *outlet {
	return &outlet{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Write queues a line.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return 0, io.ErrClosedPipe
	}
	if o.waiting.Len() == 0 { // else the reader has been woken
		signal(o.wake)
	}
	o.waiting.Write(p)
	return len(p), nil
}

// full reports whether much waits for the client.
func (o *outlet) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = o.waiting.Len() > crowded && !o.stopped
	return o.wanted
}

// Read returns what waits. Only one goroutine at a time may call it.
func (o *outlet) Read(p []byte) (int, error) {
	for o.batch.Len() == 0 {
		o.mu.Lock()
		switch {
		case o.stopped:
			o.mu.Unlock()
			return 0, io.EOF
		case o.waiting.Len() == 0 && o.ended:
			o.mu.Unlock()
			return 0, io.EOF
		case o.waiting.Len() == 0:
			o.mu.Unlock()
			<-o.wake
			continue
		}
		o.batch, o.waiting = o.waiting, o.batch
		o.waiting.Reset()
		if o.waiting.Cap() > 2*crowded {
			o.waiting = bytes.Buffer{}
		}
		if o.wanted {
			o.wanted = false
			signal(o.room)
		}
		o.mu.Unlock()
	}
	return o.batch.Read(p)
}

// end lets Read end after what waits.
func (o *outlet) end() {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	signal(o.wake)
}

// stop ends Read at once.
func (o *outlet) stop() {
	o.mu.Lock()
	o.stopped = true
	o.mu.Unlock()
	signal(o.wake)
	signal(o.room)
}
