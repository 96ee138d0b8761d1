//go:build unix

package client_test

import (
	"context"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Each kind of failure of the model's provider gives its own error, and the session stays usable.
func TestBackendsProviderErrors(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts := b.options(t,
			"error: 400 bad request of it", "error: 401 no such key", "error: 500 first", "error: 502 second",
			"error: 429 slow down", say("text: at last", "usage: output=1"),
			"error: 429 slow down", "text: usable",
		)
		opts.MaxRetriesPerStep = 2
		s := e2eStart(t, ctx, opts)
		for _, tt := range []struct {
			prompt  string
			retries int
		}{{"400", 0}, {"401", 0}, {"500", 1}} {
			msgs, result := failTurn(t, ctx, s, tt.prompt, client.ErrProvider, wireproto.CodeChatProviderError)
			e2eSame(t, tt.prompt, &client.TurnResult{Steps: 1}, result)
			if n := len(e2eOf[*wireproto.StepRetry](msgs)); n != tt.retries {
				t.Errorf("%s: %d retries, want %d", tt.prompt, n, tt.retries)
			}
		}

		msgs := e2eTurn(t, ctx, s, "429", nil)
		retries := e2eOf[*wireproto.StepRetry](msgs)
		if len(retries) != 1 {
			t.Fatalf("retries %+v in %v", retries, e2eTypes(msgs))
		}
		if r := *retries[0]; r.N != 1 || r.NextAttempt != 2 || r.MaxAttempts != 2 || r.WaitS <= 0 || r.ErrorType == "" || r.StatusCode == nil || *r.StatusCode != 429 {
			t.Errorf("retry %+v", r)
		}

		// A step that waits before its next attempt can be cancelled.
		cancelTurn(t, ctx, s, "429", "Cancel", func(m wireproto.Message) bool { _, ok := m.(*wireproto.StepRetry); return ok })
		e2eText(t, ctx, s, "go on", "usable")
	})
}

func TestBackendsMaxSteps(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts := b.options(t, say("text: one", b.run("m", "echo x"), "usage: output=7"), "text: two")
		opts.Yolo, opts.MaxStepsPerTurn = true, 1
		s := e2eStart(t, ctx, opts)
		msgs, result := failTurn(t, ctx, s, "go", client.ErrMaxSteps, 0)
		e2eSame(t, "result", &client.TurnResult{Status: wireproto.StatusMaxSteps, Steps: 1, Text: "one", Usage: wireproto.TokenUsage{Output: 7}}, result)
		e2eSame(t, "tool", "x\n", resultOf(t, msgs, "m").Output.String())
		e2eText(t, ctx, s, "go on", "two")
	})
}

// A session starts without a model, and its turns give the error. This holds if no model is configured at all, and with
// a configuration that has no model.
func TestBackendsNoModel(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		for name, set := range map[string]func(*client.Options){
			"nowhere":             func(o *client.Options) { o.Config, o.Env = nil, withoutModel(o) },
			"in no configuration": func(o *client.Options) { o.Config = &config.Config{} },
		} {
			t.Run(name, func(t *testing.T) {
				opts := b.options(t, "text: never")
				set(opts)
				s := e2eStart(t, ctx, opts)
				for range 2 {
					turn, err := s.Prompt(ctx, "hello")
					if err != nil {
						t.Fatal(err)
					}
					_, err = turn.Result()
					e2eIs(t, "the turn", err, client.ErrLLMNotSet)
				}
			})
		}
	})
}
