package translator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/history"
	"github.com/kimi-go/kimi-go/wireproto"
)

// session is the session on the server, and the state of its start.
type session struct {
	state    state
	err      error  // why the start failed
	version  string // the version of Kimi Code
	id       string
	resumed  bool
	kept     string // the last model of a continued session; "" if it is not known
	keptOff  bool   // kept did not think
	used     bool   // the client has sent a prompt
	model    string
	effort   string           // the last effort with which a model has thought; "" if none has
	frame    *wireproto.Frame // the call of initialize until it is answered, which is when the session is ready
	hooksOn  bool             // a hook at the session's start was heard
	hooks    bool             // the client has hooks
	toolHost string           // the MCP server of the client's tools, "" for none
	tools    *wireproto.ExternalTools
	mcp      []string // names of the MCP servers that should be there
	skills   []wireproto.SlashCommand
	leaving  bool                          // the client closed its end during the start of the session
	bound    bool                          // the server has taken the agent's profile, if there is one
	notes    []string                      // what of the user's settings is not in force; the client is told
	late     map[string]*wireproto.Content // prompts that were meant for a running turn, and must not become a turn
}

type state int

const (
	fresh    state = iota // the server was not started yet
	starting              // the server starts, or the session is being made
	ready
	failed
)

// supportedHooks are the events that a hook of the client can see. The first five can be blocked.
var supportedHooks = []string{
	"PreToolUse", "UserPromptSubmit", "Stop", "SubagentStart", "PreCompact",
	"PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionResult", "UserPromptQueued", "TurnStarted", "StopFailure",
	"Interrupt", "SubagentStop", "TaskStarted", "PostCompact", "Notification",
}

// initialize starts the server with what the client offers.
func (t *Translator) initialize(f *wireproto.Frame) {
	switch {
	case t.turn != nil:
		t.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	case t.client.init != nil:
		t.do(Send{&wireproto.Frame{ID: f.ID, Result: t.client.init}})
		return
	case t.session.state == failed:
		t.failStart(f.ID, t.session.err)
		return
	case t.session.state != fresh:
		t.refuse(f.ID, wireproto.CodeInvalidState, "the session is being started")
		return
	}
	var params wireproto.InitializeParams
	if !t.params(f, &params) {
		return
	}
	if params.Capabilities != nil {
		t.client.caps = *params.Capabilities
	}
	t.client.subscriptions = params.Hooks
	if err := t.compileHooks(); err != nil {
		t.refuse(f.ID, wireproto.CodeInvalidParams, "initialize: %v", err)
		return
	}
	t.session.frame = f
	t.launch(params.ExternalTools)
}

// launch starts the server, once.
func (t *Translator) launch(tools []wireproto.ExternalTool) {
	if t.session.state != fresh {
		return
	}
	t.session.state = starting
	var events []string
	for _, h := range t.client.subscriptions {
		if slices.Contains(supportedHooks, h.Event) && !slices.Contains(events, h.Event) {
			events = append(events, h.Event)
		}
	}
	t.session.hooks = len(events) > 0
	t.do(Launch{tools, events})
}

// launched begins or continues a session on the server that has started.
func (t *Translator) launched(l Launched) {
	if l.Err != nil {
		t.startFailed(l.Err)
		return
	}
	s := &t.session
	s.version, s.mcp, s.notes = l.Version, l.MCP, l.Warnings
	t.tools.own, s.toolHost = l.OwnTools, l.ToolHost
	if l.Accepted != nil || l.Rejected != nil {
		s.tools = &wireproto.ExternalTools{Accepted: append([]string{}, l.Accepted...), Rejected: append([]wireproto.RejectedTool{}, l.Rejected...)}
	}
	if l.SessionID != "" {
		s.id, s.resumed = l.SessionID, true
		t.load()
		return
	}
	t.call("POST", "/sessions", api.NewSession{Metadata: api.SessionMetadata{CWD: t.set.WorkDir}}, false, func(data json.RawMessage, err error) {
		var made api.Session
		if err == nil {
			err = json.Unmarshal(data, &made)
		}
		if err == nil && made.ID == "" {
			err = errors.New("the server made a session without an id")
		}
		if err != nil {
			t.startFailed(refusedDir(err, "--work-dir", t.set.WorkDir))
			return
		}
		s.id = made.ID
		t.addDirs(made.WorkspaceID, t.set.AddDirs)
	})
}

