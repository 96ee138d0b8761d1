package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/wireproto"
)

// ApprovalRequest is a live [wireproto.ApprovalRequest]: the agent waits for one of
// Approve, ApproveForSession and Reject. The first answer wins; a second one returns
// [ErrAnswered], as does one that the agent has resolved itself, such as those beside
// one that was approved for the session. One that a loop's body leaves without answer
// and without Hold is rejected when the loop asks for the next message.
type ApprovalRequest struct {
	wireproto.ApprovalRequest
	request *request
}

// Approve lets the agent go on.
func (r *ApprovalRequest) Approve() error { return r.decide(wireproto.Approve, "") }

// ApproveForSession lets the agent go on, now and with the same action later in the session.
func (r *ApprovalRequest) ApproveForSession() error {
	return r.decide(wireproto.ApproveForSession, "")
}

// Reject keeps the agent from the action. With a feedback, which the model reads, the turn
// goes on; with "" kimi ends it, as finished.
func (r *ApprovalRequest) Reject(feedback string) error {
	return r.decide(wireproto.Reject, feedback)
}

func (r *ApprovalRequest) decide(d wireproto.ApprovalDecision, feedback string) error {
	return r.request.answer(&wireproto.ApprovalAnswer{RequestID: r.ID, Response: d, Feedback: feedback})
}

// Hold keeps the request open after the loop has gone on, so that it can be answered later,
// from any goroutine.
func (r *ApprovalRequest) Hold() { r.request.hold() }

// Done is closed when the request needs no answer any more: answered here, resolved by the
// agent, or gone with its turn or session.
func (r *ApprovalRequest) Done() <-chan struct{} { return r.request.Done() }

// QuestionRequest is a live [wireproto.QuestionRequest]: the agent waits for Answer or
// Dismiss, under the rules of [ApprovalRequest].
type QuestionRequest struct {
	wireproto.QuestionRequest
	request *request
}

// Answer answers by the text of each question: a label, several joined by ", ", or any
// other text. Questions that are left out count as not answered.
func (r *QuestionRequest) Answer(answers map[string]string) error {
	for text := range answers {
		known := false
		for _, q := range r.Questions {
			known = known || q.Question == text
		}
		if !known {
			return fmt.Errorf("client: answer: %.80q is none of the questions; the keys are their texts", text)
		}
	}
	if answers == nil {
		answers = map[string]string{}
	}
	return r.request.answer(&wireproto.QuestionAnswer{RequestID: r.ID, Answers: answers})
}

// Dismiss tells the agent that the user does not answer.
func (r *QuestionRequest) Dismiss() error { return r.Answer(nil) }

// Hold keeps the request open, as that of [ApprovalRequest] does.
func (r *QuestionRequest) Hold() { r.request.hold() }

// Done is closed when the request needs no answer any more.
func (r *QuestionRequest) Done() <-chan struct{} { return r.request.Done() }

// ApproveAll is an Options.Approve that approves everything, each time anew.
func ApproveAll(_ context.Context, r *ApprovalRequest) error { return r.Approve() }

// RejectAll is an Options.Approve that rejects everything and lets the turn go on.
func RejectAll(_ context.Context, r *ApprovalRequest) error {
	return r.Reject("the user does not allow this")
}

// request is a request of the agent that waits for its answer. Its state is guarded by the
// session's mu.
type request struct {
	s          *Session
	id         string // of the call, and of the request in it
	turn       *Turn  // nil when none ran
	background bool   // asked by a background agent: outlives the turn
	decline    any    // the answer of one who does not want to
	held       bool
	err        error // why it takes no answer any more; set once, with done
	done       chan struct{}
	ctx        context.Context // of its handler; ends with the request
	cancel     context.CancelCauseFunc
}

