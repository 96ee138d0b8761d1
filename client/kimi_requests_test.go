package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// touch returns the script line of a call that makes a file when it is carried out.
func touch(id, name string) string { return shell(id, "touch "+name) }

var touchCall = regexp.MustCompile(`touch ([a-z0-9-]+)`)

// wasRun reports whether the call of touch was carried out.
func wasRun(t testing.TB, opts *client.Options, name string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(opts.WorkDir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// decisions returns the ApprovalResponses of a turn by the id of the tool call.
func decisions(msgs []wireproto.Message) map[string]string {
	calls := make(map[string]string)
	for _, m := range msgs {
		switch m := m.(type) {
		case *client.ApprovalRequest:
			calls[m.ID] = m.ToolCallID
		case *wireproto.ApprovalRequest:
			calls[m.ID] = m.ToolCallID
		}
	}
	found := make(map[string]string)
	for _, r := range e2eOf[*wireproto.ApprovalResponse](msgs) {
		s := string(r.Response)
		if r.Feedback != "" {
			s += ": " + r.Feedback
		}
		found[calls[r.RequestID]] = s
	}
	return found
}

// The loop answers requests for approval in each possible way.
func TestKimiApprovals(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	held := make(chan *client.ApprovalRequest, 8)
	tests := []struct {
		name   string
		calls  string // the calls of the first step
		answer func(*testing.T, *client.ApprovalRequest)
		want   map[string]string
		run    []string // the files of the calls that are carried out
		goesOn bool     // the model is called again after the answers
		after  func(*testing.T, []wireproto.Message)
	}{
		{
			name: "approved", calls: touch("a-1", "approved"),
			answer: func(t *testing.T, r *client.ApprovalRequest) {
				if r.Sender != "Shell" || r.Action != "run command" || r.ToolCallID != "a-1" || r.Description != "Run command `touch approved`" {
					t.Errorf("request %+v", r.ApprovalRequest)
				}
				e2eSame(t, "display", wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Language: "bash", Command: "touch approved"}}, r.Display)
				select {
				case <-r.Done():
					t.Error("Done before the answer")
				default:
				}
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
				recv(t, ctx, "Done", r.Done())
				for _, again := range []error{r.Approve(), r.ApproveForSession(), r.Reject("no")} {
					e2eIs(t, "a second answer", again, client.ErrAnswered)
				}
			},
			want: map[string]string{"a-1": "approve"}, run: []string{"approved"}, goesOn: true,
		},
		{
			name: "rejected", calls: touch("a-2", "rejected"),
			answer: func(t *testing.T, r *client.ApprovalRequest) {
				if err := r.Reject(""); err != nil {
					t.Error(err)
				}
				e2eIs(t, "a second answer", r.Approve(), client.ErrAnswered)
			},
			want: map[string]string{"a-2": "reject"},
		},
		{
			name: "rejected with feedback", calls: touch("a-3", "feedback"),
			answer: func(t *testing.T, r *client.ApprovalRequest) {
				if err := r.Reject("use \"mkdir\"\u2028instead"); err != nil {
					t.Error(err)
				}
			},
			want: map[string]string{"a-3": "reject: use \"mkdir\"\u2028instead"}, goesOn: true,
			after: func(t *testing.T, msgs []wireproto.Message) {
				if r := e2eResult(t, msgs, "a-3"); !r.IsError || !strings.HasSuffix(r.Message, "User feedback: use \"mkdir\"\u2028instead") {
					t.Errorf("result %+v", r)
				}
			},
		},
		{
			name: "left unanswered", calls: touch("a-4", "unanswered"),
			answer: func(t *testing.T, r *client.ApprovalRequest) { held <- r },
			want:   map[string]string{"a-4": "reject"},
			after: func(t *testing.T, msgs []wireproto.Message) {
				r := recv(t, ctx, "request", held)
				recv(t, ctx, "Done", r.Done())
				e2eIs(t, "an answer after the loop has gone on", r.Approve(), client.ErrAnswered)
			},
		},
		{
			name: "held and answered later", calls: say(touch("a-5", "held"), touch("a-6", "held-too")),
			answer: func(t *testing.T, r *client.ApprovalRequest) {
				r.Hold()
				if held <- r; len(held) < 2 {
					return // the loop continues, so the second request comes while the first one waits
				}
				first, second := <-held, <-held
				go func() {
					if err := second.Reject("not both"); err != nil {
						t.Error(err)
					}
					if err := first.Approve(); err != nil {
						t.Error(err)
					}
				}()
			},
			want: map[string]string{"a-5": "approve", "a-6": "reject: not both"}, run: []string{"held"}, goesOn: true,
		},
		{
			name: "one rejected, one with feedback", calls: say(touch("a-7", "mixed-1"), touch("a-8", "mixed-2")),
			answer: func(t *testing.T, r *client.ApprovalRequest) {
				feedback := map[string]string{"a-8": "but why"}
				if err := r.Reject(feedback[r.ToolCallID]); err != nil {
					t.Error(err)
				}
			},
			want: map[string]string{"a-7": "reject", "a-8": "reject: but why"}, goesOn: true,
		},
		{
			// The agent itself resolves the other requests that wait for the same action.
			name: "approved for the session", calls: say(touch("a-9", "session-1"), touch("a-10", "session-2"), touch("a-11", "session-3")),
			answer: func(t *testing.T, r *client.ApprovalRequest) {
				r.Hold()
				if held <- r; len(held) < 3 {
					return
				}
				first := <-held
				if err := first.ApproveForSession(); err != nil {
					t.Error(err)
				}
			},
			want: map[string]string{"a-9": "approve_for_session", "a-10": "approve", "a-11": "approve"},
			run:  []string{"session-1", "session-2", "session-3"}, goesOn: true,
			after: func(t *testing.T, msgs []wireproto.Message) {
				for range 2 {
					r := recv(t, ctx, "request", held)
					recv(t, ctx, "Done", r.Done())
					e2eIs(t, "an answer to what the agent has resolved", r.Approve(), client.ErrAnswered)
				}
			},
		},
		{
			name: "not asked any more", calls: touch("a-12", "unasked"),
			answer: func(t *testing.T, r *client.ApprovalRequest) { t.Errorf("asked for %s", r.ToolCallID) },
			want:   map[string]string{}, run: []string{"unasked"}, goesOn: true,
		},
	}
	var scripts []string
	for _, tt := range tests {
		if scripts = append(scripts, say("text: first step", tt.calls)); tt.goesOn {
			scripts = append(scripts, "text: second step")
		}
	}
	opts := clienttest.Kimi(t, scripts...)
	s := e2eStart(t, ctx, opts)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			turn, err := s.Prompt(ctx, tt.name)
			if err != nil {
				t.Fatal(err)
			}
			msgs, err := e2eRead(turn, func(m wireproto.Message) {
				if r, ok := m.(*client.ApprovalRequest); ok {
					tt.answer(t, r)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			want := &client.TurnResult{Status: wireproto.StatusFinished, Steps: 1, Text: "first step"}
			if tt.goesOn {
				want.Steps, want.Text = 2, "second step"
			}
			res, err := turn.Result()
			if err != nil {
				t.Error(err)
			}
			e2eSame(t, "result", want, res)
			e2eSame(t, "decisions", tt.want, decisions(msgs))
			var run []string
			for _, call := range touchCall.FindAllStringSubmatch(tt.calls, -1) {
				if name := call[1]; wasRun(t, opts, name) {
					run = append(run, name)
				}
			}
			e2eSame(t, "carried out", tt.run, run)
			if tt.after != nil {
				tt.after(t, msgs)
			}
			if len(held) != 0 {
				t.Errorf("%d requests held too many", len(held))
			}
		})
	}
}

