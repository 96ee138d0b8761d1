//go:build unix

package client_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A recording of a session through the bridge can be replayed without Kimi Code.
func TestKimiCodeRecordReplay(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	tool := mustTool(client.NewTool("add", "adds", func(_ context.Context, in struct {
		A int `json:"a"`
		B int `json:"b"`
	}) (int, error) {
		return in.A + in.B, nil
	}))
	play := func(opts *client.Options) (msgs []wireproto.Message, results []client.TurnResult, id string) {
		opts.Tools = []client.Tool{tool}
		s := e2eStart(t, ctx, opts)
		for _, prompt := range []string{"work", "fail", "go on", "break off"} {
			turn, err := s.Prompt(ctx, prompt)
			if err != nil {
				t.Fatal(err)
			}
			var want error
			switch prompt {
			case "fail":
				want = client.ErrProvider
			case "break off":
				want = client.ErrOutcomeUnknown
			}
			heard, err := e2eRead(turn, func(m wireproto.Message) {
				switch m := m.(type) {
				case *client.ApprovalRequest:
					if err := m.Approve(); err != nil {
						t.Error(err)
					}
				}
			})
			if want != nil || err != nil {
				e2eIs(t, prompt, err, want)
			}
			for _, m := range heard {
				if r, ok := m.(*client.ApprovalRequest); ok {
					m = &r.ApprovalRequest
				}
				msgs = append(msgs, m)
			}
			res, _ := turn.Result()
			results = append(results, *res)
		}
		closed(t, s)
		return msgs, results, s.ID()
	}
	file := filepath.Join(t.TempDir(), "recording.jsonl")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	opts := clienttest.KimiCode(t,
		say("think: hm", "text: I add.", codeTool("a", "add", map[string]int{"a": 1, "b": 2}), codeBash("b", "echo done")), "text: 3",
		"error: 400 no", "text: went on", say("text: half", "end:"))
	opts.Record = f
	msgs, results, id := play(opts)
	again, resultsAgain, idAgain := play(&client.Options{Transport: clienttest.Replay(t, file), WorkDir: t.TempDir(), ShareDir: t.TempDir()})
	e2eSame(t, "id", id, idAgain)
	e2eSame(t, "results", results, resultsAgain)
	e2eSame(t, "types", e2eTypes(msgs), e2eTypes(again))
	e2eSame(t, "tool", resultOf(t, msgs, "a"), resultOf(t, again, "a"))
}
