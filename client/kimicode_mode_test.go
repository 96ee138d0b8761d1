//go:build unix

package client_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// codeAsked runs a turn that must finish. It approves every request, and returns the tools that the requests were for.
func codeAsked(t testing.TB, ctx context.Context, s *client.Session, prompt string) (asked []string, msgs []wireproto.Message) {
	t.Helper()
	msgs = e2eTurn(t, ctx, s, prompt, func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			asked = append(asked, r.Sender)
			if err := r.Approve(); err != nil {
				t.Error(err)
			}
		}
	})
	return asked, msgs
}

// Kimi Code keeps yolo in a session and does not report it. A session that is continued without Yolo must ask again,
// also after a replay, which loads the session once more.
func TestKimiCodeYoloIsNotKept(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t,
		codeBash("y-1", "true"), "text: one",
		codeBash("y-2", "true"), "text: two",
		codeBash("y-3", "true"), "text: three",
		codeBash("y-4", "true"), "text: four")
	opts.Yolo = true
	s := e2eStart(t, ctx, opts)
	asked, _ := codeAsked(t, ctx, s, "first")
	e2eSame(t, "with Yolo", []string(nil), asked)
	closed(t, s)

	opts.Yolo = false
	s = resumed(t, ctx, s.ID(), opts)
	asked, _ = codeAsked(t, ctx, s, "second")
	e2eSame(t, "continued without", []string{"Bash"}, asked)
	for _, err := range s.Replay(ctx) {
		if err != nil {
			t.Fatal(err)
		}
	}
	asked, _ = codeAsked(t, ctx, s, "third")
	e2eSame(t, "after a replay", []string{"Bash"}, asked)
	closed(t, s)

	opts.Yolo = true
	s = resumed(t, ctx, s.ID(), opts)
	asked, _ = codeAsked(t, ctx, s, "fourth")
	e2eSame(t, "continued with", []string(nil), asked)
}

// The result of a call that Kimi Code refuses says why, and not what the call would have done.
func TestKimiCodeRefusedWrite(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, clienttest.ToolCall("w", "Write", map[string]string{"path": "new.txt", "content": "a\nb\n"}), "text: refused")
	opts.Plan = true
	_, msgs := codeAsked(t, ctx, e2eStart(t, ctx, opts), "write it")
	v := resultOf(t, msgs, "w")
	if text := v.Output.Text + v.Message; !v.IsError || !strings.Contains(text, "Plan mode") {
		t.Errorf("the result is %+v", v)
	}
	for _, b := range v.Display {
		t.Errorf("it shows %#v", b)
	}
}

// codePlan returns options with a Go tool. When the model calls the tool, it writes the plan to the plan's file.
func codePlan(t testing.TB, scripts ...string) *client.Options {
	opts := clienttest.KimiCode(t, scripts...)
	written := ""
	opts.Tools = []client.Tool{mustTool(client.NewTool("write_plan", "", func(ctx context.Context, _ noInput) (string, error) {
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for {
			path := planFile(opts)
			if path != "" && path != written { // otherwise the journal does not name the new plan yet
				written = path
				return "written", os.WriteFile(path, []byte("# The plan\n"), 0o600)
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	}))}
	return opts
}

// planFile returns the file of the last plan that the journal names, "" if there is none.
func planFile(opts *client.Options) string {
	files, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "*", "*", "agents", "main", "wire.jsonl"))
	if err != nil || len(files) != 1 {
		return ""
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return ""
	}
	const head = "Plan file: "
	i := strings.LastIndex(string(data), head)
	if i < 0 {
		return ""
	}
	path, _, ok := strings.Cut(string(data[i+len(head):]), `\n`)
	if !ok {
		return ""
	}
	return path
}

func codePlanTold(msgs []wireproto.Message) (told []bool) {
	for _, m := range e2eOf[*wireproto.StatusUpdate](msgs) {
		if m.PlanMode != nil {
			told = append(told, *m.PlanMode)
		}
	}
	return told
}

