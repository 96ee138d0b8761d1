package scenarios

import (
	"context"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// hook returns a hook for an event. decide makes its decisions.
func hook(event, matcher string, decide func(*wireproto.HookRequest) client.HookDecision) client.Hook {
	return client.Hook{Event: event, Matcher: matcher, Handle: func(_ context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
		return decide(r), nil
	}}
}

func allow(*wireproto.HookRequest) client.HookDecision { return client.Allow() }

func block(reason string) func(*wireproto.HookRequest) client.HookDecision {
	return func(*wireproto.HookRequest) client.HookDecision { return client.Block(reason) }
}

// resolved returns the decisions of hooks about an event that the agent reports.
func resolved(list Messages, event string) (actions []wireproto.HookAction) {
	for _, h := range only[*wireproto.HookResolved](list) {
		if h.Event == event {
			actions = append(actions, h.Action)
		}
	}
	return actions
}

func hookScenarios() []Scenario {
	return []Scenario{
		{
			Name: "hooks", Shows: "hooks that allow: UserPromptSubmit, PreToolUse, PostToolUse (also after a failure), Stop",
			Scripts: []string{lines(shell("s1", "echo 1"), shell("s2", "exit 3")), shell("s3", "sleep 0.3"), "text: Done."},
			Options: func(p *Play) {
				p.Options.Yolo = true
				for _, event := range []string{"UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"} {
					p.Options.Hooks = append(p.Options.Hooks, hook(event, "", allow))
				}
			},
			Run: func(p *Play) {
				list := p.Turn("Run", nil)
				p.Order(list, "HookTriggered HookRequest HookResolved TurnBegin ToolCall HookTriggered HookRequest HookResolved ToolResult TurnEnd")
				events := make(map[string]bool)
				for _, r := range only[*wireproto.HookRequest](list) {
					events[r.Event] = true
				}
				p.Check(len(events) == 4, "all events asked", events)
			},
		},
		{
			Name: "hook-block-tool", Shows: "a PreToolUse hook of the program that blocks one of two tool calls",
			Scripts: []string{lines(shell("s1", "echo 1"), shell("s2", "rm -r .")), "text: Half done."},
			Options: func(p *Play) {
				p.Options.Yolo = true
				p.Options.Hooks = []client.Hook{hook("PreToolUse", "Shell", func(r *wireproto.HookRequest) client.HookDecision {
					if strings.Contains(string(r.InputData["tool_input"]), "rm -r") {
						return client.Block("nothing is removed here")
					}
					return client.Allow()
				})}
			},
			Run: func(p *Play) {
				list := p.Turn("Run", nil)
				p.Result(list, "s1", false, "1")
				p.Result(list, "s2", true, "nothing is removed here")
			},
		},
		{
			Name: "hook-block-prompt", Shows: "a UserPromptSubmit hook that blocks the prompt: a turn without a step",
			Options: func(p *Play) {
				p.Options.Hooks = []client.Hook{hook("UserPromptSubmit", "", block("not today"))}
			},
			Run: func(p *Play) {
				list := p.Turn("Anything", nil)
				p.Order(list, "HookRequest HookResolved TurnBegin ContentPart TurnEnd")
				p.Without(list, "StepBegin")
				p.Says(list, "not today")
			},
		},
		{
			Name: "hook-block-stop", Shows: "a Stop hook that blocks: another round in the same turn, whose steps start at 1 again",
			Scripts: []string{"text: Done.", "text: Tested too."},
			Options: func(p *Play) {
				first := true
				p.Options.Hooks = []client.Hook{hook("Stop", "", func(*wireproto.HookRequest) client.HookDecision {
					if first {
						first = false
						return client.Block("run the tests")
					}
					return client.Allow()
				})}
			},
			Run: func(p *Play) {
				list := p.Turn("Work", nil)
				steps := only[*wireproto.StepBegin](list)
				p.Check(len(steps) == 2 && steps[1].N == 1, "two first steps", list.types())
				p.Check(len(resolved(list, "Stop")) > 0 && resolved(list, "Stop")[0] == wireproto.HookBlock, "blocked")
			},
		},
		{
			Name: "hook-shell", Shows: "hooks of the configuration, which are shell commands: one blocks with exit status 2; one fails and has no effect",
			Scripts: []string{shell("s1", "echo 1"), call("t1", "SetTodoList", map[string]any{"todos": []any{}}), "text: Done."},
			Prepare: func(_ context.Context, r *Rig) error {
				r.Options.Config.Hooks = []config.Hook{
					{Event: config.HookPreToolUse, Matcher: "Shell", Command: "echo 'no shell' >&2; exit 2"},
					{Event: config.HookPreToolUse, Matcher: "SetTodoList", Command: "exit 1"},
				}
				return nil
			},
			Options: yolo,
			Run: func(p *Play) {
				p.Check(p.Session.Server().Hooks.Configured["PreToolUse"] == 2, "configured", p.Session.Server().Hooks)
				list := p.Turn("Run", nil)
				p.Without(list, "HookRequest")
				p.Result(list, "s1", true, "no shell")
				p.Result(list, "t1", false, "")
			},
		},
	}
}
