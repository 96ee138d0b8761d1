package scenarios

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// ask returns the script line of a call that asks two questions.
func ask(id string) string {
	option := func(label, description string) map[string]string {
		return map[string]string{"label": label, "description": description}
	}
	return call(id, "AskUserQuestion", map[string]any{"questions": []any{
		map[string]any{"question": "Which language?", "header": "Lang", "options": []any{option("Go", "fast"), option("Python", "short")}},
		map[string]any{"question": "Which parts?", "header": "Parts", "multi_select": true,
			"options": []any{option("tests", ""), option("docs", ""), option("code", "")}},
	}})
}

func (p *Play) questions(answer func(*client.QuestionRequest) error) func(wireproto.Message) {
	return func(m wireproto.Message) {
		if q, ok := m.(*client.QuestionRequest); ok {
			p.NoError(answer(q))
		}
	}
}

func questionScenarios() []Scenario {
	supported := func(p *Play) { p.Options.SupportsQuestion = true }
	return []Scenario{
		{
			Name: "question", Shows: "two questions answered, one with several choices",
			Scripts: []string{ask("q1"), "text: Go it is."},
			Options: supported,
			Run: func(p *Play) {
				list := p.Turn("Ask me", p.questions(func(q *client.QuestionRequest) error {
					p.Check(len(q.Questions) == 2 && q.Questions[1].MultiSelect, "questions", q.Questions)
					return q.Answer(map[string]string{"Which language?": "Go", "Which parts?": "tests, docs"})
				}))
				p.Order(list, "ToolCall QuestionRequest ToolResult StepBegin ContentPart TurnEnd")
				p.Result(list, "q1", false, "tests, docs")
			},
		},
		{
			Name: "question-dismissed", Shows: "questions dismissed by the handler",
			Scripts: []string{ask("q1"), "text: Then I choose."},
			Options: func(p *Play) {
				p.Options.Answer = func(_ context.Context, q *client.QuestionRequest) error { return q.Dismiss() }
			},
			Run: func(p *Play) { p.Result(p.Turn("Ask me", nil), "q1", false, "dismissed") },
		},
		{
			Name: "question-unsupported", Shows: "questions to a client that does not support questions: kimi itself answers the model",
			Scripts: []string{ask("q1"), "text: Then I choose."},
			Run: func(p *Play) {
				list := p.Turn("Ask me", nil)
				p.Without(list, "QuestionRequest")
				p.Result(list, "q1", true, "does not support")
			},
		},
		{
			Name: "afk", Shows: "afk mode: kimi asks for no approval and asks no question",
			Scripts: []string{lines(ask("q1"), shell("s1", "echo 1")), "text: Done alone."},
			Options: func(p *Play) { p.Options.AFK = true },
			Run: func(p *Play) {
				list := p.Turn("Work alone", nil)
				p.Without(list, "QuestionRequest ApprovalRequest")
				p.Result(list, "q1", false, "No user is present")
				p.Result(list, "s1", false, "1")
			},
		},
	}
}

func planScenarios() []Scenario {
	return []Scenario{
		{
			Name: "set-plan-mode", Shows: "the client turns plan mode on and off while no turn runs",
			Run: func(p *Play) {
				for _, on := range []bool{true, false} {
					got, err := p.Session.SetPlanMode(p.Ctx, on)
					p.NoError(err)
					p.Check(got == on && p.Session.Status().PlanMode == on, "plan mode", got, p.Session.Status())
				}
			},
		},
		{
			Name: "plan", Shows: "the model enters plan mode and shows a plan; the client sends it back once, and then approves it with one of its options",
			Scripts: []string{
				call("p1", "EnterPlanMode", struct{}{}),
				call("p2", "ExitPlanMode", struct{}{}),
				"text: I need a plan file.",
				call("p3", "ExitPlanMode", struct{}{}),
				call("p4", "ExitPlanMode", map[string]any{"options": []any{
					map[string]string{"label": "Fast", "description": "a day"}, map[string]string{"label": "Slow", "description": "a week"}}}),
				"text: Off I go.",
			},
			Options: func(p *Play) { p.Options.SupportsQuestion, p.Options.SupportsPlanMode = true, true },
			Run: func(p *Play) {
				p.writePlan(p.enterPlan())
				list := p.choose("Show it", "Make it shorter", "Slow")
				p.Order(list, "ToolCall PlanDisplay QuestionRequest ToolResult PlanDisplay QuestionRequest ToolResult TurnEnd")
				p.Result(list, "p3", false, "Make it shorter")
				p.Result(list, "p4", false, "Slow")
				p.Check(!p.Session.Status().PlanMode, "plan mode is off")
			},
		},
		{
			Name: "plan-rejected", Shows: "plans that the client dismisses, rejects, and rejects together with plan mode",
			Scripts: []string{
				call("p1", "EnterPlanMode", struct{}{}),
				call("p2", "ExitPlanMode", struct{}{}),
				"text: I need a plan file.",
				call("p3", "ExitPlanMode", struct{}{}), "text: Dismissed.",
				call("p4", "ExitPlanMode", struct{}{}), call("p5", "ExitPlanMode", struct{}{}),
			},
			Options: func(p *Play) { p.Options.SupportsQuestion, p.Options.SupportsPlanMode = true, true },
			Run: func(p *Play) {
				p.writePlan(p.enterPlan())
				p.Result(p.Turn("Show it", nil), "p3", false, "dismissed")
				p.Result(p.choose("Show it", "Reject"), "p4", true, "Stay in plan mode")
				p.choose("Again", "Reject and Exit")
			},
		},
	}
}

// choose runs a turn and answers its questions with these labels or texts, in this order.
func (p *Play) choose(prompt string, answers ...string) Messages {
	list := p.Turn(prompt, p.questions(func(q *client.QuestionRequest) error {
		if len(answers) == 0 {
			return errors.New("a question too many")
		}
		answer := answers[0]
		answers = answers[1:]
		return q.Answer(map[string]string{q.Questions[0].Question: answer})
	}))
	p.Check(len(answers) == 0, "all was asked", answers)
	return list
}

// enterPlan runs a turn that enters plan mode. It returns the file in which kimi expects the plan.
func (p *Play) enterPlan() (file string) {
	list := p.choose("Plan it", "Yes")
	p.Order(list, "ToolCall QuestionRequest ToolResult StatusUpdate")
	p.Check(p.Session.Status().PlanMode, "plan mode is on")
	message := p.Result(list, "p2", true, "No plan file found").Message
	_, rest, _ := strings.Cut(message, "Write your plan to ")
	file, _, _ = strings.Cut(rest, " first")
	return file
}

// writePlan writes the plan while the real kimi runs. The model cannot do this by a tool, because its script is written
// before kimi chooses the file.
func (p *Play) writePlan(file string) {
	if p.Session.PID() != 0 {
		p.NoError(os.WriteFile(file, []byte("# Plan\n1. Do it.\n"), 0o600))
	}
}
