//go:build unix

package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A text that is sent while a turn runs reaches the model in that turn, and appears as a SteerInput.
func TestKimiCodeSteer(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	model := clienttest.NewModel(t, codeTool("h", "hold", noInput{}), "text: faster it is", "text: usable")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
	var s *client.Session
	opts.Tools = []client.Tool{mustTool(client.NewTool("hold", "", func(ctx context.Context, _ noInput) (string, error) {
		return "held", s.Steer(ctx, "faster")
	}))}
	s = e2eStart(t, ctx, opts)
	if err := s.Steer(ctx, "nothing runs"); !errors.Is(err, client.ErrNoTurn) {
		t.Errorf("without a turn: %v", err)
	}
	msgs, res, err := playTurn(t, ctx, s, "go")
	if err != nil || res.Text != "faster it is" {
		t.Errorf("%+v, %v", res, err)
	}
	if r := resultOf(t, msgs, "h"); r.IsError || r.Output.String() != "held" {
		t.Errorf("the tool: %+v", r)
	}
	steered := e2eOf[*wireproto.SteerInput](msgs)
	if len(steered) != 1 || steered[0].UserInput.String() != "faster" {
		t.Errorf("steered %+v", steered)
	}
	if requests := model.Requests(); len(requests) != 2 || !strings.Contains(string(requests[1]), "faster") {
		t.Errorf("%d requests, or the second without the steer", len(requests))
	}
	e2eText(t, ctx, s, "go on", "usable")
}

// The transcript of a step that was steered has the text of the user, but not as a text of the model.
func TestKimiCodeSteerText(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, codeBash("w", "until [ -e go ]; do sleep 0.05; done"), "text: steered")
	opts.Yolo = true
	s := e2eStart(t, ctx, opts)
	turn, err := s.Prompt(ctx, "go")
	if err != nil {
		t.Fatal(err)
	}
	for msg, err := range turn.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		switch m := msg.(type) {
		case *wireproto.ToolCall:
			if err := s.Steer(ctx, "hurry"); err != nil {
				t.Error(err)
			}
			write(t, filepath.Join(opts.WorkDir, "go"), "", 0o600)
		case *wireproto.Notification:
			t.Errorf("told %+v", m)
		}
	}
	if result, err := turn.Result(); err != nil || result.Text != "steered" {
		t.Errorf("%+v, %v", result, err)
	}
}

