package clienttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

func session(t *testing.T, opts *client.Options) *client.Session {
	t.Helper()
	s, err := client.NewSession(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// types runs a turn, approves all its requests, and returns the types of its messages.
func types(t *testing.T, s *client.Session, text string) (list []string, err error) {
	t.Helper()
	turn, err := s.Prompt(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range turn.Messages() {
		if err != nil {
			return list, err
		}
		list = append(list, m.MessageType())
		if a, ok := m.(*client.ApprovalRequest); ok {
			if err := a.Approve(); err != nil {
				t.Error(err)
			}
		}
	}
	return list, nil
}

func TestAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool, err := client.NewTool("add", "adds", func(_ context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil })
		if err != nil {
			t.Fatal(err)
		}
		agent := clienttest.NewAgent(t,
			func(turn *clienttest.Turn) {
				turn.Think("hm")
				turn.Say("hello")
				if answer := turn.Approval(wireproto.ApprovalRequest{Action: "run command"}, nil); answer.Response != wireproto.Approve {
					t.Errorf("answer: %+v", answer)
				}
				turn.Step()
				if got := turn.Tool("add", map[string]int{"A": 1, "B": 2}).Output.String(); got != "3" {
					t.Errorf("tool: %q", got)
				}
				if d := turn.Hook("h", "PreToolUse", "Shell", nil); d.Action != wireproto.HookBlock || d.Reason != "no" {
					t.Errorf("hook: %+v", d)
				}
			},
			func(turn *clienttest.Turn) { turn.Fail(wireproto.CodeChatProviderError, "429") },
			func(turn *clienttest.Turn) { turn.Say("…"); turn.Hang() },
			func(turn *clienttest.Turn) { turn.Die(&client.ProcessError{ExitCode: 3}) },
		)
		s := session(t, &client.Options{
			Transport: agent, WorkDir: t.TempDir(), Tools: []client.Tool{tool}, IdleTimeout: time.Hour,
			Hooks: []client.Hook{{ID: "h", Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
				return client.Block("no"), nil
			}}},
		})
		got, err := types(t, s, "one")
		want := []string{"TurnBegin", "StepBegin", "ContentPart", "ContentPart", "ToolCall", "ApprovalRequest", "ApprovalResponse", "ToolResult", "StepBegin",
			"ToolCall", "ToolCallRequest", "ToolResult", "HookTriggered", "HookRequest", "HookResolved", "TurnEnd"}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		if _, err := types(t, s, "two"); !errors.Is(err, client.ErrProvider) {
			t.Errorf("fail: %v", err)
		}
		if _, err := types(t, s, "three"); !errors.Is(err, client.ErrIdle) { // synctest lets an hour pass at once
			t.Errorf("hang: %v", err)
		}
		var exit *client.ProcessError
		if _, err := types(t, s, "four"); !errors.As(err, &exit) || exit.ExitCode != 3 {
			t.Errorf("die: %v", err)
		}
		if diff := cmp.Diff([]string{"one", "two", "three", "four"}, agent.Prompts()); diff != "" {
			t.Error(diff)
		}
	})
}

// Die with a nil error also ends the turn with an error.
func TestAgentDiesOfNothing(t *testing.T) {
	t.Parallel()
	agent := clienttest.NewAgent(t, func(turn *clienttest.Turn) { turn.Say("half"); turn.Die(nil) })
	answer, err := client.Ask(t.Context(), "hi", &client.Options{Transport: agent, Yolo: true})
	var exit *client.ProcessError
	if answer != "half" || !errors.As(err, &exit) || exit == nil || exit.Signal != "killed" {
		t.Errorf("%q, %v", answer, err)
	}
}

// recording runs kimi once with a turn that asks for an approval, records it, and returns the file.
func recording(t *testing.T) string {
	t.Helper()
	opts := clienttest.Kimi(t,
		"text: look\n"+clienttest.ToolCall("c1", "Shell", map[string]string{"command": "echo 1"}),
		"text: done", "text: again")
	var rec bytes.Buffer
	opts.Record = &rec
	s := session(t, opts)
	for _, text := range []string{"first", "second"} {
		if _, err := types(t, s, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{opts.WorkDir, opts.Env["HOME"]} {
		if strings.Contains(rec.String(), secret) {
			t.Errorf("the recording holds %s", secret)
		}
	}
	file := filepath.Join(t.TempDir(), "rec.jsonl")
	if err := os.WriteFile(file, rec.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A recording of the real kimi can be replayed.
func TestKimiRecording(t *testing.T) {
	file := recording(t)
	s := session(t, &client.Options{Transport: clienttest.Replay(t, file), WorkDir: t.TempDir()})
	if v := s.Server().Server.Version; v != "1.51.0" {
		t.Errorf("version %q", v)
	}
	got, err := types(t, s, "first")
	if err != nil || !strings.Contains(strings.Join(got, " "), "ApprovalRequest") {
		t.Errorf("first: %v %v", got, err)
	}
	if _, err := types(t, s, "second"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

const tour, tourPrompt = "../../testdata/tour.jsonl", "Make greeting.txt greet Go programmers."

func TestReplay(t *testing.T) {
	s := session(t, &client.Options{Transport: clienttest.Replay(t, tour), WorkDir: t.TempDir()})
	if v := s.Server().Server.Version; v != "1.51.0" {
		t.Errorf("version %q", v)
	}
	got, err := types(t, s, tourPrompt)
	if err != nil || !strings.Contains(strings.Join(got, " "), "ApprovalRequest") {
		t.Errorf("%v %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// fakeT records failures and does not fail.
type fakeT struct {
	testing.TB
	log chan string
}

func (f *fakeT) Helper() {}
func (f *fakeT) Errorf(format string, args ...any) {
	f.log <- strings.ReplaceAll(format, "%s", "") + " " + strings.Join(strings.Fields(sprint(args)), " ")
}

func TestReplayDiffers(t *testing.T) {
	fake := &fakeT{t, make(chan string, 10)}
	s := session(t, &client.Options{Transport: clienttest.Replay(fake, tour), WorkDir: t.TempDir()})
	if _, err := types(t, s, "something else"); err == nil {
		t.Error("no error from a turn that differs")
	}
	select {
	case got := <-fake.log:
		if !strings.Contains(got, "line ") || !strings.Contains(got, "something else") || !strings.Contains(got, tourPrompt) {
			t.Errorf("complaint: %s", got)
		}
	default:
		t.Error("no complaint")
	}
}

func sprint(args []any) string { return fmt.Sprint(args...) }
