//go:build unix

package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

func TestBackendsSessions(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, say("think: hm", "text: one"), "text: two", say("text: I look.", b.run("look", "echo 42")), "text: three", "text: four")
		opts.Approve = client.ApproveAll
		if list, err := client.ListSessions(opts); len(list) != 0 || err != nil {
			t.Errorf("sessions of a new work dir: %v, %v", list, err)
		}
		for _, id := range []string{"", "no-such-session"} {
			s, err := client.ResumeSession(ctx, id, opts)
			if s != nil {
				s.Close()
			}
			e2eIs(t, "ResumeSession "+id, err, client.ErrSessionNotFound)
		}

		first := liveSession(t, ctx, opts)
		finished(t, ctx, first, "first prompt", "one")
		closed(t, first)
		named := *opts
		named.SessionID = "my-own.id"
		second := liveSession(t, ctx, &named)
		finished(t, ctx, second, "second prompt", "two")
		closed(t, second)
		e2eSame(t, "sessions", []client.SessionInfo{
			{ID: second.ID(), WorkDir: opts.WorkDir, Title: "second prompt"}, {ID: first.ID(), WorkDir: opts.WorkDir, Title: "first prompt"},
		}, listed(t, opts))

		// Resuming by id keeps the history, and the history reaches the model.
		again := resumed(t, ctx, first.ID(), opts)
		if again.ID() != first.ID() {
			t.Errorf("resumed %q, got %q", first.ID(), again.ID())
		}
		finished(t, ctx, again, "third prompt", "three")
		var replayed []wireproto.Message
		for m, err := range again.Replay(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *wireproto.StatusUpdate: // only kimi-cli sends it
				continue
			case *wireproto.ToolCall:
				m.ID = callID(m.ID)
			case *wireproto.ToolResult:
				m.ToolCallID, m.ReturnValue = callID(m.ToolCallID), wireproto.ToolReturnValue{Output: m.ReturnValue.Output}
			}
			replayed = append(replayed, m)
		}
		prompt := func(text string) *wireproto.TurnBegin {
			return &wireproto.TurnBegin{UserInput: wireproto.Content{Text: text}}
		}
		e2eSame(t, "replay", []wireproto.Message{
			prompt("first prompt"), &wireproto.StepBegin{N: 1}, &wireproto.ThinkPart{Think: "hm"}, &wireproto.TextPart{Text: "one"}, &wireproto.TurnEnd{},
			prompt("third prompt"), &wireproto.StepBegin{N: 1}, &wireproto.TextPart{Text: "I look."},
			&wireproto.ToolCall{Type: "function", ID: "look", Function: wireproto.ToolCallFunction{Name: b.shell, Arguments: ptr(`{"command":"echo 42"}`)}},
			&wireproto.ToolResult{ToolCallID: "look", ReturnValue: wireproto.ToolReturnValue{Output: wireproto.Content{Text: "42\n"}}},
			&wireproto.StepBegin{N: 2}, &wireproto.TextPart{Text: "three"}, &wireproto.TurnEnd{},
		}, replayed)
		closed(t, again)
		last := string(model.Requests()[2])
		for want, is := range map[string]bool{"first prompt": true, `one`: true, "second prompt": false} {
			if strings.Contains(last, want) != is {
				t.Errorf("that the model reads %q is %v: %.3000s", want, !is, last)
			}
		}

		// The newest session is the session of the last turn. Another session is found by the id that the program
		// chose.
		newest := resumed(t, ctx, "", opts)
		if newest.ID() != first.ID() {
			t.Errorf("the newest is %q, want %q", newest.ID(), first.ID())
		}
		closed(t, newest)
		own := resumed(t, ctx, "my-own.id", opts)
		if own.ID() != second.ID() {
			t.Errorf("by its own name %q, want %q", own.ID(), second.ID())
		}
		finished(t, ctx, own, "fourth prompt", "four")
		e2eSame(t, "history", []string{"> second prompt", "two", "> fourth prompt", "four"}, history(t, ctx, own))
	})
}

// With Yolo and AFK, actions run without a question. A session that is resumed without them asks, or is refused.
func TestBackendsYolo(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		for _, tt := range []struct {
			name string
			set  func(*client.Options, bool)
			kept bool // the session stores the mode
		}{
			{"Yolo", func(o *client.Options, on bool) { o.Yolo = on }, false},
			{"AFK", func(o *client.Options, on bool) { o.AFK = on }, b.keepsAFK},
		} {
			t.Run(tt.name, func(t *testing.T) {
				opts, _ := b.model(t, b.run("first", "touch first"), "text: done", b.run("second", "touch second"), "text: done")
				tt.set(opts, true)
				s := liveSession(t, ctx, opts)
				msgs := finished(t, ctx, s, "go", "done")
				if n := len(e2eOf[*client.ApprovalRequest](msgs)); n > 0 || !wasRun(t, opts, "first") {
					t.Errorf("asked %d times, carried out: %v", n, wasRun(t, opts, "first"))
				}
				closed(t, s)
				tt.set(opts, false)
				if tt.kept {
					_, err := client.ResumeSession(ctx, s.ID(), opts)
					e2eIs(t, "resumed", err, client.ErrUnasked)
					return
				}
				s = resumed(t, ctx, s.ID(), opts)
				msgs, _, err := playTurn(t, ctx, s, "go on") // it does not answer the request
				if err != nil {
					t.Fatal(err)
				}
				n := len(e2eOf[*client.ApprovalRequest](msgs))
				if n != 1 || wasRun(t, opts, "second") {
					t.Errorf("asked %d times, carried out: %v", n, wasRun(t, opts, "second"))
				}
			})
		}
	})
}
