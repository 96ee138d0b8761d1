package clienttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strconv"
	"sync"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Agent is a scripted agent in memory, for Options.Transport. Each prompt runs the next of its turns. An Agent needs no
// process, and works inside testing/synctest.
type Agent struct {
	t TB

	mu    sync.Mutex
	turns []func(*Turn)
	seen  []string
	next  int
}

// NewAgent returns an agent whose prompts run the turns in this order, each once. A prompt for which no turn is left,
// or a turn that never ran, fails the test. A nil t is for Examples: instead of failing a test, the agent panics. A
// program that is not a test gets a t from [Run].
func NewAgent(t TB, turns ...func(*Turn)) *Agent {
	a := &Agent{t: report(t), turns: turns}
	a.t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if left := len(a.turns) - a.next; left > 0 {
			a.t.Errorf("clienttest: %d of %d turns were never prompted", left, len(a.turns))
		}
	})
	return a
}

// Prompts returns the texts of the prompts so far.
func (a *Agent) Prompts() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string{}, a.seen...)
}

// Start connects to the agent. It implements [client.Transport].
func (a *Agent) Start(ctx context.Context, _ *client.Command) (client.Conn, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	c := &agentConn{a: a, pending: make(map[string]chan *wireproto.Frame), ended: make(chan struct{})}
	c.out, c.output = io.Pipe()
	c.input, c.in = io.Pipe()
	c.enc = wireproto.NewEncoder(c.output)
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	go c.serve()
	return c, nil
}

// agentConn is one connection to an Agent.
type agentConn struct {
	a      *Agent
	out    *io.PipeReader // what the client reads
	output *io.PipeWriter
	input  *io.PipeReader
	in     *io.PipeWriter // what the client writes
	ctx    context.Context
	stop   context.CancelCauseFunc
	ended  chan struct{}
	exit   error // set before ended is closed

	writing sync.Mutex
	enc     *wireproto.Encoder

	mu      sync.Mutex
	turn    *Turn
	pending map[string]chan *wireproto.Frame // requests of the agent, by id
	lastID  int
	workers sync.WaitGroup
}

func (c *agentConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *agentConn) Write(p []byte) (int, error) { return c.in.Write(p) }
func (c *agentConn) CloseWrite() error           { return c.in.Close() }
func (c *agentConn) Interrupt() error            { return c.in.Close() }
func (c *agentConn) Close() error {
	c.end(killed())
	return nil
}
func (c *agentConn) Wait() error { <-c.ended; return c.exit }

// killed returns the error of an agent that was killed by a signal.
func killed() *client.ProcessError { return &client.ProcessError{ExitCode: -1, Signal: "killed"} }

// end ends the agent, once.
func (c *agentConn) end(exit error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ended:
		return
	default:
	}
	c.exit = exit
	c.stop(errors.New("the agent has ended"))
	c.output.Close()
	c.input.Close()
	close(c.ended)
}

func (c *agentConn) serve() {
	dec := wireproto.NewDecoder(c.input)
	for {
		f, err := dec.Decode()
		var bad *wireproto.LineError
		if errors.As(err, &bad) {
			c.a.t.Errorf("clienttest: the client wrote a line that kimi would not read: %v", err)
			continue
		}
		if err != nil {
			c.stop(errors.New("the client has closed the agent's input"))
			c.workers.Wait()
			c.end(&client.ProcessError{})
			return
		}
		if f.Method == "" {
			c.mu.Lock()
			answer := c.pending[f.ID]
			delete(c.pending, f.ID)
			c.mu.Unlock()
			if answer != nil {
				answer <- f
			}
			continue
		}
		c.workers.Go(func() { c.call(f) })
	}
}

func (c *agentConn) call(f *wireproto.Frame) {
	switch f.Method {
	case wireproto.MethodInitialize:
		c.initialize(f)
	case wireproto.MethodPrompt:
		c.prompt(f)
	case wireproto.MethodCancel:
		if t := c.running(); t != nil {
			c.reply(f.ID, struct{}{})
			t.stop(errCancelled)
		} else {
			c.fail(f.ID, wireproto.CodeInvalidState, "No agent turn is in progress")
		}
	case wireproto.MethodSteer:
		t := c.running()
		if t == nil {
			c.fail(f.ID, wireproto.CodeInvalidState, "No agent turn is in progress")
			return
		}
		var p wireproto.SteerParams
		c.decode(f, &p)
		c.reply(f.ID, wireproto.SteerResult{Status: wireproto.StatusSteered})
		c.event(&wireproto.SteerInput{UserInput: p.UserInput})
		select {
		case t.Steered <- p.UserInput.String():
		default:
		}
	case wireproto.MethodSetPlanMode:
		var p wireproto.SetPlanModeParams
		c.decode(f, &p)
		c.event(&wireproto.StatusUpdate{PlanMode: &p.Enabled})
		c.reply(f.ID, wireproto.SetPlanModeResult{Status: "ok", PlanMode: p.Enabled})
	case wireproto.MethodReplay:
		c.reply(f.ID, wireproto.ReplayResult{Status: wireproto.StatusFinished})
	default:
		c.fail(f.ID, wireproto.CodeMethodNotFound, "Unexpected method received: "+f.Method)
	}
}

