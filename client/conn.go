package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// conn is the JSON-RPC side of a session: it numbers calls, matches them with their answers, and writes lines. mu
// guards the fields after it. Three goroutines read, write, and wait for the agent's end. All of them end with the
// agent.
type conn struct {
	peer    Conn
	dec     decoder
	log     *slog.Logger
	handler handler
	lastID  atomic.Int64
	reader  uint64 // the goroutine that reads; set before the first line is handled

	mu      sync.Mutex
	calls   map[string]*call // by id; an entry is retired exactly once
	out     [][]byte         // lines for the writer
	writing bool             // the writer is writing lines that it has taken from out
	quiet   *sync.Cond       // wakes goroutines that wait for writing to become false
	changes bool             // another agent will follow; new calls wait for it
	paused  bool             // the old agent has ended and the next one has not started
	held    []heldLine       // the calls that wait for the next agent
	noMore  bool             // close the agent's input after the lines in out
	why     error            // why this side ended the agent; nil if it did not
	err     error            // why the conn is closed; set once, before done is closed
	noise   string           // the first line that was not a frame; an error shows it if the program is not a kimi

	wake   chan struct{} // wakes the writer
	exited chan struct{} // closed when the agent has ended
	done   chan struct{} // closed when nothing is read or answered any more
	left   error         // the error of the peer's Close; set before done is closed
}

// handler receives every frame that is not an answer, on the reader's goroutine.
type handler interface {
	handle(f *wireproto.Frame, size int)
	// idle is called when the reader must wait for the next line.
	idle()
	// exited is called from another goroutine when the agent has ended. The data in its pipe can still be read.
	exited()
	// ended runs last. It gets how the agent ended, and returns why the session is over.
	ended(exit error) error
}

// call is a call that waits for its answer. finish runs once, on the reader's goroutine. So finish runs after
// everything that the agent sent before the answer has been handled.
type call struct {
	method string
	finish func(result json.RawMessage, err error)
}

// heldLine is the line of a call that waits for the next agent.
type heldLine struct {
	id   string
	line []byte
}

func newConn(peer Conn, maxLine int, log *slog.Logger, h handler) *conn {
	c := &conn{
		peer: peer, dec: decoderOf(peer, maxLine), log: log, handler: h,
		calls: make(map[string]*call),
		wake:  make(chan struct{}, 1), exited: make(chan struct{}), done: make(chan struct{}),
	}
	c.quiet = sync.NewCond(&c.mu)
	return c
}

func (c *conn) start() {
	exit := make(chan error, 1)
	go func() {
		err := c.peer.Wait()
		close(c.exited)
		c.handler.exited()
		exit <- err
	}()
	go c.write()
	go func() {
		c.reader = goroutineID()
		c.read()
		c.endInput()
		c.giveUp("output")
		err := <-exit
		if c.left = c.peer.Close(); c.left != nil {
			c.log.Error("client: close the agent", "error", c.left)
		}
		c.mu.Lock()
		if c.why != nil && err != nil {
			err = because(c.why, err)
		} else if c.why != nil {
			err = c.why
		}
		c.mu.Unlock()
		c.shut(c.handler.ended(err))
	}()
}

// read passes on each frame until the end of the output.
func (c *conn) read() {
	for {
		f, err := c.dec.Decode()
		switch {
		case err != nil:
			if !c.skip(err) {
				return
			}
		case f.Method == "":
			c.answer(f)
		default:
			c.handler.handle(f, c.dec.Size())
		}
		if !c.dec.Buffered() {
			c.handler.idle()
		}
	}
}

// skip logs a line that is not a frame. It returns false at the end of the output.
func (c *conn) skip(err error) bool {
	var bad *wireproto.LineError
	if !errors.As(err, &bad) {
		if err != io.EOF {
			c.log.Warn("client: read from the agent", "error", err)
		}
		return false
	}
	c.log.Warn("client: skipped a line of the agent's output", "error", err)
	c.mu.Lock()
	if c.noise == "" {
		c.noise = bad.Preview
	}
	c.mu.Unlock()
	return true
}

func (c *conn) answer(f *wireproto.Frame) {
	c.mu.Lock()
	var call *call
	if !slices.ContainsFunc(c.held, func(h heldLine) bool { return h.id == f.ID }) { // a call that was not sent yet cannot have an answer
		call = c.calls[f.ID]
		delete(c.calls, f.ID)
	}
	c.mu.Unlock()
	switch {
	case call == nil:
		c.log.Warn("client: an answer without a call", "id", f.ID, "error", f.Error)
	case f.Error != nil:
		f.Error.Method = call.method
		call.finish(nil, rpcError(f.Error))
	default:
		call.finish(f.Result, nil)
	}
}

// write writes the queued lines in order. If noMore is set, it closes the input after them.
func (c *conn) write() {
	for {
		c.mu.Lock()
		lines, last := c.out, c.noMore
		c.out, c.writing = nil, len(c.out) > 0
		if !c.writing {
			c.quiet.Broadcast()
		}
		c.mu.Unlock()
		for _, line := range lines {
			if _, err := c.peer.Write(line); err != nil {
				// The agent has ended, or it has closed its input and will not answer any more.
				c.log.Debug("client: write to the agent", "error", err)
				c.mu.Lock()
				c.writing = false
				c.quiet.Broadcast()
				c.mu.Unlock()
				c.giveUp("input")
				return
			}
		}
		if len(lines) > 0 {
			continue
		}
		if last {
			c.peer.CloseWrite()
			return
		}
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
	}
}

var errAgentEnded = errors.New("client: the agent has ended")

