package translator

import (
	"encoding/json"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

const (
	timerWatch = "watch"
	watchEvery = 5 * time.Second
)

// watch keeps a turn from waiting for ever if the event about its end was lost.
type watch struct {
	events int // how many items had come at the last look
	idle   int // how often the server was found idle since then
}

// watchTurn sets the timer for the next look at the client's turn.
func (t *Translator) watchTurn() { t.do(SetTimer{timerWatch, watchEvery}) }

// lookAfterTurn asks the server whether it is busy, if nothing has come for a while. If the server is idle twice, the
// turn has ended, and the event about its end was lost.
func (t *Translator) lookAfterTurn() {
	u := t.turn
	if u == nil {
		return
	}
	if t.watch.events != t.inbox.taken || t.inbox.held || u.compacts || !u.sent || len(t.requests.open) > 0 {
		t.watch = watch{events: t.inbox.taken}
		t.watchTurn()
		return
	}
	t.readBack(func(st *api.Status, err error) {
		if t.turn != u {
			return
		}
		if err == nil && st.Busy {
			t.askPending()
		}
		if err != nil || st.Busy || t.watch.events != t.inbox.taken {
			t.watch.idle = 0
		} else if t.watch.idle++; t.watch.idle > 1 {
			t.finishTurn(u, "", outcomeUnknown("Kimi Code is idle, and has not said how the turn ended"))
			return
		}
		t.watchTurn()
	})
}

// askPending asks about approvals that wait on the server and that no event has reported.
func (t *Translator) askPending() {
	t.call("GET", t.of("/approvals")+"?status=pending", nil, true, func(data json.RawMessage, err error) {
		var list api.Pending[api.PendingApproval]
		if err == nil && json.Unmarshal(data, &list) == nil {
			for _, p := range list.Items {
				t.pending(&p)
			}
		}
	})
}
