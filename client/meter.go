package client

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// meter measures what a session's agents do, from the messages that come. The session's mu guards it. Only the reader's
// goroutine changes it, except at the beginning of a turn.
type meter struct {
	turns     int // how many turns have begun
	own       agentMeter
	subagents map[string]*agentMeter // the subagents that run, by id
	spent     spent                  // the usage of the whole session
	started   time.Time              // when the process was started
	pid       int                    // the id of the process
	exit      error                  // how the process has ended
	ready     bool                   // ProcessStarted was observed, and ProcessEnded was not
}

// agentMeter measures what one agent does at present.
type agentMeter struct {
	scope  Scope // without Session and Turn
	model  string
	silent bool // the agent has said nothing since the turn or the step began
	step   stepMeter
	calls  []callMeter // the calls that have no result yet
}

type stepMeter struct {
	runs     bool
	n        int
	start    time.Time
	first    time.Duration
	answer   time.Duration // the time until the message was complete; 0 until then
	lastCall time.Duration // the time until the last part of a call, for a backend where that part ends the message
	asked    int           // how many tool calls the step has made
	usage    wireproto.TokenUsage
}

type callMeter struct {
	id, name string
	step     int
	start    time.Time
	waiting  time.Duration
}

// measureLocked records what an event says about times and tokens. costs is the cost of the event's tokens by Limits
// and by SessionLimits. If the turn must end now because a limit is used up, measureLocked returns that limit.
func (s *Session) measureLocked(m wireproto.Message, costs [2]float64) *LimitError {
	a, m := s.agentLocked(m)
	switch m := m.(type) {
	case *wireproto.TextPart, *wireproto.ThinkPart: // most events are of these types
		if a.silent {
			s.spokeLocked(a, time.Now())
		}
	case *wireproto.StepBegin:
		now := time.Now()
		s.endStepLocked(a, OutcomeOK, now)
		s.endCallsLocked(a, OutcomeUnknown, now)
		a.silent = true
		a.step = stepMeter{runs: true, n: m.N, start: now}
		if a == &s.meter.own {
			a.model = s.model
		}
		if s.opts.Observer != nil {
			s.observeLocked(&StepStarted{Scope: s.scopeLocked(a), Step: m.N, Start: now, Model: a.model})
		}
		return s.usedUpLocked()
	case *wireproto.StepRetry:
		now := time.Now()
		s.endCallsLocked(a, OutcomeCancelled, now)
		a.silent = true
		if s.opts.Observer != nil {
			o := &Retried{Scope: s.scopeLocked(a), Step: m.N, At: now, Attempt: m.NextAttempt, MaxAttempts: m.MaxAttempts, ErrorType: m.ErrorType,
				Wait: time.Duration(m.WaitS * float64(time.Second))}
			if m.StatusCode != nil {
				o.StatusCode = *m.StatusCode
			}
			s.observeLocked(o)
		}
	case *wireproto.StatusUpdate:
		return s.statusLocked(a, m, costs)
	case *wireproto.ToolCall:
		return s.calledLocked(a, m)
	case *wireproto.ToolCallPart:
		if a.step.runs && s.backend.endsSteps() {
			a.step.lastCall = time.Since(a.step.start)
		}
	case *wireproto.ToolResult:
		s.toolEndedLocked(a, m)
		if len(a.calls) == 0 {
			return s.usedUpLocked()
		}
	case *wireproto.StepInterrupted:
		s.endStepLocked(a, OutcomeError, time.Now())
	case *wireproto.TurnEnd:
		if a.step.answer > 0 { // otherwise the end of the turn says how the step ended
			s.endStepLocked(a, OutcomeOK, time.Now())
		}
	}
	return nil
}

// agentLocked returns the meter of the agent that an event is from, and the event without its SubagentEvents.
func (s *Session) agentLocked(m wireproto.Message) (*agentMeter, wireproto.Message) {
	a := &s.meter.own
	for {
		e, ok := m.(*wireproto.SubagentEvent)
		if !ok {
			return a, m
		}
		a, m = s.subagentLocked(e), e.Event
	}
}

// subagentLocked returns the meter of the subagent that an event is from.
func (s *Session) subagentLocked(e *wireproto.SubagentEvent) *agentMeter {
	var scope Scope
	set(&scope.Agent, e.AgentID)
	set(&scope.AgentType, e.SubagentType)
	set(&scope.ParentCall, e.ParentToolCallID)
	if scope.Agent == "" { // protocols before 1.6 have no AgentID
		scope.Agent = scope.ParentCall
	}
	a := s.meter.subagents[scope.Agent]
	if a == nil {
		a = &agentMeter{model: s.subagentModelLocked(scope.ParentCall), silent: true}
		if s.meter.subagents == nil {
			s.meter.subagents = make(map[string]*agentMeter)
		}
		s.meter.subagents[scope.Agent] = a
	}
	a.scope = scope
	return a
}

