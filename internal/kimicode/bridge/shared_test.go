package bridge_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// houses has fake servers that sessions share.
type houses struct {
	t      *testing.T
	shared *bridge.Shared
	stuck  bool  // sessions cannot be closed
	fails  error // the error of each start; nil if starts succeed

	mu    sync.Mutex
	fakes []*webtest.Fake
	kids  []*webtest.Child
}

func newHouses(t *testing.T) *houses {
	h := &houses{t: t, shared: bridge.NewShared()}
	t.Cleanup(func() {
		if err := h.shared.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// Start is the transport of a session.
func (h *houses) Start(ctx context.Context, cmd *client.Command) (client.Conn, error) {
	return h.shared.Start(ctx, (*bridge.Command)(cmd), func(context.Context, *bridge.Command, string, []string) (bridge.Child, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		f := webtest.NewFake(h.t)
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, of := strings.CutPrefix(r.URL.Path, "/api/v1/sessions/")
			closes := of && !strings.Contains(session, "/") || strings.HasSuffix(r.URL.Path, "/sessions:restore")
			switch {
			case closes && h.stuck:
				w.WriteHeader(http.StatusInternalServerError)
			case closes:
				w.Write([]byte(`{"code":0,"data":{}}`))
			default:
				f.ServeHTTP(w, r)
			}
		}))
		h.t.Cleanup(front.Close)
		child := f.Use(webtest.NewChild(front.URL, f.Token))
		h.fakes, h.kids = append(h.fakes, f), append(h.kids, child)
		if h.fails != nil {
			child.End(h.fails)
			return endedChild{child}, nil
		}
		return child, nil
	}, bridge.ServeTools)
}

// endedChild is a child that says nothing before its end.
type endedChild struct{ *webtest.Child }

func (c endedChild) Read([]byte) (int, error) {
	<-c.Done()
	return 0, errors.New("closed")
}

// session starts a session.
func (h *houses) session() *client.Session {
	h.t.Helper()
	s, err := client.NewSession(within(h.t, time.Minute), &client.Options{
		Transport: h, WorkDir: h.t.TempDir(), ShareDir: h.t.TempDir(), StopGrace: 20 * time.Second,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { s.Close() })
	return s
}

func (h *houses) close(s *client.Session) {
	h.t.Helper()
	if err := s.Close(); err != nil {
		h.t.Error(err)
	}
}

func (h *houses) servers(want int) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kids) != want {
		h.t.Fatalf("%d servers were started, want %d", len(h.kids), want)
	}
}

// ended waits for the end of a server.
func (h *houses) ended(n int) {
	h.t.Helper()
	select {
	case <-h.kids[n].Done():
	case <-time.After(20 * time.Second):
		h.t.Fatalf("the server %d has not ended", n)
	}
}

// A server that has had many sessions takes no new ones, and ends with its last one. An empty server ends earlier.
func TestSharedRenewed(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		h := newHouses(t)
		for range 50 {
			h.close(h.session())
		}
		h.servers(1)
		h.ended(0)
		h.session()
		h.servers(2)
	})
	t.Run("in use", func(t *testing.T) {
		t.Parallel()
		h := newHouses(t)
		last := h.session()
		for range 199 {
			h.close(h.session())
		}
		h.servers(1)
		h.session()
		h.servers(2)
		select {
		case <-h.kids[0].Done():
			t.Error("the server has ended before its last session")
		default:
		}
		h.close(last)
		h.ended(0)
	})
}

// The sessions of a server end with it, and with Shared.Close. A server that cannot close a session takes no new
// sessions.
func TestSharedEnds(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		h := newHouses(t)
		sessions := []*client.Session{h.session(), h.session()}
		h.servers(1)
		h.fakes[0].Kill()
		for _, s := range sessions {
			<-s.Done()
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("the session: %v", err)
			}
		}
		h.session()
		h.servers(2)
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		h := newHouses(t)
		s := h.session()
		if err := h.shared.Close(); err != nil {
			t.Error(err)
		}
		h.ended(0)
		h.fakes[0].Kill() // ends the connections, as the end of a real process does
		<-s.Done()
	})
	t.Run("stuck", func(t *testing.T) {
		t.Parallel()
		h := newHouses(t)
		h.stuck = true
		s, err := client.NewSession(within(t, time.Minute), &client.Options{
			Transport: h, WorkDir: t.TempDir(), ShareDir: t.TempDir(), StopGrace: 100 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "may go on") {
			t.Errorf("close: %v", err)
		}
		h.ended(0)
		h.stuck = false
		h.session()
		h.servers(2)
	})
	t.Run("not started", func(t *testing.T) {
		t.Parallel()
		h := newHouses(t)
		h.fails = errors.New("exit status 3")
		for range 2 {
			if _, err := client.NewSession(within(t, time.Minute), &client.Options{Transport: h, WorkDir: t.TempDir(), ShareDir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "status 3") {
				t.Errorf("start: %v", err)
			}
		}
		h.servers(2)
	})
}
