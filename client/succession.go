package client

import (
	"errors"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// succession is the Conn of a session whose agent may be followed by another agent. The session sees one stream of
// lines in each direction.
type succession struct {
	mu      sync.Mutex
	now     Conn
	next    chan struct{} // closed when a successor is there, or none will be; nil while none is awaited
	stopped bool          // no successor is wanted any more

	// For an agent that has ended by itself and is to be followed by another one:
	crashed  func(exit error) // starts that, once all is read; nil for none
	exited   func()           // lets all be read, however slow the consumer is
	follows  chan struct{}    // closed when crashed has returned; nil before the first crash
	decided  chan struct{}    // closed once it is known whether one follows now
	reviving bool             // the successor has not taken over yet: if it ends, none follows
	revival  chan struct{}    // closed once reviving is false again, or the session is about to end; nil before the first one
	fallen   Conn             // the last one that has ended by itself, or that was ended: what is written to it is for no one
	drained  chan struct{}    // closed when all that now has said is read; nil unless another one is to follow it

	// The reader's own.
	last    byte    // that Read has given out
	maxLine int     // of Decode
	from    Conn    // the agent that Decode reads
	said    decoder // of that agent; nil before its first frame
}

func newSuccession(first Conn) *succession {
	return &succession{now: first, decided: make(chan struct{}), last: '\n'}
}

// end ends the agent and lets the session wait for a successor. If the agent has ended by itself, the next one is
// ended once it has taken over. end calls settle before, when no other agent can take over any more, and returns when
// the agent was read to its end. It returns false if the session is about to end. The error is that of the agent's
// Close.
func (c *succession) end(grace time.Duration, settle func()) (bool, error) {
	c.mu.Lock()
	for c.reviving && !c.stopped {
		revival := c.revival
		c.mu.Unlock()
		<-revival
		c.mu.Lock()
	}
	if c.stopped {
		c.mu.Unlock()
		return false, nil
	}
	next, drained := make(chan struct{}), make(chan struct{})
	c.next, c.drained = next, drained
	old := c.now
	c.mu.Unlock()
	settle()
	c.mu.Lock()
	c.fallen = old
	c.mu.Unlock()
	ended := make(chan struct{})
	go func() { old.Wait(); close(ended) }()
	old.CloseWrite()
	if !waitOr(ended, grace*2/3) {
		old.Interrupt()
		waitOr(ended, grace/3)
	}
	err := old.Close()
	select {
	case <-drained:
		return true, err
	case <-next: // stopped
		return false, err
	}
}

// succeed puts the successor in place, unless the session has ended meanwhile.
func (c *succession) succeed(next Conn) error {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		next.Close()
		return ErrClosed
	}
	c.decideLocked() // the callers that wait for the previous one
	c.now, c.decided, c.drained = next, make(chan struct{}), nil
	close(c.next)
	c.next = nil
	c.mu.Unlock()
	return nil
}

// stop lets no one wait for a successor any more, and returns the agent that is left.
func (c *succession) stop() Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.reviveLocked()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
	return c.now
}

// awaitStart waits until no successor of an agent that has ended by itself is being started. Call stop before.
func (c *succession) awaitStart() {
	c.mu.Lock()
	follows := c.follows
	c.mu.Unlock()
	if follows != nil {
		<-follows
	}
}

// current returns the agent, and the channel to wait for if a successor is awaited.
func (c *succession) current() (Conn, chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.next
}

// followed reports whether another agent follows one that has ended, and waits for it.
func (c *succession) followed(old Conn) bool {
	c.awaitEnd(old)
	now, next := c.current()
	if now == old && next != nil {
		<-next
		now, _ = c.current()
	}
	return now != old
}

// awaitEnd waits until it is known whether an agent that has closed a pipe is to be followed. It ends one that continues.
func (c *succession) awaitEnd(old Conn) {
	if c.crashed == nil {
		return
	}
	c.mu.Lock()
	decided, wait := c.decided, c.now == old && c.next == nil && !c.stopped
	c.mu.Unlock()
	if wait && !waitOr(decided, outputClosedGrace) {
		old.Close()
		<-decided
	}
}

