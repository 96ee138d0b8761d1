//go:build unix

package client_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// An Observer gets all observations of a turn, with their times: also those of a subagent and of retries.
func TestBackendsObserver(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t,
			say("text: delegating", agentCall("ag", false), "usage: output=1"),
			say("text: within", b.run("sub", "touch by-sub"), "usage: output=100"), say(summary, "usage: output=1000"),
			say("text: adding", clienttest.ToolCall("add", b.tool("add"), noInput{}), "usage: output=20"),
			say("text: done", "usage: output=10"),
		)
		opts.Tools = []client.Tool{mustTool(client.NewTool("add", "", func(context.Context, noInput) (string, error) { return "", errors.New("no") }))}
		w := new(witness)
		opts.Observer = w
		began := time.Now()
		s := e2eStart(t, ctx, opts)
		turn, err := s.Prompt(ctx, "delegate")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e2eRead(turn, approveAll(t)); err != nil {
			t.Fatal(err)
		}
		atEnd := w.all(t)
		result, err := turn.Result()
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"process starts: scripted",
			"1 turn starts: scripted delegate",
			"1 step 1 starts: scripted",
			"1 tool starts: Agent ag of step 1",
			"1 coder of ag step 1 starts: scripted",
			"1 coder of ag tool starts: " + b.shell + " sub of step 1",
			"1 coder of ag tool ends: " + b.shell + " sub of step 1 ok",
			"1 coder of ag step 1 ends: scripted ok 100 tokens",
			"1 coder of ag step 2 starts: scripted",
			"1 coder of ag step 2 ends: scripted ok 1000 tokens",
			"1 tool ends: Agent ag of step 1 ok",
			"1 step 1 ends: scripted ok 1 tokens",
			"1 step 2 starts: scripted",
			"1 tool starts: add add of step 2",
			"1 tool ends: add add of step 2 error",
			"1 step 2 ends: scripted ok 20 tokens",
			"1 step 3 starts: scripted",
			"1 step 3 ends: scripted ok 10 tokens",
			"1 turn ends: ok 3 steps, 1131 tokens",
		}
		const asked = "approval ends" // kimi-cli sends the call of a subagent only after its request
		e2eSame(t, "observed at the end of the loop", want, without(tale(atEnd), asked))
		closed(t, s)
		all := w.all(t)
		e2eSame(t, "observed in all", append(want, "process ends"), without(tale(all), asked))

		var turns *client.TurnEnded
		var models, tools time.Duration
		for _, o := range all {
			switch o := o.(type) {
			case *client.ProcessStarted:
				if o.PID != s.PID() || o.Session != s.ID() || o.Version != s.Server().Server.Version || o.Backend == "" || o.Start.Before(began) || o.Duration <= 0 {
					t.Errorf("%+v", o)
				}
			case *client.ProcessEnded:
				var exit *client.ProcessError
				if o.PID != s.PID() || !errors.Is(o.Err, client.ErrClosed) || !errors.As(o.Exit, &exit) || o.Duration <= 0 {
					t.Errorf("%+v", o)
				}
			case *client.ApprovalEnded:
				if callID(o.CallID) != "sub" || o.Tool != b.shell || o.Decision != wireproto.Approve || o.Agent == "" || o.AgentType != "coder" || o.Turn != 1 ||
					o.Duration <= 0 || o.Action != "run command" {
					t.Errorf("%+v", o)
				}
			case *client.StepEnded:
				if o.FirstToken <= 0 || o.Answer < o.FirstToken || o.Duration < o.Answer {
					t.Errorf("times of a step: %+v", o)
				}
				if o.Agent == "" {
					models += o.Answer
				}
			case *client.ToolEnded:
				if o.Duration <= 0 || o.Waiting > o.Duration {
					t.Errorf("times of a tool: %+v", o)
				}
				if o.Agent == "" {
					tools += o.Duration - o.Waiting
				}
			case *client.TurnEnded:
				turns = o
			}
		}
		told := *turns.Result
		told.Text = turns.Text()
		e2eSame(t, "result that was observed", result, &told)
		used := wireproto.TokenUsage{Output: 1131}
		e2eSame(t, "result", &client.TurnResult{
			Status: wireproto.StatusFinished, Steps: 3, Usage: used, Text: "done", UsageByModel: map[string]wireproto.TokenUsage{"scripted": used}, ToolCalls: 3,
		}, result)
		e2eSame(t, "usage by model", map[string]wireproto.TokenUsage{"scripted": used}, result.UsageByModel)
		if result.ToolCalls != 3 || result.FirstToken <= 0 || result.FirstToken > result.Duration || result.Waiting <= 0 || result.Waiting >= result.Duration ||
			result.ModelTime != models || result.ToolTime != tools || turns.Duration != result.Duration {
			t.Errorf("%+v, want ModelTime %v and ToolTime %v", result, models, tools)
		}
	})
}

