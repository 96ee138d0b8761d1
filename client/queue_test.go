package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// gated is an agent that records its prompts. It ends each turn when the gate allows it or when the turn is cancelled.
type gated struct {
	prompts []string
	gate    chan struct{}
}

func (g *gated) run(a *agent) {
	g.gate = make(chan struct{})
	a.handshake()
	var mu sync.Mutex
	go func() {
		for {
			select {
			case <-g.gate:
				mu.Lock()
				a.finish("finished")
				mu.Unlock()
			case <-a.killed:
				return
			}
		}
	}()
	for {
		f := a.next()
		mu.Lock()
		if f.Method == wireproto.MethodPrompt {
			a.turn = f.ID
			g.prompts = append(g.prompts, string(f.Params))
			a.event(&wireproto.TurnBegin{})
		} else {
			a.obey(f)
		}
		mu.Unlock()
	}
}

func queue(t testing.TB, ctx context.Context, s *client.Session, text string) *client.Turn {
	t.Helper()
	turn, err := s.Queue(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func input(texts ...string) (prompts []string) {
	for _, text := range texts {
		prompts = append(prompts, fmt.Sprintf(`{"user_input":%q}`, text))
	}
	return prompts
}

// Turns begin in order without a reader, each after the end of the turn before it. A turn that is cancelled before it
// begins never runs.
func TestQueue(t *testing.T) {
	var g gated
	bubble(t, g.run, client.Options{}, func(t *testing.T, s *client.Session) {
		sent := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(input(want...), g.prompts); diff != "" {
				t.Fatal(diff)
			}
		}
		open := func() {
			synctest.Wait() // wait until a turn has begun
			g.gate <- struct{}{}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		first := queue(t, t.Context(), s, "one")
		given := queue(t, ctx, s, "two")
		third := queue(t, t.Context(), s, "three")
		taken := queue(t, t.Context(), s, "four")
		fifth := queue(t, t.Context(), s, "five")
		sent("one")
		if _, err := s.Prompt(t.Context(), "me too"); err != client.ErrBusy {
			t.Errorf("Prompt while turns wait: %v", err)
		}
		for _, err := range s.Replay(t.Context()) {
			if err != client.ErrBusy {
				t.Errorf("Replay while turns wait: %v", err)
			}
		}
		left := errors.New("the user left")
		cancel(left)
		if err := taken.Cancel(t.Context()); err != nil {
			t.Error(err)
		}
		for turn, want := range map[*client.Turn]error{given: left, taken: client.ErrCancelled} {
			r, err := turn.Result()
			if diff := cmp.Diff(&client.TurnResult{}, r); diff != "" || !errors.Is(err, client.ErrCancelled) || !errors.Is(err, want) {
				t.Errorf("a turn that did not begin: %v%s", err, diff)
			}
			if got, again := loop(turn.Messages()); len(got) > 0 || again != err {
				t.Errorf("a turn that did not begin has %q, %v", got, again)
			}
		}
		sent("one")
		open()
		sent("one", "three")
		open()
		sent("one", "three", "five")
		if err := fifth.Cancel(t.Context()); err != nil { // the turn has begun, so the agent gets the cancellation
			t.Error(err)
		}
		if r, err := fifth.Result(); !errors.Is(err, client.ErrCancelled) || r.Status != wireproto.StatusCancelled {
			t.Errorf("%+v, %v", r, err)
		}
		for _, turn := range []*client.Turn{first, third} {
			if got, err := loop(turn.Messages()); err != nil || strings.Join(got, " ") != "TurnBegin TurnEnd" {
				t.Errorf("%q, %v", got, err)
			}
		}
		direct := prompt(t, t.Context(), s) // no turn runs and none waits
		sent("one", "three", "five", "hello")
		after := queue(t, t.Context(), s, "six")
		for _, turn := range []*client.Turn{direct, after} {
			open()
			if _, err := turn.Result(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Many goroutines may call Queue. Each turn runs once, with its own text.
func TestQueueAtOnce(t *testing.T) {
	bubble(t, good, client.Options{}, func(t *testing.T, s *client.Session) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				turn, err := s.Queue(t.Context(), "hello")
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := loop(turn.Messages()); err != nil || strings.Join(got, " ") != "TurnBegin StepBegin ok TurnEnd" {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		all.Wait()
		works(t, s)
	})
}

// The end of the session ends the turns that wait, with the session's error. Queue refuses bad input at once.
func TestQueueEnds(t *testing.T) {
	for name, end := range map[string]func(*client.Session){
		"Close": func(s *client.Session) { s.Close() },
		"death": func(s *client.Session) { s.Steer(context.Background(), "die") },
	} {
		t.Run(name, func(t *testing.T) {
			agent := func(a *agent) { // the agent dies when it gets a steer
				a.handshake()
				a.begin()
				a.call(wireproto.MethodSteer)
				a.exit(3)
			}
			bubble(t, agent, client.Options{}, func(t *testing.T, s *client.Session) {
				running, waiting := queue(t, t.Context(), s, "one"), queue(t, t.Context(), s, "two")
				if _, err := s.Queue(t.Context(), " "); err == nil {
					t.Error("an empty prompt waits")
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := s.Queue(ended, "three"); !errors.Is(err, context.Canceled) {
					t.Errorf("with a ctx that has ended: %v", err)
				}
				end(s)
				for _, turn := range []*client.Turn{running, waiting} {
					_, err := turn.Result()
					<-s.Done()
					if err == nil || err != s.Err() {
						t.Errorf("%v, want that of the session, %v", err, s.Err())
					}
				}
				if _, err := s.Queue(t.Context(), "four"); err == nil || err != s.Err() {
					t.Errorf("Queue after the end: %v", err)
				}
			})
		})
	}
}

// talkative is an agent whose first turn has more messages than the window of a reader. The turn has a request, and
// then says how it was answered.
func talkative(a *agent) {
	a.handshake()
	a.begin()
	for range 4000 {
		a.text(strings.Repeat("x", 1000))
	}
	a.ask("r1")
	a.text(a.answer("r1"))
	a.finish("finished")
	a.serve()
}

// If no loop reads a turn, the next turn still begins. The messages of the first turn are kept, and its request is
// rejected.
func TestQueueBehindUnread(t *testing.T) {
	bubble(t, talkative, client.Options{StopGrace: 7 * time.Second}, func(t *testing.T, s *client.Session) {
		unread := prompt(t, t.Context(), s)
		began := time.Now()
		if r, err := queue(t, t.Context(), s, "next").Result(); err != nil || r.Text != "ok" {
			t.Errorf("%+v, %v", r, err)
		}
		if d := time.Since(began); d < 7*time.Second || d > 14*time.Second {
			t.Errorf("the request was rejected after %v", d)
		}
		got, err := loop(unread.Messages())
		if n := len(got); err != nil || n != 4005 || got[n-3] != "live ApprovalRequest" || !strings.Contains(got[n-2], "reject") {
			t.Errorf("%d messages, the last %.300q, %v", n, got[max(0, n-4):], err)
		}
	})
}

// The requests of a turn with a reader wait for the reader without a limit, also if the reader starts late.
func TestQueueBehindReader(t *testing.T) {
	bubble(t, talkative, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		next := queue(t, t.Context(), s, "next")
		var last string
		for m, err := range turn.Messages() {
			if err != nil {
				t.Error(err)
				break
			}
			if r, ok := m.(*client.ApprovalRequest); ok {
				<-time.After(time.Hour) // the user needs an hour to answer
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
			}
			if m, ok := m.(*wireproto.TextPart); ok {
				last = m.Text
			}
		}
		if !strings.Contains(last, "approve") {
			t.Errorf("the agent learned %q", last)
		}
		if r, err := next.Result(); err != nil || r.Text != "ok" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A loop that waits for a later turn reads the rest of its own turn first.
func TestQueueWithinLoop(t *testing.T) {
	for name, wait := range map[string]func(*client.Turn) error{
		"Result":   func(turn *client.Turn) error { _, err := turn.Result(); return err },
		"Messages": func(turn *client.Turn) error { _, err := loop(turn.Messages()); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, talkative, client.Options{}, func(t *testing.T, s *client.Session) {
				n := 0
				for _, err := range prompt(t, t.Context(), s).Messages() {
					if err != nil {
						t.Error(err)
					}
					if n++; n > 1 {
						continue
					}
					queue(t, t.Context(), s, "another")
					if err := wait(queue(t, t.Context(), s, "next")); err != nil {
						t.Error(err)
					}
				}
				if n != 1 {
					t.Errorf("the loop got %d messages", n)
				}
			})
		})
	}
}

// A turn of Queue waits for a replay, and for an earlier turn that kimi does not end.
func TestQueueBehindReplay(t *testing.T) {
	replays := func(a *agent) {
		a.handshake()
		f := a.call(wireproto.MethodReplay)
		for range 4000 {
			a.text(strings.Repeat("x", 1000))
		}
		a.result(f.ID, `{"status":"finished","events":4000,"requests":0}`)
		a.serve()
	}
	bubble(t, replays, client.Options{}, func(t *testing.T, s *client.Session) {
		var next *client.Turn
		n := 0
		for _, err := range s.Replay(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			if n++; n == 1 {
				next = queue(t, t.Context(), s, "next")
				if r, err := next.Result(); err != nil || r.Text != "ok" {
					t.Errorf("%+v, %v", r, err)
				}
			}
		}
		if n != 4000 {
			t.Errorf("%d messages of the replay", n)
		}
	})
	bubble(t, deaf, client.Options{StopGrace: 7 * time.Second}, func(t *testing.T, s *client.Session) {
		ctx, cancel := context.WithCancel(t.Context())
		turn := prompt(t, ctx, s)
		next := queue(t, t.Context(), s, "next")
		cancel()
		if _, err := turn.Result(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		r, err := next.Result()
		<-s.Done()
		if err == nil || err != s.Err() || r.Steps > 0 {
			t.Errorf("after a turn that kimi does not end: %+v, %v, want %v", r, err, s.Err())
		}
	})
}

// IdleTimeout counts from the beginning of a turn, also for a turn without a reader.
func TestQueueIdle(t *testing.T) {
	bubble(t, silent, client.Options{IdleTimeout: time.Minute}, func(t *testing.T, s *client.Session) {
		began := time.Now()
		first := prompt(t, t.Context(), s)
		next := queue(t, t.Context(), s, "next")
		if _, err := next.Result(); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != time.Minute {
			t.Errorf("it took %v", d)
		}
		if _, err := first.Result(); !errors.Is(err, client.ErrIdle) {
			t.Error(err)
		}
	})
}
