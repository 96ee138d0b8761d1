package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
)

// newSession is the path of the call that makes a session.
const newSession = "/sessions"

// partTime is how long a guest that is ended by force may take to leave the server.
const partTime = 2 * time.Second

// guest is a session's place on a server that it shares with other sessions. It stands in for the server's process as
// the [Child] of a Conn: it ends when the session has left the server, or when the server has ended.
type guest struct {
	pid   int
	gone  <-chan struct{}                                       // closed when the server has ended; nil if that cannot be known
	exit  func() error                                          // returns how the server has ended
	enter func(session string) (heard bool)                     // called when the session is on the server; heard says that its hooks were heard already
	heard func()                                                // tells the session that its hooks run
	part  func(context.Context, string, *translator.Quit) error // takes the session off the server; a nil Quit means by force
	own   *ownSession                                           // that of the Conn
	after func(error)                                           // called when the guest has left; the error says that its session may go on

	mu      sync.Mutex
	session string        // "" before it is known
	over    bool          // left is closed
	left    chan struct{} // closed when the guest has left
	why     error         // why the guest has left; set before left is closed
	stays   error         // why the session may go on in the server; nil if it does not
}

// is sets the session of the guest.
func (g *guest) is(session string) {
	g.mu.Lock()
	g.session = session
	g.mu.Unlock()
	if g.enter != nil && g.enter(session) {
		g.heard()
	}
}

// made returns the id of a session from the answer to the call that makes it. It returns "" if the session was not made.
func made(a translator.Answer) string {
	var s api.Session
	if a.Err != nil || json.Unmarshal(a.Data, &s) != nil {
		return ""
	}
	return s.ID
}

// leave takes the session off the server.
func (g *guest) leave(ctx context.Context, q translator.Quit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.partLocked(ctx, &q); err == nil {
		g.overLocked(nil)
	}
}

func (g *guest) partLocked(ctx context.Context, q *translator.Quit) error {
	if g.over || g.session == "" {
		return nil
	}
	select {
	case <-g.gone:
		return nil
	default:
	}
	return g.part(ctx, g.session, q)
}

func (g *guest) overLocked(why error) {
	if g.over {
		return
	}
	select {
	case <-g.gone:
		why = g.exit()
	default:
	}
	g.over, g.why = true, why
	close(g.left)
	if g.after != nil {
		g.after(g.stays)
	}
}

// fail ends the guest with an error, because its server can no longer be reached.
func (g *guest) fail(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.overLocked(why)
}

// Read reads nothing.
func (g *guest) Read([]byte) (int, error) { return 0, io.EOF }

// Interrupt does nothing, because the server has other sessions, too.
func (g *guest) Interrupt() error { return nil }

// Close makes the session leave at once. An error says that the session may go on.
func (g *guest) Close() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), partTime, errors.New("the server did not answer in time"))
	defer cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	var q *translator.Quit
	if id := g.own.unused(); id != "" && id == g.session {
		q = &translator.Quit{Session: id, DeleteUnused: true}
	}
	if err := g.partLocked(ctx, q); err != nil {
		g.stays = fmt.Errorf("the session %s may go on in the server: %w", g.session, err)
	}
	g.overLocked(nil)
	return g.stays
}

// Wait waits until the session has left, or the server has ended.
func (g *guest) Wait() error {
	select {
	case <-g.left:
		return g.why
	case <-g.gone:
		return g.exit()
	}
}

// PID returns the server's process id, or 0 if it is not known.
func (g *guest) PID() int { return g.pid }
