package translator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/history"
	"github.com/kimi-go/kimi-go/wireproto"
)

// agent is the session's own agent, a subagent, or the agent of a side question.
type agent struct {
	id          string
	kind        string // a subagent's type, such as coder
	description string
	parent      string      // the call that started it
	background  bool        // it outlives the turn that started it
	turn        int         // the number of its turn
	number      int         // the number of its step, as the client knows it
	retrying    bool        // the next step is the same step again
	step        *step       // the step that runs
	unchecked   []unchecked // only for a subagent
	calls       map[string]*call
	lastCall    string // the last call that the client knows; to the client, parts of arguments belong to it
}

// call is a tool call that has no result yet.
type call struct {
	name    string          // the model's name of the tool
	n       int             // its place in the order of all calls
	told    strings.Builder // the arguments that the client has
	rest    bool            // parts are missing in told
	whole   json.RawMessage // all arguments; nil if they are not known yet
	display wireproto.DisplayBlocks
	asked   bool // a Go tool: the client was asked to run it
}

// agentOf returns the agent of an event.
func (t *Translator) agentOf(id string) *agent {
	if id == "" {
		id = api.MainAgent
	}
	a := t.agents[id]
	if a == nil {
		a = &agent{id: id, turn: -1, calls: make(map[string]*call)}
		t.agents[id] = a
	}
	return a
}

func (a *agent) main() bool { return a.id == api.MainAgent }

// from emits what an agent does. If it is not the session's own agent, the message is in a SubagentEvent.
func (t *Translator) from(a *agent, m wireproto.Message) {
	if a.main() {
		t.emit(m)
		return
	}
	if t.side != nil && t.side.agent == a.id {
		t.side.hear(m)
		return
	}
	parent, id, kind := a.parent, a.id, a.kind
	t.emit(&wireproto.SubagentEvent{ParentToolCallID: &parent, AgentID: &id, SubagentType: &kind, Event: m})
}

// decode reads a payload. A payload that does not fit is noted as drift and reported once.
func decode[T any](t *Translator, e *api.Event) (*T, bool) {
	p := new(T)
	c, ok := any(p).(interface{ Of() *api.Common })
	if ok {
		c.Of().TurnID = -1
	}
	if err := json.Unmarshal(e.Payload, p); err != nil {
		t.noteDrift(e.Type, "its payload does not fit: "+err.Error())
		return nil, false
	}
	return p, !ok || t.owned(e, c.Of())
}

// decodeDelta reads the payload of a delta. The payload may already have been read together with its frame.
func (t *Translator) decodeDelta(e *api.Event) (*api.Delta, bool) {
	if e.Delta == nil {
		return decode[api.Delta](t, e)
	}
	return e.Delta, t.owned(e, &e.Delta.Common)
}

// owned reports whether an event says which agent, and which turn if needed, it belongs to.
func (t *Translator) owned(e *api.Event, c *api.Common) bool {
	if c.AgentID == "" || c.TurnID < 0 && ofTurn(e.Type) && e.Type != api.TypeTurnSteer {
		t.noteDrift(e.Type, "it does not say which agent it belongs to")
		return false
	}
	return true
}

// ofTurn reports whether an event of this type must say which turn it belongs to. Otherwise it could be taken for an
// event of another turn.
func ofTurn(eventType string) bool {
	return strings.HasPrefix(eventType, "turn.") || strings.HasPrefix(eventType, "tool.") || strings.HasSuffix(eventType, ".delta")
}

// noteDrift counts events of a kind that this version does not understand, and reports each kind once.
func (t *Translator) noteDrift(kind, why string) {
	if t.drift[kind]++; t.drift[kind] == 1 {
		t.notify("unknown_event", "warning", "An unknown event of Kimi Code", fmt.Sprintf("%.80q: %.200s", kind, why))
	}
}

