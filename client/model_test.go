package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// row is a Transport that starts its scripts one after the other, and records the model of each start.
type row struct {
	scripts []memory
	models  []string
	plans   int // how many starts had the argument --plan
}

func (r *row) Start(ctx context.Context, c *client.Command) (client.Conn, error) {
	if len(r.scripts) == 0 {
		return nil, errors.New("nothing is left to start")
	}
	model := ""
	if i := slices.Index(c.Args, "--model"); i >= 0 {
		model = c.Args[i+1]
	}
	r.models = append(r.models, model)
	if slices.Contains(c.Args, "--plan") {
		r.plans++
	}
	next := r.scripts[0]
	r.scripts = r.scripts[1:]
	return next.Start(ctx, c)
}

func successors(t *testing.T, opts client.Options, test func(*testing.T, *client.Session, *row), scripts ...memory) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &row{scripts: scripts}
		opts.Transport, opts.WorkDir, opts.ShareDir = r, t.TempDir(), t.TempDir()
		opts.Env = map[string]string{"KIMI_MODEL_NAME": ""}
		opts.Config = &config.Config{
			DefaultModel: "first",
			Providers:    map[string]config.Provider{"p": {Type: config.ProviderKimi}},
			Models:       map[string]config.Model{"first": {Provider: "p", Model: "m1", MaxContextSize: 1}, "other": {Provider: "p", Model: "m2", MaxContextSize: 2}},
		}
		s, err := client.NewSession(t.Context(), &opts)
		if err != nil {
			t.Fatal(err)
		}
		test(t, s, r)
		s.Close()
		synctest.Wait()
	})
}

// slowToStart waits before it answers initialize.
func slowToStart(a *agent) {
	f := a.call(wireproto.MethodInitialize)
	<-time.After(time.Minute)
	a.result(f.ID, initialized)
	a.serve()
}

// A call while the process changes waits or gets an error. The end of ctx ends only the waiting.
func TestSetModelBusy(t *testing.T) {
	cut := func(a *agent) { // the last line that it sends is not complete
		a.handshake()
		defer a.raw(`{"jsonrpc":"2.0","method":"ev`)
		a.serve()
	}
	successors(t, client.Options{}, func(t *testing.T, s *client.Session, r *row) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.SetModel(ctx, "other"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SetModel: %v", err)
		}
		if _, err := s.Prompt(t.Context(), "hello"); err != client.ErrBusy || s.Model() != "first" {
			t.Errorf("Prompt: %v, model %q", err, s.Model())
		}
		if err := s.SetModel(t.Context(), "other"); err != client.ErrBusy {
			t.Errorf("SetModel: %v", err)
		}
		began := time.Now()
		if on, err := s.SetPlanMode(t.Context(), true); !on || err != nil { // the new process answers
			t.Errorf("SetPlanMode: %v, %v", on, err)
		}
		if d := time.Since(began); d != 50*time.Second {
			t.Errorf("it took %v", d)
		}
		if got, err := loop(queue(t, t.Context(), s, "hello").Messages()); err != nil || strings.Join(got, " ") != "TurnBegin StepBegin ok TurnEnd" {
			t.Errorf("%q, %v", got, err)
		}
		if s.Model() != "other" || !slices.Equal(r.models, []string{"", "other"}) {
			t.Errorf("model %q of %q", s.Model(), r.models)
		}
	}, cut, slowToStart)
}

// A call that the old process has not answered ends with an error. A call that it has answered keeps its answer.
func TestSetModelCalls(t *testing.T) {
	deaf := func(a *agent) {
		a.handshake()
		a.obey(a.call(wireproto.MethodSetPlanMode))
		a.call(wireproto.MethodSetPlanMode) // the agent does not answer this call
		a.next()
	}
	successors(t, client.Options{}, func(t *testing.T, s *client.Session, r *row) {
		if on, err := s.SetPlanMode(t.Context(), true); !on || err != nil {
			t.Errorf("SetPlanMode: %v, %v", on, err)
		}
		lost := make(chan error, 1)
		go func() {
			_, err := s.SetPlanMode(t.Context(), false)
			lost <- err
		}()
		synctest.Wait()
		if err := s.SetModel(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-lost:
			if err == nil || !strings.Contains(err.Error(), "make the call again") {
				t.Errorf("SetPlanMode: %v", err)
			}
		case <-time.After(10 * time.Minute):
			t.Fatal("a call of the old process waits for ever")
		}
		if on, err := s.SetPlanMode(t.Context(), true); !on || err != nil {
			t.Errorf("SetPlanMode: %v, %v", on, err)
		}
	}, deaf, good)
}

// An old process that does not end is killed. If the new process does not start, the session ends.
func TestSetModelFails(t *testing.T) {
	stays := func(a *agent) {
		a.handshake()
		a.hang()
	}
	successors(t, client.Options{StopGrace: 9 * time.Second}, func(t *testing.T, s *client.Session, r *row) {
		began := time.Now()
		if err := s.SetModel(t.Context(), "other"); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 9*time.Second {
			t.Errorf("it took %v", d)
		}
		works(t, s)
	}, stays, good)
	successors(t, client.Options{}, func(t *testing.T, s *client.Session, r *row) {
		err := s.SetModel(t.Context(), "other")
		if err == nil || !strings.Contains(err.Error(), "nothing is left") {
			t.Errorf("SetModel: %v", err)
		}
		<-s.Done()
		if s.Err() != err {
			t.Errorf("%v, want %v", s.Err(), err)
		}
	}, good)
	dies := func(a *agent) { a.exit(3) }
	successors(t, client.Options{}, func(t *testing.T, s *client.Session, r *row) {
		err := s.SetModel(t.Context(), "other")
		var end *client.ProcessError
		if !errors.As(err, &end) || end.ExitCode != 3 || s.Err() != err {
			t.Errorf("SetModel: %v, Err: %v", err, s.Err())
		}
	}, good, dies)
}

