package client_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// used returns a StatusUpdate with the tokens of a step.
func used(output int) *wireproto.StatusUpdate {
	return &wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{Output: output}}
}

func sub(event wireproto.Message) *wireproto.SubagentEvent {
	return &wireproto.SubagentEvent{ParentToolCallID: ptr("t"), AgentID: ptr("a1"), SubagentType: ptr("coder"), Event: event}
}

// pass waits for d in virtual time.
func pass(d time.Duration) { <-time.After(d) }

// Times are the times at which messages come. Waiting for the user does not count as work. When a turn ends, everything
// in it that is still open ends with it.
func TestObserverTimes(t *testing.T) {
	run := func(a *agent) {
		a.handshake()
		a.begin()
		pass(time.Second)
		a.text("one")
		pass(time.Second)
		a.event(&wireproto.ToolCall{ID: "t", Function: wireproto.ToolCallFunction{Name: "Agent"}})
		a.event(used(1))
		pass(time.Second)
		a.event(sub(&wireproto.StepBegin{N: 1}))
		pass(time.Second)
		a.event(sub(&wireproto.TextPart{Text: "within"}))
		a.event(sub(used(2)))
		pass(time.Second)
		a.request("r", &wireproto.ApprovalRequest{ID: "r", ToolCallID: "t", Sender: "Agent", Action: "start"})
		a.request("q", &wireproto.QuestionRequest{ID: "q", ToolCallID: "other"})
		a.answer("q")
		a.answer("r")
		pass(time.Second)
		a.event(&wireproto.ToolResult{ToolCallID: "t"})
		a.event(&wireproto.StepBegin{N: 2})
		a.event(&wireproto.ToolCall{ID: "left", Function: wireproto.ToolCallFunction{Name: "Shell"}})
		pass(time.Second)
		a.finish("finished")
		a.serve()
	}
	w := new(witness)
	var s *client.Session
	bubble(t, run, client.Options{Observer: w, SupportsQuestion: true}, func(t *testing.T, session *client.Session) {
		s = session
		turn := prompt(t, t.Context(), s)
		var held []*client.QuestionRequest
		for m, err := range turn.Messages() {
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *client.ApprovalRequest:
				m.Hold()
				time.AfterFunc(10*time.Second, func() { m.Approve() })
			case *client.QuestionRequest:
				m.Hold()
				held = append(held, m)
				time.AfterFunc(4*time.Second, func() { m.Dismiss() })
			}
		}
		result, err := turn.Result()
		if err != nil || len(held) != 1 {
			t.Fatal(err, held)
		}
		want := &client.TurnResult{
			Status: wireproto.StatusFinished, Steps: 2, Usage: wireproto.TokenUsage{Output: 3}, UsageByModel: map[string]wireproto.TokenUsage{"": {Output: 3}},
			ToolCalls: 2, FirstToken: time.Second, Duration: 17 * time.Second, Waiting: 10 * time.Second, ModelTime: 3 * time.Second, ToolTime: 5 * time.Second,
		}
		if diff := cmp.Diff(want, result); diff != "" {
			t.Error(diff)
		}
	})
	want := []string{
		"process starts: ", "1 turn starts:  hello",
		"1 step 1 starts: ", "1 tool starts: Agent t of step 1",
		"1 coder of t step 1 starts: ", "1 approval ends: Agent t approve", "1 tool ends: Agent t of step 1 ok", "1 coder of t step 1 ends:  ok 2 tokens",
		"1 step 1 ends:  ok 1 tokens", "1 step 2 starts: ", "1 tool starts: Shell left of step 2",
		"1 tool ends: Shell left of step 2 unknown", "1 step 2 ends:  ok 0 tokens", "1 turn ends: ok 2 steps, 3 tokens", "process ends",
	}
	if diff := cmp.Diff(want, tale(w.all(t))); diff != "" {
		t.Error(diff)
	}
	steps, tools := observed[*client.StepEnded](w.all(t)), observed[*client.ToolEnded](w.all(t))
	for i, want := range []client.StepEnded{
		{Duration: 13 * time.Second, FirstToken: time.Second, Answer: time.Second},
		{Duration: 16 * time.Second, FirstToken: time.Second, Answer: 2 * time.Second},
		{Duration: time.Second, Answer: time.Second},
	} {
		if got := steps[i]; got.Duration != want.Duration || got.FirstToken != want.FirstToken || got.Answer != want.Answer {
			t.Errorf("step %d: %+v", i, got)
		}
	}
	if got := tools[0]; got.Duration != 14*time.Second || got.Waiting != 10*time.Second {
		t.Errorf("%+v", got)
	}
	if got := observed[*client.ApprovalEnded](w.all(t))[0]; got.Duration != 10*time.Second {
		t.Errorf("%+v", got)
	}
}

