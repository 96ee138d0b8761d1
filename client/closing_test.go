package client_test

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// asksAll is an agent that accepts tools and hooks, and sends every kind of request. what says when it sends them:
// outside of turns, in a turn, in a turn that is being cancelled, or after the end of its input.
func asksAll(answers *[]string, what string) memory {
	return func(a *agent) {
		a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+
			`,"hooks":{"supported_events":["PreToolUse"],"configured":{}},"external_tools":{"accepted":["t"],"rejected":[]}}`)
		ask := func() {
			kind := "background_agent"
			a.ask("approval")
			a.request("background", &wireproto.ApprovalRequest{ID: "background", SourceKind: &kind})
			a.request("question", &wireproto.QuestionRequest{ID: "question"})
			a.request("tool", &wireproto.ToolCallRequest{ID: "tool", Name: "t"})
			a.request("hook", &wireproto.HookRequest{ID: "hook", SubscriptionID: "mine", Event: "PreToolUse"})
			a.text("outside")
		}
		hear := func(f *wireproto.Frame) { *answers = append(*answers, f.ID+" "+outcome(f)) }
		if what == "outside" {
			ask()
		}
		for {
			f, err := a.in.Decode()
			switch {
			case err != nil && what == "closing":
				ask()
				a.exit(0)
			case err != nil:
				a.exit(0)
			case f.Method == wireproto.MethodPrompt:
				a.turn = f.ID
				if what == "turn" {
					ask()
				}
			case f.Method == wireproto.MethodCancel && a.turn != "":
				a.result(f.ID, "{}")
				if what == "cancelled" {
					ask()
					what = "" // send them only once
					continue
				}
				a.finish("cancelled")
			case f.Method == wireproto.MethodSteer:
				a.finish("cancelled")
				a.result(f.ID, "{}")
			case f.Method == "":
				hear(f)
			}
		}
	}
}

// handlersOf returns options with one handler of each kind.
func handlersOf(t *testing.T, called func(ctx context.Context, name string)) client.Options {
	tool, err := client.NewTool("t", "", func(ctx context.Context, _ struct{}) (string, error) {
		called(ctx, "tool")
		return "done", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return client.Options{
		Approve: func(ctx context.Context, r *client.ApprovalRequest) error {
			called(ctx, r.ID)
			return r.Approve()
		},
		Answer: func(ctx context.Context, r *client.QuestionRequest) error {
			called(ctx, "question")
			return r.Dismiss()
		},
		Tools: []client.Tool{tool},
		Hooks: []client.Hook{{ID: "mine", Event: "PreToolUse", Handle: func(ctx context.Context, _ *wireproto.HookRequest) (client.HookDecision, error) {
			called(ctx, "hook")
			return client.Allow(), nil
		}}},
		OnMessage: func(m wireproto.Message) { called(context.Background(), "OnMessage "+brief(m)) },
	}
}

// After Close has begun, no handler starts and nothing is approved.
func TestNoHandlerAfterClose(t *testing.T) {
	var answers []string
	opts := handlersOf(t, func(_ context.Context, name string) { t.Errorf("%s starts after Close has begun", name) })
	bubble(t, asksAll(&answers, "closing"), opts, func(t *testing.T, s *client.Session) {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		synctest.Wait()
	})
	if len(answers) > 0 {
		t.Errorf("answers: %q", answers)
	}
}

// Messages that wait for a busy OnMessage are dropped after Close has begun.
func TestNoOnMessageAfterClose(t *testing.T) {
	talks := func(a *agent) {
		a.handshake()
		for range 10 {
			a.text("a")
		}
		a.ask("r1")
		a.serve()
	}
	var calls atomic.Int32
	release := make(chan struct{})
	on := func(wireproto.Message) { calls.Add(1); <-release }
	synctest.Test(t, func(t *testing.T) {
		release = make(chan struct{})
		s, err := client.NewSession(t.Context(), &client.Options{Transport: memory(talks), WorkDir: t.TempDir(), ShareDir: t.TempDir(), OnMessage: on})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		go func() { <-s.Done(); close(release) }()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		synctest.Wait()
	})
	if n := calls.Load(); n != 1 {
		t.Errorf("OnMessage was called %d times", n)
	}
}

// Close waits for the handlers that run, at most for its limit, and ends their ctx.
func TestCloseWaitsForHandlers(t *testing.T) {
	for name, test := range map[string]struct {
		deaf bool // the handlers ignore their ctx
		want []string
	}{
		"obedient": {false, nil},
		"deaf":     {true, []string{"still running", "Approve", "OnMessage", "hook PreToolUse", "tool t", "StopGrace (5s)"}},
	} {
		t.Run(name, func(t *testing.T) {
			var running atomic.Int32
			var answers []string
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				opts := handlersOf(t, func(ctx context.Context, name string) {
					running.Add(1)
					defer running.Add(-1)
					done := ctx.Done()
					if strings.HasPrefix(name, "OnMessage") || test.deaf {
						done = nil
					}
					select {
					case <-release:
					case <-done:
						if err := context.Cause(ctx); err != client.ErrClosed {
							t.Errorf("%s: the cause is %v", name, err)
						}
						<-time.After(2 * time.Second) // the handler cleans up
					}
				})
				if !test.deaf {
					opts.OnMessage = nil
				}
				opts.Transport, opts.WorkDir, opts.ShareDir = asksAll(&answers, "outside"), t.TempDir(), t.TempDir()
				s, err := client.NewSession(t.Context(), &opts)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := running.Load(); n < 5 {
					t.Fatalf("%d handlers run", n)
				}
				began, errs := time.Now(), make(chan error, 2)
				for range cap(errs) {
					go func() { errs <- s.Close() }()
				}
				for range cap(errs) {
					err := <-errs
					took := time.Since(began)
					if test.deaf {
						for _, w := range test.want {
							if err == nil || !strings.Contains(err.Error(), w) {
								t.Errorf("Close: %v, without %q", err, w)
							}
						}
						if took != 5*time.Second {
							t.Errorf("Close took %v", took)
						}
						continue
					}
					if n := running.Load(); err != nil || took != 2*time.Second || n != 0 {
						t.Errorf("Close: %v, after %v, while %d handlers run", err, took, n)
					}
				}
				close(release)
				synctest.Wait()
				if err := s.Close(); err != nil {
					t.Errorf("Close after the handlers' end: %v", err)
				}
			})
			// If a hook is open at the end of the input, kimi allows the action. So the hook is answered.
			if len(answers) != 1 || !strings.Contains(answers[0], `"action":"block"`) {
				t.Errorf("answers: %q", answers)
			}
		})
	}
}

