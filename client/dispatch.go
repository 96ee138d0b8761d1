package client

import (
	"fmt"

	"github.com/kimi-go/kimi-go/wireproto"
)

// handle receives every line that is not an answer, on the reader's goroutine.
func (s *Session) handle(f *wireproto.Frame, size int) {
	switch f.Method {
	case wireproto.MethodEvent:
		s.event(f.Message, size)
	case wireproto.MethodRequest:
		if f.ID == "" { // without an id the request cannot be answered
			s.event(f.Message, size)
			return
		}
		s.request(f.ID, f.Message, size)
	default:
		s.opts.Logger.Warn("client: the agent called an unknown method", "method", f.Method)
		s.refuse(f.ID, fmt.Sprintf("unknown method %.40q", f.Method))
	}
}

// refuse answers a call of an unknown method with an error, so that the agent does not wait.
func (s *Session) refuse(id, why string) {
	line, err := encode(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{Code: wireproto.CodeMethodNotFound, Message: why}})
	if err == nil && id != "" {
		s.conn.send(line, "", nil)
	}
}

func (s *Session) event(m wireproto.Message, size int) {
	costs := s.price(m)
	s.mu.Lock()
	var replay *stream
	var over *LimitError
	if s.replay != nil {
		replay = s.replay.queue
		s.resolvedLocked(m)
	} else {
		s.account(m)
		s.noteCallLocked(m)
		over = s.measureLocked(m, costs)
	}
	t := s.turn
	s.mu.Unlock()
	if over != nil {
		t.abort(over)
	}
	s.deliver(m, size, t, replay)
}

// account applies an event to the status of the session and to its turn. The caller holds s.mu.
func (s *Session) account(m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.StatusUpdate:
		s.status.update(m)
	case *wireproto.SubagentEvent:
		if u, ok := m.Event.(*wireproto.StatusUpdate); ok && u.TokenUsage != nil {
			s.status.Usage.Add(*u.TokenUsage)
		}
	}
	s.resolvedLocked(m)
	if s.turn != nil {
		s.turn.account(m)
	}
}

// resolvedLocked closes a request that the agent has resolved by itself.
func (s *Session) resolvedLocked(m wireproto.Message) {
	if m, ok := m.(*wireproto.ApprovalResponse); ok {
		for r := range s.requests {
			if r.id == m.RequestID {
				r.decision = m.Response
				r.close(ErrAnswered)
			}
		}
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

// resize sets the size of the context after a change of the model. kimi itself reports the size only in the next step.
func (st *Status) resize(most int) {
	if st.MaxContextTokens = most; most > 0 {
		st.ContextUsage = float64(st.ContextTokens) / float64(most)
	}
}

// set stores a new value. A nil src means that the value has not changed.
func set[T any](dst *T, src *T) {
	if src != nil {
		*dst = *src
	}
}

// request passes a request to its handler, or puts it into the stream for the loop to answer. Requests of background
// agents are live at any time. So are hook requests, because a replay does not repeat them. All other requests during
// a replay are history.
func (s *Session) request(id string, m wireproto.Message, size int) {
	approval, _ := m.(*wireproto.ApprovalRequest)
	background := approval != nil && approval.SourceKind != nil && *approval.SourceKind == "background_agent"
	hook := m.MessageType() == "HookRequest" // also true for a hook request that could not be decoded
	s.mu.Lock()
	if s.replay != nil && !background && !hook {
		replay := s.replay.queue
		s.mu.Unlock()
		s.deliver(m, size, nil, replay)
		return
	}
	if s.turn != nil {
		s.turn.account(m)
	}
	t := s.turn
	r := s.open(id, m, background)
	if call, ok := m.(*wireproto.ToolCallRequest); ok {
		r.main = s.calls.ofMain(call)
	}
	s.bindCallLocked(r)
	refused := s.refusesLocked(r)
	cancelled := t != nil && t.cancelled
	switch {
	case refused == nil && s.closing:
		r.close(ErrClosed)
	case cancelled && !background:
		r.cancel(ErrCancelled) // no handler starts
	case s.conn.over(), s.peer.over():
		r.cancel(errAgentEnded)
	}
	s.mu.Unlock()
	if refused != nil {
		r.answer(refused)
		s.deliver(m, size, t, nil)
		return
	}

	switch req := m.(type) {
	case *wireproto.ApprovalRequest:
		live := &ApprovalRequest{*req, r}
		if s.opts.Approve == nil {
			m = live
			if background && cancelled { // the request is not part of the turn, and the turn may have no reader any more
				t = nil
			}
			break
		}
		go s.run("Approve", r, live, func() error { return s.opts.Approve(r.ctx, live) })
	case *wireproto.QuestionRequest:
		live := &QuestionRequest{*req, r}
		if s.opts.Answer == nil {
			m = live
			break
		}
		go s.run("Answer", r, live, func() error { return s.opts.Answer(r.ctx, live) })
	case *wireproto.ToolCallRequest:
		go s.runTool(r, req)
	case *wireproto.HookRequest:
		go s.runHook(r, req)
	default:
		s.opts.Logger.Warn("client: a request of an unknown type", "type", m.MessageType())
		if hook { // kimi treats an error as permission
			r.answer(wireproto.HookAnswer{RequestID: id, Action: wireproto.HookBlock, Reason: "the hook request could not be read"})
			break
		}
		r.reply(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{
			Code: wireproto.CodeMethodNotFound, Message: fmt.Sprintf("unknown request type %.40q", m.MessageType())}}, "")
	}
	s.deliver(m, size, t, nil)
}

// refusesLocked returns the answer to a request for which no handler starts any more. It returns nil if no answer is
// needed, because kimi itself rejects the open requests of a cancelled turn or a closed session. But kimi allows an
// action if the hook gets no answer, and a back end may wait for the result of a tool.
func (s *Session) refusesLocked(r *request) any {
	_, hook := r.asked.(*wireproto.HookRequest)
	_, tool := r.asked.(*wireproto.ToolCallRequest)
	switch {
	case s.closing && hook:
		return r.decline("the session is closed")
	case s.closing, r.turn == nil, !r.turn.cancelled, r.background:
		return nil
	case hook, tool, s.waitsForAnswers:
		return r.decline("the turn was cancelled")
	}
	return nil
}

// deliver puts a message into the stream of the turn or of the replay. Outside of both, OnMessage gets it.
func (s *Session) deliver(m wireproto.Message, size int, t *Turn, replay *stream) {
	var q *stream
	switch {
	case t != nil:
		q = t.queue
	case replay != nil:
		q = replay
	default:
		s.deliverOutside(m, size)
		return
	}
	taken, wait := q.push(m, size)
	if !taken {
		s.pass(m, size)
	}
	if wait {
		q.waitRoom()
	}
}

// pass handles a message that no loop takes. The request of a background agent does not belong to the turn, so
// OnMessage gets it. Other requests are rejected.
func (s *Session) pass(m wireproto.Message, size int) {
	if fromBackground(m) {
		s.deliverOutside(m, size)
		return
	}
	s.settle(m)
}

func fromBackground(m wireproto.Message) bool {
	live, ok := m.(*ApprovalRequest)
	return ok && live.request.background
}

// idle wakes the loop when the reader must wait for the next message.
func (s *Session) idle() {
	s.mu.Lock()
	t, replay := s.turn, s.replay
	s.mu.Unlock()
	if t != nil {
		t.queue.flush()
	}
	if replay != nil {
		replay.queue.flush()
	}
}
