package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// agent is an agent that follows a script. It runs in a child process or, with memory, in this process. The script
// reads what the client sends, and writes lines of the protocol or lines that break it.
type agent struct {
	arg    string // what the test passed to the script
	in     *wireproto.Decoder
	exit   func(code int)  // ends the agent; it does not return
	killed <-chan struct{} // closed when the agent in memory is ended; nil in a process

	mu  sync.Mutex
	out io.Writer

	turn   string             // the id of the prompt that runs
	passed []*wireproto.Frame // lines that wait did not want, for a later call
}

// scripts are the scripts that the test binary can run as an agent, by name.
var scripts = map[string]func(*agent){}

const (
	agentKey = "KIMI_GO_TEST_AGENT" // names the script
	argKey   = "KIMI_GO_TEST_ARG"
	tokenKey = "KIMI_GO_TEST_TOKEN" // marks all processes of one test
)

func init() { programs["agent"] = agentProgram }

func agentProgram() {
	if len(os.Args) > 1 && os.Args[1] == "info" {
		fmt.Println(`{"kimi_cli_version":"1.51.0","wire_protocol_version":"1.10","python_version":"3.13.0"}`)
		return
	}
	a := &agent{arg: os.Getenv(argKey), in: wireproto.NewDecoder(os.Stdin), out: os.Stdout, exit: os.Exit}
	scripts[os.Getenv(agentKey)](a)
}

// limit is the time in which a short operation must end, even on a busy machine.
const limit = 20 * time.Second

// limited returns a context that ends with the test, or after limit.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("the test's own limit"))
	t.Cleanup(cancel)
	return ctx
}

// plain fails the test if the text of an error repeats itself, or has a name that only this repository uses.
func plain(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	for line := range strings.Lines(text) { // joined errors have a line each
		parts := strings.Split(strings.TrimSpace(line), ": ")
		for i, part := range parts {
			if i > 0 && (part == "client" || part == parts[i-1]) {
				t.Errorf("the error stutters: %q", text)
			}
		}
	}
	if strings.Contains(text, "kimi-go-demo") || strings.Contains(text, ") (-") {
		t.Errorf("the error %q", text)
	}
}

// within runs f. If f takes longer than d, the test fails and prints the stacks of all goroutines.
func within(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s takes longer than %v\n%s", what, d, buf[:runtime.Stack(buf, true)])
	}
}

// shut closes a session within the limit. It does not check the error.
func shut(t testing.TB, s *client.Session) (err error) {
	t.Helper()
	within(t, limit, "Close", func() { err = s.Close() })
	return err
}

// prompt starts a turn.
func prompt(t testing.TB, ctx context.Context, s *client.Session) *client.Turn {
	t.Helper()
	turn, err := s.Prompt(ctx, "hello")
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

// brief names a message: a text by the text itself, any other message by its type.
func brief(m wireproto.Message) string {
	switch m := m.(type) {
	case *wireproto.TextPart:
		return m.Text
	case *client.ApprovalRequest, *client.QuestionRequest:
		return "live " + m.MessageType()
	}
	return m.MessageType()
}

// loop reads a stream to its end, and names each message as brief does.
func loop(messages iter.Seq2[wireproto.Message, error]) (got []string, err error) {
	for m, e := range messages {
		if e != nil {
			err = e
			continue
		}
		got = append(got, brief(m))
	}
	return got, err
}

// read reads a turn to its end, within the limit.
func read(t testing.TB, turn *client.Turn) (got []string, err error) {
	t.Helper()
	within(t, limit, "the loop over Messages", func() { got, err = loop(turn.Messages()) })
	return got, err
}

// works checks that a session can still run a turn.
func works(t testing.TB, s *client.Session) {
	t.Helper()
	turn, err := s.Prompt(t.Context(), "hello")
	if err != nil {
		t.Errorf("the session cannot start another turn: %v", err)
		return
	}
	if got, err := read(t, turn); err != nil || strings.Join(got, " ") != "TurnBegin StepBegin ok TurnEnd" {
		t.Errorf("the session is not usable: the next turn gave %q, %v", got, err)
	}
}

// next returns the next line of the client. At the end of the input, the agent ends.
func (a *agent) next() *wireproto.Frame {
	return a.wait(func(*wireproto.Frame) bool { return true })
}

// wait returns the next line that fits. It keeps the lines before that line for later calls of next and wait.
func (a *agent) wait(fits func(*wireproto.Frame) bool) *wireproto.Frame {
	if i := slices.IndexFunc(a.passed, fits); i >= 0 {
		f := a.passed[i]
		a.passed = slices.Delete(a.passed, i, i+1)
		return f
	}
	for {
		f, err := a.in.Decode()
		if err == io.EOF {
			a.exit(0)
		}
		if err != nil {
			a.exit(99) // the client wrote a line that kimi cannot read
		}
		if fits(f) {
			return f
		}
		a.passed = append(a.passed, f)
	}
}

// call waits for a call of a method.
func (a *agent) call(method string) *wireproto.Frame {
	return a.wait(func(f *wireproto.Frame) bool { return f.Method == method })
}

// answer waits for the answer to a request and returns its result, or the code of its error.
func (a *agent) answer(id string) string {
	return outcome(a.wait(func(f *wireproto.Frame) bool { return f.Method == "" && f.ID == id }))
}

func outcome(f *wireproto.Frame) string {
	if f.Error != nil {
		return fmt.Sprint("error ", f.Error.Code)
	}
	return string(f.Result)
}

// raw writes s as it is.
func (a *agent) raw(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := io.WriteString(a.out, s); err != nil {
		a.exit(98)
	}
}

func (a *agent) send(f *wireproto.Frame) {
	var b strings.Builder
	if err := wireproto.NewEncoder(&b).Encode(f); err != nil {
		panic(err)
	}
	a.raw(b.String())
}

func (a *agent) result(id, result string) {
	a.send(&wireproto.Frame{ID: id, Result: json.RawMessage(result)})
}

func (a *agent) fail(id string, code int, msg string) {
	a.send(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{Code: code, Message: msg}})
}