// event handles an event of the session.
func (t *Translator) event(e *api.Event) {
	switch e.Type {
	case api.TypeTurnStarted:
		if p, ok := decode[api.TurnStarted](t, e); ok {
			t.turnStarted(p)
		}
	case api.TypeTurnEnded:
		if p, ok := decode[api.TurnEnded](t, e); ok {
			t.turnEnded(p)
		}
	case api.TypeTurnSteer:
		if p, ok := decode[api.TurnSteer](t, e); ok {
			t.steered(p)
		}
	case api.TypePromptSteered:
		if p, ok := decode[api.PromptSteered](t, e); ok {
			t.promptSteered(p)
		}
	case api.TypePromptCompleted, api.TypePromptAborted:
		if p, ok := decode[api.PromptEnded](t, e); ok {
			t.promptEnded(p, e.Type == api.TypePromptAborted)
		}
	case api.TypeStepStarted, api.TypeStepCompleted, api.TypeStepInterrupted, api.TypeStepRetrying:
		if p, ok := decode[api.Step](t, e); ok {
			t.stepEvent(e, p)
		}
	case api.TypeThinkingDelta, api.TypeAssistantDelta:
		if p, ok := t.decodeDelta(e); ok {
			t.delta(e, p)
		}
	case api.TypeToolDelta:
		if p, ok := decode[api.ToolDelta](t, e); ok {
			t.toolDelta(p)
		}
	case api.TypeToolStarted:
		if p, ok := decode[api.ToolStarted](t, e); ok {
			t.toolStarted(p)
		}
	case api.TypeToolResult:
		if p, ok := decode[api.ToolResult](t, e); ok {
			t.toolResult(p)
		}
	case api.TypeStatusUpdated:
		if p, ok := decode[api.AgentStatus](t, e); ok {
			t.agentStatus(p)
		}
	case api.TypeApprovalRequested:
		if p, ok := decode[api.Approval](t, e); ok {
			t.approval(p)
		}
	case api.TypeApprovalTwin: // asks only if the other event of the approval has not come
		if p, ok := decode[api.PendingApproval](t, e); ok {
			t.pending(p)
		}
	case api.TypeApprovalResolved:
		if p, ok := decode[api.Approval](t, e); ok {
			t.approvalGone(p.ID, p.Decision, p.Feedback)
		}
	case api.TypeApprovalGone:
		if p, ok := decode[api.ApprovalGone](t, e); ok && p.Decision == "" {
			t.approvalGone(p.ID, "", "")
		}
	case api.TypeQuestionRequested:
		if p, ok := decode[api.Question](t, e); ok {
			t.question(p)
		}
	case api.TypeQuestionAnswered, api.TypeQuestionDismissed:
		if p, ok := decode[api.QuestionGone](t, e); ok {
			t.requests.gone(p.ID)
		}
	case api.TypeCompactionStarted, api.TypeCompactionDone, api.TypeCompactionStopped, api.TypeCompactionBlocked:
		if p, ok := decode[api.Common](t, e); ok {
			t.compaction(e.Type, p)
		}
	case api.TypeSubagentSpawned:
		if p, ok := decode[api.Subagent](t, e); ok {
			t.spawned(p)
		}
	case api.TypeTaskNotified:
		if p, ok := decode[api.TaskNotified](t, e); ok {
			t.taskNotified(p)
		}
	default:
		if !api.Known(e.Type) {
			t.noteDrift(e.Type, "this version does not know it")
		}
	}
}

// spawned notes who a subagent is.
func (t *Translator) spawned(p *api.Subagent) {
	if p.ID == "" || p.ParentCall == "" {
		t.noteDrift(api.TypeSubagentSpawned, "it does not say which subagent, or which call started it")
		return
	}
	a := t.agentOf(p.ID)
	if p.Name == "" {
		t.noteDrift(api.TypeSubagentSpawned, "it does not say its type")
	}
	a.kind, a.description, a.parent, a.background = p.Name, p.Description, p.ParentCall, p.Background
	a.number = 0
}

// ignored reports whether the client must not see the events of the agent's turn. Such a turn comes from a prompt that
// was meant for a turn which had already ended.
func (t *Translator) ignored(p api.Common) bool {
	return (p.AgentID == api.MainAgent || p.AgentID == "") && t.own != nil && t.own.unwanted && t.own.number == p.TurnID
}

// toolDelta streams the arguments of a call.
func (t *Translator) toolDelta(p *api.ToolDelta) {
	if t.ignored(p.Common) || p.ToolCallID == "" {
		return
	}
	a := t.agentOf(p.AgentID)
	if a.step == nil || a.turn != p.TurnID {
		return
	}
	c := a.calls[p.ToolCallID]
	switch {
	case c == nil:
		if a.step.doubtful || a.step.snapped || p.Name == "" {
			return // the part may not be the first one; the client gets the call when it is whole
		}
		t.begin(a, p.ToolCallID, p.Name, p.Part)
	case c.whole != nil, c.rest:
	case a.step.doubtful || a.step.snapped || a.lastCall != p.ToolCallID:
		c.rest = true // the client would take the part for one of the latest call
	case p.Part != "":
		part := p.Part
		c.told.WriteString(part)
		t.from(a, &wireproto.ToolCallPart{ArgumentsPart: &part})
	}
}