// load makes the server load an old session, because the server keeps events only of loaded sessions.
func (t *Translator) load() {
	t.readBack(func(st *api.Status, err error) {
		if err != nil {
			t.startFailed(err)
			return
		}
		t.session.kept, t.session.keptOff = st.Model, st.Thinking == "off"
		if len(t.set.AddDirs) == 0 {
			t.setUp()
			return
		}
		t.call("GET", t.of(""), nil, true, func(data json.RawMessage, err error) {
			var s api.Session
			if err == nil {
				err = json.Unmarshal(data, &s)
			}
			if err != nil {
				t.startFailed(err)
				return
			}
			t.addDirs(s.WorkspaceID, t.set.AddDirs)
		})
	})
}

// addDirs lets the agent use further directories.
func (t *Translator) addDirs(workspace string, dirs []string) {
	if len(dirs) == 0 {
		t.setUp()
		return
	}
	body := map[string]any{"path": dirs[0], "persist": false}
	t.call("POST", "/workspaces/"+url.PathEscape(workspace)+"/add-dir", body, true, func(_ json.RawMessage, err error) {
		if err != nil {
			t.startFailed(refusedDir(err, "--add-dir", dirs[0]))
			return
		}
		t.addDirs(workspace, dirs[1:])
	})
}

// refusedDir names the argument in an error about a directory that the server does not take.
func refusedDir(err error, argument, dir string) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeBadField && e.Code != api.CodeNoDirectory {
		return err
	}
	why := strings.TrimPrefix(e.Msg, "workspace.additional_dir ")
	return &ArgumentError{
		Argument: argument, Why: fmt.Sprintf("Kimi Code does not accept the directory %.150s: %.150s", dir, why),
		Remedy: "name another directory", Code: wireproto.CodeInvalidParams,
	}
}

// setUp finds out the model and opens the stream of events before anything can happen.
func (t *Translator) setUp() {
	if t.session.hooks && !t.session.hooksOn {
		t.startFailed(errHooksOff)
		return
	}
	if kept := t.session.kept; kept != "" && t.set.KeepModel && !t.set.NoModel {
		t.knownModels(func(known []api.Model, err error) {
			if err != nil {
				t.startFailed(err)
				return
			}
			if slices.ContainsFunc(known, func(m api.Model) bool { return m.Model == kept }) {
				t.session.model = kept
				t.openKnown()
				return
			}
			t.setUpDefault()
		})
		return
	}
	t.setUpDefault()
}

// setUpDefault does what setUp does, with the model that was set or the default model of the configuration.
func (t *Translator) setUpDefault() {
	if t.set.Model != "" || t.set.NoModel {
		t.session.model = t.set.Model
		if t.set.Profile != "" && t.set.Model != "" { // with a profile, only the first prompt sends the model
			t.checkModel(t.openKnown)
			return
		}
		t.openKnown()
		return
	}
	t.call("GET", "/config", nil, true, func(data json.RawMessage, err error) {
		var c api.Config
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if err != nil {
			t.startFailed(err)
			return
		}
		t.session.model = c.DefaultModel
		t.openKnown()
	})
}

// openKnown opens the stream of events, unless the model does not offer the effort.
func (t *Translator) openKnown() {
	if t.set.Effort == "" {
		t.do(Open{t.session.id})
		return
	}
	t.knownModels(func(known []api.Model, err error) {
		if err == nil {
			err = t.checkEffort(known)
		}
		if err != nil {
			t.startFailed(err)
			return
		}
		t.do(Open{t.session.id})
	})
}

// checkModel ends the start with an error if the server does not know the model.
func (t *Translator) checkModel(then func()) {
	t.knownModels(func(known []api.Model, err error) {
		if err == nil && !slices.ContainsFunc(known, func(m api.Model) bool { return m.Model == t.set.Model }) {
			err = t.noModel(t.set.Model, known, "")
		}
		if err != nil {
			t.startFailed(err)
			return
		}
		then()
	})
}

// errHooksOff says that Kimi Code did not run the hook at the session's start. If one entry of its configuration is
// bad, Kimi Code drops all hooks and would allow everything.
var errHooksOff = errors.New("the hooks are off: Kimi Code runs none, so the program's hooks would block nothing; see \"kimi doctor\" about the hooks in its config.toml")

