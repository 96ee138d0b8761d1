package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// flood sends events without end until it is told to stop, and also answers calls. It counts the bytes that it has
// written.
func flood(written *atomic.Int64) memory {
	return func(a *agent) {
		a.handshake()
		a.begin()
		a.ask("r1")
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			defer func() { recover() }() // a.exit panics in this goroutine
			for {
				select {
				case <-stop:
					return
				default:
					a.text(strings.Repeat("x", 1000))
					written.Add(1000)
				}
			}
		})
		for {
			switch f := a.next(); f.Method {
			case "":
				written.Add(1 << 40)
			case wireproto.MethodCancel:
				close(stop)
				writer.Wait()
				a.obey(f)
			default:
				a.obey(f)
			}
		}
	}
}

// The amount of data that waits for a slow loop is limited. Other calls still work.
func TestFloodIsHeldUp(t *testing.T) {
	var written atomic.Int64
	bubble(t, flood(&written), client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		var err error
		for m, e := range turn.Messages() {
			r, ok := m.(*client.ApprovalRequest)
			if err = e; !ok {
				continue
			}
			synctest.Wait() // all goroutines are blocked, also the agent's
			if n := written.Load(); n < 900_000 || n > 3<<20 {
				t.Errorf("%d bytes wait", n)
			}
			if err := r.Approve(); err != nil {
				t.Errorf("Approve: %v", err)
			}
			synctest.Wait()
			if written.Load() < 1<<40 {
				t.Error("the approval has not arrived")
			}
			if err := s.Steer(t.Context(), "left"); err != nil {
				t.Errorf("Steer: %v", err)
			}
			if on, err := s.SetPlanMode(t.Context(), true); !on || err != nil {
				t.Errorf("SetPlanMode: %v, %v", on, err)
			}
			synctest.Wait() // the agent is blocked again
			if err := turn.Cancel(t.Context()); err != nil {
				t.Errorf("Cancel: %v", err)
			}
		}
		if err != client.ErrCancelled {
			t.Errorf("the turn: %v", err)
		}
		works(t, s)
	})
}