// If a handler answers, the stream has each request as a plain value.
func TestKimiApprovalHandler(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	later := make(chan *client.ApprovalRequest, 1)
	tests := []struct {
		name    string
		handle  func(context.Context, *client.ApprovalRequest) error
		want    string
		goesOn  bool
		carried bool
	}{
		{"approve", client.ApproveAll, "approve", true, true},
		{"reject all", client.RejectAll, "reject: the user does not allow this", true, false},
		{"no answer", func(context.Context, *client.ApprovalRequest) error { return nil }, "reject", false, false},
		{"error", func(context.Context, *client.ApprovalRequest) error { return errors.New("cannot tell") }, "reject", false, false},
		{"panic", func(context.Context, *client.ApprovalRequest) error { panic("oh no") }, "reject", false, false},
		{"approve, then an error", func(_ context.Context, r *client.ApprovalRequest) error {
			return errors.Join(r.Approve(), errors.New("too late to matter"))
		}, "approve", true, true},
		{"held", func(_ context.Context, r *client.ApprovalRequest) error {
			r.Hold()
			later <- r
			return nil
		}, "approve", true, true},
		{"ctx lives", func(ctx context.Context, r *client.ApprovalRequest) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return r.Reject("alive")
		}, "reject: alive", true, false},
	}
	var scripts []string
	byCall := make(map[string]func(context.Context, *client.ApprovalRequest) error)
	for i, tt := range tests {
		id := string(rune('a' + i))
		byCall[id] = tt.handle
		if scripts = append(scripts, touch(id, "h-"+id)); tt.goesOn {
			scripts = append(scripts, "text: on")
		}
	}
	opts := clienttest.Kimi(t, scripts...)
	opts.Approve = func(ctx context.Context, r *client.ApprovalRequest) error { return byCall[r.ToolCallID](ctx, r) }
	s := e2eStart(t, ctx, opts)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := string(rune('a' + i))
			msgs := e2eTurn(t, ctx, s, tt.name, func(m wireproto.Message) {
				if _, ok := m.(*wireproto.ApprovalRequest); ok && tt.name == "held" {
					if err := recv(t, ctx, "the held request", later).Approve(); err != nil {
						t.Error(err)
					}
				}
			})
			if live := e2eOf[*client.ApprovalRequest](msgs); len(live) != 0 {
				t.Error("the stream has a live request beside the handler")
			}
			if plain := e2eOf[*wireproto.ApprovalRequest](msgs); len(plain) != 1 || plain[0].ToolCallID != id {
				t.Errorf("the stream has the plain requests %+v, want one", plain)
			}
			e2eSame(t, "decisions", map[string]string{id: tt.want}, decisions(msgs))
			if got := wasRun(t, opts, "h-"+id); got != tt.carried {
				t.Errorf("carried out: %v, want %v", got, tt.carried)
			}
			if got := len(e2eOf[*wireproto.TextPart](msgs)) == 1; got != tt.goesOn {
				t.Errorf("the model goes on: %v, want %v", got, tt.goesOn)
			}
		})
	}
}

