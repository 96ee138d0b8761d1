package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// heldFor is how long a loop waits for an agent that does not react after the ctx of its turn or replay has ended. It
// leaves room in the second that is promised. A shorter StopGrace kills the agent in that time, and the error then
// says so.
func (o *Options) heldFor() time.Duration {
	if o.StopGrace <= time.Second {
		return o.StopGrace + time.Second
	}
	return 750 * time.Millisecond
}

// maxResultText limits TurnResult.Text, so that a result never grows with its turn.
const maxResultText = 4 << 20

// Turn is one prompt and everything that the agent does because of it. Read it with Messages, or wait for its end
// with Result. A turn that no one reads pauses when about 1 MiB of messages wait, unless another turn waits for its
// end (see [Session.Queue]).
type Turn struct {
	s      *Session
	caller context.Context // of Prompt; its end cancels the turn
	ctx    context.Context // of handlers; ends with the turn, or once its cancellation is on its way
	stop   context.CancelCauseFunc
	queue  *stream

	live wireproto.Message // the last message taken; the consumer's own

	mu       sync.Mutex // taken before s.mu
	consumer *consumer  // nil while no one reads
	over     bool
	begun    bool             // the prompt is on its way
	prompt   *wireproto.Frame // nil once it is begun or withdrawn
	relieved *time.Timer      // rejects requests that wait for a reader; not nil while the queue is lifted because there is none
	early    *TurnResult      // how far it came when it was given up; nil otherwise
	cause    error            // why this side cancelled it: ctx, silence; nil otherwise
	unwatch  func() bool
	idle     *time.Timer // nil without IdleTimeout
	grace    *time.Timer // kills the agent; nil unless aborted
	release  *time.Timer // gives the turn up; nil unless ctx has ended
	limit    *time.Timer // ends the turn; nil without a limit of time

	// Written under s.mu, by the reader except for cancelled and lastAt, and no more when done is closed.
	result    TurnResult
	text      []string // of the last assistant message
	size      int
	foreign   uint64            // the last request that came in a turn which the agent had begun by itself, before this one
	last      string            // type of the last message
	cancelled bool              // the agent was asked to cancel it
	lastAt    time.Time         // when it came; kept only for IdleTimeout
	input     wireproto.Content // for the Observer
	command   string            // of kimi, that the prompt begins with; "" without SlashCommands
	number    int               // in the session, from 1; 0 until it begins
	began     time.Time
	askedAt   time.Time // since when the user is asked, if asks is not 0
	asks      int       // requests that wait for the user
	spent     spent

	err   error         // set before ended is closed
	ended chan struct{} // closed when no one need wait any more: the turn is done, or given up
	done  chan struct{} // closed when it has ended for the agent
}

// consumer takes the messages of a turn: a loop over Messages, or Result.
type consumer struct {
	loop uint64        // the loop's goroutine; 0 for Result
	left chan struct{} // closed when it takes no more
}

// TurnResult says how far a turn came.
type TurnResult struct {
	Status wireproto.TurnStatus `json:"status"`      // "" if the turn ended with an error of the agent or of the connection
	Steps  int                  `json:"steps"`       // calls of the model that have begun
	Usage  wireproto.TokenUsage `json:"token_usage"` // of all steps, with subagents
	Text   string               `json:"text"`        // of the last assistant message, at most its first 4 MiB

	// UsageByModel is Usage by the name of the model, as Session.Model returns it. It is nil if no usage was
	// reported. The agents do not name a model with the tokens. In Kimi Code, all subagents use the session's model.
	// In kimi-cli, a subagent uses the model that the call which starts it names, or the session's. The key "" means
	// that the model is not known: only kimi knows it, or, in kimi-cli, a subagent is resumed or Options.AgentFile
	// may set its model.
	UsageByModel map[string]wireproto.TokenUsage `json:"usage_by_model,omitempty"`
	ToolCalls    int                             `json:"tool_calls,omitempty"` // calls that the models have made, with subagents
	Cost         float64                         `json:"cost,omitempty"`       // by Limits.CostOf; 0 without it

	FirstToken time.Duration `json:"-"` // from the beginning to the first text or thinking of the session's own agent; 0 if none came
	Duration   time.Duration `json:"-"` // from the beginning, when the prompt is sent, to the end
	Waiting    time.Duration `json:"-"` // time in which a request for approval or a question was open
	ModelTime  time.Duration `json:"-"` // of the steps of the session's own agent, each until the message of the model was complete
	ToolTime   time.Duration `json:"-"` // of its tool calls, each from the call to the result, without Waiting; calls at the same time are added up
}