// Close ends a change of the model, and the calls that wait for it.
func TestSetModelClose(t *testing.T) {
	successors(t, client.Options{}, func(t *testing.T, s *client.Session, r *row) {
		changed := make(chan error, 1)
		go func() { changed <- s.SetModel(t.Context(), "other") }()
		synctest.Wait()
		turn := queue(t, t.Context(), s, "hello")
		s.Close()
		if err := <-changed; !errors.Is(err, client.ErrClosed) {
			t.Errorf("SetModel: %v", err)
		}
		if _, err := turn.Result(); err != client.ErrClosed {
			t.Errorf("Result: %v", err)
		}
	}, good, slowToStart)
}

// If a process has ended by itself, SetModel waits for the process that follows it.
func TestSetModelRestarts(t *testing.T) {
	dies := func(a *agent) {
		a.handshake()
		<-time.After(time.Minute)
		a.exit(3)
	}
	successors(t, client.Options{Restart: true}, func(t *testing.T, s *client.Session, r *row) {
		<-time.After(70 * time.Second)
		changed := make(chan error, 1)
		go func() { changed <- s.SetModel(t.Context(), "other") }()
		select {
		case err := <-changed:
			if err != nil || s.Model() != "other" || !slices.Equal(r.models, []string{"", "", "other"}) {
				t.Errorf("SetModel: %v, model %q of %q", err, s.Model(), r.models)
			}
		case <-time.After(10 * time.Minute):
			t.Fatal("SetModel waits for ever")
		}
		if got, err := loop(queue(t, t.Context(), s, "hello").Messages()); err != nil || strings.Join(got, " ") != "Notification TurnBegin StepBegin ok TurnEnd" {
			t.Errorf("%q, %v", got, err)
		}
	}, dies, slowToStart, good)
	successors(t, client.Options{Restart: true}, func(t *testing.T, s *client.Session, r *row) {
		<-time.After(70 * time.Second)
		changed := make(chan error, 1)
		go func() { changed <- s.SetModel(t.Context(), "other") }()
		synctest.Wait()
		s.Close()
		if err := <-changed; !errors.Is(err, client.ErrClosed) {
			t.Errorf("SetModel: %v", err)
		}
	}, dies, slowToStart)
}

// If a new process follows before the first turn, it starts in the same plan mode as the old process.
func TestRestartPlans(t *testing.T) {
	dies := func(a *agent) {
		a.handshake()
		<-time.After(time.Minute)
		a.exit(3)
	}
	successors(t, client.Options{Restart: true, Plan: true}, func(t *testing.T, s *client.Session, r *row) {
		<-time.After(70 * time.Second)
		if _, err := loop(queue(t, t.Context(), s, "hello").Messages()); err != nil || r.plans != 2 {
			t.Errorf("%v, plan mode in %d of 2 processes", err, r.plans)
		}
	}, dies, good)
}

// A new process follows even if no one reads the messages of the old process. A goroutine that waits for the end of a
// request continues.
func TestRestartUnread(t *testing.T) {
	floods := func(a *agent) {
		a.handshake()
		a.begin()
		a.ask("r1")
		a.text(strings.Repeat("x", 2<<20)) // more than the stream can hold
		a.exit(3)
	}
	successors(t, client.Options{Restart: true}, func(t *testing.T, s *client.Session, r *row) {
		turn := prompt(t, t.Context(), s)
		var end *client.ProcessError
		for m, err := range turn.Messages() {
			if r, ok := m.(*client.ApprovalRequest); ok {
				select {
				case <-r.Done():
				case <-time.After(10 * time.Minute):
					t.Fatal("the request waits for ever")
				}
			}
			if err != nil && !errors.As(err, &end) {
				t.Error(err)
			}
		}
		if end == nil || end.ExitCode != 3 {
			t.Errorf("the turn: %v", end)
		}
		if got, err := loop(queue(t, t.Context(), s, "hello").Messages()); err != nil || strings.Join(got, " ") != "Notification TurnBegin StepBegin ok TurnEnd" {
			t.Errorf("%q, %v", got, err)
		}
	}, floods, good)
}

// When Close has returned, no process is being started.
func TestRestartClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dies := memory(func(a *agent) {
			a.handshake()
			a.exit(3)
		})
		starts, closed := 0, false
		starting := make(chan struct{})
		s, err := client.NewSession(t.Context(), &client.Options{Restart: true, Transport: transportFunc(func(ctx context.Context, c *client.Command) (client.Conn, error) {
			starts++
			if starts == 1 {
				return dies.Start(ctx, c)
			}
			close(starting)
			<-time.After(time.Second)
			if closed {
				t.Error("a process is started after Close")
			}
			return memory(good).Start(ctx, c)
		})})
		if err != nil {
			t.Fatal(err)
		}
		<-starting
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		closed = true
		<-time.After(2 * time.Second)
	})
}
