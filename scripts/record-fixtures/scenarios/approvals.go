package scenarios

import (
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// answering returns a function that calls answer with each approval request.
func (p *Play) answering(answer func(*client.ApprovalRequest) error) func(wireproto.Message) {
	return func(m wireproto.Message) {
		if a, ok := m.(*client.ApprovalRequest); ok {
			p.NoError(answer(a))
		}
	}
}

func approve(a *client.ApprovalRequest) error { return a.Approve() }

// decisions returns the decisions about approvals that the agent reports, in order.
func decisions(list Messages) (d []wireproto.ApprovalDecision) {
	for _, r := range only[*wireproto.ApprovalResponse](list) {
		d = append(d, r.Response)
	}
	return d
}

func approvalScenarios() []Scenario {
	return []Scenario{
		{
			Name: "approve", Shows: "a request with a shell block, approved in the loop",
			Scripts: []string{lines("text: I look. ", shell("s1", "echo 1")), "text: Done."},
			Run: func(p *Play) {
				list := p.Turn("Run echo", p.answering(approve))
				p.Order(list, "ToolCall ApprovalRequest ApprovalResponse ToolResult StepBegin ContentPart TurnEnd")
				a := one[client.ApprovalRequest](p, list)
				block, ok := a.Display[0].(*wireproto.ShellDisplayBlock)
				p.Check(a.Action == "run command" && ok && block.Command == "echo 1", "request", a.ApprovalRequest)
				p.Result(list, "s1", false, "1")
			},
		},
		{
			Name: "approve-for-session", Shows: "three requests wait, and one is approved for the session: kimi then resolves the others itself, and does not ask again",
			Scripts: []string{lines(shell("s1", "echo 1"), shell("s2", "echo 2"), shell("s3", "echo 3")), shell("s4", "echo 4"), "text: Done."},
			Run: func(p *Play) {
				var pending []*client.ApprovalRequest
				list := p.Turn("Run echoes", p.answering(func(a *client.ApprovalRequest) error {
					a.Hold()
					if pending = append(pending, a); len(pending) < 3 {
						return nil
					}
					return pending[0].ApproveForSession()
				}))
				p.Check(len(pending) == 3, "three requests", list.types())
				d := decisions(list)
				p.Check(len(d) == 3 && (d[0] == wireproto.ApproveForSession || d[0] == wireproto.Approve), "decisions", d)
				p.Result(list, "s4", false, "4")
			},
		},
		{
			Name: "reject", Shows: "a request that is rejected without feedback: the turn ends as finished",
			Scripts: []string{shell("s1", "echo 1")},
			Run: func(p *Play) {
				list := p.Turn("Run echo", p.answering(func(a *client.ApprovalRequest) error { return a.Reject("") }))
				p.Order(list, "ApprovalRequest ApprovalResponse ToolResult TurnEnd")
				p.Result(list, "s1", true, "")
			},
		},
		{
			Name: "reject-feedback", Shows: "a request that the handler rejects with feedback: the model goes on",
			Scripts: []string{shell("s1", "rm -r ."), "text: Sorry."},
			Options: func(p *Play) { p.Options.Approve = client.RejectAll },
			Run: func(p *Play) {
				list := p.Turn("Remove all", nil)
				p.Order(list, "ApprovalRequest ApprovalResponse ToolResult StepBegin ContentPart TurnEnd")
				r := one[wireproto.ApprovalResponse](p, list)
				p.Check(r.Response == wireproto.Reject && r.Feedback != "", "feedback", r)
			},
		},
		{
			Name: "approval-unanswered", Shows: "a request that the loop does not answer, so the client rejects it",
			Scripts: []string{shell("s1", "echo 1")},
			Run: func(p *Play) {
				list := p.Turn("Run echo", nil)
				d := decisions(list)
				p.Check(len(d) == 1 && d[0] == wireproto.Reject, "rejected", d)
			},
		},
	}
}
