package client

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Limits say how much one turn may use (Options.Limits), or all turns of a Session together (Options.SessionLimits).
// They count subagents as far as the agent reports them; kimi-cli does not report the usage of background agents. A
// field that is zero is no limit.
//
// If Tokens or Cost is used up, the turn is cancelled before its next step: when a step of the agent or of a subagent
// has ended and all its tool calls have their results. One tool call more than ToolCalls, or the end of Duration,
// cancels the turn at once. So a turn may use more than a limit, at most by one step of each running agent. If the last
// step of a turn reaches a limit, the turn finishes. The error of a cancelled turn is a [*LimitError], and its
// TurnResult says how far the turn came.
//
// If a limit of Options.SessionLimits is used up, the next Prompt returns the error. Only the usage of this Session
// counts, not that of an earlier Session with the same id.
type Limits struct {
	Tokens    int           // input and output tokens of all calls of models, including cached tokens
	ToolCalls int           // tool calls of the models; one call more cancels the turn
	Duration  time.Duration // from Prompt to the end of the turn, including all waiting
	Cost      float64       // the sum of what CostOf returns, in its unit; needs CostOf
	// CostOf returns the cost of tokens of a model. The model is a key of TurnResult.UsageByModel, "" if it is not
	// known. CostOf is called whenever the agent reports tokens, one call at a time. During a call, no message of the
	// agent is read, so CostOf must return soon. A negative cost, NaN, and a panic count as more than any limit.
	CostOf func(model string, u wireproto.TokenUsage) float64
}

// LimitError says which limit is used up. [errors.Is] finds [ErrLimit] in it.
type LimitError struct {
	Limit   string  `json:"limit"`   // the field, such as "Limits.Tokens" or "SessionLimits.Cost"
	Most    float64 `json:"most"`    // tokens, tool calls, seconds, or what CostOf returns
	Used    float64 `json:"used"`    // in the unit of Most
	Refused bool    `json:"refused"` // whether the prompt was not sent; if false, the turn was cancelled
}

// Error names the limit, how much was used, what happened, and what to do.
func (e *LimitError) Error() string { return "client: limit: " + e.What() + "; " + e.Hint() }

// What names the limit, how much was used, and what happened.
func (e *LimitError) What() string {
	done := "the turn was cancelled"
	if e.Refused {
		done = "the prompt was not sent"
	}
	return fmt.Sprintf("Options.%s is used up (%s of %s): %s", e.Limit, amount(e.Used), amount(e.Most), done)
}

// Hint says what to do.
func (e *LimitError) Hint() string {
	if e.session() {
		return "start a session with a higher limit, or another one"
	}
	return "prompt again to go on, or raise the limit"
}

// Unwrap returns ErrLimit.
func (e *LimitError) Unwrap() error { return ErrLimit }

func (e *LimitError) session() bool { return strings.HasPrefix(e.Limit, "Session") }

func amount(n float64) string { return strconv.FormatFloat(n, 'g', 15, 64) }

func (l *Limits) validate(name string) error {
	var errs []error
	for field, negative := range map[string]bool{"Tokens": l.Tokens < 0, "ToolCalls": l.ToolCalls < 0, "Duration": l.Duration < 0, "Cost": !(l.Cost >= 0)} {
		if negative {
			errs = append(errs, &OptionError{Option: name + "." + field, Reason: "it is negative", Remedy: "0 is no limit"})
		}
	}
	if l.Cost > 0 && l.CostOf == nil {
		errs = append(errs, &OptionError{Option: name + ".Cost", Reason: "nothing says what tokens cost", Remedy: "set " + name + ".CostOf"})
	}
	return errors.Join(errs...)
}

// usedUp returns the limit of tokens or cost that is used up. It returns nil if there is none.
func (l *Limits) usedUp(name string, s *spent) *LimitError {
	switch {
	case l.Tokens > 0 && s.tokens >= l.Tokens:
		return &LimitError{Limit: name + ".Tokens", Most: float64(l.Tokens), Used: float64(s.tokens)}
	case l.Cost > 0 && s.cost >= l.Cost:
		return &LimitError{Limit: name + ".Cost", Most: l.Cost, Used: s.cost}
	}
	return nil
}