// Status and the stream report that the agent enters and leaves plan mode, although only kimi's journal says so.
func TestKimiCodePlanMode(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	exit := func(id string) string { return clienttest.ToolCall(id, "ExitPlanMode", noInput{}) }
	choice := map[string]any{"options": []any{map[string]string{"label": "Fast", "description": "quick"}, map[string]string{"label": "Safe", "description": "slow"}}}
	opts := codePlan(t,
		clienttest.ToolCall("in", "EnterPlanMode", noInput{}), "text: planning",
		clienttest.ToolCall("w", "Write", map[string]string{"path": "no.txt", "content": "x"}), codeTool("p", "write_plan", noInput{}), exit("o-1"), "text: revised",
		clienttest.ToolCall("o-2", "ExitPlanMode", choice), codeBash("b", "true"), "text: doing it",
		clienttest.ToolCall("in-2", "EnterPlanMode", noInput{}), codeTool("p-2", "write_plan", noInput{}), exit("o-3"), // the answer to o-3 ends the turn
		codeBash("b-2", "true"), "text: not planning")
	opts.SupportsQuestion, opts.SupportsPlanMode = true, true
	s := e2eStart(t, ctx, opts)

	msgs := e2eTurn(t, ctx, s, "plan", nil)
	e2eSame(t, "entering, told", []bool{true}, codePlanTold(msgs))
	if !s.Status().PlanMode {
		t.Error("Status is not in plan mode")
	}
	answer := func(text string) func(wireproto.Message) {
		return func(m wireproto.Message) {
			switch m := m.(type) {
			case *client.QuestionRequest:
				if err := m.Answer(map[string]string{"Approve this plan": text}); err != nil {
					t.Error(err)
				}
			case *client.ApprovalRequest:
				if err := m.Approve(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	msgs = e2eTurn(t, ctx, s, "write", answer("Revise"))
	if r := resultOf(t, msgs, "w"); !r.IsError || exists(filepath.Join(opts.WorkDir, "no.txt")) {
		t.Errorf("plan mode lets files be written: %+v", r)
	}
	plans := e2eOf[*wireproto.PlanDisplay](msgs)
	if len(plans) != 1 || plans[0].Content != "# The plan\n" || !strings.HasSuffix(plans[0].FilePath, ".md") {
		t.Errorf("plans %+v", plans)
	}
	if r := resultOf(t, msgs, "o-1"); !strings.Contains(r.Output.String(), "User rejected the plan. Feedback:\n\nRevise") || codePlanTold(msgs) != nil || !s.Status().PlanMode {
		t.Errorf("revised: %+v, told %v", r, codePlanTold(msgs))
	}

	msgs = e2eTurn(t, ctx, s, "approve", answer("Safe"))
	if r := resultOf(t, msgs, "o-2"); !strings.Contains(r.Output.String(), "Selected approach: Safe") {
		t.Errorf("approved: %+v", r)
	}
	e2eSame(t, "leaving, told", []bool{false}, codePlanTold(msgs))
	if n := len(e2eOf[*client.ApprovalRequest](msgs)); n != 1 || s.Status().PlanMode {
		t.Errorf("%d requests after plan mode, plan mode %v", n, s.Status().PlanMode)
	}

	msgs = e2eTurn(t, ctx, s, "reject", answer("Reject and Exit"))
	e2eSame(t, "entered and left, told", []bool{true, false}, codePlanTold(msgs))
	asked, _ := codeAsked(t, ctx, s, "go on")
	e2eSame(t, "asked", []string{"Bash"}, asked)
}

// Each option of the question about a plan says what happens if it is chosen, and that happens.
func TestKimiCodePlanOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		label, description string
		goesOn, plan       bool
	}{
		{"Approve", "Plan mode ends, and the agent carries the plan out", true, false},
		{"Reject", "The turn ends, and plan mode stays on", false, true},
		{"Reject and Exit", "The turn ends, and plan mode is off", false, false},
		{"shorter, please", "Plan mode stays on, and the agent changes the plan as you say", true, true},
	} {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			opts := codePlan(t, codeTool("p", "write_plan", noInput{}), clienttest.ToolCall("out", "ExitPlanMode", noInput{}), "text: going on")
			opts.Plan, opts.SupportsQuestion, opts.SupportsPlanMode = true, true, true
			s := e2eStart(t, ctx, opts)
			var offered []wireproto.QuestionOption
			described := ""
			turn, err := s.Prompt(ctx, "plan")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e2eRead(turn, func(m wireproto.Message) {
				if q, ok := m.(*client.QuestionRequest); ok {
					offered, described = q.Questions[0].Options, q.Questions[0].OtherDescription
					if err := q.Answer(map[string]string{q.Questions[0].Question: tt.label}); err != nil {
						t.Error(err)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			result, err := turn.Result()
			if err != nil || (result.Text == "going on") != tt.goesOn {
				t.Errorf("the turn: %+v, %v; want that the model goes on: %v", result, err, tt.goesOn)
			}
			if s.Status().PlanMode != tt.plan {
				t.Errorf("plan mode is %v", s.Status().PlanMode)
			}
			for _, o := range offered {
				if o.Description == "" {
					t.Errorf("%s is not described", o.Label)
				}
				if o.Label == tt.label {
					described = o.Description
				}
			}
			if len(offered) != 3 || described != tt.description {
				t.Errorf("offered %+v, want %q for %s", offered, tt.description, tt.label)
			}
		})
	}
}

// In Kimi Code, plan mode replaces yolo. With Yolo, still nothing is asked in plan mode, except about the plan.
func TestKimiCodePlanYolo(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := codePlan(t,
		codeBash("b-1", "true"), "text: in plan mode",
		codeTool("p", "write_plan", noInput{}), clienttest.ToolCall("out", "ExitPlanMode", noInput{}), codeBash("b-2", "true"), codeBash("b-3", "false"), "text: out of it",
		codeBash("b-4", "true"), "text: still")
	opts.Yolo, opts.Plan = true, true
	s := e2eStart(t, ctx, opts)
	if !s.Status().PlanMode {
		t.Error("Status is not in plan mode")
	}
	asked, _ := codeAsked(t, ctx, s, "first")
	e2eSame(t, "asked in plan mode", []string(nil), asked)
	asked, msgs := codeAsked(t, ctx, s, "second")
	e2eSame(t, "asked on the way out", []string{"ExitPlanMode"}, asked)
	e2eSame(t, "told", []bool{false}, codePlanTold(msgs))
	asked, _ = codeAsked(t, ctx, s, "third")
	e2eSame(t, "asked after plan mode", []string(nil), asked)
	closed(t, s)

	// The program turns plan mode on and off.
	opts = clienttest.KimiCode(t, codeBash("b-5", "true"), "text: five", codeBash("b-6", "true"), "text: six")
	opts.Yolo = true
	s = e2eStart(t, ctx, opts)
	for _, on := range []bool{true, false} {
		if got, err := s.SetPlanMode(ctx, on); err != nil || got != on {
			t.Fatalf("SetPlanMode: %v, %v", got, err)
		}
		asked, _ = codeAsked(t, ctx, s, "go")
		e2eSame(t, "asked with SetPlanMode", []string(nil), asked)
	}
}

// With AFK nothing is asked, also in plan mode.
func TestKimiCodeAFK(t *testing.T) {
	t.Parallel()
	for _, plan := range []bool{false, true} {
		t.Run(map[bool]string{false: "default", true: "plan"}[plan], func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			scripts := []string{codeBash("b", "true"), ask("q", false, "Colour?")}
			if plan {
				scripts = append(scripts, codeTool("p", "write_plan", noInput{}), clienttest.ToolCall("out", "ExitPlanMode", noInput{}))
			}
			opts := codePlan(t, append(scripts, "text: done")...)
			opts.AFK, opts.Plan = true, plan
			s := e2eStart(t, ctx, opts)
			var asked []string
			msgs := e2eTurn(t, ctx, s, "go", func(m wireproto.Message) {
				switch m.(type) {
				case *client.QuestionRequest, *client.ApprovalRequest:
					asked = append(asked, m.MessageType())
				}
			})
			e2eSame(t, "asked", []string(nil), asked)
			if r := resultOf(t, msgs, "q"); strings.Contains(r.Output.String(), "Red") {
				t.Errorf("the question: %+v", r)
			}
			if plan && (!slices.Equal(codePlanTold(msgs), []bool{false}) || s.Status().PlanMode) {
				t.Errorf("plan mode told %v, is %v", codePlanTold(msgs), s.Status().PlanMode)
			}
		})
	}
}

// Kimi Code has its own rules: in a Git work tree it asks less than kimi-cli, and with yolo it asks more.
func TestKimiCodeOwnRules(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	file := func(id, path string) string {
		return clienttest.ToolCall(id, "Write", map[string]string{"path": path, "content": "x"})
	}
	opts := clienttest.KimiCode(t,
		file("w-1", "a.txt"), "text: plain",
		file("w-2", "b.txt"), file("w-3", ".git/hooks/pre-commit"), codeBash("b", "true"), "text: work tree",
		codeBash("d", "false && rm -rf ~"), file("w-4", ".git/hooks/pre-push"), "text: rejected")
	s := e2eStart(t, ctx, opts)
	asked, _ := codeAsked(t, ctx, s, "no work tree")
	e2eSame(t, "asked", []string{"Write"}, asked)
	if out, err := exec.Command("git", "init", "-q", opts.WorkDir).CombinedOutput(); err != nil {
		t.Fatalf("git: %v %s", err, out)
	}
	asked, _ = codeAsked(t, ctx, s, "a work tree")
	e2eSame(t, "asked in a work tree", []string{"Write", "Bash"}, asked)
	closed(t, s)

	opts.Yolo = true
	s = resumed(t, ctx, s.ID(), opts)
	var requests []string
	msgs := e2eTurn(t, ctx, s, "with yolo", func(m wireproto.Message) { // the loop answers no request
		if r, ok := m.(*client.ApprovalRequest); ok {
			requests = append(requests, callID(r.ToolCallID))
		}
	})
	e2eSame(t, "asked with Yolo", []string{"d", "w-4"}, requests)
	for _, id := range requests {
		if r := resultOf(t, msgs, id); !r.IsError {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if exists(filepath.Join(opts.WorkDir, ".git", "hooks", "pre-push")) {
		t.Error("a file was written without an approval")
	}
}
