package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// ApprovalRequest is a live [wireproto.ApprovalRequest]: the agent waits for Approve, ApproveForSession or Reject. The
// first answer counts. A second answer returns [ErrAnswered]. So does an answer to a request that the agent has
// resolved by itself: when one request is approved for the session, kimi-cli also resolves the others of the same kind.
// An answer after the end of the request's turn returns [ErrNoTurn]. If the body of a loop neither answers nor holds
// the request, it is rejected when the loop asks for the next message.
type ApprovalRequest struct {
	wireproto.ApprovalRequest
	request *request
}

// Approve allows the action, this time only.
func (r *ApprovalRequest) Approve() error { return r.decide(wireproto.Approve, "") }

// ApproveForSession allows the action, now and later in the session. In kimi-cli, it allows every later call with the
// same Action, whatever the arguments: after one "run command", it allows every command of the agent and of its
// subagents. kimi-cli stores this with the session. It is still valid after ResumeSession, in another process and with
// a handler that rejects everything; Status.Approvals lists it. In Kimi Code 2.x, it allows only the same call.
func (r *ApprovalRequest) ApproveForSession() error {
	err := r.decide(wireproto.ApproveForSession, "")
	if err == nil {
		r.request.s.approvedForSession(r.Action)
	}
	return err
}

// Reject forbids the action. The model reads the feedback, and the turn continues. If the feedback is "", kimi-cli ends
// the turn as finished. Kimi Code 2.x continues the turn in both cases; to end it, cancel it.
func (r *ApprovalRequest) Reject(feedback string) error {
	return r.decide(wireproto.Reject, feedback)
}

func (r *ApprovalRequest) decide(d wireproto.ApprovalDecision, feedback string) error {
	return r.request.answer(&wireproto.ApprovalAnswer{RequestID: r.ID, Response: d, Feedback: feedback})
}

// Hold keeps the request open when the loop continues, so that any goroutine can answer it later.
func (r *ApprovalRequest) Hold() { r.request.hold() }

// Done returns a channel that is closed when the request no longer needs an answer: it was answered, the agent has
// resolved it, or its turn or session has ended.
func (r *ApprovalRequest) Done() <-chan struct{} { return r.request.Done() }

// QuestionRequest is a live [wireproto.QuestionRequest]: the agent waits for Answer or Dismiss. The rules of
// [ApprovalRequest] apply.
type QuestionRequest struct {
	wireproto.QuestionRequest
	request *request
}

// Answer answers the questions. A key is the text of a question. A value is a label, several labels joined by ", ", or
// any other text. Questions without a key count as not answered. A key that is not the text of a question gives an
// error, and the request still waits.
func (r *QuestionRequest) Answer(answers map[string]string) error {
	for text := range answers {
		known := false
		for _, q := range r.Questions {
			known = known || q.Question == text
		}
		if !known {
			return fmt.Errorf("client: answer: %.80q is not one of the questions; the keys are the texts of the questions", text)
		}
	}
	if answers == nil {
		answers = map[string]string{}
	}
	return r.request.answer(&wireproto.QuestionAnswer{RequestID: r.ID, Answers: answers})
}

// Dismiss tells the agent that the user does not answer.
func (r *QuestionRequest) Dismiss() error { return r.Answer(nil) }

// Hold keeps the request open, as [ApprovalRequest.Hold] does.
func (r *QuestionRequest) Hold() { r.request.hold() }

// Done returns a channel that is closed when the request no longer needs an answer, as [ApprovalRequest.Done] does.
func (r *QuestionRequest) Done() <-chan struct{} { return r.request.Done() }

// ApproveAll is a handler for Options.Approve that approves every request, one by one, never for the session.
func ApproveAll(_ context.Context, r *ApprovalRequest) error { return r.Approve() }

// RejectAll is a handler for Options.Approve that rejects every request with feedback, so that the turn continues.
func RejectAll(_ context.Context, r *ApprovalRequest) error {
	return r.Reject("the user does not allow this")
}

// Request returns the live request with this ID that waits for its answer: an [*ApprovalRequest] or a
// [*QuestionRequest]. A program uses it to answer a request that it has sent elsewhere as JSON. It returns nil if no
// such request waits. In a loop, call [ApprovalRequest.Hold] first, so that the request stays open.
func (s *Session) Request(id string) wireproto.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.requests {
		switch asked := r.asked.(type) {
		case *wireproto.ApprovalRequest:
			if r.id == id || asked.ID == id {
				return &ApprovalRequest{*asked, r}
			}
		case *wireproto.QuestionRequest:
			if r.id == id || asked.ID == id {
				return &QuestionRequest{*asked, r}
			}
		}
	}
	return nil
}

