package acpbridge

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// request is a request to the client that waits for its answer.
type request struct {
	n          int // in the order of sending
	background bool
	answer     func(f *wireproto.Frame) // takes the client's answer
	drop       func()                   // gives the answer of nobody
}

// ask sends a request to the client.
func (b *Conn) ask(id string, m wireproto.Message, background bool, answer func(*wireproto.Frame), drop func()) {
	r := &request{n: b.lastID, background: background}
	take := func() {
		if b.requests[id] == r {
			delete(b.requests, id)
		}
	}
	r.answer = func(f *wireproto.Frame) { take(); answer(f) }
	r.drop = func() { take(); drop() }
	b.requests[id] = r
	if b.send(&wireproto.Frame{ID: id, Method: wireproto.MethodRequest, Message: m}) != nil {
		r.drop() // it is too long for a line, or nobody is there
	}
}

// answered handles an answer of the client. A late or a second one counts for nothing.
func (b *Conn) answered(f *wireproto.Frame) {
	if r := b.requests[f.ID]; r != nil {
		r.answer(f)
	}
}

// option is what a request of kimi may be answered with.
type option struct {
	ID   string `json:"optionId"`
	Name string `json:"name"`
	Kind string `json:"kind"` // allow_once, allow_always, reject_once
}

// permission is session/request_permission.
type permission struct {
	id      json.RawMessage
	since   time.Time
	Options []option `json:"options"`
	Call    struct {
		ID      string          `json:"toolCallId"`
		Title   string          `json:"title"`
		Content json.RawMessage `json:"content"`
	} `json:"toolCall"`
}

// selected answers with an option.
func (b *Conn) selected(p *permission, optionID string) {
	b.acp.answer(p.id, map[string]any{"outcome": map[string]string{"outcome": "selected", "optionId": optionID}})
}

// nobody answers that nobody has decided, which counts as a rejection.
func (b *Conn) nobody(p *permission) {
	b.acp.answer(p.id, map[string]any{"outcome": map[string]string{"outcome": "cancelled"}})
}

// pick returns the id of the first option of a kind.
func (p *permission) pick(kinds ...string) (string, bool) {
	for _, kind := range kinds {
		for _, o := range p.Options {
			if o.Kind == kind {
				return o.ID, true
			}
		}
	}
	return "", false
}

// permission handles a request for approval.
func (b *Conn) permission(m *message) {
	p := &permission{id: m.ID, since: time.Now()}
	if json.Unmarshal(m.Params, p) != nil {
		b.nobody(p)
		return
	}
	allow, ok := p.pick("allow_once")
	switch {
	case !ok || b.journal == nil:
		b.nobody(p)
	case slices.ContainsFunc(p.Options, func(o option) bool { return strings.HasPrefix(o.ID, "plan_") }):
		b.reviewPlan(p)
	case slices.ContainsFunc(p.Options, func(o option) bool { return o.ID != "approve_once" && o.Kind == "allow_once" }):
		b.nobody(p) // not a question of yes or no
	case b.isOwnTool(p.Call.Title):
		b.selected(p, allow) // the program itself has offered it
	case b.suspended || b.restoring != "":
		b.selected(p, allow) // plan mode has suspended yolo or afk
	case b.turn != nil && b.turn.calls[p.Call.ID] != nil && !b.journal.subagents():
		b.askApproval(p, nil)
	default: // of a subagent, whose calls may have the ids of others: the journal tells whose
		b.unplaced = append(b.unplaced, p)
		b.poll()
		b.placeLate()
	}
}

// action tells what is to be approved, in kimi's words.
func (p *permission) action() string {
	return strings.TrimPrefix(textOf(blocksOf(p.Call.Content)), "Requesting approval to ")
}

// actionOf names what a tool does, in kimi-cli's words where it has some.
func actionOf(tool string) string {
	switch tool {
	case "Bash":
		return "run command"
	case "Write", "Edit":
		return "edit file"
	}
	return "use " + tool
}

// placeLate asks the client what subagents have asked.
func (b *Conn) placeLate() {
	var left []*permission
	list := b.unplaced
	b.unplaced = nil
	for _, p := range list {
		key := askedKey(p.Call.ID, p.action())
		if a := b.journal.asked[key]; a != nil || time.Since(p.since) > askedWait {
			delete(b.journal.asked, key)
			b.askApproval(p, a)
		} else {
			left = append(left, p)
		}
	}
	b.unplaced = append(left, b.unplaced...)
}

// dropUnplaced rejects what has been asked in the turn and is not the client's to answer yet.
func (b *Conn) dropUnplaced() {
	if len(b.unplaced) == 0 {
		return
	}
	b.poll()
	b.unplaced = slices.DeleteFunc(b.unplaced, func(p *permission) bool {
		a := b.journal.asked[askedKey(p.Call.ID, p.action())]
		background := a != nil && a.agent != nil && a.agent.background
		if !background {
			b.nobody(p)
		}
		return !background
	})
}

