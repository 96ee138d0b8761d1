package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Version is the version of this module. kimi learns it in the handshake.
const Version = "0.1.0"

var errNilContext = errors.New("client: nil context; pass context.Background() for none")

// Session is a conversation with one running agent: many turns, one at a time. Any goroutine may call its methods,
// also from inside a loop over a turn.
type Session struct {
	opts    *Options
	launch  *launch
	backend backend // set before NewSession returns; until then under mu
	id      string
	server  wireproto.InitializeResult
	conn    *conn
	peer    *succession // the conn's, under what records it
	// waitsForAnswers is true for an agent that does not end a turn, not even a cancelled one, while one of its
	// requests is open, unless the answer comes directly after the cancellation.
	waitsForAnswers bool
	ctx             context.Context // of handlers outside a turn; ends with the session
	cancel          context.CancelCauseFunc

	mu        sync.Mutex
	turn      *Turn                 // the turn that runs, or that still has to end for the agent
	waiting   []*Turn               // the turns of Queue that have not begun
	changing  chan struct{}         // closed when the model has been changed; nil unless a change is running; there is none during a turn or a replay
	model     string                // see Model
	replay    *replay               // the replay, likewise; never during a turn
	requests  map[*request]struct{} // not answered yet
	asked     uint64                // requests so far
	calls     toolCalls
	meter     meter
	watch     watch
	status    Status
	running   map[int]string // the handlers that run, by number
	lastRun   int
	quiet     chan struct{}           // closed when none runs any more; nil unless Close waits for that
	restarts  int                     // processes that have ended since a turn has finished
	restarted *wireproto.Notification // for the next turn; nil for none
	chosen    string                  // by SetModel; "" for none
	closing   bool                    // Close was called
	killed    error                   // why the agent was ended by force
	err       error                   // why the session is over; set before conn.done is closed

	outside     []outsideMessage // for OnMessage
	outsideSize int              // of their lines
	outsideLost int              // dropped since there was room
	outsideID   uint64           // the goroutine that serves the last of them
	serving     bool             // a goroutine serves OnMessage

	connected chan struct{} // closed when the start is over
	closed    chan struct{} // closed when Close has ended the agent
	closeErr  error         // what it says of that

	held *os.File // keeps others from the session while the agent lives; nil for none
}

// Status is what the agent has last reported about itself.
type Status struct {
	ContextUsage     float64              `json:"context_usage"`      // used part of the context, 0 to 1
	ContextTokens    int                  `json:"context_tokens"`     // tokens that are in the context
	MaxContextTokens int                  `json:"max_context_tokens"` // tokens that fit into the context
	PlanMode         bool                 `json:"plan_mode"`          // whether plan mode is on
	MCP              *wireproto.MCPStatus `json:"mcp_status"`         // nil until kimi reports it, which it does while servers start in a turn
	Usage            wireproto.TokenUsage `json:"token_usage"`        // of all turns of this Session, with subagents
	Approvals        Approvals            `json:"approvals"`          // what runs without a question
}

// NewSession starts an agent and a new session. ctx limits the start only. The caller must call Close. If
// Options.SessionID names a session that exists, the rules of [ResumeSession] apply.
func NewSession(ctx context.Context, opts *Options) (*Session, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	id := l.opts.SessionID
	if id != "" && l.opts.Transport == nil && l.opts.Server == nil {
		for _, b := range l.candidates() {
			if _, err := b.finds(l, id); err != nil {
				return nil, err
			}
		}
	}
	return l.start(ctx, id)
}