func (c *agentConn) running() *Turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turn
}

func (c *agentConn) decode(f *wireproto.Frame, params any) {
	if err := json.Unmarshal(f.Params, params); err != nil {
		c.a.t.Errorf("clienttest: %s: %v", f.Method, err)
	}
}

var hookEvents = []string{"PreToolUse", "PostToolUse", "PostToolUseFailure", "UserPromptSubmit", "Stop", "StopFailure",
	"SessionStart", "SessionEnd", "SubagentStart", "SubagentStop", "PreCompact", "PostCompact", "Notification"}

// initialize answers as kimi-cli 1.51.0 does, and takes every tool.
func (c *agentConn) initialize(f *wireproto.Frame) {
	var p wireproto.InitializeParams
	c.decode(f, &p)
	result := wireproto.InitializeResult{
		ProtocolVersion: wireproto.ProtocolVersion,
		Server:          wireproto.ServerInfo{Name: "clienttest", Version: client.Version},
		SlashCommands:   []wireproto.SlashCommand{},
		Hooks:           &wireproto.HooksInfo{SupportedEvents: hookEvents, Configured: map[string]int{}},
		Capabilities:    &wireproto.ServerCapabilities{SupportsQuestion: true},
	}
	for _, h := range p.Hooks {
		result.Hooks.Configured[h.Event]++
	}
	if len(p.ExternalTools) > 0 {
		result.ExternalTools = &wireproto.ExternalTools{Rejected: []wireproto.RejectedTool{}}
		for _, tool := range p.ExternalTools {
			result.ExternalTools.Accepted = append(result.ExternalTools.Accepted, tool.Name)
		}
	}
	c.reply(f.ID, result)
}

var errCancelled = errors.New("the turn was cancelled")

func (c *agentConn) prompt(f *wireproto.Frame) {
	var p wireproto.PromptParams
	c.decode(f, &p)
	c.mu.Lock()
	if c.turn != nil {
		c.mu.Unlock()
		c.fail(f.ID, wireproto.CodeInvalidState, "An agent turn is already in progress")
		return
	}
	t := &Turn{Input: p.UserInput, Steered: make(chan string, 16), c: c}
	t.ctx, t.stop = context.WithCancelCause(c.ctx)
	c.turn = t
	c.mu.Unlock()

	a := c.a
	a.mu.Lock()
	a.seen = append(a.seen, p.UserInput.String())
	run := func(t *Turn) { t.Fail(wireproto.CodeChatProviderError, "clienttest: no turn left") }
	if a.next < len(a.turns) {
		run = a.turns[a.next]
	} else {
		a.t.Errorf("clienttest: prompt %d, %.80q, but there are %d turns", a.next+1, p.UserInput.String(), len(a.turns))
	}
	a.next++
	a.mu.Unlock()

	ran := make(chan struct{})
	go func() { // a goroutine, so that Goexit can end a turn before its function returns
		defer close(ran)
		t.Send(&wireproto.TurnBegin{UserInput: p.UserInput})
		t.Step()
		run(t)
	}()
	<-ran
	c.mu.Lock()
	c.turn = nil
	c.mu.Unlock()
	switch {
	case c.ctx.Err() != nil:
		// Like kimi, an agent sends no more answers after its input was closed.
	case t.failure != nil:
		c.event(&wireproto.StepInterrupted{})
		c.event(&wireproto.TurnEnd{})
		c.fail(f.ID, t.failure.Code, t.failure.Message)
	case t.ctx.Err() != nil:
		c.event(&wireproto.TurnEnd{})
		c.reply(f.ID, wireproto.PromptResult{Status: wireproto.StatusCancelled})
	default:
		c.event(&wireproto.TurnEnd{})
		c.reply(f.ID, wireproto.PromptResult{Status: wireproto.StatusFinished})
	}
	t.stop(errors.New("the turn has ended"))
}

func (c *agentConn) write(f *wireproto.Frame) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.enc.Encode(f); err != nil && c.ctx.Err() == nil {
		c.a.t.Errorf("clienttest: %v", err)
	}
}