func newTurn(ctx context.Context, s *Session, prompt *wireproto.Frame) *Turn {
	t := &Turn{s: s, caller: ctx, prompt: prompt, queue: newStream(), ended: make(chan struct{}), done: make(chan struct{}), last: "nothing"}
	t.ctx, t.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	return t
}

// begin sends the prompt of a turn that is the session's by now. From then on IdleTimeout counts.
func (t *Turn) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over { // withdrawn
		return t.err
	}
	t.s.mu.Lock()
	over := t.s.refusedLocked()
	if over == nil {
		t.touch()
		t.s.turnBegunLocked(t)
	}
	t.s.mu.Unlock()
	if over != nil {
		return over
	}
	t.s.tellRestart(t)
	if err := t.s.conn.beginCall(t.prompt, t.finish); err != nil {
		t.s.mu.Lock()
		t.s.turnEndedLocked(t, err)
		t.s.mu.Unlock()
		return err
	}
	t.begun, t.prompt = true, nil
	if limit := t.s.opts.IdleTimeout; limit > 0 {
		t.idle = time.AfterFunc(limit, t.checkIdle)
	}
	t.limit = t.limitTime()
	return nil
}

// watch cancels the turn when its ctx ends.
func (t *Turn) watch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.unwatch = context.AfterFunc(t.caller, func() {
		t.abort(context.Cause(t.caller))
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.over {
			t.release = time.AfterFunc(t.s.opts.heldFor(), t.giveUp)
		}
	})
}

// Messages streams what the agent sends in this turn, in order, each message once: events, and live requests to
// answer (see [ApprovalRequest]). If the turn does not finish, an error comes last: [ErrCancelled], [ErrMaxSteps], an
// error of the agent, or the reason why the session is over. Leaving the loop early cancels the turn, drops the rest
// and waits for the end of the turn. The session can be used again.
//
// When the ctx of Prompt ends, the loop ends within a second, with the cause, even if the agent does not react. The
// session goes on to end the turn, and the next Prompt waits for that.
//
// Only one loop at a time can read a turn: a second one gets [ErrReading] at once. A loop that begins while Result
// takes the rest gets only the end.
func (t *Turn) Messages() iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		t.leaveOwnLoop()
		me, other := t.attach(goroutineID())
		if me != nil {
			defer t.detach(me)
			if !t.loop(yield) {
				return
			}
		} else if other.loop != 0 {
			yield(nil, ErrReading)
			return
		}
		t.waitEnded()
		if t.err != nil {
			yield(nil, t.err)
		}
	}
}

// loop gives out what comes. It returns false after yield has.
func (t *Turn) loop(yield func(wireproto.Message, error) bool) bool {
	for {
		m, ok := t.next()
		if !ok {
			return true
		}
		if !yield(m, nil) {
			t.abort(ErrCancelled)
			t.drain()
			return false
		}
	}
}

// attach makes the caller the turn's consumer, or returns the one that there is.
func (t *Turn) attach(loop uint64) (me, other *consumer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.consumer != nil {
		return nil, t.consumer
	}
	t.consumer = &consumer{loop: loop, left: make(chan struct{})}
	if t.relieved != nil {
		t.relieved.Stop()
		t.relieved = nil
		t.queue.lower()
	}
	return t.consumer, nil
}

func (t *Turn) detach(c *consumer) {
	t.mu.Lock()
	t.consumer = nil
	over := t.over
	t.mu.Unlock()
	close(c.left)
	if !over { // the loop's body has panicked
		t.s.relieve()
	}
}

// next takes the next message for the consumer. It first settles the previous message: a live request that is neither
// answered nor held is rejected, so that the agent does not wait for ever.
func (t *Turn) next() (wireproto.Message, bool) {
	t.settleLive()
	m, ok := t.queue.next()
	t.live = m
	return m, ok
}

func (t *Turn) settleLive() {
	if t.live == nil {
		return
	}
	if t.caller.Err() != nil {
		t.abort(context.Cause(t.caller)) // now: if the request were rejected first, the turn would end as finished
	}
	t.s.settle(t.live)
	t.live = nil
}

// drain takes what is left, for the consumer, and waits for the end.
func (t *Turn) drain() {
	t.settleLive()
	for {
		m, ok := t.queue.next()
		if !ok {
			break
		}
		if t.caller.Err() != nil {
			t.abort(context.Cause(t.caller))
		}
		t.s.pass(m, 0)
	}
	t.waitEnded()
}

// waitEnded waits for the end, and a moment for the Observer to have it, too.
func (t *Turn) waitEnded() {
	<-t.ended
	t.s.waitObserver(observeGrace)
}