// subagentModelLocked returns the model of a subagent, "" if it is not known. In kimi-cli, the call that starts the
// subagent may name a model. If it does not, and the options have an agent file, the type of the subagent may name one.
// Otherwise the subagent has the session's model (kimi_cli/tools/agent, 1.51.0). In Kimi Code, all subagents have the
// session's model.
func (s *Session) subagentModelLocked(parent string) string {
	if !s.backend.subagentModels() {
		return s.model
	}
	main := s.calls.agents[""]
	if main == nil {
		return ""
	}
	for _, c := range main.open {
		if c.id != parent {
			continue
		}
		var args struct{ Model, Resume string }
		if _, whole := c.whole(); json.Unmarshal(whole, &args) != nil {
			return ""
		}
		switch {
		case args.Model != "":
			return args.Model
		case args.Resume == "" && s.opts.AgentFile == "":
			return s.model
		}
		return ""
	}
	return ""
}

// scopeLocked returns the scope of an agent in the current turn.
func (s *Session) scopeLocked(a *agentMeter) Scope {
	scope := a.scope
	scope.Session = s.id
	if s.turn != nil {
		scope.Turn = s.turn.number
	}
	return scope
}

// spokeLocked records the time of the first text of an agent in its step.
func (s *Session) spokeLocked(a *agentMeter, now time.Time) {
	a.silent = false
	if a.step.runs && a.step.first == 0 {
		a.step.first = max(1, now.Sub(a.step.start))
	}
	if t := s.turn; t != nil && a == &s.meter.own && t.result.FirstToken == 0 {
		t.result.FirstToken = max(1, now.Sub(t.began))
	}
}

// statusLocked records the end of a model's message and the tokens of the message.
func (s *Session) statusLocked(a *agentMeter, m *wireproto.StatusUpdate, costs [2]float64) *LimitError {
	now := time.Now()
	u := m.TokenUsage
	if u != nil {
		s.spendLocked(a.model, *u, costs)
		a.step.usage.Add(*u)
	}
	// kimi-cli also sends a StatusUpdate for other changes, but without tokens, context size or message id.
	if a.step.runs && a.step.answer == 0 && (u != nil || m.ContextTokens != nil || m.MessageID != nil) {
		a.step.answer = now.Sub(a.step.start)
		if a.step.lastCall > 0 { // in Kimi Code, the StatusUpdate comes after the tools have run
			a.step.answer = a.step.lastCall
		}
	}
	if u == nil {
		return nil
	}
	asked := a.step.asked > 0
	if s.backend.endsSteps() {
		s.endStepLocked(a, OutcomeOK, now)
	}
	if asked && len(a.calls) == 0 { // a step without calls is the last one of the turn
		return s.usedUpLocked()
	}
	return nil
}

// spendLocked counts tokens for the current turn and for the session.
func (s *Session) spendLocked(model string, u wireproto.TokenUsage, costs [2]float64) {
	s.meter.spent.add(u, costs[1])
	if t := s.turn; t != nil {
		t.spent.add(u, costs[0])
		t.result.Usage.Add(u)
		of := t.result.UsageByModel[model]
		of.Add(u)
		if t.result.UsageByModel == nil {
			t.result.UsageByModel = make(map[string]wireproto.TokenUsage)
		}
		t.result.UsageByModel[model] = of
	}
}

// calledLocked records a tool call. The bridge sends a call a second time to complete it; that counts as the same call.
func (s *Session) calledLocked(a *agentMeter, m *wireproto.ToolCall) *LimitError {
	now := time.Now()
	if a.step.runs && s.backend.endsSteps() {
		a.step.lastCall = now.Sub(a.step.start)
	}
	if s.backend.wholeCalls() && slices.ContainsFunc(a.calls, func(c callMeter) bool { return c.id == m.ID }) {
		return nil
	}
	c := callMeter{id: m.ID, name: m.Function.Name, step: a.step.n, start: now}
	a.calls = append(a.calls, c)
	a.step.asked++
	s.meter.spent.calls++
	if s.turn != nil {
		s.turn.spent.calls++
		s.turn.result.ToolCalls++
	}
	if s.opts.Observer != nil {
		s.observeLocked(&ToolStarted{Scope: s.scopeLocked(a), Step: c.step, CallID: c.id, Tool: c.name, Start: now})
	}
	return s.callsUsedUpLocked()
}

