//go:build unix

package client_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// The loop answers requests for approval with each kind of answer.
func TestBackendsApprovals(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		var s *client.Session
		must := func(t *testing.T, err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		touch := func(names ...string) string {
			var lines []string
			for _, name := range names {
				lines = append(lines, b.run(name, "touch "+name))
			}
			return say(lines...)
		}
		approve := func(t *testing.T, r *client.ApprovalRequest) { must(t, r.Approve()) }
		reject := func(t *testing.T, r *client.ApprovalRequest) { must(t, r.Reject("")) }
		tests := []struct {
			name   string
			calls  string
			answer func(*testing.T, *client.ApprovalRequest)
			want   map[string]string // the decision for each call
			run    []string          // the calls that are carried out
			ends   bool              // the rejection ends the turn, on a backend where rejections do
			lost   int               // the feedback texts that do not reach the model, on a backend where none does
		}{
			{name: "approved", calls: touch("yes"), answer: func(t *testing.T, r *client.ApprovalRequest) {
				if r.Sender != b.shell || !strings.Contains(r.Description, "touch yes") || r.AgentID != nil {
					t.Errorf("request %+v", r.ApprovalRequest)
				}
				must(t, r.Approve())
				e2eIs(t, "a second answer", r.Reject("no"), client.ErrAnswered)
			}, want: map[string]string{"yes": "approve"}, run: []string{"yes"}},
			{name: "two calls", calls: touch("two-1", "two-2"), answer: approve,
				want: map[string]string{"two-1": "approve", "two-2": "approve"}, run: []string{"two-1", "two-2"}},
			{name: "one of two", calls: touch("half-1", "half-2"), answer: func(t *testing.T, r *client.ApprovalRequest) {
				if callID(r.ToolCallID) == "half-1" {
					must(t, r.Approve())
				} else {
					must(t, r.Reject(""))
				}
			}, want: map[string]string{"half-1": "approve", "half-2": "reject"}, run: []string{"half-1"}, ends: true},
			{name: "rejected", calls: touch("no"), answer: reject, want: map[string]string{"no": "reject"}, ends: true},
			{name: "rejected with feedback", calls: touch("feedback"), answer: func(t *testing.T, r *client.ApprovalRequest) {
				must(t, r.Reject("use mkdir instead"))
			}, want: map[string]string{"feedback": "reject: use mkdir instead"}, lost: 1},
			{name: "left unanswered", calls: touch("left"), answer: func(*testing.T, *client.ApprovalRequest) {},
				want: map[string]string{"left": "reject"}, ends: true},
			{name: "held and answered later", calls: touch("held"), answer: func(t *testing.T, r *client.ApprovalRequest) {
				r.Hold()
				go func() {
					// The round trip to the agent takes long enough for the loop to go on.
					if _, err := s.SetPlanMode(ctx, false); err != nil {
						t.Error(err)
					}
					must(t, r.Approve())
				}()
			}, want: map[string]string{"held": "approve"}, run: []string{"held"}},
			{name: "approved for the session", calls: b.run("session-1", "touch session"), answer: func(t *testing.T, r *client.ApprovalRequest) {
				must(t, r.ApproveForSession())
			}, want: map[string]string{"session-1": "approve_for_session"}},
			{name: "not asked again", calls: b.run("session-2", "touch session"), answer: func(t *testing.T, r *client.ApprovalRequest) {
				t.Errorf("asked for what is approved: %+v", r.ApprovalRequest)
			}, want: map[string]string{}},
		}
		var scripts []string
		for _, tt := range tests {
			behind := []string{"text: behind " + tt.name}
			if tt.ends {
				behind = b.ifItGoesOn(behind...)
			}
			scripts = slices.Concat(scripts, []string{tt.calls}, behind)
		}
		opts, model := b.model(t, scripts...)
		s = e2eStart(t, ctx, opts)
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
				want := client.TurnResult{Status: wireproto.StatusFinished, Steps: 2, Text: "behind " + tt.name}
				if tt.ends && b.endsAtRejection {
					want.Steps, want.Text = 1, ""
				}
				result, err := turn.Result()
				if err != nil {
					t.Error(err)
				}
				result.Usage = wireproto.TokenUsage{}
				e2eSame(t, "result", want, *result)
				e2eSame(t, "decisions", tt.want, decided(msgs))
				for id, decision := range tt.want {
					if got := resultOf(t, msgs, id); got.IsError != strings.HasPrefix(decision, "reject") {
						t.Errorf("result of %s: %+v", id, got)
					}
					if carriedOut := wasRun(t, opts, id); carriedOut != slices.Contains(tt.run, id) {
						t.Errorf("%s was carried out: %v", id, carriedOut)
					}
				}
				lost := e2eOf[*wireproto.Notification](msgs)
				if b.answersFeedback {
					tt.lost = 0
				}
				if len(lost) != tt.lost || len(lost) > 0 && lost[0].Type != "bridge.feedback_lost" {
					t.Errorf("notifications %+v, want %d", lost, tt.lost)
				}
			})
		}
		if !wasRun(t, opts, "session") {
			t.Error("what was approved for the session was not carried out")
		}
		requests := model.Requests()
		if reads := strings.Contains(string(requests[len(requests)-1]), "use mkdir instead"); reads != b.answersFeedback {
			t.Errorf("the model reads the feedback: %v, want %v", reads, b.answersFeedback)
		}
	})
}