// Each call begins and ends once, even if the model gives two calls the same id, if a call is sent twice, or if an
// attempt fails.
func TestObserverOddCalls(t *testing.T) {
	call := &wireproto.ToolCall{ID: "same", Function: wireproto.ToolCallFunction{Name: "Shell"}}
	w := new(witness)
	bubble(t, func(a *agent) {
		a.handshake()
		a.begin()
		a.event(call)
		a.event(&wireproto.StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 3})
		a.event(call)
		a.event(call)
		a.event(&wireproto.ToolResult{ToolCallID: "same"})
		a.event(&wireproto.ToolResult{ToolCallID: "same", ReturnValue: wireproto.ToolReturnValue{IsError: true}})
		a.event(&wireproto.ToolResult{ToolCallID: "same"})
		a.event(&wireproto.ToolResult{ToolCallID: "none"})
		a.event(&wireproto.StepInterrupted{})
		a.event(sub(sub(used(1))))
		a.event(&wireproto.SubagentEvent{Event: used(1)})
		a.fail(a.turn, wireproto.CodeChatProviderError, "broken")
		a.serve()
	}, client.Options{Observer: w}, func(t *testing.T, s *client.Session) {
		if _, err := prompt(t, t.Context(), s).Result(); !errors.Is(err, client.ErrProvider) {
			t.Error(err)
		}
	})
	want := []string{
		"process starts: ", "1 turn starts:  hello", "1 step 1 starts: ",
		"1 tool starts: Shell same of step 1", "1 tool ends: Shell same of step 1 cancelled", "1 retry: step 1 attempt 2 of 3, 0",
		"1 tool starts: Shell same of step 1", "1 tool starts: Shell same of step 1",
		"1 tool ends: Shell same of step 1 ok", "1 tool ends: Shell same of step 1 error",
		"1 step 1 ends:  error 0 tokens", "1 turn ends: error 1 steps, 2 tokens", "process ends",
	}
	if diff := cmp.Diff(want, tale(w.all(t))); diff != "" {
		t.Error(diff)
	}
}

// observing is an Observer that calls a function.
type observing func(client.Observation)

func (f observing) Observe(o client.Observation) { f(o) }

// If Observe panics, ends its goroutine or calls the session, it misses only that observation, and nothing else fails.
func TestObserverMisbehaves(t *testing.T) {
	for name, misbehave := range map[string]func(*client.Session){
		"panic":  func(*client.Session) { panic("oh no") },
		"Goexit": func(*client.Session) { runtime.Goexit() },
		"calls back": func(s *client.Session) {
			if s != nil {
				s.Status()
				s.Steer(context.Background(), "more")
				s.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(witness)
			var s atomic.Pointer[client.Session] // nil while the session starts
			bubble(t, good, client.Options{Observer: observing(func(o client.Observation) {
				w.Observe(o)
				if _, ok := o.(*client.ProcessStarted); !ok || name != "calls back" {
					misbehave(s.Load())
				}
			})}, func(t *testing.T, session *client.Session) {
				s.Store(session)
				if name != "calls back" {
					works(t, session)
					return
				}
				turn, err := session.Prompt(t.Context(), "hello") // the Observer closes the session in this turn
				if err == nil {
					_, err = turn.Result()
				}
				if err != nil && !errors.Is(err, client.ErrClosed) {
					t.Error(err)
				}
			})
			lines := strings.Join(tale(w.all(t)), "; ")
			for _, want := range []string{"process starts", "turn starts", "turn ends", "process ends"} {
				if strings.Count(lines, want) != 1 {
					t.Errorf("%s: %s", want, lines)
				}
			}
		})
	}
}

