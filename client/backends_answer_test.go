//go:build unix

package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// The main agent answers with a Go type through a tool call, and no one needs to approve the call.
func TestBackendsAnswer(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		call := func(id, name string, people any) string {
			return clienttest.ToolCall(id, b.tool("city"), args{"name": name, "people": people})
		}
		alone := clienttest.ToolCall("c9", b.tool("answer"), city{Name: "Lima", People: 3})
		opts, model := b.model(t,
			say(`text: {"name":"Paris"}`, call("c1", "Paris", "many")), say(call("c2", "Rome", 1), call("c3", "Oslo", 2)), "text: told",
			`text: {"name":"Paris"}`, say(call("c4", "Bern", 1)), "text: told",
			say(agentCall("ag", false)), say(call("c5", "Paris", 1)), summary, "text: done", say(call("c6", "Rome", 1)), "text: told",
			say(call("c7", "Paris", "many")), "text: no", "text: never", say(call("c8", "Paris", 1.5)), "text: enough",
			say(alone), "text: told",
		)
		opts.Approve = func(_ context.Context, r *client.ApprovalRequest) error {
			t.Errorf("asked for %+v", r.ApprovalRequest)
			return r.Reject("no")
		}
		a := mustAnswer[city](t, "city")
		opts.Tools = []client.Tool{a.Tool()}
		s := e2eStart(t, ctx, opts)
		for _, test := range []struct {
			what, want string
			calls      int // of the model, so far
		}{
			{"a call that does not fit, and then two at once", "Oslo", 3},
			{"text, and a call when asked again", "Bern", 6},
			{"a subagent's call, and one when asked again", "Rome", 12},
		} {
			got, err := a.Ask(ctx, s, "Which city?")
			if err != nil || got.Name != test.want {
				t.Errorf("%s: %+v, %v, want %s", test.what, got, err, test.want)
			}
			if n := len(model.Requests()); n != test.calls {
				t.Errorf("%s: %d calls of the model, want %d", test.what, n, test.calls)
			}
		}
		if second := string(model.Requests()[1]); !strings.Contains(second, "integer") {
			t.Errorf("the model does not learn what does not fit: %.3000s", second)
		}
		_, err := a.Ask(ctx, s, "Which city?")
		var failed *client.AnswerError
		if !errors.As(err, &failed) || failed.Text != "enough" || len(failed.Violations) != 1 || !strings.HasPrefix(failed.Violations[0], "people: ") {
			t.Errorf("without an answer: %#v", err)
		} else if diff := cmp.Diff(args{"name": "Paris", "people": 1.5}, decoded(t, failed.Raw)); diff != "" {
			t.Error(diff)
		}

		o := *opts
		o.Tools = nil
		got, err := client.AskAs[city](ctx, "Which city?", &o)
		if diff := cmp.Diff(city{Name: "Lima", People: 3}, got); diff != "" || err != nil {
			t.Errorf("AskAs: %v%s", err, diff)
		}
	})
}
