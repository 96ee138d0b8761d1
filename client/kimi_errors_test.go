package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// failTurn runs a turn that must end with an error of the agent. Messages and Result must give the same error.
func failTurn(t testing.TB, ctx context.Context, s *client.Session, text string, want error, code int, parts ...wireproto.ContentPart) ([]wireproto.Message, *client.TurnResult) {
	t.Helper()
	turn, err := s.Prompt(ctx, text, parts...)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := e2eRead(turn, nil)
	res, again := turn.Result()
	if res == nil {
		t.Fatal("nil result")
	}
	for _, err := range []error{err, again} {
		e2eIs(t, text, err, want)
		var rpc *wireproto.RPCError
		switch {
		case code == 0:
		case !errors.As(err, &rpc):
			t.Errorf("%s: error %v is no *wireproto.RPCError", text, err)
		case rpc.Code != code || rpc.Method != wireproto.MethodPrompt:
			t.Errorf("%s: %+v, want the code %d of prompt", text, rpc, code)
		}
	}
	if code != 0 && res.Status != "" {
		t.Errorf("%s: status %q with an error", text, res.Status)
	}
	return msgs, res
}

// The provider of the model fails, always or once. The model refuses content that it does not support.
func TestKimiProviderErrors(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t,
		"error: 400 bad request of it",
		"error: 500 first", "error: 502 second",
		"error: 429 slow down", say("text: at last", "usage: output=1"),
		"error: connection refused, say", "text: connected",
		"text: still usable",
	)
	opts.MaxRetriesPerStep = 2
	s := e2eStart(t, ctx, opts)

	msgs, res := failTurn(t, ctx, s, "400", client.ErrProvider, wireproto.CodeChatProviderError)
	e2eSame(t, "400", []string{"TurnBegin", "StepBegin", "StepInterrupted", "TurnEnd"}, e2eTypes(msgs))
	e2eSame(t, "400", &client.TurnResult{Steps: 1}, res)

	msgs, _ = failTurn(t, ctx, s, "500", client.ErrProvider, wireproto.CodeChatProviderError)
	e2eSame(t, "500", []string{"TurnBegin", "StepBegin", "StepRetry", "StepInterrupted", "TurnEnd"}, e2eTypes(msgs))

	for _, tt := range []struct {
		prompt, text, errorType string
		status                  *int
	}{
		{"429", "at last", "APIStatusError", ptr(429)},
		{"connection", "connected", "APIConnectionError", nil},
	} {
		msgs = e2eTurn(t, ctx, s, tt.prompt, nil)
		retries := e2eOf[*wireproto.StepRetry](msgs)
		if len(retries) != 1 || retries[0].WaitS <= 0 {
			t.Fatalf("%s: retries %+v", tt.prompt, retries)
		}
		retries[0].WaitS = 0
		e2eSame(t, tt.prompt, &wireproto.StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 2, ErrorType: tt.errorType, StatusCode: tt.status}, retries[0])
		e2eSame(t, tt.prompt, tt.text, e2eOf[*wireproto.TextPart](msgs)[0].Text)
	}

	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:image/png;base64,AA=="}}
	msgs, res = failTurn(t, ctx, s, "image", client.ErrLLMNotSupported, wireproto.CodeLLMNotSupported, image)
	e2eSame(t, "image", []string{"TurnBegin", "TurnEnd"}, e2eTypes(msgs))
	e2eSame(t, "image", &client.TurnResult{}, res)
	e2eText(t, ctx, s, "text", "still usable")
}

func TestKimiMaxSteps(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, say("text: one", shell("m", "echo x"), "usage: output=7"), "text: two")
	opts.Yolo, opts.MaxStepsPerTurn = true, 1
	s := e2eStart(t, ctx, opts)
	msgs, res := failTurn(t, ctx, s, "go", client.ErrMaxSteps, 0)
	e2eSame(t, "result", &client.TurnResult{Status: wireproto.StatusMaxSteps, Steps: 1, Text: "one", Usage: wireproto.TokenUsage{Output: 7}}, res)
	e2eSame(t, "tool", "x\n", e2eResult(t, msgs, "m").Output.String())
	e2eText(t, ctx, s, "go on", "two")
}

