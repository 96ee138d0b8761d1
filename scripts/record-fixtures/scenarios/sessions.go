package scenarios

import (
	"context"
	"os"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// before runs a session with the kimi of the rig before the recording. The scenario resumes this session.
func (r *Rig) before(ctx context.Context, id string, options func(*Play), run func(*Play)) error {
	o := *r.Options
	o.SessionID = id
	return (&Scenario{Name: "before", Options: options, Run: run}).Play(ctx, &o)
}

func sessionScenarios() []Scenario {
	const id = "00000000-0000-4000-8000-000000000001"
	return []Scenario{
		{
			Name: "replay", Shows: "the history of a stored session: text comes in one piece, a call of a Go tool and a question come as old requests",
			Resume:  id,
			Scripts: []string{lines("think: hm", "text: Hel", "text: lo", call("g1", "upper", word{"old"})), ask("q1"), "text: Bye.", "text: New."},
			Prepare: func(ctx context.Context, r *Rig) error {
				return r.before(ctx, id, func(p *Play) {
					p.Options.SupportsQuestion = true
					p.Options.Tools = []client.Tool{tool("upper", func(_ context.Context, in word) (string, error) { return in.Word + "!", nil })}
				}, func(p *Play) {
					p.Turn("Old prompt", p.questions(func(q *client.QuestionRequest) error {
						return q.Answer(map[string]string{"Which language?": "Go"})
					}))
				})
			},
			Run: func(p *Play) {
				var list Messages
				for m, err := range p.Session.Replay(p.Ctx) {
					p.NoError(err)
					list = append(list, m)
				}
				p.Order(list, "TurnBegin StepBegin ContentPart ContentPart ToolCall ToolCallRequest ToolResult QuestionRequest ToolResult ContentPart TurnEnd")
				p.Says(list, "HelloBye.")
				one[wireproto.QuestionRequest](p, list)
				p.Without(list, "ApprovalRequest")
			},
		},
		{
			Name: "resume", Shows: "a session that is continued after a crash: its history has no TurnEnd; then a new turn runs",
			Resume:  id,
			Scripts: []string{"text: One.", shell("s1", "echo 1")},
			Prepare: func(ctx context.Context, r *Rig) error {
				err := r.before(ctx, id, nil, func(p *Play) {
					p.Turn("Say one", nil)
					turn, err := p.Session.Prompt(p.Ctx, "Run")
					if err != nil {
						p.NoError(err)
						return
					}
					for m := range turn.Messages() {
						if is[*client.ApprovalRequest](m) {
							agent, err := os.FindProcess(p.Session.PID())
							p.NoError(err)
							p.NoError(agent.Kill())
						}
					}
				})
				if err != nil {
					return err
				}
				return r.script("scripted", []string{"text: Here I am again."})
			},
			Run: func(p *Play) {
				var list Messages
				for m, err := range p.Session.Replay(p.Ctx) {
					p.NoError(err)
					list = append(list, m)
				}
				p.Order(list, "TurnBegin StepBegin ContentPart TurnEnd TurnBegin")
				p.Check(len(only[*wireproto.TurnEnd](list)) == 1, "the second turn has no end", list.types())
				p.Says(p.Turn("Are you there?", nil), "Here I am again.")
			},
		},
	}
}
