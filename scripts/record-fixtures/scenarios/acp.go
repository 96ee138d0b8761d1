package scenarios

import (
	"errors"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// ACP returns the scenarios of old recordings of Kimi Code 2.1.0 over ACP. The tests replay them, because users have
// such recordings. New ones cannot be made.
func ACP() []Scenario {
	list := []Scenario{
		{
			Name: "reject", Shows: "rejections: with feedback, about which a Notification says that no one reads it, and without an answer; the turn goes on",
			Run: func(p *Play) {
				n := 0
				list := p.Turn("Run echoes", p.answering(func(a *client.ApprovalRequest) error {
					if n++; n == 1 {
						return a.Reject("not now")
					}
					return nil
				}))
				d := decisions(list)
				p.Check(len(d) == 2 && d[0] == wireproto.Reject && d[1] == wireproto.Reject, "decisions", d)
				note := one[wireproto.Notification](p, list)
				p.Check(note.Type == "bridge.feedback_lost", "notification", note)
				p.Result(list, "0:s1", true, "")
				p.Says(list, "Sorry.")
			},
		},
		{
			Name: "subagent", Shows: "a subagent: its events from the journal, its approval at the top level",
			Run: func(p *Play) {
				list := p.Turn("Delegate", p.answering(approve))
				a := one[client.ApprovalRequest](p, list)
				p.Check(a.AgentID != nil && a.SubagentType != nil && *a.SubagentType == "coder", "approval", a.ApprovalRequest)
				inner := make(map[string]bool)
				for _, e := range only[*wireproto.SubagentEvent](list) {
					inner[e.Event.MessageType()] = true
				}
				for _, name := range []string{"StepBegin", "ContentPart", "ToolCall", "ToolResult", "StatusUpdate"} {
					p.Check(inner[name], "within the subagent: "+name, inner)
				}
				p.Result(list, "0:a1", false, "It printed sub.")
				p.Says(list, "It is done.")
			},
		},
		{
			Name: "unsupported", Shows: "what Kimi Code cannot do: steer, audio in a prompt; the session goes on",
			Run: func(p *Play) {
				list := p.Turn("Run echo", p.answering(func(a *client.ApprovalRequest) error {
					err := p.Session.Steer(p.Ctx, "wait")
					p.Check(errors.Is(err, client.ErrUnsupported) && strings.Contains(err.Error(), "Kimi Code 2"), "steer", err)
					return a.Approve()
				}))
				p.Result(list, "0:s1", false, "1")
				p.Ends(client.ErrUnsupported, "Listen", nil, &wireproto.AudioURLPart{AudioURL: wireproto.MediaURL{URL: "data:audio/mp3;base64,AAAA"}})
			},
		},
	}
	for i := range list {
		list[i].KimiCode = true
	}
	return list
}