// Result waits for the end of the turn. It drops the messages that Messages has not yielded, and rejects their
// requests; those of background agents go to Options.OnMessage. The result is never nil: if there is an error, it
// says how far the turn came.
//
// If a loop over Messages runs on another goroutine, Result takes nothing from it. It waits until the turn or the
// loop has ended, and then takes the rest. If Result is called within the loop, it takes the rest and rejects the
// loop's current request, unless that has an answer.
func (t *Turn) Result() (*TurnResult, error) {
	t.leaveOwnLoop()
	for {
		me, other := t.attach(0)
		switch {
		case me != nil:
			t.drain()
			t.detach(me)
		case other.loop == goroutineID():
			t.drain()
		default:
			select {
			case <-t.ended:
				t.waitEnded()
			case <-other.left:
				continue
			}
		}
		break
	}
	if t.early != nil {
		r := *t.early
		r.UsageByModel = maps.Clone(r.UsageByModel)
		return &r, t.err
	}
	r := t.resultLocked() // nothing changes any more
	return &r, t.err
}

// Cancel asks the agent to stop the turn. It returns when the turn has ended or ctx is done. A loop can still read
// what was sent before the end. If more than 8 MiB wait for the loop, the rest is dropped, and the loop ends with
// [ErrCancelled] unless the turn had finished first. The session can be used again.
//
// After Cancel is called, no handler starts for the turn, and the ctx of running handlers ends. Requests of
// background agents then go to Options.OnMessage.
func (t *Turn) Cancel(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	t.mu.Lock()
	switch {
	case t.over:
	case !t.begun:
		t.withdrawLocked(ErrCancelled)
	default:
		t.requestCancelLocked()
	}
	t.mu.Unlock()
	t.stop(ErrCancelled)
	t.queue.cancel()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("client: cancel: %w", context.Cause(ctx))
	}
}

// requestCancelLocked asks the agent to cancel the running turn. mu is held and the turn is not over, so the request
// comes before the prompt of a later turn, which it must not hit. Handlers are stopped after it, so that the agent
// does not go on with their last answers.
func (t *Turn) requestCancelLocked() {
	t.s.mu.Lock()
	t.cancelled = true
	t.touch()
	t.s.mu.Unlock()
	// Whatever the answer says, the turn ends with the answer to its prompt.
	t.s.conn.begin(wireproto.MethodCancel, nil, func(json.RawMessage, error) {})
	if t.s.waitsForAnswers {
		t.s.answerAll("the turn was cancelled", func(r *request) bool {
			return r.turn == t && !r.background && r.decline("") != nil
		})
	}
}

// giveUp releases the callers that wait for a turn whose ctx has ended and that the agent does not end. The session
// keeps the turn until the agent has ended it, or has been killed for it.
func (t *Turn) giveUp() {
	t.mu.Lock()
	if t.over {
		t.mu.Unlock()
		return
	}
	t.s.mu.Lock()
	early := t.resultLocked()
	t.s.mu.Unlock()
	t.early, t.err = &early, cancelled(context.Cause(t.caller))
	close(t.ended)
	t.mu.Unlock()
	t.queue.end()
}

// givenUp reports whether a turn that is not done has ended on this side.
func (t *Turn) givenUp() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// abort cancels the turn for a reason of this side, and kills the agent if it does not stop the turn.
func (t *Turn) abort(cause error) {
	t.mu.Lock()
	if t.over || t.cause != nil {
		t.mu.Unlock()
		return
	}
	if !t.begun {
		t.withdrawLocked(cancelled(cause))
		t.mu.Unlock()
		return
	}
	t.cause = cause
	grace := t.s.opts.StopGrace
	t.grace = time.AfterFunc(grace, func() {
		t.mu.Lock()
		over := t.over
		t.mu.Unlock()
		if over {
			return
		}
		t.s.kill(fmt.Errorf("client: the agent did not end the turn within Options.StopGrace (%v) of its cancellation", grace))
	})
	t.requestCancelLocked()
	t.mu.Unlock()
	t.stop(cause)
	t.queue.cancel()
}

// killDeaf kills at once an agent that was given up, if the session has no other turn.
func (t *Turn) killDeaf() {
	t.mu.Lock()
	deaf := !t.over && t.early != nil
	t.mu.Unlock()
	if deaf {
		t.s.kill(errors.New("client: the agent went on after ctx was done"))
	}
}

