package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/examples/internal/kimis"
)

// buffer is the log of a test.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestMonitor(t *testing.T) {
	var log buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	kimis.Run(t, func(t *testing.T, ctx context.Context, k kimis.Kimi) {
		opts, model := k.Options(t,
			clienttest.Reply(clienttest.ToolCall("c1", k.Shell, map[string]string{"command": "sleep 0.2"}), "usage: input_other=100 output=10"),
			clienttest.Reply(clienttest.Text("one"), "usage: input_other=200 output=20"),
			clienttest.Reply(clienttest.Text("two"), "usage: input_other=300 output=30"), "text: never")
		opts.Yolo = true
		opts.SessionLimits.Tokens = 600
		sums := new(expvar.Map)
		err := run(ctx, opts, sums, strings.NewReader("one\ntwo\nthree\n"))
		if !errors.Is(err, client.ErrLimit) {
			t.Errorf("the third prompt: %v", err)
		}
		if n := len(model.Requests()); n != 3 {
			t.Errorf("the model was asked %d times", n)
		}
		var got struct {
			Tokens int
			Model  float64 `json:"model_seconds"`
			Tools  float64 `json:"tool_seconds"`
			Turns  int     `json:"turns_ok"`
		}
		if err := json.Unmarshal([]byte(sums.String()), &got); err != nil {
			t.Fatal(err)
		}
		if got.Tokens != 660 || got.Turns != 2 || got.Tools < 0.2 || got.Model <= 0 {
			t.Errorf("sums %s", sums)
		}
		for _, want := range []string{"msg=tool turn=1 tool=" + k.Shell + " outcome=ok duration=", "msg=turn turn=1 outcome=ok ", "tokens=330 tool_calls=0 error=<nil>"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, log.String())
			}
		}
	})
}