func (c *agentConn) event(m wireproto.Message) {
	c.write(&wireproto.Frame{Method: wireproto.MethodEvent, Message: m})
}

func (c *agentConn) reply(id string, result any) {
	raw, err := json.Marshal(result)
	if err != nil {
		c.a.t.Errorf("clienttest: %v", err)
	}
	c.write(&wireproto.Frame{ID: id, Result: raw})
}

func (c *agentConn) fail(id string, code int, message string) {
	c.write(&wireproto.Frame{ID: id, Error: &wireproto.RPCError{Code: code, Message: message}})
}

// Turn is one turn of an [Agent]. When its function returns, the turn has finished. If the client cancels the turn or
// closes the session, the method that runs does not return, but the deferred calls of the function run.
type Turn struct {
	Input   wireproto.Content
	Steered chan string // gets the text of each Steer; it holds up to 16

	c       *agentConn
	ctx     context.Context
	stop    context.CancelCauseFunc
	steps   int
	failure *wireproto.RPCError
}

// exit ends the turn's function.
func (t *Turn) exit() { runtime.Goexit() }

// Send sends an event or a request. A request is sent as by Turn.Approval, Turn.Question, Turn.Tool and Turn.Hook: Send
// returns when the client has answered, and drops the answer. If a ToolCallRequest has an ID, the turn itself must have
// sent the ToolCall with that ID.
func (t *Turn) Send(m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.ApprovalRequest:
		t.Approval(*m, nil)
	case *wireproto.QuestionRequest:
		t.question(*m)
	case *wireproto.ToolCallRequest:
		t.tool(*m)
	case *wireproto.HookRequest:
		t.hook(*m)
	default:
		if t.ctx.Err() != nil {
			t.exit()
		}
		t.c.event(m)
	}
}

// Step begins another step. The first step begins without it.
func (t *Turn) Step() {
	t.steps++
	t.Send(&wireproto.StepBegin{N: t.steps})
}

// Say sends text.
func (t *Turn) Say(text string) { t.Send(&wireproto.TextPart{Text: text}) }

// Think sends a piece of thinking.
func (t *Turn) Think(text string) { t.Send(&wireproto.ThinkPart{Think: text}) }

// Call sends a tool call that the agent runs itself, and the result of the call.
func (t *Turn) Call(name string, args any, result string) {
	t.result(t.call(name, args), wireproto.ToolReturnValue{Output: wireproto.Content{Text: result}})
}

// Approval asks for an approval and returns the answer. Before the request r, it sends the tool call that r asks about,
// with r.Sender as its name and args as its arguments; nil gives {}. After the answer, it sends the result of the call:
// an empty result, or that the call was rejected. If r has a ToolCallID, the turn itself must have sent that call and
// must send its result; args are then not used. An empty Sender means "Shell". An empty ID or SourceKind is filled in.
func (t *Turn) Approval(r wireproto.ApprovalRequest, args any) wireproto.ApprovalAnswer {
	if r.Sender == "" {
		r.Sender = "Shell"
	}
	if r.SourceKind == nil {
		kind := "foreground_turn"
		r.SourceKind = &kind
	}
	own := r.ToolCallID == ""
	if own {
		r.ToolCallID = t.call(r.Sender, args)
	}
	r.ID = t.orNew(r.ID, "approval")
	var answer wireproto.ApprovalAnswer
	t.request(&r, r.ID, &answer)
	t.Send(&wireproto.ApprovalResponse{RequestID: r.ID, Response: answer.Response, Feedback: answer.Feedback})
	if own {
		t.result(r.ToolCallID, outcome(answer))
	}
	return answer
}

// outcome returns the result of a call after an approval or a rejection. kimi-cli's soul/approval.py has the text of a
// rejection.
func outcome(answer wireproto.ApprovalAnswer) wireproto.ToolReturnValue {
	if answer.Response != wireproto.Reject {
		return wireproto.ToolReturnValue{}
	}
	message := "The tool call is rejected by the user. Stop what you are doing and wait for the user to tell you how to proceed."
	if answer.Feedback != "" {
		message = "The tool call is rejected by the user. User feedback: " + answer.Feedback
	}
	return wireproto.ToolReturnValue{IsError: true, Message: message}
}

// Question asks a question and returns the answers. The map is empty if the client dismisses the question.
func (t *Turn) Question(items ...wireproto.QuestionItem) map[string]string {
	return t.question(wireproto.QuestionRequest{Questions: items})
}

func (t *Turn) question(r wireproto.QuestionRequest) map[string]string {
	r.ID, r.ToolCallID = t.orNew(r.ID, "question"), t.orNew(r.ToolCallID, "call")
	var answer wireproto.QuestionAnswer
	t.request(&r, r.ID, &answer)
	return maps.Clone(answer.Answers)
}

