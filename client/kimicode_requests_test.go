//go:build unix

package client_test

import (
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A model begins the numbers of its calls again in each message. So the call of a subagent may have the id of a call of
// the main agent. A request for approval must show the call of its own agent.
func TestKimiCodeSameCallID(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	asked := make(chan struct{}) // closed when the main agent has asked
	api := newModelAPI(t, func(r modelRequest) string {
		switch results := r.says("tool", ""); {
		case r.says("user", "do the subtask") && !results:
			select {
			case <-asked:
			case <-ctx.Done():
			}
			return toolDelta("Bash:0", "Bash", map[string]string{"command": "touch by-sub"})
		case r.says("user", "do the subtask"):
			return textDelta(strings.TrimPrefix(summary, "text: "))
		case !results:
			return toolDelta("Agent:0", "Agent", agentArgs(true))
		case r.says("tool", "by-main"):
			return textDelta("done")
		}
		return toolDelta("Bash:0", "Bash", map[string]string{"command": "touch by-main; echo by-main"})
	})
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = api.url
	s := e2eStart(t, ctx, opts)
	var mine *client.ApprovalRequest
	var others int
	msgs := e2eTurn(t, ctx, s, "go", func(m wireproto.Message) {
		r, ok := m.(*client.ApprovalRequest)
		if !ok {
			return
		}
		command := r.Display[0].(*wireproto.ShellDisplayBlock).Command
		if mine == nil {
			if r.AgentID != nil {
				t.Errorf("request %+v", r.ApprovalRequest)
			}
			mine = r
			r.Hold()
			e2eSame(t, "shown of the main agent's", "touch by-main; echo by-main", command)
			close(asked)
			return
		}
		others++
		if r.AgentID == nil || !strings.Contains(r.Description, "by-sub") {
			t.Errorf("request of the subagent's %+v", r.ApprovalRequest)
		}
		e2eSame(t, "shown of the subagent's", "touch by-sub", command)
		if err := r.Reject(""); err != nil {
			t.Error(err)
		}
		if err := mine.Approve(); err != nil {
			t.Error(err)
		}
	})
	if others != 1 || !wasRun(t, opts, "by-main") || wasRun(t, opts, "by-sub") {
		t.Errorf("the subagent has asked %d times; carried out: %v, %v; %v", others, wasRun(t, opts, "by-main"), wasRun(t, opts, "by-sub"), e2eTypes(msgs))
	}
}

// An answer may be one label, several labels, other words, or labels and other words.
func TestKimiCodeQuestionLabels(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	question := func(id, text string, multi bool, labels ...string) map[string]any {
		var options []map[string]string
		for _, l := range labels {
			options = append(options, map[string]string{"label": l})
		}
		return map[string]any{"question": text, "multi_select": multi, "options": options}
	}
	ask := func(id string, questions ...map[string]any) string {
		return clienttest.ToolCall(id, "AskUserQuestion", map[string]any{"questions": questions})
	}
	opts := clienttest.KimiCode(t,
		ask("q-1", question("q", "Which?", true, "Red, dark", "Red", "Blue")), "text: on",
		ask("q-2", question("q", "One\nor two?", false, "a", "b"), question("r", "What else?", true, "c", "d")), "text: on",
		ask("q-3", question("q", "Alone?", false, "yes", "no")), "text: on",
	)
	opts.SupportsQuestion = true
	s := e2eStart(t, ctx, opts)
	for _, tt := range []struct {
		id      string
		answers map[string]string
		read    map[string]string
	}{
		{"q-1", map[string]string{"Which?": "Red, dark, Blue"}, map[string]string{"Which?": "Red, dark, Blue"}},
		{"q-2", map[string]string{"One\nor two?": "b", "What else?": "c, and more"}, map[string]string{"One\nor two?": "b", "What else?": "c, and more"}},
		{"q-3", map[string]string{"Alone?": "perhaps"}, map[string]string{"Alone?": "perhaps"}},
	} {
		t.Run(tt.id, func(t *testing.T) {
			msgs := e2eTurn(t, ctx, s, "go", func(m wireproto.Message) {
				if r, ok := m.(*client.QuestionRequest); ok {
					if err := r.Answer(tt.answers); err != nil {
						t.Error(err)
					}
				}
			})
			e2eSame(t, "what the model reads", tt.read, answersRead(t, msgs, tt.id))
			if notes := e2eOf[*wireproto.Notification](msgs); len(notes) > 0 {
				t.Errorf("notification %+v", notes[0])
			}
		})
	}
}

// An answer after the end of the turn has no effect, not even on the next turn.
func TestKimiCodeLateAnswer(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, codeBash("l", "touch late"), codeBash("l", "touch next"), "text: on")
	s := e2eStart(t, ctx, opts)
	var late *client.ApprovalRequest
	cancelTurn(t, ctx, s, "ask", "Cancel", func(m wireproto.Message) (ok bool) {
		if late, ok = m.(*client.ApprovalRequest); ok {
			late.Hold()
		}
		return ok
	})
	msgs := e2eTurn(t, ctx, s, "ask again", func(m wireproto.Message) {
		if r, ok := m.(*client.ApprovalRequest); ok {
			if err := late.Approve(); err == nil {
				t.Error("an answer to a request whose turn is over: no error")
			}
			if err := r.Reject(""); err != nil {
				t.Error(err)
			}
		}
	})
	if n := len(e2eOf[*client.ApprovalRequest](msgs)); n != 1 || wasRun(t, opts, "late") || wasRun(t, opts, "next") {
		t.Errorf("asked %d times, carried out: %v, %v", n, wasRun(t, opts, "late"), wasRun(t, opts, "next"))
	}
}