// opened applies the settings to the session. In a continued session, it is not known which settings are in force.
func (t *Translator) opened(err error) {
	if t.session.state != starting {
		return
	}
	if err != nil {
		t.startFailed(err)
		return
	}
	settings := api.AgentConfig{Permission: t.set.Permission}
	if t.set.Profile == "" { // otherwise the first prompt sends them, because a model alone binds the session to the server's own agent
		settings.Model, settings.Thinking = t.session.model, t.thinking()
	}
	if t.set.Plan || !t.session.resumed { // a session that is continued stays in plan mode
		settings.PlanMode = &t.set.Plan
	}
	profile := map[string]any{"agent_config": settings}
	if !t.session.resumed && t.set.ID != "" {
		profile["metadata"] = map[string]string{"cwd": t.set.WorkDir, IDKey: t.set.ID}
	}
	t.call("POST", t.of("/profile"), profile, true, func(_ json.RawMessage, err error) {
		if err != nil {
			t.refused(err, settings.Model, t.startFailed)
			return
		}
		t.readBack(func(st *api.Status, err error) {
			if err == nil {
				err = t.contradicted(st)
			}
			if err == nil && t.set.Profile == "" {
				err = t.otherEffort(st)
			}
			if err != nil {
				t.startFailed(err)
				return
			}
			t.noteEffort(st)
			t.context.tokens, t.context.most = st.ContextTokens, st.MaxContextTokens
			t.setPlan(st.PlanMode)
			t.listSkills()
		})
	})
}

// thinking returns the effort to set. "" means the effort that the session has, or the model's default.
func (t *Translator) thinking() string {
	if t.session.resumed && t.set.KeepEffort {
		return ""
	}
	return t.set.Thinking
}

// IDKey is the member of a session's metadata that keeps the id which the client has given it.
const IDKey = "kimi_go_id"

// readBack asks the server which settings are in force.
func (t *Translator) readBack(then func(*api.Status, error)) {
	t.call("GET", t.of("/status"), nil, true, func(data json.RawMessage, err error) {
		st := new(api.Status)
		if err == nil {
			err = json.Unmarshal(data, st)
		}
		then(st, err)
	})
}

// contradicted returns an error if the permission mode or the plan mode in force is not the one that was set. Only the
// permission mode matters for safety.
func (t *Translator) contradicted(st *api.Status) error {
	if st.Permission != t.set.Permission {
		return fmt.Errorf("the server says that the permission mode is %.20q, not %q, which was set; nothing may run in that mode", st.Permission, t.set.Permission)
	}
	if want := t.set.Plan; st.PlanMode != want && (want || !t.session.resumed) {
		return fmt.Errorf("the server says that plan mode is %t, not %t, which was set", st.PlanMode, want)
	}
	return nil
}

// listSkills reads the commands that a prompt may contain, and goes on with the start.
func (t *Translator) listSkills() {
	t.call("GET", t.of("/skills"), nil, true, func(data json.RawMessage, err error) {
		var list api.Skills
		if err == nil && json.Unmarshal(data, &list) == nil { // the session can be used without skills
			for _, s := range list.Skills {
				t.session.skills = append(t.session.skills, wireproto.SlashCommand{Name: s.Name, Description: s.Description, Aliases: []string{}})
			}
		}
		t.waitForTools()
	})
}

// waitForTools ends the start when Kimi Code has connected to the server of the client's tools. A prompt would not
// wait for that, and the model would learn that there is no such tool.
func (t *Translator) waitForTools() {
	host := t.session.toolHost
	if host == "" {
		t.started()
		return
	}
	t.call("GET", "/mcp/servers", nil, true, func(data json.RawMessage, err error) {
		var list api.MCPServers
		if err == nil {
			err = json.Unmarshal(data, &list)
		}
		if err != nil {
			t.startFailed(err)
			return
		}
		there := false
		for _, s := range list.Servers {
			switch {
			case s.Name != host:
				continue
			case s.Status == "connected":
				t.started()
				return
			case s.Status == "error" || s.Status == "failed" || s.Status == "disabled":
				t.startFailed(fmt.Errorf("the program's tools cannot be reached: Kimi Code does not connect to the program's tool server: %.200s", s.LastError))
				return
			}
			there = true
		}
		if t.mcp.asked++; !there && t.mcp.asked > hostPolls {
			t.startFailed(errors.New("the program's tools cannot be reached: Kimi Code does not list the program's tool server; see \"kimi doctor\" about its mcp.json"))
			return
		}
		t.do(SetTimer{timerHost, hostEvery})
	})
}

const (
	timerHost = "host"
	hostEvery = 50 * time.Millisecond
	hostPolls = 100 // after so many polls, the server of the tools will not be listed: the list is complete once there is a session
)

