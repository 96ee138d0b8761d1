// Package translator translates between Wire 1.10, which the client speaks, and the API of Kimi Code's server. It is a
// pure state machine: [Translator.Step] takes one input and the time, and returns outputs. It has no clock, no
// goroutine, no file and no connection. The package bridge gives it inputs and does what the outputs say.
//
// # The order of things
//
// Durable events of the server come in order and once. The answer to a call of the server's API may come before or after
// the events that belong to it. Nothing here depends on that order.
//
// # How a turn ends
//
// Only the event turn.ended of the main agent, for the turn that the client's own prompt began, says how the turn ended.
// If the server does not say it, the prompt is answered with [wireproto.CodeOutcomeUnknown], never with "finished".
package translator

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Settings are what the command line says about the session.
type Settings struct {
	ID         string // the client's id of the session; "" for the server's id
	Model      string // an alias; "" for the configuration's default
	NoModel    bool   // there is a configuration, but it has no model; no other model may be used
	Thinking   string // an effort, "on" or "off"; "" for the model's default
	Effort     string // the same as Thinking if the model must offer it; otherwise ""
	KeepModel  bool   // Model is only a default; a continued session keeps its own model
	KeepEffort bool   // Thinking is only a default; a continued session keeps its own effort
	Profile    string // name of the agent that the session is bound to; "" for the server's own agent
	Permission api.Permission
	Plan       bool
	AddDirs    []string // absolute
	Slash      bool     // a prompt's text may be a command
	WorkDir    string
}

// Input is something that has happened.
type Input interface{ input() }

// Output is something to do.
type Output interface{ output() }

// The inputs.
type (
	// Frame is a line of the client.
	Frame struct{ *wireproto.Frame }
	// ClientGone says that the client has closed its end.
	ClientGone struct{}
	// Launched answers [Launch].
	Launched struct {
		Err       error
		Version   string
		SessionID string // the session to continue; "" to begin a new one
		Accepted  []string
		Rejected  []wireproto.RejectedTool
		OwnTools  map[string]string // the client's names of its tools, by the model's names
		ToolHost  string            // the MCP server that offers these tools; "" for none
		HooksOn   bool              // hooks were asked for and are in place
		MCP       []string          // names of the MCP servers that should be there, without ToolHost
		Warnings  []string          // what of the user's settings is not in force
	}
	// Answer answers a [Call] or an [Upload].
	Answer struct {
		ID   int
		Data json.RawMessage
		Err  error // as a rule an [*api.Error]
	}
	// Opened answers [Open].
	Opened struct{ Err error }
	// Event is an event of the session.
	Event struct{ *api.Event }
	// Gap says that events may be missing before the next one: volatile ones and, with Resync, durable ones, too.
	// Durable events up to From came before it. Those up to Until are replayed after it, and volatile ones may be missing
	// between them.
	Gap struct {
		Resync      bool
		From, Until int64
	}
	// ToolCalled says that the agent calls one of the client's tools.
	ToolCalled struct {
		Key  int
		Name string // the client's name of the tool
		Args json.RawMessage
	}
	// ToolGone says that Kimi Code does not wait for a call any more.
	ToolGone struct{ Key int }
	// HookCalled says that the agent waits for a hook.
	HookCalled struct {
		Key   int
		Event string
		Data  map[string]json.RawMessage
	}
	// HookGone says that Kimi Code does not wait for a hook any more.
	HookGone struct{ Key int }
	// Lost says that a durable event did not come before the next one, and will not.
	Lost struct{}
	// Timer says that the time of a [SetTimer] is over.
	Timer struct{ Name string }
)

