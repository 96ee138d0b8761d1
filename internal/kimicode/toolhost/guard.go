package toolhost

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// headerTimeout is how long a connection may take to send its header, and bodyTimeout how long its body may take
	// after that. Both are short, because the client is on this machine.
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	// maxStrangers is how many connections without the token may be open. One more closes the oldest of them. This does
	// not hinder a client that knows the token, because it sends the token at once.
	maxStrangers = 32
	maxHeader    = 16 << 10
)

// guard serves HTTP only to clients that know its token. Every program on the machine can connect. A client without the
// token is refused and disconnected. It cannot use up the program's file descriptors, and costs the program little
// time.
type guard struct {
	token string
	http  *http.Server

	mu        sync.Mutex
	strangers []net.Conn // oldest first
}

// connKey is the key for the connection in the context of a request.
type connKey struct{}

// newGuard returns a guard that passes requests with the token to next. The contexts of the requests end with ctx.
func newGuard(ctx context.Context, next http.Handler) *guard {
	g := &guard{token: rand.Text()}
	g.http = &http.Server{
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // print nothing
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				g.meet(c)
			case http.StateClosed, http.StateHijacked:
				g.forget(c)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn := http.NewResponseController(w)
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(g.authorization())) != 1 {
				w.Header().Set("Connection", "close")
				conn.SetReadDeadline(time.Now()) // do not read the rest of the request
				http.Error(w, "no token", http.StatusUnauthorized)
				return
			}
			if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
				g.forget(c)
			}
			if r.ContentLength != 0 {
				conn.SetReadDeadline(time.Now().Add(bodyTimeout))
				r.Body = &timedBody{r.Body, func() { conn.SetReadDeadline(time.Time{}) }}
			}
			next.ServeHTTP(w, r)
		}),
	}
	return g
}

// authorization returns the header with which a request proves that it knows the token.
func (g *guard) authorization() string { return "Bearer " + g.token }

func (g *guard) meet(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strangers = append(g.strangers, c)
	if len(g.strangers) > maxStrangers {
		g.strangers[0].Close()
		g.strangers = slices.Delete(g.strangers, 0, 1)
	}
}

func (g *guard) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.strangers, c); i >= 0 {
		g.strangers = slices.Delete(g.strangers, i, i+1)
	}
}

// timedBody removes the time limit of the connection once the body was read, because the answer may take long.
type timedBody struct {
	io.ReadCloser
	lift func()
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.lift()
	}
	return n, err
}
