package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

func TestIdleTimeout(t *testing.T) {
	bubble(t, silent, client.Options{IdleTimeout: 10 * time.Minute}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		turn := prompt(t, t.Context(), s)
		got, err := loop(turn.Messages())
		if d := time.Since(began); d != 10*time.Minute {
			t.Errorf("the turn took %v", d)
		}
		if !errors.Is(err, client.ErrIdle) || !strings.Contains(err.Error(), "Shell (t1)") {
			t.Errorf("error: %v", err)
		}
		if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "ToolCall", "TurnEnd"}, got); diff != "" {
			t.Error(diff)
		}
		if r, err := turn.Result(); r.Status != wireproto.StatusCancelled || !errors.Is(err, client.ErrIdle) {
			t.Errorf("Result: %+v, %v", r, err)
		}
		works(t, s)
	})
}

// The time in which this side has something to do does not count for IdleTimeout.
func TestIdleTimeoutWaits(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		a.begin()
		a.ask("r1")
		a.answer("r1")
		a.serve()
	}
	slow := func(ctx context.Context, r *client.ApprovalRequest) error {
		select {
		case <-time.After(90 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		return r.Approve()
	}
	bubble(t, asks, client.Options{IdleTimeout: time.Minute, Approve: slow}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		_, err := loop(prompt(t, t.Context(), s).Messages())
		if d := time.Since(began); d != 150*time.Second || !errors.Is(err, client.ErrIdle) {
			t.Errorf("after %v: %v", d, err)
		}
	})
	bubble(t, asks, client.Options{IdleTimeout: time.Minute}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		for m, err := range prompt(t, t.Context(), s).Messages() {
			if r, ok := m.(*client.ApprovalRequest); ok {
				<-time.After(90 * time.Second) // the user needs 90 seconds to answer
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
			} else if err != nil && !errors.Is(err, client.ErrIdle) {
				t.Error(err)
			}
		}
		if d := time.Since(began); d != 150*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestIdleTimeoutKills(t *testing.T) {
	bubble(t, deaf, client.Options{IdleTimeout: time.Minute, StopGrace: 7 * time.Second}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		got, err := loop(prompt(t, t.Context(), s).Messages())
		if d := time.Since(began); d != time.Minute+7*time.Second {
			t.Errorf("it took %v", d)
		}
		if !errors.Is(err, client.ErrIdle) || !strings.Contains(err.Error(), "StopGrace (7s)") {
			t.Errorf("error: %v", err)
		}
		if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "a", "b"}, got); diff != "" {
			t.Error(diff)
		}
		<-s.Done()
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), "StopGrace (7s)") {
			t.Errorf("Err: %v", err)
		}
	})
}