// ask returns the script line of a call that asks one or more questions.
func ask(id string, multi bool, questions ...string) string {
	var list []any
	for _, q := range questions {
		list = append(list, map[string]any{
			"question": q, "header": "Head", "multi_select": multi,
			"options": []any{map[string]string{"label": "Red", "description": "warm"}, map[string]string{"label": "Blue"}},
		})
	}
	return clienttest.ToolCall(id, "AskUserQuestion", map[string]any{"questions": list})
}

const dismissed = `{"answers": {}, "note": "User dismissed the question without answering."}`

func TestKimiQuestions(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	held := make(chan *client.QuestionRequest, 1)
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	tests := []struct {
		name   string
		call   string
		answer func(*testing.T, *client.QuestionRequest)
		want   string
	}{
		{"answered", ask("q", false, "Colour?"), func(t *testing.T, r *client.QuestionRequest) {
			e2eSame(t, "questions", []wireproto.QuestionItem{{
				Question: "Colour?", Header: "Head",
				Options: []wireproto.QuestionOption{{Label: "Red", Description: "warm"}, {Label: "Blue"}},
			}}, r.Questions)
			// After a wrong answer, the question is still open.
			if err := r.Answer(map[string]string{"Color?": "Red"}); err == nil || !strings.Contains(err.Error(), `"Color?"`) {
				t.Errorf("an answer to no question: %v", err)
			}
			must(t, r.Answer(map[string]string{"Colour?": "Blue"}))
			recv(t, ctx, "Done", r.Done())
			e2eIs(t, "a second answer", r.Answer(map[string]string{"Colour?": "Red"}), client.ErrAnswered)
			e2eIs(t, "a second answer", r.Dismiss(), client.ErrAnswered)
		}, `{"answers": {"Colour?": "Blue"}}`},
		{"several chosen, in two questions", ask("q", true, "One?", "Two?"), func(t *testing.T, r *client.QuestionRequest) {
			if !r.Questions[0].MultiSelect || len(r.Questions) != 2 {
				t.Errorf("questions %+v", r.Questions)
			}
			must(t, r.Answer(map[string]string{"One?": "Red, Blue", "Two?": "something else \"✓\""}))
		}, `{"answers": {"One?": "Red, Blue", "Two?": "something else \"✓\""}}`},
		{"one of two answered", ask("q", false, "One?", "Two?"), func(t *testing.T, r *client.QuestionRequest) {
			must(t, r.Answer(map[string]string{"Two?": "Red"}))
		}, `{"answers": {"Two?": "Red"}}`},
		{"dismissed", ask("q", false, "Colour?"), func(t *testing.T, r *client.QuestionRequest) { must(t, r.Dismiss()) }, dismissed},
		{"no answers", ask("q", false, "Colour?"), func(t *testing.T, r *client.QuestionRequest) { must(t, r.Answer(nil)) }, dismissed},
		{"left unanswered", ask("q", false, "Colour?"), func(t *testing.T, r *client.QuestionRequest) { held <- r }, dismissed},
		{"held", say(ask("q", false, "Colour?"), clienttest.ToolCall("t", "later", struct{}{})), func(t *testing.T, r *client.QuestionRequest) {
			r.Hold()
			held <- r // the tool, which is called while the question waits, answers it
		}, `{"answers": {"Colour?": "Red"}}`},
	}
	var scripts []string
	for _, tt := range tests {
		scripts = append(scripts, tt.call, "text: on")
	}
	opts := clienttest.Kimi(t, scripts...)
	opts.SupportsQuestion = true
	opts.Tools = []client.Tool{mustTool(client.NewTool("later", "", func(context.Context, struct{}) (string, error) {
		return "", recv(t, ctx, "the held question", held).Answer(map[string]string{"Colour?": "Red"})
	}))}
	s := e2eStart(t, ctx, opts)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			msgs := e2eTurn(t, ctx, s, tt.name, func(m wireproto.Message) {
				if r, ok := m.(*client.QuestionRequest); ok {
					asked++
					tt.answer(t, r)
				}
			})
			if asked != 1 {
				t.Errorf("asked %d times, want once", asked)
			}
			e2eSame(t, "what the model reads", tt.want, e2eResult(t, msgs, "q").Output.Text)
			if tt.name == "left unanswered" {
				r := recv(t, ctx, "request", held)
				recv(t, ctx, "Done", r.Done())
				e2eIs(t, "an answer after the loop has gone on", r.Dismiss(), client.ErrAnswered)
			}
		})
	}
}

