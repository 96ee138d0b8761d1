package translator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// hooks has the client's hooks.
type hooks struct {
	open     map[int]*hookCall // the calls that wait for a decision, by key
	matchers []*regexp.Regexp  // of the subscriptions, in their order; a nil matcher matches everything
}

// hookCall is an event for which the agent waits for the client's hooks.
type hookCall struct {
	event, target string
	since         time.Time
	left          int      // how many hooks have not decided
	ids           []string // of the requests
}

// compileHooks compiles the matchers. It returns an error for a matcher that does not compile, because its hook would
// never run.
func (t *Translator) compileHooks() error {
	for _, h := range t.client.subscriptions {
		var re *regexp.Regexp
		if h.Matcher != "" {
			var err error
			if re, err = regexp.Compile(h.Matcher); err != nil {
				return fmt.Errorf("the matcher %.80q of the hook %.40q is not a regular expression: %w", h.Matcher, h.ID, err)
			}
		}
		t.hooks.matchers = append(t.hooks.matchers, re)
	}
	return nil
}

// target returns what a hook is about: a tool, an agent, or nothing.
func target(data map[string]json.RawMessage) string {
	for _, key := range []string{"tool_name", "agent_name", "subagent_type", "notification_type"} {
		var s string
		if json.Unmarshal(data[key], &s) == nil && s != "" {
			return s
		}
	}
	return ""
}

// hookCalled asks the client's hooks that match. All of them must allow the event.
func (t *Translator) hookCalled(in HookCalled) {
	if in.Event == "SessionStart" {
		t.session.hooksOn = true
		t.do(HookReply{Key: in.Key})
		return
	}
	c := &hookCall{event: in.Event, target: t.toolName(target(in.Data)), since: t.now}
	var asked []wireproto.HookSubscription
	for i, h := range t.client.subscriptions {
		if h.Event == in.Event && (t.hooks.matchers[i] == nil || t.hooks.matchers[i].MatchString(c.target)) {
			asked = append(asked, h)
		}
	}
	if len(asked) == 0 {
		t.do(HookReply{Key: in.Key})
		return
	}
	c.left = len(asked)
	t.hooks.open[in.Key] = c
	t.emit(&wireproto.HookTriggered{Event: c.event, Target: c.target, HookCount: c.left})
	for _, h := range asked {
		id := t.newID("hook")
		c.ids = append(c.ids, id)
		req := &wireproto.HookRequest{ID: id, SubscriptionID: h.ID, Event: c.event, Target: c.target, InputData: in.Data}
		t.ask(id, "", req, t.turn == nil, func(f *wireproto.Frame) {
			var a wireproto.HookAnswer
			switch {
			case f.Error != nil, json.Unmarshal(f.Result, &a) != nil:
				t.hookDecided(in.Key, true, "the program's hook failed")
			case a.Action == wireproto.HookAllow:
				t.hookDecided(in.Key, false, "")
			default:
				t.hookDecided(in.Key, true, a.Reason)
			}
		}, func() { t.hookDecided(in.Key, true, "the turn has ended") })
	}
}

// hookDecided handles the decision of a hook. The first hook that blocks decides.
func (t *Translator) hookDecided(key int, block bool, reason string) {
	c := t.hooks.open[key]
	if c == nil {
		return
	}
	if c.left--; !block && c.left > 0 {
		return
	}
	t.closeHook(key, c)
	if block && reason == "" {
		reason = "blocked by a hook of the program"
	}
	action := wireproto.HookAllow
	if block {
		action = wireproto.HookBlock
	}
	t.emit(&wireproto.HookResolved{
		Event: c.event, Target: c.target, Action: action, Reason: reason, DurationMS: int(t.now.Sub(c.since).Milliseconds()),
	})
	t.do(HookReply{key, block, reason})
}

// closeHook forgets a call of hooks and its open requests.
func (t *Translator) closeHook(key int, c *hookCall) {
	delete(t.hooks.open, key)
	for id := range t.requests.open {
		if slices.Contains(c.ids, id) {
			delete(t.requests.open, id)
		}
	}
}

// hookGone forgets a call of hooks that the agent does not wait for any more.
func (t *Translator) hookGone(key int) {
	if c := t.hooks.open[key]; c != nil {
		t.closeHook(key, c)
	}
}