func (s *Session) toolEndedLocked(a *agentMeter, m *wireproto.ToolResult) {
	now := time.Now()
	for i := range slices.Backward(a.calls) { // of several calls with one id, the last one, as in toolCalls
		if c := a.calls[i]; c.id == m.ToolCallID {
			a.calls = slices.Delete(a.calls, i, i+1)
			outcome := OutcomeOK
			if m.ReturnValue.IsError {
				outcome = OutcomeError
			}
			s.endCallLocked(a, c, outcome, now)
			break
		}
	}
	if a != &s.meter.own || s.backend.endsSteps() {
		return
	}
	for id, sub := range s.meter.subagents { // after the result of a call, kimi-cli reports nothing more about the subagents of the call
		if sub.scope.ParentCall == m.ToolCallID {
			s.endStepLocked(sub, OutcomeOK, now)
			s.endCallsLocked(sub, OutcomeUnknown, now)
			delete(s.meter.subagents, id)
		}
	}
}

func (s *Session) endCallLocked(a *agentMeter, c callMeter, outcome Outcome, now time.Time) {
	took := now.Sub(c.start)
	if s.turn != nil && a == &s.meter.own {
		s.turn.result.ToolTime += took - c.waiting
	}
	if s.opts.Observer != nil {
		s.observeLocked(&ToolEnded{Scope: s.scopeLocked(a), Step: c.step, CallID: c.id, Tool: c.name, Start: c.start, Duration: took, Waiting: c.waiting, Outcome: outcome})
	}
}

// endCallsLocked ends the calls that will get no result.
func (s *Session) endCallsLocked(a *agentMeter, outcome Outcome, now time.Time) {
	for _, c := range a.calls {
		s.endCallLocked(a, c, outcome, now)
	}
	a.calls = nil
}

// endStepLocked ends the current step, if there is one.
func (s *Session) endStepLocked(a *agentMeter, outcome Outcome, now time.Time) {
	st := a.step
	if !st.runs {
		return
	}
	a.step = stepMeter{n: st.n}
	took := now.Sub(st.start)
	if st.answer == 0 {
		st.answer = took
	}
	if s.turn != nil && a == &s.meter.own {
		s.turn.result.ModelTime += st.answer
	}
	if s.opts.Observer != nil {
		s.observeLocked(&StepEnded{Scope: s.scopeLocked(a), Step: st.n, Start: st.start, Duration: took, FirstToken: st.first, Answer: st.answer,
			Model: a.model, Usage: st.usage, Outcome: outcome})
	}
}

// turnBegunLocked counts a turn and starts to measure its times.
func (s *Session) turnBegunLocked(t *Turn) {
	s.meter.turns++
	t.number, t.began = s.meter.turns, time.Now()
	s.meter.own.silent, s.meter.own.model = true, s.model
	if s.opts.Observer != nil {
		s.observeLocked(&TurnStarted{Scope: s.turnScope(t), Start: t.began, Model: s.model, Prompt: t.input, Context: t.caller})
	}
	t.input = wireproto.Content{}
}

func (s *Session) turnScope(t *Turn) Scope { return Scope{Session: s.id, Turn: t.number} }

// turnEndedLocked ends the session's turn and everything in it that is still open.
func (s *Session) turnEndedLocked(t *Turn, err error) {
	now := time.Now()
	outcome := outcomeOf(err)
	open := OutcomeUnknown // the outcome of a call that has no result
	if outcome == OutcomeCancelled {
		open = OutcomeCancelled
	}
	ends := func(a *agentMeter) {
		s.endCallsLocked(a, open, now)
		if a.step.answer > 0 {
			s.endStepLocked(a, OutcomeOK, now)
		}
		s.endStepLocked(a, outcome, now)
	}
	for id, sub := range s.meter.subagents {
		background := s.backend.endsSteps() && !slices.ContainsFunc(s.meter.own.calls, func(c callMeter) bool { return c.id == sub.scope.ParentCall })
		if !background {
			ends(sub)
		}
		if !sub.step.runs && len(sub.calls) == 0 {
			delete(s.meter.subagents, id)
		}
	}
	ends(&s.meter.own)
	t.result.Duration = now.Sub(t.began)
	s.meter.spent.duration += t.result.Duration
	if s.opts.Observer != nil {
		r := t.measuredLocked()
		s.observeLocked(&TurnEnded{Scope: s.turnScope(t), Start: t.began, Duration: r.Duration, Model: s.model, Result: &r, Err: err, Outcome: outcome, text: t.text})
	}
	s.turn = nil
	s.processEndedLocked()
}

