//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// codeBash returns the script line of a call of Kimi Code's tool Bash.
func codeBash(id, command string) string {
	return clienttest.ToolCall(id, "Bash", map[string]string{"command": command})
}

// codeFail runs a turn that must end with an error of the agent. Messages and Result must give the same error.
func codeFail(t testing.TB, ctx context.Context, s *client.Session, text string, want error, code int) ([]wireproto.Message, *client.TurnResult, *wireproto.RPCError) {
	t.Helper()
	msgs, res, err := playTurn(t, ctx, s, text)
	e2eIs(t, text, err, want)
	rpc := new(wireproto.RPCError)
	if errors.As(err, &rpc); rpc.Code != code || rpc.Method != wireproto.MethodPrompt || res.Status != "" {
		t.Errorf("%s: status %q, error %+v, want the code %d of prompt", text, res.Status, rpc, code)
	}
	return msgs, res, rpc
}

// codeTool returns the script line of a call of one of the program's own tools.
func codeTool(id, name string, args any) string {
	return clienttest.ToolCall(id, "mcp__program__"+name, args)
}

// Each way in which a turn can end gives the right error, and the session stays usable.
func TestKimiCodeOutcomes(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	failed := []string{"TurnBegin", "StepBegin", "StepInterrupted", "TurnEnd"}
	tests := []struct {
		name    string
		scripts []string
		want    error
		code    int
		status  int // the HTTP status in the error's data
		text    string
		types   []string // the types of the messages; nil means any
		retry   *wireproto.StepRetry
	}{
		{name: "400", scripts: []string{"error: 400 bad request of it"}, want: client.ErrProvider, code: wireproto.CodeChatProviderError, status: 400, types: failed},
		{name: "500", scripts: []string{"error: 500 first", "error: 502 second"}, want: client.ErrProvider, code: wireproto.CodeChatProviderError, status: 502,
			types: slices.Insert(slices.Clone(failed), 2, "StepRetry"),
			retry: &wireproto.StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 2, ErrorType: "APIStatusError", StatusCode: ptr(500)}},
		{name: "429", scripts: []string{"error: 429 slow", "error: 429 down"}, want: client.ErrProvider, code: wireproto.CodeChatProviderError, status: 429,
			types: slices.Insert(slices.Clone(failed), 2, "StepRetry"),
			retry: &wireproto.StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 2, ErrorType: "APIProviderRateLimitError", StatusCode: ptr(429)}},
		{name: "401", scripts: []string{"error: 401 no such key"}, want: client.ErrProvider, code: wireproto.CodeChatProviderError, status: 401},
		{name: "connection", scripts: []string{"error: connection", "error: connection"}, want: client.ErrProvider, code: wireproto.CodeChatProviderError,
			retry: &wireproto.StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 2, ErrorType: "APIConnectionError"}},
		{name: "an end without a reason", scripts: []string{"text: half of\nend:"}, want: client.ErrOutcomeUnknown, code: wireproto.CodeOutcomeUnknown, text: "half of"},
		{name: "after a tool", scripts: []string{codeBash("e-1", "true"), "text: and then\nend:"}, want: client.ErrOutcomeUnknown, code: wireproto.CodeOutcomeUnknown, text: "and then"},
		{name: "content filter", scripts: []string{"text: no\nfinish: content_filter"}, want: client.ErrProvider, code: wireproto.CodeChatProviderError, text: "no"},
	}
	var scripts []string
	for _, tt := range tests {
		scripts = append(scripts, tt.scripts...)
	}
	scripts = append(scripts, "text: as long as it may be\nfinish: length", "text: still usable")
	opts := clienttest.KimiCode(t, scripts...)
	opts.MaxRetriesPerStep, opts.Yolo = 2, true
	s := e2eStart(t, ctx, opts)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			msgs, res, rpc := codeFail(t, ctx, s, tt.name, tt.want, tt.code)
			if tt.types != nil {
				e2eSame(t, "messages", tt.types, withoutStatus(msgs))
			}
			e2eSame(t, "text", tt.text, res.Text)
			var data struct {
				Status int `json:"status_code"`
			}
			if json.Unmarshal(rpc.Data, &data); data.Status != tt.status {
				t.Errorf("data %s, want the status %d", rpc.Data, tt.status)
			}
			retries := e2eOf[*wireproto.StepRetry](msgs)
			if len(retries) != len(tt.scripts)-1-len(e2eOf[*wireproto.ToolResult](msgs)) {
				t.Errorf("%d retries", len(retries))
			}
			for _, r := range retries {
				if r.WaitS <= 0 {
					t.Errorf("retry %+v", r)
				}
				r.WaitS = 0
				e2eSame(t, "retry", tt.retry, r)
			}
		})
	}
	// The client does not learn that the model's answer was cut at its maximal length. kimi-cli also does not report
	// it.
	e2eText(t, ctx, s, "length", "as long as it may be")
	e2eText(t, ctx, s, "go on", "still usable")
}

func TestKimiCodeMaxSteps(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, say("text: one", codeBash("m", "echo x"), "usage: output=7"), "text: two")
	opts.Yolo, opts.MaxStepsPerTurn = true, 1
	s := e2eStart(t, ctx, opts)
	msgs, res, err := playTurn(t, ctx, s, "go")
	e2eIs(t, "the turn", err, client.ErrMaxSteps)
	e2eSame(t, "result", &client.TurnResult{Status: wireproto.StatusMaxSteps, Steps: 1, Text: "one", Usage: wireproto.TokenUsage{Output: 7}}, res)
	e2eSame(t, "tool", "x\n", resultOf(t, msgs, "m").Output.String())
	e2eText(t, ctx, s, "go on", "two")
}

// The model's stream is cut once, or in every attempt. The text of a failed attempt is not part of the result.
func TestKimiCodeCutStream(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t,
		say("text: half", "drop:"), "text: the whole",
		say("text: a", "drop:"), say("text: b", "drop:"))
	opts.MaxRetriesPerStep = 2
	s := e2eStart(t, ctx, opts)
	turn, err := s.Prompt(ctx, "go")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	tee := func(yield func(wireproto.Message, error) bool) {
		for m, err := range turn.Messages() {
			switch m := m.(type) {
			case *wireproto.TextPart:
				seen = append(seen, m.Text)
			case *wireproto.StepBegin, *wireproto.StepRetry:
				seen = append(seen, m.MessageType())
			}
			if !yield(m, err) {
				return
			}
		}
	}
	var texts []string
	for m, err := range client.Aggregate(tee) {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, m.Text())
	}
	e2eSame(t, "the stream", []string{"StepBegin", "half", "StepRetry", "the whole"}, seen)
	e2eSame(t, "its messages", []string{"the whole"}, texts)
	if res, err := turn.Result(); err != nil || res.Text != "the whole" || res.Steps != 1 {
		t.Errorf("result %+v, %v", res, err)
	}
	_, res, _ := codeFail(t, ctx, s, "again", client.ErrProvider, wireproto.CodeChatProviderError)
	e2eSame(t, "text", "b", res.Text)
}

// codeJournal returns the file in which Kimi Code records a session.
func codeJournal(t testing.TB, opts *client.Options, id string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "*", id, "agents", "main", "wire.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("journals of %q: %q, %v", id, files, err)
	}
	return files[0]
}
