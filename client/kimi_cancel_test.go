package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// errEnough is the cause with which the tests cancel.
var errEnough = errors.New("enough of it")

// waysToCancel are the ways in which this side can cancel a turn.
var waysToCancel = []string{"Cancel", "ctx", "break"}

// cancelTurn runs a turn, and cancels it in the given way at the first message for which at returns true.
func cancelTurn(t *testing.T, ctx context.Context, s *client.Session, prompt, way string, at func(wireproto.Message) bool) []wireproto.Message {
	t.Helper()
	turnCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turn, err := s.Prompt(turnCtx, prompt)
	if err != nil {
		t.Fatal(err)
	}
	var msgs []wireproto.Message
	var last error
	acted := false
loop:
	for m, err := range turn.Messages() {
		if last = err; err != nil {
			continue
		}
		msgs = append(msgs, m)
		if acted || !at(m) {
			continue
		}
		acted = true
		switch way {
		case "Cancel":
			if err := turn.Cancel(ctx); err != nil {
				t.Errorf("Cancel: %v", err)
			}
		case "ctx":
			stop(errEnough)
		case "break":
			break loop
		}
	}
	if !acted {
		t.Fatalf("nothing to cancel at in %v, %v", e2eTypes(msgs), last)
	}
	res, err := turn.Result()
	e2eIs(t, "Result", err, client.ErrCancelled)
	if way != "break" {
		e2eIs(t, "Messages", last, client.ErrCancelled)
	}
	if way == "ctx" {
		e2eIs(t, "Result", err, errEnough)
		e2eIs(t, "Messages", last, errEnough)
	}
	if res.Status != wireproto.StatusCancelled {
		t.Errorf("status %q, want cancelled", res.Status)
	}
	return msgs
}