// An IdleTimeout that ends at once does not race with the start of its timer.
func TestIdleTimeoutAtOnce(t *testing.T) {
	for range 20 {
		bubble(t, silent, client.Options{IdleTimeout: 1}, func(t *testing.T, s *client.Session) {
			if _, err := loop(prompt(t, t.Context(), s).Messages()); !errors.Is(err, client.ErrIdle) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestPromptContext(t *testing.T) {
	cause := errors.New("the user left")
	for name, test := range map[string]struct {
		run  memory
		took time.Duration // from the end of ctx to the end of the turn
	}{
		"obeys":   {silent, 0},
		"ignores": {deaf, 750 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, test.run, client.Options{}, func(t *testing.T, s *client.Session) {
				ctx, cancel := context.WithCancelCause(t.Context())
				turn := prompt(t, ctx, s)
				synctest.Wait()
				began := time.Now()
				cancel(cause)
				_, err := loop(turn.Messages())
				if d := time.Since(began); d != test.took {
					t.Errorf("it took %v", d)
				}
				if !errors.Is(err, client.ErrCancelled) || !errors.Is(err, cause) {
					t.Errorf("error: %v", err)
				}
				if name == "obeys" {
					works(t, s)
				} else if _, err := s.Prompt(t.Context(), "hello"); err == nil || !strings.Contains(err.Error(), "StopGrace") || time.Since(began) != 5*time.Second {
					t.Errorf("Prompt after %v: %v", time.Since(began), err)
				}
				if _, err := s.Prompt(ctx, "hello"); !errors.Is(err, cause) {
					t.Errorf("Prompt with an ended ctx: %v", err)
				}
			})
		})
	}
}

// The ctx of a turn may come from a tool of another session. Its cause is then an error of this package, and the turn
// ends with it.
func TestPromptContextOfAnotherSession(t *testing.T) {
	for _, cause := range []error{client.ErrClosed, client.ErrCancelled, client.ErrIdle} {
		bubble(t, silent, client.Options{}, func(t *testing.T, s *client.Session) {
			ctx, cancel := context.WithCancelCause(t.Context())
			turn := prompt(t, ctx, s)
			synctest.Wait()
			cancel(cause)
			synctest.Wait()
			if _, err := turn.Result(); !errors.Is(err, cause) {
				t.Errorf("Result with the cause %v: %v", cause, err)
			}
		})
	}
}

// counted is a ctx that counts the functions that wait for its end.
type counted struct {
	context.Context
	done chan struct{}
	live atomic.Int32
}

func (c *counted) Done() <-chan struct{} { return c.done }

// Package context calls AfterFunc of a ctx that it has not made.
func (c *counted) AfterFunc(func()) (stop func() bool) {
	c.live.Add(1)
	return sync.OnceValue(func() bool { c.live.Add(-1); return true })
}

// A ctx that lives long keeps no reference to earlier turns.
func TestContextsReleased(t *testing.T) {
	bubble(t, silent, client.Options{IdleTimeout: time.Hour}, func(t *testing.T, s *client.Session) {
		ctx := &counted{Context: context.Background(), done: make(chan struct{})}
		turn := prompt(t, ctx, s)
		if ctx.live.Load() == 0 {
			t.Error("the turn does not watch its ctx")
		}
		if err := turn.Cancel(ctx); err != nil {
			t.Error(err)
		}
		if _, err := s.SetPlanMode(ctx, true); err != nil {
			t.Error(err)
		}
		if _, err := loop(s.Replay(ctx)); err != nil {
			t.Error(err)
		}
		s.Steer(ctx, "left")
		s.Close()
		if _, err := s.Prompt(ctx, "hello"); err != client.ErrClosed {
			t.Errorf("Prompt: %v", err)
		}
		synctest.Wait()
		if n := ctx.live.Load(); n != 0 {
			t.Errorf("%d things are left on the ctx", n)
		}
	})
}

func TestCancelHasItsOwnContext(t *testing.T) {
	finishLate := func(a *agent) {
		a.handshake()
		a.begin()
		a.call(wireproto.MethodCancel)
		select {
		case <-time.After(time.Hour):
		case <-a.killed:
			a.exit(1)
		}
		a.finish("cancelled")
		a.serve()
	}
	bubble(t, finishLate, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := turn.Cancel(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Cancel: %v", err)
		}
		if d := time.Since(began); d != time.Minute {
			t.Errorf("Cancel took %v", d)
		}
		if _, err := turn.Result(); err != client.ErrCancelled {
			t.Errorf("Result: %v", err)
		}
		if d := time.Since(began); d != time.Hour {
			t.Errorf("the turn took %v", d)
		}
		works(t, s) // the agent was not killed
	})
}

// Cancel of a turn that has ended does not cancel the next turn.
func TestCancelOfAnEndedTurn(t *testing.T) {
	cancels := 0
	count := func(a *agent) {
		a.handshake()
		for {
			f := a.next()
			if f.Method == wireproto.MethodCancel {
				cancels++
			}
			if f.Method == wireproto.MethodPrompt && strings.Contains(string(f.Params), "wait") {
				a.turn = f.ID
				continue
			}
			a.obey(f)
		}
	}
	bubble(t, count, client.Options{}, func(t *testing.T, s *client.Session) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := prompt(t, ctx, s)
		if _, err := first.Result(); err != nil {
			t.Fatal(err)
		}
		second, err := s.Prompt(t.Context(), "wait")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Cancel(t.Context()); err != nil {
			t.Errorf("Cancel of the first: %v", err)
		}
		cancel()
		synctest.Wait()
		if cancels != 0 {
			t.Errorf("the first turn has cancelled the second")
		}
		if err := second.Cancel(t.Context()); err != nil || cancels != 1 {
			t.Errorf("Cancel of the second: %v, %d cancels", err, cancels)
		}
	})
}

