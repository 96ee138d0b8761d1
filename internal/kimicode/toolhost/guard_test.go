package toolhost

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// guarded serves an echo through a guard. It returns the guard and its address.
func guarded(t *testing.T) (*guard, string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g := newGuard(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.http.Serve(l)
	}()
	t.Cleanup(func() {
		stop()
		g.http.Close()
		<-done
	})
	return g, l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// However many connections without the token there are, clients with the token can connect.
func TestGuardManyConnections(t *testing.T) {
	g, addr := guarded(t)
	var strangers []net.Conn
	for range 300 {
		strangers = append(strangers, dial(t, addr))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", g.authorization())
	transport := new(http.Transport) // this transport keeps its connection
	defer transport.CloseIdleConnections()
	ask := func() {
		t.Helper()
		req.Body, _ = req.GetBody()
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" || resp.StatusCode != http.StatusOK {
			t.Errorf("answer %q, %v", body, err)
		}
	}
	ask()
	for _, c := range strangers[:300-maxStrangers] {
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Fatalf("the oldest of too many connections is open: %v", err)
		}
	}
	// A client with the token does not count: further connections without the token do not close its connection.
	for range 2 * maxStrangers {
		dial(t, addr)
	}
	ask()
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.strangers); n > maxStrangers {
		t.Errorf("%d strangers", n)
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// A client without the token is disconnected together with the refusal, even if its body is incomplete. A client that
// sends nothing is disconnected after some seconds.
func TestGuardDisconnects(t *testing.T) {
	_, addr := guarded(t)
	for name, tt := range map[string]struct{ send, want string }{
		"without a token":     {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "401"},
		"with another":        {"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n", "401"},
		"before its body":     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "401"},
		"in a body of pieces": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "401"},
		"in its header":       {"GET / HTTP/1.1\r\nHost: x\r\nX-", ""},
		"silent":              {"", ""},
		"a long header":       {"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 64<<10), "431"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, addr)
			start := time.Now()
			if _, err := fmt.Fprint(c, tt.send); err != nil {
				t.Fatal(err)
			}
			first, err := bufio.NewReader(c).ReadString('\n')
			if err != nil && isTimeout(err) || !strings.Contains(first, tt.want) {
				t.Errorf("answer %q, %v", first, err)
			}
			if _, err := io.Copy(io.Discard, c); err != nil && isTimeout(err) {
				t.Errorf("the client is still connected after %v", time.Since(start))
			}
		})
	}
}

// A body must come in time. The answer may take any time.
func TestGuardBody(t *testing.T) {
	var lifted int
	b := &timedBody{io.NopCloser(strings.NewReader("hello")), func() { lifted++ }}
	if data, err := io.ReadAll(b); err != nil || string(data) != "hello" || lifted != 1 {
		t.Errorf("%q, %v, the limit was lifted %d times", data, err, lifted)
	}
}