// A handler answers questions. A session that cannot answer questions gets none.
func TestKimiQuestionHandler(t *testing.T) {
	t.Parallel()
	t.Run("handler", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		tests := []struct {
			name   string
			handle func(*client.QuestionRequest) error
			want   string
		}{
			{"answer", func(r *client.QuestionRequest) error {
				return r.Answer(map[string]string{r.Questions[0].Question: "Blue"})
			}, `{"answers": {"answer": "Blue"}}`},
			{"nothing", func(*client.QuestionRequest) error { return nil }, dismissed},
			{"error", func(*client.QuestionRequest) error { return errors.New("gone") }, dismissed},
			{"panic", func(*client.QuestionRequest) error { panic("oh") }, dismissed},
		}
		var scripts []string
		handlers := make(map[string]func(*client.QuestionRequest) error)
		for _, tt := range tests {
			scripts = append(scripts, ask("q", false, tt.name), "text: on")
			handlers[tt.name] = tt.handle
		}
		opts := clienttest.Kimi(t, scripts...)
		opts.Answer = func(ctx context.Context, r *client.QuestionRequest) error {
			return errors.Join(ctx.Err(), handlers[r.Questions[0].Question](r))
		}
		s := e2eStart(t, ctx, opts)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				msgs := e2eTurn(t, ctx, s, tt.name, nil)
				if len(e2eOf[*client.QuestionRequest](msgs)) != 0 || len(e2eOf[*wireproto.QuestionRequest](msgs)) != 1 {
					t.Errorf("the stream has not one plain request: %v", e2eTypes(msgs))
				}
				e2eSame(t, "what the model reads", tt.want, e2eResult(t, msgs, "q").Output.Text)
			})
		}
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		s := e2eStart(t, ctx, clienttest.Kimi(t, ask("q", false, "Colour?"), "text: on"))
		msgs := e2eTurn(t, ctx, s, "ask", func(m wireproto.Message) {
			if _, ok := m.(*client.QuestionRequest); ok {
				t.Error("asked, though it was not declared")
			}
		})
		if r := e2eResult(t, msgs, "q"); !r.IsError || !strings.Contains(r.Message, "does not support interactive questions") {
			t.Errorf("result %+v", r)
		}
	})
}