// processStartedLocked observes that the handshake is complete.
func (s *Session) processStartedLocked(began time.Time, model string) {
	if s.opts.Observer == nil {
		return
	}
	s.meter.started, s.meter.pid = began, s.PID()
	info := s.info()
	s.observeLocked(&ProcessStarted{Session: s.id, PID: s.meter.pid, Backend: info.Backend, Version: info.Version, Model: model,
		Start: s.meter.started, Duration: time.Since(s.meter.started)})
	s.meter.ready = true
	s.processEndedLocked() // the process may have ended in the meantime
}

// processEndedLocked observes that the process has ended, if it has. That is the last observation.
func (s *Session) processEndedLocked() {
	if s.err != nil && s.turn == nil {
		s.processGoneLocked(s.err)
	}
}

// processGoneLocked observes the end of the process once. Another process may follow.
func (s *Session) processGoneLocked(err error) {
	if !s.meter.ready {
		return
	}
	s.meter.ready = false
	s.observeLocked(&ProcessEnded{Session: s.id, PID: s.meter.pid, Start: s.meter.started, Duration: time.Since(s.meter.started), Err: err, Exit: s.meter.exit})
}

// outcomeOf returns the outcome of a turn.
func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, ErrOutcomeUnknown):
		return OutcomeUnknown
	case errors.Is(err, ErrCancelled), errors.Is(err, ErrIdle), errors.Is(err, ErrLimit):
		return OutcomeCancelled
	}
	return OutcomeError
}

// resultLocked returns a copy of the current result, which later events do not change.
func (t *Turn) resultLocked() TurnResult {
	r := t.measuredLocked()
	r.Text = strings.Join(t.text, "")
	return r
}

// measuredLocked returns the result without the text, because joining the text takes time.
func (t *Turn) measuredLocked() TurnResult {
	r := t.result
	r.UsageByModel = maps.Clone(r.UsageByModel)
	r.Cost = t.spent.cost
	if r.Duration == 0 && t.number > 0 {
		r.Duration = time.Since(t.began)
	}
	if t.asks > 0 {
		r.Waiting += time.Since(t.askedAt)
	}
	return r
}

// askedLocked records that the turn now waits for the user.
func (r *request) askedLocked() {
	if t := r.turn; r.waitsForUser() && t != nil && !r.background {
		if t.asks++; t.asks == 1 {
			t.askedAt = r.at
		}
	}
}

// waitsForUser reports whether the request is an approval or a question.
func (r *request) waitsForUser() bool {
	switch r.asked.(type) {
	case *wireproto.ApprovalRequest, *wireproto.QuestionRequest:
		return true
	}
	return false
}

// settledLocked records that the request no longer waits.
func (r *request) settledLocked() {
	if !r.waitsForUser() {
		return
	}
	now := time.Now()
	if t := r.turn; t != nil && !r.background {
		if t.asks--; t.asks == 0 {
			t.result.Waiting += now.Sub(t.askedAt)
		}
	}
	var scope Scope
	var callID string
	approval, ok := r.asked.(*wireproto.ApprovalRequest)
	if ok {
		callID, scope.Agent = approval.ToolCallID, agentOf(approval)
	} else {
		callID = r.asked.(*wireproto.QuestionRequest).ToolCallID
	}
	a := &r.s.meter.own
	if scope.Agent != "" {
		a = r.s.meter.subagents[scope.Agent]
	}
	if a != nil {
		for i := range a.calls {
			if a.calls[i].id == callID {
				a.calls[i].waiting += now.Sub(r.at)
			}
		}
	}
	if !ok || r.s.opts.Observer == nil {
		return
	}
	if a != nil {
		scope = a.scope
	} else if approval.SubagentType != nil {
		scope.AgentType = *approval.SubagentType
	}
	scope.Session = r.s.id
	if r.turn != nil && !r.background {
		scope.Turn = r.turn.number
	}
	r.s.observeLocked(&ApprovalEnded{Scope: scope, CallID: callID, Tool: approval.Sender, Action: approval.Action,
		Start: r.at, Duration: now.Sub(r.at), Decision: r.decision})
}

// spent is the usage that limits count.
type spent struct {
	tokens, calls int
	duration      time.Duration // the time of the turns that have ended
	cost          float64
}

// add counts tokens. A negative number does not lower the count, and a huge number does not overflow it.
func (s *spent) add(u wireproto.TokenUsage, cost float64) {
	for _, n := range []int{u.InputOther, u.Output, u.InputCacheRead, u.InputCacheCreation} {
		if n = max(0, n); s.tokens > math.MaxInt-n {
			s.tokens = math.MaxInt
			continue
		}
		s.tokens += n
	}
	s.cost += cost
}
