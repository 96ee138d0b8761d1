package translator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// agent is the session's own agent, a subagent, or that of a side question.
type agent struct {
	id          string
	kind        string // a subagent's type, such as coder
	description string
	parent      string // the call that started it
	background  bool   // it outlives the turn that started it
	turn        int    // the number of its turn
	number      int    // of the step, as the client was told
	retrying    bool   // the next step is the same step again
	step        *step  // that runs
	calls       map[string]*call
	lastCall    string // that the client was told of: parts of arguments belong to it
}

// step is a call of the model and what follows from it.
type step struct {
	n        int  // the server's number
	thought  int  // UTF-16 units of thinking that the client was told
	said     int  // the same of text
	doubtful bool // deltas are missing
	snapped  bool // a snapshot has filled a gap: deltas that do not say where they belong cannot be placed
}

// call is a tool call that has no result yet.
type call struct {
	name    string // as the model calls the tool
	n       int    // in the order of the calls
	told    strings.Builder
	rest    bool // parts are missing from what was told
	whole   json.RawMessage
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

// from emits what an agent does: within a SubagentEvent if it is not the session's own.
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

// decode reads a payload. One that does not fit is drift, and told once.
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

// decodeDelta reads the payload of a delta, which may have been read with its frame.
func (t *Translator) decodeDelta(e *api.Event) (*api.Delta, bool) {
	if e.Delta == nil {
		return decode[api.Delta](t, e)
	}
	return e.Delta, t.owned(e, &e.Delta.Common)
}

// owned reports whether an event says whose it is.
func (t *Translator) owned(e *api.Event, c *api.Common) bool {
	if c.AgentID == "" || c.TurnID < 0 && ofTurn(e.Type) {
		t.noteDrift(e.Type, "it does not say whose it is")
		return false
	}
	return true
}

// ofTurn reports whether an event of this type belongs to a turn, and says so. Without, it could be
// taken for one of another.
func ofTurn(eventType string) bool {
	return strings.HasPrefix(eventType, "turn.") || strings.HasPrefix(eventType, "tool.") || strings.HasSuffix(eventType, ".delta")
}

// noteDrift counts what this version does not know and tells of it once.
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
	case api.TypeApprovalTwin: // asks if the other did not
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
	case api.TypeHookResult:
		if p, ok := decode[api.HookResult](t, e); ok {
			t.hookResult(p)
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
		t.noteDrift(api.TypeSubagentSpawned, "it does not say which")
		return
	}
	a := t.agentOf(p.ID)
	a.kind, a.description, a.parent, a.background = p.Name, p.Description, p.ParentCall, p.Background
	a.number = 0
}

// ignored reports whether events of the agent's turn are not for the client: those of a prompt
// that was to be added to a turn which had ended.
func (t *Translator) ignored(p api.Common) bool {
	return (p.AgentID == api.MainAgent || p.AgentID == "") && t.own != nil && t.own.unwanted && t.own.number == p.TurnID
}

func (t *Translator) stepEvent(e *api.Event, p *api.Step) {
	if t.ignored(p.Common) {
		return
	}
	a := t.agentOf(p.AgentID)
	switch e.Type {
	case api.TypeStepStarted:
		a.turn = p.TurnID
		a.step = &step{n: p.Step, doubtful: t.inbox.doubts(e)}
		a.lastCall = ""
		if a.retrying {
			a.retrying = false
			return
		}
		a.number++
		t.from(a, &wireproto.StepBegin{N: a.number})
	case api.TypeStepRetrying:
		if a.step != nil && a.step.doubtful {
			a.step.doubtful = false // what the failed attempt has said does not count
		}
		a.retrying = true
		t.endBroken(a)
		t.from(a, &wireproto.StepRetry{
			N: max(a.number, 1), NextAttempt: p.NextAttempt, MaxAttempts: p.MaxAttempts,
			WaitS: p.DelayMS / 1000, ErrorType: p.ErrorName, StatusCode: p.StatusCode,
		})
	default:
		t.endStep(a, e.Type, p)
	}
}

// endBroken ends the calls of an attempt that has failed: they will never run.
func (t *Translator) endBroken(a *agent) {
	var ids []string
	for id, c := range a.calls {
		if c.whole == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y string) int { return a.calls[x].n - a.calls[y].n })
	for _, id := range ids {
		delete(a.calls, id)
		t.from(a, &wireproto.ToolResult{ToolCallID: id, ReturnValue: wireproto.ToolReturnValue{
			IsError: true, Message: "the model's answer broke off, and it is asked again",
		}})
	}
}

// endStep ends a step, once all that it has said was told.
func (t *Translator) endStep(a *agent, kind string, p *api.Step) {
	end := func() {
		a.retrying = false
		if kind == api.TypeStepInterrupted {
			if p.Reason != "aborted" { // kimi-cli tells nothing of a step that was cancelled
				t.from(a, &wireproto.StepInterrupted{})
			}
			a.step = nil
			return
		}
		if a.main() {
			if t.turn != nil && t.turn.number == p.TurnID {
				t.turn.finish, t.turn.cut = p.FinishReason, p.ProviderReason == nil
			}
			t.status(p.Usage)
		} else if p.Usage != nil {
			t.from(a, &wireproto.StatusUpdate{TokenUsage: tokens(p.Usage)})
		}
		a.step = nil
	}
	// A step that ends the turn without a word is looked at, too.
	mute := a.step != nil && kind == api.TypeStepCompleted && a.step.said == 0 && p.FinishReason != "tool_use"
	if a.step == nil || !a.step.doubtful && !mute {
		end()
		return
	}
	doubtful := a.step.doubtful
	t.fetch(t.of("/transcript")+"?agent_id="+a.id, func(data json.RawMessage, err error) {
		var transcript api.Transcript
		if err == nil {
			err = json.Unmarshal(data, &transcript)
		}
		var thinking, text strings.Builder
		found := false
		for _, item := range transcript.Items {
			if item.Kind != "turn" || item.ID != fmt.Sprintf("t%d", p.TurnID) {
				continue
			}
			for _, s := range item.Steps {
				if s.Ordinal != p.Step {
					continue
				}
				found = true
				for _, f := range s.Frames {
					switch f.Kind {
					case "thinking":
						thinking.WriteString(f.Text)
					case "text":
						text.WriteString(f.Text)
					}
				}
			}
		}
		if err != nil || doubtful && !found {
			t.notify("text_lost", "warning", "Output may be missing", "The connection to Kimi Code was lost for a moment, and what the model said meanwhile cannot be read.")
		} else if t.sayRest(a, thinking.String(), text.String()) && !doubtful {
			t.noteDrift("lost text", "the server did not send what its transcript tells")
		}
		end()
	})
}

