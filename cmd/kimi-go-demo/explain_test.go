package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

func TestExplain(t *testing.T) {
	rpc := &wireproto.RPCError{Method: wireproto.MethodPrompt, Code: -32001, Message: "its words"}
	for _, tt := range []struct {
		err        error
		line, hint string
	}{
		{fmt.Errorf("%w: %w", client.ErrLLMNotSet, rpc), "no model is set: its words", "kimi login"},
		{fmt.Errorf("%w: %w", client.ErrLLMNotSupported, rpc), "the model cannot do this: its words", "--model"},
		{fmt.Errorf("%w: %w", client.ErrProvider, rpc), "the model's provider failed: its words", "try again"},
		{client.ErrMaxSteps, "the turn reached the limit of steps", "--max-steps"},
		{fmt.Errorf("%w: %w", client.ErrOutcomeUnknown, rpc), "it is not known how the turn ended", "look at what it has done"},
		{client.ErrAuthExpired, "the login has expired", "kimi login"},
		{fmt.Errorf("%w (5s): the last message was TurnBegin", client.ErrIdle), "the agent has been silent for --idle-timeout (5s): the last message was TurnBegin", "raise --idle-timeout"},
		{fmt.Errorf("%w: %q in x", client.ErrSessionNotFound, "id"), `no such session: "id" in x`, program + " sessions"},
		{fmt.Errorf("%w: session %q keeps yolo mode; set Options.Yolo", client.ErrUnasked, "id"), "the session keeps yolo mode, in which", "kimi-go-demo resume --yolo id"},
		{fmt.Errorf("%w: dir", client.ErrInUse), "the session is open in another program", "close it there"},
		{&client.NotFoundError{Tried: []string{"Options.Executable x"}}, "kimi was not found: tried --kimi x", "uv tool install --python 3.13 kimi-cli==1.51.0"},
		{&client.IncompatibleError{Path: "/k", Found: "Kimi Code 2.0"}, "/k is Kimi Code 2.0", "uv tool install --python 3.13 kimi-cli==1.51.0"},
		{&client.ProcessError{ExitCode: 2, Args: []string{"kimi"}}, "kimi ended with exit code 2", "arguments"},
		{&client.ProcessError{ExitCode: -1, Signal: "killed", Args: []string{"kimi"}}, "kimi was ended by a signal (killed)", "doctor"},
		{errors.Join(&client.OptionError{Option: "WorkDir", Reason: "a", Remedy: "name one"}, &client.OptionError{Option: "ConfigFile", Reason: "b", Remedy: "name one"}), "--work-dir: a; --config: b", "name one"},
		{&client.StartError{Path: "/k", Reason: "it ran and said nothing", Remedy: "start fewer at once", Limit: time.Minute}, "start /k: no answer within 1m0s: it ran and said nothing", "start fewer at once"},
		{usage("bad"), "bad", "--help"},
		{errors.New("client: new"), "new", "doctor"},
		{fmt.Errorf("client: %w", &wireproto.RPCError{Method: "m", Code: -32603, Message: "new"}), "new", "doctor"},
	} {
		line, hint := explain(tt.err)
		if !strings.HasPrefix(line, tt.line) || strings.Contains(line, "\n") {
			t.Errorf("%v: line %q, want %q first", tt.err, line, tt.line)
		}
		if !strings.Contains(hint, tt.hint) {
			t.Errorf("%v: hint %q lacks %q", tt.err, hint, tt.hint)
		}
		if strings.Contains(line+hint, "Options") || strings.Contains(line+hint, "ResumeSession") {
			t.Errorf("speaks to Go programs: %s / %s", line, hint)
		}
	}
}

// An error about something that a person has mistyped has the words of this command, and no hint that does not help.
func TestExplainSlips(t *testing.T) {
	for _, tt := range []struct {
		err        error
		line, hint string
	}{
		{&client.TurnsError{Turns: 99, Available: 1}, "the session has 1 turn, not 99", "use at most 1"},
		{&client.OptionError{Option: "Model", Reason: `the configuration has no model "nope"; it has a, b`, Remedy: "use one that it has", Err: client.ErrLLMNotSet},
			`the configuration has no model "nope"; it has a, b`, "use one that it has"},
		{&client.OptionError{Option: "Effort", Reason: `there is no thinking effort "nope"`, Remedy: "use one that the model offers; Session.Models lists them", Err: client.ErrUnsupported},
			`there is no thinking effort "nope"`, "use one that the model offers; /model in a chat lists them"},
		{fmt.Errorf("client: %w", &wireproto.RPCError{Method: "undo", Code: -32602, Message: "undo: nothing to undo"}), "undo: nothing to undo", ""},
		{errors.New("there are 2 turns to take back"), "there are 2 turns to take back", ""},
	} {
		if line, hint := explain(tt.err); line != tt.line || hint != tt.hint {
			t.Errorf("%v: %q, hint %q; want %q, hint %q", tt.err, line, hint, tt.line, tt.hint)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a-b/c.d": "a-b/c.d", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "é": "'é'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}