// Hooks of the program decide about tools, prompts and the end of a turn, also with Yolo. An action that they block
// does not run.
func TestKimiCodeHooks(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	model := clienttest.NewModel(t,
		say(codeBash("a", "touch allowed"), codeBash("b", "touch blocked"), codeTool("c", "own", noInput{})), "text: done", "text: once more",
		"text: never")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
	opts.Yolo = true
	opts.Tools = []client.Tool{mustTool(client.NewTool("own", "", func(context.Context, noInput) (string, error) { return "ran", nil }))}
	var mu sync.Mutex
	var seen []string
	hook := func(event, matcher string, decide func(*wireproto.HookRequest) client.HookDecision) client.Hook {
		return client.Hook{Event: event, Matcher: matcher, Handle: func(_ context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
			mu.Lock()
			seen = append(seen, strings.TrimSpace(r.Event+" "+r.Target))
			mu.Unlock()
			return decide(r), nil
		}}
	}
	stops := 0
	opts.Hooks = []client.Hook{
		hook("PreToolUse", "Bash", func(r *wireproto.HookRequest) client.HookDecision {
			if strings.Contains(string(r.InputData["tool_input"]), "blocked") {
				return client.Block("not that")
			}
			return client.Allow()
		}),
		hook("PreToolUse", "^own$", func(*wireproto.HookRequest) client.HookDecision { return client.Block("not the program's either") }),
		hook("UserPromptSubmit", "", func(r *wireproto.HookRequest) client.HookDecision {
			if strings.Contains(string(r.InputData["prompt"]), "forbidden") {
				return client.Block("no such prompts")
			}
			return client.Allow()
		}),
		hook("Stop", "", func(*wireproto.HookRequest) client.HookDecision {
			if stops++; stops == 1 {
				return client.Block("one more round")
			}
			return client.Allow()
		}),
	}
	s := e2eStart(t, ctx, opts)
	msgs, res, err := playTurn(t, ctx, s, "go")
	if err != nil || res.Text != "once more" {
		t.Errorf("%+v, %v", res, err)
	}
	if !wasRun(t, opts, "allowed") || wasRun(t, opts, "blocked") {
		t.Errorf("carried out: allowed %v, blocked %v", wasRun(t, opts, "allowed"), wasRun(t, opts, "blocked"))
	}
	for id, reason := range map[string]string{"b": "not that", "c": "not the program's either"} {
		if r := resultOf(t, msgs, id); !r.IsError || !strings.Contains(r.Output.String(), reason) {
			t.Errorf("%s: %+v", id, r)
		}
	}
	var blocked []string
	for _, r := range e2eOf[*wireproto.HookResolved](msgs) {
		if r.Action == wireproto.HookBlock {
			blocked = append(blocked, r.Event+": "+r.Reason)
		}
	}
	e2eSame(t, "blocked, as the stream tells", []string{"PreToolUse: not that", "PreToolUse: not the program's either", "Stop: one more round"}, blocked)
	if _, _, err := playTurn(t, ctx, s, "forbidden"); err != nil {
		t.Errorf("a blocked prompt: %v", err)
	}
	if n := len(model.Requests()); n != 3 {
		t.Errorf("the model was called %d times, want 3", n)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"PreToolUse Bash", "PreToolUse own", "UserPromptSubmit", "Stop"} {
		if !slices.Contains(seen, want) {
			t.Errorf("no %s among %q", want, seen)
		}
	}
}

// A bad hook of the user would make Kimi Code drop all hooks silently. The hooks of the program must still block.
func TestKimiCodeHooksBesideBadOnes(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, codeBash("b", "touch blocked"), "text: done")
	write(t, opts.ShareDir+"/config.toml", "[[hooks]]\nevent = \"NoSuchEvent\"\ncommand = \"true\"\n", 0o600)
	opts.Yolo = true
	opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		return client.Block("no"), nil
	}}}
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		if !strings.Contains(err.Error(), "hooks") {
			t.Errorf("NewSession: %v", err)
		}
		return // the session does not start, which is safe
	}
	defer closed(t, s)
	if _, _, err := playTurn(t, ctx, s, "go"); err != nil || wasRun(t, opts, "blocked") {
		t.Errorf("%v, carried out: %v", err, wasRun(t, opts, "blocked"))
	}
}

// Pictures with a URL, large pictures and videos reach the model.
func TestKimiCodeMedia(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	model := clienttest.NewModel(t, "text: large", "text: video")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
	opts.Env["KIMI_MODEL_CAPABILITIES"] = "image_in,video_in"
	s := e2eStart(t, ctx, opts)
	png, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
	if err != nil {
		t.Fatal(err)
	}
	large := "data:image/png;base64," + base64.StdEncoding.EncodeToString(append(png, bytes.Repeat([]byte{0}, 2<<20)...))
	_, res, err := playTurn(t, ctx, s, "see", &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: large}})
	if err != nil || res.Text != "large" {
		t.Fatalf("%+v, %v", res, err)
	}
	if !strings.Contains(string(model.Requests()[0]), "image_url") {
		t.Errorf("no image in %.500s", model.Requests()[0])
	}
	_, res, err = playTurn(t, ctx, s, "watch", &wireproto.VideoURLPart{VideoURL: wireproto.MediaURL{URL: "data:video/mp4;base64,AAAAIGZ0eXBpc29tAAACAGlzb21pc28yYXZjMW1wNDE="}})
	if err != nil || res.Text != "video" {
		t.Errorf("%+v, %v", res, err)
	}
	if _, _, err := playTurn(t, ctx, s, strings.Repeat("long ", 300_000)); err == nil || !strings.Contains(err.Error(), "1044480") {
		t.Errorf("a prompt that the server does not take: %v", err)
	}
}

