package translator

import (
	"encoding/json"
	"net/url"
	"slices"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/history"
	"github.com/kimi-go/kimi-go/wireproto"
)

// replay tells the history of the session from its messages.
type replay struct {
	id        string // the id of the client's call
	pages     [][]api.Message
	cancelled bool
}

// startReplay reads the history, page by page from its end, and then tells it.
func (t *Translator) startReplay(f *wireproto.Frame) {
	if t.turn != nil || t.replay != nil {
		t.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	}
	t.replay = &replay{id: f.ID}
	t.replayPage("")
}

func (t *Translator) replayPage(before string) {
	query := url.Values{"page_size": {"100"}}
	if before != "" {
		query.Set("before_id", before)
	}
	t.call("GET", t.of("/messages")+"?"+query.Encode(), nil, true, func(data json.RawMessage, err error) {
		r := t.replay
		var page api.Messages
		if err == nil {
			err = json.Unmarshal(data, &page)
		}
		if err != nil {
			t.replay = nil
			t.refuse(r.id, wireproto.CodeInternalError, "replay: %v", err)
			return
		}
		r.pages = append(r.pages, page.Items)
		if page.HasMore && len(page.Items) > 0 && !r.cancelled {
			t.replayPage(page.Items[len(page.Items)-1].ID)
			return
		}
		t.replay = nil
		events := 0
		if !r.cancelled {
			events = t.tellHistory(r.pages)
		}
		status := wireproto.StatusFinished
		if r.cancelled {
			status = wireproto.StatusCancelled
		}
		t.reply(r.id, wireproto.ReplayResult{Status: status, Events: events})
	})
}

// tellHistory emits the events of messages and returns the number of events. In pages, the newest messages come first.
func (t *Translator) tellHistory(pages [][]api.Message) (events int) {
	emit := func(m wireproto.Message) bool {
		events++
		t.emit(m)
		return true
	}
	teller := history.Teller{ToolName: t.toolName}
	for _, page := range slices.Backward(pages) {
		for i := range slices.Backward(page) {
			teller.Tell(&page[i], emit)
		}
	}
	teller.End(emit)
	return events
}