// ended decides whether an agent whose end was not asked for is to be followed.
func (c *succession) ended(old Conn, exit error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now != old {
		return
	}
	if c.crashed != nil && !c.stopped && !c.reviving && c.next == nil {
		c.reviving, c.revival = true, make(chan struct{})
		drained := make(chan struct{})
		c.fallen, c.next, c.drained = old, make(chan struct{}), drained
		next, follows := c.next, make(chan struct{})
		c.follows = follows
		go func() {
			defer close(follows)
			c.exited()
			select {
			case <-drained:
				old.Close()
				c.crashed(exit)
			case <-next: // stopped
			}
		}()
	}
	c.decideLocked()
}

func (c *succession) decideLocked() {
	select {
	case <-c.decided:
	default:
		close(c.decided)
	}
}

// drain notes that everything an agent has said was read.
func (c *succession) drain(old Conn) {
	c.awaitEnd(old)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == old && c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// drops reports whether data that cannot be written has no receiver, because another agent follows this one.
func (c *succession) drops(old Conn) bool {
	c.awaitEnd(old)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fallen == old || c.now == old && c.next != nil
}

// revived says that the successor of an agent that has ended by itself has taken over.
func (c *succession) revived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reviveLocked()
}

// reviveLocked lets no one wait any more for the successor to take over.
func (c *succession) reviveLocked() {
	if c.reviving {
		c.reviving = false
		close(c.revival)
	}
}

func (c *succession) fell(old Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return old != nil && c.fallen == old
}

// over reports whether the agent has ended, or is about to, and none follows yet.
func (c *succession) over() bool {
	now, _ := c.current()
	return c.fell(now)
}

// Read reads what the agents say, one after the other, in whole lines.
func (c *succession) Read(p []byte) (int, error) {
	for {
		now, _ := c.current()
		n, err := now.Read(p)
		if n > 0 {
			c.last = p[n-1]
			return n, nil
		}
		if err != nil {
			c.drain(now)
		}
		if err != nil && !c.followed(now) {
			return 0, err
		}
		if err != nil && c.last != '\n' && len(p) > 0 { // the end of a line that the old one has not ended
			c.last, p[0] = '\n', '\n'
			return 1, nil
		}
	}
}

// Decode reads the frames of the agents, one agent after the other.
func (c *succession) Decode() (*wireproto.Frame, error) {
	for {
		if c.said == nil {
			c.from, _ = c.current()
			c.said = decoderOf(c.from, c.maxLine)
		}
		f, err := c.said.Decode()
		if err == nil || errors.As(err, new(*wireproto.LineError)) {
			return f, err
		}
		c.drain(c.from)
		if !c.followed(c.from) {
			return nil, err
		}
		c.said = nil
	}
}

func (c *succession) SetMaxLine(n int) { c.maxLine = n }
func (c *succession) Size() int        { return c.said.Size() }
func (c *succession) Buffered() bool   { return c.said.Buffered() }

// Write writes to the agent. If the agent has ended and another one follows, Write drops the data: the old agent may have
// read a part of it. The conn keeps the lines for the next agent.
func (c *succession) Write(p []byte) (int, error) {
	now, _ := c.current()
	if c.fell(now) {
		return len(p), nil
	}
	n, err := now.Write(p)
	if err != nil && c.drops(now) {
		return len(p), nil
	}
	return n, err
}

// TryWrite writes what can be written without waiting.
func (c *succession) TryWrite(p []byte) int {
	now, _ := c.current()
	if w, ok := now.(interface{ TryWrite([]byte) int }); ok && !c.fell(now) {
		return w.TryWrite(p)
	}
	return 0
}

func (c *succession) PID() int {
	now, _ := c.current()
	if p, ok := now.(interface{ PID() int }); ok {
		return p.PID()
	}
	return 0
}

func (c *succession) CloseWrite() error { return c.stop().CloseWrite() }
func (c *succession) Close() error      { return c.stop().Close() }

func (c *succession) Interrupt() error {
	now, _ := c.current()
	return now.Interrupt()
}

// Wait waits for the last agent.
func (c *succession) Wait() error {
	for {
		now, _ := c.current()
		err := now.Wait()
		c.ended(now, err)
		if !c.followed(now) {
			c.stop()
			return err
		}
	}
}