// The outputs.
type (
	// Send sends a frame to the client.
	Send struct{ *wireproto.Frame }
	// Launch starts the server with the client's tools and hooks. It comes once, before all other outputs to the server.
	Launch struct {
		Tools []wireproto.ExternalTool
		Hooks []string // the events that are subscribed to
	}
	// Call calls a route of the server. If Again is true, the call may be sent again when no answer comes.
	Call struct {
		ID     int
		Method string
		Path   string
		Body   any
		Again  bool
	}
	// Upload stores data on the server. Its answer is {"id":…}.
	Upload struct {
		ID        int
		Name      string
		MediaType string
		Data      []byte
	}
	// Open opens the stream of a session's events.
	Open struct{ Session string }
	// ToolReply answers [ToolCalled].
	ToolReply struct {
		Key    int
		Result wireproto.ToolReturnValue
	}
	// HookReply answers [HookCalled].
	HookReply struct {
		Key    int
		Block  bool
		Reason string
	}
	// SetTimer asks for a [Timer] after a while. A second SetTimer with the same name replaces the first.
	SetTimer struct {
		Name  string
		After time.Duration
	}
	// Quit ends the server. With DeleteUnused, the session is deleted first if it has no turn.
	Quit struct {
		Session      string
		DeleteUnused bool
		Running      bool // the client's turn runs
	}
)

func (Frame) input()      {}
func (ClientGone) input() {}
func (Launched) input()   {}
func (Answer) input()     {}
func (Opened) input()     {}
func (Event) input()      {}
func (Gap) input()        {}
func (ToolCalled) input() {}
func (ToolGone) input()   {}
func (HookCalled) input() {}
func (HookGone) input()   {}
func (Timer) input()      {}
func (Lost) input()       {}

func (Send) output()      {}
func (Launch) output()    {}
func (Call) output()      {}
func (Upload) output()    {}
func (Open) output()      {}
func (ToolReply) output() {}
func (HookReply) output() {}
func (SetTimer) output()  {}
func (Quit) output()      {}

// Translator is the state machine. Only one goroutine at a time may use it.
type Translator struct {
	set Settings
	now time.Time
	out []Output

	lastID int
	calls  map[int]func(json.RawMessage, error) // the functions that take the answers to calls

	client   client
	session  session
	turn     *turn // the turn of the client's prompt
	own      *ownTurn
	replay   *replay
	side     *sideQuestion
	mcp      mcpPolling
	agents   map[string]*agent
	inbox    inbox
	requests requests
	tools    tools
	hooks    hooks
	context  context
	watch    watch
	trust    trust          // for the session's own agent
	trustSub trust          // for all other agents
	drift    map[string]int // how many events were not understood, by kind
}

// client is what the client has said about itself.
type client struct {
	caps          wireproto.ClientCapabilities
	subscriptions []wireproto.HookSubscription
	waiting       []*wireproto.Frame // frames that wait until the session is ready
	init          json.RawMessage    // the answer to initialize; nil before it was given
}

// context is how full the model's context is, and the modes that the client was told.
type context struct {
	tokens, most int
	told         [2]int // the values that the client has
	heard        bool   // an event of the running step has said how full the context is
	plan         bool
}

// New returns a translator that has had no input yet.
func New(set Settings) *Translator {
	return &Translator{
		set: set, calls: make(map[int]func(json.RawMessage, error)), agents: make(map[string]*agent),
		requests: requests{open: make(map[string]*request), asked: make(map[string]bool)},
		tools:    tools{waiting: make(map[int]*toolCalled)},
		hooks:    hooks{open: make(map[int]*hookCall)},
		drift:    make(map[string]int),
	}
}

// Step takes an input and returns the outputs, in order.
func (t *Translator) Step(in Input, now time.Time) []Output {
	t.now, t.out = now, nil
	switch in := in.(type) {
	case Frame:
		t.frame(in.Frame)
	case ClientGone:
		t.clientGone()
	case Launched:
		t.launched(in)
	case Answer:
		if then := t.calls[in.ID]; then != nil {
			delete(t.calls, in.ID)
			then(in.Data, in.Err)
		}
	case Opened:
		t.opened(in.Err)
	case Event:
		t.take(item{event: in.Event})
	case Gap:
		t.take(item{gap: true, resync: in.Resync, from: in.From, until: in.Until})
	case ToolCalled:
		t.toolCalled(in)
	case ToolGone:
		t.toolGone(in.Key)
	case HookCalled:
		t.hookCalled(in)
	case HookGone:
		t.hookGone(in.Key)
	case Lost:
		t.noteDrift("lost events", "the server skips numbers of its events")
	case Timer:
		t.timer(in.Name)
	}
	out := t.out
	t.out = nil
	return out
}

func (t *Translator) do(o Output) { t.out = append(t.out, o) }