// Questions let the agent enter and leave plan mode. Here they are declined, accepted, revised and approved.
func TestKimiPlanMode(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	const enter, approve = "Enter plan mode?", "Approve this plan"
	opts := clienttest.Kimi(t,
		clienttest.ToolCall("in-1", "EnterPlanMode", struct{}{}), "text: not planning",
		clienttest.ToolCall("in-2", "EnterPlanMode", struct{}{}), clienttest.ToolCall("w", "write_plan", struct{}{}),
		clienttest.ToolCall("out-1", "ExitPlanMode", struct{}{}), clienttest.ToolCall("out-2", "ExitPlanMode", map[string]any{"options": []any{
			map[string]string{"label": "Fast", "description": "quick"}, map[string]string{"label": "Safe", "description": "slow"},
		}}), "text: doing it",
	)
	opts.SupportsQuestion, opts.SupportsPlanMode = true, true
	planFile := make(chan string, 1)
	opts.Tools = []client.Tool{mustTool(client.NewTool("write_plan", "", func(context.Context, struct{}) (string, error) {
		return "written", os.WriteFile(recv(t, ctx, "the plan's path", planFile), []byte("# The plan\n"), 0o600)
	}))}
	s := e2eStart(t, ctx, opts)

	answer := func(r *client.QuestionRequest, question, text string) {
		t.Helper()
		if err := r.Answer(map[string]string{question: text}); err != nil {
			t.Error(err)
		}
	}
	msgs := e2eTurn(t, ctx, s, "decline", func(m wireproto.Message) {
		if r, ok := m.(*client.QuestionRequest); ok {
			answer(r, enter, "No")
		}
	})
	if r := e2eResult(t, msgs, "in-1"); r.Message != "Declined" || s.Status().PlanMode {
		t.Errorf("declined: %+v, plan mode %v", r, s.Status().PlanMode)
	}

	path, revised := "", false
	var planMode []bool
	msgs = e2eTurn(t, ctx, s, "plan", func(m wireproto.Message) {
		switch m := m.(type) {
		case *client.QuestionRequest:
			switch {
			case m.ToolCallID == "in-2":
				answer(m, enter, "Yes")
			case !revised:
				revised = true
				e2eSame(t, "Revise", "Revise", m.Questions[0].OtherLabel)
				answer(m, approve, "shorter, please")
			default:
				var labels []string
				for _, o := range m.Questions[0].Options {
					labels = append(labels, o.Label)
				}
				e2eSame(t, "options", []string{"Fast", "Safe", "Reject", "Reject and Exit"}, labels)
				answer(m, approve, "Safe")
			}
		case *wireproto.ToolResult:
			if m.ToolCallID == "in-2" {
				for line := range strings.Lines(m.ReturnValue.Output.Text) {
					if p, ok := strings.CutPrefix(line, "Plan file: "); ok {
						path = strings.TrimSpace(p)
					}
				}
				planFile <- path
			}
		case *wireproto.StatusUpdate:
			planMode = append(planMode, *m.PlanMode)
		}
	})
	e2eSame(t, "plan mode, told", []bool{false, true, true, true, true, false, false}, planMode)
	e2eSame(t, "the plan, shown", []*wireproto.PlanDisplay{
		{Content: "# The plan\n", FilePath: path}, {Content: "# The plan\n", FilePath: path},
	}, e2eOf[*wireproto.PlanDisplay](msgs))
	if r := e2eResult(t, msgs, "out-1"); !strings.HasSuffix(r.Output.Text, "User feedback: shorter, please") {
		t.Errorf("revised: %+v", r)
	}
	if r := e2eResult(t, msgs, "out-2"); r.Message != "Plan approved: Safe" || s.Status().PlanMode {
		t.Errorf("approved: %+v, plan mode %v", r, s.Status().PlanMode)
	}
}

