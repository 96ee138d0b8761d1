package client

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	// callWait is how long [ApprovalRequest.Call] waits for events that may still come.
	callWait = 5 * time.Second
	// callPoll is the interval at which Call reads the file of a background agent, which sends no events.
	callPoll = 50 * time.Millisecond
	// maxAgentFile is the size of the longest such file that Call reads, in bytes.
	maxAgentFile = 256 << 20
)

// Call returns the whole tool call that the request asks about: the name of the tool, and its arguments as the model
// wrote them. Description and Display may show only a part of them. Call takes them from the ToolCall and ToolCallPart
// messages of the agent. The call of a subagent may come after the request, so Call waits for it, at most 5 s. Call
// returns "" and nil if it is not certain which call the request asks about, such as when the model has given two calls
// the same id, and for a value that is not a live request. It never returns the arguments of another call. Do not
// approve a call that you cannot see.
//
// If an object has several members with one name, kimi uses the last one. kimi also distinguishes Command from
// command, which encoding/json does not do for a struct. Decode into a map to see what will run.
func (r *ApprovalRequest) Call() (name string, arguments json.RawMessage) {
	if r.request == nil {
		return "", nil
	}
	if asked, ok := r.request.asked.(*wireproto.ApprovalRequest); ok {
		return r.request.call(asked)
	}
	return "", nil
}

// toolCalls are the calls of all agents that have no result yet. The session's mu guards them.
type toolCalls struct {
	agents  map[string]*agentCalls // by the agent's id; "" is the main agent
	changed chan struct{}          // the next change closes it; nil while no call waits
}

// agentCalls are the calls of one step.
type agentCalls struct {
	open []*toolCall
	last *toolCall // the next ToolCallPart continues the arguments of this call
	told bool      // the model's message is complete, so open has all its calls
}

type toolCall struct {
	id, name string
	args     []string
	request  *request // the request that asks about the call
}

// noteCallLocked records what an event says about tool calls. The caller holds the session's mu.
func (s *Session) noteCallLocked(m wireproto.Message) {
	agent := ""
	for {
		e, ok := m.(*wireproto.SubagentEvent)
		if !ok {
			break
		}
		if m = e.Event; e.AgentID != nil {
			agent = *e.AgentID
		} else {
			return // before protocol 1.6 the event does not say which agent it belongs to
		}
	}
	if !s.calls.note(s.backend, agent, m) {
		return
	}
	for r := range s.requests {
		if agent == "" {
			break // the calls of the main agent come before its requests
		}
		if asked, ok := r.asked.(*wireproto.ApprovalRequest); ok && agentOf(asked) == agent {
			s.bindCallLocked(r)
		}
	}
	if s.calls.changed != nil {
		close(s.calls.changed)
		s.calls.changed = nil
	}
}

// note records the event m of an agent, and reports whether anything has changed.
func (c *toolCalls) note(b backend, agent string, m wireproto.Message) bool {
	switch m.(type) {
	case *wireproto.TextPart, *wireproto.ThinkPart: // most events are of these types; return before an agentCalls is allocated for them
		return false
	}
	a := c.agents[agent]
	if a == nil {
		a = new(agentCalls)
	}
	switch m := m.(type) {
	case *wireproto.TurnBegin:
		if agent == "" {
			clear(c.agents)
		}
		delete(c.agents, agent)
		return true
	case *wireproto.StepBegin, *wireproto.StepRetry, *wireproto.TurnEnd:
		delete(c.agents, agent) // the calls before this event have ended
		return true
	case *wireproto.ToolCall:
		if b.wholeCalls() {
			a.open = slices.DeleteFunc(a.open, func(old *toolCall) bool { return old.id == m.ID })
		}
		a.last = &toolCall{id: m.ID, name: m.Function.Name}
		if m.Function.Arguments != nil {
			a.last.args = append(a.last.args, *m.Function.Arguments)
		}
		a.open = append(a.open, a.last)
	case *wireproto.ToolCallPart:
		if a.last == nil || m.ArgumentsPart == nil {
			return false
		}
		a.last.args = append(a.last.args, *m.ArgumentsPart)
	case *wireproto.StatusUpdate:
		a.told = true
	case *wireproto.ToolResult:
		for i := len(a.open) - 1; i >= 0; i-- {
			if a.open[i].id == m.ToolCallID {
				a.open = append(a.open[:i:i], a.open[i+1:]...)
			}
		}
	default:
		return false
	}
	if c.agents == nil {
		c.agents = make(map[string]*agentCalls)
	}
	c.agents[agent] = a
	return true
}

