package translator

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// requests has the requests to the client.
type requests struct {
	open  map[string]*request // the requests without an answer, by id
	asked map[string]bool     // the approvals that were handled, by the server's id
	last  int                 // the number of the last request
}

// request waits for the client's answer.
type request struct {
	n          int  // its number in the order of sending
	background bool // it outlives the turn
	answer     func(f *wireproto.Frame)
	drop       func() // acts as if the client had refused
	id         string // the server's id; "" if it has none
}

// ask sends a request to the client.
func (t *Translator) ask(id, serverID string, m wireproto.Message, background bool, answer func(*wireproto.Frame), drop func()) {
	if t.requests.open[id] != nil { // the client could not tell the two requests apart
		t.noteDrift("request", "two requests have the id "+id)
		drop()
		return
	}
	t.requests.last++
	t.requests.open[id] = &request{t.requests.last, background, answer, drop, serverID}
	t.do(Send{&wireproto.Frame{ID: id, Method: wireproto.MethodRequest, Message: m}})
}

// answered handles an answer of the client. A late or a second answer has no effect.
func (t *Translator) answered(f *wireproto.Frame) {
	if r := t.requests.open[f.ID]; r != nil {
		delete(t.requests.open, f.ID)
		r.answer(f)
	}
}

// gone forgets the request that has this id on the server. It reports whether there was one.
func (r *requests) gone(serverID string) bool {
	for id, q := range r.open {
		if q.id == serverID && serverID != "" {
			delete(r.open, id)
			return true
		}
	}
	return false
}

// dropRequests gives up the requests that the client has not answered, in the order of sending. It keeps those that
// outlive the turn, unless background is true.
func (t *Translator) dropRequests(background bool) {
	ids := slices.Collect(maps.Keys(t.requests.open))
	slices.SortFunc(ids, func(a, b string) int { return t.requests.open[a].n - t.requests.open[b].n })
	for _, id := range ids {
		if r := t.requests.open[id]; r != nil && (background || !r.background) {
			delete(t.requests.open, id)
			r.drop()
		}
	}
}

// approval asks the client whether a call may run.
func (t *Translator) approval(p *api.Approval) {
	if t.ignored(p.Common) { // the approval belongs to an unwanted prompt, which is being aborted
		t.decide(p.ID, api.ApprovalAnswer{Decision: api.Rejected}, nil)
		return
	}
	if p.ID == "" {
		t.noteDrift(api.TypeApprovalRequested, "it has no id, and cannot be answered")
		return
	}
	if t.requests.asked[p.ID] {
		return // the other event of the approval came before, or this one came before the connection was lost
	}
	t.requests.asked[p.ID] = true
	a := t.agentOf(p.AgentID)
	var d api.Display
	json.Unmarshal(p.Display, &d) // an error does not matter: the call itself says what runs
	if p.ToolName == "" || d.Kind == "" && (p.Input == nil || p.ToolCallID == "") {
		t.noteDrift(api.TypeApprovalRequested, "it does not say what is to be approved, and was rejected")
		t.decide(p.ID, api.ApprovalAnswer{Decision: api.Rejected}, nil)
		return
	}
	if d.Kind == "" || p.ToolCallID == "" {
		t.noteDrift(api.TypeApprovalRequested, "it does not show what is to be approved")
	}
	if p.ToolCallID != "" && p.Input != nil {
		t.settle(a, p.ToolCallID, p.ToolName, p.Input).display = t.blocks(p.Display)
	}
	switch {
	case t.tools.own[p.ToolName] != "": // the program itself offers this tool
		t.decide(p.ID, api.ApprovalAnswer{Decision: api.Approved}, nil)
		return
	case d.Kind == "plan_review":
		t.reviewPlan(p, &d)
		return
	}
	req := &wireproto.ApprovalRequest{
		ID: p.ID, ToolCallID: p.ToolCallID, Sender: t.toolName(p.ToolName),
		Action: actionOf(p.ToolName), Description: p.Action, Display: t.blocks(p.Display),
	}
	background := t.describe(a, req)
	t.ask(p.ID, p.ID, req, background, func(f *wireproto.Frame) {
		var answer wireproto.ApprovalAnswer
		if f.Error != nil || json.Unmarshal(f.Result, &answer) != nil {
			answer = wireproto.ApprovalAnswer{Response: wireproto.Reject}
		}
		decision := api.ApprovalAnswer{Decision: api.Rejected, Feedback: answer.Feedback}
		switch answer.Response {
		case wireproto.Approve:
			decision = api.ApprovalAnswer{Decision: api.Approved}
		case wireproto.ApproveForSession:
			decision = api.ApprovalAnswer{Decision: api.Approved, Scope: "session"}
		}
		t.approvalAnswered(p.ID, &answer)
		t.decide(p.ID, decision, nil)
	}, func() {
		t.emit(&wireproto.ApprovalResponse{RequestID: p.ID, Response: wireproto.Reject})
		if t.turn == nil || !t.turn.cancelled { // otherwise the abort ends the approval
			t.decide(p.ID, api.ApprovalAnswer{Decision: api.Rejected}, nil)
		}
	})
}

