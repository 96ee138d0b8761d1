package client

import (
	"slices"
	"sync"

	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	// window is how many bytes of lines may wait for a consumer. If more wait, the reader stops reading. So the agent
	// slows down, and the memory of this process does not grow.
	window = 1 << 20
	// cutWindow is how many bytes may wait after the consumer's side has cancelled. The reader must then reach the end,
	// so it drops later messages.
	cutWindow = 8 << 20
)

// stream is the queue between the reader and one consumer. The reader calls push and end. The consumer takes the whole
// queue at once, and reads it without a lock.
type stream struct {
	mu    sync.Mutex
	queue []wireproto.Message
	size  int  // the size of the lines in queue, in bytes
	lifts int  // how many callers wait for an answer that comes after the queue
	cut   bool // the consumer's side has cancelled
	full  bool // later messages are dropped
	ended bool
	wake  chan struct{} // tells the consumer that there is something new
	room  chan struct{} // tells the reader that it need not wait any more

	// Only the consumer uses these.
	batch []wireproto.Message
	pos   int
}

func newStream() *stream {
	return &stream{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push adds a message whose line has size bytes. flush tells the consumer about it. push reports whether the message
// was added, and whether the reader must wait for room.
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

// waitRoom blocks the reader until the consumer has taken the queue, or until the reader may continue without room.
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

// lift lets the reader continue, however much waits, until lower is called. It is for a caller that waits for an answer
// that comes after the queue.
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

// cancel lets the reader continue to the end.
func (q *stream) cancel() {
	q.mu.Lock()
	q.cut = true
	q.mu.Unlock()
	signal(q.room)
}

// end makes next return false when everything that was pushed has been taken.
func (q *stream) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	signal(q.room)
	q.flush()
}

// extract removes the messages that match and that the consumer has not taken yet.
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

// next returns the next message. It waits for the message, and returns false at the end. Only one goroutine may call it
// at a time.
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

// pending reports whether there are messages that the consumer has not taken.
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