// begin tells the client about a call.
func (t *Translator) begin(a *agent, id, name, args string) *call {
	t.tools.begun++
	c := &call{name: name, n: t.tools.begun}
	c.told.WriteString(args)
	a.calls[id] = c
	a.lastCall = id
	t.from(a, &wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: t.toolName(name), Arguments: &args}})
	return c
}

// settle sends the whole call to the client before the client is asked about it or the call runs.
func (t *Translator) settle(a *agent, id, name string, args json.RawMessage) *call {
	c := a.calls[id]
	if c != nil && c.whole != nil {
		return c
	}
	if args == nil {
		args = json.RawMessage("{}")
	}
	if c == nil {
		c = t.begin(a, id, name, string(args))
	} else if told, whole := c.told.String(), string(args); told != whole && !sameJSON(told, whole) {
		if rest, ok := strings.CutPrefix(whole, compact(told)); ok && a.lastCall == id {
			t.from(a, &wireproto.ToolCallPart{ArgumentsPart: &rest})
		} else {
			c = t.begin(a, id, name, whole) // again, because the client has other arguments than those that run
		}
	}
	c.whole = args
	return c
}

// compact returns JSON without white space between its tokens, as the server writes JSON. The JSON may be incomplete.
func compact(s string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for i := range len(s) {
		c := s[i]
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// toolStarted notes that a call runs. It has been approved, or needs no approval.
func (t *Translator) toolStarted(p *api.ToolStarted) {
	if t.ignored(p.Common) {
		return
	}
	if p.ToolCallID == "" || p.Name == "" || p.Args == nil {
		t.noteDrift(api.TypeToolStarted, "it does not say what runs")
		return
	}
	a := t.agentOf(p.AgentID)
	c := t.settle(a, p.ToolCallID, p.Name, p.Args)
	if c.display == nil { // otherwise the display comes from the approval, with the file as it was then
		c.display = t.blocks(p.Display)
	}
	t.askWaitingTools()
}

// toolResult ends a call.
func (t *Translator) toolResult(p *api.ToolResult) {
	if t.ignored(p.Common) {
		return
	}
	if p.ToolCallID == "" || p.Output == nil {
		t.noteDrift(api.TypeToolResult, "it does not say which call it belongs to, or what it is")
		return
	}
	a := t.agentOf(p.AgentID)
	v := history.Result(p.Output, p.IsError)
	if c := a.calls[p.ToolCallID]; c != nil {
		v.Display = c.display
		if p.IsError && !strings.HasPrefix(c.name, "mcp__") { // it says what the call was to do; that of a Go tool is its result
			v.Display = slices.DeleteFunc(slices.Clone(v.Display), func(b wireproto.DisplayBlock) bool {
				_, brief := b.(*wireproto.BriefDisplayBlock)
				return brief
			})
		}
		delete(a.calls, p.ToolCallID)
	}
	t.from(a, &wireproto.ToolResult{ToolCallID: p.ToolCallID, ReturnValue: v})
}

// agentStatus notes how full the context is. The client learns it at the end of a step.
func (t *Translator) agentStatus(p *api.AgentStatus) {
	if p.AgentID != api.MainAgent {
		return
	}
	if p.ContextTokens != nil {
		t.context.tokens, t.context.heard = *p.ContextTokens, true
	}
	if p.MaxContextTokens != nil {
		t.context.most = *p.MaxContextTokens
	}
	if p.PlanMode != nil {
		t.setPlan(*p.PlanMode)
	}
}

// taskNotified says that a task in the background has ended.
func (t *Translator) taskNotified(p *api.TaskNotified) {
	t.emit(&wireproto.Notification{
		ID: t.newID("note"), Category: "task", Type: p.Type, SourceKind: p.SourceKind, SourceID: p.SourceID,
		Title: p.Title, Body: p.Body, Severity: p.Severity, CreatedAt: float64(t.now.UnixMilli()) / 1000,
		Payload: map[string]json.RawMessage{},
	})
}

// compaction tells the client about the beginning and the end of a compaction.
func (t *Translator) compaction(kind string, p *api.Common) {
	a := t.agentOf(p.AgentID)
	switch kind {
	case api.TypeCompactionStarted:
		t.from(a, &wireproto.CompactionBegin{})
		return
	case api.TypeCompactionDone:
		t.from(a, &wireproto.CompactionEnd{})
	}
	if a.main() && t.turn != nil && t.turn.compacts {
		t.compacted(kind)
	}
}
