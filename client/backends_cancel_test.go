//go:build unix

package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A turn can be cancelled in each phase and by each way. The session stays usable.
func TestBackendsCancel(t *testing.T) {
	needProc(t)
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		var approval *client.ApprovalRequest
		var question *client.QuestionRequest
		running, ended := make(chan struct{}, 1), make(chan error, 1)
		nap := uniqueSleep(300)
		over := func(t *testing.T, err error, done <-chan struct{}) {
			t.Helper()
			recv(t, ctx, "the request's end", done)
			if !errors.Is(err, client.ErrAnswered) && !errors.Is(err, client.ErrNoTurn) {
				t.Errorf("an answer after the end: %v, want ErrAnswered or ErrNoTurn", err)
			}
		}
		phases := []struct {
			name, script string
			at           func(*testing.T, wireproto.Message) bool
			after        func(t *testing.T, way string, msgs []wireproto.Message)
		}{
			{
				name: "streaming", script: "text: some\nhang:",
				at: func(t *testing.T, m wireproto.Message) bool {
					text, ok := m.(*wireproto.TextPart)
					return ok && text.Text == "some"
				},
			},
			{
				name: "approval waits", script: b.run("no", "touch no"),
				at: func(t *testing.T, m wireproto.Message) (ok bool) {
					approval, ok = m.(*client.ApprovalRequest)
					return ok
				},
				after: func(t *testing.T, _ string, msgs []wireproto.Message) {
					over(t, approval.Approve(), approval.Done())
				},
			},
			{
				name: "question waits", script: clienttest.ToolCall("q", "AskUserQuestion", oneQuestion),
				at: func(t *testing.T, m wireproto.Message) (ok bool) {
					question, ok = m.(*client.QuestionRequest)
					return ok
				},
				after: func(t *testing.T, _ string, msgs []wireproto.Message) {
					over(t, question.Answer(map[string]string{"Colour?": "Red"}), question.Done())
				},
			},
			{
				// kimi closes the input of a command when it has started it. A cancel before this can leave the command of kimi-cli running.
				name: "shell runs", script: b.run("nap", "cat; exec sleep "+nap),
				at: func(t *testing.T, m wireproto.Message) bool {
					r, ok := m.(*client.ApprovalRequest)
					if ok {
						if err := r.Approve(); err != nil {
							t.Error(err)
						}
						asleep(t, nap)
					}
					return ok
				},
				after: func(t *testing.T, _ string, msgs []wireproto.Message) {
					eventually(t, 20*time.Second, func() bool { return len(sleeping(nap)) == 0 }, func() string { return "the sleep runs on" })
				},
			},
			{
				name: "Go tool runs", script: clienttest.ToolCall("wait", b.tool("wait"), noInput{}),
				at: func(t *testing.T, m wireproto.Message) bool {
					_, ok := m.(*wireproto.ToolCallRequest)
					if ok {
						recv(t, ctx, "the tool's start", running)
					}
					return ok
				},
				after: func(t *testing.T, way string, msgs []wireproto.Message) {
					cause := recv(t, ctx, "the tool's end", ended)
					if want := map[string]error{"ctx": errEnough}[way]; want != nil {
						e2eIs(t, "the tool's ctx", cause, want)
					} else {
						e2eIs(t, "the tool's ctx", cause, client.ErrCancelled)
					}
				},
			},
		}
		var scripts []string
		for _, ph := range phases {
			for range waysToCancel {
				scripts = append(scripts, ph.script, "text: after "+ph.name)
			}
		}
		opts, model := b.model(t, scripts...)
		opts.SupportsQuestion = true
		opts.Tools = []client.Tool{mustTool(client.NewTool("wait", "", func(ctx context.Context, _ noInput) (string, error) {
			running <- struct{}{}
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return "", ctx.Err()
		}))}
		s := e2eStart(t, ctx, opts)
		for _, ph := range phases {
			for _, way := range waysToCancel {
				t.Run(ph.name+" by "+way, func(t *testing.T) {
					msgs := cancelTurn(t, ctx, s, "begin", way, func(m wireproto.Message) bool { return ph.at(t, m) })
					if ph.after != nil {
						ph.after(t, way, msgs)
					}
					e2eText(t, ctx, s, "next", "after "+ph.name)
				})
			}
		}
		if wasRun(t, opts, "no") {
			t.Error("what was not approved is carried out")
		}
		if n := len(model.Requests()); n != len(scripts) {
			t.Errorf("%d calls of the model, want %d", n, len(scripts))
		}
	})
}

// A steer that a cancelled turn has not taken up does not run by itself, and does not hold up the next turn. If the
// model gets it with the next turn, a SteerInput says so.
func TestBackendsCancelSteered(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, "text: a\nhang:", "hang:", "text: done", "text: done", "text: done")
		outside := make(chan wireproto.Message, 100)
		opts.OnMessage = func(m wireproto.Message) { outside <- m }
		s := e2eStart(t, ctx, opts)
		turn, err := s.Prompt(ctx, "go")
		if err != nil {
			t.Fatal(err)
		}
		steered := 0
		for msg, err := range turn.Messages() {
			if err != nil {
				break
			}
			if _, ok := msg.(*wireproto.SteerInput); ok {
				steered++
			}
			if _, ok := msg.(*wireproto.TextPart); !ok {
				continue
			}
			if err := s.Steer(ctx, "zebra"); err != nil {
				t.Fatal(err)
			}
			if err := turn.Cancel(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := turn.Result(); !errors.Is(err, client.ErrCancelled) {
			t.Errorf("the turn: %v", err)
		}
		for range 3 { // the call of a turn that was aborted may have used a script
			within, stop := context.WithTimeout(ctx, 20*time.Second)
			next, err := s.Prompt(within, "next")
			if err != nil {
				t.Fatal(err)
			}
			for msg, err := range next.Messages() {
				if _, ok := msg.(*wireproto.SteerInput); ok && err == nil {
					steered++
				}
			}
			result, err := next.Result()
			stop()
			if err != nil || result.Text != "done" {
				continue
			}
			for len(outside) > 0 {
				if _, ok := (<-outside).(*wireproto.SteerInput); ok {
					steered++
				}
			}
			requests := model.Requests()
			if got := strings.Count(string(requests[len(requests)-1]), "zebra"); got != steered {
				t.Errorf("the model gets the steer %d times, and %d times a SteerInput says so", got, steered)
			}
			return
		}
		t.Errorf("no turn after it ends; the model was asked %d times", len(model.Requests()))
	})
}
