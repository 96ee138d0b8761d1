package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Hook decides about actions of the agent, such as every call of a tool (PreToolUse). It fails closed: if Handle
// returns an error, panics or takes too long, the action is blocked. This library matches the expressions itself,
// because the agent drops a hook whose expression it cannot compile. So the agent asks about each event, and the
// library allows at once every event that no hook matches. Options.Validate refuses an expression that Go does not
// support, such as a lookahead of Python.
//
// kimi-cli 1.51 runs no hooks for background agents (subagents/runner.py passes hooks only to those in the foreground).
// For background agents, approvals are the only protection.
type Hook struct {
	ID      string        // "" means that the library makes one
	Event   string        // one of Session.Server().Hooks.SupportedEvents, except SessionStart and SessionEnd, which kimi never sends
	Matcher string        // regular expression of Go (RE2, [regexp/syntax]), searched in the target, such as the name of the tool; "" matches every target
	Timeout time.Duration // how long Handle may take; 0 means 30 s
	// Handle decides. Its ctx ends after Timeout, at the end of the turn, and with Close.
	Handle func(ctx context.Context, r *wireproto.HookRequest) (HookDecision, error)
}

// HookDecision is the decision of a hook: [Allow] or [Block]. The zero value blocks.
type HookDecision struct {
	allow  bool
	reason string
}

// Allow lets the agent do the action.
func Allow() HookDecision { return HookDecision{allow: true} }

// Block prevents the action. The model reads the reason.
func Block(reason string) HookDecision { return HookDecision{reason: reason} }

const (
	defaultHookTimeout = 30 * time.Second
	// wireHookTimeout is the time limit, in seconds, that kimi gets for a hook. After that time, kimi allows the
	// action. So it must be longer than Timeout together with the time for which the request may wait for a slow loop.
	wireHookTimeout = 24 * 60 * 60
)

func hookID(i int, h Hook) string {
	if h.ID != "" {
		return h.ID
	}
	return "hook-" + strconv.Itoa(i)
}

func subscriptions(hooks []Hook) []wireproto.HookSubscription {
	var subs []wireproto.HookSubscription
	for i, h := range hooks {
		subs = append(subs, wireproto.HookSubscription{ID: hookID(i, h), Event: h.Event, Timeout: wireHookTimeout})
	}
	return subs
}

// matches reports whether h must decide about a target.
func (h Hook) matches(target string) (bool, error) {
	if h.Matcher == "" {
		return true, nil
	}
	return regexp.MatchString(h.Matcher, target)
}

// runHook lets the hook decide. If there is no such hook, it blocks the action.
func (s *Session) runHook(r *request, req *wireproto.HookRequest) {
	for i, h := range s.opts.Hooks {
		if hookID(i, h) != req.SubscriptionID {
			continue
		}
		switch match, err := h.matches(unmarked(req.Target)); { // the target of UserPromptSubmit is the prompt
		case err != nil: // cannot happen, because Validate has compiled the expression
			s.answerHook(r, req, Block("the hook has no valid matcher"))
		case match:
			s.decide(r, h, req)
		default:
			s.answerHook(r, req, Allow())
		}
		return
	}
	s.answerHook(r, req, Block(fmt.Sprintf("no hook has the id %q", req.SubscriptionID)))
}

// decide calls the hook and sends its decision. If the hook takes too long, decide blocks the action.
func (s *Session) decide(r *request, h Hook, req *wireproto.HookRequest) {
	timeout := h.Timeout
	if timeout == 0 {
		timeout = defaultHookTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, timeout)
	inTime := context.AfterFunc(ctx, func() {
		s.answerHook(r, req, Block(fmt.Sprintf("the hook did not decide: %v", context.Cause(ctx))))
	})
	var d HookDecision
	s.guard(ctx, "hook "+h.Event, func() (err error) { d, err = h.Handle(ctx, req); return err }, func(err error) {
		switch {
		case errors.Is(err, errNotStarted):
			d = Block(err.Error())
		case err != nil:
			s.opts.Logger.Error("client: hook failed", "event", req.Event, "target", req.Target, "error", err)
			d = Block("the hook failed: " + err.Error())
		case ctx.Err() != nil: // a decision after the time limit does not count
			d = Block(fmt.Sprintf("the hook did not decide: %v", context.Cause(ctx)))
		}
		if inTime() {
			s.answerHook(r, req, d)
		}
		cancel()
	})
}

// answerHook always sends an explicit decision, because kimi allows the action unless the answer is an explicit block.
func (s *Session) answerHook(r *request, req *wireproto.HookRequest, d HookDecision) {
	answer := wireproto.HookAnswer{RequestID: req.ID, Action: wireproto.HookAllow}
	if !d.allow {
		answer.Action, answer.Reason = wireproto.HookBlock, d.reason
		if answer.Reason == "" {
			answer.Reason = "blocked by a hook of the program"
		}
	}
	if err := r.answer(&answer); err != nil {
		s.opts.Logger.Info("client: the decision of a hook came too late", "event", req.Event, "error", err)
	}
}
