//go:build unix

package client_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// withoutStatus returns the types of a turn's messages, without StatusUpdates.
func withoutStatus(msgs []wireproto.Message) []string {
	return slices.DeleteFunc(e2eTypes(msgs), func(s string) bool { return s == "StatusUpdate" })
}

// A turn with "/compact" ends after the compaction. Kimi Code itself answers before that, and reports the compaction as
// a text of the model.
func TestKimiCodeCompact(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, "text: one", say("wait: 1s", "text: the summary"), "text: two",
		"error: 400 no summary", "text: three",
		say("wait: 4s", "text: another summary"), "text: four")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	opts.SlashCommands = true
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	noticed := func(msgs []wireproto.Message) {
		t.Helper()
		for _, p := range e2eOf[*wireproto.TextPart](msgs) { // "Context compaction started" is the answer to the command itself
			if strings.Contains(p.Text, "Compaction ") {
				t.Errorf("as if the model had said it: %q", p.Text)
			}
		}
	}

	msgs := e2eTurn(t, ctx, s, "/compact", nil)
	types := withoutStatus(msgs)
	if i := slices.Index(types, "CompactionBegin"); i < 0 || !slices.Equal(types[i:], []string{"CompactionBegin", "CompactionEnd", "TurnEnd"}) {
		t.Errorf("/compact: %v", types)
	}
	noticed(msgs)
	if n := len(m.Requests()); n != 2 {
		t.Errorf("when it has ended, the model has been called %d times, want 2", n)
	}
	msgs = e2eTurn(t, ctx, s, "second", nil)
	e2eSame(t, "behind it", []string{"TurnBegin", "StepBegin", "ContentPart", "TurnEnd"}, withoutStatus(msgs))
	e2eSame(t, "behind it", "two", e2eOf[*wireproto.TextPart](msgs)[0].Text)
	if last := string(m.Requests()[2]); !strings.Contains(last, "the summary") || strings.Contains(last, `"content":"one"`) {
		t.Error("the model does not read the summary instead of the history")
	}

	var many *client.TurnsError
	if err := s.Undo(ctx, 2); !errors.As(err, &many) || *many != (client.TurnsError{Turns: 2, Available: -1}) {
		t.Errorf("undo past the compaction: %v", err)
	}

	// A compaction that fails gives an error.
	msgs, res, err := playTurn(t, ctx, s, "/compact")
	if err == nil || res.Status != "" {
		t.Errorf("a compaction that failed: %+v, %v", res, e2eTypes(msgs))
	}
	noticed(msgs)
	e2eText(t, ctx, s, "third", "three")

	// A cancellation ends the turn, but not the compaction. The next prompt waits for the end of the compaction.
	noticed(cancelTurn(t, ctx, s, "/compact", "Cancel", func(m wireproto.Message) bool { _, ok := m.(*wireproto.CompactionBegin); return ok }))
	e2eText(t, ctx, s, "fourth", "four")
	if last := string(m.Requests()[len(m.Requests())-1]); !strings.Contains(last, `"fourth"`) {
		t.Error("the prompt is lost")
	}
}

// If the context is full, a turn compacts it.
func TestKimiCodeCompactByItself(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, say("text: one", "usage: input_other=98000, output=10"), "text: the summary", "text: two")
	opts.Env["KIMI_MODEL_MAX_CONTEXT_SIZE"] = "100000"
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	if u := s.Status().ContextUsage; u < 0.9 {
		t.Fatalf("usage %v", u)
	}
	msgs := e2eTurn(t, ctx, s, "second", nil)
	e2eSame(t, "messages", []string{"TurnBegin", "CompactionBegin", "CompactionEnd", "StepBegin", "ContentPart", "TurnEnd"}, withoutStatus(msgs))
	e2eSame(t, "text", "two", e2eOf[*wireproto.TextPart](msgs)[0].Text)
	if u := s.Status().ContextUsage; u > 0.5 {
		t.Errorf("usage after it %v", u)
	}
}
