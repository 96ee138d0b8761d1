package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// newUUID returns a random UUID, version 4. kimi makes the ids of its sessions in the same way.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// connect starts the agent and makes the handshake.
func (l *launch) connect(ctx context.Context, transport Transport, id string, approvals Approvals) (s *Session, err error) {
	connected := make(chan struct{})
	defer close(connected)
	defer func() {
		if cleanErr := l.secrets.remove(); cleanErr != nil && err == nil {
			s.Close()
			s, err = nil, cleanErr
		}
	}()
	o := l.opts
	args, err := l.args(id)
	if err != nil {
		return nil, err
	}
	ctx, stop := l.limit(ctx)
	defer stop()
	began := time.Now()
	peer, err := transport.Start(ctx, &Command{Path: l.path, Args: args, Env: l.env, Dir: l.workDir})
	if err != nil {
		if cause := context.Cause(ctx); err == cause {
			err = fmt.Errorf("client: start %s: %w", l.path, cause)
		}
		return nil, byOption(err)
	}
	l.transport = transport
	chain := newSuccession(peer)
	peer = chain
	if o.Record != nil {
		peer = l.record(peer)
	}
	s = &Session{
		opts: o, launch: l, backend: l.backend, peer: chain, id: id, model: l.backend.model(l),
		requests: make(map[*request]struct{}), running: make(map[int]string), closed: make(chan struct{}),
		connected: connected,
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if o.Restart {
		chain.crashed, chain.exited = s.crashed, s.exited
	}
	s.conn = newConn(peer, o.MaxLine, o.Logger, s)
	s.conn.start()
	if err := s.handshake(ctx); err != nil {
		s.kill(err)
		<-s.Done()
		s.endRecording(o.StopGrace) // the error of the start is more useful than an error here
		err = l.diagnose(ctx, s.conn.firstNoise(), err, s.err)
		if left := s.conn.left; left != nil {
			err = fmt.Errorf("%w; %w", err, left)
		}
		return nil, err
	}
	s.setApprovals(approvals)
	l.backend = l.answering(&s.server)
	s.mu.Lock()
	s.backend = l.backend
	s.mu.Unlock()
	if err := s.backend.adopt(s); err != nil {
		s.Close()
		return nil, err
	}
	s.mu.Lock()
	s.processStartedLocked(began, s.model)
	s.mu.Unlock()
	if info := s.info(); info.Newer() != "" {
		o.Logger.Warn("client: this kimi is newer than the newest that was tested", "path", l.path, "version", info.Version, "wire", info.WireVersion, "tested", info.Newer())
	}
	return s, nil
}

// handshake tells the agent what this side can do, and checks that the agent accepts it.
func (s *Session) handshake(ctx context.Context) error {
	var err error
	if s.server, err = s.initialize(ctx); err != nil {
		return err
	}
	wire, _ := wireproto.ParseVersion(s.server.ProtocolVersion)                 // a version that cannot be parsed is the zero version, before all others
	s.waitsForAnswers = wire.Compare(wireproto.Version{Major: 1, Minor: 6}) < 0 // kimi-cli before 1.25
	if err := s.checkServer(); err != nil {
		s.Close() // Close lets kimi end by itself, so that kimi deletes the session without turns
		return err
	}
	return nil
}

// initialize calls initialize. If the agent does not know the method, it returns the zero value.
func (s *Session) initialize(ctx context.Context) (server wireproto.InitializeResult, err error) {
	o := s.opts
	params := &wireproto.InitializeParams{
		ProtocolVersion: wireproto.ProtocolVersion,
		Client:          &wireproto.ClientInfo{Name: "kimi-go", Version: Version},
		Capabilities: &wireproto.ClientCapabilities{
			SupportsQuestion: o.Answer != nil || o.SupportsQuestion,
			SupportsPlanMode: o.SupportsPlanMode,
		},
	}
	for _, t := range o.Tools {
		params.ExternalTools = append(params.ExternalTools, t.declaration())
	}
	params.Hooks = subscriptions(o.Hooks)
	err = s.conn.call(ctx, wireproto.MethodInitialize, params, &server)
	var rpc *wireproto.RPCError
	s.mu.Lock()
	wire := s.backend.kind() == BackendWire
	s.mu.Unlock()
	// A bridge uses the same code for an option that Kimi Code does not support. Its error also has data.
	if wire && errors.As(err, &rpc) && rpc.Code == wireproto.CodeMethodNotFound && (rpc.Data == nil || string(rpc.Data) == "null") {
		// An agent before protocol 1.1 has turns and approvals, and needs no declarations.
		s.opts.Logger.Info("client: the agent has no initialize")
		err = nil
	}
	return server, err
}

// checkServer returns an error for everything that the agent has not accepted, such as a tool that it rejects or a hook
// that would never run. The user must know about these.
func (s *Session) checkServer() error {
	var errs []error
	taken := make(map[string]bool)
	if tools := s.server.ExternalTools; tools != nil {
		for _, t := range tools.Rejected {
			errs = append(errs, fmt.Errorf("client: the agent rejects the tool %q: %.150s; rename it or correct its schema", t.Name, t.Reason))
			taken[t.Name] = true
		}
		for _, name := range tools.Accepted {
			taken[name] = true
		}
	}
	for _, t := range s.opts.Tools {
		if !taken[t.name] {
			errs = append(errs, fmt.Errorf("%w: it takes no Go tools, such as %q; use kimi-cli 1.0 or later", ErrUnsupported, t.name))
		}
	}
	hooks := s.server.Hooks
	for _, h := range s.opts.Hooks {
		switch {
		case hooks == nil:
			errs = append(errs, fmt.Errorf("%w: it has no hooks, such as %s; use kimi-cli 1.28 or later", ErrUnsupported, h.Event))
		case !slices.Contains(hooks.SupportedEvents, h.Event):
			errs = append(errs, fmt.Errorf("%w: it has no hook event %.40q; it has %s", ErrUnsupported, h.Event, strings.Join(hooks.SupportedEvents, ", ")))
		}
	}
	return errors.Join(errs...)
}
