package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// city is the type that the tests ask for.
type city struct {
	Name   string   `json:"name" jsonschema:"its name"`
	People int64    `json:"people"`
	Rivers []string `json:"rivers,omitempty"`
}

func mustAnswer[T any](t testing.TB, name string) *client.Answer[T] {
	t.Helper()
	a, err := client.NewAnswer[T](name, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// answering starts a session with an agent in memory. The session has the tools of answers.
func answering(t testing.TB, agent client.Transport, tools ...client.Tool) *client.Session {
	t.Helper()
	s, err := client.NewSession(t.Context(), &client.Options{Transport: agent, WorkDir: t.TempDir(), ShareDir: t.TempDir(), Tools: tools})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

type args = map[string]any

func TestAnswer(t *testing.T) {
	oslo := args{"name": "Oslo", "people": 9007199254740993}
	calls := func(all ...args) func(*clienttest.Turn) {
		return func(turn *clienttest.Turn) {
			turn.Say(`Not this: {"name":"Paris","people":1}`)
			for _, a := range all {
				turn.Tool("city", a)
			}
			turn.Step()
			turn.Say("told")
		}
	}
	says := func(turn *clienttest.Turn) { turn.Say(`{"name":"Paris","people":1}`) }
	subagent := func(turn *clienttest.Turn) {
		raw := `{"name":"Paris","people":1}`
		agent := "a1"
		turn.Send(&wireproto.SubagentEvent{AgentID: &agent, Event: &wireproto.ToolCall{ID: "sub", Function: wireproto.ToolCallFunction{Name: "city", Arguments: &raw}}})
		turn.Send(&wireproto.ToolCallRequest{ID: "sub", Name: "city", Arguments: &raw})
		turn.Say("done")
	}
	fails := func(turn *clienttest.Turn) {
		turn.Tool("city", oslo)
		turn.Fail(wireproto.CodeChatProviderError, "overloaded")
	}
	misfit := args{"name": 1, "people": "many", "mayor": "x"}
	for name, test := range map[string]struct {
		turns []func(*clienttest.Turn)
		want  city
		err   *client.AnswerError
		is    error
	}{
		"once":              {turns: []func(*clienttest.Turn){calls(oslo)}, want: city{"Oslo", 9007199254740993, nil}},
		"the last counts":   {turns: []func(*clienttest.Turn){calls(oslo, args{"name": "Rome", "people": 2, "rivers": []string{"Tiber"}})}, want: city{"Rome", 2, []string{"Tiber"}}},
		"a misfit first":    {turns: []func(*clienttest.Turn){calls(misfit, oslo)}, want: city{"Oslo", 9007199254740993, nil}},
		"a misfit last":     {turns: []func(*clienttest.Turn){calls(oslo, misfit)}, want: city{"Oslo", 9007199254740993, nil}},
		"asked again":       {turns: []func(*clienttest.Turn){says, calls(oslo)}, want: city{"Oslo", 9007199254740993, nil}},
		"text alone":        {turns: []func(*clienttest.Turn){says, says, says}, err: &client.AnswerError{Text: `{"name":"Paris","people":1}`}},
		"a subagent's call": {turns: []func(*clienttest.Turn){subagent, subagent, calls(oslo)}, want: city{"Oslo", 9007199254740993, nil}},
		"misfits alone": {turns: []func(*clienttest.Turn){calls(misfit, misfit), calls(misfit), says}, err: &client.AnswerError{
			Text: `{"name":"Paris","people":1}`, Raw: json.RawMessage(`{"mayor":"x","name":1,"people":"many"}`),
			Violations: []string{`there is no "mayor"`, `name: type: 1 has type "integer", want "string"`, `people: type: many has type "string", want "integer"`},
		}},
		"the turn fails": {turns: []func(*clienttest.Turn){fails}, is: client.ErrProvider},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := mustAnswer[city](t, "city")
			agent := clienttest.NewAgent(t, test.turns...)
			got, err := a.Ask(t.Context(), answering(t, agent, a.Tool()), "Which city?")
			plain(t, err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var failed *client.AnswerError
			errors.As(err, &failed)
			if diff := cmp.Diff(test.err, failed); diff != "" || test.is != nil && !errors.Is(err, test.is) || test.err == nil && test.is == nil && err != nil {
				t.Errorf("%v%s", err, diff)
			}
			first := agent.Prompts()[0]
			if !strings.HasPrefix(first, "Which city?\n\n") || !strings.Contains(first, `"city"`) {
				t.Errorf("prompted %q", first)
			}
		})
	}
}

// The agent reads why a call does not fit, and reads that its answer was accepted.
func TestAnswerTold(t *testing.T) {
	a := mustAnswer[city](t, "city")
	var told []string
	agent := clienttest.NewAgent(t, func(turn *clienttest.Turn) {
		for _, in := range []args{{"people": 1, "Name": "x"}, {"name": "x", "people": "\x1b[2J" + strings.Repeat("y", 5000)}, {"name": "Oslo", "people": 1}} {
			r := turn.Tool("city", in)
			told = append(told, fmt.Sprint(r.IsError, " ", r.Message, r.Output.Text))
		}
	}, func(turn *clienttest.Turn) {
		r := turn.Tool("city", args{"name": "Oslo", "people": 1})
		told = append(told, fmt.Sprint(r.IsError, " ", r.Message))
	})
	s := answering(t, agent, a.Tool())
	if _, err := a.Ask(t.Context(), s, "Which city?"); err != nil {
		t.Error(err)
	}
	if _, err := prompt(t, t.Context(), s).Result(); err != nil { // a turn that asks for no answer
		t.Error(err)
	}
	if len(told) != 4 || !strings.Contains(told[0], `true the answer does not fit: name is missing; there is no "Name"; call`) ||
		len(told[1]) > 600 || strings.Contains(told[1], "\x1b") || told[2] != "false The answer is taken." || !strings.Contains(told[3], "true no one asks") {
		t.Errorf("%q", told)
	}
}

// Ask stops an agent that gives bad answers without end. The session can be used again.
func TestAnswerStops(t *testing.T) {
	a := mustAnswer[city](t, "city")
	n := 0
	agent := clienttest.NewAgent(t, func(turn *clienttest.Turn) {
		for {
			turn.Tool("city", args{})
			n++
		}
	}, func(turn *clienttest.Turn) { turn.Tool("city", args{"name": "Oslo", "people": 1}) })
	s := answering(t, agent, a.Tool())
	got, err := a.Ask(t.Context(), s, "Which city?")
	var failed *client.AnswerError
	if !errors.As(err, &failed) || got.Name != "" || len(failed.Violations) != 2 || string(failed.Raw) != "{}" {
		t.Errorf("%+v, %#v", got, err)
	}
	if n > 1000 {
		t.Errorf("%d calls", n)
	}
	if got, err := a.Ask(t.Context(), s, "Which city?"); err != nil || got.Name != "Oslo" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A bad question gives an error before anything runs. The end of ctx ends Ask.
func TestAnswerRefused(t *testing.T) {
	a, other := mustAnswer[city](t, "city"), mustAnswer[city](t, "city")
	agent := clienttest.NewAgent(t)
	s := answering(t, agent, other.Tool())
	if _, err := a.Ask(t.Context(), s, "Which city?"); err == nil || !strings.Contains(err.Error(), "Options.Tools") {
		t.Error(err)
	}
	if _, err := other.Ask(t.Context(), s, " "); err == nil || !strings.Contains(err.Error(), "empty prompt") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := other.Ask(ctx, s, "Which city?"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := client.AskAs[city](t.Context(), "Which city?", &client.Options{Transport: agent}); err != client.ErrNoApprover {
		t.Error(err)
	}
	if n := len(agent.Prompts()); n > 0 {
		t.Errorf("%d prompts", n)
	}
	if _, err := client.NewAnswer[city]("no name", ""); err == nil {
		t.Error("a bad name is taken")
	}
	if _, err := client.NewAnswer[chan int]("city", ""); err == nil {
		t.Error("a type without a schema is taken")
	}
}

func TestAnswerCancelled(t *testing.T) {
	a := mustAnswer[city](t, "city")
	said := make(chan struct{})
	agent := clienttest.NewAgent(t, func(turn *clienttest.Turn) {
		turn.Tool("city", args{"name": "Oslo", "people": 1})
		close(said)
		turn.Hang()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("the user left")
	go func() { <-said; cancel(left) }()
	got, err := a.Ask(ctx, answering(t, agent, a.Tool()), "Which city?")
	if diff := cmp.Diff(city{}, got); diff != "" || !errors.Is(err, client.ErrCancelled) || !errors.Is(err, left) {
		t.Errorf("%v%s", err, diff)
	}
}

// Two answers in one session at the same time, and one answer in two sessions: each Ask gets the answer of its own
// turn.
func TestAnswersAtOnce(t *testing.T) {
	a, b := mustAnswer[city](t, "city"), mustAnswer[int](t, "number")
	answer := func(turn *clienttest.Turn) {
		r := turn.Tool("city", args{"name": turn.Input.String(), "people": 1})
		if n := turn.Tool("number", args{"answer": len(turn.Input.String())}); n.IsError == r.IsError {
			turn.Say("both were asked for")
		}
	}
	var all sync.WaitGroup
	for range 2 {
		s := answering(t, clienttest.NewAgent(t, answer, answer, answer, answer), a.Tool(), b.Tool())
		for i := range 2 {
			text := "city " + fmt.Sprint(i)
			all.Go(func() {
				if got, err := a.Ask(t.Context(), s, text); err != nil || !strings.HasPrefix(got.Name, text) {
					t.Errorf("%+v, %v", got, err)
				}
			})
			all.Go(func() {
				if got, err := b.Ask(t.Context(), s, strings.Repeat("n", i+1)); err != nil || got < 20 {
					t.Errorf("%d, %v", got, err)
				}
			})
		}
	}
	all.Wait()
}

type explosive struct{}

func (*explosive) UnmarshalJSON([]byte) error { panic("boom") }

// A type that is not an object is sent as one member of the arguments.
func TestAnswerTypes(t *testing.T) {
	asksFor(t, []string{"a", "b"}, args{"answer": []string{"a", "b"}})
	asksFor(t, true, args{"answer": true})
	asksFor(t, &city{Name: "Oslo", People: 1}, args{"answer": args{"name": "Oslo", "people": 1}})
	asksFor(t, map[string]int{"a": 1}, args{"a": 1})
	asksFor[any](t, "x", args{"answer": "x"})
	a := mustAnswer[explosive](t, "answer")
	blow := func(turn *clienttest.Turn) { turn.Tool("answer", args{}) }
	_, err := a.Ask(t.Context(), answering(t, clienttest.NewAgent(t, blow, blow, blow), a.Tool()), "Which?")
	var failed *client.AnswerError
	if !errors.As(err, &failed) || len(failed.Violations) != 1 || !strings.Contains(failed.Violations[0], "boom") {
		t.Errorf("%#v", err)
	}
}

func asksFor[T any](t *testing.T, want T, in args) {
	t.Helper()
	agent := clienttest.NewAgent(t, func(turn *clienttest.Turn) { turn.Tool("answer_", in) })
	taken := mustTool(client.NewTool("answer", "", func(context.Context, noInput) (string, error) { return "", nil }))
	got, err := client.AskAs[T](t.Context(), "Which?", &client.Options{
		Yolo: true, Transport: agent, Tools: []client.Tool{taken}, WorkDir: t.TempDir(), ShareDir: t.TempDir(),
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v%s", err, diff)
	}
}

// Kimi Code may begin a turn by itself while the prompt waits. Answers in that turn do not count.
func TestAnswerInForeignTurn(t *testing.T) {
	call := func(a *agent, id, name string) {
		raw := `{"name":"` + name + `","people":1}`
		a.event(&wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: "city", Arguments: &raw}})
		a.request(id, &wireproto.ToolCallRequest{ID: id, Name: "city", Arguments: &raw})
		a.answer(id)
	}
	foreign := func(own bool) memory {
		return func(a *agent) {
			a.result(a.call(wireproto.MethodInitialize).ID, `{"protocol_version":"1.10","server":{"name":"test","version":"0"},"slash_commands":[],`+
				`"external_tools":{"accepted":["city"],"rejected":[]},"bridge":{"session_id":"s1","model":"m"}}`)
			for range 3 {
				a.begin()
				call(a, "c1", "Paris")
				if own {
					a.event(&wireproto.TurnBegin{})
					call(a, "c2", "Oslo")
				} else {
					a.event(&wireproto.TurnBegin{})
				}
				a.finish("finished")
			}
			a.serve()
		}
	}
	for own, want := range map[bool]string{true: "Oslo", false: ""} {
		synctest.Test(t, func(t *testing.T) {
			a := mustAnswer[city](t, "city")
			s := answering(t, foreign(own), a.Tool())
			got, err := a.Ask(t.Context(), s, "Which city?")
			var failed *client.AnswerError
			if got.Name != want || errors.As(err, &failed) == own {
				t.Errorf("own %v: %+v, %v", own, got, err)
			}
			s.Close()
		})
	}
}

func decoded(t testing.TB, raw []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	return v
}