// started answers initialize and handles what has waited for that.
func (t *Translator) started() {
	s := &t.session
	s.state = ready
	result := wireproto.InitializeResult{
		ProtocolVersion: wireproto.ProtocolVersion,
		Server:          wireproto.ServerInfo{Name: "Kimi Code CLI", Version: s.version},
		SlashCommands:   append(slices.Clone(builtIn), s.skills...),
		ExternalTools:   s.tools,
		Hooks:           &wireproto.HooksInfo{SupportedEvents: supportedHooks, Configured: map[string]int{}},
		Capabilities:    &wireproto.ServerCapabilities{SupportsQuestion: true},
		Bridge:          &wireproto.BridgeInfo{Backend: t.backend(), SessionID: s.id, Model: s.model},
	}
	for _, h := range t.client.subscriptions {
		if slices.Contains(supportedHooks, h.Event) {
			result.Hooks.Configured[h.Event]++
		}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		t.startFailed(err)
		return
	}
	t.client.init = raw
	t.keepTranscript()
	if s.frame != nil {
		t.do(Send{&wireproto.Frame{ID: s.frame.ID, Result: raw}})
		s.frame = nil
	}
	for _, note := range s.notes {
		t.notify("settings", "warning", "A setting of the user is not in force", note)
	}
	t.takeWaiting()
	t.drain()
	if s.leaving {
		t.clientGone()
	}
}

func (t *Translator) takeWaiting() {
	waiting := t.client.waiting
	t.client.waiting = nil
	for _, f := range waiting {
		t.frame(f)
	}
}

// ErrEnded says that Kimi Code has ended. The bridge then sends nothing, because the client sees the end.
var ErrEnded = errors.New("the agent has ended: Kimi Code")

// startFailed answers everything that has waited for the session.
func (t *Translator) startFailed(err error) {
	t.session.state, t.session.err = failed, err
	if errors.Is(err, ErrEnded) {
		return
	}
	if f := t.session.frame; f != nil {
		t.session.frame = nil
		t.failStart(f.ID, err)
	}
	t.takeWaiting()
	if t.session.leaving {
		t.clientGone()
	}
}

// failStart answers a call for which there is no session.
func (t *Translator) failStart(id string, err error) {
	answer := &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: err.Error()}
	var argument *ArgumentError
	var no *UnsupportedError
	var routes *api.RoutesError
	switch {
	case errors.As(err, &no):
		// The data distinguishes this answer from that of an agent that does not know the method.
		answer.Code = wireproto.CodeMethodNotFound
		answer.Data, _ = json.Marshal(map[string]string{"option": no.Option})
	case errors.As(err, &argument):
		answer = argument.RPC()
	case errors.As(err, &routes):
		answer.Data, _ = json.Marshal(map[string]any{api.RoutesKey: routes})
	}
	t.fail(id, answer)
}

// UnsupportedError names something that Kimi Code does not have.
type UnsupportedError = api.UnsupportedError

// clientGone ends the server. If the session is being started, it first waits for the end of the start. A session
// without a turn is deleted, as in kimi-cli.
func (t *Translator) clientGone() {
	s := &t.session
	if s.state == starting {
		s.leaving = true
		return
	}
	for key := range t.hooks.open {
		t.do(HookReply{Key: key, Block: true, Reason: "the program has ended"})
	}
	t.do(Quit{s.id, s.id != "" && !s.resumed && !s.used, t.turn != nil})
}

const (
	timerMCP = "mcp"
	mcpEvery = time.Second
	mcpPolls = 30
)

// setPlanMode turns plan mode on or off, also while a turn runs.
func (t *Translator) setPlanMode(f *wireproto.Frame) {
	var params wireproto.SetPlanModeParams
	if !t.params(f, &params) {
		return
	}
	profile := api.Profile{Config: &api.AgentConfig{PlanMode: &params.Enabled}}
	t.call("POST", t.of("/profile"), profile, true, func(_ json.RawMessage, err error) {
		if err != nil {
			t.refuse(f.ID, wireproto.CodeInternalError, "set plan mode: %v", err)
			return
		}
		t.readBack(func(st *api.Status, err error) {
			if err != nil {
				t.refuse(f.ID, wireproto.CodeInternalError, "set plan mode: %v", err)
				return
			}
			t.setPlan(st.PlanMode)
			t.reply(f.ID, wireproto.SetPlanModeResult{Status: "ok", PlanMode: st.PlanMode})
		})
	})
}

// setPlan notes that plan mode is on or off, and tells the client if it has changed.
func (t *Translator) setPlan(on bool) {
	if t.context.plan != on {
		t.context.plan = on
		t.emit(&wireproto.StatusUpdate{PlanMode: &on})
	}
}

// status tells the client how full the context is, if that has changed, and how many tokens a step has used.
func (t *Translator) status(usage *api.Usage) {
	m := &wireproto.StatusUpdate{TokenUsage: history.Tokens(usage)}
	c := &t.context
	if now := [2]int{c.tokens, c.most}; now != c.told && c.tokens > 0 {
		c.told = now
		m.ContextTokens = &now[0]
		if c.most > 0 {
			share := float64(c.tokens) / float64(c.most)
			m.MaxContextTokens, m.ContextUsage = &now[1], &share
		}
	}
	if *m != (wireproto.StatusUpdate{}) {
		t.emit(m)
	}
}
