package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
)

// PoolOptions say how many sessions a [Pool] has. With the zero value, it has one session at a time, which starts when
// NewSession is called.
type PoolOptions struct {
	// Max limits how many sessions exist at the same time: sessions that are ready, sessions that start, and sessions
	// that NewSession has returned and that are not over. Default: Warm, but at least 1.
	Max int
	// Warm is how many sessions the pool keeps ready, as far as Max allows. Default: 0.
	Warm int
}

// Pool returns sessions that it has started before they are needed. All sessions have the same options. Any goroutine
// may call its methods.
//
// With kimi-cli, each session is a process. With Kimi Code 2.x, the sessions of a pool share one server, and a session
// needs only some megabytes. With Options.Tools, each session has its own server, because a call of a tool does not say
// which session it belongs to. If a shared server ends, all its sessions end with the error, and the pool starts
// another server. A server does not free the memory of sessions that have ended. So the pool uses a new server after
// 200 sessions, and the old server ends with its last session.
type Pool struct {
	opts      *Options
	max, warm int
	shared    *bridge.Shared
	ctx       context.Context // the ctx of the starts; it ends with Close
	cancel    context.CancelCauseFunc
	open      sync.WaitGroup // counts the goroutines of the pool
	done      chan struct{}  // closed when Close has ended all sessions
	closeErr  error          // the error of the shared server; set before done is closed

	mu       sync.Mutex
	ready    []*Session            // the oldest first
	out      map[*Session]struct{} // sessions that callers have and that are not over
	starting int
	waiting  []*poolCall // calls of NewSession in their order
	closed   bool
	ending   []*Session  // sessions that Close ends
	failures int         // starts that failed, and sessions that ended while they were ready, since the last one was handed out
	failed   error       // the error of the last start; nil if that start succeeded
	pause    *time.Timer // the pause before the next start; nil if a start is possible now
}

// poolCall is a call of NewSession that waits.
type poolCall struct{ answer chan poolAnswer } // holds one answer

type poolAnswer struct {
	s   *Session
	err error
}

// The pause between starts after a start has failed. It doubles with each further failure.
const (
	poolPauseFirst = 100 * time.Millisecond
	poolPauseMost  = 30 * time.Second
)

// NewPool makes a pool and begins to start its warm sessions. The caller must call Close. An error is about the
// options. If a session does not start, [Pool.NewSession] returns the error. Options.SessionID and Options.Record are
// for one session, so they give an [*OptionError].
func NewPool(opts *Options, p PoolOptions) (*Pool, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	switch {
	case o.SessionID != "":
		return nil, &OptionError{Option: "SessionID", Reason: "the sessions of a pool have ids of their own", Remedy: "leave it empty"}
	case o.Record != nil:
		return nil, &OptionError{Option: "Record", Reason: "the sessions of a pool would write into one recording", Remedy: "record a session that NewSession starts"}
	case p.Max < 0 || p.Warm < 0:
		return nil, errors.New("client: pool: PoolOptions has a negative number")
	case p.Max > 0 && p.Warm > p.Max:
		return nil, fmt.Errorf("client: pool: Warm (%d) is more than Max (%d); raise Max", p.Warm, p.Max)
	}
	if p.Max == 0 {
		p.Max = max(p.Warm, 1)
	}
	pool := &Pool{
		opts: o, max: p.Max, warm: p.Warm, shared: bridge.NewShared(), done: make(chan struct{}), out: make(map[*Session]struct{}),
	}
	pool.ctx, pool.cancel = context.WithCancelCause(context.Background())
	pool.mu.Lock()
	defer pool.mu.Unlock()
	pool.fillLocked()
	return pool, nil
}

// NewSession returns a session. If no session is ready, it waits until one has started or, if Max sessions are in use,
// until one of them is over. Callers are served in the order of their calls. ctx limits only the wait.
//
// The caller must call Close on the session, which frees its place. If a session does not start, all callers that wait
// get the error. After that, the pool starts nothing for a pause of 0.1 s to 30 s, and NewSession returns the same
// error at once.
func (p *Pool) NewSession(ctx context.Context) (*Session, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("client: pool: %w", err)
	}
	call := &poolCall{make(chan poolAnswer, 1)}
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return nil, errPoolClosed
	case p.failed != nil && p.pause != nil && len(p.ready) == 0 && p.placesLocked() > 0:
		defer p.mu.Unlock()
		return nil, p.failed
	}
	p.waiting = append(p.waiting, call)
	p.serveLocked()
	p.mu.Unlock()
	select {
	case a := <-call.answer:
		return a.s, a.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if i := slices.Index(p.waiting, call); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.mu.Unlock()
		return nil, fmt.Errorf("client: pool: no session became free: %w", context.Cause(ctx))
	}
	p.mu.Unlock()
	a := <-call.answer // the answer came at the same time as the end of ctx
	return a.s, a.err
}

// errPoolClosed is ErrClosed with a text for pools.
var errPoolClosed error = poolClosed{}

type poolClosed struct{}

