//go:build unix

package client_test

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// When a background task ends while no turn runs, Kimi Code starts a turn by itself. A prompt that comes during it
// waits for its own turn. The messages before the TurnBegin of the prompt belong to the other turn.
func TestKimiCodeTurnOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t,
		clienttest.ToolCall("bg", "Bash", map[string]any{"command": "until [ -e go ]; do sleep 0.1; done; echo the end", "run_in_background": true, "description": "a nap"}),
		"text: started",
		say("text: I see that", "wait: 3s", "text: it has ended"), // the turn that kimi starts
		"text: second", "text: third")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	opts.Yolo = true
	var mu sync.Mutex
	var outside []*wireproto.Notification
	opts.OnMessage = func(m wireproto.Message) {
		mu.Lock()
		defer mu.Unlock()
		if n, ok := m.(*wireproto.Notification); ok {
			outside = append(outside, n)
		}
	}
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "started")
	write(t, filepath.Join(opts.WorkDir, "go"), "", 0o600)
	eventually(t, time.Minute, func() bool { return len(m.Requests()) == 3 }, func() string { return "kimi starts no turn" })

	msgs, res, err := playTurn(t, ctx, s, "the second prompt")
	if err != nil || res.Text != "second" {
		t.Errorf("%+v, %v", res, err)
	}
	types := withoutStatus(msgs)
	begin := slices.Index(types, "TurnBegin")
	e2eSame(t, "messages of its own turn", []string{"TurnBegin", "StepBegin", "ContentPart", "TurnEnd"}, types[begin:])
	if begin < 1 || types[begin-1] != "TurnEnd" {
		t.Errorf("the other turn does not end before: %v", types)
	}
	requests := m.Requests()
	if len(requests) != 4 || strings.Contains(string(requests[2]), "the second prompt") || !strings.Contains(string(requests[3]), "the second prompt") {
		t.Errorf("%d requests; the prompt is not in the fourth, or in the third", len(requests))
	}
	mu.Lock()
	notes := append(outside, e2eOf[*wireproto.Notification](msgs)...)
	mu.Unlock()
	var kinds []string
	for _, n := range notes {
		kinds = append(kinds, n.Type)
	}
	e2eSame(t, "notifications", []string{"bridge.own_turn", "task.completed"}, kinds)
	e2eText(t, ctx, s, "the third prompt", "third")
	if n := len(m.Requests()); n != 5 {
		t.Errorf("%d requests in the end", n)
	}
}