// over reports whether the agent has ended. Lines that are read after that need no answer.
func (c *conn) over() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// giveUp is called when the agent has closed a pipe. If the agent does not end by itself soon, giveUp ends it, because
// the two sides can no longer talk.
func (c *conn) giveUp(pipe string) {
	if waitOr(c.exited, outputClosedGrace) {
		return
	}
	c.mu.Lock()
	if c.why == nil {
		c.why = fmt.Errorf("client: the agent has closed its %s and did not end", pipe)
	}
	c.mu.Unlock()
	c.peer.Close()
}

// endInput closes the agent's input after all queued lines are written.
func (c *conn) endInput() {
	c.mu.Lock()
	c.noMore = true
	c.mu.Unlock()
	signal(c.wake)
}

// shut finishes every open call with err, and closes done.
func (c *conn) shut(err error) {
	c.mu.Lock()
	c.err = err
	calls := c.calls
	c.calls = nil
	c.quiet.Broadcast()
	c.mu.Unlock()
	for _, call := range calls {
		call.finish(nil, err)
	}
	close(c.done)
}

// change prepares for another agent. Later calls, except initialize, wait for that agent. change returns when all
// earlier lines are written, or after d.
func (c *conn) change(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes = true
	late := false
	timer := time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.quiet.Broadcast()
	})
	defer timer.Stop()
	for (c.writing || len(c.out) > 0) && !late && c.err == nil {
		c.quiet.Wait()
	}
}

// pause finishes the calls of an agent that has ended and whose output was read to its end. Later calls, except
// initialize, wait for the next agent.
func (c *conn) pause(why error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	calls := c.calls
	c.calls, c.out, c.changes, c.paused = make(map[string]*call), nil, true, true
	for _, h := range c.held {
		c.calls[h.id] = calls[h.id]
		delete(calls, h.id)
	}
	for c.writing { // a write to the agent that has ended fails soon
		c.quiet.Wait()
	}
	c.mu.Unlock()
	for _, call := range calls {
		call.finish(nil, why)
	}
}

// resume sends the calls that have waited for the next agent.
func (c *conn) resume() {
	c.mu.Lock()
	for _, h := range c.held {
		c.out = append(c.out, h.line)
	}
	c.held, c.changes, c.paused = nil, false, false
	c.mu.Unlock()
	signal(c.wake)
}

// encode returns the line of a frame. An error says why the frame cannot be sent.
func encode(f *wireproto.Frame) ([]byte, error) {
	var line bytes.Buffer
	if err := wireproto.NewEncoder(&line).Encode(f); err != nil {
		return nil, err
	}
	return line.Bytes(), nil
}

// send gives a line to the writer. If the line is a call, waiting is the call; for an answer, waiting is nil.
func (c *conn) send(line []byte, id string, waiting *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if waiting != nil {
		c.calls[id] = waiting
	}
	switch {
	case waiting == nil && c.paused: // the answer was for the agent that has ended
		return nil
	case waiting != nil && c.changes && waiting.method != wireproto.MethodInitialize:
		c.held = append(c.held, heldLine{id, line})
		return nil
	}
	if !c.noMore {
		if len(c.out) == 0 && !c.writing {
			if line = c.tryWrite(line); len(line) == 0 {
				return nil
			}
		}
		c.out = append(c.out, line)
	} else if waiting == nil {
		return ErrClosed
	} // for a call, shut reports the error, because shut knows why the conn is closed
	signal(c.wake)
	return nil
}

// tryWrite writes as much of the line as it can without waiting, if the peer supports that. It returns the rest. The
// rest is usually empty, and then the writer does not have to wake up.
func (c *conn) tryWrite(line []byte) []byte {
	if p, ok := c.peer.(interface{ TryWrite([]byte) int }); ok {
		return line[p.TryWrite(line):]
	}
	return line
}

// begin starts a call. finish is called exactly once, unless begin returns an error.
func (c *conn) begin(method string, params any, finish func(json.RawMessage, error)) error {
	f, err := newCall(method, params)
	if err != nil {
		return err
	}
	return c.beginCall(f, finish)
}

// newCall makes the frame of a call. beginCall sets its id.
func newCall(method string, params any) (*wireproto.Frame, error) {
	f := &wireproto.Frame{ID: "0", Method: method}
	if params != nil {
		raw, err := json.Marshal(params)
		if err != nil {
			return nil, fmt.Errorf("client: %s: %w", method, err)
		}
		f.Params = raw
	}
	return f, nil
}

// beginCall starts a call with the frame f, as begin does.
func (c *conn) beginCall(f *wireproto.Frame, finish func(json.RawMessage, error)) error {
	f.ID = strconv.FormatInt(c.lastID.Add(1), 10) // a string on the wire: kimi refuses numbers
	line, err := encode(f)
	if err != nil {
		return fmt.Errorf("client: %s: %w", f.Method, err)
	}
	return c.send(line, f.ID, &call{f.Method, finish})
}

// call makes a call. It waits for the answer, for the end of ctx, or for the end of the conn.
func (c *conn) call(ctx context.Context, method string, params, result any) error {
	type answer struct {
		raw json.RawMessage
		err error
	}
	ch := make(chan answer, 1)
	if err := c.begin(method, params, func(raw json.RawMessage, err error) { ch <- answer{raw, err} }); err != nil {
		return err
	}
	select {
	case a := <-ch:
		if a.err != nil || result == nil {
			return a.err
		}
		if err := json.Unmarshal(a.raw, result); err != nil {
			return fmt.Errorf("client: %s: unexpected result: %w", method, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("client: %s: %w", method, context.Cause(ctx))
	}
}

// firstNoise returns the beginning of the first line that was not a frame.
func (c *conn) firstNoise() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noise
}
