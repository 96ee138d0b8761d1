package webtest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// Fate says what a [Proxy] does with a call.
type Fate int

// The fates of a call.
const (
	Pass Fate = iota
	Drop      // the server does not get the call
	Lose      // the server gets the call, but its answer is lost
)

// Cut says where a [Proxy] cuts the connection at a frame.
type Cut int

// The cuts.
const (
	Keep Cut = iota
	Before
	Half // in the middle of the frame
	After
)

// Hooks say what a [Proxy] does. A nil hook changes nothing. Hooks may be called from several goroutines at once.
type Hooks struct {
	Call   func(method, path string) Fate
	Answer func(method, path string, body []byte) []byte
	Frame  func(frame []byte) (frames [][]byte, cut Cut)
	Closed func() // called when a connection for events has ended
}

// Proxy stands between a server and its client.
type Proxy struct {
	URL    string
	Token  string
	hooks  Hooks
	target string
	server *httptest.Server

	mu       sync.Mutex
	shutdown func()
	streams  map[*websocket.Conn]bool
}

type connKey struct{}

// halved is a connection that can cut its next write in the middle.
type halved struct {
	net.Conn
	mu   sync.Mutex
	half bool
}

func (c *halved) Write(p []byte) (int, error) {
	c.mu.Lock()
	half := c.half
	c.mu.Unlock()
	if half {
		c.Conn.Write(p[:len(p)/2])
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

type halvedListener struct{ net.Listener }

func (l halvedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &halved{Conn: c}, nil
}

// NewProxy returns a proxy for a server. The proxy ends with the test.
func NewProxy(t interface{ Cleanup(func()) }, url, token string, hooks Hooks) *Proxy {
	p := &Proxy{Token: token, hooks: hooks, target: url, streams: make(map[*websocket.Conn]bool)}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Listener = halvedListener{p.server.Listener}
	p.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	p.server.Start()
	p.URL = p.server.URL
	t.Cleanup(p.Close)
	return p
}

// Child returns a child that prints the address of the proxy. The call that asks the server to end ends only the child,
// once no connection for events is open.
func (p *Proxy) Child() *Child {
	c := NewChild(p.URL, p.Token)
	p.mu.Lock()
	p.shutdown = func() { c.End(nil) }
	p.mu.Unlock()
	return c
}

// Cut cuts the connections for events.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.streams {
		go c.Close()
	}
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	p.Cut()
	p.server.CloseClientConnections()
	p.server.Close()
}

// ServeHTTP passes a call to the server, as the hooks say.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/ws") {
		p.stream(w, r)
		return
	}
	hangUp := func() { panic(http.ErrAbortHandler) }
	fate := Pass
	if p.hooks.Call != nil {
		fate = p.hooks.Call(r.Method, r.URL.Path)
	}
	if fate == Drop {
		hangUp()
	}
	p.mu.Lock()
	shutdown := p.shutdown
	p.mu.Unlock()
	if shutdown != nil && strings.HasSuffix(r.URL.Path, "/shutdown") {
		io.WriteString(w, `{"code":0,"data":{}}`)
		shutdown()
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		hangUp()
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		hangUp()
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		hangUp()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || fate == Lose {
		hangUp()
	}
	if p.hooks.Answer != nil {
		answer = p.hooks.Answer(r.Method, r.URL.Path, answer)
	}
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	w.Write(answer)
}

// stream passes the frames of a connection for events, one by one.
func (p *Proxy) stream(w http.ResponseWriter, r *http.Request) {
	if p.hooks.Closed != nil {
		defer p.hooks.Closed()
	}
	up, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(p.target, "http")+r.URL.Path, http.Header{"Authorization": r.Header["Authorization"]})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer down.Close()
	p.mu.Lock()
	p.streams[down] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.streams, down)
		p.mu.Unlock()
	}()
	go func() {
		defer up.Close()
		for {
			kind, data, err := down.ReadMessage()
			if err != nil || up.WriteMessage(kind, data) != nil {
				return
			}
		}
	}()
	for {
		kind, data, err := up.ReadMessage()
		if err != nil {
			return
		}
		frames, cut := [][]byte{data}, Keep
		if p.hooks.Frame != nil {
			frames, cut = p.hooks.Frame(data)
		}
		switch cut {
		case Before:
			return
		case Half:
			if c, ok := r.Context().Value(connKey{}).(*halved); ok {
				c.mu.Lock()
				c.half = true
				c.mu.Unlock()
			}
		}
		for _, frame := range frames {
			if down.WriteMessage(kind, frame) != nil {
				return
			}
		}
		if cut == After {
			return
		}
	}
}
