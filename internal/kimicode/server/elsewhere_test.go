package server_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
)

// If a server on another machine refuses connections for a while, the stream waits until it is back, and loads a
// session that the server no longer has loaded. If the server stays away too long, the stream ends.
func TestElsewhereStream(t *testing.T) {
	var cold, loaded atomic.Bool
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/sessions/s/status" {
			loaded.Store(true)
			w.Write([]byte(`{"code":0,"data":{}}`))
			return
		}
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
		if cold.Load() && !loaded.Load() {
			write(conn, `{"type":"ack","id":"1","code":0,"payload":{"accepted":[],"not_found":["s"]}}`)
			return
		}
		acked(conn, 0, "E")
		conn.ReadMessage()
	})
	listen := func(address string) *httptest.Server {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(handler)
		srv.Listener.Close()
		srv.Listener = l
		srv.Start()
		return srv
	}
	end := func(srv *httptest.Server) {
		srv.Listener.Close()
		srv.CloseClientConnections()
	}
	first := listen("127.0.0.1:0")
	address := first.Listener.Addr().String()
	s := server.Elsewhere(first.URL, "t")
	defer s.CloseIdle()
	s.SetPatience(5 * time.Second)
	st, err := s.Open(within(t, time.Minute), "s")
	if err != nil {
		t.Fatal(err)
	}
	end(first)
	cold.Store(true)
	// This is longer than the stream of a server on this machine takes to notice that the server no longer listens.
	if item, ok, late := st.Take(time.After(3 * time.Second)); !late {
		t.Fatalf("while it is away: %+v, %t", item, ok)
	}
	second := listen(address)
	item, ok, _ := st.Take(nil)
	if !ok || !item.Gap || !loaded.Load() {
		t.Fatalf("once it is back: %+v, %t, loaded %t", item, ok, loaded.Load())
	}
	end(second)
	for item := range st.Items() {
		t.Errorf("after its end: %+v", item)
	}
	closed(t, st)
}

// The token is sent only to the server, never to the target of a redirect. The answer of a proxy in front of the server
// gives an error.
func TestElsewhereAnswers(t *testing.T) {
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
	}))
	defer other.Close()
	for _, test := range []struct{ status, code int }{
		{http.StatusTemporaryRedirect, api.CodeRouteMissing}, {http.StatusFound, api.CodeRouteMissing}, {http.StatusOK, api.CodeRouteMissing},
		{http.StatusBadGateway, api.CodeConnectionError}, {http.StatusServiceUnavailable, api.CodeConnectionError},
		{http.StatusUnauthorized, api.CodeUnauthorized},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(test.status)
		}))
		s := server.Elsewhere(srv.URL, "t")
		var e *api.Error
		if err := s.Call(within(t, time.Minute), http.MethodPost, "/meta", struct{}{}, nil); !errors.As(err, &e) || e.Code != test.code {
			t.Errorf("%d: %v", test.status, err)
		}
		if _, err := s.Open(within(t, 100*time.Millisecond), "s"); err == nil {
			t.Errorf("%d: a stream", test.status)
		}
		s.CloseIdle()
		srv.Close()
	}
	if leaked.Load() {
		t.Error("the token was sent on")
	}
}
