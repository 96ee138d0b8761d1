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

// heldFor is how long a loop waits for an agent that does not react after the ctx of its turn or replay has ended. The
// loop must end within a second, so this is less. If StopGrace is shorter, the agent is killed in that time, and the
// error then says so.
func (o *Options) heldFor() time.Duration {
	if o.StopGrace <= time.Second {
		return o.StopGrace + time.Second
	}
	return 750 * time.Millisecond
}

// maxResultText limits TurnResult.Text, in bytes, so that a result does not grow with its turn.
const maxResultText = 4 << 20

// Turn is one prompt and everything that the agent does for it. Read it with Messages, or wait for its end with Result.
// A turn that no one reads pauses when about 1 MiB of messages wait, unless another turn waits for its end (see
// [Session.Queue]).
type Turn struct {
	s      *Session
	caller context.Context // the ctx of Prompt; its end cancels the turn
	ctx    context.Context // the ctx of handlers; it ends with the turn, or when the cancellation was sent
	stop   context.CancelCauseFunc
	queue  *stream

	live wireproto.Message // the last message that was taken; only the consumer uses it

	mu       sync.Mutex // taken before s.mu
	consumer *consumer  // nil while no one reads the turn
	over     bool
	begun    bool             // the prompt was sent
	prompt   *wireproto.Frame // nil after the turn has begun or was withdrawn
	relieved *time.Timer      // rejects requests that wait for a reader; not nil while the queue is lifted because there is no reader
	early    *TurnResult      // how far the turn had come when it was given up; nil if it was not
	cause    error            // why this side cancelled the turn, such as the end of ctx or silence; nil if it did not
	unwatch  func() bool
	idle     *time.Timer // nil without IdleTimeout
	grace    *time.Timer // kills the agent; nil unless the turn was aborted
	release  *time.Timer // gives the turn up; nil unless ctx has ended
	limit    *time.Timer // ends the turn; nil if its time is not limited

	// s.mu guards these. Only the reader writes them, except cancelled and lastAt. No one writes them after done is
	// closed.
	result    TurnResult
	text      []string // the text of the last assistant message
	size      int
	foreign   uint64            // the last request that came in a turn which the agent had begun by itself, before this one
	last      string            // the type of the last message
	cancelled bool              // the agent was asked to cancel the turn
	lastAt    time.Time         // when the last message came; set only with IdleTimeout
	input     wireproto.Content // the prompt, for the Observer
	command   string            // the command of kimi that the prompt begins with; "" without SlashCommands
	number    int               // the number of the turn in the session, from 1; 0 until it begins
	began     time.Time
	askedAt   time.Time // since when the turn waits for the user, if asks is not 0
	asks      int       // how many requests wait for the user
	spent     spent

	err   error         // set before ended is closed
	ended chan struct{} // closed when the turn is done or was given up, so that no one needs to wait
	done  chan struct{} // closed when the agent has ended the turn
}

// consumer takes the messages of a turn: a loop over Messages, or Result.
type consumer struct {
	loop uint64        // the loop's goroutine; 0 for Result
	left chan struct{} // closed when it takes no more messages
}

// TurnResult says how far a turn came.
type TurnResult struct {
	Status wireproto.TurnStatus `json:"status"`      // "" if the turn ended with an error of the agent or of the connection
	Steps  int                  `json:"steps"`       // how many calls of the model have begun
	Usage  wireproto.TokenUsage `json:"token_usage"` // the usage of all steps, including subagents
	Text   string               `json:"text"`        // the text of the last assistant message, at most its first 4 MiB

	// UsageByModel is Usage by the name of the model, which is the name that Session.Model returns. It is nil if no
	// usage was reported. The agents do not report the model together with the tokens. In Kimi Code, all subagents use
	// the session's model. In kimi-cli, the call that starts a subagent may name a model; otherwise the subagent uses
	// the session's model. The key "" means that the model is not known. This is so if only kimi knows the model and,
	// in kimi-cli, if a subagent is resumed or if Options.AgentFile may set its model.
	UsageByModel map[string]wireproto.TokenUsage `json:"usage_by_model,omitempty"`
	ToolCalls    int                             `json:"tool_calls,omitempty"` // how many tool calls the models have made, including subagents
	Cost         float64                         `json:"cost,omitempty"`       // the cost by Limits.CostOf; 0 without it

	FirstToken time.Duration `json:"-"` // from the beginning to the first text or thinking of the session's own agent; 0 if there was none
	Duration   time.Duration `json:"-"` // from the beginning, when the prompt is sent, to the end
	Waiting    time.Duration `json:"-"` // the time in which a request for approval or a question was open
	ModelTime  time.Duration `json:"-"` // the time of the steps of the session's own agent, each until the message of the model was complete
	ToolTime   time.Duration `json:"-"` // the time of its tool calls, each from the call to the result, without Waiting; the times of parallel calls are added
}

func newTurn(ctx context.Context, s *Session, prompt *wireproto.Frame) *Turn {
	t := &Turn{s: s, caller: ctx, prompt: prompt, queue: newStream(), ended: make(chan struct{}), done: make(chan struct{}), last: "nothing"}
	t.ctx, t.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	return t
}