// request is a request of the agent that waits for its answer. The session's mu guards its state.
type request struct {
	s          *Session
	id         string // the id of the JSON-RPC call, and of the request in it
	asked      wireproto.Message
	turn       *Turn     // the turn in which the request came; nil if none ran
	background bool      // from a background agent; it stays open after the turn
	tool       *toolCall // the call that an approval asks about; nil while it is not known
	n          uint64    // the number of the request in the session, from 1
	main       bool      // a call of a Go tool that certainly comes from the main agent
	held       bool
	at         time.Time                  // when the request came
	decision   wireproto.ApprovalDecision // the answer to an approval; "" while there is none
	err        error                      // why the request takes no answer any more; set once, before done is closed
	done       chan struct{}
	ctx        context.Context // the ctx of its handler; it ends with the request
	cancel     context.CancelCauseFunc
}

// open registers a request. The caller holds s.mu.
func (s *Session) open(id string, m wireproto.Message, background bool) *request {
	s.asked++
	r := &request{s: s, n: s.asked, id: id, asked: m, turn: s.turn, background: background, at: time.Now(), done: make(chan struct{})}
	parent := s.ctx
	if r.turn != nil && !background {
		parent = r.turn.ctx
	}
	r.ctx, r.cancel = context.WithCancelCause(parent)
	s.requests[r] = struct{}{}
	r.askedLocked()
	return r
}

// close closes r, once. err is the error of later answers. The caller holds s.mu.
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
	r.settledLocked()
	return true
}

// decline returns the answer that refuses a request. It returns nil for a request that cannot be refused.
func (r *request) decline(why string) any {
	switch r.asked.(type) {
	case *wireproto.ApprovalRequest:
		return &wireproto.ApprovalAnswer{RequestID: r.id, Response: wireproto.Reject}
	case *wireproto.QuestionRequest:
		return &wireproto.QuestionAnswer{RequestID: r.id}
	case *wireproto.ToolCallRequest:
		return &wireproto.ToolAnswer{ToolCallID: r.id, ReturnValue: toolError(errors.New(why))}
	case *wireproto.HookRequest:
		return &wireproto.HookAnswer{RequestID: r.id, Action: wireproto.HookBlock, Reason: why}
	}
	return nil
}

// answer sends the only answer. If result cannot be encoded, answer refuses the request instead, so that the agent does
// not wait, and returns an error.
func (r *request) answer(result any) error {
	if r == nil {
		return errors.New("client: not a live request: it did not come from a session")
	}
	f, err := resultFrame(r.id, result)
	if err == nil {
		err = r.reply(f, decisionOf(result))
	}
	if !errors.Is(err, errCannotSend) {
		return err
	}
	why := fmt.Sprintf("the answer cannot be sent: %.200v", err)
	if errors.Is(err, wireproto.ErrLineTooLong) {
		why = fmt.Sprintf("the result is longer than the %d MiB that kimi reads", wireproto.MaxLine>>20)
	}
	declined := r.decline(why)
	f, declineErr := resultFrame(r.id, declined)
	if declineErr == nil {
		declineErr = r.reply(f, decisionOf(declined))
	}
	if declineErr != nil {
		return declineErr
	}
	return fmt.Errorf("%w; the agent got a refusal instead", err)
}

// errCannotSend is the error about an answer that cannot be sent.
var errCannotSend = errors.New("client: answer")

// resultFrame makes the frame of a result. The result comes from the program, so encoding it may fail or panic.
func resultFrame(id string, result any) (f *wireproto.Frame, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic: %v", errCannotSend, v)
		}
	}()
	raw, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCannotSend, err)
	}
	return &wireproto.Frame{ID: id, Result: raw}, nil
}

func decisionOf(answer any) wireproto.ApprovalDecision {
	if a, ok := answer.(*wireproto.ApprovalAnswer); ok {
		return a.Response
	}
	return ""
}

// reply sends the frame and closes the request. If the frame cannot be sent at all, the request stays open.
func (r *request) reply(f *wireproto.Frame, decision wireproto.ApprovalDecision) error {
	line, err := encode(f)
	if err != nil {
		return fmt.Errorf("%w: %w", errCannotSend, err)
	}
	r.s.mu.Lock()
	if r.err == nil {
		r.decision = decision
	}
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

// Done returns a channel that is closed when the request needs no answer any more.
func (r *request) Done() <-chan struct{} {
	if r == nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return r.done
}

// closeRequests closes the requests that match, without an answer.
func (s *Session) closeRequests(err error, match func(*request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.requests {
		if match(r) {
			r.close(err)
		}
	}
}

// answerAll refuses the requests that match.
func (s *Session) answerAll(why string, match func(*request) bool) {
	var open []*request
	s.mu.Lock()
	for r := range s.requests {
		if match(r) {
			open = append(open, r)
		}
	}
	s.mu.Unlock()
	for _, r := range open {
		if err := r.answer(r.decline(why)); err != nil {
			s.opts.Logger.Debug("client: decline", "id", r.id, "error", err)
		}
	}
}

// settle rejects or dismisses m if it is a live request that was neither answered nor held.
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
	s.mu.Lock()
	left := r.err == nil && !r.held
	if r.turn != nil && !r.background && r.turn.cancelled {
		left = false // the agent itself rejects the request
	}
	s.mu.Unlock()
	if left && r.answer(r.decline("no one answered")) == nil {
		s.opts.Logger.Warn("client: a request was left unanswered and is rejected", "type", m.MessageType(), "id", r.id)
	}
}