// ResumeSession starts an agent that continues a session of the work dir. The id "" means the newest one. If there is
// no such session, or kimi would start it from nothing, the error is [ErrSessionNotFound]. If a program of this
// library has the session of kimi-cli open, in this process or another, the error is [ErrInUse] (not on Windows).
// ResumeSession cannot know whether kimi itself or another client has it open: kimi-cli does not lock a session, and
// both would write into one history. If a session of kimi-cli keeps a mode in which everything runs unasked, and the
// options do not ask for that mode, the error is [ErrUnasked].
func ResumeSession(ctx context.Context, id string, opts *Options) (*Session, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	if own := l.opts.SessionID; own != "" && own != id {
		return nil, fmt.Errorf("client: resume: Options.SessionID %.40q is not the id %.40q; leave it empty", own, id)
	}
	var owner backend
	if l.opts.Server != nil {
		if id, owner, err = l.findElsewhere(ctx, id); err != nil {
			return nil, err
		}
	} else if l.opts.Transport == nil || id == "" {
		if id, owner, err = l.findSession(id); err != nil {
			return nil, err
		}
	} else if err := validSessionID(id); err != nil {
		return nil, fmt.Errorf("client: resume: %w", err)
	}
	s, err := l.start(ctx, id)
	if err != nil {
		return nil, err
	}
	// The program may not be the one that its files showed.
	if l.opts.Transport == nil && s.backend != owner {
		s.Close()
		return nil, fmt.Errorf("%w: session %q does not belong to %s; set Options.Executable to that one", ErrSessionNotFound, id, s.server.Server.Name)
	}
	return s, nil
}

// ID returns the id for [ResumeSession]. kimi deletes a session without turns when it ends.
func (s *Session) ID() string { return s.id }

// Server returns what the agent said in the handshake. It is the zero value if there was no handshake.
func (s *Session) Server() wireproto.InitializeResult { return s.server }

// Model returns the name of the model as the options, the environment or the configuration name it. It is "" if only
// kimi knows it.
func (s *Session) Model() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model
}

// Status returns what the agent has last reported about itself.
func (s *Session) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Done returns a channel that is closed when the session is over: after Close, or when the agent has ended.
func (s *Session) Done() <-chan struct{} { return s.conn.done }

// Err returns nil while the session runs, and [ErrClosed] after Close. Otherwise it says how the agent ended, usually
// with a [*ProcessError].
func (s *Session) Err() error {
	select {
	case <-s.Done():
		return s.err
	default:
		return nil
	}
}

// PID returns the process id of the agent. It is 0 if the agent is not a process.
func (s *Session) PID() int {
	if p, ok := s.conn.peer.(interface{ PID() int }); ok {
		return p.PID()
	}
	return 0
}

// Prompt starts a turn. ctx limits the whole turn: when it ends, the turn is cancelled. The text may be empty if
// there are parts. If a turn is running, the error is [ErrBusy]; [Session.Queue] waits for its end. The ctx of the
// last turn may have ended before the agent has stopped the turn. Then Prompt waits until the agent stops it or is
// killed, at most for Options.StopGrace. If a limit of Options.SessionLimits is used up, the error is a
// [*LimitError].
//
// Text that begins like a slash command, such as "/yolo", is only text unless Options.SlashCommands is set. For
// kimi-cli, Prompt puts a zero-width space (U+200B) before the slash, so that the model reads it as text.
func (s *Session) Prompt(ctx context.Context, text string, parts ...wireproto.ContentPart) (*Turn, error) {
	t, err := s.newPrompt(ctx, text, parts)
	if err != nil {
		return nil, err
	}
	if err := s.occupy(ctx, "prompt", func() { s.turn = t }); err != nil {
		return nil, err
	}
	if err := t.begin(); err != nil {
		s.mu.Lock()
		s.turn = nil
		s.mu.Unlock()
		t.stop(err)
		s.advance()
		return nil, err
	}
	t.watch()
	return t, nil
}

// newPrompt makes a turn that is yet to begin.
func (s *Session) newPrompt(ctx context.Context, text string, parts []wireproto.ContentPart) (*Turn, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	input, err := userInput(text, parts)
	if err != nil {
		return nil, err
	}
	if !s.opts.SlashCommands {
		var command bool
		if input, command = s.backend.words(input); command {
			s.opts.Logger.Info("client: a prompt that begins like a slash command is sent as text; set Options.SlashCommands to run it")
		}
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("client: prompt: %w", err)
	}
	prompt, err := newCall(wireproto.MethodPrompt, wireproto.PromptParams{UserInput: input})
	if err != nil {
		return nil, err
	}
	t := newTurn(ctx, s, prompt)
	if s.opts.SlashCommands {
		t.command = command(text)
	}
	if s.opts.Observer != nil {
		t.input = input
	}
	return t, nil
}

