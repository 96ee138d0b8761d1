// Package scenarios has the conversations that the fixtures of this module record. The same code runs a conversation
// with the real kimi when a fixture is recorded (scripts/record-fixtures), and with the recording when it is replayed
// (the tests of this package). So the checks hold for both.
package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Scenario is a conversation over one connection.
type Scenario struct {
	Name  string // the name of the fixture, without .jsonl
	Shows string // one line for the table in the README of the fixtures

	// KimiCode says that the agent is Kimi Code through the bridge, not kimi-cli.
	KimiCode bool

	// Only the recorder uses these. Scripts are the outputs of the scripted model, one for each call. Sub are those of
	// the model "sub", which subagents use. Prepare sets up what else the real kimi needs; it may be nil.
	Scripts []string
	Sub     []string
	Prepare func(ctx context.Context, r *Rig) error

	// Options sets tools, hooks and handlers in Play.Options. It may be nil.
	Options func(*Play)
	// Resume is the id of the session to continue, "" to begin one.
	Resume string
	// Refused checks the error of a session that does not start; nil for one that does.
	Refused func(error) error
	// Run drives the session and checks what it sees.
	Run func(p *Play)
	// Raw replaces Options and Run. It may write lines that a client of this module never writes.
	Raw func(w *Wire)

	rig *Rig // the kimi of the recording; nil in a replay
}

// All returns every scenario.
func All() []Scenario {
	return slices.Concat(textScenarios(), toolScenarios(), goToolScenarios(), approvalScenarios(), questionScenarios(), planScenarios(),
		hookScenarios(), turnScenarios(), errorScenarios(), sessionScenarios(), agentScenarios(), mcpScenarios(), rawScenarios(), kimiCodeScenarios())
}

// Play runs the scenario. opts say where the agent is: the real kimi, or a recording.
func (s *Scenario) Play(ctx context.Context, opts *client.Options) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("scenario %s: %w", s.Name, err)
		}
	}()
	o := *opts
	if s.Raw != nil {
		return runRaw(ctx, &o, s.Raw)
	}
	p := &Play{Ctx: ctx, Options: &o, Rig: s.rig, began: make(chan struct{}), gate: make(chan struct{})}
	defer p.release()
	if s.Options != nil {
		s.Options(p)
	}
	if s.Resume != "" {
		p.Session, err = client.ResumeSession(ctx, s.Resume, &o)
	} else {
		p.Session, err = client.NewSession(ctx, &o)
	}
	switch {
	case s.Refused != nil && err == nil:
		p.Session.Close()
		return errors.New("the session has started")
	case s.Refused != nil:
		return s.Refused(err)
	case err != nil:
		return err
	}
	s.Run(p)
	p.NoError(p.Session.Close())
	return errors.Join(p.errs...)
}

// Play is a running scenario. A check that fails is noted, and the scenario continues.
type Play struct {
	Ctx     context.Context
	Session *client.Session
	Options *client.Options // the options of the session
	Rig     *Rig            // nil in a replay
	errs    []error
	began   chan struct{} // closed when the tool that waiting returns has begun
	begin   sync.Once
	gate    chan struct{}
	open    sync.Once
	outside <-chan *client.ApprovalRequest // requests that came while no turn ran
}

// waiting returns a tool that waits until release is called, even if its turn is cancelled.
func (p *Play) waiting() client.Tool {
	return tool("wait", func(context.Context, word) (string, error) {
		p.begin.Do(func() { close(p.began) })
		<-p.gate
		return "waited", nil
	})
}

// waits reports whether a message is a request for the tool that waiting returns. If so, it first waits until the tool
// has begun, because a tool does not begin if its turn is being cancelled.
func (p *Play) waits(m wireproto.Message) bool {
	if !is[*wireproto.ToolCallRequest](m) {
		return false
	}
	select {
	case <-p.began:
	case <-p.Ctx.Done():
		p.Fail("the tool has not begun: %w", context.Cause(p.Ctx))
	}
	return true
}

func (p *Play) release() { p.open.Do(func() { close(p.gate) }) }

