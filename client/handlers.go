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

// Handlers are the program's own code: tools, hooks, Approve, Answer and OnMessage. Each runs on a
// goroutine of its own, through guard, and the session knows which of them run.

var (
	errGoexit     = errors.New("runtime.Goexit was called")
	errNotStarted = errors.New("not started")
)

// guard calls the program's own code and then end. It calls end also after a panic or runtime.Goexit, as by t.FailNow
// in a test; the goroutine may end with it. If no one waits for the code any more, because Close has begun or ctx has
// ended, guard does not call it, and end gets errNotStarted.
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

// enter notes that a handler runs, under the id that leave takes, or says why it must not.
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

// waitHandlers waits for the handlers that run, at most until the deadline. Close has begun, so
// that no other starts.
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

// insideLocked reports whether the caller runs within a handler of this session: on a goroutine
// that its reader has started, or on that of OnMessage.
func (s *Session) insideLocked() bool {
	return len(s.running) > 0 && (creatorID() == s.conn.reader || goroutineID() == s.outsideID)
}

// goroutineID returns the number of the calling goroutine. It and creatorID answer two questions, for which Go has no
// other way. Is Close called within a handler? Then it must not wait for that handler. Is Result called within the
// loop? Then the loop takes no more messages.
func goroutineID() uint64 {
	var buf [40]byte
	return number(buf[:runtime.Stack(buf[:], false)], "goroutine ")
}

// creatorID returns the number of the goroutine that started the calling one, 0 for none. It stands at the end of a
// stack trace. Only Close reads it, so handlers lose no time.
func creatorID() uint64 {
	trace := make([]byte, 64<<10)
	trace = trace[:runtime.Stack(trace, false)]
	const before = " in goroutine "
	return number(trace[max(0, bytes.LastIndex(trace, []byte(before))):], before)
}

// number returns the number that follows the prefix, 0 if there is none.
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

// growStack grows the stack at once, while there is little to copy. Reading and checking arguments and writing an
// answer need that much. Without it, the stack doubles three times during that work, which costs more than the work.
func growStack() {
	var room [8 << 10]byte
	runtime.KeepAlive(&room)
}

// run calls a handler and rejects what it leaves unanswered.
func (s *Session) run(name string, r *request, live wireproto.Message, call func() error) {
	s.guard(r.ctx, name, call, func(err error) {
		switch {
		case err == nil, errors.Is(err, ErrAnswered): // resolved by the agent meanwhile
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
	size    int // of its line
}

// deliverOutside queues a message for OnMessage. Goroutines serve it that exist only while there is something to
// serve: the reader never runs the program's code. The reader does not wait for OnMessage either, because OnMessage
// may wait for what the reader has yet to read, such as a turn that it starts. So messages that do not fit into the
// window are dropped, and requests among them are rejected.
func (s *Session) deliverOutside(m wireproto.Message, size int) {
	if s.opts.OnMessage == nil {
		s.settle(m)
		return
	}
	s.mu.Lock()
	switch {
	case s.closing: // no handler starts any more, and requests have been retired
		s.mu.Unlock()
		return
	case s.outsideSize > window:
		s.outsideLost++
		first := s.outsideLost == 1
		s.mu.Unlock()
		if first {
			s.opts.Logger.Warn("client: OnMessage is too slow: messages are dropped")
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

// serveOutside serves one message and leaves the rest to the next goroutine.
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
