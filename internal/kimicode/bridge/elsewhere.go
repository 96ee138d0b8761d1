package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
)

// Elsewhere is a server of Kimi Code that runs on another machine, or in a container. Nothing is started or stopped
// there, and no file of its machine is read.
type Elsewhere struct{ URL, Token string }

// Elsewhere's errors.
var (
	ErrToken    = errors.New("the server does not accept the token")
	ErrNotKimi  = errors.New("the server that answers is not Kimi Code")
	ErrOld      = errors.New("the server does not have the version that is needed")
	ErrNoAnswer = errors.New("the server does not answer")
)

// Find asks the server for a session, as [server.Server.FindSession] does.
func (e *Elsewhere) Find(ctx context.Context, workDir, id string) (string, error) {
	s := server.Elsewhere(e.URL, e.Token)
	defer s.CloseIdle()
	if _, err := e.check(ctx, s); err != nil {
		return "", err
	}
	found, err := s.FindSession(ctx, workDir, id)
	return found, e.failed(ctx, err)
}

// Version returns the version of Kimi Code that runs there.
func (e *Elsewhere) Version(ctx context.Context) (string, error) {
	s := server.Elsewhere(e.URL, e.Token)
	defer s.CloseIdle()
	meta, err := e.check(ctx, s)
	if err != nil {
		return "", err
	}
	return meta.ServerVersion, nil
}

// Start is [Start] for a session of the server. It refuses arguments about this machine, and does not use its
// environment. Paths are those of the server's machine.
func (e *Elsewhere) Start(ctx context.Context, cmd *Command) (*Conn, error) {
	set, err := parseFor(cmd, true)
	if err != nil {
		return nil, err
	}
	f := &far{server: server.Elsewhere(e.URL, e.Token)}
	meta, err := e.check(ctx, f.server)
	if err == nil && (set.newest || set.ID != "") {
		f.known, err = f.server.FindSession(ctx, set.WorkDir, set.ID)
		err = e.failed(ctx, err)
	}
	if err != nil {
		f.server.CloseIdle()
		return nil, err
	}
	f.version = meta.ServerVersion
	return connect(ctx, set, f, nil)
}

// check asks the server what it is.
func (e *Elsewhere) check(ctx context.Context, s *server.Server) (*api.Meta, error) {
	if err := s.Call(ctx, "GET", "/meta", nil, nil); err != nil { // Call tries only once, and Check would repeat it
		return nil, e.failed(ctx, err)
	}
	meta, err := s.Check(ctx)
	return meta, e.failed(ctx, err)
}

// failed adds to an error of the server which of Elsewhere's errors it is.
func (e *Elsewhere) failed(ctx context.Context, err error) error {
	var answer *api.Error
	var routes *api.RoutesError
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.As(err, &routes):
		return fmt.Errorf("%w: %w", ErrOld, err)
	case !errors.As(err, &answer):
		return err
	case answer.Code == api.CodeUnauthorized:
		return fmt.Errorf("%w: %w", ErrToken, err)
	case answer.Code == api.CodeConnectionError:
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	case answer.Code == api.CodeRouteMissing:
		return fmt.Errorf("%w: %w", ErrNotKimi, err)
	}
	return err
}

// far is the host of one session elsewhere.
type far struct {
	server  *server.Server
	version string
	known   string // the session to continue, "" for a new one
}

func (f *far) launch(c *Conn, o translator.Launch) (l launched) {
	for option, used := range map[string]bool{"Go tools": len(o.Tools) > 0, "hooks of the program": len(o.Hooks) > 0} {
		if used {
			l.Err = &UnsupportedError{Option: option, Why: "the server runs elsewhere, and does not reach this program"}
			return l
		}
	}
	g := &guest{own: &c.own, left: make(chan struct{}), after: func(error) { f.server.CloseIdle() }}
	g.part = func(ctx context.Context, session string, q *translator.Quit) error {
		switch {
		case q == nil || q.Running:
			return f.server.AbortSession(ctx, session)
		case q.DeleteUnused:
			if s, err := f.server.Session(ctx, session); err == nil && s.LastPrompt == "" {
				return f.server.DeleteSession(ctx, session)
			}
		}
		return nil
	}
	l.parts = parts{server: f.server, child: g, guest: g}
	l.Version, l.SessionID = f.version, f.known
	c.runs(g)
	if f.known != "" {
		g.is(f.known)
	}
	return l
}

// unreached returns the error for a server that was not reached for a long time.
func (f *far) unreached() error {
	return fmt.Errorf("%w at %s for %v", ErrNoAnswer, f.server.URL(), server.Patience)
}