// An Observer that never returns delays no turn, and delays Close by StopGrace at most. Close ends the observations.
func TestObserverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		seen := 0
		s, err := client.NewSession(t.Context(), &client.Options{
			Transport: memory(good), WorkDir: t.TempDir(), ShareDir: t.TempDir(), StopGrace: 3 * time.Second,
			Observer: observing(func(client.Observation) { seen++; <-release }),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 2000 { // four observations for each turn, more than may wait
			turn := prompt(t, t.Context(), s)
			if r, err := turn.Result(); err != nil || r.Text != "ok" {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if took := time.Since(began); took > 2000*200*time.Millisecond {
			t.Errorf("the turns take %v longer", took)
		}
		began = time.Now()
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "Observer") {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Close takes %v", took)
		}
		close(release)
		synctest.Wait()
		if seen != 1 {
			t.Errorf("%d observations, those after Close among them", seen)
		}
	})
}

// If the agent ends in a turn, the observations of the end come in the right order.
func TestObserverEnd(t *testing.T) {
	w := new(witness)
	bubble(t, func(a *agent) { a.handshake(); a.begin(); a.ask("r"); a.next(); a.exit(3) }, client.Options{Observer: w}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		if _, err := loop(turn.Messages()); err == nil {
			t.Error("no error")
		}
	})
	all := w.all(t)
	want := []string{
		"process starts: ", "1 turn starts:  hello", "1 step 1 starts: ", "1 approval ends: Shell  reject", "1 step 1 ends:  error 0 tokens",
		"1 turn ends: error 1 steps, 0 tokens", "process ends",
	}
	if diff := cmp.Diff(want, tale(all)); diff != "" {
		t.Error(diff)
	}
	var exit *client.ProcessError
	if end := all[len(all)-1].(*client.ProcessEnded); !errors.As(end.Exit, &exit) || exit.ExitCode != 3 || end.Err == nil {
		t.Errorf("%+v", end)
	}
}

// An agent cannot avoid a limit, and a price that is not valid counts as more than the limit.
func TestLimits(t *testing.T) {
	step := func(a *agent, u wireproto.TokenUsage) {
		a.event(&wireproto.StepBegin{N: 1})
		a.event(&wireproto.ToolCall{ID: "t", Function: wireproto.ToolCallFunction{Name: "Shell"}})
		a.event(&wireproto.StatusUpdate{TokenUsage: &u})
		a.event(&wireproto.ToolResult{ToolCallID: "t"})
	}
	spends := func(usage ...wireproto.TokenUsage) memory {
		return func(a *agent) {
			a.handshake()
			for {
				a.turn = a.call(wireproto.MethodPrompt).ID
				for _, u := range usage {
					step(a, u)
				}
				a.event(&wireproto.StepBegin{N: 9})
				a.obey(a.call(wireproto.MethodCancel))
			}
		}
	}
	price := func(cost float64) func(string, wireproto.TokenUsage) float64 {
		return func(string, wireproto.TokenUsage) float64 { return cost }
	}
	for name, tt := range map[string]struct {
		run    memory
		limits client.Limits
		want   client.LimitError
	}{
		"negative tokens do not give back": {
			run: spends(wireproto.TokenUsage{Output: 9}, wireproto.TokenUsage{Output: -5, InputOther: 1}), limits: client.Limits{Tokens: 10},
			want: client.LimitError{Limit: "Limits.Tokens", Most: 10, Used: 10},
		},
		"more than there can be": {
			run: spends(wireproto.TokenUsage{Output: math.MaxInt, InputOther: math.MaxInt}), limits: client.Limits{Tokens: math.MaxInt},
			want: client.LimitError{Limit: "Limits.Tokens", Most: math.MaxInt, Used: math.MaxInt},
		},
		"a negative price": {
			run: spends(wireproto.TokenUsage{Output: 1}), limits: client.Limits{Cost: 1, CostOf: price(-1)},
			want: client.LimitError{Limit: "Limits.Cost", Most: 1, Used: math.Inf(1)},
		},
		"a price that is no number": {
			run: spends(wireproto.TokenUsage{Output: 1}), limits: client.Limits{Cost: 1, CostOf: price(math.NaN())},
			want: client.LimitError{Limit: "Limits.Cost", Most: 1, Used: math.Inf(1)},
		},
		"a price that panics": {
			run:    spends(wireproto.TokenUsage{Output: 1}),
			limits: client.Limits{Cost: 1, CostOf: func(string, wireproto.TokenUsage) float64 { panic("no price") }},
			want:   client.LimitError{Limit: "Limits.Cost", Most: 1, Used: math.Inf(1)},
		},
		"time": {run: func(a *agent) { a.handshake(); a.begin(); a.serve() }, limits: client.Limits{Duration: 90 * time.Second},
			want: client.LimitError{Limit: "Limits.Duration", Most: 90, Used: 90}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, tt.run, client.Options{Limits: tt.limits}, func(t *testing.T, s *client.Session) {
				r, err := prompt(t, t.Context(), s).Result()
				var limit *client.LimitError
				if !errors.Is(err, client.ErrLimit) || errors.Is(err, client.ErrCancelled) || !errors.As(err, &limit) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(&tt.want, limit); diff != "" {
					t.Error(diff)
				}
				if r.Status != wireproto.StatusCancelled {
					t.Errorf("%+v", r)
				}
				plain(t, err)
			})
		})
	}
}

