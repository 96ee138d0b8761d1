package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// The request of a background agent in a cancelled turn is not lost with the turn. If no loop takes it, OnMessage gets
// it, whether it came before or after the cancellation.
func TestBackgroundInCancelledTurn(t *testing.T) {
	const approved = `{"request_id":"r1","response":"approve"}`
	background := func(a *agent) {
		kind := "background_agent"
		a.request("r1", &wireproto.ApprovalRequest{ID: "r1", SourceKind: &kind})
	}
	for name, test := range map[string]struct {
		before bool // the request comes before the cancellation
		leave  func(t *testing.T, turn *client.Turn)
	}{
		"before, unread": {true, func(t *testing.T, turn *client.Turn) { turn.Cancel(t.Context()) }},
		"after, unread":  {false, func(t *testing.T, turn *client.Turn) { turn.Cancel(t.Context()) }},
		"before, left": {true, func(t *testing.T, turn *client.Turn) {
			for range turn.Messages() {
				synctest.Wait()
				break
			}
		}},
		"after, left": {false, func(t *testing.T, turn *client.Turn) {
			for range turn.Messages() {
				break
			}
		}},
		"before, Result": {true, func(t *testing.T, turn *client.Turn) {
			go turn.Cancel(t.Context())
			turn.Result()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			asks := func(a *agent) {
				a.handshake()
				a.begin()
				if test.before {
					background(a)
				}
				c := a.call(wireproto.MethodCancel)
				if !test.before {
					background(a)
				}
				a.obey(c)
				got = a.answer("r1")
				a.serve()
			}
			on := func(m wireproto.Message) {
				if r, ok := m.(*client.ApprovalRequest); ok {
					r.Approve()
				}
			}
			bubble(t, asks, client.Options{OnMessage: on}, func(t *testing.T, s *client.Session) {
				turn := prompt(t, t.Context(), s)
				synctest.Wait()
				test.leave(t, turn)
				synctest.Wait()
				if got != approved {
					t.Errorf("the answer is %q", got)
				}
			})
		})
	}
}

// A turn that is being cancelled counts as silent while the agent sends nothing, even if requests are open or messages
// are unread.
func TestIdleTimeoutAfterCancel(t *testing.T) {
	deaf := func(a *agent) {
		a.handshake()
		a.begin()
		a.ask("r1")
		for {
			a.next()
		}
	}
	opts := client.Options{IdleTimeout: time.Minute, StopGrace: 5 * time.Second}
	for name, read := range map[string]bool{"read": true, "unread": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, deaf, opts, func(t *testing.T, s *client.Session) {
				turn := prompt(t, t.Context(), s)
				if read {
					for m := range turn.Messages() {
						if r, ok := m.(*client.ApprovalRequest); ok {
							r.Hold()
							go func() {
								<-time.After(30 * time.Second)
								turn.Cancel(t.Context())
							}()
						}
					}
				} else {
					<-time.After(30 * time.Second)
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := turn.Cancel(ctx); err != nil {
					t.Errorf("Cancel: %v", err)
				}
				if d := time.Since(began); !read && d != 65*time.Second {
					t.Errorf("Cancel took %v", d)
				}
				if _, err := turn.Result(); !errors.Is(err, client.ErrIdle) {
					t.Errorf("Result: %v", err)
				}
			})
		})
	}
}

// slow ends a cancelled turn after d.
func slow(d time.Duration) memory {
	return func(a *agent) {
		a.handshake()
		a.begin()
		a.text("a", "b")
		c := a.call(wireproto.MethodCancel)
		select {
		case <-time.After(d):
		case <-a.killed:
			a.exit(1)
		}
		a.text("c")
		a.obey(c)
		a.serve()
	}
}

