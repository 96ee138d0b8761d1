package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// KimiCodeKey names the environment variable with the path of Kimi Code. The scenarios of the bridge cannot be recorded
// without it.
const KimiCodeKey = "KIMI_CODE_PATH"

// ErrNoKimiCode is the error if KimiCodeKey is not set.
var ErrNoKimiCode = errors.New("set " + KimiCodeKey + " to the kimi of @moonshot-ai/kimi-code 2.1.0")

// film is a video without any picture.
const film = "data:video/mp4;base64,AAAAIGZ0eXBpc29tAAACAGlzb21pc28yYXZjMW1wNDE="

// bash returns the script line of a call of Kimi Code's shell.
func bash(id, command string) string { return call(id, "Bash", map[string]string{"command": command}) }

// kimiCodeScenarios are the scenarios of the bridge: Kimi Code 2.1.0 as a Wire agent.
func kimiCodeScenarios() []Scenario {
	list := []Scenario{
		{
			Name: "code-hello", Shows: "thinking, text, token usage and how full the context is",
			Scripts: []string{lines("think: They greet me.", "text: Hello,", "text:  world!", "usage: input_other=7 output=3 input_cache_read=5")},
			Run: func(p *Play) {
				p.Check(strings.HasPrefix(p.Session.ID(), "session_"), "id", p.Session.ID())
				p.Check(p.Session.Server().Bridge != nil, "bridge", p.Session.Server())
				list := p.Turn("Say hello", nil)
				p.Order(list, "TurnBegin StepBegin ContentPart ContentPart StatusUpdate TurnEnd")
				p.Says(list, "Hello, world!")
				p.Check(p.Session.Status().Usage.Output == 3 && p.Session.Status().MaxContextTokens > 0, "status", p.Session.Status())
			},
		},
		{
			Name: "code-approve", Shows: "requests: one approved once, one approved for the session, and the same call again, about which Kimi Code does not ask",
			Scripts: []string{bash("s1", "echo 1"), bash("s2", "echo 2"), bash("s3", "echo 2"), "text: Done."},
			Run: func(p *Play) {
				n := 0
				list := p.Turn("Run echoes", p.answering(func(a *client.ApprovalRequest) error {
					if n++; n == 2 {
						return a.ApproveForSession()
					}
					return a.Approve()
				}))
				p.Order(list, "ToolCall ApprovalRequest ApprovalResponse ToolResult StepBegin ToolCall ApprovalRequest ApprovalResponse ToolResult StepBegin ToolCall ToolResult")
				p.Check(n == 2, "two requests", n)
				for _, a := range only[*client.ApprovalRequest](list) {
					_, ok := a.Display[0].(*wireproto.ShellDisplayBlock)
					p.Check(ok, "a shell block", a.ApprovalRequest)
				}
				p.Result(list, "s3", false, "2")
			},
		},
		{
			Name: "code-reject", Shows: "requests: one rejected with feedback, which the model reads, and one without an answer; the turn goes on",
			Scripts: []string{bash("s1", "echo 1"), bash("s2", "echo 2"), "text: Sorry."},
			Run: func(p *Play) {
				n := 0
				list := p.Turn("Run echoes", p.answering(func(a *client.ApprovalRequest) error {
					if n++; n == 1 {
						return a.Reject("not now")
					}
					return nil
				}))
				d := decisions(list)
				p.Check(len(d) == 2 && d[0] == wireproto.Reject && d[1] == wireproto.Reject, "decisions", d)
				p.Result(list, "s1", true, "not now")
				p.Result(list, "s2", true, "")
				p.Says(list, "Sorry.")
			},
		},
		{
			Name: "code-files", Shows: "a file written and changed, with its diffs, and a todo list",
			Scripts: []string{
				call("w1", "Write", map[string]string{"path": "a.txt", "content": "hello\n"}),
				call("e1", "Edit", map[string]string{"path": "a.txt", "old_string": "hello", "new_string": "bye"}),
				call("t1", "TodoList", map[string]any{"todos": []any{map[string]string{"title": "one", "status": "done"}, map[string]string{"title": "two", "status": "in_progress"}}}),
				"text: Done."},
			Run: func(p *Play) {
				list := p.Turn("Write", p.answering(approve))
				for _, a := range only[*client.ApprovalRequest](list) {
					diff, ok := a.Display[0].(*wireproto.DiffDisplayBlock)
					p.Check(ok && strings.HasSuffix(diff.Path, "a.txt") && diff.NewText != "", "a diff", a.ApprovalRequest)
				}
				r := p.Result(list, "e1", false, "")
				diff, ok := r.Display[0].(*wireproto.DiffDisplayBlock)
				p.Check(ok && diff.OldText == "hello" && diff.NewText == "bye", "the result's diff", r)
				r = p.Result(list, "t1", false, "")
				todo, ok := r.Display[0].(*wireproto.TodoDisplayBlock)
				p.Check(ok && len(todo.Items) == 2 && todo.Items[0].Status == "done", "todos", r)
			},
		},
		{
			Name: "code-question", Shows: "questions that are answered with one choice, with several choices and with free text; then a question that is dismissed",
			Scripts: []string{ask("q1"), "text: Go it is.", ask("q2"), "text: Rust, then.", ask("q3"), "text: Then I choose."},
			Options: func(p *Play) { p.Options.SupportsQuestion = true },
			Run: func(p *Play) {
				list := p.Turn("Ask me", p.questions(func(q *client.QuestionRequest) error {
					p.Check(len(q.Questions) == 2 && q.Questions[1].MultiSelect, "questions", q.Questions)
					return q.Answer(map[string]string{"Which language?": "Go", "Which parts?": "tests, docs"})
				}))
				p.Order(list, "ToolCall QuestionRequest ToolResult StepBegin ContentPart TurnEnd")
				p.Result(list, "q1", false, "tests, docs")
				list = p.Turn("Again", p.questions(func(q *client.QuestionRequest) error {
					return q.Answer(map[string]string{"Which language?": "Rust", "Which parts?": "code, and a logo"})
				}))
				read := p.Result(list, "q2", false, "Rust").Output.String()
				p.Check(strings.Contains(read, "code, and a logo"), "other words", read)
				p.Result(p.Turn("Once more", p.questions((*client.QuestionRequest).Dismiss)), "q3", false, "dismissed")
			},
		},
		{
			Name: "code-plan", Shows: "the model enters plan mode and shows a plan, which is approved; then the client turns plan mode on and off",
			Scripts: []string{call("p1", "EnterPlanMode", map[string]string{}), "text: I plan."},
			Options: func(p *Play) { p.Options.SupportsQuestion, p.Options.SupportsPlanMode = true, true },
			Run: func(p *Play) {
				list := p.Turn("Plan it", p.answering(approve))
				p.Check(p.Session.Status().PlanMode, "plan mode", p.Session.Status())
				plan := p.Result(list, "p1", false, "Plan file: ").Output.String()
				_, plan, _ = strings.Cut(plan, "Plan file: ")
				plan, _, _ = strings.Cut(plan, "\n")
				if p.Rig != nil {
					p.Rig.model.Add(call("w1", "Write", map[string]string{"path": plan, "content": "# Plan\n1. Do it.\n"}),
						call("p2", "ExitPlanMode", map[string]any{"options": []any{map[string]string{"label": "Fast", "description": "a day"}, map[string]string{"label": "Slow", "description": "a week"}}}),
						"text: Off I go.")
				}
				list = p.Turn("Show it", func(m wireproto.Message) {
					p.answering(approve)(m)
					p.questions(func(q *client.QuestionRequest) error {
						return q.Answer(map[string]string{q.Questions[0].Question: "Slow"})
					})(m)
				})
				p.Check(strings.Contains(one[wireproto.PlanDisplay](p, list).Content, "1. Do it."), "plan", list.types())
				p.Result(list, "p2", false, "Slow")
				p.Check(!p.Session.Status().PlanMode, "no plan mode", p.Session.Status())
				for _, on := range []bool{true, false} {
					got, err := p.Session.SetPlanMode(p.Ctx, on)
					p.NoError(err)
					p.Check(got == on && p.Session.Status().PlanMode == on, "plan mode switched", got)
				}
			},
		},
		{
			Name: "code-cancel", Shows: "turns cancelled while the model streams and while an approval waits; the session goes on",
			Scripts: []string{lines("text: once upon", "hang:"), bash("s1", "echo 1"), "text: Fine."},
			Run: func(p *Play) {
				cancel := func(turn *client.Turn, m wireproto.Message) {
					if a, ok := m.(*client.ApprovalRequest); ok {
						a.Hold()
						p.NoError(turn.Cancel(p.Ctx))
					}
					if is[*wireproto.TextPart](m) {
						p.NoError(turn.Cancel(p.Ctx))
					}
				}
				p.Ends(client.ErrCancelled, "Tell a story", cancel)
				p.Ends(client.ErrCancelled, "Run", cancel)
				p.Says(p.Turn("And now?", nil), "Fine.")
			},
		},
		{
			Name: "code-errors", Shows: "failures of the provider: 429, after which a retry succeeds; 500, after which no retry succeeds; 400; 401; a connection that is lost during an answer, so that the outcome is not known",
			Scripts: []string{"error: 429 slow down", "text: Here.", "error: 500 down", "error: 500 down", "error: 400 bad request", "error: 401 bad key",
				lines("text: so", "end:")},
			Options: func(p *Play) { p.Options.MaxRetriesPerStep = 2 },
			Run: func(p *Play) {
				list := p.Turn("Hello?", nil)
				p.Order(list, "StepBegin StepRetry ContentPart TurnEnd")
				p.Says(list, "Here.")
				list = p.Ends(client.ErrProvider, "Hello?", nil)
				p.Order(list, "StepBegin StepRetry StepInterrupted TurnEnd")
				p.Ends(client.ErrProvider, "Hello?", nil)
				p.Ends(client.ErrProvider, "Hello?", nil)
				p.Says(p.Ends(client.ErrOutcomeUnknown, "Hello?", nil), "so")
			},
		},
		{
			Name: "code-max-steps", Shows: "the limit of steps",
			Scripts: []string{call("t1", "TodoList", map[string]any{}), call("t2", "TodoList", map[string]any{})},
			Options: func(p *Play) { p.Options.MaxStepsPerTurn = 1 },
			Run: func(p *Play) {
				list := p.Ends(client.ErrMaxSteps, "Work", nil)
				p.Check(len(only[*wireproto.StepBegin](list)) == 1, "one step", list.types())
			},
		},
		{
			Name: "code-go-tools", Shows: "Go tools, which the bridge offers over MCP: they return a string and an error; a call with bad arguments; kimi asks for no approval",
			Scripts: []string{call("g1", "mcp__program__upper", word{"gopher"}), call("g2", "mcp__program__fail", word{"gopher"}), "text: Done."},
			Options: func(p *Play) {
				p.Options.Tools = []client.Tool{
					tool("upper", func(_ context.Context, in word) (string, error) { return strings.ToUpper(in.Word), nil }),
					tool("fail", func(context.Context, word) (string, error) { return "", errors.New("out of gophers") }),
				}
			},
			Run: func(p *Play) {
				p.Check(len(p.Session.Server().ExternalTools.Accepted) == 2, "tools accepted", p.Session.Server().ExternalTools)
				list := p.Turn("Use my tools", nil)
				p.Order(list, "ToolCall ToolCallRequest ToolResult StepBegin ToolCall ToolCallRequest ToolResult StepBegin ContentPart")
				p.Without(list, "ApprovalRequest")
				p.Result(list, "g1", false, "GOPHER")
				p.Result(list, "g2", true, "out of gophers")
			},
		},
		{
			Name: "code-subagent", Shows: "a subagent: SubagentEvents, and a request for approval that is not in a SubagentEvent",
			Scripts: []string{call("a1", "Agent", map[string]string{"description": "echo", "prompt": "Run echo", "subagent_type": "coder"}),
				lines("think: easy", bash("s1", "echo sub")), "text: It printed sub.", "text: It is done."},
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
				p.Result(list, "a1", false, "It printed sub.")
				p.Says(list, "It is done.")
			},
		},
		{
			Name: "code-compact", Shows: "/compact: its turn ends with the compaction; then an unknown command",
			Scripts: []string{"text: One.", "text: The summary.", "text: Two."},
			Options: func(p *Play) { p.Options.SlashCommands = true },
			Run: func(p *Play) {
				p.Turn("Say one", nil)
				list := p.Turn("/compact", nil)
				p.Order(list, "TurnBegin CompactionBegin CompactionEnd TurnEnd")
				p.Check(!strings.Contains(list.text(), "Compaction completed"), "no notice", list.text())
				p.Says(p.Turn("Say two", nil), "Two.")
				turn, err := p.Session.Prompt(p.Ctx, "/help")
				if err == nil {
					_, err = turn.Result()
				}
				var refused *wireproto.RPCError
				p.Check(errors.As(err, &refused) && refused.Code == wireproto.CodeInvalidParams && strings.Contains(refused.Message, "/compact"), "a command that there is not", err)
			},
		},
		{
			Name: "code-replay", Shows: "the history of a session, replayed",
			Scripts: []string{lines("think: hm", "text: Hel", "text: lo", bash("s1", "echo 1")), "text: Bye."},
			Run: func(p *Play) {
				p.Turn("Old prompt", p.answering(approve))
				var list Messages
				for m, err := range p.Session.Replay(p.Ctx) {
					p.NoError(err)
					list = append(list, m)
				}
				p.Check(fmt.Sprint(list.types()) == "[TurnBegin StepBegin ContentPart ContentPart ToolCall ToolResult StepBegin ContentPart TurnEnd]", "history", list.types())
				p.Says(list, "HelloBye.")
			},
		},
		{
			Name: "code-unsupported", Shows: "what Kimi Code does not accept: audio in a prompt; the session goes on",
			Scripts: []string{"text: Fine."},
			Run: func(p *Play) {
				p.Ends(client.ErrUnsupported, "Listen", nil, &wireproto.AudioURLPart{AudioURL: wireproto.MediaURL{URL: "data:audio/mp3;base64,AAAA"}})
				p.Says(p.Turn("Go on", nil), "Fine.")
			},
		},
		{
			Name: "code-media", Shows: "prompts with text and an image, with the URL of an image, and with a video, which the model gets as a file",
			Scripts: []string{"text: A dot.", "text: A house.", "text: A film."},
			Prepare: func(_ context.Context, r *Rig) error {
				r.Options.Env["KIMI_MODEL_CAPABILITIES"] = "image_in,video_in"
				return nil
			},
			Run: func(p *Play) {
				image := func(url string) wireproto.ContentPart {
					return &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: url}}
				}
				p.Says(p.Turn("What is it?", nil, image(pixel)), "A dot.")
				p.Says(p.Turn("And this?", nil, image("https://example.com/house.png")), "A house.")
				p.Says(p.Turn("And that?", nil, &wireproto.VideoURLPart{VideoURL: wireproto.MediaURL{URL: film}}), "A film.")
				if p.Rig == nil {
					return
				}
				requests := p.Rig.model.Requests()
				p.Check(len(requests) == 3 && strings.Contains(string(requests[1]), "https://example.com/house.png") && strings.Contains(string(requests[2]), "<video path="),
					"what the model was sent", len(requests))
			},
		},
		{
			Name: "code-steer", Shows: "text that is sent while a turn runs reaches the model in that turn",
			Scripts: []string{bash("s1", "echo 1"), "text: Faster it is."},
			Run: func(p *Play) {
				list := p.Turn("Work", p.answering(func(a *client.ApprovalRequest) error {
					p.NoError(p.Session.Steer(p.Ctx, "faster"))
					return a.Approve()
				}))
				p.Order(list, "ApprovalRequest ApprovalResponse ToolResult SteerInput StepBegin ContentPart TurnEnd")
				p.Check(one[wireproto.SteerInput](p, list).UserInput.String() == "faster", "the input", list.types())
				p.Says(list, "Faster it is.")
				if p.Rig != nil {
					p.Check(strings.Contains(string(p.Rig.model.Requests()[1]), "faster"), "what the model was sent")
				}
				p.Check(errors.Is(p.Session.Steer(p.Ctx, "more"), client.ErrNoTurn), "no turn")
			},
		},
		{
			Name: "code-hooks", Shows: "hooks of the program: they block one tool call and allow another, keep a turn from ending once, and block a prompt",
			Scripts: []string{lines(bash("s1", "echo 1"), bash("s2", "rm -r .")), "text: Half done.", "text: All done."},
			Options: func(p *Play) {
				p.Options.Yolo = true
				p.Options.Hooks = []client.Hook{
					hook("PreToolUse", "Bash", func(r *wireproto.HookRequest) client.HookDecision {
						if strings.Contains(string(r.InputData["tool_input"]), "rm -r") {
							return client.Block("not that")
						}
						return client.Allow()
					}),
					hook("UserPromptSubmit", "", func(r *wireproto.HookRequest) client.HookDecision {
						if strings.Contains(string(r.InputData["prompt"]), "forbidden") {
							return client.Block("no such prompts")
						}
						return client.Allow()
					}),
					hook("Stop", "", block("one more round")),
				}
			},
			Run: func(p *Play) {
				list := p.Turn("Run", nil)
				p.Without(list, "ApprovalRequest")
				p.Result(list, "s1", false, "1")
				p.Result(list, "s2", true, "not that")
				actions := resolved(list, "PreToolUse")
				p.Check(len(actions) == 2 && slices.Contains(actions, wireproto.HookBlock) && slices.Contains(actions, wireproto.HookAllow), "tools", actions)
				actions = resolved(list, "Stop")
				p.Check(slices.Equal(actions, []wireproto.HookAction{wireproto.HookBlock}), "end, which is asked about once", actions)
				p.Says(list, "Half done.All done.")
				list = p.Turn("Do what is forbidden", nil)
				p.Without(list, "StepBegin")
				p.Check(slices.Equal(resolved(list, "UserPromptSubmit"), []wireproto.HookAction{wireproto.HookBlock}), "prompt", list.types())
			},
		},
		{
			Name: "code-btw", Shows: "a side question (/btw), sent while no turn runs, and sent by steering a turn: BtwBegin and BtwEnd",
			Scripts: []string{"text: First.", "text: An aside.", bash("s1", "echo 1"), "text: Another.", "text: Last."},
			Options: func(p *Play) { p.Options.SlashCommands = true },
			Run: func(p *Play) {
				p.Says(p.Turn("One", nil), "First.")
				list := p.Turn("/btw what is this?", nil)
				p.Check(one[wireproto.BtwBegin](p, list).Question == "what is this?", "the question", list.types())
				end := one[wireproto.BtwEnd](p, list)
				p.Check(end.Response != nil && *end.Response == "An aside.", "the answer", end)
				p.Without(list, "ContentPart")
				var held *client.ApprovalRequest
				list = p.Turn("Two", func(m wireproto.Message) {
					switch m := m.(type) {
					case *client.ApprovalRequest:
						m.Hold()
						held = m
						p.NoError(p.Session.Steer(p.Ctx, "/btw and this?"))
					case *wireproto.BtwEnd:
						p.Check(m.Response != nil && *m.Response == "Another.", "the second answer", m)
						p.NoError(held.Approve())
					}
				})
				p.Order(list, "ApprovalRequest BtwBegin BtwEnd ApprovalResponse ToolResult StepBegin ContentPart TurnEnd")
				p.Says(list, "Last.")
			},
		},
		{
			Name: "code-mcp", Shows: "an MCP server that does not start: a Notification says so, and the turn goes on without it",
			Scripts: []string{lines("wait: 3s", "text: Without.")},
			Options: func(p *Play) {
				p.Options.MCPServers = map[string]config.MCPServer{"broken": {Command: "false"}}
			},
			Run: func(p *Play) {
				list := p.Turn("Go", nil)
				note := one[wireproto.Notification](p, list)
				p.Check(note.Type == "bridge.mcp_failed" && strings.Contains(note.Title, "broken"), "notification", note)
				mcp := p.Session.Status().MCP
				p.Check(mcp != nil && mcp.Total == 1 && mcp.Connected == 0, "status", mcp)
				p.Says(list, "Without.")
			},
		},
	}
	for i := range list {
		list[i].KimiCode = true
	}
	return list
}