func TestKimiCancel(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	long := strings.Repeat("text: 0123456789abcdef\n", 3000)
	question := map[string]any{"questions": []any{map[string]any{"question": "Which?", "options": []any{map[string]string{"label": "A"}, map[string]string{"label": "B"}}}}}

	// A handler that delays the turn sends to running, and then sends the cause of its ctx to ended.
	running, ended := make(chan struct{}, 1), make(chan error, 1)
	hold := func(ctx context.Context) error {
		running <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}
	handlerEnded := func(t *testing.T, way string) {
		cause := recv(t, ctx, "the handler's ctx", ended)
		want := client.ErrCancelled
		if way == "ctx" {
			want = errEnough
		}
		e2eIs(t, "cause of the handler's ctx", cause, want)
	}
	pending := func(t *testing.T, err error, done <-chan struct{}) {
		recv(t, ctx, "Done of the request", done)
		if !errors.Is(err, client.ErrAnswered) && !errors.Is(err, client.ErrNoTurn) {
			t.Errorf("answer after the end: %v, want ErrAnswered or ErrNoTurn", err)
		}
	}
	var pidFile string
	var approval *client.ApprovalRequest
	var asked *client.QuestionRequest

	phases := []struct {
		name   string
		prompt string
		script string // "" if the turn does not call the model
		at     func(*testing.T, wireproto.Message) bool
		after  func(t *testing.T, way string, msgs []wireproto.Message)
	}{
		{
			name: "streaming", prompt: "talk", script: long + shell("s", "true"),
			at: func(t *testing.T, m wireproto.Message) bool { _, ok := m.(*wireproto.TextPart); return ok },
		},
		{
			name: "approval pending", prompt: "ask me", script: shell("a", "echo no"),
			at: func(t *testing.T, m wireproto.Message) (ok bool) {
				approval, ok = m.(*client.ApprovalRequest)
				return ok
			},
			after: func(t *testing.T, way string, msgs []wireproto.Message) {
				pending(t, approval.Approve(), approval.Done())
				if r := e2eOf[*wireproto.ToolResult](msgs); len(r) != 0 {
					t.Errorf("a result of a cancelled call: %+v", r[0])
				}
			},
		},
		{
			name: "question pending", prompt: "ask me", script: clienttest.ToolCall("q", "AskUserQuestion", question),
			at: func(t *testing.T, m wireproto.Message) (ok bool) {
				asked, ok = m.(*client.QuestionRequest)
				return ok
			},
			after: func(t *testing.T, way string, msgs []wireproto.Message) {
				pending(t, asked.Answer(map[string]string{"Which?": "A"}), asked.Done())
			},
		},
		{
			// See TestBackendsCancel for the reason of the cat.
			name: "shell running", prompt: "sleep", script: shell("sl", "cat; echo $$ > pid.tmp; mv pid.tmp pid; exec sleep 30"),
			at: func(t *testing.T, m wireproto.Message) bool {
				if a, ok := m.(*client.ApprovalRequest); ok {
					if err := a.Approve(); err != nil {
						t.Error(err)
					}
				}
				if _, ok := m.(*wireproto.ApprovalResponse); !ok {
					return false
				}
				eventually(t, 20*time.Second, func() bool { _, err := os.Stat(pidFile); return err == nil }, func() string { return "no " + pidFile })
				return true
			},
			after: func(t *testing.T, way string, msgs []wireproto.Message) {
				data, err := os.ReadFile(pidFile)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(pidFile); err != nil {
					t.Fatal(err)
				}
				pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
				if err != nil {
					t.Fatal(err)
				}
				p, err := os.FindProcess(pid)
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, 10*time.Second, func() bool { return p.Signal(syscall.Signal(0)) != nil }, func() string { return "the sleep runs on" })
			},
		},
		{
			name: "tool running", prompt: "hold", script: clienttest.ToolCall("h", "hold", struct{}{}),
			at: func(t *testing.T, m wireproto.Message) bool {
				if _, ok := m.(*wireproto.ToolCallRequest); !ok {
					return false
				}
				recv(t, ctx, "the tool's start", running)
				return true
			},
			after: func(t *testing.T, way string, msgs []wireproto.Message) { handlerEnded(t, way) },
		},
		{
			name: "prompt hook running", prompt: "hold the prompt",
			at: func(t *testing.T, m wireproto.Message) bool {
				if _, ok := m.(*wireproto.HookRequest); !ok {
					return false
				}
				recv(t, ctx, "the hook's start", running)
				return true
			},
			after: func(t *testing.T, way string, msgs []wireproto.Message) {
				handlerEnded(t, way)
				for _, m := range msgs {
					switch m.(type) {
					case *wireproto.TurnBegin, *wireproto.TurnEnd, wireproto.ContentPart:
						t.Errorf("%s of a turn that the hook held up", m.MessageType())
					}
				}
			},
		},
		{
			name: "tool hook running", prompt: "call it", script: clienttest.ToolCall("g", "guarded", struct{}{}),
			at: func(t *testing.T, m wireproto.Message) bool {
				if _, ok := m.(*wireproto.HookRequest); !ok {
					return false
				}
				recv(t, ctx, "the hook's start", running)
				return true
			},
			after: func(t *testing.T, way string, msgs []wireproto.Message) {
				handlerEnded(t, way)
				if r := e2eOf[*wireproto.ToolCallRequest](msgs); len(r) != 0 {
					t.Error("the guarded tool was called")
				}
			},
		},
		{
			name: "retrying", prompt: "fail", script: "error: 429 slow down",
			at: func(t *testing.T, m wireproto.Message) bool { _, ok := m.(*wireproto.StepRetry); return ok },
		},
	}

	var scripts []string
	for _, ph := range phases {
		for range waysToCancel {
			if ph.script != "" {
				scripts = append(scripts, ph.script)
			}
			scripts = append(scripts, "text: after "+ph.name)
		}
	}
	opts := clienttest.Kimi(t, scripts...)
	pidFile = filepath.Join(opts.WorkDir, "pid")
	opts.SupportsQuestion = true
	opts.Tools = []client.Tool{
		mustTool(client.NewTool("hold", "", func(ctx context.Context, _ struct{}) (string, error) { return "", hold(ctx) })),
		mustTool(client.NewTool("guarded", "", func(context.Context, struct{}) (string, error) { return "", nil })),
	}
	holdHook := func(ctx context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
		return client.Allow(), hold(ctx)
	}
	opts.Hooks = []client.Hook{
		{Event: "UserPromptSubmit", Matcher: "^hold the prompt$", Handle: holdHook},
		{Event: "PreToolUse", Matcher: "guarded", Handle: holdHook},
	}
	s := e2eStart(t, ctx, opts)
	for _, ph := range phases {
		for _, way := range waysToCancel {
			t.Run(ph.name+" by "+way, func(t *testing.T) {
				msgs := cancelTurn(t, ctx, s, ph.prompt, way, func(m wireproto.Message) bool { return ph.at(t, m) })
				if ph.after != nil {
					ph.after(t, way, msgs)
				}
				e2eText(t, ctx, s, "next", "after "+ph.name)
			})
		}
	}
}

// fakeAPI is the HTTP API of a model on the loopback interface, with streaming. It sends one text. If hold is not
// closed yet, it then sends nothing until the client goes away.
type fakeAPI struct {
	*httptest.Server
	endless chan struct{} // a request that takes a value from it is answered without an end
	gone    chan struct{} // gets a value for each such request that the client has ended
}