// A side question is answered during the turn, and leaves no trace in the history of the session.
func TestKimiCodeSideQuestion(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	model := clienttest.NewModel(t, "text: first", "text: an aside", "text: second")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
	opts.SlashCommands = true
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "one", "first")
	msgs, _, err := playTurn(t, ctx, s, "/btw what is this?")
	if err != nil {
		t.Fatal(err)
	}
	begin, end := e2eOf[*wireproto.BtwBegin](msgs), e2eOf[*wireproto.BtwEnd](msgs)
	if len(begin) != 1 || begin[0].Question != "what is this?" || len(end) != 1 || end[0].Response == nil || *end[0].Response != "an aside" || end[0].ID != begin[0].ID {
		t.Errorf("begin %+v, end %+v", begin, end)
	}
	if texts := e2eOf[*wireproto.TextPart](msgs); len(texts) > 0 {
		t.Errorf("it is told as the model's text: %+v", texts[0])
	}
	e2eText(t, ctx, s, "two", "second")
	if last := string(model.Requests()[2]); strings.Contains(last, "an aside") {
		t.Error("the session's own agent knows of it")
	}
}

// If an MCP server does not start, the stream reports that, and the turn continues without the server.
func TestKimiCodeMCPFailed(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, say("wait: 3s", "text: done"))
	opts.MCPServers = map[string]config.MCPServer{"broken": {Command: "false"}}
	s := e2eStart(t, ctx, opts)
	msgs, res, err := playTurn(t, ctx, s, "go")
	if err != nil || res.Text != "done" {
		t.Errorf("%+v, %v", res, err)
	}
	notes := e2eOf[*wireproto.Notification](msgs)
	if len(notes) != 1 || notes[0].Type != "bridge.mcp_failed" || !strings.Contains(notes[0].Title, "broken") {
		t.Errorf("notifications %+v", notes)
	}
	if mcp := s.Status().MCP; mcp == nil || mcp.Total != 1 || mcp.Connected != 0 || mcp.Servers[0].Status != "failed" {
		t.Errorf("status %+v", mcp)
	}
}

// If one entry in the user's mcp.json is bad, Kimi Code silently uses none of its MCP servers. The library says why,
// and names each server.
func TestKimiCodeMCPDropped(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, say("wait: 3s", "text: done"))
	write(t, filepath.Join(opts.ShareDir, "mcp.json"), `{"mcpServers": {"good": {"command": "sleep", "args": ["60"]}, "bad": {"command": "sleep", "args": null}}}`, 0o600)
	told := make(chan string, 10)
	opts.OnMessage = func(m wireproto.Message) {
		if n, ok := m.(*wireproto.Notification); ok {
			told <- n.Body
		}
	}
	s := e2eStart(t, ctx, opts)
	if got := recv(t, ctx, "the reason", told); !strings.Contains(got, `"bad": args must not be null`) {
		t.Errorf("told of %q", got)
	}
	msgs, res, err := playTurn(t, ctx, s, "go")
	if err != nil || res.Text != "done" {
		t.Errorf("%+v, %v", res, err)
	}
	var titles []string
	for _, n := range e2eOf[*wireproto.Notification](msgs) {
		titles = append(titles, n.Type+" "+n.Title)
	}
	if want := []string{"bridge.mcp_failed The MCP server bad did not start", "bridge.mcp_failed The MCP server good did not start"}; !slices.Equal(titles, want) {
		t.Errorf("told of %q", titles)
	}
	if mcp := s.Status().MCP; mcp == nil || mcp.Total != 2 || mcp.Connected != 0 || mcp.Loading {
		t.Errorf("status %+v", mcp)
	}
}
