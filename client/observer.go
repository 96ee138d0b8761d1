package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Observer receives what happens in a session: turns, steps, tool calls, approvals, retries, and the start and end of
// the process, with their times, tokens and outcomes.
//
// A session calls Observe from one goroutine at a time, once for each observation, in the order of the events. The
// goroutine belongs to the session and holds no lock, so Observe may call the session's methods. A slow Observe does
// not slow down the session: up to 4,096 observations wait for it. Later ones are dropped, and the log says so. A panic
// is recovered and logged. The loop over a turn, and Result, end after the observations of the turn, unless Observe
// takes more than 200 ms for them. Close waits until everything is observed, at most for Options.StopGrace. After
// Close, Observe is not called.
//
// Several sessions may share an Observer. They may call it at the same time.
type Observer interface {
	Observe(Observation)
}

// Observation is one of [*TurnStarted], [*StepStarted], [*StepEnded], [*ToolStarted], [*ToolEnded], [*ApprovalEnded],
// [*Retried], [*TurnEnded], [*ProcessStarted] and [*ProcessEnded]. Only TurnStarted.Prompt and TurnEnded.Text contain
// text of the conversation. The Observer may keep and change the value.
type Observation interface{ observation() }

// Scope says to which turn and agent an observation belongs.
type Scope struct {
	Session string // the value of Session.ID
	// Turn is the number of the turn in its Session, from 1. It is 0 for events outside of turns, such as the steps
	// of a background agent.
	Turn int
	// Agent is the id of the subagent, "" for the session's own agent.
	Agent      string
	AgentType  string // the type of the subagent, such as "coder"
	ParentCall string // the id of the tool call that started the subagent
}

// Outcome says how a turn, a step or a tool call ended.
type Outcome string

// The outcomes.
const (
	OutcomeOK        Outcome = "ok"
	OutcomeError     Outcome = "error"
	OutcomeCancelled Outcome = "cancelled" // the turn was cancelled before the end
	OutcomeUnknown   Outcome = "unknown"   // the agent has not reported the outcome
)

// TurnStarted says that a turn of [Session.Prompt] or [Session.Queue] has begun.
type TurnStarted struct {
	Scope
	Start  time.Time
	Model  string // the value of Session.Model; "" if only kimi knows the model
	Prompt wireproto.Content
	// Context is the ctx of Prompt. It carries values such as the caller's span.
	Context context.Context
}

// TurnEnded says that the agent has ended a turn. It is the last observation of the turn. If the ctx of the turn has
// ended, the turn may have ended earlier for the caller.
type TurnEnded struct {
	Scope
	Start    time.Time
	Duration time.Duration
	Model    string
	Result   *TurnResult // without the Text
	Err      error       // the error that Turn.Result returns
	Outcome  Outcome

	text []string
}

// Text returns the text of the last assistant message, which is TurnResult.Text. Each call joins the text again.
func (o *TurnEnded) Text() string { return strings.Join(o.text, "") }

// StepStarted says that an agent calls its model.
type StepStarted struct {
	Scope
	Step  int // counted by the agent: from 1 in each turn, or in each run of a subagent
	Start time.Time
	Model string // "" if it is not known; see TurnResult.UsageByModel
}

// StepEnded says that a step has ended. A step is a call of the model and the tool calls that the model makes in it.
type StepEnded struct {
	Scope
	Step       int
	Start      time.Time
	Duration   time.Duration
	FirstToken time.Duration // from the start to the first part of text or thinking; 0 if there was none
	Answer     time.Duration // from the start until the message of the model was complete
	Model      string
	Usage      wireproto.TokenUsage // zero if the provider does not report it
	Outcome    Outcome
}

// ToolStarted says that the model has begun to write a tool call.
type ToolStarted struct {
	Scope
	Step   int
	CallID string // the model's id; it may occur again
	Tool   string
	Start  time.Time
}

// ToolEnded says that a tool call has its result, or that it will get none.
type ToolEnded struct {
	Scope
	Step     int
	CallID   string
	Tool     string
	Start    time.Time
	Duration time.Duration // from the call to the result
	Waiting  time.Duration // the part of Duration in which it waited for the user's answer
	Outcome  Outcome       // OutcomeError if the tool reports an error, and also if the call was rejected
}

// ApprovalEnded says that a request for approval no longer needs an answer.
type ApprovalEnded struct {
	Scope
	CallID   string // the id of the tool call
	Tool     string
	Action   string // the value of ApprovalRequest.Action
	Start    time.Time
	Duration time.Duration
	Decision wireproto.ApprovalDecision // "" if there was none, such as if the turn ended before it
}

// Retried says that a call of the model has failed and that the agent tries again.
type Retried struct {
	Scope
	Step        int
	At          time.Time     // when the call failed
	Attempt     int           // the number of the next attempt; the first call was attempt 1
	MaxAttempts int           // the largest number of attempts
	Wait        time.Duration // the time until the next attempt
	ErrorType   string        // the agent's name for the error, such as "APIStatusError"
	StatusCode  int           // the HTTP status; 0 if there was none
}

