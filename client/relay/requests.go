package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// maxSettled is how many requests the relay remembers after their end, to tell a second answer to one of them from an
// answer to an unknown request.
const maxSettled = 4096

// live is a request that waits for an answer: a *client.ApprovalRequest or a *client.QuestionRequest.
type live interface {
	wireproto.Message
	Hold()
	Done() <-chan struct{}
}

// requests holds the requests of a session. The relay's mu guards it.
type requests struct {
	open    map[string]*request
	settled map[string]struct{}
	order   []string // the ids in settled, the oldest first
	count   int
}

type request struct {
	Pending
	live live
	n    int  // the number of the request, which gives their order
	told bool // the log has the Pending entry
}

func (q *requests) init() {
	q.open = make(map[string]*request)
	q.settled = make(map[string]struct{})
}

// openLocked adds a request that waits for an answer. raw is its JSON. If another open request has the same id, the new
// one is rejected, because an answer to the other one must not allow it. The caller holds r.mu.
func (r *Relay) openLocked(asks live, raw json.RawMessage) {
	id := idOf(asks)
	_, again := r.requests.settled[id]
	if again || r.requests.open[id] != nil {
		decline(asks)
		return
	}
	r.requests.count++
	q := &request{Pending: Pending{ID: id, Request: raw}, live: asks, n: r.requests.count}
	r.requests.open[id] = q
	r.waiters.Go(func() { r.await(q) })
}

func idOf(asks live) string {
	switch m := asks.(type) {
	case *client.ApprovalRequest:
		return m.ID
	case *client.QuestionRequest:
		return m.ID
	}
	return ""
}

// decline rejects an approval, or dismisses a question.
func decline(asks live) error {
	switch m := asks.(type) {
	case *client.ApprovalRequest:
		return m.Reject("")
	case *client.QuestionRequest:
		return m.Dismiss()
	}
	return nil
}

// await adds the Pending entry of a request when its call is known, and a Settled entry when the request has ended.
func (r *Relay) await(q *request) {
	var call *Call
	if m, ok := q.live.(*client.ApprovalRequest); ok {
		if name, args := m.Call(); name != "" {
			call = &Call{name, args}
		}
	}
	r.mu.Lock()
	if r.requests.open[q.ID] == q {
		q.Call, q.told = call, true
		r.log.add(encode(&q.Pending))
	}
	r.mu.Unlock()
	<-q.live.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settleLocked(q, Settled{Outcome: Gone})
}

// settleLocked adds the Settled entry of a request, once. The caller holds r.mu.
func (r *Relay) settleLocked(q *request, how Settled) {
	if r.requests.open[q.ID] != q {
		return
	}
	delete(r.requests.open, q.ID)
	r.requests.settled[q.ID] = struct{}{}
	r.requests.order = append(r.requests.order, q.ID)
	if len(r.requests.order) > maxSettled {
		delete(r.requests.settled, r.requests.order[0])
		r.requests.order = r.requests.order[1:]
	}
	how.ID = q.ID
	r.log.add(encode(&how))
}

// settleDoneLocked adds the Settled entries of the requests that have ended with a turn, before the entry of the turn's
// end. The caller holds r.mu.
func (r *Relay) settleDoneLocked() {
	for _, q := range r.inOrderLocked() {
		select {
		case <-q.live.Done():
			r.settleLocked(q, Settled{Outcome: Gone})
		default:
		}
	}
}

// declineAllLocked rejects all open requests when no one can answer them any more. The caller holds r.mu.
func (r *Relay) declineAllLocked() {
	for _, q := range r.inOrderLocked() {
		decline(q.live) // an error means that the request has ended in the meantime
		r.settleLocked(q, Settled{Outcome: Gone})
	}
}

func (r *Relay) inOrderLocked() []*request {
	return slices.SortedFunc(maps.Values(r.requests.open), func(a, b *request) int { return a.n - b.n })
}

// pendingLocked returns the requests that wait for an answer and have a Pending entry. The caller holds r.mu.
func (r *Relay) pendingLocked() []Pending {
	pending := []Pending{}
	for _, q := range r.inOrderLocked() {
		if q.told {
			pending = append(pending, q.Pending)
		}
	}
	return pending
}

// Answer is an answer to a request. For an approval, set Response, and Feedback if it is a rejection. For a question,
// set Answers, whose keys are the texts of the questions. Empty Answers dismiss the question.
type Answer struct {
	Response wireproto.ApprovalDecision `json:"response"`
	Feedback string                     `json:"feedback"`
	Answers  map[string]string          `json:"answers"`
}

// Answer answers the request with this id. A second answer returns [client.ErrAnswered]. An unknown id returns
// [ErrNoRequest]. If an answer does not fit, Answer returns an error, and the request still waits.
func (r *Relay) Answer(id string, a Answer) error {
	r.mu.Lock() // held until the log has the Settled entry, so that the effects of the answer come after it
	defer r.mu.Unlock()
	q := r.requests.open[id]
	if q == nil {
		if _, was := r.requests.settled[id]; was {
			return client.ErrAnswered
		}
		return fmt.Errorf("%w: %.80q", ErrNoRequest, id)
	}
	var err error
	how := Settled{Outcome: Outcome(a.Response)}
	switch m := q.live.(type) {
	case *client.ApprovalRequest:
		switch {
		case len(a.Answers) > 0:
			err = errors.New("relay: answer: an approval takes no answers; set response")
		case a.Response == wireproto.Reject:
			how.Feedback = a.Feedback
			err = m.Reject(a.Feedback)
		case a.Feedback != "":
			err = errors.New("relay: answer: only a rejection takes feedback; leave it out")
		case a.Response == wireproto.Approve:
			err = m.Approve()
		case a.Response == wireproto.ApproveForSession:
			err = m.ApproveForSession()
		default:
			err = fmt.Errorf(`relay: answer: %.40q is no response; use "approve", "approve_for_session" or "reject"`, a.Response)
		}
	case *client.QuestionRequest:
		how.Outcome, how.Answers = Answered, a.Answers
		switch {
		case a.Response != "" || a.Feedback != "":
			err = errors.New("relay: answer: a question takes no response or feedback; set answers")
		case len(a.Answers) == 0:
			how.Outcome = Dismissed
			err = m.Dismiss()
		default:
			err = m.Answer(a.Answers)
		}
	}
	if err == nil {
		r.settleLocked(q, how)
	}
	return err
}

// Outside passes on to a relay the messages that its session sends while no turn runs, such as requests of a background
// agent. Set its OnMessage as the session's Options.OnMessage, and set Outside in the Options of the relay. It serves
// one session. Up to 1,000 messages wait for the relay.
type Outside struct {
	mu    sync.Mutex
	relay *Relay
	early []wireproto.Message
}

const maxEarly = 1000

// OnMessage receives a message of the session.
func (o *Outside) OnMessage(m wireproto.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.relay != nil:
		o.relay.take(m, nil)
	case len(o.early) < maxEarly:
		if asks, ok := m.(live); ok {
			asks.Hold()
		}
		o.early = append(o.early, m)
	}
}

// bind passes all messages that wait, and all later ones, to a relay.
func (o *Outside) bind(r *Relay) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.early {
		r.take(m, nil)
	}
	o.relay, o.early = r, nil
}
