package client

import (
	"slices"
	"sync"

	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	// window is how many bytes of lines wait for a consumer. When there are more, the reader stops reading. So the
	// agent slows down, and this process does not grow.
	window = 1 << 20
	// cutWindow is how many bytes wait at most after the consumer's side has cancelled. The reader must then reach the
	// end, so it drops what comes after them.
	cutWindow = 8 << 20
)

// stream is the queue between the reader and one consumer. The reader pushes and ends;
// the consumer takes all there is at once and works through it without a lock.
type stream struct {
	mu    sync.Mutex
	queue []wireproto.Message
	size  int  // bytes of the lines in queue
	lifts int  // how many callers wait for something that comes after the queue
	cut   bool // the consumer's side has cancelled
	full  bool // what comes now is dropped
	ended bool
	wake  chan struct{} // to the consumer: something new
	room  chan struct{} // to the reader: it need not wait any more

	// The consumer's own.
	batch []wireproto.Message
	pos   int
}

func newStream() *stream {
	return &stream{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push adds a message of a line of size bytes. The consumer learns of it by flush. push reports whether the message
// was taken, and whether the reader should wait for room.
func (q *stream) push(m wireproto.Message, size int) (taken, wait bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = q.full || q.cut && q.size+size > cutWindow
	if q.ended || q.full {
		return false, false
	}
	q.queue = append(q.queue, m)
	q.size += size
	return true, q.crowded()
}

func (q *stream) crowded() bool {
	return q.size > window && q.lifts == 0 && !q.cut && !q.ended
}

// flush wakes the consumer.
func (q *stream) flush() { signal(q.wake) }

// waitRoom blocks the reader until the consumer has taken the queue, or there is a reason to go on without room.
func (q *stream) waitRoom() {
	q.flush()
	for {
		q.mu.Lock()
		wait := q.crowded()
		q.mu.Unlock()
		if !wait {
			return
		}
		<-q.room
	}
}

// lift lets the reader go on, however much waits, until lower is called: a caller waits for an answer that comes after
// the queue.
func (q *stream) lift() {
	q.mu.Lock()
	q.lifts++
	q.mu.Unlock()
	signal(q.room)
}

func (q *stream) lower() {
	q.mu.Lock()
	q.lifts--
	q.mu.Unlock()
}

// cancel lets the reader read on to the end.
func (q *stream) cancel() {
	q.mu.Lock()
	q.cut = true
	q.mu.Unlock()
	signal(q.room)
}

// end lets next return false once all that was pushed has been taken.
func (q *stream) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	signal(q.room)
	q.flush()
}

// extract removes the messages that match from those that no consumer has taken.
func (q *stream) extract(match func(wireproto.Message) bool) (out []wireproto.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = slices.DeleteFunc(q.queue, func(m wireproto.Message) bool {
		if !match(m) {
			return false
		}
		out = append(out, m)
		return true
	})
	return out
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
