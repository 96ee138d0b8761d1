package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Handlers are code of the program: tools, hooks, Approve, Answer and OnMessage. Each handler runs in guard on a
// goroutine of its own. The session knows which handlers run.

var (
	errGoexit     = errors.New("runtime.Goexit was called")
	errNotStarted = errors.New("not started")
)

// guard calls the program's code and then end. It calls end also after a panic or after runtime.Goexit, which t.FailNow
// in a test calls. The goroutine may end after that. If Close has begun or ctx has ended, no one waits for the code:
// guard does not call it, and end gets errNotStarted.
func (s *Session) guard(ctx context.Context, name string, call func() error, end func(error)) {
	growStack()
	id, err := s.enter(ctx, name)
	if err != nil {
		end(err)
		return
	}
	err = errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		end(err)
		s.leave(id)
	}()
	err = call()
}

// enter records that a handler runs, and returns an id for leave. If the handler must not run, it returns an error.
func (s *Session) enter(ctx context.Context, name string) (id int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return 0, fmt.Errorf("%w: %w", errNotStarted, ErrClosed)
	case ctx.Err() != nil:
		return 0, fmt.Errorf("%w: %w", errNotStarted, context.Cause(ctx))
	}
	s.lastRun++
	s.running[s.lastRun] = name
	return s.lastRun, nil
}

func (s *Session) leave(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
	if len(s.running) == 0 && s.quiet != nil {
		close(s.quiet)
	}
}

// waitHandlers waits for the handlers that run, at most until the deadline. It is called after Close has begun, so no
// other handler can start.
func (s *Session) waitHandlers(deadline time.Time) error {
	s.mu.Lock()
	if len(s.running) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	quiet := s.quiet
	s.mu.Unlock()
	if waitOr(quiet, max(0, time.Until(deadline))) {
		return nil
	}
	s.mu.Lock()
	names := slices.Sorted(maps.Values(s.running))
	s.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("client: close: still running after Options.StopGrace (%v): %.150s; a handler must return when its ctx ends, and OnMessage when Session.Done is closed",
		s.opts.StopGrace, strings.Join(names, ", "))
}

// insideLocked reports whether the caller runs in a handler of this session: on a goroutine that the session's reader
// has started, or on the goroutine of OnMessage.
func (s *Session) insideLocked() bool {
	return len(s.running) > 0 && (creatorID() == s.conn.reader || goroutineID() == s.outsideID)
}

// goroutineID returns the number of the calling goroutine. goroutineID and creatorID answer two questions for which Go
// has no other way. Is Close called within a handler? Then Close must not wait for that handler. Is Result called
// within the loop? Then the loop takes no more messages.
func goroutineID() uint64 {
	var buf [40]byte
	return number(buf[:runtime.Stack(buf[:], false)], "goroutine ")
}

// creatorID returns the number of the goroutine that started the calling one, 0 if there is none. The number is at the
// end of a stack trace, which takes time to make. Only Close calls creatorID, so handlers do not lose that time.
func creatorID() uint64 {
	trace := make([]byte, 64<<10)
	trace = trace[:runtime.Stack(trace, false)]
	const before = " in goroutine "
	return number(trace[max(0, bytes.LastIndex(trace, []byte(before))):], before)
}

// number returns the number directly after the prefix, 0 if there is none.
func number(text []byte, prefix string) (n uint64) {
	text, _ = bytes.CutPrefix(text, []byte(prefix))
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// growStack grows the stack of the goroutine once, before it has much to copy. Decoding and checking arguments and
// writing an answer need that much stack. Without growStack, the stack would double three times during that work, which
// takes longer than the work itself.
func growStack() {
	var room [8 << 10]byte
	runtime.KeepAlive(&room)
}

// run calls a handler. If the handler does not answer the request, run rejects it.
func (s *Session) run(name string, r *request, live wireproto.Message, call func() error) {
	s.guard(r.ctx, name, call, func(err error) {
		switch {
		case err == nil, errors.Is(err, ErrAnswered): // the agent has resolved the request in the meantime
		case errors.Is(err, ErrClosed), errors.Is(err, errNotStarted):
			s.opts.Logger.Debug("client: handler came too late", "handler", name, "error", err)
		default:
			s.opts.Logger.Error("client: handler failed", "handler", name, "error", err)
		}
		s.settle(live)
	})
}

// outsideMessage is a message for OnMessage.
type outsideMessage struct {
	message wireproto.Message
	size    int // the size of its line in bytes
}

// deliverOutside queues a message for OnMessage. A goroutine that exists only while messages wait calls OnMessage,
// because the reader never runs the program's code. The reader also does not wait for OnMessage, because OnMessage may
// wait for messages that the reader has not read yet, such as those of a turn that it starts. So messages that do not
// fit into the window are dropped, and requests among them are rejected.
func (s *Session) deliverOutside(m wireproto.Message, size int) {
	if s.opts.OnMessage == nil {
		s.settle(m)
		return
	}
	s.mu.Lock()
	switch {
	case s.closing: // no handler starts any more, and the requests are already closed
		s.mu.Unlock()
		return
	case s.outsideSize > window:
		s.outsideLost++
		first := s.outsideLost == 1
		s.mu.Unlock()
		if first {
			s.opts.Logger.Warn("client: OnMessage is too slow, so messages are dropped")
		}
		s.settle(m)
		return
	}
	defer s.mu.Unlock()
	s.outside = append(s.outside, outsideMessage{m, size})
	s.outsideSize += size
	if !s.serving {
		s.serving = true
		go s.serveOutside()
	}
}

// serveOutside passes one message to OnMessage, and leaves the rest to a new goroutine.
func (s *Session) serveOutside() {
	s.mu.Lock()
	if len(s.outside) == 0 || s.closing {
		s.outside, s.serving = nil, false
		s.mu.Unlock()
		return
	}
	next := s.outside[0]
	s.outside = s.outside[1:]
	s.outsideSize -= next.size
	s.outsideID = goroutineID()
	lost := s.outsideLost
	if s.outsideSize <= window {
		s.outsideLost = 0
	}
	s.mu.Unlock()
	if lost > 0 {
		s.opts.Logger.Warn("client: messages for OnMessage were dropped", "messages", lost)
	}
	m := next.message
	s.guard(context.Background(), "OnMessage", func() error { s.opts.OnMessage(m); return nil }, func(err error) {
		if err != nil && !errors.Is(err, errNotStarted) {
			s.opts.Logger.Error("client: handler failed", "handler", "OnMessage", "error", err)
		}
		s.settle(m)
		go s.serveOutside()
	})
}