// call calls a route of the server. then gets the answer.
func (t *Translator) call(method, path string, body any, again bool, then func(json.RawMessage, error)) {
	t.lastID++
	t.calls[t.lastID] = then
	t.do(Call{t.lastID, method, path, body, again})
}

// of returns the path of a route of the session.
func (t *Translator) of(route string) string { return "/sessions/" + t.session.id + route }

func (t *Translator) newID(kind string) string {
	t.lastID++
	return fmt.Sprintf("%s-%d", kind, t.lastID)
}

// emit sends an event.
func (t *Translator) emit(m wireproto.Message) {
	t.do(Send{&wireproto.Frame{Method: wireproto.MethodEvent, Message: m}})
}

// reply answers a call of the client.
func (t *Translator) reply(id string, result any) {
	raw, err := json.Marshal(result)
	if err != nil {
		t.refuse(id, wireproto.CodeInternalError, "%v", err)
		return
	}
	t.do(Send{&wireproto.Frame{ID: id, Result: raw}})
}

func (t *Translator) refuse(id string, code int, format string, args ...any) {
	t.fail(id, &wireproto.RPCError{Code: code, Message: fmt.Sprintf(format, args...)})
}

func (t *Translator) fail(id string, err *wireproto.RPCError) {
	if id != "" {
		t.do(Send{&wireproto.Frame{ID: id, Error: err}})
	}
}

// unsupported says that Kimi Code cannot do something. To a client, the code means that the agent does not know the
// method.
func (t *Translator) unsupported(id, feature string) {
	t.refuse(id, wireproto.CodeMethodNotFound, "%s has no %s", t.backend(), feature)
}

// backend names the program and its version.
func (t *Translator) backend() string { return "Kimi Code " + t.session.version }

// notify tells the client something that the protocol has no event for.
func (t *Translator) notify(kind, severity, title, body string) {
	t.emit(&wireproto.Notification{
		ID: t.newID("note"), Category: "bridge", Type: "bridge." + kind, SourceKind: "bridge", SourceID: t.session.id,
		Title: title, Body: body, Severity: severity, CreatedAt: float64(t.now.UnixMilli()) / 1000,
		Payload: map[string]json.RawMessage{},
	})
}

// frame handles a frame of the client. Until the session is ready, every call except initialize waits.
func (t *Translator) frame(f *wireproto.Frame) {
	switch {
	case f.Method == "" && f.ID == "": // a line that could not be read
		t.do(Send{f})
	case f.Method == "":
		t.answered(f)
	case t.session.state == ready || f.Method == wireproto.MethodInitialize:
		t.method(f)
	case t.session.state == failed:
		t.failStart(f.ID, t.session.err)
	default:
		t.client.waiting = append(t.client.waiting, f)
		t.launch(nil)
	}
}

func (t *Translator) method(f *wireproto.Frame) {
	switch f.Method {
	case wireproto.MethodInitialize:
		t.initialize(f)
	case wireproto.MethodPrompt:
		t.prompt(f)
	case wireproto.MethodCancel:
		t.cancel(f)
	case wireproto.MethodSteer:
		t.steer(f)
	case wireproto.MethodReplay:
		t.startReplay(f)
	case wireproto.MethodSetPlanMode:
		t.setPlanMode(f)
	case wireproto.MethodModels:
		t.models(f)
	case wireproto.MethodSetModel:
		t.setModel(f)
	case wireproto.MethodUndo:
		t.undo(f)
	default:
		t.refuse(f.ID, wireproto.CodeMethodNotFound, "unknown method %.40q", f.Method)
	}
}

// params decodes the params of a call, and refuses the call if they do not fit.
func (t *Translator) params(f *wireproto.Frame, to any) bool {
	if err := json.Unmarshal(f.Params, to); err != nil {
		t.refuse(f.ID, wireproto.CodeInvalidParams, "%s: %v", f.Method, err)
		return false
	}
	return true
}

// timer handles a timer that has come.
func (t *Translator) timer(name string) {
	switch name {
	case timerTools:
		t.askLateTools()
	case timerMCP:
		t.pollMCP()
	case timerHost:
		t.waitForTools()
	case timerWatch:
		t.lookAfterTurn()
	}
}