// occupy calls take, under s.mu, when neither a turn nor a replay runs. It only waits for one that was given up on
// this side and that the agent still has to end.
func (s *Session) occupy(ctx context.Context, what string, take func()) error {
	var limit <-chan time.Time
	for {
		var err error
		var settling <-chan struct{}
		s.mu.Lock()
		switch {
		case s.err != nil:
			err = s.err
		case s.closing:
			err = ErrClosed
		case len(s.waiting) > 0, s.changing != nil:
			err = ErrBusy
		case s.turn != nil:
			settling, err = s.turn.done, ErrBusy
			if s.turn.givenUp() {
				err = nil
			}
		case s.replay != nil:
			settling, err = s.replay.done, ErrBusy
			if s.replay.givenUp {
				err = nil
			}
		default:
			take()
		}
		s.mu.Unlock()
		if err != nil || settling == nil {
			return err
		}
		if limit == nil {
			limit = time.After(s.opts.StopGrace)
		}
		select {
		case <-settling:
		case <-s.ctx.Done(): // the session has ended, or is about to
		case <-limit:
			return fmt.Errorf("%w: the agent has not ended it within Options.StopGrace (%v)", ErrBusy, s.opts.StopGrace)
		case <-ctx.Done():
			return fmt.Errorf("client: %s: %w", what, context.Cause(ctx))
		}
	}
}

func userInput(text string, parts []wireproto.ContentPart) (wireproto.Content, error) {
	if strings.TrimSpace(text) == "" && len(parts) == 0 {
		return wireproto.Content{}, errors.New("client: empty prompt; pass a text or a content part")
	}
	c := wireproto.Content{Text: text}
	if len(parts) > 0 {
		if text != "" {
			c.Parts = append(c.Parts, &wireproto.TextPart{Text: text})
		}
		c.Parts = append(c.Parts, parts...)
	}
	if err := c.Sendable(); err != nil {
		return c, fmt.Errorf("client: %w", err)
	}
	return c, nil
}

// Steer adds input to the running turn. A nil error means only that kimi has received the input. If the turn is about
// to end, it may lose the input. A [*wireproto.SteerInput] in the stream shows that the model gets it. If no turn is
// running, the error is [ErrNoTurn].
func (s *Session) Steer(ctx context.Context, text string, parts ...wireproto.ContentPart) error {
	if ctx == nil {
		return errNilContext
	}
	input, err := userInput(text, parts)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t, err := s.turn, s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if t == nil || t.givenUp() {
		return ErrNoTurn
	}
	t.queue.lift() // the answer stands after what the loop has not taken yet
	defer t.queue.lower()
	return s.conn.call(ctx, wireproto.MethodSteer, wireproto.SteerParams{UserInput: input}, nil)
}

// SetPlanMode turns plan mode on or off, also while a turn runs. It returns whether plan mode is on afterwards. If
// the agent has no plan mode, the error is [ErrUnsupported].
func (s *Session) SetPlanMode(ctx context.Context, on bool) (bool, error) {
	if ctx == nil {
		return false, errNilContext
	}
	s.mu.Lock()
	var q *stream
	if s.replay != nil {
		q = s.replay.queue
	}
	if s.turn != nil {
		q = s.turn.queue
	}
	s.mu.Unlock()
	if q != nil {
		q.lift()
		defer q.lower()
	}
	var result wireproto.SetPlanModeResult
	err := s.conn.call(ctx, wireproto.MethodSetPlanMode, wireproto.SetPlanModeParams{Enabled: on}, &result)
	return result.PlanMode, err
}

// Close ends the session. It closes the agent's input and waits, interrupts the agent and waits, and then kills it
// with all processes that it has started. Together this takes little longer than Options.StopGrace. Any goroutine may
// call Close at any time, and again. A running turn ends with [ErrClosed].
//
// When Close begins, the ctx of every running handler ends: tools, hooks, Approve, Answer and OnMessage. No handler
// starts after that, and no request can be answered. Messages that wait for OnMessage are dropped. Close waits for
// the handlers that run. If a handler calls Close itself, Close does not wait for handlers. Options.Observer is told
// of the end, and of nothing after Close.
//
// An error says that the agent had to be killed, that some of its processes may be left, that a handler has not
// returned in time, or that Options.Record could not be written.
func (s *Session) Close() error { return s.close(s.inside()) }