// If the agent does not react, a caller whose ctx has ended does not wait for it. The session ends the turn later, and
// the next Prompt and Replay wait for that.
func TestContextReleases(t *testing.T) {
	cause := errors.New("the user left")
	ways := map[string]func(t *testing.T, turn *client.Turn) error{
		"loop": func(t *testing.T, turn *client.Turn) error {
			got, err := loop(turn.Messages())
			if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "a", "b"}, got); diff != "" {
				t.Error(diff)
			}
			return err
		},
		"Result": func(t *testing.T, turn *client.Turn) error {
			r, err := turn.Result()
			if diff := cmp.Diff(&client.TurnResult{Steps: 1, Text: "ab"}, r, unmeasured); diff != "" {
				t.Error(diff)
			}
			return err
		},
		"break": func(t *testing.T, turn *client.Turn) error {
			for range turn.Messages() {
				break
			}
			_, err := turn.Result()
			return err
		},
	}
	for name, wait := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, slow(3*time.Second), client.Options{}, func(t *testing.T, s *client.Session) {
				ctx, cancel := context.WithCancelCause(t.Context())
				turn := prompt(t, ctx, s)
				synctest.Wait()
				began := time.Now()
				cancel(cause)
				err := wait(t, turn)
				if d := time.Since(began); d != 750*time.Millisecond {
					t.Errorf("it took %v", d)
				}
				if !errors.Is(err, client.ErrCancelled) || !errors.Is(err, cause) {
					t.Errorf("error: %v", err)
				}
				if err := s.Steer(t.Context(), "left"); err != client.ErrNoTurn {
					t.Errorf("Steer: %v", err)
				}
				short, stop := context.WithTimeoutCause(t.Context(), time.Second, cause)
				defer stop()
				if _, err := s.Prompt(short, "hello"); !errors.Is(err, cause) || time.Since(began) != 1750*time.Millisecond {
					t.Errorf("Prompt after %v: %v", time.Since(began), err)
				}
				if _, err := loop(s.Replay(t.Context())); err != nil || time.Since(began) != 3*time.Second {
					t.Errorf("Replay after %v: %v", time.Since(began), err)
				}
				works(t, s)
				if _, again := turn.Result(); again == nil || again.Error() != err.Error() {
					t.Errorf("Result afterwards: %v, before %v", again, err)
				}
			})
		})
	}
	t.Run("Close", func(t *testing.T) {
		bubble(t, deaf, client.Options{}, func(t *testing.T, s *client.Session) {
			ctx, cancel := context.WithCancel(t.Context())
			turn := prompt(t, ctx, s)
			cancel()
			turn.Result()
			errs := make(chan error, 1)
			go func() { _, err := s.Prompt(t.Context(), "hello"); errs <- err }()
			synctest.Wait()
			s.Close()
			if err := <-errs; err != client.ErrClosed {
				t.Errorf("Prompt: %v", err)
			}
		})
	})
	t.Run("killed never", func(t *testing.T) { // only the ctx limits how long Cancel waits, so the agent is not killed
		bubble(t, slow(time.Hour), client.Options{}, func(t *testing.T, s *client.Session) {
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			turn := prompt(t, t.Context(), s)
			if err := turn.Cancel(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Cancel: %v", err)
			}
			if _, err := s.Prompt(t.Context(), "hello"); err != client.ErrBusy {
				t.Errorf("Prompt: %v", err)
			}
		})
	})
}

// Ask closes its temporary session. The caller waits for that no longer than for a turn.
func TestAskReleases(t *testing.T) {
	deafToAll := func(a *agent) {
		a.handshake()
		a.begin()
		a.hang()
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := client.Ask(ctx, "hello", &client.Options{Transport: memory(deafToAll), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Yolo: true})
		if d := time.Since(began); d > 61*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// A second loop takes no message from the first loop and rejects none of its requests. A Result outside of the loop
// also takes and rejects nothing.
func TestTwoReaders(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		a.begin()
		for _, id := range []string{"r1", "r2", "r3"} {
			a.ask(id)
			a.text(a.answer(id))
		}
		a.finish("finished")
		a.serve()
	}
	bubble(t, asks, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		results := make(chan error, 2)
		approved := 0
		for m, err := range turn.Messages() {
			if err != nil {
				t.Error(err)
			}
			text, ok := m.(*wireproto.TextPart)
			if ok && strings.Contains(text.Text, `"approve"`) {
				approved++
			}
			r, ok := m.(*client.ApprovalRequest)
			if !ok {
				continue
			}
			if got, err := loop(turn.Messages()); len(got) > 0 || err != client.ErrReading {
				t.Errorf("a loop in the loop: %q, %v", got, err)
			}
			go func() {
				if r.ID == "r1" {
					_, err := loop(turn.Messages())
					results <- err
				} else if r.ID == "r2" {
					_, err := turn.Result()
					results <- err
				}
			}()
			synctest.Wait()
			if err := r.Approve(); err != nil {
				t.Errorf("Approve %s: %v", r.ID, err)
			}
		}
		if first, second := <-results, <-results; approved != 3 || first != client.ErrReading || second != nil {
			t.Errorf("%d approved; the other loop: %v; Result: %v", approved, first, second)
		}
		if got, err := loop(turn.Messages()); len(got) > 0 || err != nil {
			t.Errorf("a loop afterwards: %q, %v", got, err)
		}
	})
}

// If Result is called within the loop, it reads the rest of the turn, because the loop cannot.
func TestResultInTheLoop(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		a.begin()
		a.ask("r1")
		a.text(a.answer("r1"))
		a.ask("r2")
		a.text(a.answer("r2"))
		a.finish("finished")
		a.serve()
	}
	bubble(t, asks, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		var got []string
		for m, err := range turn.Messages() {
			if err != nil {
				t.Error(err)
			}
			got = append(got, brief(m))
			if _, ok := m.(*client.ApprovalRequest); ok {
				if r, err := turn.Result(); err != nil || strings.Count(r.Text, `"reject"`) != 2 {
					t.Errorf("Result: %+v, %v", r, err)
				}
			}
		}
		if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "live ApprovalRequest"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// After a panic in a loop, the next loop or Result can read the rest of the turn.
func TestLoopPanics(t *testing.T) {
	bubble(t, silent, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		func() {
			defer func() { recover() }()
			for range turn.Messages() {
				panic("oops")
			}
		}()
		go func() { synctest.Wait(); turn.Cancel(t.Context()) }()
		if got, err := loop(turn.Messages()); len(got) < 2 || err != client.ErrCancelled {
			t.Errorf("%q, %v", got, err)
		}
	})
}
