package client

import (
	"sync"

	"github.com/kimi-go/kimi-go/wireproto"
)

// window is how many bytes of lines wait for a consumer before the reader stops
// reading, so that the agent is slowed down instead of this process growing.
const window = 1 << 20

// stream is the queue between the reader and one consumer. The reader pushes and ends;
// the consumer takes all there is at once and works through it without a lock.
type stream struct {
	mu    sync.Mutex
	queue []wireproto.Message
	size  int // bytes of the lines in queue
	open  int // how many wait for what stands behind the queue
	ended bool
	wake  chan struct{} // to the consumer: something new
	room  chan struct{} // to the reader: the queue was taken, or lifted

	// The consumer's own.
	batch []wireproto.Message
	pos   int
}

func newStream() *stream {
	return &stream{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push adds a message of a line of size bytes and reports whether the window is full.
// The consumer learns of it by flush.
func (q *stream) push(m wireproto.Message, size int) (full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.queue = append(q.queue, m)
	q.size += size
	return q.size > window && q.open == 0
}

// flush wakes the consumer.
func (q *stream) flush() { signal(q.wake) }

// waitRoom blocks the reader until the consumer has taken the queue or lift was called.
func (q *stream) waitRoom() {
	q.flush()
	for {
		q.mu.Lock()
		full := q.size > window && q.open == 0 && !q.ended
		q.mu.Unlock()
		if !full {
			return
		}
		<-q.room
	}
}

// lift lets the reader read on, whatever waits, until lower is called: someone waits for
// what stands behind it.
func (q *stream) lift() {
	q.mu.Lock()
	q.open++
	q.mu.Unlock()
	signal(q.room)
}

func (q *stream) lower() {
	q.mu.Lock()
	q.open--
	q.mu.Unlock()
}

// end lets next return false once all that was pushed has been taken.
func (q *stream) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	signal(q.room)
	q.flush()
}

// next returns the next message, waiting for it; false at the end. Not for use by two
// goroutines at once.
func (q *stream) next() (wireproto.Message, bool) {
	for q.pos == len(q.batch) {
		q.mu.Lock()
		if len(q.queue) == 0 {
			ended := q.ended
			q.mu.Unlock()
			if ended {
				return nil, false
			}
			<-q.wake
			continue
		}
		q.batch, q.queue = q.queue, q.batch[:0]
		q.pos, q.size = 0, 0
		q.mu.Unlock()
		signal(q.room)
	}
	m := q.batch[q.pos]
	q.batch[q.pos] = nil
	q.pos++
	return m, true
}

// pending reports whether the consumer has something left to take.
func (q *stream) pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue) > 0
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