func newFakeAPI(t *testing.T) *fakeAPI {
	f := &fakeAPI{endless: make(chan struct{}, 1), gone: make(chan struct{}, 1)}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/chat/completions") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		event := func(delta string, finish any) {
			data, _ := json.Marshal(map[string]any{
				"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
				"choices": []any{map[string]any{"index": 0, "delta": map[string]string{"content": delta}, "finish_reason": finish}},
			})
			fmt.Fprintf(w, "data: %s\n\n", data)
			w.(http.Flusher).Flush()
		}
		event("streamed", nil)
		select {
		case <-f.endless:
			<-r.Context().Done()
			f.gone <- struct{}{}
		default:
			event("", "stop")
			fmt.Fprint(w, "data: [DONE]\n\n")
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// options returns options with which kimi uses the API.
func (f *fakeAPI) options(t *testing.T, provider string) *client.Options {
	opts := clienttest.Kimi(t)
	opts.Env["NO_PROXY"], opts.Env["no_proxy"] = "127.0.0.1", "127.0.0.1"
	opts.Config = &config.Config{
		DefaultModel: "fake",
		Providers:    map[string]config.Provider{provider: {Type: config.ProviderKimi, BaseURL: f.URL + "/v1", APIKey: "key"}},
		Models:       map[string]config.Model{"fake": {Provider: provider, Model: "m", MaxContextSize: 100000}},
	}
	return opts
}

// The scripted model sends its whole text at once. With this API, the turn is cancelled in the middle of the text.
func TestKimiCancelStreaming(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	api := newFakeAPI(t)
	s := e2eStart(t, ctx, api.options(t, "fake"))
	for _, way := range waysToCancel {
		t.Run(way, func(t *testing.T) {
			api.endless <- struct{}{}
			cancelTurn(t, ctx, s, "talk", way, func(m wireproto.Message) bool {
				text, ok := m.(*wireproto.TextPart)
				return ok && text.Text == "streamed"
			})
			recv(t, ctx, "the end of the model's request", api.gone)
			e2eText(t, ctx, s, "next", "streamed")
		})
	}
}

// If kimi does not react, Cancel returns when its ctx ends and kimi continues to run. But if the ctx of a turn ends,
// kimi is killed after Options.StopGrace.
func TestKimiCancelDisobeyed(t *testing.T) {
	kill, err := exec.LookPath("kill")
	if err != nil {
		t.Skip("no kill")
	}
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, shell("d-1", "echo 1"), "text: alive", shell("d-2", "echo 2"))
	opts.StartTimeout, opts.StopGrace = time.Minute, time.Second
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	signal := func(name string) {
		t.Helper()
		if out, err := exec.CommandContext(ctx, kill, "-"+name, strconv.Itoa(s.PID())).CombinedOutput(); err != nil {
			t.Fatalf("kill -%s: %v: %s", name, err, out)
		}
	}
	turn, err := s.Prompt(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	_, err = e2eRead(turn, func(m wireproto.Message) {
		if _, ok := m.(*client.ApprovalRequest); !ok {
			return
		}
		signal("STOP")
		short, cancel := context.WithTimeoutCause(ctx, 2*opts.StopGrace, errEnough)
		defer cancel()
		e2eIs(t, "Cancel of a stopped kimi", turn.Cancel(short), errEnough)
		if err := s.Err(); err != nil {
			t.Errorf("Cancel has killed kimi: %v", err)
		}
		signal("CONT")
	})
	e2eIs(t, "the turn", err, client.ErrCancelled)
	e2eText(t, ctx, s, "next", "alive")

	// A loop that is slow after its replay was cancelled does not cause a kill of a kimi that reacts.
	gone, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := 0
	for range s.Replay(gone) {
		if n++; n == 1 {
			cancel(errEnough)
			select {
			case <-time.After(2 * opts.StopGrace):
			case <-s.Done():
				t.Fatalf("a slow loop over a replay: %v", s.Err())
			}
		}
	}
	if n == 0 {
		t.Error("nothing replayed")
	}

	turnCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if turn, err = s.Prompt(turnCtx, "two"); err != nil {
		t.Fatal(err)
	}
	_, err = e2eRead(turn, func(m wireproto.Message) {
		if _, ok := m.(*client.ApprovalRequest); ok {
			signal("STOP")
			stop(errEnough)
		}
	})
	var process *client.ProcessError
	if !errors.As(err, &process) || process.Signal == "" {
		t.Errorf("the turn: %v, want a ProcessError with a signal", err)
	}
	e2eIs(t, "the turn", err, client.ErrCancelled, errEnough)
	recv(t, ctx, "the session's end", s.Done())
	if _, err := s.Prompt(ctx, "three"); !errors.As(err, &process) {
		t.Errorf("Prompt after the end: %v", err)
	}
}
