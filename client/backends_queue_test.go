//go:build unix

package client_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Turns run one after the other. A turn that is withdrawn never runs. The end of the process ends the turns that wait.
func TestBackendsQueue(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, say("text: I look.", b.run("look", "echo it is $((40+2))")), "text: one", "text: two", "text: four", say("text: five", "hang:"))
		s := e2eStart(t, ctx, opts)
		first := queue(t, ctx, s, "first")
		second := queue(t, ctx, s, "second")
		third := queue(t, ctx, s, "withdrawn by now")
		var fourth *client.Turn
		msgs, err := e2eRead(first, func(m wireproto.Message) {
			r, ok := m.(*client.ApprovalRequest)
			if !ok {
				return
			}
			if err := third.Cancel(ctx); err != nil {
				t.Error(err)
			}
			fourth = queue(t, ctx, s, "the fourth prompt")
			if err := r.Approve(); err != nil {
				t.Error(err)
			}
		})
		if err != nil || resultOf(t, msgs, "look").Output.String() != "it is 42\n" {
			t.Errorf("the first turn: %v, %v", e2eTypes(msgs), err)
		}
		for turn, want := range map[*client.Turn]string{first: "one", second: "two", fourth: "four"} {
			if r, err := turn.Result(); err != nil || r.Text != want {
				t.Errorf("%+v, %v, want %q", r, err, want)
			}
		}
		if r, err := third.Result(); !errors.Is(err, client.ErrCancelled) || r.Steps != 0 {
			t.Errorf("the withdrawn turn: %+v, %v", r, err)
		}
		requests := model.Requests()
		if last := string(requests[len(requests)-1]); len(requests) != 4 || !strings.Contains(last, "the fourth prompt") || strings.Contains(last, "withdrawn by now") {
			t.Errorf("%d calls of the model, the last: %.3000s", len(requests), last)
		}

		running, waiting := queue(t, ctx, s, "fifth"), queue(t, ctx, s, "sixth")
		for m := range running.Messages() {
			if p, ok := m.(*wireproto.TextPart); ok && p.Text == "five" {
				if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				break
			}
		}
		r, err := waiting.Result()
		<-s.Done()
		if err == nil || r.Steps != 0 || !errors.Is(err, s.Err()) {
			t.Errorf("when kimi has been killed: %+v, %v, want %v", r, err, s.Err())
		}
	})
}
