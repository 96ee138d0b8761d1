package client_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// story is an agent that replays n events of 1000 bytes, or events without end, and then a question. After that it
// serves.
func story(n int) memory {
	return func(a *agent) {
		a.handshake()
		id := a.call(wireproto.MethodReplay).ID
		var writer sync.WaitGroup
		stop := make(chan struct{})
		writer.Go(func() {
			defer func() { recover() }()
			for i := 0; n < 0 || i < n; i++ {
				select {
				case <-stop:
					return
				default:
					a.text(strings.Repeat("x", 1000))
				}
			}
			a.request("q1", &wireproto.QuestionRequest{ID: "q1"})
			a.result(id, `{"status":"finished","events":0,"requests":0}`)
		})
		for {
			switch f := a.next(); f.Method {
			case wireproto.MethodCancel:
				close(stop)
				writer.Wait()
				a.result(f.ID, "{}")
				a.result(id, `{"status":"cancelled","events":0,"requests":0}`)
				a.serve()
			default:
				a.obey(f)
			}
		}
	}
}

func TestReplay(t *testing.T) {
	never := func(context.Context, *client.QuestionRequest) error {
		t.Error("a handler runs in a replay")
		return nil
	}
	bubble(t, story(3), client.Options{Answer: never}, func(t *testing.T, s *client.Session) {
		n := 0
		for m, err := range s.Replay(t.Context()) {
			if n++; err != nil {
				t.Error(err)
			}
			if _, live := m.(*client.QuestionRequest); live {
				t.Error("a live request in a replay")
			}
		}
		if n != 4 {
			t.Errorf("%d messages", n)
		}
		works(t, s)
	})
}

func TestReplayLeft(t *testing.T) {
	for name, leave := range map[string]func(cancel func()) bool{
		"break":  func(func()) bool { return true },
		"cancel": func(cancel func()) bool { cancel(); return false },
		"both":   func(cancel func()) bool { cancel(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, story(-1), client.Options{}, func(t *testing.T, s *client.Session) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var last error
				for _, err := range s.Replay(ctx) {
					if last = err; err == nil && leave(cancel) {
						break
					}
				}
				if name == "cancel" && (!errors.Is(last, client.ErrCancelled) || !errors.Is(last, context.Canceled)) {
					t.Errorf("error: %v", last)
				}
				works(t, s)
			})
		})
		t.Run(name+" ignored", func(t *testing.T) {
			ignores := func(a *agent) {
				a.handshake()
				a.call(wireproto.MethodReplay)
				a.text("a")
				for {
					a.next()
				}
			}
			bubble(t, ignores, client.Options{}, func(t *testing.T, s *client.Session) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				for _, err := range s.Replay(ctx) {
					if err == nil && leave(cancel) {
						break
					}
				}
				want := 5 * time.Second
				if name != "break" {
					want = 750 * time.Millisecond
				}
				if d := time.Since(began); d != want {
					t.Errorf("it took %v", d)
				}
				if _, err := s.Prompt(t.Context(), "hello"); err == nil || !strings.Contains(err.Error(), "replay") || time.Since(began) != 5*time.Second {
					t.Errorf("Prompt after %v: %v", time.Since(began), err)
				}
				<-s.Done()
				if err := s.Err(); err == nil || !strings.Contains(err.Error(), "replay") {
					t.Errorf("Err: %v", err)
				}
			})
		})
	}
}

// If the agent has ended the replay in time, it is not killed because of a slow loop. A replay that a program has left
// keeps no reference to a closed session.
func TestReplayReleased(t *testing.T) {
	left := func() weak.Pointer[client.Session] {
		opts := &client.Options{Transport: story(-1), WorkDir: t.TempDir(), ShareDir: t.TempDir(), StopGrace: time.Hour}
		s, err := client.NewSession(limited(t), opts)
		if err != nil {
			t.Fatal(err)
		}
		for range s.Replay(limited(t)) {
			break
		}
		if err := shut(t, s); err != nil {
			t.Error(err)
		}
		return weak.Make(s)
	}()
	eventually(t, limit, func() bool { runtime.GC(); return left.Value() == nil },
		func() string { return "the session is still held" })
}

func TestReplaySlowLoop(t *testing.T) {
	bubble(t, story(-1), client.Options{}, func(t *testing.T, s *client.Session) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := true
		for range s.Replay(ctx) {
			if first {
				first = false
				synctest.Wait()
				cancel()
				<-time.After(time.Minute)
			}
		}
		works(t, s)
	})
}

