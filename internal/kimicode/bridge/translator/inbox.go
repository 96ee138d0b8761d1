package translator

import (
	"encoding/json"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// inbox holds the events that have come and are not handled yet. They wait while the translator fetches an answer that
// it must handle first.
type inbox struct {
	items  []item
	held   bool      // an answer is being fetched
	kept   bool      // the server keeps the transcripts
	window int64     // the number of the last durable event that the server replayed after the last gap
	seq    int64     // the number of the last durable event that was handled
	later  *snapshot // waits until the events that it knows have been handled
	taken  int       // how many items have come
	gapAt  time.Time // when the last gap came
	at     time.Time // when the event came that is being handled
}

// item is an event, a gap, or what a snapshot says about the step that runs.
type item struct {
	event    *api.Event
	gap      bool
	resync   bool
	from     int64 // see [Gap]
	until    int64 // see [Gap]
	at       time.Time
	inFlight *inFlight
}

// snapshot is the part of a server's snapshot that says how a step goes on after a gap.
type snapshot struct {
	Seq      int64     `json:"as_of_seq"` // the number of the last durable event that the snapshot knows
	InFlight *inFlight `json:"in_flight_turn"`
}

// inFlight is what the main agent's running step has said, as a snapshot has it.
type inFlight struct {
	TurnID   int    `json:"turn_id"`
	Text     string `json:"assistant_text"`
	Thinking string `json:"thinking_text"`
}

// settling is how long after a gap volatile events may still be missing, because the server replays events faster than
// it sends new ones.
const settling = 2 * time.Second

// doubts reports whether deltas of the step that begins with the event may be missing.
func (in *inbox) doubts(e *api.Event) bool {
	return e.Seq <= in.window || in.at.Sub(in.gapAt) < settling
}

// take handles an item, or lets it wait.
func (t *Translator) take(i item) {
	i.at = t.now
	t.inbox.taken++
	if len(t.inbox.items) == 0 && t.session.state == ready && !t.inbox.held {
		t.handle(i) // nothing waits before it
		t.drain()
		return
	}
	t.inbox.items = append(t.inbox.items, i)
	t.drain()
}

// drain handles the items that wait, until an item has to wait again.
func (t *Translator) drain() {
	for t.session.state == ready && !t.inbox.held && len(t.inbox.items) > 0 {
		i := t.inbox.items[0]
		t.inbox.items = t.inbox.items[1:]
		t.handle(i)
	}
	if len(t.inbox.items) == 0 {
		t.inbox.items = nil
	}
}

func (t *Translator) handle(i item) {
	t.inbox.at = i.at
	switch {
	case i.gap:
		t.inbox.window, t.inbox.gapAt = i.until, i.at
		if t.inbox.later = nil; i.resync { // the numbers may begin again
			t.inbox.seq = i.until
		} else {
			t.inbox.seq = max(t.inbox.seq, i.from)
		}
		t.gap(i.resync)
	case i.inFlight != nil:
		t.catchUp(i.inFlight, true)
	case i.event.Volatile:
		t.event(i.event)
	default:
		if s := t.inbox.later; s != nil && s.Seq < i.event.Seq { // the event with the number of the snapshot is lost
			t.inbox.later = nil
			t.catchUp(s.InFlight, false)
		}
		t.event(i.event)
		t.inbox.seq = max(t.inbox.seq, i.event.Seq)
		t.reached()
	}
}

// reached handles the snapshot that waits next, if all durable events that it knows have been handled.
func (t *Translator) reached() {
	if s := t.inbox.later; s != nil && s.Seq <= t.inbox.seq {
		t.inbox.later = nil
		t.inbox.items = append([]item{{inFlight: s.InFlight, at: t.inbox.at}}, t.inbox.items...)
	}
}

// fetch requests an answer that must be known before the next event is handled.
func (t *Translator) fetch(path string, then func(json.RawMessage, error)) {
	t.inbox.held = true
	t.call("GET", path, nil, true, func(data json.RawMessage, err error) {
		t.inbox.held = false
		then(data, err)
		t.drain()
	})
}

// keepTranscript makes the server keep the transcripts of the session's agents from now on. A transcript that is first
// requested during a step does not have what the step has said before.
func (t *Translator) keepTranscript() {
	t.call("GET", t.of("/transcript")+"?agent_id="+api.MainAgent+"&page_size=1", nil, true, func(_ json.RawMessage, err error) {
		t.inbox.kept = err == nil
	})
}

// gap handles a gap, in which deltas may be missing. The snapshot says what the running step of the main agent has said
// so far. After the end of a step, its transcript says it.
func (t *Translator) gap(resync bool) {
	for _, a := range t.agents {
		if a.step != nil {
			a.step.doubtful = true
		}
	}
	t.fetch(t.of("/snapshot"), func(data json.RawMessage, err error) {
		var s snapshot
		switch {
		case err != nil || json.Unmarshal(data, &s) != nil: // the steps stay doubtful, so their transcripts are read
		case resync:
			t.resync(s.InFlight)
		case s.InFlight != nil:
			t.inbox.later = &s // the server may have sent events that the snapshot knows and that have not come yet
			t.reached()
		}
	})
	t.readBack(func(st *api.Status, err error) {
		if err == nil { // only volatile events report these values
			t.context.tokens, t.context.most = st.ContextTokens, st.MaxContextTokens
			t.setPlan(st.PlanMode)
		}
	})
}

// catchUp sends what the running step has said, by the snapshot, and the client does not have. whole says that no delta
// can be missing between the snapshot and the next event.
func (t *Translator) catchUp(f *inFlight, whole bool) {
	a := t.agents[api.MainAgent]
	if a == nil || a.step == nil || a.turn != f.TurnID {
		return
	}
	t.sayRest(a, f.Thinking, f.Text)
	a.step.doubtful, a.step.snapped = !whole, true
}
