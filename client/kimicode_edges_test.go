//go:build unix

package client_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Plan mode that the program has turned on also holds with Yolo. After plan mode, Yolo applies again. Later messages
// about these changes, which the bridge reads from kimi's own records, do not change them again.
func TestKimiCodePlanUnderYolo(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	file := func(id, name string) string {
		return clienttest.ToolCall(id, "Write", map[string]string{"path": name, "content": "x"})
	}
	opts := clienttest.KimiCode(t, file("w1", "no"), "text: one", file("w2", "no"), "text: two", file("w3", "yes"), "text: three")
	opts.Yolo = true
	s := e2eStart(t, ctx, opts)
	for _, step := range []struct {
		plan   bool
		prompt string
	}{{true, "one"}, {true, "two"}, {false, "three"}} { // for the second step, plan mode is already on
		got, err := s.SetPlanMode(ctx, step.plan)
		if err != nil || got != step.plan {
			t.Fatalf("SetPlanMode(%v): %v, %v", step.plan, got, err)
		}
		e2eText(t, ctx, s, step.prompt, step.prompt)
		if s.Status().PlanMode != step.plan {
			t.Errorf("%s: plan mode %v", step.prompt, s.Status().PlanMode)
		}
	}
	if exists(filepath.Join(opts.WorkDir, "no")) || !exists(filepath.Join(opts.WorkDir, "yes")) {
		t.Error("a file was written in plan mode, or no file was written after it")
	}
}

// A session in plan mode can be replayed, and can be continued with Options.Plan.
func TestKimiCodePlanKept(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, "text: one", "text: two")
	opts.Plan = true
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	if got := history(t, ctx, s); len(got) == 0 {
		t.Error("no history")
	}
	id := s.ID()
	closed(t, s)
	s = resumed(t, ctx, id, opts)
	e2eText(t, ctx, s, "second", "two")
	if !s.Status().PlanMode {
		t.Error("plan mode is off")
	}
	closed(t, s)
}

// A session cannot be resumed in another work dir, because kimi would work in the old one.
func TestKimiCodeOtherWorkDir(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, "text: one", clienttest.ToolCall("b", "Bash", map[string]string{"command": "echo hi > here"}), "text: two")
	opts.Yolo, opts.SessionID = true, "nightly"
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	first := s.ID()
	closed(t, s)
	other := *opts
	other.WorkDir = filepath.Join(filepath.Dir(opts.WorkDir), "other")
	if err := os.Mkdir(other.WorkDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s = e2eStart(t, ctx, &other)
	if s.ID() == first {
		t.Error("the session of the other work dir goes on")
	}
	e2eText(t, ctx, s, "second", "two")
	if !exists(filepath.Join(other.WorkDir, "here")) || exists(filepath.Join(opts.WorkDir, "here")) {
		t.Error("the command ran in the other work dir")
	}
	closed(t, s)
	other.SessionID = ""
	if s, err := client.ResumeSession(ctx, first, &other); !errors.Is(err, client.ErrSessionNotFound) {
		s.Close()
		t.Errorf("ResumeSession: %v", err)
	}
}

// After a cancelled /compact, the next prompt waits for the compaction, which cannot be stopped. kimi itself would
// queue the prompt.
func TestKimiCodePromptDuringCompaction(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, "text: one", "wait: 2s\ntext: the summary", "text: two")
	opts.SlashCommands = true
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	turn, err := s.Prompt(ctx, "/compact")
	if err != nil {
		t.Fatal(err)
	}
	for m := range turn.Messages() {
		if _, ok := m.(*wireproto.CompactionBegin); ok {
			if err := turn.Cancel(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := turn.Result(); !errors.Is(err, client.ErrCancelled) {
		t.Errorf("/compact: %v", err)
	}
	e2eText(t, ctx, s, "second", "two")
}

// A compaction that fails gives an error.
func TestKimiCodeCompactionFails(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, "text: one", "error: 400 no", "text: two")
	opts.SlashCommands = true
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	turn, err := s.Prompt(ctx, "/compact")
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := e2eRead(turn, func(wireproto.Message) {})
	var rpc *wireproto.RPCError
	if !errors.As(err, &rpc) || rpc.Code != wireproto.CodeInternalError || len(e2eOf[*wireproto.CompactionEnd](msgs)) > 0 {
		t.Errorf("/compact: %v, %q", err, e2eTypes(msgs))
	}
	e2eText(t, ctx, s, "second", "two")
}

// kimi renames tools with two underscores in a row. The client still recognises them as the program's tools.
func TestKimiCodeToolNames(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, clienttest.ToolCall("c", "mcp__program__read_file", noInput{}), "text: done")
	opts.Tools = []client.Tool{mustTool(client.NewTool("read__file", "", func(context.Context, noInput) (string, error) { return "it ran", nil }))}
	s := e2eStart(t, ctx, opts)
	msgs := e2eTurn(t, ctx, s, "go", nil)
	calls, asked := e2eOf[*wireproto.ToolCall](msgs), e2eOf[*wireproto.ToolCallRequest](msgs)
	if len(calls) != 1 || calls[0].Function.Name != "read__file" || len(asked) != 1 || asked[0].ID != calls[0].ID {
		t.Errorf("calls %+v, requests %+v", calls, asked)
	}
	if got := e2eResult(t, msgs, "c").Output.String(); got != "it ran" {
		t.Errorf("result %q", got)
	}
	if n := len(e2eOf[*client.ApprovalRequest](msgs)); n > 0 {
		t.Error("the program was asked about its own tool")
	}
	for _, names := range [][]string{{"a_b", "a__b"}, {strings.Repeat("x", 51)}} {
		opts := clienttest.KimiCode(t)
		for _, name := range names {
			opts.Tools = append(opts.Tools, mustTool(client.NewTool(name, "", func(context.Context, noInput) (string, error) { return "", nil })))
		}
		if s, err := client.NewSession(ctx, opts); err == nil || !strings.Contains(err.Error(), names[len(names)-1]) {
			s.Close()
			t.Errorf("%q: %v", names, err)
		}
	}
}

// If an attempt fails within a tool call, no call stays open, and the steps after it have the right numbers.
func TestKimiCodeRetryInToolCall(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	call := func(id string) string {
		return clienttest.ToolCall(id, "Bash", map[string]string{"command": "true # a command"})
	}
	for name, second := range map[string]string{"another id": "p2", "the same id": "p1"} {
		t.Run(name, func(t *testing.T) {
			opts := clienttest.KimiCode(t, call("p1")+"\ndrop:", call(second), call("p3"), "text: the end")
			opts.Yolo = true
			s := e2eStart(t, ctx, opts)
			turn, err := s.Prompt(ctx, "go")
			if err != nil {
				t.Fatal(err)
			}
			msgs, err := e2eRead(turn, func(wireproto.Message) {})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := turn.Result(); err != nil || r.Steps != 3 || r.Text != "the end" {
				t.Errorf("result %+v, %v", r, err)
			}
			open := make(map[string]int)
			for _, m := range msgs {
				switch m := m.(type) {
				case *wireproto.ToolCall:
					open[m.ID]++
				case *wireproto.ToolResult:
					open[m.ToolCallID]--
				}
			}
			for id, n := range open {
				if n != 0 {
					t.Errorf("%s: %d calls without a result", id, n)
				}
			}
			if len(e2eOf[*wireproto.StepRetry](msgs)) != 1 || len(e2eOf[*wireproto.ToolCall](msgs)) != 3 {
				t.Errorf("messages %q", e2eTypes(msgs))
			}
		})
	}
}