// Fail notes what is wrong.
func (p *Play) Fail(format string, args ...any) { p.errs = append(p.errs, fmt.Errorf(format, args...)) }

// NoError notes an error that is not nil.
func (p *Play) NoError(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// Check notes a failure unless ok is true. what says what should hold.
func (p *Play) Check(ok bool, what string, got ...any) {
	if !ok {
		p.Fail("check failed: %s: %v", what, got)
	}
}

// Turn runs a turn that must finish, and returns its messages. If on is not nil, Turn calls it with each message when
// the message comes.
func (p *Play) Turn(prompt string, on func(wireproto.Message), parts ...wireproto.ContentPart) Messages {
	return p.Ends(nil, prompt, func(_ *client.Turn, m wireproto.Message) {
		if on != nil {
			on(m)
		}
	}, parts...)
}

// Ends runs a turn that must end with the error want.
func (p *Play) Ends(want error, prompt string, on func(*client.Turn, wireproto.Message), parts ...wireproto.ContentPart) (list Messages) {
	turn, err := p.Session.Prompt(p.Ctx, prompt, parts...)
	if err != nil {
		p.NoError(err)
		return nil
	}
	for m, err := range turn.Messages() {
		if err != nil {
			break
		}
		list = append(list, m)
		if on != nil {
			on(turn, m)
		}
	}
	if _, err := turn.Result(); !errors.Is(err, want) {
		p.Fail("the turn %.40q ended with %v, not %v", prompt, err, want)
	}
	return list
}

// Order checks that messages of these types came in this order. Others may come between them.
func (p *Play) Order(list Messages, types string) {
	got := list.types()
	rest := got
	for want := range strings.FieldsSeq(types) {
		i := slices.Index(rest, want)
		if i < 0 {
			p.Fail("no %s in its place of %q: %q", want, types, got)
			return
		}
		rest = rest[i+1:]
	}
}

// Without checks that no message of these types came.
func (p *Play) Without(list Messages, types string) {
	for bad := range strings.FieldsSeq(types) {
		if slices.Contains(list.types(), bad) {
			p.Fail("unexpected %s: %q", bad, list.types())
		}
	}
}

// Says checks the text of all messages together.
func (p *Play) Says(list Messages, want string) {
	if got := list.text(); got != want {
		p.Fail("text %.200q, not %.200q", got, want)
	}
}

// Result checks the result of the tool call with this id: whether it is an error, and whether its output or message
// contains piece. It returns the result.
func (p *Play) Result(list Messages, id string, isError bool, piece string) *wireproto.ToolReturnValue {
	for _, r := range only[*wireproto.ToolResult](list) {
		if r.ToolCallID != id {
			continue
		}
		v := &r.ReturnValue
		if v.IsError != isError || !strings.Contains(v.Output.String()+v.Message, piece) {
			p.Fail("result of %s: error %v, %.300q, message %.300q", id, v.IsError, v.Output.String(), v.Message)
		}
		return v
	}
	p.Fail("no result of %s: %q", id, list.types())
	return new(wireproto.ToolReturnValue)
}

// Messages are the messages of a turn.
type Messages []wireproto.Message

func (l Messages) types() (types []string) {
	for _, m := range l {
		types = append(types, m.MessageType())
	}
	return types
}

func (l Messages) text() string {
	var b strings.Builder
	for _, t := range only[*wireproto.TextPart](l) {
		b.WriteString(t.Text)
	}
	return b.String()
}

// only returns the messages of type M.
func only[M wireproto.Message](list Messages) (of []M) {
	for _, m := range list {
		if m, ok := m.(M); ok {
			of = append(of, m)
		}
	}
	return of
}

// one returns the only message of a type. If there is not exactly one, it notes a failure and returns an empty message.
func one[T any, M interface {
	*T
	wireproto.Message
}](p *Play, list Messages) M {
	of := only[M](list)
	if len(of) != 1 {
		m := M(new(T))
		p.Fail("%d of %s: %q", len(of), m.MessageType(), list.types())
		return m
	}
	return of[0]
}