// askApproval sends an ApprovalRequest; a tells what the journal knows of it, nil for nothing.
func (b *Conn) askApproval(p *permission, a *asked) {
	blocks, action := blocksOf(p.Call.Content), p.action()
	req := &wireproto.ApprovalRequest{
		ID: b.newID("approval"), ToolCallID: p.Call.ID,
		Sender: b.toolName(p.Call.Title), Action: actionOf(p.Call.Title), Description: action, Display: diffsOf(blocks),
	}
	kind := "foreground_turn"
	background := b.turn == nil
	own := a == nil && !b.journal.subagents() || a != nil && a.agent == nil
	if a != nil && a.agent != nil {
		req.AgentID, req.SubagentType, req.SourceID = &a.agent.id, &a.agent.kind, &a.agent.id
		req.SourceDescription = &a.agent.description
		background = a.agent.background
	}
	if a != nil && req.Display == nil {
		req.Display = a.display.blocks()
	}
	if background {
		kind = "background_agent"
	}
	req.SourceKind = &kind
	if req.Display == nil && b.turn != nil && own {
		req.Display = b.turn.calls[p.Call.ID].preview(b.set.workDir)
	}
	respond := func(decision wireproto.ApprovalDecision, feedback string) {
		b.emit(&wireproto.ApprovalResponse{RequestID: req.ID, Response: decision, Feedback: feedback})
	}
	b.ask(req.ID, req, background, func(f *wireproto.Frame) {
		var a wireproto.ApprovalAnswer
		if f.Error != nil || json.Unmarshal(f.Result, &a) != nil {
			a = wireproto.ApprovalAnswer{Response: wireproto.Reject}
		}
		var id string
		ok := false
		switch a.Response {
		case wireproto.Approve:
			id, ok = p.pick("allow_once")
		case wireproto.ApproveForSession:
			id, ok = p.pick("allow_always", "allow_once")
		default:
			a.Response = wireproto.Reject
			id, ok = p.pick("reject_once")
		}
		if !ok {
			b.nobody(p)
		} else {
			b.selected(p, id)
		}
		respond(a.Response, a.Feedback)
		if a.Response == wireproto.Reject && a.Feedback != "" {
			b.lost("feedback", "The action is rejected, but the model does not read why: "+b.backend()+" takes no feedback.")
		}
	}, func() {
		b.nobody(p)
		respond(wireproto.Reject, "")
	})
}

// lost tells the client that a part of its answer could not be handed on.
func (b *Conn) lost(what, text string) {
	b.emit(&wireproto.Notification{
		ID: b.newID("note"), Category: "bridge", Type: "bridge." + what + "_lost", SourceKind: "bridge", SourceID: b.session,
		Title: "Not handed on: " + what, Body: text, Severity: "warning", CreatedAt: float64(time.Now().UnixMilli()) / 1000,
		Payload: map[string]json.RawMessage{},
	})
}

// reviewPlan shows a plan and asks what to do with it: by a question, as kimi-cli does for a client
// that supports plan mode, else by an approval.
func (b *Conn) reviewPlan(p *permission) {
	text := textOf(blocksOf(p.Call.Content))
	show := &wireproto.PlanDisplay{Content: text}
	if rest, ok := strings.CutPrefix(text, "Plan saved to: "); ok {
		show.FilePath, show.Content, _ = strings.Cut(rest, "\n\n")
		if i := strings.LastIndex(show.Content, "Requesting approval to "); i >= 0 {
			show.Content = show.Content[:i]
		}
	}
	b.emit(show)
	if b.set.mode == "auto" { // nobody is there
		id, _ := p.pick("allow_once")
		b.selected(p, id)
		return
	}
	if b.caps.SupportsQuestion && b.caps.SupportsPlanMode {
		q := wireproto.QuestionItem{Question: "Approve this plan", Header: "Plan"}
		for _, o := range p.Options {
			q.Options = append(q.Options, wireproto.QuestionOption{Label: o.Name})
		}
		req := &wireproto.QuestionRequest{ID: b.newID("question"), ToolCallID: p.Call.ID, Questions: []wireproto.QuestionItem{q}}
		b.ask(req.ID, req, false, func(f *wireproto.Frame) {
			answer := answersOf(f)[q.Question]
			for _, o := range p.Options {
				if o.Name == answer {
					b.selected(p, o.ID)
					return
				}
			}
			if answer == "" {
				b.nobody(p)
				return
			}
			b.selected(p, "plan_revise")
			b.lost("feedback", "The plan goes back, but the model does not read why: "+b.backend()+" takes no feedback.")
		}, func() { b.nobody(p) })
		return
	}
	kind := "foreground_turn"
	req := &wireproto.ApprovalRequest{
		ID: b.newID("approval"), ToolCallID: p.Call.ID, Sender: p.Call.Title, SourceKind: &kind,
		Action: "exit plan mode", Description: "Leave plan mode and carry out the plan",
		Display: wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: show.Content}},
	}
	respond := func(d wireproto.ApprovalDecision) {
		b.emit(&wireproto.ApprovalResponse{RequestID: req.ID, Response: d})
	}
	b.ask(req.ID, req, false, func(f *wireproto.Frame) {
		var a wireproto.ApprovalAnswer
		if f.Error == nil && json.Unmarshal(f.Result, &a) == nil && (a.Response == wireproto.Approve || a.Response == wireproto.ApproveForSession) {
			id, _ := p.pick("allow_once")
			b.selected(p, id)
			respond(a.Response)
			return
		}
		b.selected(p, "plan_revise")
		respond(wireproto.Reject)
	}, func() { b.nobody(p); respond(wireproto.Reject) })
}
