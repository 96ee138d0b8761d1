//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A program can send a request elsewhere as JSON, and answer it later by its id, once.
func TestBackendsRequestByID(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t, say(b.run("look", "echo it is $((40+2))"), "text: I look."), say(ask("q", false, "Colour?")), "text: done")
		opts.SupportsQuestion = true
		s := e2eStart(t, ctx, opts)
		elsewhere := func(m wireproto.Message) wireproto.Message {
			raw, err := json.Marshal(m)
			if err != nil {
				t.Error(err)
			}
			decoded, err := wireproto.UnmarshalMessage(raw)
			if err != nil {
				t.Error(err)
			}
			id := ""
			switch m := decoded.(type) {
			case *wireproto.ApprovalRequest:
				id = m.ID
			case *wireproto.QuestionRequest:
				id = m.ID
			}
			return s.Request(id)
		}
		answered := make(chan error, 2)
		var last *client.ApprovalRequest
		msgs := e2eTurn(t, ctx, s, "look", func(m wireproto.Message) {
			switch m := m.(type) {
			case *client.ApprovalRequest:
				m.Hold()
				last = m
				go func() { answered <- elsewhere(m).(*client.ApprovalRequest).Approve() }()
			case *client.QuestionRequest:
				m.Hold()
				go func() {
					answered <- elsewhere(m).(*client.QuestionRequest).Answer(map[string]string{"Colour?": "Blue"})
				}()
			}
		})
		for range 2 {
			if err := recv(t, ctx, "the answer", answered); err != nil {
				t.Error(err)
			}
		}
		if got := resultOf(t, msgs, "look").Output.String(); got != "it is 42\n" {
			t.Errorf("the command said %q", got)
		}
		e2eSame(t, "answers", map[string]string{"Colour?": "Blue"}, answersRead(t, msgs, "q"))
		if err := last.Approve(); err != client.ErrAnswered {
			t.Errorf("a second answer: %v", err)
		}
		if m := elsewhere(last); m != nil {
			t.Errorf("after the answer: %v", m)
		}
		if m := s.Request("nothing"); m != nil {
			t.Errorf("an unknown id: %v", m)
		}
	})
}
