//go:build unix

package client_test

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A session ends while one command runs and another runs in the background. No process and no goroutine is left, and
// another session can continue the conversation.
func TestBackendsEnd(t *testing.T) {
	needProc(t)
	noLeaks(t)
	for _, b := range backends {
		for _, tt := range []struct {
			name string
			end  func(*testing.T, *client.Session)
			want func(*testing.T, error)
		}{
			{
				"killed",
				func(t *testing.T, s *client.Session) {
					if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				},
				func(t *testing.T, err error) {
					var exit *client.ProcessError
					if !errors.As(err, &exit) || exit.Signal != "killed" || !strings.Contains(err.Error(), "ResumeSession") {
						t.Errorf("the turn: %v, want a ProcessError with the signal", err)
					}
				},
			},
			{
				"closed",
				func(t *testing.T, s *client.Session) { closed(t, s) },
				func(t *testing.T, err error) { e2eIs(t, "the turn", err, client.ErrClosed) },
			},
		} {
			t.Run(b.name+" "+tt.name, func(t *testing.T) {
				ctx := withinCtx(t)
				bg, fg := uniqueSleep(301), uniqueSleep(300)
				opts, model := b.model(t, "text: hello", say(
					clienttest.ToolCall("bg", b.shell, map[string]any{"command": "sleep " + bg, "run_in_background": true, "description": "a nap"}), b.run("fg", "sleep "+fg),
				), "text: again")
				opts.Yolo, opts.StopGrace = true, 30*time.Second
				s := liveSession(t, ctx, opts)
				finished(t, ctx, s, "remember me", "hello")
				turn, err := s.Prompt(ctx, "take a nap")
				if err != nil {
					t.Fatal(err)
				}
				loop, step := make(chan error, 1), make(chan struct{}, 9)
				go func() {
					_, err := e2eRead(turn, func(m wireproto.Message) {
						if _, ok := m.(*wireproto.StepBegin); ok {
							step <- struct{}{}
						}
					})
					loop <- err
				}()
				asleep(t, bg, fg)
				recv(t, ctx, "the step", step) // kimi may tell of the step after the command has begun
				tt.end(t, s)
				tt.want(t, recv(t, ctx, "the loop's end", loop))
				recv(t, ctx, "the session's end", s.Done())
				if result, _ := turn.Result(); result.Steps != 1 || result.Status != "" {
					t.Errorf("result %+v, want one step and no status", result)
				}
				if _, err := s.Prompt(ctx, "more"); err == nil {
					t.Error("a turn of a session that is over")
				}
				closed(t, s)
				noneLeft(t, root(opts))
				again := resumed(t, ctx, s.ID(), opts)
				finished(t, ctx, again, "go on", "again")
				if all := model.Requests(); len(all) != 3 || !strings.Contains(string(all[2]), "remember me") {
					t.Errorf("%d calls of the model, want 3 with what was said in the last: %.3000s", len(all), all[len(all)-1])
				}
				closed(t, again)
				noneLeft(t, root(opts))
				// noLeaks does not count the goroutines of the bridge.
				var stacks string
				eventually(t, 10*time.Second, func() bool {
					buf := make([]byte, 4<<20)
					stacks = string(buf[:runtime.Stack(buf, true)])
					return !strings.Contains(stacks, "internal/kimicode/")
				}, func() string { return "goroutines of the bridge are left:\n" + stacks })
			})
		}
	}
}