func TestBreak(t *testing.T) {
	var written atomic.Int64
	for name, run := range map[string]memory{"silent": silent, "flood": flood(&written)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, run, client.Options{}, func(t *testing.T, s *client.Session) {
				turn := prompt(t, t.Context(), s)
				for range turn.Messages() {
					break
				}
				if r, err := turn.Result(); r.Status != wireproto.StatusCancelled || err != client.ErrCancelled {
					t.Errorf("Result: %+v, %v", r, err)
				}
				works(t, s)
			})
		})
	}
	bubble(t, deaf, client.Options{}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		turn := prompt(t, t.Context(), s)
		for range turn.Messages() {
			break
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("leaving the loop took %v", d)
		}
		if _, err := turn.Result(); err == nil || !strings.Contains(err.Error(), "StopGrace") {
			t.Errorf("Result: %v", err)
		}
	})
}

// Result during a loop takes messages away from it, and both end.
func TestResultBesideMessages(t *testing.T) {
	many := func(a *agent) {
		a.handshake()
		a.begin()
		for i := range 1000 {
			a.text(fmt.Sprint(i))
		}
		a.finish("finished")
		a.serve()
	}
	bubble(t, many, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if r, err := turn.Result(); err != nil || len(r.Text) != 2890 {
					t.Errorf("Result: %d bytes, %v", len(r.Text), err)
				}
			})
		}
		last := -1
		for m, err := range turn.Messages() {
			if err != nil {
				t.Error(err)
			}
			if text, ok := m.(*wireproto.TextPart); ok {
				n, err := strconv.Atoi(text.Text)
				if err != nil || n <= last {
					t.Errorf("%q after %d", text.Text, last)
				}
				last = n
			}
		}
		wg.Wait()
	})
}

func TestBusy(t *testing.T) {
	bubble(t, silent, client.Options{}, func(t *testing.T, s *client.Session) {
		if err := s.Steer(t.Context(), "left"); err != client.ErrNoTurn {
			t.Errorf("Steer outside a turn: %v", err)
		}
		turn := prompt(t, t.Context(), s)
		if _, err := s.Prompt(t.Context(), "hello"); err != client.ErrBusy {
			t.Errorf("Prompt: %v", err)
		}
		if _, err := loop(s.Replay(t.Context())); err != client.ErrBusy {
			t.Errorf("Replay: %v", err)
		}
		if err := turn.Cancel(t.Context()); err != nil {
			t.Error(err)
		}
		works(t, s)
	})
}

func TestTurnResult(t *testing.T) {
	n := func(i int) *int { return &i }
	long := strings.Repeat("x", 3<<20)
	run := func(a *agent) {
		a.handshake()
		a.begin()
		a.text("not ", "this")
		a.event(&wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{InputOther: 1, Output: 2}, ContextTokens: n(10)})
		a.event(&wireproto.SubagentEvent{Event: &wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{Output: 3}, ContextTokens: n(99)}})
		a.event(&wireproto.SubagentEvent{Event: &wireproto.TextPart{Text: "nor this"}})
		a.event(&wireproto.StepBegin{N: 2})
		a.text("a failed attempt")
		a.event(&wireproto.StepRetry{N: 2})
		a.text("but ", "this")
		a.event(&wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{InputCacheRead: 4}, MaxContextTokens: n(1000)})
		a.finish("finished")
		a.begin()
		a.text(long, long)
		a.finish("finished")
		a.serve()
	}
	bubble(t, run, client.Options{}, func(t *testing.T, s *client.Session) {
		got, err := prompt(t, t.Context(), s).Result()
		usage := wireproto.TokenUsage{InputOther: 1, Output: 5, InputCacheRead: 4}
		want := &client.TurnResult{Status: wireproto.StatusFinished, Steps: 2, Usage: usage, Text: "but this"}
		if diff := cmp.Diff(want, got, unmeasured); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if diff := cmp.Diff(client.Status{ContextTokens: 10, MaxContextTokens: 1000, Usage: usage}, s.Status()); diff != "" {
			t.Error(diff)
		}
		if got, err := prompt(t, t.Context(), s).Result(); err != nil || len(got.Text) != 4<<20 {
			t.Errorf("%d bytes of text, %v", len(got.Text), err)
		}
	})
}
