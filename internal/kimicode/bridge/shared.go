package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/kimicode/relay"
)

// A server does not free the memory of sessions that have left it. So after renewAfter sessions, it takes no new ones.
// After renewIdle sessions, it ends as soon as it is empty, and does not wait for new ones.
const (
	renewAfter = 200
	renewIdle  = 50
)

// Shared is a server of Kimi Code for the sessions of many Conns. Their command lines are the same, except for the
// session. The first session starts the server. If a server has ended, or has had many sessions, another one follows. A
// call of a Go tool does not say which session it comes from, so a session with Go tools has its own server.
type Shared struct {
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	open   sync.WaitGroup // the houses that run

	mu      sync.Mutex
	house   *house // the house that takes new sessions; nil for none
	closing bool
	errs    error // errors of houses that were taken down
}

// house is one running server. The mu of its Shared guards the fields from guests on.
type house struct {
	shared *Shared
	hooks  []string
	ctx    context.Context // for the start; ends when no one waits for the start
	cancel context.CancelCauseFunc
	ready  chan struct{} // closed when the server has started or the start has failed
	gone   chan struct{} // closed when the server has ended
	exit   error         // how the server has ended; set before gone is closed
	leave  chan struct{} // closed when the server should end
	l      launched      // set before ready is closed

	guests  int
	had     int              // how many guests there were so far
	leaving bool             // leave is closed, or the server ends by itself
	byID    map[string]*Conn // the sessions that are here
	heard   map[string]bool  // the sessions whose hooks were heard
}

// NewShared returns a server that the first session starts.
func NewShared() *Shared {
	s := new(Shared)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start is [Start] for a session on the shared server.
func (s *Shared) Start(ctx context.Context, cmd *Command, spawn Spawn, tools ToolServer) (*Conn, error) {
	return start(ctx, cmd, &lodging{s, ownServer{spawn, tools}}, nil)
}

// Close ends the server and all sessions that are left, and returns when nothing is left.
func (s *Shared) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.cancel()
	s.open.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errs
}

// lodging gives sessions their places on a shared server.
type lodging struct {
	shared *Shared
	own    ownServer
}

var errSharedClosed = errors.New("the shared server is closed")

func (h *lodging) launch(c *Conn, o translator.Launch) (l launched) {
	if len(o.Tools) > 0 {
		return h.own.launch(c, o)
	}
	known, err := c.set.find()
	if err != nil {
		l.Err = err
		return l
	}
	house, err := h.shared.enter(c.set, o, h.own)
	if err != nil {
		l.Err = err
		return l
	}
	if house == nil {
		return h.own.launch(c, o)
	}
	select {
	case <-house.ready:
	case <-c.ctx.Done():
		house.left("", nil)
		l.Err = context.Cause(c.ctx)
		return l
	}
	l = house.l
	if l.Err != nil {
		house.left("", nil)
		l.parts = parts{}
		return l
	}
	g := &guest{own: &c.own, pid: house.l.parts.child.PID(), gone: house.gone, exit: func() error { return house.exit }, left: make(chan struct{})}
	g.enter = func(session string) bool { return house.entered(session, c) }
	g.heard = func() { c.tell(hooksHeard{}) }
	g.after = func(err error) { house.left(g.session, err) }
	g.part = func(ctx context.Context, session string, q *translator.Quit) error {
		if q != nil && q.DeleteUnused && home.Unused(c.set.home, session) {
			return l.parts.server.DeleteSession(ctx, session)
		}
		return l.parts.server.CloseSession(ctx, session)
	}
	l.parts = parts{server: house.l.parts.server, child: g, guest: g}
	l.SessionID = known
	c.runs(g)
	if known != "" {
		g.is(known)
	}
	return l
}