func TestKimiNoModel(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t)
	opts.Config, opts.SlashCommands = &config.Config{}, true
	s := e2eStart(t, ctx, opts)
	if s.Model() != "" {
		t.Errorf("model %q", s.Model())
	}
	for range 2 {
		msgs, res := failTurn(t, ctx, s, "hello", client.ErrLLMNotSet, wireproto.CodeLLMNotSet)
		e2eSame(t, "messages", []string{"TurnBegin", "TurnEnd"}, e2eTypes(msgs))
		e2eSame(t, "result", &client.TurnResult{}, res)
	}
	e2eText(t, ctx, s, "/nonesuch", `Unknown slash command "/nonesuch".`)
}

// The model's API and the login server no longer accept the login.
func TestKimiAuthExpired(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	var mu sync.Mutex
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":{"message":"The API Key appears to be invalid","type":"invalid_authentication_error"}}`)
	}))
	defer api.Close()

	opts := clienttest.Kimi(t)
	for _, key := range []string{"NO_PROXY", "no_proxy"} {
		opts.Env[key] = "127.0.0.1"
	}
	opts.Env["KIMI_CODE_OAUTH_HOST"] = api.URL // the server that refreshes the login
	const provider = "managed:kimi-code"       // the name that kimi login gives to the provider
	opts.Config = &config.Config{
		DefaultModel: "login",
		Providers: map[string]config.Provider{provider: {
			Type: config.ProviderKimi, BaseURL: api.URL + "/coding/v1", OAuth: &config.OAuthRef{Storage: "file", Key: "oauth/kimi-code"},
		}},
		Models: map[string]config.Model{"login": {Provider: provider, Model: "m", MaxContextSize: 100000}},
	}
	token, err := json.Marshal(map[string]any{
		"access_token": "tok-e2e", "refresh_token": "refresh-e2e", "expires_at": time.Now().Add(24 * time.Hour).Unix(), "scope": "", "token_type": "Bearer",
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(opts.ShareDir, "credentials")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kimi-code.json"), token, 0o600); err != nil {
		t.Fatal(err)
	}
	s := e2eStart(t, ctx, opts)
	msgs, _ := failTurn(t, ctx, s, "hello", client.ErrAuthExpired, wireproto.CodeAuthExpired)
	e2eSame(t, "messages", []string{"TurnBegin", "StepBegin", "StepInterrupted", "TurnEnd"}, e2eTypes(msgs))
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(asked, "\n"); !strings.Contains(all, "/chat/completions Bearer tok-e2e") || !strings.Contains(all, "/api/oauth/token ") {
		t.Errorf("asked for:\n%s\nwant the model with the login's token, and a new token", all)
	}
}

// IdleTimeout ends a turn while the agent is silent. The time that this side takes does not count.
func TestKimiIdleTimeout(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	const limit = time.Second
	opts := clienttest.Kimi(t,
		shell("i-1", "sleep 60"), "text: usable",
		shell("i-2", "echo late"), "text: approved",
		clienttest.ToolCall("i-3", "slow", noInput{}), "text: returned",
	)
	opts.IdleTimeout = limit
	waited := func() { // wait for longer than the limit
		select {
		case <-time.After(limit * 5 / 2):
		case <-ctx.Done():
		}
	}
	opts.Tools = []client.Tool{mustTool(client.NewTool("slow", "", func(context.Context, noInput) (string, error) {
		waited()
		return "slept", nil
	}))}
	s := e2eStart(t, ctx, opts)

	turn, err := s.Prompt(ctx, "sleep")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = e2eRead(turn, func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			if err := r.Approve(); err != nil {
				t.Error(err)
			}
		}
	})
	e2eIs(t, "the turn", err, client.ErrIdle)
	if err != nil && !strings.Contains(err.Error(), "Shell (i-1)") {
		t.Errorf("error %q does not name the call", err)
	}
	if took := time.Since(begin); took < limit || took > 30*time.Second {
		t.Errorf("it took %v, want %v and a little", took, limit)
	}
	if res, err := turn.Result(); !errors.Is(err, client.ErrIdle) || res.Status != wireproto.StatusCancelled || res.Steps != 1 {
		t.Errorf("result %+v, %v", res, err)
	}
	e2eText(t, ctx, s, "next", "usable")

	msgs := e2eTurn(t, ctx, s, "ask", func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			waited()
			if err := r.Approve(); err != nil {
				t.Error(err)
			}
		}
	})
	e2eSame(t, "result", "late\n", e2eResult(t, msgs, "i-2").Output.String())

	msgs = e2eTurn(t, ctx, s, "call", nil)
	e2eSame(t, "result", "slept", e2eResult(t, msgs, "i-3").Output.Text)
}
