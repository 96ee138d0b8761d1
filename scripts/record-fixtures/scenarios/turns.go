package scenarios

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// cancelAt returns a function that cancels the turn at the first message for which at returns true.
func (p *Play) cancelAt(at func(wireproto.Message) bool) func(*client.Turn, wireproto.Message) {
	done := false
	return func(turn *client.Turn, m wireproto.Message) {
		if !done && at(m) {
			done = true
			p.NoError(turn.Cancel(p.Ctx))
		}
	}
}

func is[M wireproto.Message](m wireproto.Message) bool {
	_, ok := m.(M)
	return ok
}

func turnScenarios() []Scenario {
	return []Scenario{
		{
			Name: "cancel-streaming", Shows: "a turn cancelled while the model streams; the session goes on",
			Prepare: func(_ context.Context, r *Rig) error {
				first := true
				return r.Model(config.Provider{APIKey: "none"}, func(w http.ResponseWriter, req *http.Request) {
					stream(w, "once upon")
					if first {
						first = false
						select { // until kimi closes the connection
						case <-req.Context().Done():
						case <-r.Done.Done():
						}
						return
					}
					finish(w)
				})
			},
			Run: func(p *Play) {
				list := p.Ends(client.ErrCancelled, "Tell a story", p.cancelAt(is[*wireproto.TextPart]))
				p.Order(list, "TurnBegin StepBegin ContentPart TurnEnd")
				p.Without(list, "StepInterrupted")
				p.Says(p.Turn("Again", nil), "once upon")
			},
		},
		{
			Name: "cancel-approval", Shows: "a turn cancelled while a request waits; kimi then rejects the request",
			Scripts: []string{shell("s1", "echo 1"), "text: Fine."},
			Run: func(p *Play) {
				list := p.Ends(client.ErrCancelled, "Run", p.cancelAt(is[*client.ApprovalRequest]))
				p.Order(list, "ApprovalRequest TurnEnd ApprovalResponse")
				p.Without(list, "ToolResult")
				p.Says(p.Turn("And now?", nil), "Fine.")
			},
		},
		{
			Name: "cancel-tool", Shows: "a turn cancelled while a Go tool runs: no result comes after that",
			Scripts: []string{call("w1", "wait", word{"long"}), "text: Fine."},
			Options: func(p *Play) { p.Options.Tools = []client.Tool{p.waiting()} },
			Run: func(p *Play) {
				list := p.Ends(client.ErrCancelled, "Wait", p.cancelAt(p.waits))
				p.release()
				p.Order(list, "ToolCallRequest TurnEnd")
				p.Without(list, "ToolResult")
				p.Says(p.Turn("And now?", nil), "Fine.")
			},
		},
		{
			Name: "cancel-question", Shows: "a turn cancelled while a question waits: no event says so",
			Scripts: []string{ask("q1"), "text: Fine."},
			Options: func(p *Play) { p.Options.SupportsQuestion = true },
			Run: func(p *Play) {
				list := p.Ends(client.ErrCancelled, "Ask", p.cancelAt(is[*client.QuestionRequest]))
				p.Order(list, "QuestionRequest TurnEnd")
				p.Says(p.Turn("And now?", nil), "Fine.")
			},
		},
		{
			Name: "cancel-shell", Shows: "a turn cancelled by leaving the loop while a shell command runs",
			Scripts: []string{shell("s1", "sleep 30"), "text: Fine."},
			Options: yolo,
			Run: func(p *Play) {
				turn, err := p.Session.Prompt(p.Ctx, "Sleep")
				if err != nil {
					p.NoError(err)
					return
				}
				for m := range turn.Messages() {
					if is[*wireproto.StatusUpdate](m) {
						break
					}
				}
				result, _ := turn.Result()
				p.Check(result.Status == wireproto.StatusCancelled, "status", result)
				p.Says(p.Turn("And now?", nil), "Fine.")
			},
		},
		{
			Name: "max-steps", Shows: "a turn that reaches the limit of steps",
			Scripts: []string{call("t1", "SetTodoList", map[string]any{"todos": []any{}}), "text: Too late."},
			Options: func(p *Play) { p.Options.MaxStepsPerTurn = 1 },
			Run: func(p *Play) {
				list := p.Ends(client.ErrMaxSteps, "Work", nil)
				p.Order(list, "StepBegin ToolCall ToolResult TurnEnd")
				p.Without(list, "StepInterrupted")
			},
		},
		{
			Name: "crash", Shows: "kimi killed in the middle of a turn (SIGKILL)",
			Scripts: []string{shell("s1", "echo 1")},
			Run: func(p *Play) {
				turn, err := p.Session.Prompt(p.Ctx, "Run")
				if err != nil {
					p.NoError(err)
					return
				}
				for m := range turn.Messages() {
					a, ok := m.(*client.ApprovalRequest)
					if !ok {
						continue
					}
					a.Hold()
					if pid := p.Session.PID(); pid != 0 { // 0 in a replay, which ends by itself
						agent, err := os.FindProcess(pid)
						p.NoError(err)
						p.NoError(agent.Kill())
					}
				}
				_, err = turn.Result()
				p.Check(err != nil && strings.Contains(err.Error(), "killed"), "the turn's error", err)
			},
		},
		{
			Name: "noise", Shows: "lines on kimi's standard output that are not part of the protocol (KIMI_SCRIPTED_ECHO_TRACE=1)",
			Scripts: []string{"text: a", "text: b"},
			Prepare: func(_ context.Context, r *Rig) error {
				r.Options.Env["KIMI_SCRIPTED_ECHO_TRACE"] = "1"
				return nil
			},
			Run: func(p *Play) {
				p.Says(p.Turn("one", nil), "a")
				p.Says(p.Turn("two", nil), "b")
			},
		},
		{
			Name: "slash-commands", Shows: "prompts that are commands: /clear, /plan, /yolo, and a command that does not exist",
			Options: func(p *Play) { p.Options.SlashCommands = true },
			Run: func(p *Play) {
				commands := p.Session.Server().SlashCommands
				p.Check(slices.ContainsFunc(commands, func(c wireproto.SlashCommand) bool { return c.Name == "clear" }), "commands", commands)
				p.Order(p.Turn("/clear", nil), "TurnBegin ContentPart StatusUpdate TurnEnd")
				p.Turn("/plan on", nil)
				p.Check(p.Session.Status().PlanMode, "plan mode is on")
				p.Turn("/plan off", nil)
				p.Check(strings.Contains(p.Turn("/yolo", nil).text(), "auto-approved"), "yolo")
				list := p.Turn("/btw", nil, &wireproto.TextPart{Text: " what is this?"})
				p.Check(strings.Contains(list.text(), "Unknown slash command"), "unknown", list.text())
				p.Without(list, "StepBegin BtwBegin")
			},
		},
		{
			Name: "compact", Shows: "/compact, with its hooks PreCompact and PostCompact",
			Scripts: []string{"text: A long story.\nusage: input_other=1000 output=10", "text: And on.", "text: Summary: stories.\nusage: input_other=900 output=5", "text: Still here."},
			Options: func(p *Play) {
				p.Options.SlashCommands = true
				p.Options.Hooks = []client.Hook{hook("PreCompact", "", allow), hook("PostCompact", "", allow)}
			},
			Run: func(p *Play) {
				p.Turn("Tell a story", nil)
				p.Turn("Go on", nil)
				list := p.Turn("/compact", nil)
				p.Order(list, "TurnBegin CompactionBegin CompactionEnd ContentPart TurnEnd")
				p.Says(p.Turn("And?", nil), "Still here.")
			},
		},
		{
			Name: "compact-auto", Shows: "a context that is full: kimi compacts it within a step; then a compaction that fails: it has no CompactionEnd",
			Scripts: []string{
				"text: A long story.\nusage: input_other=95000 output=10", "text: Summary: a story.", "text: And on.\nusage: input_other=96000 output=10",
				"error: 400 too long",
			},
			Run: func(p *Play) {
				p.Turn("Tell a story", nil)
				p.Order(p.Turn("Go on", nil), "TurnBegin StepBegin CompactionBegin CompactionEnd ContentPart TurnEnd")
				list := p.Ends(client.ErrProvider, "And?", nil)
				p.Order(list, "StepBegin CompactionBegin StepInterrupted TurnEnd")
				p.Without(list, "CompactionEnd")
			},
		},
	}
}
