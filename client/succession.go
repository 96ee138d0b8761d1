package client

import (
	"errors"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// succession is the Conn of a session whose agent may be followed by another agent, its successor. The session sees one
// stream of lines in each direction.
type succession struct {
	mu      sync.Mutex
	now     Conn
	next    chan struct{} // closed when a successor has taken over, or when none will come; nil unless a successor is awaited
	stopped bool          // no successor may take over any more

	// These are for an agent that has ended by itself and whose successor continues the session.
	crashed  func(exit error) // starts the successor after all output was read; nil if there are no successors
	exited   func()           // lets the reader read everything, even if the loop is slow
	follows  chan struct{}    // closed when crashed has returned; nil before the first crash
	decided  chan struct{}    // closed when it is known whether a successor follows now
	reviving bool             // the successor has not taken over yet; if it ends, no other one follows
	revival  chan struct{}    // closed when reviving is false again, or when the session is about to end; nil before the first successor
	fallen   Conn             // the last agent that has ended or was ended; data that are written to it are dropped
	drained  chan struct{}    // closed when all output of now was read; nil unless a successor is to follow it

	// Only the reader uses these.
	last    byte    // the last byte that Read has returned
	maxLine int     // the longest line for Decode, in bytes
	from    Conn    // the agent that Decode reads
	said    decoder // the decoder of that agent; nil before its first frame
}

func newSuccession(first Conn) *succession {
	return &succession{now: first, decided: make(chan struct{}), last: '\n'}
}

// end ends the agent so that the session waits for a successor. If a successor of an agent that has ended by itself is
// just taking over, end waits for it and then ends it. end calls settle at the moment when no other agent can take
// over. It returns when all output of the agent was read. It returns false if the session is about to end. The error is
// that of the agent's Close.
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

// succeed puts a successor in place, unless the session has ended in the meantime.
func (c *succession) succeed(next Conn) error {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		next.Close()
		return ErrClosed
	}
	c.decideLocked() // wakes the callers that wait for the decision about the old agent
	c.now, c.decided, c.drained = next, make(chan struct{}), nil
	close(c.next)
	c.next = nil
	c.mu.Unlock()
	return nil
}

// stop ends all waiting for a successor, and returns the last agent.
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

// awaitStart waits until no successor of an agent that has ended by itself is being started. The caller must have
// called stop.
func (c *succession) awaitStart() {
	c.mu.Lock()
	follows := c.follows
	c.mu.Unlock()
	if follows != nil {
		<-follows
	}
}

// current returns the agent. If a successor is awaited, it also returns the channel to wait for.
func (c *succession) current() (Conn, chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.next
}

// followed waits until it is known whether a successor follows an agent, and reports whether one does.
func (c *succession) followed(old Conn) bool {
	c.awaitEnd(old)
	now, next := c.current()
	if now == old && next != nil {
		<-next
		now, _ = c.current()
	}
	return now != old
}

// awaitEnd waits until it is known whether a successor follows an agent that has closed a pipe. If the agent continues
// to run, awaitEnd ends it.
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

// ended decides whether a successor follows an agent that has ended without being asked.
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

// drain records that all output of an agent was read.
func (c *succession) drain(old Conn) {
	c.awaitEnd(old)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == old && c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// drops reports whether data that cannot be written to an agent may be dropped, because a successor follows.
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

// reviveLocked ends all waiting for the successor to take over.
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

// over reports whether the agent has ended, or is about to end, and no successor has taken over yet.
func (c *succession) over() bool {
	now, _ := c.current()
	return c.fell(now)
}

// Read reads the output of the agents, one after the other, in whole lines.
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
		if err != nil && c.last != '\n' && len(p) > 0 { // the old agent has not ended its last line, so end it
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

// Write writes to the agent. If the agent has ended and a successor follows, Write drops the data, because the old
// agent may have read a part of them. The conn keeps the lines that are for the successor.
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

// TryWrite writes as much as it can without waiting.
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

// Wait waits for the end of the last agent.
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