func (poolClosed) Error() string { return "client: the pool is closed; make another one with NewPool" }

func (poolClosed) Unwrap() error { return ErrClosed }

// Close ends the pool and all its sessions, also those that callers have. It returns when all of them have ended. Calls
// of NewSession that wait return [ErrClosed]. Close may be called again. If a handler of one of the sessions calls it,
// it does not wait for handlers. An error is an error of [Session.Close].
func (p *Pool) Close() error {
	p.mu.Lock()
	first := !p.closed
	if first {
		p.closed = true
		for _, call := range p.waiting {
			call.answer <- poolAnswer{err: errPoolClosed}
		}
		p.waiting = nil
		if p.pause != nil {
			p.pause.Stop()
		}
		p.ending = slices.AppendSeq(slices.Clone(p.ready), maps.Keys(p.out))
	}
	sessions := p.ending
	p.mu.Unlock()
	if first {
		p.cancel(ErrClosed)
		closeAll(sessions, true) // do not wait for handlers here, because a handler may wait in another call of Close
		p.open.Wait()
		if err := p.shared.Close(); err != nil {
			p.closeErr = fmt.Errorf("client: close: %w", err)
		}
		close(p.done)
	}
	<-p.done
	p.mu.Lock()
	sessions = p.ending // includes the sessions whose start has ended in the meantime
	p.mu.Unlock()
	return errors.Join(closeAll(sessions, slices.ContainsFunc(sessions, (*Session).inside)), p.closeErr)
}

// closeAll closes sessions in parallel.
func closeAll(sessions []*Session, inside bool) error {
	errs := make([]error, len(sessions))
	var closing sync.WaitGroup
	for i, s := range sessions {
		closing.Go(func() { errs[i] = s.close(inside) })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// placesLocked returns how many more sessions may be started.
func (p *Pool) placesLocked() int { return p.max - p.starting - len(p.ready) - len(p.out) }

// serveLocked gives ready sessions to the callers that wait, and starts the sessions that are missing.
func (p *Pool) serveLocked() {
	for len(p.waiting) > 0 && len(p.ready) > 0 {
		s := p.ready[0]
		p.ready = p.ready[1:]
		if s.Err() != nil {
			continue // watch handles the end of this session
		}
		p.out[s] = struct{}{}
		p.failures = 0
		p.waiting[0].answer <- poolAnswer{s: s}
		p.waiting = p.waiting[1:]
	}
	p.fillLocked()
}

// fillLocked starts the sessions that are missing. It starts at most as many at once as there are processors, because a
// start needs processor time.
func (p *Pool) fillLocked() {
	for !p.closed && p.pause == nil && p.starting < runtime.GOMAXPROCS(0) && p.placesLocked() > 0 &&
		p.starting+len(p.ready) < p.warm+len(p.waiting) {
		p.starting++
		p.open.Go(p.start)
	}
}

// start starts a session.
func (p *Pool) start() {
	s, err := p.launch()
	p.mu.Lock()
	p.starting--
	switch {
	case err != nil && !p.closed:
		for _, call := range p.waiting {
			call.answer <- poolAnswer{err: err}
		}
		p.waiting, p.failed = nil, err
		p.restLocked()
	case err == nil && !p.closed:
		p.failed = nil
		p.ready = append(p.ready, s)
		p.open.Go(func() { p.watch(s) })
		p.serveLocked()
	}
	closed := p.closed
	if closed && s != nil {
		p.ending = append(p.ending, s)
	}
	p.mu.Unlock()
	if closed && s != nil {
		s.close(true) // Pool.Close waits for the handlers of this session
	}
}

func (p *Pool) launch() (*Session, error) {
	l, err := newLaunch(p.opts)
	if err != nil {
		return nil, err
	}
	l.shared = p.shared
	return l.start(p.ctx, "")
}

// restLocked starts the pause before the next start.
func (p *Pool) restLocked() {
	p.failures++
	rest := poolPauseMost
	if n := p.failures - 1; n < 16 {
		rest = min(poolPauseFirst<<n, poolPauseMost)
	}
	if p.pause != nil {
		p.pause.Stop()
	}
	var pause *time.Timer
	pause = time.AfterFunc(rest, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.pause == pause {
			p.pause = nil
			p.fillLocked()
		}
	})
	p.pause = pause
}

// watch waits for the end of a session and frees its place. A session that ends before a caller gets it is replaced.
func (p *Pool) watch(s *Session) {
	<-s.Done()
	p.mu.Lock()
	_, out := p.out[s]
	delete(p.out, s)
	if i := slices.Index(p.ready, s); i >= 0 {
		p.ready = slices.Delete(p.ready, i, i+1)
	}
	if !out && !p.closed {
		p.opts.Logger.Warn("client: a session of a pool has ended before it was used", "session", s.ID(), "error", s.Err())
		p.restLocked()
	}
	p.serveLocked()
	closed := p.closed
	p.mu.Unlock()
	if !out && !closed { // otherwise the caller or Pool.Close closes the session
		s.Close()
	}
}