// pending asks about an approval that is known only from the server's list or from the shorter event.
func (t *Translator) pending(p *api.PendingApproval) {
	t.approval(&api.Approval{
		Common: api.Common{AgentID: p.AgentID, TurnID: p.TurnID}, ID: p.ID, ToolCallID: p.ToolCallID,
		ToolName: p.ToolName, Action: p.Action, Display: p.Display,
	})
}

// describe writes into a request which agent asks, and reports whether the request outlives the turn.
func (t *Translator) describe(a *agent, req *wireproto.ApprovalRequest) (background bool) {
	kind := "foreground_turn"
	background = t.turn == nil
	if !a.main() {
		req.AgentID, req.SubagentType, req.SourceID = &a.id, &a.kind, &a.id
		req.SourceDescription = &a.description
		background = a.background
	}
	if background {
		kind = "background_agent"
	}
	req.SourceKind = &kind
	return background
}

// approvalAnswered emits how the client has answered.
func (t *Translator) approvalAnswered(id string, a *wireproto.ApprovalAnswer) {
	response := a.Response
	if response != wireproto.Approve && response != wireproto.ApproveForSession {
		response = wireproto.Reject
	}
	t.emit(&wireproto.ApprovalResponse{RequestID: id, Response: response, Feedback: a.Feedback})
}

// approvalGone reports an approval that another client has answered, or that has ended with its turn.
func (t *Translator) approvalGone(id string, d api.Decision, feedback string) {
	if !t.requests.gone(id) {
		return // this client has answered it
	}
	response := wireproto.Reject
	if d == api.Approved {
		response = wireproto.Approve
	}
	t.emit(&wireproto.ApprovalResponse{RequestID: id, Response: response, Feedback: feedback})
}

// decide answers an approval on the server. An approval that the server no longer has needs no answer.
func (t *Translator) decide(id string, a api.ApprovalAnswer, then func()) {
	t.call("POST", t.of("/approvals/"+url.PathEscape(id)), a, true, func(_ json.RawMessage, err error) {
		if e, ok := err.(*api.Error); ok && e.Code != api.CodeNoApproval && e.Code != api.CodeResolved {
			t.notify("answer_lost", "error", "An answer did not reach Kimi Code", e.Error())
		}
		if then != nil {
			then()
		}
	})
}

// actionOf names what a tool does. It uses the words of kimi-cli for tools that kimi-cli has, too.
func actionOf(tool string) string {
	switch tool {
	case "Bash":
		return "run command"
	case "Write", "Edit":
		return "edit file"
	}
	return "use " + tool
}

// The labels of a plan's review.
const (
	planApprove = "Approve"
	planReject  = "Reject"
	planExit    = "Reject and Exit"
)

// reviewPlan shows a plan and asks what to do with it. It asks a question, as kimi-cli does, if the client supports
// plan mode, and otherwise for an approval.
func (t *Translator) reviewPlan(p *api.Approval, d *api.Display) {
	t.emit(&wireproto.PlanDisplay{Content: d.Plan, FilePath: d.Path})
	if t.set.Permission == api.Auto {
		t.decide(p.ID, api.ApprovalAnswer{Decision: api.Approved}, nil)
		return
	}
	reject := func() {
		if t.turn == nil || !t.turn.cancelled {
			t.decide(p.ID, api.ApprovalAnswer{Decision: api.Cancelled}, nil)
		}
	}
	if t.client.caps.SupportsQuestion && t.client.caps.SupportsPlanMode {
		q := wireproto.QuestionItem{
			Question: "Approve this plan", Header: "Plan",
			OtherLabel: "Revise", OtherDescription: "Plan mode stays on, and the agent changes the plan as you say",
		}
		if len(d.Options) == 0 {
			q.Options = append(q.Options, wireproto.QuestionOption{Label: planApprove, Description: "Plan mode ends, and the agent carries the plan out"})
		}
		for _, o := range d.Options {
			q.Options = append(q.Options, wireproto.QuestionOption{Label: o.Label, Description: o.Description})
		}
		q.Options = append(q.Options,
			wireproto.QuestionOption{Label: planReject, Description: "The turn ends, and plan mode stays on"},
			wireproto.QuestionOption{Label: planExit, Description: "The turn ends, and plan mode is off"})
		req := &wireproto.QuestionRequest{ID: p.ID, ToolCallID: p.ToolCallID, Questions: []wireproto.QuestionItem{q}}
		t.ask(p.ID, p.ID, req, false, func(f *wireproto.Frame) {
			answer := answersOf(f)[q.Question]
			decision := api.ApprovalAnswer{Decision: api.Rejected, Feedback: answer} // any other text asks for another plan
			switch {
			case answer == "":
				decision = api.ApprovalAnswer{Decision: api.Cancelled}
			case answer == planExit:
				decision = api.ApprovalAnswer{Decision: api.Rejected, SelectedLabel: planExit}
			case answer == planReject:
				decision = api.ApprovalAnswer{Decision: api.Rejected}
			case answer == planApprove && len(d.Options) == 0:
				decision = api.ApprovalAnswer{Decision: api.Approved}
			default:
				for _, o := range d.Options {
					if o.Label == answer {
						decision = api.ApprovalAnswer{Decision: api.Approved, SelectedLabel: answer}
					}
				}
			}
			t.decide(p.ID, decision, nil)
		}, reject)
		return
	}
	req := &wireproto.ApprovalRequest{
		ID: p.ID, ToolCallID: p.ToolCallID, Sender: p.ToolName, Action: "exit plan mode",
		Description: "Leave plan mode and carry out the plan",
		Display:     wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: d.Plan}},
	}
	background := t.describe(t.agentOf(p.AgentID), req)
	t.ask(p.ID, p.ID, req, background, func(f *wireproto.Frame) {
		var answer wireproto.ApprovalAnswer
		if f.Error != nil || json.Unmarshal(f.Result, &answer) != nil {
			answer = wireproto.ApprovalAnswer{Response: wireproto.Reject}
		}
		decision := api.ApprovalAnswer{Decision: api.Rejected, Feedback: answer.Feedback}
		if answer.Response == wireproto.Approve || answer.Response == wireproto.ApproveForSession {
			decision = api.ApprovalAnswer{Decision: api.Approved}
		}
		t.approvalAnswered(p.ID, &answer)
		t.decide(p.ID, decision, nil)
	}, func() {
		t.emit(&wireproto.ApprovalResponse{RequestID: p.ID, Response: wireproto.Reject})
		reject()
	})
}