func TestBackendsObserverRetries(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts := b.options(t, "error: 429 slow down", say("text: at last", "usage: output=1"), "error: 400 bad request")
		opts.MaxRetriesPerStep = 2
		w := new(witness)
		opts.Observer = w
		s := e2eStart(t, ctx, opts)
		e2eText(t, ctx, s, "go", "at last")
		if _, err := runTurn(t, ctx, s, "go wrong"); err == nil {
			t.Error("no error")
		}
		want := []string{
			"1 turn starts: scripted go", "1 step 1 starts: scripted", "1 retry: step 1 attempt 2 of 2, 429", "1 step 1 ends: scripted ok 1 tokens",
			"1 turn ends: ok 1 steps, 1 tokens",
			"2 turn starts: scripted go wrong", "2 step 1 starts: scripted", "2 step 1 ends: scripted error 0 tokens", "2 turn ends: error 1 steps, 0 tokens",
		}
		e2eSame(t, "observed", want, without(tale(w.all(t)), "process"))
		retry := observed[*client.Retried](w.all(t))[0]
		if retry.Wait <= 0 || retry.ErrorType == "" || retry.At.IsZero() {
			t.Errorf("%+v", retry)
		}
	})
}

// Each turn is observed with the model that it used. kimi-cli changes the model in a new process, which is also
// observed.
func TestBackendsObserverModel(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := twoModels(t, b, say("text: one", "usage: output=1"), say("text: two", "usage: output=20"))
		w := new(witness)
		opts.Observer = w
		s := e2eStart(t, ctx, opts)
		first, err := runTurn(t, ctx, s, "one")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetModel(ctx, "other"); err != nil {
			t.Fatal(err)
		}
		second, err := runTurn(t, ctx, s, "two")
		if err != nil {
			t.Fatal(err)
		}
		closed(t, s)
		e2eSame(t, "usage of the first turn", map[string]wireproto.TokenUsage{"scripted": {Output: 1}}, first.UsageByModel)
		e2eSame(t, "usage of the second turn", map[string]wireproto.TokenUsage{"other": {Output: 20}}, second.UsageByModel)
		want := []string{
			"process starts: scripted", "1 turn starts: scripted one", "1 step 1 starts: scripted", "1 step 1 ends: scripted ok 1 tokens", "1 turn ends: ok 1 steps, 1 tokens",
			"process ends", "process starts: other",
			"2 turn starts: other two", "2 step 1 starts: other", "2 step 1 ends: other ok 20 tokens", "2 turn ends: ok 1 steps, 20 tokens", "process ends",
		}
		if !b.restarts {
			want = append(want[:5:5], want[7:]...)
		}
		e2eSame(t, "observed", want, tale(w.all(t)))
	})
}

// runTurn runs a turn.
func runTurn(t *testing.T, ctx context.Context, s *client.Session, text string) (*client.TurnResult, error) {
	t.Helper()
	turn, err := s.Prompt(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	return turn.Result()
}

// An Observer gets the waiting times of a turn, and gets the end of each part of a turn that is cancelled.
func TestBackendsObserverCancelled(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t, say("text: one", clienttest.ToolCall("hang", b.tool("hang"), noInput{})), say("text: asking", b.run("ask", "touch asked")))
		running := make(chan struct{})
		opts.Tools = []client.Tool{mustTool(client.NewTool("hang", "", func(ctx context.Context, _ noInput) (string, error) {
			close(running)
			<-ctx.Done()
			return "", ctx.Err()
		}))}
		w := new(witness)
		opts.Observer = w
		s := e2eStart(t, ctx, opts)
		turn, err := s.Prompt(ctx, "hang")
		if err != nil {
			t.Fatal(err)
		}
		recv(t, ctx, "the tool", running)
		if err := turn.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = turn.Result()
		e2eIs(t, "cancelled", err, client.ErrCancelled)
		lines := tale(w.all(t))
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "1 turn ends: cancelled 1 steps") {
			t.Errorf("%q", lines)
		}
		ended := observed[*client.ToolEnded](w.all(t))
		if len(ended) != 1 || ended[0].Outcome == client.OutcomeOK {
			t.Errorf("tool calls that have ended: %q", lines)
		}

		if turn, err = s.Prompt(ctx, "ask"); err != nil {
			t.Fatal(err)
		}
		for m, err := range turn.Messages() {
			if err != nil {
				break // cancelled
			}
			if _, ok := m.(*client.ApprovalRequest); ok {
				if err := turn.Cancel(ctx); err != nil {
					t.Error(err)
				}
			}
		}
		approvals := observed[*client.ApprovalEnded](w.all(t))
		if len(approvals) != 1 || approvals[0].Decision == wireproto.Approve || approvals[0].Turn != 2 {
			t.Errorf("approvals: %q", tale(w.all(t)))
		}
		if r, _ := turn.Result(); r.Waiting <= 0 || r.Waiting > r.Duration {
			t.Errorf("%+v", r)
		}
	})
}