// Options.Approve answers requests, and gets what kimi shows about them.
func TestBackendsApprovalHandler(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		todos := []map[string]string{{"title": "look", "status": "done"}, {"title": "leap", "status": "in_progress"}}
		opts := b.options(t, slices.Concat([]string{
			b.run("run", "echo ran"), clienttest.ToolCall("write", b.write, map[string]string{"path": "there.txt", "content": "new"}),
			clienttest.ToolCall("create", b.write, map[string]string{"path": "fresh.txt", "content": "fresh"}),
			clienttest.ToolCall("edit", b.edit, b.editArgs("there.txt", "new", "newer")),
			clienttest.ToolCall("deep", b.edit, b.editArgs("long.txt", "line 40", "line forty")),
			clienttest.ToolCall("todo", b.todo, map[string]any{"todos": todos}), "text: done",
			b.run("refused", "touch refused"),
		}, b.ifItGoesOn("text: on"), []string{b.run("silent", "touch silent")}, b.ifItGoesOn("text: on"))...)
		write(t, filepath.Join(opts.WorkDir, "there.txt"), "old", 0o600)
		var long strings.Builder
		for i := range 60 {
			fmt.Fprintf(&long, "line %d\n", i+1)
		}
		write(t, filepath.Join(opts.WorkDir, "long.txt"), long.String(), 0o600)
		shown := make(map[string]wireproto.DisplayBlocks)
		opts.Approve = func(ctx context.Context, r *client.ApprovalRequest) error {
			switch id := callID(r.ToolCallID); id {
			case "refused":
				return r.Reject("")
			case "silent":
				return errors.New("cannot tell")
			default:
				shown[id] = r.Display
				return client.ApproveAll(ctx, r)
			}
		}
		s := e2eStart(t, ctx, opts)
		msgs := e2eTurn(t, ctx, s, "do it", nil)
		diff := func(path, from, to string) wireproto.DisplayBlocks {
			return wireproto.DisplayBlocks{&wireproto.DiffDisplayBlock{
				Path: filepath.Join(opts.WorkDir, path), OldText: from, NewText: to, OldStart: 1, NewStart: 1,
			}}
		}
		deep := shown["deep"][0].(*wireproto.DiffDisplayBlock)
		before, _, _ := strings.Cut(deep.OldText, "line 40") // kimi-cli also shows the lines around the change
		if at := deep.OldStart + strings.Count(before, "\n"); at != 40 || deep.NewStart != deep.OldStart {
			t.Errorf("the change of line 40 is shown at line %d: %+v", at, deep)
		}
		delete(shown, "deep")
		e2eSame(t, "shown", map[string]wireproto.DisplayBlocks{
			"run":   {&wireproto.ShellDisplayBlock{Language: "bash", Command: "echo ran"}},
			"write": diff("there.txt", "old", "new"), "create": diff("fresh.txt", "", "fresh"), "edit": diff("there.txt", "new", "newer"),
		}, shown)
		e2eSame(t, "the todo list", wireproto.DisplayBlocks{&wireproto.TodoDisplayBlock{Items: []wireproto.TodoItem{
			{Title: "look", Status: "done"}, {Title: "leap", Status: "in_progress"},
		}}}, resultOf(t, msgs, "todo").Display)
		for id, display := range shown {
			if id != "run" {
				e2eSame(t, "display of the result of "+id, display, resultOf(t, msgs, id).Display)
			}
		}
		if live, plain := e2eOf[*client.ApprovalRequest](msgs), e2eOf[*wireproto.ApprovalRequest](msgs); len(live) != 0 || len(plain) != 5 {
			t.Errorf("%d live and %d plain requests in the stream, want 0 and 5", len(live), len(plain))
		}
		for _, id := range []string{"refused", "silent"} {
			turn, err := s.Prompt(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			msgs, err := e2eRead(turn, nil)
			if err != nil {
				t.Fatal(err)
			}
			e2eSame(t, "decisions", map[string]string{id: "reject"}, decided(msgs))
			if wasRun(t, opts, id) {
				t.Errorf("%s was carried out", id)
			}
		}
	})
}
