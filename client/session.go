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

// Version is the version of this module. kimi gets it in the handshake.
const Version = "0.1.0"

var errNilContext = errors.New("client: nil context; pass context.Background() for none")

// Session is a conversation with one running agent. It has many turns, one at a time. Any goroutine may call its
// methods, also from inside a loop over a turn.
type Session struct {
	opts    *Options
	launch  *launch
	backend backend // set before NewSession returns; until then guarded by mu
	id      string
	server  wireproto.InitializeResult
	conn    *conn
	peer    *succession // the connection to the agent, without the wrapper that records it
	// waitsForAnswers is true for an agent that does not end a turn while one of its requests is open, unless the
	// answer comes directly after the cancellation. Even a cancelled turn then waits.
	waitsForAnswers bool
	ctx             context.Context // the ctx of handlers outside of turns; it ends with the session
	cancel          context.CancelCauseFunc

	mu        sync.Mutex
	turn      *Turn                 // the turn that runs, or that the agent has not ended yet
	waiting   []*Turn               // the turns of Queue that have not begun
	changing  chan struct{}         // closed when a change of the model is complete; nil if there is none, as always during a turn or a replay
	model     string                // see Model
	replay    *replay               // the replay that runs, or that the agent has not ended yet; nil during a turn
	requests  map[*request]struct{} // the requests that have no answer yet
	asked     uint64                // how many requests there have been
	calls     toolCalls
	meter     meter
	watch     watch
	status    Status
	running   map[int]string // the handlers that run, by number
	lastRun   int
	quiet     chan struct{}           // closed when no handler runs any more; nil unless Close waits for that
	restarts  int                     // how many processes have ended since the last finished turn
	restarted *wireproto.Notification // the Notification for the next turn; nil if there is none
	chosen    string                  // the model that SetModel has chosen; "" if there is none
	otherMode string                  // the command of a mode that is on in addition to that of Approvals.All; turns set it, one at a time
	closing   bool                    // Close was called
	killed    error                   // why the agent was ended by force
	err       error                   // why the session is over; set before conn.done is closed

	outside     []outsideMessage // the messages that wait for OnMessage
	outsideSize int              // the size of their lines, in bytes
	outsideLost int              // how many messages were dropped since the window was full
	outsideID   uint64           // the number of the goroutine that last called OnMessage
	serving     bool             // a goroutine calls OnMessage

	connected chan struct{} // closed when the start has ended
	closed    chan struct{} // closed when Close has ended the agent
	closeErr  error         // the error of Close

	held *os.File // the lock of the session while the agent lives; nil if there is none
}

// Status is the state that the agent has last reported.
type Status struct {
	ContextUsage     float64              `json:"context_usage"`      // the part of the context that is used, from 0 to 1
	ContextTokens    int                  `json:"context_tokens"`     // tokens that are in the context
	MaxContextTokens int                  `json:"max_context_tokens"` // tokens that fit into the context
	PlanMode         bool                 `json:"plan_mode"`          // whether plan mode is on
	MCP              *wireproto.MCPStatus `json:"mcp_status"`         // nil until kimi reports it; kimi reports it while servers start in a turn
	Usage            wireproto.TokenUsage `json:"token_usage"`        // the usage of all turns of this Session, including subagents
	Approvals        Approvals            `json:"approvals"`          // which actions run without a question
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

// ResumeSession starts an agent that continues a session of the work dir. The id "" means the newest session. If there
// is no such session, or if kimi would start it from nothing, the error is [ErrSessionNotFound]. If a program with this
// library has the session of kimi-cli open, in this process or another, the error is [ErrInUse] (not on Windows).
// ResumeSession cannot know whether kimi itself or another client has it open: kimi-cli does not lock a session, and
// both would write into one history. If a session of kimi-cli keeps a mode in which everything runs without a question,
// and the options do not have that mode, the error is [ErrUnasked].
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
	// The program that has answered may not be the one that its files showed.
	if l.opts.Transport == nil && s.backend != owner {
		s.Close()
		return nil, fmt.Errorf("%w: session %q does not belong to %s; set Options.Executable to the program that the session belongs to", ErrSessionNotFound, id, s.server.Server.Name)
	}
	return s, nil
}

// ID returns the id of the session, for [ResumeSession]. kimi deletes a session without turns when it ends.
func (s *Session) ID() string { return s.id }

// Server returns what the agent said in the handshake. It is the zero value for an agent without initialize.
func (s *Session) Server() wireproto.InitializeResult { return s.server }

// Model returns the name of the model that the options, the environment, the configuration or [Session.SetModel] give.
// It is "" if only kimi knows the model.
func (s *Session) Model() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.model
}

// Status returns the state that the agent has last reported.
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

// Prompt starts a turn. ctx limits the whole turn: when it ends, the turn is cancelled. The text may be empty if there
// are parts. If a turn is running, the error is [ErrBusy]; use [Session.Queue] to wait for its end. If the ctx of the
// last turn has ended and the agent has not stopped that turn yet, Prompt waits until the agent stops it or is killed,
// at most for Options.StopGrace. If a limit of Options.SessionLimits is used up, the error is a [*LimitError].
//
// A text that begins like a slash command, such as "/yolo", is only text unless Options.SlashCommands is set. For
// kimi-cli, Prompt puts a zero-width space (U+200B) before the slash, so that kimi-cli does not read the text as a
// command.
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

// newPrompt makes a turn that has not begun yet.
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
		t.command = command(input)
	}
	if s.opts.Observer != nil {
		t.input = input
	}
	return t, nil
}

// occupy calls take, under s.mu, when neither a turn nor a replay runs. If one runs, occupy returns ErrBusy. But if
// this side has given it up and the agent has not ended it yet, occupy waits for its end.
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
		case <-s.ctx.Done(): // the session has ended or is about to end
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
// to end, kimi may lose the input. A [*wireproto.SteerInput] in the stream shows that the model gets it. If no turn is
// running, the error is [ErrNoTurn].
//
// If the turn ends before the model gets the input, Kimi Code keeps the input in the conversation. The SteerInput then
// goes to Options.OnMessage or to the next turn, with which the model gets the input.
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
	t.queue.lift() // the answer comes after messages that the loop has not read yet
	defer t.queue.lower()
	return s.conn.call(ctx, wireproto.MethodSteer, wireproto.SteerParams{UserInput: input}, nil)
}

// SetPlanMode turns plan mode on or off, also while a turn runs. It returns whether plan mode is then on. If the agent
// has no plan mode, the error is [ErrUnsupported].
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

// Close ends the session. It closes the agent's input and waits. If the agent does not end, Close interrupts it and
// waits again, and then kills it with all processes that it has started. Together this takes little longer than
// Options.StopGrace. Any goroutine may call Close at any time, and again. A running turn ends with [ErrClosed].
//
// When Close begins, the ctx of every running handler ends: of tools, hooks, Approve, Answer and OnMessage. No handler
// starts after that, and no request can be answered. Messages that wait for OnMessage are dropped. Close waits for the
// handlers that run. If a handler calls Close itself, Close does not wait for handlers. Options.Observer gets the end
// of the session, and nothing after Close.
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

// close does what Close does. It does not wait for handlers if the caller is inside one.
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
	s.answerAll("the session is closed", guards) // kimi allows the actions of hooks that are open at the end of its input
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
	if changing != nil { // a change of the model may just have started another process; it then ends that process
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

// exited lets the reader read the rest of the pipe, even if the loop is slow.
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

// ended returns why the session is over. It closes the requests of the session. If the session was never used, it
// removes the files that the start has made.
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
	s.held.Close() // held may be nil; Close of a nil file is harmless
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