// Tool calls one of the client's tools and returns its result.
func (t *Turn) Tool(name string, args any) wireproto.ToolReturnValue {
	raw := t.marshal(args)
	return t.tool(wireproto.ToolCallRequest{Name: name, Arguments: &raw})
}

func (t *Turn) tool(r wireproto.ToolCallRequest) wireproto.ToolReturnValue {
	own := r.ID == ""
	if own {
		r.ID = t.newID("call")
		t.Send(&wireproto.ToolCall{ID: r.ID, Function: wireproto.ToolCallFunction{Name: r.Name, Arguments: r.Arguments}})
	}
	var result wireproto.ToolResult
	t.request(&r, r.ID, &result)
	if own {
		t.result(r.ID, result.ReturnValue)
	}
	return result.ReturnValue
}

// Hook calls one of the client's hooks, by its subscription ID, and returns its decision.
func (t *Turn) Hook(subscription, event, target string, input map[string]any) wireproto.HookAnswer {
	data := make(map[string]json.RawMessage)
	for k, v := range input {
		data[k] = json.RawMessage(t.marshal(v))
	}
	return t.hook(wireproto.HookRequest{SubscriptionID: subscription, Event: event, Target: target, InputData: data})
}

func (t *Turn) hook(r wireproto.HookRequest) wireproto.HookAnswer {
	r.ID = t.orNew(r.ID, "hook")
	t.Send(&wireproto.HookTriggered{Event: r.Event, Target: r.Target, HookCount: 1})
	var answer wireproto.HookAnswer
	t.request(&r, r.ID, &answer)
	t.Send(&wireproto.HookResolved{Event: r.Event, Target: r.Target, Action: answer.Action, Reason: answer.Reason})
	return answer
}

// Fail ends the turn with a *wireproto.RPCError: a code of the protocol, such as [wireproto.CodeChatProviderError], and
// a message. Fail does not return.
func (t *Turn) Fail(code int, message string) {
	t.failure = &wireproto.RPCError{Code: code, Message: message}
	t.exit()
}

// Hang sends nothing until the client cancels the turn or closes the session. It does not return.
func (t *Turn) Hang() {
	<-t.ctx.Done()
	t.exit()
}

// Die ends the agent in the middle of the turn. The session and the turn end with the error exit; nil means that a
// signal has killed the agent. Die does not return.
func (t *Turn) Die(exit *client.ProcessError) {
	if exit == nil {
		exit = killed()
	}
	t.c.end(exit)
	t.exit()
}

// Done returns a channel that is closed when the client cancels the turn or closes the session.
func (t *Turn) Done() <-chan struct{} { return t.ctx.Done() }

// call sends a tool call and returns its id. nil args give {}.
func (t *Turn) call(name string, args any) string {
	id := t.newID("call")
	raw := "{}"
	if args != nil {
		raw = t.marshal(args)
	}
	t.Send(&wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: name, Arguments: &raw}})
	return id
}

func (t *Turn) result(id string, value wireproto.ToolReturnValue) {
	t.Send(&wireproto.ToolResult{ToolCallID: id, ReturnValue: value})
}

// request sends m and decodes the answer into result.
func (t *Turn) request(m wireproto.Request, id string, result any) {
	answer := make(chan *wireproto.Frame, 1)
	t.c.mu.Lock()
	_, open := t.c.pending[id]
	if !open {
		t.c.pending[id] = answer
	}
	t.c.mu.Unlock()
	if open {
		t.c.a.t.Errorf("clienttest: a request with the ID %q is open: give this %s another ID", id, m.MessageType())
		t.exit()
	}
	if t.ctx.Err() == nil {
		t.c.write(&wireproto.Frame{Method: wireproto.MethodRequest, ID: id, Message: m})
	}
	select {
	case f := <-answer:
		if f.Error != nil {
			t.c.a.t.Errorf("clienttest: the client answers %s with an error: %v", m.MessageType(), f.Error)
		} else if err := json.Unmarshal(f.Result, result); err != nil {
			t.c.a.t.Errorf("clienttest: answer to %s: %v", m.MessageType(), err)
		}
	case <-t.ctx.Done():
		t.exit()
	}
}

// orNew returns id. If id is empty, it returns a new id.
func (t *Turn) orNew(id, kind string) string {
	if id != "" {
		return id
	}
	return t.newID(kind)
}

func (t *Turn) newID(kind string) string {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.lastID++
	return kind + "-" + strconv.Itoa(t.c.lastID)
}

func (t *Turn) marshal(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.c.a.t.Errorf("clienttest: %v", fmt.Errorf("arguments: %w", err))
		return "{}"
	}
	return string(raw)
}