// enter returns the house for one more session. It returns nil if the house has other hooks than the session.
func (s *Shared) enter(set *settings, o translator.Launch, own ownServer) (*house, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errSharedClosed
	}
	if h := s.house; h != nil && (h.had >= renewAfter || h.hasEnded()) {
		s.house = nil
		h.emptyLocked()
	}
	if s.house == nil {
		h := &house{
			shared: s, hooks: o.Hooks, ready: make(chan struct{}), gone: make(chan struct{}), leave: make(chan struct{}),
			byID: make(map[string]*Conn), heard: make(map[string]bool),
		}
		h.ctx, h.cancel = context.WithCancelCause(s.ctx)
		s.house = h
		s.open.Go(func() { h.run(set, o, own) })
	}
	h := s.house
	if !slices.Equal(h.hooks, o.Hooks) {
		return nil, nil
	}
	h.guests++
	h.had++
	return h, nil
}

// hasEnded reports whether the server has ended. This can be true before run has noticed.
func (h *house) hasEnded() bool {
	select {
	case <-h.gone:
		return true
	default:
		return false
	}
}

// run starts the server, waits until it ends or should end, and ends it.
func (h *house) run(set *settings, o translator.Launch, own ownServer) {
	h.l = setUp(h.ctx, set, o, own, events{hook: h.hook, runs: func(Child) {}})
	child := h.l.parts.child
	if h.l.Err != nil {
		if child != nil && errors.Is(h.l.Err, translator.ErrEnded) {
			h.l.exit = child.Wait()
		}
		h.retire()
		h.exit = h.l.exit
		close(h.gone)
		close(h.ready)
		h.takeDown()
		return
	}
	go func() {
		h.exit = child.Wait()
		close(h.gone)
	}()
	close(h.ready)
	select {
	case <-h.gone:
	case <-h.leave:
		h.end()
	case <-h.shared.ctx.Done():
		h.end()
	}
	h.retire()
	h.takeDown()
	home.Forget(set.home, child.PID())
}

// end ends the server. Usually nothing is connected to it.
func (h *house) end() {
	s, child := h.l.parts.server, h.l.parts.child
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	s.CloseIdle()
	s.Shutdown(ctx)
	again := time.NewTicker(stopAgain)
	defer again.Stop()
	for {
		select {
		case <-h.gone:
			return
		case <-again.C:
			child.Interrupt()
		case <-ctx.Done():
			child.Close()
			<-h.gone
			return
		}
	}
}

func (h *house) takeDown() {
	err := h.l.parts.takeDown()
	if child := h.l.parts.child; child != nil {
		err = errors.Join(err, child.Close())
	}
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	h.shared.errs = errors.Join(h.shared.errs, err)
}

// retire makes the house take no new sessions.
func (h *house) retire() {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	if h.shared.house == h {
		h.shared.house = nil
	}
	h.leaving = true
}

// left notes that a session has left. If err is not nil, the session may go on in the server.
func (h *house) left(session string, err error) {
	s := h.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(h.byID, session)
	h.guests--
	started := false
	select {
	case <-h.ready:
		started = true
	default:
	}
	if err != nil || h.guests == 0 && (h.had >= renewIdle || !started) {
		if s.house == h {
			s.house = nil
		}
	}
	h.emptyLocked()
}

// emptyLocked ends the house if it takes no new sessions and has none.
func (h *house) emptyLocked() {
	if h.shared.house != h && h.guests == 0 && !h.leaving {
		h.leaving = true
		h.cancel(errClosed)
		close(h.leave)
	}
}

// entered notes which Conn gets the hooks of a session, and reports whether a hook of the session was heard before.
func (h *house) entered(session string, c *Conn) bool {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	h.byID[session] = c
	return h.heard[session]
}

// hook passes a hook to its session. The hook at the start of a session can come before the session is known here, so it
// is always allowed. Any other hook of an unknown session blocks.
func (h *house) hook(call *relay.Call) {
	var session string
	json.Unmarshal(call.Data["session_id"], &session)
	start := call.Event == "SessionStart"
	h.shared.mu.Lock()
	if start {
		h.heard[session] = true
	}
	c := h.byID[session]
	h.shared.mu.Unlock()
	switch {
	case start:
		if c != nil {
			c.tell(hooksHeard{})
		}
		call.Allow()
	case c == nil || !c.tell(hookCalled{call}):
		call.Block("the program has closed the session")
	}
}
