//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// answersRead returns the answers that the model reads in the result of a question.
func answersRead(t *testing.T, msgs []wireproto.Message, id string) map[string]string {
	t.Helper()
	var result struct {
		Answers map[string]string `json:"answers"`
	}
	text := resultOf(t, msgs, id).Output.String()
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		t.Errorf("the result of %s is %q: %v", id, text, err)
	}
	return result.Answers
}

// The loop answers questions in each possible way.
func TestBackendsQuestions(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		type answers = map[string]string
		tests := []struct {
			name      string
			multi     bool
			questions []string
			answers   answers // nil dismisses
			leave     bool    // gives no answer
			want      answers
		}{
			{name: "one", questions: []string{"Colour?"}, answers: answers{"Colour?": "Blue"}, want: answers{"Colour?": "Blue"}},
			{name: "several chosen", multi: true, questions: []string{"Colours?"}, answers: answers{"Colours?": "Red, Blue"}, want: answers{"Colours?": "Red, Blue"}},
			{name: "several asked", questions: []string{"Colour?", "Which one?"}, answers: answers{"Colour?": "Red", "Which one?": "Blue"},
				want: answers{"Colour?": "Red", "Which one?": "Blue"}},
			{name: "one of two answered", questions: []string{"Colour?", "Which one?"}, answers: answers{"Which one?": "Red"}, want: answers{"Which one?": "Red"}},
			{name: "dismissed", questions: []string{"Colour?"}, want: answers{}},
			{name: "left unanswered", questions: []string{"Colour?"}, leave: true, want: answers{}},
			{name: "in other words", questions: []string{"Colour?"}, answers: answers{"Colour?": "green, like grass"}, want: b.inOtherWords("Colour?", "green, like grass")},
		}
		var scripts []string
		for _, tt := range tests {
			scripts = append(scripts, ask("q "+tt.name, tt.multi, tt.questions...), "text: on")
		}
		opts := b.options(t, scripts...)
		opts.SupportsQuestion = true
		s := e2eStart(t, ctx, opts)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var want []wireproto.QuestionItem
				for _, q := range tt.questions {
					want = append(want, wireproto.QuestionItem{
						Question: q, Header: "Head", MultiSelect: tt.multi,
						Options: []wireproto.QuestionOption{{Label: "Red", Description: "warm"}, {Label: "Blue"}},
					})
				}
				asked := 0
				msgs := e2eTurn(t, ctx, s, tt.name, func(m wireproto.Message) {
					r, ok := m.(*client.QuestionRequest)
					if !ok {
						return
					}
					asked++
					e2eSame(t, "questions", want, r.Questions)
					var err error
					switch {
					case tt.leave:
					case tt.answers == nil:
						err = r.Dismiss()
					default:
						err = r.Answer(tt.answers)
					}
					if err != nil {
						t.Error(err)
					}
				})
				if asked != 1 {
					t.Errorf("asked %d times, want once", asked)
				}
				e2eSame(t, "what the model reads", tt.want, answersRead(t, msgs, "q "+tt.name))
				lost := e2eOf[*wireproto.Notification](msgs)
				if (len(lost) > 0) != (len(tt.want) < len(tt.answers)) || len(lost) > 0 && lost[0].Type != "bridge.answer_lost" {
					t.Errorf("notifications %+v", lost)
				}
			})
		}
	})
}

var oneQuestion = map[string]any{"questions": []any{map[string]any{
	"question": "Colour?", "options": []any{map[string]string{"label": "Red"}, map[string]string{"label": "Blue"}},
}}}

// planPath finds the path of the plan file in a request to the model.
var planPath = regexp.MustCompile(`Plan file: (/[^ "\\]+\.md)`)

// Options.Plan and SetPlanMode turn plan mode on. kimi shows the plan and asks about it, and Options.Answer answers.
func TestBackendsPlanMode(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		const plan = "# The plan\n\nFirst look, then leap.\n"
		call := 0
		api := newModelAPI(t, func(r modelRequest) string {
			var all strings.Builder
			for _, m := range r.body.Messages {
				all.Write(m.Content)
			}
			call++
			switch call {
			case 1:
				return toolDelta("q", "AskUserQuestion", oneQuestion)
			case 3:
				found := planPath.FindAllStringSubmatch(all.String(), -1)
				if found == nil {
					return textDelta("nobody says where the plan belongs")
				}
				return toolDelta("w", b.write, map[string]string{"path": found[len(found)-1][1], "content": plan})
			case 4, 6:
				return toolDelta(fmt.Sprintf("out-%d", call), "ExitPlanMode", struct{}{})
			}
			return textDelta(fmt.Sprintf("said in call %d", call))
		})
		opts := b.at(t, api.url)
		opts.Plan, opts.SupportsPlanMode = true, true
		var asked []string
		accept := false
		opts.Answer = func(_ context.Context, r *client.QuestionRequest) error {
			q := r.Questions[0]
			if asked = append(asked, q.Question); q.Question == "Colour?" {
				return r.Answer(map[string]string{q.Question: "Blue"})
			}
			if !accept {
				return r.Dismiss()
			}
			return r.Answer(map[string]string{q.Question: q.Options[0].Label})
		}
		s := e2eStart(t, ctx, opts)
		msgs := e2eTurn(t, ctx, s, "ask me", nil)
		e2eSame(t, "what the model reads", map[string]string{"Colour?": "Blue"}, answersRead(t, msgs, "q"))
		if live, plain := e2eOf[*client.QuestionRequest](msgs), e2eOf[*wireproto.QuestionRequest](msgs); len(live) != 0 || len(plain) != 1 {
			t.Errorf("%d live and %d plain requests in the stream, want 0 and 1", len(live), len(plain))
		}
		if !s.Status().PlanMode {
			t.Error("Options.Plan has not put plan mode on")
		}
		for _, accept = range []bool{false, true} {
			msgs = e2eTurn(t, ctx, s, "plan it", nil)
			shown := e2eOf[*wireproto.PlanDisplay](msgs)
			if len(shown) != 1 || shown[0].Content != plan || !exists(shown[0].FilePath) {
				t.Errorf("the plan, shown: %+v", shown)
			}
			if s.Status().PlanMode == accept {
				t.Errorf("plan accepted: %v, plan mode %v", accept, s.Status().PlanMode)
			}
		}
		e2eSame(t, "asked", []string{"Colour?", "Approve this plan", "Approve this plan"}, asked)
		for _, on := range []bool{true, false} {
			if got, err := s.SetPlanMode(ctx, on); got != on || err != nil || s.Status().PlanMode != on {
				t.Errorf("SetPlanMode(%v): %v, %v; status %v", on, got, err, s.Status().PlanMode)
			}
		}
	})
}
