package acpbridge

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// answersOf reads the answers to a question, nil for none.
func answersOf(f *wireproto.Frame) map[string]string {
	var a wireproto.QuestionAnswer
	if f.Error != nil || json.Unmarshal(f.Result, &a) != nil {
		return nil
	}
	return a.Answers
}

// form is the schema of elicitation/create, and what the tool was called with.
type form struct {
	CallID  string `json:"toolCallId"`
	Message string `json:"message"`
	Schema  struct {
		Properties map[string]struct {
			Type        string       `json:"type"`
			Title       string       `json:"title"`
			Description string       `json:"description"`
			OneOf       []formOption `json:"oneOf"`
			Items       struct {
				AnyOf []formOption `json:"anyOf"`
			} `json:"items"`
		} `json:"properties"`
	} `json:"requestedSchema"`
}

type formOption struct {
	Const       string `json:"const"`
	Description string `json:"description"`
}

// questions returns what the form asks. Its message holds the texts, a line each; the call's
// arguments, where they are known, hold them one by one.
func (f *form) questions(call *toolCallState) []wireproto.QuestionItem {
	var args struct {
		Questions []struct {
			Question string `json:"question"`
		} `json:"questions"`
	}
	if call != nil {
		json.Unmarshal([]byte(call.args), &args)
	}
	texts := strings.Split(f.Message, "\n")
	if n := len(f.Schema.Properties); len(args.Questions) == n {
		texts = nil
		for _, q := range args.Questions {
			texts = append(texts, q.Question)
		}
	} else if n == 1 {
		texts = []string{f.Message}
	}
	var list []wireproto.QuestionItem
	for i := range len(f.Schema.Properties) {
		p := f.Schema.Properties[fmt.Sprintf("q%d", i)]
		q := wireproto.QuestionItem{Header: p.Title, Body: p.Description, MultiSelect: p.Type == "array", Question: p.Title}
		if i < len(texts) {
			q.Question = texts[i]
		}
		if q.Header == q.Question {
			q.Header = ""
		}
		for _, o := range append(p.OneOf, p.Items.AnyOf...) {
			q.Options = append(q.Options, wireproto.QuestionOption{Label: o.Const, Description: o.Description})
		}
		list = append(list, q)
	}
	return list
}

// elicitation handles the questions of a tool.
func (b *Conn) elicitation(m *message) {
	var f form
	dismiss := func() { b.acp.answer(m.ID, map[string]string{"action": "decline"}) }
	if json.Unmarshal(m.Params, &f) != nil || !b.caps.SupportsQuestion || len(f.Schema.Properties) == 0 {
		dismiss()
		return
	}
	var call *toolCallState
	if b.turn != nil {
		call = b.turn.calls[f.CallID]
	}
	req := &wireproto.QuestionRequest{ID: b.newID("question"), ToolCallID: f.CallID, Questions: f.questions(call)}
	b.ask(req.ID, req, b.turn == nil, func(frame *wireproto.Frame) {
		answers := answersOf(frame)
		content := make(map[string]any)
		var free []string
		for i, q := range req.Questions {
			answer, ok := answers[q.Question]
			if !ok || answer == "" {
				continue
			}
			labels, ok := labelsIn(answer, q.Options)
			switch {
			case !ok || !q.MultiSelect && len(labels) != 1:
				free = append(free, q.Question)
			case q.MultiSelect:
				content[fmt.Sprintf("q%d", i)] = labels
			default:
				content[fmt.Sprintf("q%d", i)] = labels[0]
			}
		}
		if len(content) == 0 {
			dismiss()
		} else {
			b.acp.answer(m.ID, map[string]any{"action": "accept", "content": content})
		}
		if free != nil {
			b.lost("answer", b.backend()+" takes the labels of options alone as answers; not answered: "+strings.Join(free, " "))
		}
	}, dismiss)
}

// labelsIn splits an answer into labels of options, which ", " joins. It reports false if there is
// anything else in it.
func labelsIn(answer string, options []wireproto.QuestionOption) ([]string, bool) {
	if answer == "" {
		return nil, true
	}
	for _, o := range options {
		rest, ok := strings.CutPrefix(answer, o.Label)
		if !ok || o.Label == "" {
			continue
		}
		if rest == "" {
			return []string{o.Label}, true
		}
		if rest, ok = strings.CutPrefix(rest, ", "); !ok {
			continue
		}
		if more, ok := labelsIn(rest, options); ok && len(more) > 0 {
			return append([]string{o.Label}, more...), true
		}
	}
	return nil, false
}
