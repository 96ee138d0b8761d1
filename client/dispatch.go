package client

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/kimi-go/kimi-go/wireproto"
)

// handle receives each line that is no answer, on the reader's goroutine.
func (s *Session) handle(f *wireproto.Frame, size int) {
	switch f.Method {
	case wireproto.MethodEvent:
		s.event(f.Message, size)
	case wireproto.MethodRequest:
		if f.ID == "" { // cannot be answered
			s.event(f.Message, size)
			return
		}
		s.request(f.ID, f.Message, size)
	default:
		s.opts.Logger.Warn("client: the agent called an unknown method", "method", f.Method)
		s.refuse(f.ID, fmt.Sprintf("unknown method %.40q", f.Method))
	}
}

// refuse answers what this side does not know, so that the agent does not wait for it.
func (s *Session) refuse(id, why string) {
	line, err := encode(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{Code: wireproto.CodeMethodNotFound, Message: why}})
	if err == nil && id != "" {
		s.conn.send(line, "", nil)
	}
}

func (s *Session) event(m wireproto.Message, size int) {
	s.mu.Lock()
	replay := s.replay
	if replay == nil {
		s.account(m)
		s.noteCallLocked(m)
	}
	t := s.turn
	s.mu.Unlock()
	s.deliver(m, size, t, replay)
}

// account notes what an event says about the session and its turn. s.mu is held.
func (s *Session) account(m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.StatusUpdate:
		s.status.update(m)
	case *wireproto.SubagentEvent:
		if u, ok := m.Event.(*wireproto.StatusUpdate); ok && u.TokenUsage != nil {
			s.status.Usage.Add(*u.TokenUsage)
		}
	case *wireproto.ApprovalResponse:
		for r := range s.requests {
			if r.id == m.RequestID {
				r.close(ErrAnswered)
			}
		}
	}
	if s.turn != nil {
		s.turn.account(m)
	}
}

func (st *Status) update(m *wireproto.StatusUpdate) {
	set(&st.ContextUsage, m.ContextUsage)
	set(&st.ContextTokens, m.ContextTokens)
	set(&st.MaxContextTokens, m.MaxContextTokens)
	set(&st.PlanMode, m.PlanMode)
	if m.MCPStatus != nil {
		st.MCP = m.MCPStatus
	}
	if m.TokenUsage != nil {
		st.Usage.Add(*m.TokenUsage)
	}
}

// set takes over a value that has changed; nil means that it has not.
func set[T any](dst *T, src *T) {
	if src != nil {
		*dst = *src
	}
}

// request hands a request to its handler, or into the stream to be answered there.
func (s *Session) request(id string, m wireproto.Message, size int) {
	approval, _ := m.(*wireproto.ApprovalRequest)
	background := approval != nil && approval.SourceKind != nil && *approval.SourceKind == "background_agent"
	s.mu.Lock()
	if s.replay != nil && !background {
		replay := s.replay
		s.mu.Unlock()
		s.deliver(m, size, nil, replay)
		return
	}
	if s.turn != nil {
		s.turn.account(m)
	}
	t := s.turn
	r := s.open(id, m, background)
	s.bindCallLocked(r)
	decline := t != nil && t.declined && !background && r.decline() != nil
	s.mu.Unlock()
	if decline {
		r.answer(r.decline())
		s.deliver(m, size, t, nil)
		return
	}

	switch req := m.(type) {
	case *wireproto.ApprovalRequest:
		live := &ApprovalRequest{*req, r}
		if s.opts.Approve == nil {
			m = live
			break
		}
		go s.run("Approve", live, func() error { return s.opts.Approve(r.ctx, live) })
	case *wireproto.QuestionRequest:
		live := &QuestionRequest{*req, r}
		if s.opts.Answer == nil {
			m = live
			break
		}
		go s.run("Answer", live, func() error { return s.opts.Answer(r.ctx, live) })
	case *wireproto.ToolCallRequest:
		go s.runTool(r, req)
	case *wireproto.HookRequest:
		go s.runHook(r, req)
	default:
		s.opts.Logger.Warn("client: a request of an unknown type", "type", m.MessageType())
		if m.MessageType() == "HookRequest" { // kimi takes an error for an allowance
			r.answer(wireproto.HookAnswer{RequestID: id, Action: wireproto.HookBlock, Reason: "the hook request could not be read"})
			break
		}
		r.reply(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{
			Code: wireproto.CodeMethodNotFound, Message: fmt.Sprintf("unknown request type %.40q", m.MessageType())}})
	}
	s.deliver(m, size, t, nil)
}

// run calls a handler and rejects what it leaves unanswered.
func (s *Session) run(name string, live wireproto.Message, call func() error) {
	guard(call, func(err error) {
		if err != nil && !errors.Is(err, ErrAnswered) { // resolved by the agent meanwhile
			s.opts.Logger.Error("client: handler failed", "handler", name, "error", err)
		}
		s.settle(live)
	})
}

var errGoexit = errors.New("runtime.Goexit was called")

// guard calls the program's own code and then end, also behind a panic or runtime.Goexit, as by
// t.FailNow in a test; the goroutine may end with it.
func guard(call func() error, end func(error)) {
	growStack()
	err := errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		end(err)
	}()
	err = call()
}

// growStack makes room at once, while there is little to copy, for what reading and checking
// arguments and writing an answer take: a stack that doubles three times under them costs more
// than they do.
//
//go:noinline
func growStack() {
	var room [8 << 10]byte
	runtime.KeepAlive(&room)
}

// deliver puts a message where it is waited for.
func (s *Session) deliver(m wireproto.Message, size int, t *Turn, replay *stream) {
	var q *stream
	switch {
	case t != nil:
		q = t.queue
	case replay != nil:
		q = replay
	default:
		s.deliverOutside(m)
		return
	}
	taken, wait := q.push(m, size)
	if !taken {
		s.settle(m)
	}
	if wait {
		q.waitRoom()
	}
}

// idle wakes the consumer once the reader has nothing more to hand on at once.
func (s *Session) idle() {
	s.mu.Lock()
	t, replay := s.turn, s.replay
	s.mu.Unlock()
	if t != nil {
		t.queue.flush()
	}
	if replay != nil {
		replay.flush()
	}
}

// deliverOutside queues a message for OnMessage, served by goroutines that live only
// while there is something to serve: the reader never runs the program's code.
func (s *Session) deliverOutside(m wireproto.Message) {
	if s.opts.OnMessage == nil {
		s.settle(m)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outside = append(s.outside, m)
	if !s.serving {
		s.serving = true
		go s.serveOutside()
	}
}

// serveOutside serves one message and leaves the rest to the next goroutine.
func (s *Session) serveOutside() {
	s.mu.Lock()
	if len(s.outside) == 0 {
		s.serving = false
		s.mu.Unlock()
		return
	}
	m := s.outside[0]
	s.outside = s.outside[1:]
	s.mu.Unlock()
	guard(func() error { s.opts.OnMessage(m); return nil }, func(err error) {
		if err != nil {
			s.opts.Logger.Error("client: handler failed", "handler", "OnMessage", "error", err)
		}
		s.settle(m)
		go s.serveOutside()
	})
}