// If the last step of a turn reaches a limit, the turn finishes. The limit of the session counts all turns, and refuses
// the next one.
func TestLimitsOfSession(t *testing.T) {
	run := func(a *agent) {
		a.handshake()
		for {
			a.begin()
			a.event(used(5))
			pass(time.Second)
			a.finish("finished")
		}
	}
	for name, tt := range map[string]struct {
		limits client.Limits
		want   client.LimitError
	}{
		"tokens": {client.Limits{Tokens: 10}, client.LimitError{Limit: "SessionLimits.Tokens", Most: 10, Used: 10, Refused: true}},
		"time":   {client.Limits{Duration: 2 * time.Second}, client.LimitError{Limit: "SessionLimits.Duration", Most: 2, Used: 2, Refused: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, run, client.Options{SessionLimits: tt.limits}, func(t *testing.T, s *client.Session) {
				for range 2 {
					if _, err := prompt(t, t.Context(), s).Result(); err != nil && name != "time" {
						t.Fatal(err)
					}
				}
				_, err := s.Prompt(t.Context(), "once more")
				var limit *client.LimitError
				if !errors.As(err, &limit) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(&tt.want, limit); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A queued turn is observed when it begins, and its time counts from then. A limit that is used up refuses it then.
func TestLimitsQueue(t *testing.T) {
	w := new(witness)
	run := func(a *agent) {
		a.handshake()
		for {
			a.begin()
			a.event(used(5))
			pass(time.Second)
			a.finish("finished")
		}
	}
	bubble(t, run, client.Options{Observer: w, SessionLimits: client.Limits{Tokens: 10}}, func(t *testing.T, s *client.Session) {
		var turns []*client.Turn
		for range 4 {
			turn, err := s.Queue(t.Context(), "hello")
			if err != nil {
				t.Fatal(err)
			}
			turns = append(turns, turn)
		}
		for i, turn := range turns {
			r, err := turn.Result()
			if i < 2 {
				if err != nil || r.Duration != time.Second {
					t.Errorf("turn %d: %+v, %v", i, r, err)
				}
				continue
			}
			var limit *client.LimitError
			if !errors.As(err, &limit) || !limit.Refused || r.Steps != 0 || r.Duration != 0 {
				t.Errorf("turn %d: %+v, %v", i, r, err)
			}
		}
		if _, err := s.Prompt(t.Context(), "hello"); !errors.Is(err, client.ErrLimit) {
			t.Error(err)
		}
	})
	if n := len(observed[*client.TurnStarted](w.all(t))); n != 2 || len(observed[*client.TurnEnded](w.all(t))) != 2 {
		t.Errorf("%q", tale(w.all(t)))
	}
}

func TestLimitsValidate(t *testing.T) {
	for want, opts := range map[string]client.Options{
		"client: Options.Limits.Cost: nothing says what tokens cost; set Limits.CostOf":               {Limits: client.Limits{Cost: 1}},
		"client: Options.SessionLimits.Cost: nothing says what tokens cost; set SessionLimits.CostOf": {SessionLimits: client.Limits{Cost: 1}},
		"client: Options.Limits.Tokens: it is negative; 0 is no limit":                                {Limits: client.Limits{Tokens: -1}},
		"client: Options.SessionLimits.Duration: it is negative; 0 is no limit":                       {SessionLimits: client.Limits{Duration: -1}},
	} {
		err := opts.Validate()
		var option *client.OptionError
		if err == nil || err.Error() != want || !errors.As(err, &option) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
