package clienttest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// messages runs a turn, rejects all its requests, and returns its messages.
func messages(t *testing.T, s *client.Session) (list []wireproto.Message) {
	t.Helper()
	turn, err := s.Prompt(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range turn.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
		if a, ok := m.(*client.ApprovalRequest); ok {
			if err := a.Reject("not now"); err != nil {
				t.Error(err)
			}
		}
	}
	return list
}

// Send asks each kind of request, and sends the same messages as the methods of Turn do.
func TestAgentSendAsks(t *testing.T) {
	hooked := false
	tool, err := client.NewTool("add", "adds", func(_ context.Context, in struct{ A, B int }) (int, error) { return in.A + in.B, nil })
	if err != nil {
		t.Fatal(err)
	}
	sum := `{"A": 1, "B": 2}`
	question := []wireproto.QuestionItem{{Question: "Why?", Options: []wireproto.QuestionOption{{Label: "a"}, {Label: "b"}}}}
	questions := 0
	for name, test := range map[string]struct {
		turn func(*clienttest.Turn)
		want []string
	}{
		"approval": {
			func(turn *clienttest.Turn) { turn.Send(&wireproto.ApprovalRequest{Action: "run command"}) },
			[]string{"ToolCall", "ApprovalRequest", "ApprovalResponse", "ToolResult"},
		},
		"approval of a call": {
			func(turn *clienttest.Turn) {
				turn.Send(&wireproto.ToolCall{ID: "c", Function: wireproto.ToolCallFunction{Name: "Shell", Arguments: new(string)}})
				turn.Send(&wireproto.ApprovalRequest{ID: "a", ToolCallID: "c", Action: "run command"})
				turn.Send(&wireproto.ToolResult{ToolCallID: "c"})
			},
			[]string{"ToolCall", "ApprovalRequest", "ApprovalResponse", "ToolResult"},
		},
		"question": {
			func(turn *clienttest.Turn) { turn.Send(&wireproto.QuestionRequest{Questions: question}) },
			[]string{"QuestionRequest"},
		},
		"tool": {
			func(turn *clienttest.Turn) { turn.Send(&wireproto.ToolCallRequest{Name: "add", Arguments: &sum}) },
			[]string{"ToolCall", "ToolCallRequest", "ToolResult"},
		},
		"tool of a call": {
			func(turn *clienttest.Turn) {
				turn.Send(&wireproto.ToolCall{ID: "c", Function: wireproto.ToolCallFunction{Name: "add", Arguments: &sum}})
				turn.Send(&wireproto.ToolCallRequest{ID: "c", Name: "add", Arguments: &sum})
			},
			[]string{"ToolCall", "ToolCallRequest"},
		},
		"hook": {
			func(turn *clienttest.Turn) {
				turn.Send(&wireproto.HookRequest{SubscriptionID: "h", Event: "PreToolUse"})
			},
			[]string{"HookTriggered", "HookRequest", "HookResolved"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := session(t, &client.Options{
					Transport: clienttest.NewAgent(t, test.turn), WorkDir: t.TempDir(), Tools: []client.Tool{tool},
					Answer: func(_ context.Context, q *client.QuestionRequest) error {
						questions++
						return q.Answer(map[string]string{"Why?": "a"})
					},
					Hooks: []client.Hook{{ID: "h", Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
						hooked = true
						return client.Block("no"), nil
					}}},
				})
				var got []string
				for _, m := range messages(t, s) {
					switch m := m.(type) {
					case *wireproto.ApprovalResponse:
						if m.Response != wireproto.Reject || m.Feedback != "not now" {
							t.Errorf("%+v", m)
						}
					case *wireproto.ToolResult:
						if name == "tool" && m.ReturnValue.Output.String() != "3" {
							t.Errorf("%+v", m)
						}
					}
					switch m.MessageType() {
					case "TurnBegin", "StepBegin", "TurnEnd":
					default:
						got = append(got, m.MessageType())
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
	if questions != 1 || !hooked {
		t.Errorf("questions: %d, hook: %v", questions, hooked)
	}
}

func TestAgentApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		display := wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Language: "bash", Command: "rm x"}}
		s := session(t, &client.Options{WorkDir: t.TempDir(), Transport: clienttest.NewAgent(t, func(turn *clienttest.Turn) {
			r := wireproto.ApprovalRequest{Sender: "Bash", Action: "run command", Description: "Run it", Display: display}
			for range 2 { // two requests, with different IDs
				if got := turn.Approval(r, map[string]string{"command": "rm x"}); got.Response != wireproto.Reject || got.Feedback != "not now" {
					t.Errorf("answer: %+v", got)
				}
			}
		})})
		var call *wireproto.ToolCall
		asked, results := 0, 0
		for _, m := range messages(t, s) {
			switch m := m.(type) {
			case *wireproto.ToolCall:
				call = m
			case *client.ApprovalRequest:
				asked++
				if call == nil || m.ToolCallID != call.ID || call.Function.Name != "Bash" || *call.Function.Arguments != `{"command":"rm x"}` {
					t.Errorf("no call before %+v: %+v", m.ApprovalRequest, call)
				}
				if m.Sender != "Bash" || m.Description != "Run it" || *m.SourceKind != "foreground_turn" {
					t.Errorf("%+v", m.ApprovalRequest)
				}
				if diff := cmp.Diff(display, m.Display); diff != "" {
					t.Error(diff)
				}
			case *wireproto.ToolResult:
				results++
				if m.ToolCallID != call.ID || !m.ReturnValue.IsError || m.ReturnValue.Message != "The tool call is rejected by the user. User feedback: not now" {
					t.Errorf("%+v", m)
				}
			}
		}
		if asked != 2 || results != 2 {
			t.Errorf("asked %d times, %d results", asked, results)
		}
	})
}

// A request with the ID of a request that is open fails the test, and does not get the answer to the other request.
func TestAgentSameID(t *testing.T) {
	fake := &fakeT{t, make(chan string, 10)}
	asked, failed := make(chan struct{}), make(chan struct{})
	s := session(t, &client.Options{WorkDir: t.TempDir(), Transport: clienttest.NewAgent(fake, func(turn *clienttest.Turn) {
		r := wireproto.ApprovalRequest{ID: "same", ToolCallID: "c"}
		go func() {
			defer close(failed)
			<-asked
			turn.Send(&r)
		}()
		if got := turn.Approval(r, nil); got.Feedback != "once" {
			t.Errorf("answer: %+v", got)
		}
	})})
	turn, err := s.Prompt(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range turn.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := m.(*client.ApprovalRequest); ok {
			close(asked)
			<-failed
			if err := a.Reject("once"); err != nil {
				t.Error(err)
			}
		}
	}
	select {
	case got := <-fake.log:
		if !strings.Contains(got, "a request with the ID") || !strings.Contains(got, "same") {
			t.Errorf("complaint: %s", got)
		}
	default:
		t.Error("no complaint")
	}
}