// find returns the only call that a request can ask about. It returns nil if there is none or more than one.
func (a *agentCalls) find(asked *wireproto.ApprovalRequest) *toolCall {
	var found *toolCall
	for _, c := range a.open {
		if c.id != asked.ToolCallID {
			continue
		}
		if found != nil {
			return nil
		}
		found = c
	}
	if found == nil || found.id == "" || found.name != asked.Sender {
		return nil
	}
	return found
}

// bindCallLocked finds the call that r asks about. In kimi-cli, the events of the main agent come before its requests.
// Those of a subagent come after them, up to the StatusUpdate that ends the model's message. Before that StatusUpdate,
// another call with the same id may still come. The caller holds the session's mu.
func (s *Session) bindCallLocked(r *request) {
	asked, ok := r.asked.(*wireproto.ApprovalRequest)
	if !ok || r.tool != nil {
		return
	}
	agent := agentOf(asked)
	a := s.calls.agents[agent]
	if a == nil || agent != "" && !s.backend.wholeCalls() && !a.told {
		return
	}
	if c := a.find(asked); c != nil && c.request == nil {
		c.request, r.tool = r, c
	}
}

// ofMain reports whether the call of a Go tool is a call of the main agent, whose events come before its requests.
func (c *toolCalls) ofMain(call *wireproto.ToolCallRequest) bool {
	main := c.agents[""]
	return main != nil && slices.ContainsFunc(main.open, func(t *toolCall) bool { return t.id == call.ID && t.name == call.Name })
}

func agentOf(asked *wireproto.ApprovalRequest) string {
	if asked.AgentID == nil {
		return ""
	}
	return *asked.AgentID
}

// call returns the call that r asks about. If the call may still come, it waits.
func (r *request) call(asked *wireproto.ApprovalRequest) (string, json.RawMessage) {
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	s := r.s
	for {
		s.mu.Lock()
		var tool toolCall
		if r.tool != nil {
			tool = *r.tool // copy, because later events may extend the arguments
		}
		over := r.err != nil || agentOf(asked) == "" || s.backend.wholeCalls() // no more events about the call can come
		if s.calls.changed == nil {
			s.calls.changed = make(chan struct{})
		}
		changed := s.calls.changed
		s.mu.Unlock()
		var poll <-chan time.Time
		switch agent := agentOf(asked); {
		case tool.id != "":
			return tool.whole()
		case over:
			return "", nil
		case r.background:
			if tool := s.launch.backgroundCall(s.id, agent, asked); tool != nil {
				s.mu.Lock()
				r.tool = tool
				s.mu.Unlock()
				continue
			}
			poll = time.After(callPoll)
		}
		select {
		case <-changed:
		case <-poll:
		case <-r.done:
		case <-ctx.Done():
			return "", nil
		}
	}
}

// whole returns the name and the arguments. If the arguments are not complete, it returns "" and nil.
func (c *toolCall) whole() (string, json.RawMessage) {
	args := strings.Join(c.args, "")
	if args == "" {
		args = "{}" // as in kimi_cli/soul/toolset.py
	}
	if !json.Valid([]byte(args)) {
		args = escapeControls(args)
	}
	if !json.Valid([]byte(args)) {
		return "", nil
	}
	return c.name, json.RawMessage(args)
}

// escapeControls escapes the control characters in the strings of a JSON text. kimi-cli accepts them unescaped.
func escapeControls(text string) string {
	var b strings.Builder
	inString, escaped := false, false
	for i := range len(text) {
		switch c := text[i]; {
		case inString && c < 0x20 && !escaped:
			fmt.Fprintf(&b, `\u%04x`, c)
			continue
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// backgroundCall looks for a call in the file of a background agent. kimi-cli writes the file while the agent runs
// (kimi_cli/background/agent_runner.py).
func (l *launch) backgroundCall(session, agent string, asked *wireproto.ApprovalRequest) *toolCall {
	if l.opts.Transport != nil || validSessionID(agent) != nil {
		return nil
	}
	f, err := regular.Open(filepath.Join(kimiCLI{}.sessionsDir(l), session, "subagents", agent, "wire.jsonl"))
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxAgentFile {
		return nil // only the end of the file matters, and reading up to it would take too long
	}
	var c toolCalls
	for rec, err := range wireproto.ReadSessionFile(f) {
		if err == nil {
			c.note(kimiCLI{}, "", rec.Message)
		}
	}
	if a := c.agents[""]; a != nil && a.told {
		return a.find(asked)
	}
	return nil
}
