//go:build unix

package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// agentCall returns the script line of a call that starts a subagent.
func agentCall(id string, background bool) string {
	return clienttest.ToolCall(id, "Agent", agentArgs(background))
}

func agentArgs(background bool) map[string]any {
	return map[string]any{"description": "some work", "prompt": "do the subtask", "subagent_type": "coder", "run_in_background": background}
}

// The messages and requests of a subagent carry the subagent's id and type.
func TestBackendsSubagent(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t,
			say("text: delegating", agentCall("ag", false), "usage: output=1"),
			say("text: within", b.run("sub", "touch by-sub"), "usage: output=100"), say(summary, "usage: output=1000"),
			say("text: done", "usage: output=10"),
		)
		s := e2eStart(t, ctx, opts)
		turn, err := s.Prompt(ctx, "delegate")
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		msgs, err := e2eRead(turn, func(m wireproto.Message) {
			r, ok := m.(*client.ApprovalRequest)
			if !ok {
				return
			}
			asked++
			if r.AgentID == nil || *r.AgentID == "" || r.SubagentType == nil || *r.SubagentType != "coder" || r.SourceKind == nil || *r.SourceKind != "foreground_turn" {
				t.Errorf("request %+v", r.ApprovalRequest)
			}
			e2eSame(t, "shown", wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Language: "bash", Command: "touch by-sub"}}, r.Display)
			checkSubagentCall(t, b, r, "touch by-sub")
			if err := r.Approve(); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if asked != 1 || !wasRun(t, opts, "by-sub") {
			t.Errorf("asked %d times, carried out: %v", asked, wasRun(t, opts, "by-sub"))
		}
		var within []wireproto.Message
		for _, e := range e2eOf[*wireproto.SubagentEvent](msgs) {
			if e.ParentToolCallID == nil || callID(*e.ParentToolCallID) != "ag" || e.AgentID == nil || e.SubagentType == nil || *e.SubagentType != "coder" {
				t.Errorf("event %+v", e)
			}
			within = append(within, e.Event)
		}
		var said []string
		for _, p := range e2eOf[*wireproto.TextPart](within) {
			said = append(said, p.Text)
		}
		e2eSame(t, "said by the subagent", []string{"within", strings.TrimSpace(strings.TrimPrefix(summary, "text: "))}, said)
		if calls := e2eOf[*wireproto.ToolCall](within); len(calls) != 1 || callID(calls[0].ID) != "sub" || calls[0].Function.Name != b.shell {
			t.Errorf("calls of the subagent: %+v", calls)
		}
		if r := resultOf(t, within, "sub"); r.IsError {
			t.Errorf("result of the subagent's call: %+v", r)
		}
		if n := len(e2eOf[*wireproto.StepBegin](within)); n != 2 {
			t.Errorf("%d steps of the subagent, want 2", n)
		}
		result, err := turn.Result()
		if err != nil {
			t.Error(err)
		}
		e2eSame(t, "result", &client.TurnResult{Status: wireproto.StatusFinished, Steps: 2, Text: "done", Usage: wireproto.TokenUsage{Output: 1111}}, result)
		e2eSame(t, "usage of the session", 1111, s.Status().Usage.Output)
	})
}

// A background agent asks for approval while no turn runs. OnMessage gets the request.
func TestBackendsApprovalOutside(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		for name, approve := range map[string]bool{"approved": true, "left": false} {
			t.Run(name, func(t *testing.T) {
				idle := make(chan struct{}) // closed when the turn is over
				api := newModelAPI(t, func(r modelRequest) string {
					results := r.says("tool", "")
					switch {
					case r.says("user", "do the subtask") && !results:
						select {
						case <-idle:
						case <-ctx.Done():
						}
						return toolDelta("sub", b.shell, map[string]string{"command": "touch " + name})
					case r.says("user", "do the subtask"):
						return textDelta(strings.TrimPrefix(summary, "text: "))
					case !results:
						return toolDelta("ag", "Agent", agentArgs(true))
					}
					return textDelta("started")
				})
				opts := b.at(t, api.url)
				asked, answered := make(chan *client.ApprovalRequest, 8), make(chan *wireproto.ApprovalResponse, 8)
				opts.OnMessage = func(m wireproto.Message) {
					switch m := m.(type) {
					case *client.ApprovalRequest:
						checkSubagentCall(t, b, m, "touch "+name)
						if approve {
							if err := m.Approve(); err != nil {
								t.Error(err)
							}
						}
						asked <- m
					case *wireproto.ApprovalResponse:
						answered <- m
					}
				}
				s := liveSession(t, ctx, opts)
				msgs := finished(t, ctx, s, "go", "started")
				if n := len(e2eOf[*client.ApprovalRequest](msgs)); n > 0 {
					t.Fatalf("%d requests came within the turn", n)
				}
				close(idle)
				r := recv(t, ctx, "the request", asked)
				if callID(r.ToolCallID) != "sub" || r.SourceKind == nil || *r.SourceKind != "background_agent" || r.AgentID == nil || r.Sender != b.shell ||
					!strings.Contains(r.Description, "touch "+name) {
					t.Errorf("request %+v", r.ApprovalRequest)
				}
				response := recv(t, ctx, "the response", answered)
				if want := map[bool]wireproto.ApprovalDecision{true: wireproto.Approve, false: wireproto.Reject}[approve]; response.Response != want || response.RequestID != r.ID {
					t.Errorf("response %+v, want %s", response, want)
				}
				e2eIs(t, "another answer", r.Approve(), client.ErrAnswered)
				if approve {
					eventually(t, time.Minute, func() bool { return wasRun(t, opts, name) }, func() string { return "it was not carried out" })
				} else if closed(t, s); wasRun(t, opts, name) {
					t.Error("a call whose request was not answered is carried out")
				}
			})
		}
	})
}