// withModel adds a model for a subagent, with its own scripts.
func withModel(t testing.TB, opts *client.Options, name string, scripts ...string) {
	t.Helper()
	data, err := json.Marshal(scripts)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(filepath.Dir(opts.WorkDir), name+".json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	opts.Config.Providers[name] = config.Provider{
		Type: "_scripted_echo", Env: map[string]config.Secret{"KIMI_SCRIPTED_ECHO_SCRIPTS": config.Secret(path)},
	}
	opts.Config.Models[name] = config.Model{Provider: name, Model: "scripted_echo", MaxContextSize: 100000}
}

// subagentCall returns the script line of a call that starts a subagent with its own model.
func subagentCall(id, model string, background bool) string {
	return clienttest.ToolCall(id, "Agent", map[string]any{
		"description": "some work", "prompt": "work", "subagent_type": "coder", "model": model, "run_in_background": background,
	})
}

// summary is so long that kimi does not ask the subagent for a longer one.
var summary = "text: " + strings.Repeat("All the work has been done. ", 20)

func TestKimiSubagent(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, say("text: delegating", subagentCall("ag", "sub", false), "usage: output=1"), say("text: done", "usage: output=10"))
	withModel(t, opts, "sub", say("text: within", touch("sub-1", "by-sub"), "usage: output=100"), say(summary, "usage: output=1000"))
	s := e2eStart(t, ctx, opts)
	turn, err := s.Prompt(ctx, "delegate")
	if err != nil {
		t.Fatal(err)
	}
	var msgs []wireproto.Message
	tee := func(yield func(wireproto.Message, error) bool) {
		for m, err := range turn.Messages() {
			if msgs = append(msgs, m); !yield(m, err) {
				return
			}
			if r, ok := m.(*client.ApprovalRequest); ok {
				if r.AgentID == nil || r.SubagentType == nil || *r.SubagentType != "coder" {
					t.Errorf("request %+v, want the agent's id and type", r.ApprovalRequest)
				}
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	var texts []string
	for m, err := range client.Aggregate(tee) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Role == client.RoleAssistant {
			texts = append(texts, m.Text())
		}
	}
	e2eSame(t, "texts without the subagent's", []string{"delegating", "done"}, texts)
	if !wasRun(t, opts, "by-sub") {
		t.Error("the subagent's call was not carried out")
	}
	if len(e2eOf[*wireproto.SubagentEvent](msgs)) == 0 || len(e2eOf[*client.ApprovalRequest](msgs)) != 1 {
		t.Errorf("messages %v", e2eTypes(msgs))
	}
	res, err := turn.Result()
	if err != nil || res.Usage.Output != 1111 || res.Steps != 2 || res.Text != "done" {
		t.Errorf("result %+v, %v, want 1111 tokens with the subagent's, 2 steps without", res, err)
	}
	if got := s.Status().Usage.Output; got != 1111 {
		t.Errorf("usage of the session %d, want 1111", got)
	}
}

// The requests of a background agent may come while no turn runs, and may stay open after the end of a turn.
func TestKimiApprovalOutside(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t,
		subagentCall("ag-1", "approved", true), "text: started",
		subagentCall("ag-2", "left", true), "text: started",
		say(subagentCall("ag-3", "held", true), clienttest.ToolCall("h", "hold", struct{}{})),
	)
	for _, name := range []string{"approved", "left", "held"} {
		// The retries take a second. In that time, the turn that has started the agent ends. The summary also comes after a
		// rejection, which does not end a subagent.
		withModel(t, opts, name, "error: 429", "error: 429", touch("sub-"+name, name), summary)
	}
	opts.Tools = []client.Tool{mustTool(client.NewTool("hold", "", func(ctx context.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}))}
	outside := make(chan wireproto.Message, 100)
	opts.OnMessage = func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			if r.ToolCallID == "sub-approved" {
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
			}
		}
		outside <- m
	}
	s := e2eStart(t, ctx, opts)
	request := func(name string) *client.ApprovalRequest {
		t.Helper()
		for {
			if r, ok := recv(t, ctx, "the request of "+name, outside).(*client.ApprovalRequest); ok {
				if r.ToolCallID != "sub-"+name || r.SourceKind == nil || *r.SourceKind != "background_agent" {
					t.Errorf("request %+v", r.ApprovalRequest)
				}
				return r
			}
		}
	}
	response := func(id string) wireproto.ApprovalDecision {
		t.Helper()
		for {
			if r, ok := recv(t, ctx, "the response", outside).(*wireproto.ApprovalResponse); ok && r.RequestID == id {
				return r.Response
			}
		}
	}
	carriedOut := func(name string) {
		t.Helper()
		eventually(t, 20*time.Second, func() bool { return wasRun(t, opts, name) }, func() string { return name + " was not carried out" })
	}

	e2eText(t, ctx, s, "first", "started")
	r := request("approved")
	e2eSame(t, "response", wireproto.Approve, response(r.ID))
	carriedOut("approved")

	e2eText(t, ctx, s, "second", "started")
	r = request("left")
	e2eSame(t, "response", wireproto.Reject, response(r.ID))
	e2eIs(t, "an answer after OnMessage", r.Approve(), client.ErrAnswered)

	// A request that the loop of a turn holds is still open after the turn.
	turn, err := s.Prompt(ctx, "third")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e2eRead(turn, func(m wireproto.Message) {
		if live, ok := m.(*client.ApprovalRequest); ok {
			r = live
			r.Hold()
			if err := turn.Cancel(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	e2eIs(t, "the turn", err, client.ErrCancelled)
	if r.ToolCallID != "sub-held" {
		t.Fatalf("the turn has not had the request of held, but %+v", r.ApprovalRequest)
	}
	select {
	case <-r.Done():
		t.Error("the request of a background agent has ended with a turn")
	default:
	}
	if err := r.Approve(); err != nil {
		t.Error(err)
	}
	e2eSame(t, "response", wireproto.Approve, response(r.ID))
	carriedOut("held")
	if wasRun(t, opts, "left") {
		t.Error("what was left unanswered is carried out")
	}
}
