package server_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/kimi-go/kimi-go/internal/kimicode/server"
)

// wrapped is a transport that a program uses in place of the default one, for example to trace requests.
type wrapped struct{ http.RoundTripper }

// The connections for events use the dialer and the certificates that the program has set for its calls, even after
// HTTP/2 was used.
func TestTrustedCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/ws" {
			w.Write([]byte(`{"code":0,"data":{}}`))
			return
		}
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Error(err)
			return
		}
		acked(conn, 0, "E")
		conn.ReadMessage()
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	usual := http.DefaultTransport
	defer func() { http.DefaultTransport = usual }()
	mine := usual.(*http.Transport).Clone()
	mine.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	mine.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"}
	var dialed atomic.Int64
	mine.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	http.DefaultTransport = mine
	s := server.Elsewhere(srv.URL, "t")
	defer s.CloseIdle()
	if err := s.Call(within(t, time.Minute), http.MethodGet, "/x", nil, nil); err != nil {
		t.Fatal(err)
	}
	st, err := s.Open(within(t, time.Minute), "s")
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	if n := dialed.Load(); n != 2 {
		t.Errorf("the program's own way to connect was used %d times", n)
	}
	mine.TLSClientConfig.RootCAs = x509.NewCertPool()
	untrusting := server.Elsewhere(srv.URL, "t")
	defer untrusting.CloseIdle()
	if err := untrusting.Call(within(t, time.Minute), http.MethodGet, "/x", nil, nil); err == nil {
		t.Error("a certificate that is not trusted is accepted")
	}
}

// The program may have replaced the default transport by one of any type.
func TestOtherDefaultTransport(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"code":0,"data":{}}`))
	}))
	defer srv.Close()
	usual := http.DefaultTransport
	defer func() { http.DefaultTransport = usual }()
	http.DefaultTransport = wrapped{usual}
	s := server.Attach(srv.URL, "t")
	defer s.CloseIdle()
	if err := s.Call(within(t, time.Minute), http.MethodGet, "/x", nil, nil); err != nil {
		t.Error(err)
	}
}
