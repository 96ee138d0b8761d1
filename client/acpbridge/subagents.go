package acpbridge

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/kimi-go/kimi-go/wireproto"
)

// agent is a subagent.
type agent struct {
	id, kind, description string
	parent                string // ACP's id of the tool call that started it
	background            bool
	done                  bool // its journal has told the end
	file                  *tail
	steps                 int
	calls                 map[string]string // ids of tool calls by the uuid of their record
}

// asked is a request for approval as the journal tells it.
type asked struct {
	agent   *agent // nil for the main agent
	display *display
}

// askedKey tells requests apart: models number the calls of each message anew, so that those of
// two agents have the same ids.
func askedKey(call, action string) string { return call + "\x00" + action }

// noteAsked keeps a request of which a journal tells.
func (j *journal) noteAsked(a *agent, r *record) {
	j.asked[askedKey(r.Request.Turn.String()+":"+r.ToolCallID, r.Request.Action)] = &asked{a, r.Request.Display}
}

// subagents reports whether there are any that have not ended.
func (j *journal) subagents() bool {
	return slices.ContainsFunc(j.agents, func(a *agent) bool { return !a.done })
}

// spawned begins to follow a subagent.
func (b *Conn) spawned(r *record) {
	turn := "0"
	if b.turn != nil && b.turn.number >= 0 {
		turn = fmt.Sprint(b.turn.number)
	}
	i := slices.IndexFunc(b.journal.agents, func(a *agent) bool { return a.id == r.SubagentID })
	if i < 0 {
		i = len(b.journal.agents)
		b.journal.agents = append(b.journal.agents, &agent{
			id: r.SubagentID, calls: make(map[string]string),
			file: &tail{path: filepath.Join(filepath.Dir(filepath.Dir(b.journal.main.path)), r.SubagentID, "wire.jsonl")},
		})
	} // else it goes on with what it knows
	a := b.journal.agents[i]
	a.kind, a.description, a.background, a.done, a.steps = r.SubagentName, r.Description, r.Background, false, 0
	a.parent = turn + ":" + r.ParentCall
}

// subagentEnd hands on the rest of the subagents that a tool call has started, since its result
// comes a little before the journal's last lines.
func (b *Conn) subagentEnd(call string) {
	open := func(a *agent) bool { return a.parent == call && !a.background && !a.done }
	b.waitJournal(agentWait, func() bool {
		b.poll()
		return b.turn.cancelled || !slices.ContainsFunc(b.journal.agents, open)
	})
	for _, a := range b.journal.agents {
		if open(a) { // its journal does not say so, but it has ended
			a.done = true
			a.file.close()
		}
	}
}

// pollAgent hands on what a subagent has done.
func (b *Conn) pollAgent(a *agent) {
	if a.done {
		return
	}
	for _, line := range a.file.read() {
		r := readRecord(line)
		switch {
		case r == nil:
		case r.Type == "interaction.request" && r.Kind == "approval":
			b.journal.noteAsked(a, r)
		case r.Type == "turn.ended":
			a.done = true
			a.file.close()
		case r.Type == "usage.record" && r.Usage != nil:
			b.subagent(a, &wireproto.StatusUpdate{TokenUsage: r.Usage.wire()})
		case r.Type == "context.append_loop_event" && r.Event != nil:
			b.subagentEvent(a, r.Event)
		}
	}
}

func (b *Conn) subagent(a *agent, m wireproto.Message) {
	b.emit(&wireproto.SubagentEvent{ParentToolCallID: &a.parent, AgentID: &a.id, SubagentType: &a.kind, Event: m})
}

func (b *Conn) subagentEvent(a *agent, e *loopEvent) {
	switch e.Type {
	case "step.begin":
		a.steps++
		b.subagent(a, &wireproto.StepBegin{N: a.steps})
	case "content.part":
		switch {
		case e.Part == nil:
		case e.Part.Type == "think":
			b.subagent(a, &wireproto.ThinkPart{Think: e.Part.Think})
		case e.Part.Type == "text":
			b.subagent(a, &wireproto.TextPart{Text: e.Part.Text})
		}
	case "tool.call":
		id, args := e.Turn.String()+":"+e.ToolCallID, jsonText(e.Args)
		a.calls[e.UUID] = id
		b.subagent(a, &wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: b.toolName(e.Name), Arguments: &args}})
	case "tool.result":
		id := a.calls[e.ParentUUID]
		delete(a.calls, e.ParentUUID)
		if id == "" || e.Result == nil {
			return
		}
		u := update{RawOutput: e.Result.Output, Status: "completed"}
		if e.Result.IsError {
			u.Status = "failed"
		}
		b.subagent(a, &wireproto.ToolResult{ToolCallID: id, ReturnValue: u.result()})
	}
}