// open registers a request. s.mu is held.
func (s *Session) open(id string, m wireproto.Message, background bool) *request {
	r := &request{s: s, id: id, turn: s.turn, background: background, done: make(chan struct{})}
	switch m.(type) {
	case *wireproto.ApprovalRequest:
		r.decline = &wireproto.ApprovalAnswer{RequestID: id, Response: wireproto.Reject}
	case *wireproto.QuestionRequest:
		r.decline = &wireproto.QuestionAnswer{RequestID: id, Answers: map[string]string{}}
	case *wireproto.ToolCallRequest:
		r.decline = &wireproto.ToolAnswer{ToolCallID: id, ReturnValue: toolError(errors.New("the turn was cancelled"))}
	case *wireproto.HookRequest:
		r.decline = &wireproto.HookAnswer{RequestID: id, Action: wireproto.HookBlock, Reason: "the turn was cancelled"}
	}
	parent := s.ctx
	if r.turn != nil && !background {
		parent = r.turn.ctx
	}
	r.ctx, r.cancel = context.WithCancelCause(parent)
	s.requests[r] = struct{}{}
	return r
}

// close retires r once; err is what a later answer returns. s.mu is held.
func (r *request) close(err error) bool {
	if r.err != nil {
		return false
	}
	r.err = err
	delete(r.s.requests, r)
	r.cancel(err)
	close(r.done)
	if r.turn != nil {
		r.turn.touch()
	}
	return true
}

// answer sends the one answer.
func (r *request) answer(result any) error {
	if r == nil {
		return errors.New("client: not a live request: it did not come from a session")
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("client: answer: %w", err)
	}
	return r.reply(&wireproto.Frame{ID: r.id, Result: raw})
}

// reply retires the request, unless the frame cannot be sent at all, and sends the frame.
func (r *request) reply(f *wireproto.Frame) error {
	line, err := encode(f)
	if err != nil {
		return err
	}
	r.s.mu.Lock()
	first := r.close(ErrAnswered)
	err = r.err
	r.s.mu.Unlock()
	if !first {
		return err
	}
	return r.s.conn.send(line, "", nil)
}

func (r *request) hold() {
	if r != nil {
		r.s.mu.Lock()
		r.held = true
		r.s.mu.Unlock()
	}
}

// Done returns a channel that is closed with the request.
func (r *request) Done() <-chan struct{} {
	if r == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return r.done
}

// closeRequests retires the requests that match without an answer.
func (s *Session) closeRequests(err error, match func(*request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.requests {
		if match(r) {
			r.close(err)
		}
	}
}

// declineAll answers what a cancelled turn still waits for.
func (t *Turn) declineAll() {
	t.s.mu.Lock()
	var open []*request
	for r := range t.s.requests {
		if r.turn == t && !r.background && r.decline != nil {
			open = append(open, r)
		}
	}
	t.s.mu.Unlock()
	for _, r := range open {
		if err := r.answer(r.decline); err != nil {
			t.s.opts.Logger.Debug("client: decline", "id", r.id, "error", err)
		}
	}
}

// settle rejects or dismisses m if it is a live request that nobody has answered or held.
func (s *Session) settle(m wireproto.Message) {
	var r *request
	switch m := m.(type) {
	case *ApprovalRequest:
		r = m.request
	case *QuestionRequest:
		r = m.request
	default:
		return
	}
	if r.turn != nil && !r.background && r.turn.ctx.Err() != nil {
		return // the turn is being cancelled: the agent rejects by itself
	}
	s.mu.Lock()
	left := r.err == nil && !r.held
	s.mu.Unlock()
	if left && r.answer(r.decline) == nil {
		s.opts.Logger.Warn("client: a request was left unanswered and is rejected", "type", m.MessageType(), "id", r.id)
	}
}

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
	s.mu.Unlock()

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
	err := guard(call)
	if err != nil {
		s.opts.Logger.Error("client: handler failed", "handler", name, "error", err)
	}
	s.settle(live)
}

// guard calls the program's own code and turns a panic, or the end of its goroutine as by
// t.FailNow in a test, into an error.
func guard(call func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("runtime.Goexit was called")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
			done <- err
		}()
		err = call()
	}()
	return <-done
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

// deliverOutside queues a message for OnMessage, served by a goroutine that lives only
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

func (s *Session) serveOutside() {
	for {
		s.mu.Lock()
		if len(s.outside) == 0 {
			s.serving = false
			s.mu.Unlock()
			return
		}
		m := s.outside[0]
		s.outside = s.outside[1:]
		s.mu.Unlock()
		if err := guard(func() error { s.opts.OnMessage(m); return nil }); err != nil {
			s.opts.Logger.Error("client: handler failed", "handler", "OnMessage", "error", err)
		}
		s.settle(m)
	}
}
