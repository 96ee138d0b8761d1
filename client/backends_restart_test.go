//go:build unix

package client_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// If kimi is killed in a turn, another process follows. The turn ends with the error. The next turn, which has waited,
// first reports the new process and then continues the conversation.
func TestBackendsRestart(t *testing.T) {
	needProc(t)
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		sleep := uniqueSleep(300)
		opts, model := b.model(t, "text: one", say(b.run("fg", "sleep "+sleep)))
		opts.Yolo, opts.Restart, opts.StopGrace = true, true, 30*time.Second
		s := liveSession(t, ctx, opts)
		finished(t, ctx, s, "remember me", "one")
		turn, err := s.Prompt(ctx, "sleep")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := e2eRead(turn, func(wireproto.Message) {})
			ended <- err
		}()
		asleep(t, sleep)
		model.Add("text: two", "text: three")
		queued, err := s.Queue(ctx, "the next")
		if err != nil {
			t.Fatal(err)
		}
		pid := s.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var exit *client.ProcessError
		if err := recv(t, ctx, "the turn's end", ended); !errors.As(err, &exit) || exit.Signal != "killed" {
			t.Errorf("the turn: %v", err)
		}
		var msgs []wireproto.Message
		for m, err := range queued.Messages() {
			if err != nil {
				t.Fatal(err)
			}
			msgs = append(msgs, m)
		}
		first, _ := msgs[0].(*wireproto.Notification)
		if first == nil || first.Type != client.NotificationRestarted || !strings.Contains(first.Body, "killed") {
			t.Errorf("the stream begins with %+v", msgs[0])
		}
		if result, err := queued.Result(); err != nil || result.Text != "two" {
			t.Errorf("the turn that has waited: %+v, %v", result, err)
		}
		for _, m := range finished(t, ctx, s, "once more", "three") {
			if n, ok := m.(*wireproto.Notification); ok && n.Type == client.NotificationRestarted {
				t.Error("it is told twice")
			}
		}
		if s.PID() == pid || s.Err() != nil {
			t.Errorf("process %d, error %v", s.PID(), s.Err())
		}
		requests := model.Requests()
		if last := string(requests[len(requests)-1]); len(requests) != 4 || !strings.Contains(last, "remember me") {
			t.Errorf("%d calls of the model, the last: %.3000s", len(requests), last)
		}
		closed(t, s)
		e2eIs(t, "the session", s.Err(), client.ErrClosed)
		noneLeft(t, root(opts))
	})
}

// If kimi ends while no turn runs, another process follows, also in a pool. If kimi ends again and again, none follows.
func TestBackendsRestartIdle(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t)
		opts.Yolo, opts.Restart = true, true
		p := pooled(t, opts, client.PoolOptions{Max: 1})
		s := taken(t, ctx, p)
		id := s.ID()
		model.Add("text: one")
		finished(t, ctx, s, "remember me", "one")
		kill := func() {
			t.Helper()
			pid := s.PID()
			syscall.Kill(pid, syscall.SIGKILL)
			eventually(t, time.Minute, func() bool { return s.PID() != pid || s.Err() != nil }, func() string { return "no process follows" })
		}
		kill()
		model.Add("text: two")
		finished(t, ctx, s, "go on", "two")
		if s.ID() != id {
			t.Errorf("the id is %q, was %q", s.ID(), id)
		}
		for range 4 {
			model.Add("text: waiting\nhang:")
			turn, err := s.Prompt(ctx, "wait")
			if err != nil {
				t.Fatal(err)
			}
			_, err = e2eRead(turn, func(m wireproto.Message) {
				if _, ok := m.(*wireproto.TextPart); ok {
					syscall.Kill(s.PID(), syscall.SIGKILL)
				}
			})
			var exit *client.ProcessError
			if !errors.As(err, &exit) {
				t.Fatalf("a turn: %v", err)
			}
		}
		recv(t, ctx, "the session's end", s.Done())
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), "in a row") {
			t.Errorf("the session: %v", err)
		}
		model.Add("text: three")
		finished(t, ctx, taken(t, ctx, p), "hello", "three")
	})
}