func (a *agent) event(m wireproto.Message) {
	a.send(&wireproto.Frame{Method: wireproto.MethodEvent, Message: m})
}

func (a *agent) text(texts ...string) {
	for _, s := range texts {
		a.event(&wireproto.TextPart{Text: s})
	}
}

func (a *agent) request(id string, m wireproto.Message) {
	a.send(&wireproto.Frame{Method: wireproto.MethodRequest, ID: id, Message: m})
}

func (a *agent) ask(id string) {
	a.request(id, &wireproto.ApprovalRequest{ID: id, Sender: "Shell", Action: "run command"})
}

const initialized = `{"protocol_version":"1.10","server":{"name":"test","version":"0"},"slash_commands":[]}`

// handshake answers initialize.
func (a *agent) handshake() { a.result(a.call(wireproto.MethodInitialize).ID, initialized) }

// begin waits for a prompt and begins its turn.
func (a *agent) begin() {
	a.turn = a.call(wireproto.MethodPrompt).ID
	a.event(&wireproto.TurnBegin{})
	a.event(&wireproto.StepBegin{N: 1})
}

// finish ends the turn.
func (a *agent) finish(status string) {
	a.event(&wireproto.TurnEnd{})
	id := a.turn
	a.turn = ""
	a.result(id, `{"status":"`+status+`"}`)
}

// serve behaves like a correct agent until the end of its input.
func (a *agent) serve() {
	for {
		a.obey(a.next())
	}
}

func (a *agent) obey(f *wireproto.Frame) {
	switch f.Method {
	case wireproto.MethodPrompt:
		a.turn = f.ID
		a.event(&wireproto.TurnBegin{})
		a.event(&wireproto.StepBegin{N: 1})
		a.text("ok")
		a.finish("finished")
	case wireproto.MethodCancel:
		if a.turn == "" {
			a.fail(f.ID, wireproto.CodeInvalidState, "No agent turn is in progress")
			return
		}
		a.result(f.ID, "{}")
		a.finish("cancelled")
	case wireproto.MethodSteer:
		a.result(f.ID, `{"status":"steered"}`)
	case wireproto.MethodSetPlanMode:
		a.result(f.ID, `{"status":"ok","plan_mode":`+strings.TrimSuffix(strings.TrimPrefix(string(f.Params), `{"enabled":`), "}")+`}`)
	case wireproto.MethodReplay:
		a.result(f.ID, `{"status":"finished","events":0,"requests":0}`)
	}
}

// hang does nothing until it is killed, or until the test must be over.
func (a *agent) hang() {
	select {
	case <-a.killed:
	case <-time.After(2 * time.Minute):
	}
	a.exit(97)
}