// The limits of tokens and of cost end a turn between two steps. Those of a session also refuse the next turn.
func TestBackendsLimits(t *testing.T) {
	price := func(model string, u wireproto.TokenUsage) float64 {
		if model != "scripted" {
			return math.NaN()
		}
		return float64(u.Output) / 2
	}
	onBackends(t, func(t *testing.T, _ context.Context, b *backend) {
		for name, tt := range map[string]struct {
			limits  client.Limits
			session bool
			want    client.LimitError
		}{
			"tokens":         {limits: client.Limits{Tokens: 25}, want: client.LimitError{Limit: "Limits.Tokens", Most: 25, Used: 30}},
			"cost":           {limits: client.Limits{Cost: 12.5, CostOf: price}, want: client.LimitError{Limit: "Limits.Cost", Most: 12.5, Used: 15}},
			"session tokens": {session: true, limits: client.Limits{Tokens: 30}, want: client.LimitError{Limit: "SessionLimits.Tokens", Most: 30, Used: 30}},
			"session cost":   {session: true, limits: client.Limits{Cost: 15, CostOf: price}, want: client.LimitError{Limit: "SessionLimits.Cost", Most: 15, Used: 15}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ctx := withinCtx(t) // the test's own ctx may expire while other tests run
				step := func(id string) string { return say("text: "+id, b.run(id, "touch "+id), "usage: output=15") }
				opts, model := b.model(t, step("one"), step("two"), "hang:", "text: four") // Kimi Code goes on to the next step before it can be cancelled
				opts.Yolo, opts.Limits = true, tt.limits
				if tt.session {
					opts.Limits, opts.SessionLimits = client.Limits{}, tt.limits
				}
				s := e2eStart(t, ctx, opts)
				turn, err := s.Prompt(ctx, "go")
				if err != nil {
					t.Fatal(err)
				}
				result, err := turn.Result()
				checkLimit(t, err, tt.want)
				if result.Usage.Output != 30 || result.ToolCalls != 2 || !wasRun(t, opts, "one") || !wasRun(t, opts, "two") {
					t.Errorf("%+v", result)
				}
				if want := tt.want.Used; tt.limits.CostOf != nil && !tt.session && result.Cost != want {
					t.Errorf("cost %v, want %v", result.Cost, want)
				}
				asked := len(model.Requests())
				turn, err = s.Prompt(ctx, "go on")
				if tt.session {
					want := tt.want
					want.Refused = true
					checkLimit(t, err, want)
					if n := len(model.Requests()); n != asked {
						t.Errorf("the model was asked %d times after the limit", n-asked)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				turn.Cancel(ctx)
			})
		}
	})
}

// The limits of tool calls and of time end a turn at once. A Go tool that runs gets the reason from its ctx.
func TestBackendsLimitsAtOnce(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t,
			say(b.run("one", "touch one")), say(b.run("two", "touch two")), say(clienttest.ToolCall("hang", b.tool("hang"), noInput{})), "text: never",
			say(clienttest.ToolCall("hang2", b.tool("hang"), noInput{})), "text: never",
		)
		opts.Yolo = true
		causes := make(chan error, 2)
		opts.Tools = []client.Tool{mustTool(client.NewTool("hang", "", func(ctx context.Context, _ noInput) (string, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return "", ctx.Err()
		}))}
		opts.Limits = client.Limits{ToolCalls: 2, Duration: time.Hour}
		s := e2eStart(t, ctx, opts)
		turn, err := s.Prompt(ctx, "go")
		if err != nil {
			t.Fatal(err)
		}
		result, err := turn.Result()
		checkLimit(t, err, client.LimitError{Limit: "Limits.ToolCalls", Most: 2, Used: 3})
		if result.ToolCalls < 3 || !wasRun(t, opts, "two") {
			t.Errorf("%+v", result)
		}
		closed(t, s)

		opts, _ = b.model(t, say("text: waiting", clienttest.ToolCall("hang", b.tool("hang"), noInput{})), "text: never")
		hangs := make(chan error, 1)
		opts.Tools = []client.Tool{mustTool(client.NewTool("hang", "", func(ctx context.Context, _ noInput) (string, error) {
			<-ctx.Done()
			hangs <- context.Cause(ctx)
			return "", ctx.Err()
		}))}
		opts.SessionLimits.Duration = 3 * time.Second
		s = e2eStart(t, ctx, opts)
		if turn, err = s.Prompt(ctx, "wait"); err != nil {
			t.Fatal(err)
		}
		result, err = turn.Result()
		var limit *client.LimitError
		if e2eIs(t, "time", err, client.ErrLimit); !errors.As(err, &limit) || limit.Limit != "SessionLimits.Duration" || limit.Most != 3 || limit.Used < 3 {
			t.Errorf("%+v", limit)
		}
		if result.Duration < 3*time.Second {
			t.Errorf("%+v", result)
		}
		if err := recv(t, ctx, "the tool's end", hangs); !errors.Is(err, client.ErrLimit) {
			t.Errorf("the tool was told %v", err)
		}
		_, err = s.Prompt(ctx, "again")
		if e2eIs(t, "refused", err, client.ErrLimit); !errors.As(err, &limit) || !limit.Refused {
			t.Errorf("%v", err)
		}
	})
}

