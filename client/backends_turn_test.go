//go:build unix

package client_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

func TestBackendsTurns(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t,
			say("think: let me", "think:  see", "text: hel", "text: lo", "usage: input_other=10 output=2 input_cache_read=3"),
			say("text: I look.", b.run("look", "echo it is $((40+2))"), "usage: input_other=20 output=4"), say("text: I have looked.", "usage: input_other=40 output=8"),
			"text: a picture",
		)
		opts.SlashCommands = true
		s := e2eStart(t, ctx, opts)
		id := s.ID()
		if id == "" || s.PID() <= 0 || s.Model() != "scripted" {
			t.Errorf("before the first turn: id %q, PID %d, model %q", id, s.PID(), s.Model())
		}

		// A turn with text and thinking.
		turn, err := s.Prompt(ctx, "hello")
		if err != nil {
			t.Fatal(err)
		}
		msgs, err := e2eRead(turn, nil)
		if err != nil {
			t.Fatal(err)
		}
		types := slices.DeleteFunc(e2eTypes(msgs), func(s string) bool { return s == "StatusUpdate" })
		e2eSame(t, "types", []string{"TurnBegin", "StepBegin", "ContentPart", "TurnEnd"}, slices.Compact(types)) // Kimi Code joins the pieces of text that come within 16 ms
		var thinking, text string
		for _, p := range e2eOf[*wireproto.ThinkPart](msgs) {
			thinking += p.Think
		}
		for _, p := range e2eOf[*wireproto.TextPart](msgs) {
			text += p.Text
		}
		e2eSame(t, "thinking", "let me see", thinking)
		e2eSame(t, "text", "hello", text)
		result, err := turn.Result()
		if err != nil {
			t.Error(err)
		}
		first := wireproto.TokenUsage{InputOther: 10, Output: 2, InputCacheRead: 3}
		e2eSame(t, "result", &client.TurnResult{Status: wireproto.StatusFinished, Steps: 1, Usage: first, Text: "hello"}, result)
		eventually(t, time.Minute, func() bool { // Kimi Code tells the maximal size of the context only after the first turn
			st := s.Status()
			return st.ContextTokens > 0 && st.MaxContextTokens > 0 && st.ContextUsage > 0
		}, func() string { return fmt.Sprintf("status %+v", s.Status()) })
		e2eSame(t, "usage of the session", first, s.Status().Usage)

		// A second turn has two steps. No other turn can start while it runs.
		turn, err = s.Prompt(ctx, "look")
		if err != nil {
			t.Fatal(err)
		}
		msgs, err = e2eRead(turn, func(m wireproto.Message) {
			if r, ok := m.(*client.ApprovalRequest); ok {
				if _, err := s.Prompt(ctx, "me too"); err == nil {
					t.Error("a second turn beside the first")
				} else {
					e2eIs(t, "a second turn", err, client.ErrBusy)
				}
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := resultOf(t, msgs, "look"); got.IsError || got.Output.String() != "it is 42\n" {
			t.Errorf("result of the tool: %+v", got)
		}
		call := e2eOf[*wireproto.ToolCall](msgs)[0]
		if call.Function.Name != b.shell || callID(call.ID) != "look" {
			t.Errorf("call %+v", call)
		}
		if result, err = turn.Result(); err != nil {
			t.Error(err)
		}
		e2eSame(t, "result", &client.TurnResult{
			Status: wireproto.StatusFinished, Steps: 2, Usage: wireproto.TokenUsage{InputOther: 60, Output: 12}, Text: "I have looked.",
		}, result)
		e2eSame(t, "usage of the session", wireproto.TokenUsage{InputOther: 70, Output: 14, InputCacheRead: 3}, s.Status().Usage)
		for _, want := range []string{"let me see", "hello", "it is 42"} {
			if last := string(model.Requests()[2]); !strings.Contains(last, want) {
				t.Errorf("the model does not read %q in %.2000s", want, last)
			}
		}

		// A prompt with an image.
		const png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
		turn, err = s.Prompt(ctx, "what is it?", &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: png}})
		if err != nil {
			t.Fatal(err)
		}
		if result, err := turn.Result(); err != nil || result.Text != "a picture" {
			t.Errorf("%+v, %v", result, err)
		}
		if last := string(model.Requests()[3]); !strings.Contains(last, png) {
			t.Errorf("the model does not get the image: %.3000s", last)
		}

		// A slash command.
		if !slices.ContainsFunc(s.Server().SlashCommands, func(c wireproto.SlashCommand) bool { return c.Name == b.slash && c.Description != "" }) {
			t.Errorf("no command %s in %+v", b.slash, s.Server().SlashCommands)
		}
		if b.says != "" {
			if turn, err = s.Prompt(ctx, "/"+b.slash); err != nil {
				t.Fatal(err)
			}
			if result, err := turn.Result(); err != nil || !strings.Contains(result.Text, b.says) {
				t.Errorf("/%s: %+v, %v, want %q", b.slash, result, err, b.says)
			}
		}
		if n := len(model.Requests()); n != 4 { // the model gets no call for the slash command
			t.Errorf("%d calls of the model, want 4", n)
		}
		if s.ID() != id || s.Err() != nil {
			t.Errorf("in the end: id %q, was %q; %v", s.ID(), id, s.Err())
		}
	})
}