// finish ends the turn with the answer to its prompt. It runs on the reader's goroutine, so
// that all that came before the answer is in the queue already.
func (t *Turn) finish(raw json.RawMessage, err error) {
	t.mu.Lock()
	t.over = true // before another turn can begin
	cause, unwatch, unread := t.cause, t.unwatch, t.consumer == nil
	for _, timer := range []*time.Timer{t.idle, t.grace, t.release, t.relieved, t.limit} {
		if timer != nil {
			timer.Stop()
		}
	}
	t.mu.Unlock()
	t.s.mu.Lock()
	unread = unread && t.cancelled
	t.s.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
	if unread { // and may stay so
		for _, m := range t.queue.extract(fromBackground) {
			t.s.pass(m, 0)
		}
	}
	ended := fmt.Errorf("%w: the turn that asked has ended", ErrNoTurn)
	t.s.closeRequests(ended, func(r *request) bool { return r.turn == t && !r.background })
	t.stop(ended)
	early := t.givenUp()
	if !early {
		t.err = t.outcome(raw, err, cause)
	}
	t.s.commanded(t.command)
	t.s.mu.Lock()
	t.s.turnEndedLocked(t, t.err)
	t.s.mu.Unlock()
	if !early {
		close(t.ended)
	}
	close(t.done)
	t.queue.end()
	t.s.advance()
}

// outcome turns the answer to the prompt into the turn's result and error.
func (t *Turn) outcome(raw json.RawMessage, err, cause error) error {
	var result wireproto.PromptResult
	if err == nil {
		if err = json.Unmarshal(raw, &result); err != nil {
			err = fmt.Errorf("client: prompt: unexpected result: %w", err)
		}
	}
	if err != nil {
		err = t.s.byModel(err)
		if cause != nil && !errors.Is(cause, ErrCancelled) {
			err = because(cancelled(cause), err)
		}
		return err
	}
	t.result.Status = result.Status
	t.result.Steps = max(t.result.Steps, result.Steps)
	switch result.Status {
	case wireproto.StatusFinished:
		t.s.mu.Lock()
		t.s.restarts = 0
		t.s.mu.Unlock()
		return nil
	case wireproto.StatusCancelled:
		return cancelled(cause)
	case wireproto.StatusMaxSteps:
		return ErrMaxSteps
	}
	return fmt.Errorf("client: prompt: the agent ended the turn with the unknown status %.40q", result.Status)
}

// cancelled says that the turn was cancelled, and why if this side did it.
func cancelled(cause error) error {
	switch {
	case cause == nil || errors.Is(cause, ErrCancelled):
		return ErrCancelled
	case errors.Is(cause, ErrIdle), errors.Is(cause, ErrLimit):
		return cause
	}
	return because(ErrCancelled, cause)
}

// account notes what a message says about the turn. s.mu is held.
func (t *Turn) account(m wireproto.Message) {
	t.last = m.MessageType()
	if t.s.opts.IdleTimeout > 0 {
		t.lastAt = time.Now()
	}
	switch m := m.(type) {
	case *wireproto.TextPart:
		if room := maxResultText - t.size; len(m.Text) <= room {
			t.text = append(t.text, m.Text)
		} else if room > 0 {
			t.text = append(t.text, strings.ToValidUTF8(m.Text[:room], ""))
		}
		t.size += len(m.Text)
	case *wireproto.StepBegin:
		t.result.Steps++
		t.text, t.size = t.text[:0], 0
	case *wireproto.TurnBegin:
		t.text, t.size = t.text[:0], 0
		if t.s.backend.ownTurns() {
			t.foreign = t.s.asked
		}
	case *wireproto.StepRetry: // a retry begins the message again
		t.text, t.size = t.text[:0], 0
	}
}

// checkIdle aborts the turn if the agent has been silent for the whole limit. Time does not count while this side has
// something to do. If the turn is being cancelled, it does count.
func (t *Turn) checkIdle() {
	limit := t.s.opts.IdleTimeout
	t.mu.Lock()
	waiting := t.relieved == nil && t.queue.pending()
	t.mu.Unlock()
	t.s.mu.Lock()
	if !t.cancelled && (waiting || len(t.s.requests) > 0) {
		t.lastAt = time.Now()
	}
	silent := time.Since(t.lastAt)
	last := t.last
	var tools []string
	for _, c := range t.s.meter.own.calls {
		tools = append(tools, c.name+" ("+c.id+")")
	}
	t.s.mu.Unlock()
	if silent < limit {
		t.mu.Lock()
		if !t.over && t.cause == nil {
			t.idle.Reset(limit - silent)
		}
		t.mu.Unlock()
		return
	}
	pending := "no call and no request is open"
	if len(tools) > 0 {
		slices.Sort(tools)
		pending = "pending: tool calls " + strings.Join(tools, ", ")
	}
	t.abort(fmt.Errorf("%w (%v): the last message was %s, %v ago; %s; raise the limit if a tool may take longer",
		ErrIdle, limit, last, silent.Round(time.Millisecond), pending))
}

// touch starts the time of silence again: this side has sent what the agent waited for, or wants the agent to stop.
// s.mu is held.
func (t *Turn) touch() { t.lastAt = time.Now() }