// A subagent that does not stop by itself is ended, and its usage counts for the limits.
func TestBackendsLimitsSubagent(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		runs := make(chan struct{}, 100)
		api := newModelAPI(t, func(r modelRequest) string {
			switch {
			case r.says("user", "do the subtask"):
				select {
				case runs <- struct{}{}:
				default:
				}
				return toolDelta("sub", b.shell, map[string]string{"command": "true"})
			default:
				return toolDelta("ag", "Agent", agentArgs(false))
			}
		})
		opts := b.at(t, api.url)
		opts.Yolo = true
		opts.Limits.ToolCalls = 4
		s := liveSession(t, ctx, opts)
		turn, err := s.Prompt(ctx, "delegate")
		if err != nil {
			t.Fatal(err)
		}
		result, err := turn.Result()
		checkLimit(t, err, client.LimitError{Limit: "Limits.ToolCalls", Most: 4, Used: 5})
		if result.Steps != 1 || result.ToolCalls < 5 { // Kimi Code may make more calls before it ends
			t.Errorf("%+v", result)
		}
	})
}

// checkLimit compares the error of a limit. It ignores the usage after the limit until the end of the turn.
func checkLimit(t *testing.T, err error, want client.LimitError) {
	t.Helper()
	e2eIs(t, "limit", err, client.ErrLimit)
	var got *client.LimitError
	if !errors.As(err, &got) {
		t.Fatalf("%T: %v", err, err)
	}
	e2eSame(t, "limit", &want, got)
}

// In kimi-cli a subagent may have a model of its own. Its usage is then counted for that model.
func TestKimiUsageByModel(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, say("text: delegating", subagentCall("ag", "sub", false), "usage: output=1"), say("text: done", "usage: output=10"))
	withModel(t, opts, "sub", say("text: within", "usage: output=100"), say(summary, "usage: output=1000"))
	s := e2eStart(t, ctx, opts)
	turn, err := s.Prompt(ctx, "delegate")
	if err != nil {
		t.Fatal(err)
	}
	result, err := turn.Result()
	if err != nil {
		t.Fatal(err)
	}
	e2eSame(t, "usage", map[string]wireproto.TokenUsage{"scripted": {Output: 11}, "sub": {Output: 1100}}, result.UsageByModel)
}

// without returns the lines that do not contain a text.
func without(lines []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, text) })
}