// Messages that the loop has not read do not delay the answer to a call.
func TestReplayHeldUp(t *testing.T) {
	bubble(t, story(3000), client.Options{}, func(t *testing.T, s *client.Session) {
		n := 0
		for _, err := range s.Replay(t.Context()) {
			if n++; err != nil {
				t.Error(err)
			}
			if n == 1 {
				synctest.Wait() // the agent is blocked
				if on, err := s.SetPlanMode(t.Context(), true); !on || err != nil {
					t.Errorf("SetPlanMode: %v, %v", on, err)
				}
			}
		}
		if n != 3001 {
			t.Errorf("%d messages", n)
		}
	})
	bubble(t, story(3000), client.Options{}, func(t *testing.T, s *client.Session) {
		for range s.Replay(t.Context()) {
			synctest.Wait()
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

// After a panic in the body of a loop over a replay, the session is usable.
func TestReplayPanics(t *testing.T) {
	bubble(t, story(3000), client.Options{}, func(t *testing.T, s *client.Session) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			for range s.Replay(t.Context()) {
				panic("oops")
			}
		}()
		synctest.Wait()
		works(t, s)
	})
}

// A request that a background agent sends during a replay is not part of the history.
func TestReplayBackground(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		id := a.call(wireproto.MethodReplay).ID
		kind := "background_agent"
		a.request("r0", &wireproto.ApprovalRequest{ID: "r0"})
		a.request("r1", &wireproto.ApprovalRequest{ID: "r1", SourceKind: &kind})
		a.text(a.answer("r1"))
		a.result(id, `{"status":"finished","events":1,"requests":1}`)
		a.serve()
	}
	approve := func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			r.Approve()
		}
	}
	for name, opts := range map[string]client.Options{"OnMessage": {OnMessage: approve}, "Approve": {Approve: client.ApproveAll}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, asks, opts, func(t *testing.T, s *client.Session) {
				got, err := loop(s.Replay(t.Context()))
				if diff := cmp.Diff([]string{"ApprovalRequest", `{"request_id":"r1","response":"approve"}`}, got); diff != "" || err != nil {
					t.Error(diff, err)
				}
				works(t, s)
			})
		})
	}
}

// A hook request that comes during a replay is not part of the history, because a background agent waits for its
// answer.
func TestReplayHook(t *testing.T) {
	const unreadable = `{"jsonrpc":"2.0","method":"request","id":"h2","params":{"type":"HookRequest","payload":{"id":7}}}`
	asks := func(a *agent) {
		a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+`,"hooks":{"supported_events":["PreToolUse"],"configured":{}}}`)
		id := a.call(wireproto.MethodReplay).ID
		a.request("h1", &wireproto.HookRequest{ID: "h1", SubscriptionID: "mine", Event: "PreToolUse"})
		a.text(a.answer("h1"))
		a.raw(unreadable + "\n")
		a.text(a.answer("h2"))
		a.result(id, `{"status":"finished","events":2,"requests":0}`)
		a.serve()
	}
	hook := client.Hook{ID: "mine", Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		return client.Allow(), nil
	}}
	bubble(t, asks, client.Options{Hooks: []client.Hook{hook}}, func(t *testing.T, s *client.Session) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := loop(s.Replay(ctx))
		want := []string{`{"request_id":"h1","action":"allow"}`, `{"request_id":"h2","action":"block","reason":"the hook request could not be read"}`}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		works(t, s)
	})
}

// If a background agent resolves its request by itself during a replay, the request takes no answer.
func TestReplayResolves(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		kind := "background_agent"
		a.request("r1", &wireproto.ApprovalRequest{ID: "r1", SourceKind: &kind})
		id := a.call(wireproto.MethodReplay).ID
		a.event(&wireproto.ApprovalResponse{RequestID: "r1", Response: wireproto.Approve})
		a.result(id, `{"status":"finished","events":1,"requests":0}`)
		a.serve()
	}
	var held *client.ApprovalRequest
	on := func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			r.Hold()
			held = r
		}
	}
	bubble(t, asks, client.Options{OnMessage: on}, func(t *testing.T, s *client.Session) {
		synctest.Wait()
		if _, err := loop(s.Replay(t.Context())); err != nil {
			t.Error(err)
		}
		if err := held.Approve(); err != client.ErrAnswered {
			t.Errorf("Approve: %v", err)
		}
	})
}
