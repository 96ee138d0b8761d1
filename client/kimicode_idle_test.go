//go:build unix

package client_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A background task ends while no turn runs, and Kimi Code starts a turn of its own, of which ACP tells nothing:
// a prompt that comes in between waits for its own turn, in which the program learns of the task.
func TestKimiCodeTurnOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t,
		clienttest.ToolCall("bg", "Bash", map[string]any{"command": "until [ -e go ]; do sleep 0.1; done; echo the end", "run_in_background": true, "description": "a nap"}),
		"text: started",
		say("text: I see that", "wait: 3s", "text: it has ended"), // kimi's own turn
		"text: second", "text: third")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	opts.Yolo = true
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "started")
	write(t, filepath.Join(opts.WorkDir, "go"), "", 0o600)
	eventually(t, time.Minute, func() bool { return len(m.Requests()) == 3 }, func() string { return "kimi starts no turn" })

	msgs := e2eTurn(t, ctx, s, "the second prompt", nil)
	e2eSame(t, "messages", []string{"TurnBegin", "Notification", "StepBegin", "ContentPart", "TurnEnd"}, withoutStatus(msgs))
	e2eSame(t, "text", "second", e2eOf[*wireproto.TextPart](msgs)[0].Text)
	requests := m.Requests()
	if len(requests) != 4 || strings.Contains(string(requests[2]), "the second prompt") || !strings.Contains(string(requests[3]), "the second prompt") {
		t.Errorf("%d requests; the prompt is not in the fourth, or in the third", len(requests))
	}
	notes := e2eOf[*wireproto.Notification](msgs)
	if len(notes) != 1 || notes[0].Type != "task.completed" || notes[0].SourceKind != "background_task" ||
		!strings.Contains(notes[0].Title, "a nap") || !strings.Contains(notes[0].Body, "the end") {
		t.Errorf("notifications %+v", notes)
	}
	e2eText(t, ctx, s, "the third prompt", "third")
	if n := len(m.Requests()); n != 5 {
		t.Errorf("%d requests in the end", n)
	}
}