// ProcessStarted says that the agent runs and has made its handshake. A start that fails is not observed; NewSession
// returns its error.
type ProcessStarted struct {
	Session  string
	PID      int // 0 if the agent is not a process
	Backend  Backend
	Version  string // the version of kimi
	Model    string
	Start    time.Time
	Duration time.Duration // how long the start took
}

// ProcessEnded says that the agent has ended. After the last ProcessEnded there are no observations.
type ProcessEnded struct {
	Session  string
	PID      int
	Start    time.Time
	Duration time.Duration // from the start to the end
	Err      error         // the value of Session.Err, which is ErrClosed after Close; nil if another process follows (see Session.SetModel and Options.Restart)
	Exit     error         // how the agent ended, a *ProcessError for a process; nil after Session.SetModel
}

func (*TurnStarted) observation()    {}
func (*TurnEnded) observation()      {}
func (*StepStarted) observation()    {}
func (*StepEnded) observation()      {}
func (*ToolStarted) observation()    {}
func (*ToolEnded) observation()      {}
func (*ApprovalEnded) observation()  {}
func (*Retried) observation()        {}
func (*ProcessStarted) observation() {}
func (*ProcessEnded) observation()   {}

const (
	// maxObservations is how many observations may wait for a slow Observer.
	maxObservations = 4096
	// observeGrace is how long the end of a turn waits for the Observer. After the end of a ctx, a turn must end within
	// a second. observeGrace and heldFor together are less than that.
	observeGrace = 200 * time.Millisecond
)

// watch holds the observations that wait for Options.Observer. The session's mu guards it.
type watch struct {
	queue     []Observation
	lost      int
	serving   bool   // a goroutine calls Observe
	goroutine uint64 // the number of that goroutine
	over      bool   // Close has returned
	quiet     chan struct{}
}

// observeLocked queues an observation for the Observer, which must not be nil. A goroutine that exists only while
// observations wait calls Observe, because the reader never runs the program's code.
func (s *Session) observeLocked(o Observation) {
	w := &s.watch
	switch {
	case w.over:
		return
	case len(w.queue) >= maxObservations:
		w.lost++
		return
	}
	w.queue = append(w.queue, o)
	if !w.serving {
		w.serving = true
		go s.serveObserver()
	}
}

// serveObserver calls Observe until no observation waits. If Observe ends the goroutine, another goroutine continues.
func (s *Session) serveObserver() {
	over := false
	defer func() {
		if !over {
			s.opts.Logger.Error("client: Observer failed", "error", errGoexit)
			go s.serveObserver()
		}
	}()
	id := goroutineID()
	for {
		s.mu.Lock()
		w := &s.watch
		w.goroutine = id
		if len(w.queue) == 0 {
			w.serving, w.queue, over = false, nil, true
			if w.quiet != nil {
				close(w.quiet)
				w.quiet = nil
			}
			s.mu.Unlock()
			return
		}
		next, lost := w.queue[0], w.lost
		w.queue[0], w.queue, w.lost = nil, w.queue[1:], 0
		s.mu.Unlock()
		if lost > 0 {
			s.opts.Logger.Warn("client: Observer is too slow, so observations are dropped", "observations", lost)
		}
		s.observe(next)
	}
}

func (s *Session) observe(o Observation) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Logger.Error("client: Observer failed", "observation", fmt.Sprintf("%T", o), "error", fmt.Sprintf("panic: %v", v))
		}
	}()
	s.opts.Observer.Observe(o)
}

// waitObserver waits until the Observer has all observations, at most for the given time. It reports whether the
// Observer has them all. If the Observer itself is the caller, waitObserver does not wait.
func (s *Session) waitObserver(most time.Duration) bool {
	if s.opts.Observer == nil {
		return true
	}
	s.mu.Lock()
	w := &s.watch
	if !w.serving || w.insideLocked() {
		s.mu.Unlock()
		return true
	}
	if w.quiet == nil {
		w.quiet = make(chan struct{})
	}
	quiet := w.quiet
	s.mu.Unlock()
	return waitOr(quiet, max(0, most))
}

// insideLocked reports whether the caller runs within Observe.
func (w *watch) insideLocked() bool { return w.serving && w.goroutine == goroutineID() }

// endObserver waits until the Observer has all observations, at most until the deadline. After that, Observe is not
// called any more. But if the Observer itself closes the session, it gets the rest of the observations when it has
// returned.
func (s *Session) endObserver(deadline time.Time) error {
	had := s.waitObserver(time.Until(deadline))
	s.mu.Lock()
	if !s.watch.insideLocked() {
		s.watch.over, s.watch.queue = true, nil
	}
	s.mu.Unlock()
	if !had {
		return fmt.Errorf("client: close: Observer has not returned after Options.StopGrace (%v); Observe must return soon", s.opts.StopGrace)
	}
	return nil
}