// A Close within a handler waits for no handler. A Close outside of handlers waits for that handler.
func TestCloseInTwoHandlers(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		a.ask("r1")
		a.ask("r2")
		a.serve()
	}
	sessions := make(chan *client.Session)
	var left atomic.Int32
	approve := func(context.Context, *client.ApprovalRequest) error {
		s := <-sessions
		err := s.Close()
		if err != nil {
			t.Errorf("Close in a handler: %v", err)
		}
		<-time.After(time.Second)
		left.Add(1)
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		sessions = make(chan *client.Session)
		s, err := client.NewSession(t.Context(), &client.Options{Transport: memory(asks), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Approve: approve})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // both handlers run
		began := time.Now()
		sessions <- s
		sessions <- s
		if err := s.Close(); err != nil || left.Load() != 2 || time.Since(began) != time.Second {
			t.Errorf("Close: %v after %v, %d handlers have ended", err, time.Since(began), left.Load())
		}
	})
}

// No handler starts for the requests of a turn that is being cancelled. A hook and a tool still get an answer. The
// requests of a background agent do not belong to the turn, so they go to OnMessage.
func TestNoHandlerAfterCancel(t *testing.T) {
	var answers []string
	var called []string
	opts := handlersOf(t, func(_ context.Context, name string) { called = append(called, name) })
	opts.Approve = nil
	bubble(t, asksAll(&answers, "cancelled"), opts, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		turn.Cancel(ctx)
		synctest.Wait() // the agent has sent its requests
		if diff := cmp.Diff([]string{"OnMessage live ApprovalRequest"}, called); diff != "" {
			t.Error(diff)
		}
	})
	want := []string{`background {"request_id":"background","response":"reject"}`,
		`tool {"tool_call_id":"tool","return_value":{"is_error":true,"output":"","message":"the turn was cancelled","display":[{"type":"brief","text":"Error"}]}}`,
		`hook {"request_id":"hook","action":"block","reason":"the turn was cancelled"}`}
	slices.Sort(answers)
	slices.Sort(want)
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Error(diff)
	}
}

// slowPipe is a Transport that delivers the first line of the output at once, and the rest only after the agent has
// ended.
type slowPipe struct{ memory }

type slowConn struct {
	*memoryConn
	rest *io.PipeReader
}

func (p slowPipe) Start(ctx context.Context, cmd *client.Command) (client.Conn, error) {
	c, err := p.memory.Start(ctx, cmd)
	if err != nil {
		return nil, err
	}
	m := c.(*memoryConn)
	rest, to := io.Pipe()
	go func() {
		out := bufio.NewReader(m.out)
		line, _ := out.ReadBytes('\n')
		to.Write(line)
		late, _ := io.ReadAll(out)
		<-m.ended
		synctest.Wait() // the client has seen the end of the agent
		to.Write(late)
		to.Close()
	}()
	return &slowConn{memoryConn: m, rest: rest}, nil
}

func (c *slowConn) Read(p []byte) (int, error) { return c.rest.Read(p) }

// No handler starts for a request that is read after its agent has ended.
func TestNoHandlerAfterTheEnd(t *testing.T) {
	asks := func(a *agent) {
		a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+
			`,"hooks":{"supported_events":["PreToolUse"],"configured":{}},"external_tools":{"accepted":["t"],"rejected":[]}}`)
		a.ask("approval")
		a.request("tool", &wireproto.ToolCallRequest{ID: "tool", Name: "t"})
		a.request("hook", &wireproto.HookRequest{ID: "hook", SubscriptionID: "mine", Event: "PreToolUse"})
		a.exit(3)
	}
	told := 0
	opts := handlersOf(t, func(_ context.Context, name string) {
		if told++; !strings.HasPrefix(name, "OnMessage") {
			t.Errorf("%s starts after the agent has ended", name)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		opts.Transport, opts.WorkDir, opts.ShareDir = slowPipe{asks}, t.TempDir(), t.TempDir()
		s, err := client.NewSession(t.Context(), &opts)
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		synctest.Wait()
		if told != 3 {
			t.Errorf("OnMessage was told of %d requests", told)
		}
		s.Close()
	})
}