func TestCloseInAFlood(t *testing.T) {
	var written atomic.Int64
	bubble(t, flood(&written), client.Options{}, func(t *testing.T, s *client.Session) {
		var last error
		for _, err := range prompt(t, t.Context(), s).Messages() {
			if last = err; err == nil && s.Err() == nil {
				synctest.Wait()
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		}
		if last != client.ErrClosed {
			t.Errorf("the turn: %v", last)
		}
	})
}

// Every method may be called within the loop, within a handler and within OnMessage.
func TestFromWithin(t *testing.T) {
	asks := func(a *agent) {
		a.handshake()
		a.ask("r0") // a request outside of a turn
		a.answer("r0")
		a.begin()
		a.ask("r1")
		a.serve()
	}
	calls := map[string]func(t *testing.T, s *client.Session, turn *client.Turn) error{
		"Close": func(t *testing.T, s *client.Session, turn *client.Turn) error {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return client.ErrClosed
		},
		"Cancel": func(t *testing.T, s *client.Session, turn *client.Turn) error {
			if err := turn.Cancel(t.Context()); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			return client.ErrCancelled
		},
		"Steer, SetPlanMode and Cancel": func(t *testing.T, s *client.Session, turn *client.Turn) error {
			if err := s.Steer(t.Context(), "left"); err != nil {
				t.Errorf("Steer: %v", err)
			}
			if _, err := s.SetPlanMode(t.Context(), true); err != nil {
				t.Errorf("SetPlanMode: %v", err)
			}
			if err := turn.Cancel(t.Context()); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			return client.ErrCancelled
		},
		"Result after Cancel": func(t *testing.T, s *client.Session, turn *client.Turn) error {
			if err := turn.Cancel(t.Context()); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			if _, err := turn.Result(); err != client.ErrCancelled {
				t.Errorf("Result: %v", err)
			}
			return client.ErrCancelled
		},
	}
	for name, call := range calls {
		t.Run(name+" in the loop", func(t *testing.T) {
			bubble(t, asks, client.Options{}, func(t *testing.T, s *client.Session) {
				synctest.Wait() // r0 has been handled
				turn := prompt(t, t.Context(), s)
				var want, last error
				for m, err := range turn.Messages() {
					if _, ok := m.(*client.ApprovalRequest); ok {
						want = call(t, s, turn)
					}
					last = err
				}
				if want == nil || last != want {
					t.Errorf("the turn: %v, not %v", last, want)
				}
			})
		})
		t.Run(name+" in a handler", func(t *testing.T) {
			var want error
			var callNow func() error
			approve := func(ctx context.Context, r *client.ApprovalRequest) error {
				if r.ID == "r0" {
					return r.Approve()
				}
				want = callNow()
				if ctx.Err() == nil {
					t.Error("the ctx of the handler has not ended")
				}
				if err := r.Approve(); err == nil {
					t.Error("an answer after the end")
				}
				return nil
			}
			bubble(t, asks, client.Options{Approve: approve}, func(t *testing.T, s *client.Session) {
				synctest.Wait() // r0 has been handled
				turns := make(chan *client.Turn, 1)
				callNow = func() error { return call(t, s, <-turns) }
				turn := prompt(t, t.Context(), s)
				turns <- turn
				_, err := loop(turn.Messages())
				synctest.Wait()
				if want == nil || err != want {
					t.Errorf("the turn: %v, not %v", err, want)
				}
			})
		})
	}
	t.Run("Close in OnMessage", func(t *testing.T) {
		closeNow := make(chan func(), 1)
		on := func(wireproto.Message) { (<-closeNow)() }
		bubble(t, asks, client.Options{OnMessage: on}, func(t *testing.T, s *client.Session) {
			closeNow <- func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
			<-s.Done()
		})
	})
}

// When all methods are called at the same time, each turn still gets its own messages and ends.
func TestAllAtOnce(t *testing.T) {
	chatter := func(a *agent) {
		a.handshake()
		for {
			f := a.next()
			if f.Method != wireproto.MethodPrompt {
				a.obey(f)
				continue
			}
			a.turn = f.ID
			n := strings.Trim(string(f.Params[len(`{"user_input":`):len(f.Params)-1]), `"`)
			for range 20 {
				a.text(n)
			}
			a.ask("r" + n)
			for a.turn != "" {
				switch f := a.next(); {
				case f.Method == "" && f.ID == "r"+n:
					a.finish("finished")
				case f.Method == wireproto.MethodPrompt:
					a.fail(f.ID, wireproto.CodeInvalidState, "busy")
				default:
					a.obey(f)
				}
			}
		}
	}
	s, err := client.NewSession(limited(t), &client.Options{Transport: memory(chatter), WorkDir: t.TempDir(), ShareDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var beside sync.WaitGroup
	each := func(f func()) {
		beside.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f()
				}
			}
		})
	}
	toCancel := make(chan *client.Turn)
	allowed := func(what string, err error, want ...error) {
		for _, w := range append(want, nil) {
			if errors.Is(err, w) {
				return
			}
		}
		t.Errorf("%s: %v", what, err)
	}
	each(func() { allowed("Steer", s.Steer(t.Context(), "left"), client.ErrNoTurn) })
	each(func() {
		_, err := s.SetPlanMode(t.Context(), true)
		allowed("SetPlanMode", err)
		allowed("Err", s.Err())
		s.Status()
	})
	each(func() {
		select {
		case turn := <-toCancel:
			allowed("Cancel", turn.Cancel(t.Context()))
		case <-done:
		}
	})
	finished, cancelled := 0, 0
	within(t, limit, "all turns", func() {
		for n := range 300 {
			turn, err := s.Prompt(t.Context(), fmt.Sprint(n))
			if err != nil {
				t.Error(err)
				return
			}
			if n%2 == 0 {
				toCancel <- turn
			}
			if n%3 == 0 {
				beside.Go(func() { _, err := turn.Result(); allowed("Result", err, client.ErrCancelled) })
			}
			for m, err := range turn.Messages() {
				switch m := m.(type) {
				case *wireproto.TextPart:
					if m.Text != fmt.Sprint(n) {
						t.Errorf("turn %d got %q", n, m.Text)
					}
				case *client.ApprovalRequest:
					if m.ID != fmt.Sprint("r", n) {
						t.Errorf("turn %d got %q", n, m.ID)
					}
					if n%5 == 0 {
						m.Approve()
					}
				}
				allowed("Messages", err, client.ErrCancelled)
			}
			if _, err := turn.Result(); err == nil {
				finished++
			} else {
				cancelled++
			}
		}
	})
	close(done)
	within(t, limit, "the others", beside.Wait)
	if err := shut(t, s); err != nil {
		t.Error(err)
	}
	if finished == 0 || cancelled == 0 {
		t.Errorf("%d turns finished, %d were cancelled", finished, cancelled)
	}
}