// begin sends the prompt of a turn that has become the session's current turn. IdleTimeout counts from then on.
func (t *Turn) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over { // the turn was withdrawn
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

// Messages streams the messages that the agent sends in this turn, in order, each once: events, and live requests to
// answer (see [ApprovalRequest]). If the turn does not finish, an error comes last: [ErrCancelled], [ErrMaxSteps], an
// error of the agent, or the reason why the session is over. Leaving the loop early cancels the turn, drops the rest
// and waits for the end of the turn. The session can be used again.
//
// When the ctx of Prompt ends, the loop ends within a second, with the cause of ctx, even if the agent does not react.
// The session then still waits for the agent to end the turn, and the next Prompt waits for that.
//
// Only one loop at a time can read a turn: a second loop gets [ErrReading] at once. A loop that begins while Result
// reads the rest gets only the end.
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

// loop yields the messages. It returns false if yield has returned false.
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

// attach makes the caller the turn's consumer. If there is a consumer already, it returns that one.
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
	if !over { // the body of the loop has panicked
		t.s.relieve()
	}
}

// next takes the next message for the consumer. Before that, it handles the previous message: a live request that was
// neither answered nor held is rejected, so that the agent does not wait for ever.
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
		t.abort(context.Cause(t.caller)) // abort first; a rejection before it would end the turn as finished
	}
	t.s.settle(t.live)
	t.live = nil
}

// drain reads the rest of the turn for the consumer, and waits for the end.
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

// waitEnded waits for the end of the turn, and then a short time until the Observer has it, too.
func (t *Turn) waitEnded() {
	<-t.ended
	t.s.waitObserver(observeGrace)
}

// Result waits for the end of the turn. It drops the messages that Messages has not yielded, and rejects their
// requests. Requests of background agents go to Options.OnMessage instead. The result is never nil: if there is an
// error, it says how far the turn came.
//
// If a loop over Messages runs on another goroutine, Result takes no messages from it. It waits until the turn or the
// loop has ended, and then reads the rest. If Result is called within the loop, it reads the rest, and rejects the
// loop's current request if that has no answer.
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
	r := t.resultLocked() // no lock, because the result does not change any more
	return &r, t.err
}

// Cancel asks the agent to stop the turn. It returns when the turn has ended or ctx is done. A loop can still read the
// messages before the end. If more than 8 MiB wait for the loop, the rest is dropped, and the loop ends with
// [ErrCancelled], unless the turn has finished before. The session can be used again.
//
// After Cancel is called, no handler starts for the turn, and the ctx of running handlers ends. Requests of background
// agents then go to Options.OnMessage.
//
// A command that kimi-cli 1.51.0 starts at the moment of the cancel may run on after the turn. [Session.Close] ends it.
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

// requestCancelLocked asks the agent to cancel the running turn. The caller holds mu and the turn is not over. So the
// agent gets the request before the prompt of a later turn, which it must not cancel. The caller stops the handlers
// only after this, so that the agent does not continue with their last answers.
func (t *Turn) requestCancelLocked() {
	t.s.mu.Lock()
	t.cancelled = true
	t.touch()
	t.s.mu.Unlock()
	// The answer does not matter, because the turn ends with the answer to its prompt.
	t.s.conn.begin(wireproto.MethodCancel, nil, func(json.RawMessage, error) {})
	if t.s.waitsForAnswers {
		t.s.answerAll("the turn was cancelled", func(r *request) bool {
			return r.turn == t && !r.background && r.decline("") != nil
		})
	}
}

// giveUp releases the callers that wait for a turn whose ctx has ended and that the agent does not end. The session
// keeps the turn until the agent has ended it or was killed.
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

// givenUp reports whether a turn that the agent has not ended has ended on this side.
func (t *Turn) givenUp() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// abort cancels the turn for a reason of this side. If the agent does not stop the turn, abort kills the agent.
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

// killDeaf kills the agent at once if the turn was given up and the agent has not ended it.
func (t *Turn) killDeaf() {
	t.mu.Lock()
	deaf := !t.over && t.early != nil
	t.mu.Unlock()
	if deaf {
		t.s.kill(errors.New("client: the agent continued the turn after ctx was done"))
	}
}

// finish ends the turn when the answer to its prompt has come. It runs on the reader's goroutine, so all messages
// before the answer are already in the queue.
func (t *Turn) finish(raw json.RawMessage, err error) {
	t.mu.Lock()
	t.over = true // set before another turn can begin
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
	if unread { // no one reads the turn, and perhaps no one ever will
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
	t.s.commanded(t.command, t.err == nil)
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

// outcome sets the turn's status and returns its error, from the answer to the prompt.
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

// cancelled returns the error of a turn that was cancelled, with the cause if this side cancelled it.
func cancelled(cause error) error {
	switch {
	case cause == nil || errors.Is(cause, ErrCancelled):
		return ErrCancelled
	case errors.Is(cause, ErrIdle), errors.Is(cause, ErrLimit):
		return cause
	}
	return because(ErrCancelled, cause)
}

// account applies a message to the result of the turn. The caller holds s.mu.
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
	case *wireproto.HookResolved:
		if m.Event == "UserPromptSubmit" && m.Action == wireproto.HookBlock { // kimi-cli does not run the command
			t.command = ""
		}
	case *wireproto.StepRetry: // the next attempt begins the message again
		t.text, t.size = t.text[:0], 0
	}
}

// checkIdle aborts the turn if the agent was silent for the whole IdleTimeout. The time in which this side has
// something to do does not count, except in a turn that is being cancelled.
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

// touch restarts the time of silence, because this side has sent something that the agent waited for, or has asked it
// to stop. The caller holds s.mu.
func (t *Turn) touch() { t.lastAt = time.Now() }
