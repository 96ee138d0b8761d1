package client_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// requests is an agent that sends every kind of request, and then a text about how each was answered.
func requests(background bool) memory {
	return func(a *agent) {
		a.handshake()
		a.begin()
		r := &wireproto.ApprovalRequest{ID: "r1"}
		if background {
			kind := "background_agent"
			r.SourceKind = &kind
		}
		a.request("r1", r)
		if background {
			a.finish("finished")
		}
		answer := a.answer("r1")
		if background {
			a.begin()
		}
		a.text(answer)
		a.finish("finished")
		a.serve()
	}
}

func TestRequestAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(t *testing.T, r *client.ApprovalRequest)
		want string
	}{
		"twice": {func(t *testing.T, r *client.ApprovalRequest) {
			if err := r.ApproveForSession(); err != nil {
				t.Error(err)
			}
			select {
			case <-r.Done():
			default:
				t.Error("Done is open")
			}
			if err := r.Reject("no"); err != client.ErrAnswered {
				t.Errorf("second answer: %v", err)
			}
		}, `{"request_id":"r1","response":"approve_for_session"}`},
		"with feedback": {func(t *testing.T, r *client.ApprovalRequest) {
			if err := r.Reject("use git"); err != nil {
				t.Error(err)
			}
		}, `{"request_id":"r1","response":"reject","feedback":"use git"}`},
		"not at all": {func(t *testing.T, r *client.ApprovalRequest) {}, `{"request_id":"r1","response":"reject"}`},
		"later": {func(t *testing.T, r *client.ApprovalRequest) {
			r.Hold()
			go func() {
				<-time.After(time.Hour)
				r.Approve()
			}()
		}, `{"request_id":"r1","response":"approve"}`},
		"by two at once": {func(t *testing.T, r *client.ApprovalRequest) {
			var answered atomic.Int32
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					switch err := r.Approve(); err {
					case nil:
						answered.Add(1)
					case client.ErrAnswered:
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := answered.Load(); n != 1 {
				t.Errorf("%d answers", n)
			}
		}, `{"request_id":"r1","response":"approve"}`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, requests(false), client.Options{}, func(t *testing.T, s *client.Session) {
				var got []string
				for m, err := range prompt(t, t.Context(), s).Messages() {
					if err != nil {
						t.Fatal(err)
					}
					if r, ok := m.(*client.ApprovalRequest); ok {
						test.do(t, r)
						continue
					}
					got = append(got, brief(m))
				}
				if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", test.want, "TurnEnd"}, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// The request of a background agent is still open after the turn in which it came. Any other request is not.
func TestRequestOutlives(t *testing.T) {
	bubble(t, requests(true), client.Options{}, func(t *testing.T, s *client.Session) {
		var held *client.ApprovalRequest
		for m, err := range prompt(t, t.Context(), s).Messages() {
			if err != nil {
				t.Error(err)
			}
			if r, ok := m.(*client.ApprovalRequest); ok {
				held = r
				r.Hold()
			}
		}
		if err := held.Approve(); err != nil {
			t.Error(err)
		}
		got, err := loop(prompt(t, t.Context(), s).Messages())
		if err != nil || got[2] != `{"request_id":"r1","response":"approve"}` {
			t.Errorf("%q, %v", got, err)
		}
	})
	leaves := func(a *agent) {
		a.handshake()
		a.begin()
		a.ask("r1")
		a.finish("finished")
		a.serve()
	}
	bubble(t, leaves, client.Options{}, func(t *testing.T, s *client.Session) {
		var held *client.ApprovalRequest
		for m := range prompt(t, t.Context(), s).Messages() {
			if r, ok := m.(*client.ApprovalRequest); ok {
				held = r
				r.Hold()
			}
		}
		<-held.Done()
		if err := held.Approve(); !errors.Is(err, client.ErrNoTurn) {
			t.Errorf("Approve after the turn: %v", err)
		}
	})
}

// outside is an agent that sends requests while no turn runs. In the next turn it says how they were answered.
func outside(a *agent) {
	a.handshake()
	a.text("before")
	a.ask("r1")
	a.text("after")
	answer := a.answer("r1")
	a.begin()
	a.text(answer)
	a.finish("finished")
	a.serve()
}

func TestOutsideOfTurns(t *testing.T) {
	const rejected, approved = `{"request_id":"r1","response":"reject"}`, `{"request_id":"r1","response":"approve"}`
	asked := func(do func(*client.ApprovalRequest)) func(wireproto.Message) {
		return func(m wireproto.Message) {
			if r, ok := m.(*client.ApprovalRequest); ok {
				do(r)
			}
		}
	}
	for name, test := range map[string]struct {
		opts client.Options
		want string
	}{
		"no OnMessage":        {client.Options{}, rejected},
		"nothing done":        {client.Options{OnMessage: func(wireproto.Message) {}}, rejected},
		"approved":            {client.Options{OnMessage: asked(func(r *client.ApprovalRequest) { r.Approve() })}, approved},
		"panic":               {client.Options{OnMessage: asked(func(*client.ApprovalRequest) { panic("oops") })}, rejected},
		"Goexit":              {client.Options{OnMessage: asked(func(*client.ApprovalRequest) { runtime.Goexit() })}, rejected},
		"held":                {client.Options{OnMessage: asked(func(r *client.ApprovalRequest) { r.Hold(); go func() { <-time.After(time.Hour); r.Approve() }() })}, approved},
		"handler":             {client.Options{Approve: client.ApproveAll}, approved},
		"handler that leaves": {client.Options{Approve: func(context.Context, *client.ApprovalRequest) error { return nil }}, rejected},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			if on := test.opts.OnMessage; on != nil {
				test.opts.OnMessage = func(m wireproto.Message) {
					got = append(got, brief(m))
					on(m)
				}
			}
			bubble(t, outside, test.opts, func(t *testing.T, s *client.Session) {
				synctest.Wait()
				turn, err := loop(prompt(t, t.Context(), s).Messages())
				if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", test.want, "TurnEnd"}, turn); diff != "" || err != nil {
					t.Error(diff, err)
				}
			})
			if test.opts.OnMessage != nil {
				if diff := cmp.Diff([]string{"before", "live ApprovalRequest", "after"}, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// An OnMessage that blocks does not delay turns.
func TestOnMessageBlocks(t *testing.T) {
	talks := func(a *agent) {
		a.handshake()
		a.text("a", "b")
		a.serve()
	}
	var got []string
	on := func(m wireproto.Message) {
		<-time.After(time.Hour)
		got = append(got, brief(m))
	}
	bubble(t, talks, client.Options{OnMessage: on}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		synctest.Wait()
		works(t, s)
		works(t, s)
		if d := time.Since(began); d != 0 {
			t.Errorf("the turns took %v", d)
		}
		<-time.After(3 * time.Hour)
	})
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" {
		t.Error(diff)
	}
}

// The amount of data that waits for a blocked OnMessage is limited. Further messages are dropped and logged, and
// requests among them are rejected. Turns continue.
func TestOnMessageBounded(t *testing.T) {
	const n = 5000
	var answer string
	floods := func(a *agent) {
		a.handshake()
		for range n {
			a.text(strings.Repeat("x", 1000))
		}
		a.ask("r1")
		answer = a.answer("r1")
		a.serve()
	}
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		calls, release := 0, make(chan struct{})
		s, err := client.NewSession(t.Context(), &client.Options{
			Transport: memory(floods), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
			OnMessage: func(wireproto.Message) { calls++; <-release },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		synctest.Wait()
		if diff := cmp.Diff(`{"request_id":"r1","response":"reject"}`, answer); diff != "" {
			t.Error(diff)
		}
		works(t, s)
		close(release)
		synctest.Wait()
		if calls < 800 || calls > 1200 {
			t.Errorf("OnMessage was called %d times", calls)
		}
	})
	if text := log.String(); strings.Count(text, "dropped") != 2 || !strings.Contains(text, "messages=") {
		t.Errorf("the log: %.500s", text)
	}
}

// If a hook does not decide in time, or fails in any way, the action is blocked.
func TestHookFailsClosed(t *testing.T) {
	run := func(a *agent) {
		a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+`,"hooks":{"supported_events":["PreToolUse"],"configured":{}}}`)
		a.begin()
		a.request("h1", &wireproto.HookRequest{ID: "h1", SubscriptionID: "mine", Event: "PreToolUse"})
		a.text(a.answer("h1"))
		a.finish("finished")
		a.serve()
	}
	for name, test := range map[string]struct {
		decide func() (client.HookDecision, error)
		took   time.Duration
		want   string
	}{
		"allows":            {func() (client.HookDecision, error) { return client.Allow(), nil }, 0, `"action":"allow"`},
		"blocks":            {func() (client.HookDecision, error) { return client.Block("no"), nil }, 0, `"action":"block","reason":"no"`},
		"zero":              {func() (client.HookDecision, error) { return client.HookDecision{}, nil }, 0, `"action":"block"`},
		"allows and errors": {func() (client.HookDecision, error) { return client.Allow(), errors.New("oops") }, 0, `"action":"block"`},
		"panics":            {func() (client.HookDecision, error) { panic("oops") }, 0, `"action":"block"`},
		"Goexit":            {func() (client.HookDecision, error) { runtime.Goexit(); return client.Allow(), nil }, 0, `"action":"block"`},
		"hangs":             {func() (client.HookDecision, error) { <-time.After(time.Hour); return client.Allow(), nil }, 5 * time.Second, `"action":"block"`},
	} {
		t.Run(name, func(t *testing.T) {
			hook := client.Hook{ID: "mine", Event: "PreToolUse", Timeout: 5 * time.Second, Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
				return test.decide()
			}}
			bubble(t, run, client.Options{Hooks: []client.Hook{hook}}, func(t *testing.T, s *client.Session) {
				began := time.Now()
				got, err := loop(prompt(t, t.Context(), s).Messages())
				if d := time.Since(began); d != test.took {
					t.Errorf("it took %v", d)
				}
				if err != nil || !strings.Contains(got[3], test.want) {
					t.Errorf("%q, %v", got, err)
				}
				<-time.After(2 * time.Hour) // wait for the handler that hangs
			})
		})
	}
}

// If the goroutine of a handler ends, as by t.FailNow, the answer is the same as after a panic.
func TestHandlerGone(t *testing.T) {
	for name, leave := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			approve := func(context.Context, *client.ApprovalRequest) error { leave(); return nil }
			bubble(t, requests(false), client.Options{Approve: approve}, func(t *testing.T, s *client.Session) {
				got, err := loop(prompt(t, t.Context(), s).Messages())
				if err != nil || got[3] != `{"request_id":"r1","response":"reject"}` {
					t.Errorf("%q, %v", got, err)
				}
			})
			tool, err := client.NewTool("t", "", func(context.Context, struct{}) (string, error) { leave(); return "", nil })
			if err != nil {
				t.Fatal(err)
			}
			calls := func(a *agent) {
				a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+`,"external_tools":{"accepted":["t"],"rejected":[]}}`)
				a.begin()
				a.request("c1", &wireproto.ToolCallRequest{ID: "c1", Name: "t"})
				a.text(a.answer("c1"))
				a.finish("finished")
				a.serve()
			}
			bubble(t, calls, client.Options{Tools: []client.Tool{tool}}, func(t *testing.T, s *client.Session) {
				got, err := loop(prompt(t, t.Context(), s).Messages())
				if err != nil || !strings.Contains(got[3], `"is_error":true`) {
					t.Errorf("%q, %v", got, err)
				}
			})
		})
	}
}
