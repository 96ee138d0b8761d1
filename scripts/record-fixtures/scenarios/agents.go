package scenarios

import (
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// delegate returns the script line of a call that gives a task to a subagent. The subagent uses the model "sub".
func delegate(id string, background bool) string {
	return call(id, "Agent", map[string]any{
		"description": "echo something", "prompt": "Run echo", "model": "sub", "run_in_background": background,
	})
}

// look is the tool call of a step that needs no approval. The turn of the main agent ends before this step.
var look = call("r0", "ReadFile", map[string]string{"path": "nothing.txt"})

// longAnswer is long enough as a summary of a subagent. kimi asks for a longer one if it is too short.
var longAnswer = "text: " + strings.Repeat("The subagent has run the command and it has printed one line. ", 5)

func agentScenarios() []Scenario {
	return []Scenario{
		{
			Name: "subagent", Shows: "a subagent: SubagentEvents, a request for approval that is not in a SubagentEvent, the hooks SubagentStart and SubagentStop",
			Scripts: []string{delegate("a1", false), "text: It is done."},
			Sub:     []string{lines("think: easy", shell("s1", "echo sub"), "usage: input_other=3 output=4"), longAnswer},
			Options: func(p *Play) {
				p.Options.Hooks = []client.Hook{hook("SubagentStart", "", allow), hook("SubagentStop", "", allow)}
			},
			Run: func(p *Play) {
				list := p.Turn("Delegate", p.answering(approve))
				a := one[client.ApprovalRequest](p, list)
				p.Check(a.AgentID != nil && a.SubagentType != nil && *a.SubagentType == "coder", "approval", a.ApprovalRequest)
				inner := make(map[string]bool)
				for _, e := range only[*wireproto.SubagentEvent](list) {
					inner[e.Event.MessageType()] = true
				}
				for _, name := range []string{"StepBegin", "ContentPart", "ToolCall", "ToolResult", "StatusUpdate"} {
					p.Check(inner[name], "within the subagent: "+name, inner)
				}
				p.Result(list, "a1", false, "printed one line")
				p.Says(list, "It is done.")
				p.Check(p.Session.Status().Usage.Output == 4, "the subagent's usage counts", p.Session.Status())
			},
		},
		{
			Name: "background-task", Shows: "three background tasks; one fails and one takes too long: their display blocks, and Notifications in the same turn that say how they ended",
			Scripts: []string{
				lines(call("b1", "Shell", map[string]any{"command": "echo done", "run_in_background": true, "description": "say done"}),
					call("b2", "Shell", map[string]any{"command": "exit 3", "run_in_background": true, "description": "fail"}),
					call("b3", "Shell", map[string]any{"command": "sleep 9", "run_in_background": true, "description": "oversleep", "timeout": 1})),
				shell("s1", "sleep 5"), "text: It has ended."},
			Options: func(p *Play) {
				p.Options.Yolo = true
				p.Options.Hooks = []client.Hook{hook("Notification", "", allow)}
			},
			Run: func(p *Play) {
				list := p.Turn("Run it in the background", nil)
				var task *wireproto.BackgroundTaskDisplayBlock
				for _, b := range p.Result(list, "b1", false, "").Display {
					if b, ok := b.(*wireproto.BackgroundTaskDisplayBlock); ok {
						task = b
					}
				}
				p.Check(task != nil && task.Kind == "bash", "a block of the task", list.types())
				types := make(map[string]string)
				for _, n := range only[*wireproto.Notification](list) {
					types[n.Type] = n.Severity
				}
				p.Check(len(types) == 3 && types["task.completed"] == "success" && types["task.failed"] == "error" && types["task.timed_out"] == "error", "notifications", types)
			},
		},
		{
			Name: "background-agent", Shows: "a background agent that asks for an approval while no turn runs; a Notification in the next turn says that it has ended",
			Scripts: []string{delegate("a1", true), "text: It has started.", shell("s2", "sleep 3"), "text: It has ended."},
			Sub:     []string{look, look, look, look, shell("s1", "echo sub"), longAnswer},
			Options: func(p *Play) {
				outside := make(chan *client.ApprovalRequest, 1)
				p.outside = outside
				p.Options.OnMessage = func(m wireproto.Message) {
					if a, ok := m.(*client.ApprovalRequest); ok {
						a.Hold()
						outside <- a
					}
				}
			},
			Run: func(p *Play) {
				list := p.Turn("Delegate", p.answering(approve))
				p.Without(list, "ApprovalRequest")
				select {
				case a := <-p.outside:
					p.Check(a.SourceKind != nil && *a.SourceKind == "background_agent", "source", a.ApprovalRequest)
					p.NoError(a.Approve())
				case <-p.Ctx.Done():
					p.Fail("no approval was asked outside a turn")
					return
				}
				list = p.Turn("Wait for it", p.answering(approve))
				n := one[wireproto.Notification](p, list)
				p.Check(n.SourceKind == "background_task", "notification", n)
			},
		},
	}
}