// sayRest says what the client has not been told of a step, and reports whether there was something.
func (t *Translator) sayRest(a *agent, thinking, text string) (more bool) {
	if rest := after(thinking, a.step.thought); rest != "" {
		more = true
		a.step.thought += units(rest)
		t.from(a, &wireproto.ThinkPart{Think: rest})
	}
	if rest := after(text, a.step.said); rest != "" {
		more = true
		a.step.said += units(rest)
		t.from(a, &wireproto.TextPart{Text: rest})
	}
	return more
}

// units returns the length of s as JavaScript counts it.
func units(s string) int {
	n := utf8.RuneCountInString(s)
	if n == len(s) { // ASCII
		return n
	}
	n = 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// after returns s without its first n UTF-16 units.
func after(s string, n int) string {
	for i, r := range s {
		if n <= 0 {
			return s[i:]
		}
		n -= utf16.RuneLen(r)
	}
	return ""
}

// delta says what the model says, once: where it belongs, the server tells by its offset.
func (t *Translator) delta(e *api.Event, p *api.Delta) {
	if t.ignored(p.Common) {
		return
	}
	if p.Delta == nil {
		t.noteDrift(e.Type, "it says nothing")
		return
	}
	a := t.agentOf(p.AgentID)
	if a.step == nil || a.turn != p.TurnID || *p.Delta == "" {
		return // of a step that has ended: its transcript has told
	}
	told := &a.step.said
	if e.Type == api.TypeThinkingDelta {
		told = &a.step.thought
	}
	text := *p.Delta
	switch {
	case e.Offset != nil && *e.Offset > *told:
		a.step.doubtful = true
		return
	case e.Offset != nil:
		if text = after(text, *told-*e.Offset); text == "" {
			return
		}
	case a.step.doubtful:
		return
	case a.step.snapped:
		a.step.doubtful = true
		return
	}
	*told += units(text)
	if e.Type == api.TypeThinkingDelta {
		t.from(a, &wireproto.ThinkPart{Think: text})
	} else {
		t.from(a, &wireproto.TextPart{Text: text})
	}
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
			return // it may not be the first part; the call is told when it is whole
		}
		t.begin(a, p.ToolCallID, p.Name, p.Part)
	case c.whole != nil, c.rest:
	case a.step.doubtful || a.step.snapped || a.lastCall != p.ToolCallID:
		c.rest = true // a part belongs to the latest call
	case p.Part != "":
		part := p.Part
		c.told.WriteString(part)
		t.from(a, &wireproto.ToolCallPart{ArgumentsPart: &part})
	}
}

// begin tells of a call.
func (t *Translator) begin(a *agent, id, name, args string) *call {
	t.tools.begun++
	c := &call{name: name, n: t.tools.begun}
	c.told.WriteString(args)
	a.calls[id] = c
	a.lastCall = id
	t.from(a, &wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: t.toolName(name), Arguments: &args}})
	return c
}

// settle makes sure that the client knows a call whole, before it is asked about it or it runs.
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
			c = t.begin(a, id, name, whole) // anew: what was told is not what runs
		}
	}
	c.whole = args
	return c
}

// compact returns JSON, which need not be whole, without the space between its tokens, as the server
// writes it.
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
	if c.display == nil { // else its approval has shown it, with the file as it was
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
		t.noteDrift(api.TypeToolResult, "it does not say of which call it is, or what it is")
		return
	}
	a := t.agentOf(p.AgentID)
	v := resultOf(p.Output, p.IsError)
	if c := a.calls[p.ToolCallID]; c != nil {
		v.Display = c.display
		delete(a.calls, p.ToolCallID)
	}
	t.from(a, &wireproto.ToolResult{ToolCallID: p.ToolCallID, ReturnValue: v})
}

// agentStatus keeps how full the context is; a step's end tells it.
func (t *Translator) agentStatus(p *api.AgentStatus) {
	if p.AgentID != api.MainAgent {
		return
	}
	if p.ContextTokens != nil {
		t.context.tokens = *p.ContextTokens
	}
	if p.MaxContextTokens != nil {
		t.context.most = *p.MaxContextTokens
	}
	if p.PlanMode != nil {
		t.setPlan(*p.PlanMode)
	}
}

// taskNotified tells that a task in the background has ended.
func (t *Translator) taskNotified(p *api.TaskNotified) {
	t.emit(&wireproto.Notification{
		ID: t.newID("note"), Category: "task", Type: p.Type, SourceKind: p.SourceKind, SourceID: p.SourceID,
		Title: p.Title, Body: p.Body, Severity: p.Severity, CreatedAt: float64(t.now.UnixMilli()) / 1000,
		Payload: map[string]json.RawMessage{},
	})
}

// compaction tells of the beginning and the end of a compaction.
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
