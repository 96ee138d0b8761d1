package bridge

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
)

// ownSession is the session that the server has made for a Conn. If the Conn is closed by force before anything was
// asked of the session, the session is removed. Otherwise it would stay in the user's home.
type ownSession struct {
	mu       sync.Mutex
	answered chan struct{} // closed when the server has answered the call that makes it; nil before that call
	id       string        // "" before that answer, and if no session was made
	used     bool          // something was asked of the session, other than its settings
}

// asks notes a call of the server, and returns a context for the call. The context is gone, except for the call that
// makes the session: its context ends later than c's, so that the answer is not lost. The returned function must be
// called with the id of the session, or with "" if there is none.
func (s *ownSession) asks(c *Conn, gone context.Context, call translator.Call) (context.Context, func(id string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if call.Method != http.MethodPost || call.Path != newSession {
		if call.Method == http.MethodPost && strings.HasPrefix(call.Path, newSession+"/") && !strings.HasSuffix(call.Path, "/profile") {
			s.used = true
		}
		return gone, func(string) {}
	}
	if c.ctx.Err() != nil { // the call is not sent
		return gone, func(string) {}
	}
	answered := make(chan struct{})
	s.answered = answered
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(gone))
	stop := context.AfterFunc(gone, func() {
		if c.ctx.Err() != nil { // the Conn has ended, not the server
			waitOr(answered, partTime)
		}
		cancel(context.Cause(gone))
	})
	return ctx, func(id string) {
		s.mu.Lock()
		s.id = id
		s.mu.Unlock()
		close(answered)
		stop()
		cancel(nil)
	}
}

// await waits for the answer to the call that makes the session, for partTime at most.
func (s *ownSession) await() {
	s.mu.Lock()
	answered := s.answered
	s.mu.Unlock()
	if answered != nil {
		waitOr(answered, partTime)
	}
}

// unused returns the id of the session if it was made and nothing was asked of it yet. Otherwise it returns "".
func (s *ownSession) unused() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used {
		return ""
	}
	return s.id
}

func waitOr(c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	}
}