// inside reports whether the caller runs within a handler of this session.
func (s *Session) inside() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.insideLocked()
}

// close is Close. It does not wait for handlers if the caller is inside one.
func (s *Session) close(inside bool) error {
	deadline := time.Now().Add(s.opts.StopGrace)
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	s.mu.Unlock()
	if first {
		s.stop(deadline)
		close(s.closed)
	}
	<-s.closed
	if inside {
		return s.closeErr
	}
	return errors.Join(s.closeErr, s.waitHandlers(deadline), s.endObserver(deadline))
}

// stop ends the agent for Close.
func (s *Session) stop(deadline time.Time) {
	guards := func(r *request) bool {
		req, hook := r.asked.(*wireproto.HookRequest)
		return hook && req.Event == "PreToolUse"
	}
	s.closeRequests(ErrClosed, func(r *request) bool { return !guards(r) })
	s.cancel(ErrClosed)
	s.endWaiting(ErrClosed)
	s.mu.Lock()
	t, replay := s.turn, s.replay
	s.mu.Unlock()
	if t != nil {
		t.stop(ErrClosed)
		t.queue.cancel()
	}
	if replay != nil {
		replay.queue.cancel()
	}
	s.answerAll("the session is closed", guards) // kimi treats requests that are open at the end of its input as allowed
	s.conn.endInput()
	if !waitOr(s.Done(), s.opts.StopGrace*2/3) {
		s.conn.peer.Interrupt()
		if !waitOr(s.Done(), s.opts.StopGrace/3) {
			s.closeErr = fmt.Errorf("client: close: the agent had to be killed: it did not end within Options.StopGrace (%v)", s.opts.StopGrace)
			s.conn.peer.Close()
			<-s.Done()
		}
	}
	s.mu.Lock()
	changing := s.changing
	s.mu.Unlock()
	if changing != nil { // it may just have started another process, and ends it now
		<-changing
	}
	s.peer.awaitStart()
	s.closeErr = errors.Join(s.closeErr, s.endRecording(time.Until(deadline)))
	if left := s.conn.left; left != nil {
		s.closeErr = errors.Join(s.closeErr, fmt.Errorf("client: close: %w", left))
	}
}

// kill ends the agent at once. The session's error then says why.
func (s *Session) kill(why error) {
	s.mu.Lock()
	if s.killed == nil {
		s.killed = why
	}
	s.mu.Unlock()
	s.conn.peer.Close()
}

// exited lets the reader read what is left in the pipe, however slow the consumer is.
func (s *Session) exited() {
	s.mu.Lock()
	t, replay := s.turn, s.replay
	s.mu.Unlock()
	if t != nil {
		t.queue.lift()
	}
	if replay != nil {
		replay.queue.lift()
	}
}

// ended gives the reason why the session is over, ends its requests, and removes what is left of one that was never used.
func (s *Session) ended(exit error) error {
	if r, ok := s.conn.peer.(*recording); ok {
		r.finish(exit)
	}
	s.mu.Lock()
	switch {
	case s.closing:
		s.err = ErrClosed
	case s.killed != nil && exit != nil:
		s.err = because(s.killed, exit)
	case s.killed != nil:
		s.err = s.killed
	case exit != nil:
		s.err = exit
	default:
		s.err = errors.New("client: the agent has ended; continue with ResumeSession")
	}
	err := s.err
	s.held.Close() // of a nil file, too
	forced := s.closing || s.killed != nil
	backend, unused := s.backend, s.meter.turns == 0
	s.mu.Unlock()
	select {
	case <-s.connected:
	default:
		forced = true // the start has failed
	}
	if l := s.launch; forced && unused && l.made && l.opts.Transport == nil {
		backend.discard(s)
	}
	s.closeRequests(err, func(*request) bool { return true })
	s.mu.Lock()
	s.meter.exit = exit
	s.processEndedLocked()
	s.mu.Unlock()
	s.cancel(err)
	s.endWaiting(err)
	return err
}