// question passes a question of the agent to the client.
func (t *Translator) question(p *api.Question) {
	path := t.of("/questions/" + url.PathEscape(p.ID))
	send := func(path string, body any) {
		t.call("POST", path, body, true, func(_ json.RawMessage, err error) {
			if e, ok := err.(*api.Error); ok && e.Code != api.CodeDismissed && e.Code != api.CodeNoQuestion && e.Code != api.CodeResolved {
				t.notify("answer_lost", "error", "An answer did not reach Kimi Code", e.Error())
			}
		})
	}
	dismiss := func() { send(path+":dismiss", struct{}{}) }
	if !t.client.caps.SupportsQuestion || t.ignored(api.Common{AgentID: p.AgentID, TurnID: p.TurnID}) {
		dismiss()
		return
	}
	for _, r := range t.requests.open {
		if r.id == p.ID {
			return
		}
	}
	req := &wireproto.QuestionRequest{ID: p.ID, ToolCallID: p.ToolCallID}
	for _, q := range p.Questions {
		item := wireproto.QuestionItem{Question: q.Question, Header: q.Header, Body: q.Body, MultiSelect: q.MultiSelect}
		for _, o := range q.Options {
			item.Options = append(item.Options, wireproto.QuestionOption{Label: o.Label, Description: o.Description})
		}
		req.Questions = append(req.Questions, item)
	}
	a := t.agentOf(p.AgentID)
	t.ask(p.ID, p.ID, req, t.turn == nil || a.background, func(f *wireproto.Frame) {
		answers := answersOf(f)
		body := api.QuestionAnswers{Answers: make(map[string]api.QuestionAnswer)}
		for i, q := range p.Questions {
			if answer := answers[q.Question]; answer != "" {
				body.Answers[q.ID] = answerTo(&p.Questions[i], answer)
			}
		}
		if len(body.Answers) == 0 {
			dismiss()
			return
		}
		send(path, body)
	}, func() {
		if t.turn == nil || !t.turn.cancelled {
			dismiss()
		}
	})
}

// answersOf reads the client's answers to questions. It returns nil if there are none.
func answersOf(f *wireproto.Frame) map[string]string {
	var a wireproto.QuestionAnswer
	if f.Error != nil || json.Unmarshal(f.Result, &a) != nil {
		return nil
	}
	return a.Answers
}

// answerTo converts an answer to the options that it names, or to free text.
func answerTo(q *api.QuestionItem, answer string) api.QuestionAnswer {
	ids, rest := optionsIn(q, answer)
	switch {
	case len(ids) == 1 && rest == "" && !q.MultiSelect:
		return api.QuestionAnswer{Kind: "single", OptionID: ids[0]}
	case len(ids) > 0 && rest == "" && q.MultiSelect:
		return api.QuestionAnswer{Kind: "multi", OptionIDs: ids}
	case len(ids) > 0 && q.MultiSelect:
		return api.QuestionAnswer{Kind: "multi_with_other", OptionIDs: ids, OtherText: rest}
	}
	return api.QuestionAnswer{Kind: "other", Text: answer}
}

// optionsIn reads the labels, joined by ", ", with which an answer begins. It returns the ids of their options, and the
// rest of the answer.
func optionsIn(q *api.QuestionItem, answer string) (ids []string, rest string) {
	for _, o := range q.Options {
		if o.Label == answer {
			return []string{o.ID}, ""
		}
	}
	for _, o := range q.Options {
		if tail, ok := strings.CutPrefix(answer, o.Label+", "); ok && o.Label != "" {
			more, rest := optionsIn(q, tail)
			return append([]string{o.ID}, more...), rest
		}
	}
	return nil, answer
}
