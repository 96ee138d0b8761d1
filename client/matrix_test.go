package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// TestMatrix tries every feature of this package with the kimi that is installed. Each feature must work or return
// ErrUnsupported; nothing may hang or fail in another way. `make matrix` runs it with old releases and prints the rows
// of the table.
func TestMatrix(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	row := []string{}
	note := func(feature string, err error) {
		t.Helper()
		switch {
		case err == nil:
			row = append(row, "yes")
		case errors.Is(err, client.ErrUnsupported):
			row = append(row, "no")
		default:
			row = append(row, "FAILS")
			t.Errorf("%s: %v", feature, err)
		}
	}
	scripts := []string{
		"text: hello\n" + clienttest.ToolCall("a", "Shell", map[string]string{"command": "echo 1"}), "text: approved",
		"text: two\n" + clienttest.ToolCall("b", "Shell", map[string]string{"command": "sleep 100"}),
		"text: three",
	}
	opts := clienttest.Kimi(t, scripts...)
	version := "?"
	if info, err := client.Inspect(ctx, opts); err == nil {
		version = fmt.Sprintf("kimi-cli %s (%s)", info.Version, info.WireVersion)
		if info.PythonVersion == "n/a" {
			version = fmt.Sprintf("kimi-agent %s (%s)", info.Version, info.WireVersion)
		}
	} else {
		t.Fatal(err)
	}
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	approved := false
	turn, err := s.Prompt(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	for m, loopErr := range turn.Messages() {
		if err = loopErr; err != nil {
			break
		}
		if a, ok := m.(*client.ApprovalRequest); ok {
			approved = a.Approve() == nil
		}
	}
	note("prompt", err)
	if !approved {
		err = errors.New("no approval was asked")
	}
	note("approval", err)

	// Steer and SetPlanMode are called while a turn waits for its approval. Then the turn is cancelled.
	var steer, plan error
	if turn, err = s.Prompt(ctx, "two"); err != nil {
		t.Fatal(err)
	}
	for m := range turn.Messages() {
		if _, ok := m.(*client.ApprovalRequest); ok {
			steer = s.Steer(ctx, "more")
			_, plan = s.SetPlanMode(ctx, true)
			break
		}
	}
	_, err = turn.Result()
	if !errors.Is(err, client.ErrCancelled) {
		err = fmt.Errorf("cancelled turn: %w", err)
	} else {
		err = nil
	}
	note("cancel", err)
	note("steer", steer)
	note("plan mode", plan)
	note("replay", func() error {
		n := 0
		for _, err := range s.Replay(ctx) {
			if err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return errors.New("empty")
		}
		return nil
	}())
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	note("resume", func() error {
		if os.Getenv("KIMI_GO_MATRIX") != "" && strings.Contains(version, "kimi-cli 1.0 ") {
			return client.ErrUnsupported // this program keeps its sessions in ~/.kimi and ignores KIMI_SHARE_DIR
		}
		s, err := client.ResumeSession(ctx, s.ID(), opts)
		if err != nil {
			return err
		}
		return s.Close()
	}())

	tool, err := client.NewTool("answer", "answers", func(context.Context, struct{}) (string, error) { return "42", nil })
	if err != nil {
		t.Fatal(err)
	}
	opts = clienttest.Kimi(t, "text: x\n"+clienttest.ToolCall("c", "answer", struct{}{}), "text: done")
	opts.Yolo, opts.Tools = true, []client.Tool{tool}
	note("Go tools", runOnce(ctx, opts, func(m wireproto.Message) bool {
		r, ok := m.(*wireproto.ToolResult)
		return ok && r.ReturnValue.Output.String() == "42"
	}))

	opts = clienttest.Kimi(t, "text: x\n"+clienttest.ToolCall("d", "Shell", map[string]string{"command": "echo 1"}), "text: done")
	opts.Yolo = true
	opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		return client.Block("not today"), nil
	}}}
	note("hooks", runOnce(ctx, opts, func(m wireproto.Message) bool {
		r, ok := m.(*wireproto.ToolResult)
		return ok && r.ReturnValue.IsError
	}))
	opts = clienttest.Kimi(t, clienttest.ToolCall("e", "Shell", map[string]string{"command": "echo 1"}), "text: done",
		clienttest.ToolCall("f", "Shell", map[string]string{"command": "echo 1"}), "text: done")
	opts.SlashCommands, opts.Approve = true, client.RejectAll
	yoloTold(t, ctx, opts)
	t.Logf("matrix: | %s | %s |", version, strings.Join(row, " | "))
}

// yoloTold checks that the status says whether the agent asks, also if kimi does not store what /yolo has changed. The
// model calls a tool in each turn.
func yoloTold(t *testing.T, ctx context.Context, opts *client.Options) {
	t.Helper()
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, want := range []string{"/yolo", ""} {
		asked := 0
		for _, text := range []string{"/yolo", "go"} {
			turn, err := s.Prompt(ctx, text)
			if err != nil {
				t.Fatal(err)
			}
			for m, err := range turn.Messages() {
				if err != nil {
					t.Errorf("%s: %v", text, err)
				}
				if _, ok := m.(*wireproto.ApprovalRequest); ok {
					asked++
				}
			}
		}
		if got := s.Status().Approvals.All; got != want || asked > 0 != (want == "") {
			t.Errorf("%q runs everything unasked, want %q; asked %d times", got, want, asked)
		}
	}
}

// runOnce runs one turn. It returns an error unless seen returns true for one of the messages.
func runOnce(ctx context.Context, opts *client.Options, seen func(wireproto.Message) bool) error {
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	turn, err := s.Prompt(ctx, "go")
	if err != nil {
		return err
	}
	found := false
	for m, err := range turn.Messages() {
		if err != nil {
			return err
		}
		found = found || seen(m)
	}
	if !found {
		return errors.New("what was waited for did not come")
	}
	return nil
}