// callsUsedUp returns the limit of tool calls if more calls than that were made. Otherwise it returns nil.
func (l *Limits) callsUsedUp(name string, s *spent) *LimitError {
	if l.ToolCalls > 0 && s.calls > l.ToolCalls {
		return &LimitError{Limit: name + ".ToolCalls", Most: float64(l.ToolCalls), Used: float64(s.calls)}
	}
	return nil
}

// usedUpLocked returns the limit that ends the turn before its next step. It returns nil if there is none.
func (s *Session) usedUpLocked() *LimitError {
	if s.turn == nil {
		return nil
	}
	return cmp.Or(s.opts.Limits.usedUp("Limits", &s.turn.spent), s.opts.SessionLimits.usedUp("SessionLimits", &s.meter.spent))
}

// callsUsedUpLocked returns the limit that ends the turn at once. It returns nil if there is none.
func (s *Session) callsUsedUpLocked() *LimitError {
	if s.turn == nil {
		return nil
	}
	return cmp.Or(s.opts.Limits.callsUsedUp("Limits", &s.turn.spent), s.opts.SessionLimits.callsUsedUp("SessionLimits", &s.meter.spent))
}

// refusedLocked returns the limit of the session that prevents another turn. It returns nil if there is none.
func (s *Session) refusedLocked() *LimitError {
	l, spent := &s.opts.SessionLimits, &s.meter.spent
	e := l.usedUp("SessionLimits", spent)
	switch {
	case e != nil:
	case l.ToolCalls > 0 && spent.calls >= l.ToolCalls:
		e = &LimitError{Limit: "SessionLimits.ToolCalls", Most: float64(l.ToolCalls), Used: float64(spent.calls)}
	case l.Duration > 0 && spent.duration >= l.Duration:
		e = &LimitError{Limit: "SessionLimits.Duration", Most: l.Duration.Seconds(), Used: spent.duration.Seconds()}
	default:
		return nil
	}
	e.Refused = true
	return e
}

// limitTime returns a timer that cancels the turn when its time is used up. It returns nil if the time is not limited.
func (t *Turn) limitTime() *time.Timer {
	s := t.s
	s.mu.Lock()
	most, name, before := s.opts.Limits.Duration, "Limits.Duration", time.Duration(0)
	if l, used := s.opts.SessionLimits.Duration, s.meter.spent.duration; l > 0 && (most == 0 || l-used < most) {
		most, name, before = l, "SessionLimits.Duration", used
	}
	s.mu.Unlock()
	if most == 0 {
		return nil
	}
	return time.AfterFunc(most-before-time.Since(t.began), func() {
		t.abort(&LimitError{Limit: name, Most: most.Seconds(), Used: (before + time.Since(t.began)).Seconds()})
	})
}

// price returns the cost of an event's tokens by Limits and by SessionLimits. The caller must hold no lock, because
// price calls code of the program.
func (s *Session) price(m wireproto.Message) (costs [2]float64) {
	of := [2]func(string, wireproto.TokenUsage) float64{s.opts.Limits.CostOf, s.opts.SessionLimits.CostOf}
	if of[0] == nil && of[1] == nil {
		return costs
	}
	u, ok := innermost(m).(*wireproto.StatusUpdate)
	if !ok || u.TokenUsage == nil {
		return costs
	}
	s.mu.Lock()
	if s.replay != nil {
		s.mu.Unlock()
		return costs
	}
	a, _ := s.agentLocked(m)
	model := a.model
	s.mu.Unlock()
	for i, costOf := range of {
		if costOf != nil {
			costs[i] = s.costOf(costOf, model, *u.TokenUsage)
		}
	}
	return costs
}

// innermost returns the event inside the SubagentEvents of m.
func innermost(m wireproto.Message) wireproto.Message {
	for {
		e, ok := m.(*wireproto.SubagentEvent)
		if !ok {
			return m
		}
		m = e.Event
	}
}

func (s *Session) costOf(costOf func(string, wireproto.TokenUsage) float64, model string, u wireproto.TokenUsage) (cost float64) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Logger.Error("client: Limits.CostOf failed", "model", model, "error", fmt.Sprintf("panic: %v", v))
			cost = math.Inf(1)
		}
	}()
	if cost = costOf(model, u); !(cost >= 0) {
		s.opts.Logger.Error("client: Limits.CostOf returns a negative number or NaN", "model", model, "cost", cost)
		cost = math.Inf(1)
	}
	return cost
}
