package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// says is a child that prints a text and keeps running.
type says struct {
	*strings.Reader
	server.Child
	end chan struct{}
}

func (s *says) Read(p []byte) (int, error) {
	if s.Len() > 0 {
		return s.Reader.Read(p)
	}
	<-s.end
	return 0, errors.New("closed")
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestBanner(t *testing.T) {
	for _, test := range []struct{ name, out, url, token string }{
		{"plain", "  Kimi\n  Local:    http://127.0.0.1:46381/#token=ab-C_9\n", "http://127.0.0.1:46381", "ab-C_9"},
		{"logs", `{"level":30}` + "\nKimi server: http://127.0.0.1:9/#token=x\n", "http://127.0.0.1:9", "x"},
		{"after a long line", strings.Repeat("x", 70_000) + "\nLocal: http://127.0.0.1:1/#token=y\n", "http://127.0.0.1:1", "y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			child := &says{Reader: strings.NewReader(test.out), end: make(chan struct{})}
			defer close(child.end)
			s, err := server.Start(within(t, time.Minute), child)
			if err != nil || s.URL() != test.url || s.Token() != test.token {
				t.Fatalf("%+v, %v", s, err)
			}
		})
	}
	t.Run("ends", func(t *testing.T) {
		child := &says{Reader: strings.NewReader("error: no\n"), end: make(chan struct{})}
		close(child.end)
		if _, err := server.Start(within(t, time.Minute), child); !errors.Is(err, server.ErrEnded) {
			t.Error(err)
		}
	})
	t.Run("says nothing", func(t *testing.T) {
		child := &says{Reader: strings.NewReader("starting"), end: make(chan struct{})}
		defer close(child.end)
		if _, err := server.Start(within(t, 20*time.Millisecond), child); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// Each answer without success gives an error. No call takes longer than its context allows.
func TestCall(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/api/v1/") {
		case "good":
			w.Write([]byte(`{"code":0,"data":{"id":"x"}}`))
		case "error":
			w.Write([]byte(`{"code":40901,"msg":"busy"}`))
		case "foreign":
			w.WriteHeader(http.StatusNotFound)
			w.Write([]byte(`<html>`))
		case "no code":
			w.Write([]byte(`{"data":{}}`))
		case "other form":
			w.Write([]byte(`{"code":0,"data":{"id":7}}`))
		case "half":
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"code":0,`))
			panic(http.ErrAbortHandler)
		case "hang up":
			panic(http.ErrAbortHandler)
		case "hang":
			<-release
		case "trickle":
			for {
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-release:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}))
	defer srv.Close()
	defer close(release)
	s := server.Attach(srv.URL, "secret-token")
	defer s.CloseIdle()
	for _, test := range []struct {
		path string
		code int
	}{
		{"good", 0}, {"error", api.CodeBusy}, {"foreign", api.CodeRouteMissing}, {"no code", api.CodeRouteMissing}, {"other form", api.CodeServerFailed},
		{"half", api.CodeConnectionError}, {"hang up", api.CodeConnectionError}, {"hang", api.CodeConnectionError}, {"trickle", api.CodeConnectionError},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if test.path == "hang" || test.path == "trickle" {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		var got struct{ ID string }
		err := s.Call(ctx, http.MethodGet, "/"+strings.ReplaceAll(test.path, " ", "%20"), nil, &got)
		cancel()
		var e *api.Error
		switch {
		case test.code == 0:
			if err != nil || got.ID != "x" {
				t.Errorf("%s: %+v, %v", test.path, got, err)
			}
		case !errors.As(err, &e) || e.Code != test.code || strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: %v, want code %d", test.path, err, test.code)
		}
	}
}

func TestCheck(t *testing.T) {
	f := webtest.NewFake(t)
	s := server.Attach(f.URL, f.Token)
	defer s.CloseIdle()
	if meta, err := s.Check(t.Context()); err != nil || meta.ServerVersion != "2.1.0" {
		t.Errorf("%+v, %v", meta, err)
	}
	p := webtest.NewProxy(t, f.URL, f.Token, webtest.Hooks{Answer: func(_, path string, body []byte) []byte {
		return []byte(strings.ReplaceAll(string(body), "/snapshot", "/new-snapshot"))
	}})
	s = server.Attach(p.URL, p.Token)
	defer s.CloseIdle()
	_, err := s.Check(t.Context())
	var no *api.RoutesError
	if !errors.As(err, &no) || len(no.Missing) != 1 || !strings.Contains(no.Error(), "snapshot") || no.Version != "2.1.0" {
		t.Error(err)
	}
}

// socket returns a server whose connections for events are handled by the given functions, one after another.
func socket(t *testing.T, serve ...func(conn *websocket.Conn, cursor string)) *server.Server {
	var n atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		_, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		var sub struct {
			Payload struct {
				Cursors map[string]json.RawMessage `json:"cursors"`
			} `json:"payload"`
		}
		json.Unmarshal(data, &sub)
		i := int(n.Add(1)) - 1
		serve[min(i, len(serve)-1)](conn, string(sub.Payload.Cursors["s"])) // the last function handles all further connections
	}))
	t.Cleanup(srv.Close)
	s := server.Attach(srv.URL, "t")
	t.Cleanup(s.CloseIdle)
	return s
}

func write(conn *websocket.Conn, format string, args ...any) {
	conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...))
}

func acked(conn *websocket.Conn, seq int, epoch string) {
	write(conn, `{"type":"ack","id":"1","code":0,"payload":{"accepted":["s"],"not_found":[],"resync_required":[],"cursors":{"s":{"seq":%d,"epoch":%q}}}}`, seq, epoch)
}

func event(conn *websocket.Conn, seq int, epoch string) {
	write(conn, `{"type":"e%d","seq":%d,"epoch":%q,"session_id":"s","payload":{}}`, seq, seq, epoch)
}

// got reads n items of a stream, or fewer if it is closed before.
func got(t *testing.T, st *server.Stream, n int) (list []string) {
	t.Helper()
	for range n {
		item, ok, late := st.Take(time.After(30 * time.Second))
		switch {
		case late:
			t.Fatalf("nothing more after %q", list)
		case !ok:
			return append(list, "end")
		case item.Gap:
			list = append(list, fmt.Sprintf("gap %v %d", item.Resync, item.Until))
		case item.Lost:
			list = append(list, "lost "+item.Event.Type)
		default:
			list = append(list, item.Event.Type)
		}
	}
	return list
}

func closed(t *testing.T, st *server.Stream) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		st.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("Close hangs\n%s", buf[:runtime.Stack(buf, true)])
	}
}

func TestStream(t *testing.T) {
	wait := func(conn *websocket.Conn) { conn.ReadMessage() }
	for _, test := range []struct {
		name  string
		serve []func(*websocket.Conn, string)
		want  []string
	}{
		{"doubles and other sessions", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			event(c, 4, "E")
			event(c, 4, "E")
			event(c, 3, "E")
			write(c, `{"type":"x","seq":9,"epoch":"E","session_id":"other","payload":{}}`)
			write(c, `{"type":"ping","payload":{}}`)
			event(c, 5, "E")
			wait(c)
		}}, []string{"e4", "e5"}},
		{"lost, and replayed before the answer", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			event(c, 4, "E")
		}, func(c *websocket.Conn, cursor string) {
			if cursor != `{"epoch":"E","seq":4}` {
				panic(cursor)
			}
			event(c, 5, "E")
			acked(c, 5, "E")
			event(c, 6, "E")
			wait(c)
		}}, []string{"e4", "gap false 5", "e5", "e6"}},
		{"lost again while it replays", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			event(c, 4, "E")
		}, func(c *websocket.Conn, _ string) {
			event(c, 5, "E")
		}, func(c *websocket.Conn, cursor string) {
			if cursor != `{"epoch":"E","seq":4}` {
				panic(cursor)
			}
			event(c, 5, "E")
			acked(c, 5, "E")
			wait(c)
		}}, []string{"e4", "gap false 5", "e5"}},
		{"another epoch", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			event(c, 4, "E")
		}, func(c *websocket.Conn, _ string) {
			acked(c, 1, "F")
			event(c, 2, "F")
			wait(c)
		}}, []string{"e4", "gap true 1", "e2"}},
		{"resync", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			write(c, `{"type":"resync_required","payload":{"reason":"buffer_overflow","current_seq":2000,"epoch":"E"}}`)
			event(c, 2001, "E")
			wait(c)
		}}, []string{"gap true 2000", "e2001"}},
		{"a number is skipped", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			event(c, 5, "E")
			wait(c)
		}, func(c *websocket.Conn, cursor string) {
			event(c, 4, "E")
			event(c, 5, "E")
			acked(c, 5, "E")
			wait(c)
		}}, []string{"gap false 5", "e4", "e5"}},
		{"a number does not come", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			event(c, 5, "E")
			wait(c)
		}, func(c *websocket.Conn, _ string) {
			event(c, 5, "E")
			acked(c, 5, "E")
			event(c, 6, "E")
			wait(c)
		}}, []string{"gap false 5", "lost e5", "e6"}},
		{"no JSON", []func(*websocket.Conn, string){func(c *websocket.Conn, _ string) {
			acked(c, 3, "E")
			write(c, `{"type":`)
			event(c, 4, "E")
			wait(c)
		}}, []string{"of no session: unreadable", "e4"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			st, err := socket(t, test.serve...).Open(within(t, time.Minute), "s")
			if err != nil {
				t.Fatal(err)
			}
			defer closed(t, st)
			if list := got(t, st, len(test.want)); fmt.Sprint(list) != fmt.Sprint(test.want) {
				t.Errorf("got %q, want %q", list, test.want)
			}
		})
	}
}

// Open returns an error at once if the session is not loaded. If the server does not answer, it returns an error when
// the context ends.
func TestOpenFails(t *testing.T) {
	_, err := socket(t, func(c *websocket.Conn, _ string) {
		write(c, `{"type":"ack","id":"1","code":0,"payload":{"accepted":[],"not_found":["s"]}}`)
		c.ReadMessage()
	}).Open(within(t, time.Minute), "s")
	if !errors.As(err, new(*server.NotFoundError)) {
		t.Errorf("not loaded: %v", err)
	}
	began := time.Now()
	_, err = socket(t, func(c *websocket.Conn, _ string) { c.ReadMessage() }).Open(within(t, 100*time.Millisecond), "s")
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 8*time.Second {
		t.Errorf("no answer: %v after %v", err, time.Since(began))
	}
}

// After Last, the stream still yields the events that have come. Close waits neither for a reader nor for a server that
// reads nothing.
func TestEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("last", func(t *testing.T) {
		end := make(chan struct{})
		st, err := socket(t, func(c *websocket.Conn, _ string) {
			acked(c, 0, "E")
			event(c, 1, "E")
			<-end
		}).Open(within(t, time.Minute), "s")
		if err != nil {
			t.Fatal(err)
		}
		st.Last()
		close(end)
		if list := got(t, st, 2); fmt.Sprint(list) != "[e1 end]" {
			t.Errorf("%q", list)
		}
		closed(t, st)
	})
	t.Run("no reader", func(t *testing.T) {
		f := webtest.NewFake(t)
		f.Script = func(string) iter.Seq[[]byte] { return flood(20_000, 1000) }
		s := server.Attach(f.URL, f.Token)
		defer s.CloseIdle()
		st, err := s.Open(within(t, time.Minute), session(t, s))
		if err != nil {
			t.Fatal(err)
		}
		prompt(t, s, "session_fake_1")
		st.Take(nil)
		closed(t, st)
	})
	t.Run("deaf peer", func(t *testing.T) { // its buffers are full, so that not even a pong can be written
		var once sync.Once
		stuck := make(chan struct{})
		st, err := socket(t, func(c *websocket.Conn, _ string) {
			acked(c, 0, "E")
			once.Do(func() { <-stuck })
		}).Open(within(t, time.Minute), "s")
		if err != nil {
			t.Fatal(err)
		}
		closed(t, st)
		close(stuck)
	})
	deadline := time.After(10 * time.Second)
	for runtime.NumGoroutine() > before {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			buf := make([]byte, 1<<20)
			t.Fatalf("goroutines left:\n%s", buf[:runtime.Stack(buf, true)])
		}
	}
}

// flood yields n text events of the given size.
func flood(n, size int) iter.Seq[[]byte] {
	frame := fmt.Appendf(nil, `{"type":"assistant.delta","volatile":true,"session_id":"x","payload":{"agentId":"main","turnId":0,"delta":%q}}`, strings.Repeat("x", size))
	return func(yield func([]byte) bool) {
		for range n {
			if !yield(frame) {
				return
			}
		}
	}
}

func session(t testing.TB, s *server.Server) string {
	t.Helper()
	var made api.Session
	if err := s.Call(t.Context(), http.MethodPost, "/sessions", api.NewSession{Metadata: api.SessionMetadata{CWD: t.TempDir()}}, &made); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func prompt(t testing.TB, s *server.Server, id string) {
	t.Helper()
	body := api.Prompt{Content: []api.Part{{Type: "text", Text: "go"}}, PromptID: "p1"}
	if err := s.Call(t.Context(), http.MethodPost, "/sessions/"+id+"/prompts", body, nil); err != nil {
		t.Fatal(err)
	}
}
