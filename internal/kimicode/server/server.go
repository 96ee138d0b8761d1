// Package server starts and uses "kimi web", the server of Kimi Code. It reads the address that the server prints,
// calls its REST routes, receives its events over a WebSocket, and ends it.
//
// The package follows Kimi Code 2.1.0.
package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// Args is the command line that starts a server on a free port of the loopback interface.
var Args = []string{"web", "--port", "0", "--no-open"}

// Child is the server's process.
type Child interface {
	io.Reader // of its standard output
	// Interrupt asks the process to end.
	Interrupt() error
	// Close ends the process and all that it has started, and returns when they are gone.
	Close() error
	// Wait waits for the end of the process and says how it ended.
	Wait() error
}

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	url   string // for example http://127.0.0.1:46381
	token string
	http  *http.Client
	child Child // nil if this program has not started the server
	far   bool  // whether the server is on another machine

	// These make the connections for events. The program may have set them for its own requests.
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	tls    *tls.Config

	patience time.Duration // how long a stream tries to connect again
}

// banner matches the line that the server prints once it listens: its address, and after the # its token.
var banner = regexp.MustCompile(`(https?://[^\s#/]+)/#token=([A-Za-z0-9_-]+)`)

// Start waits for the banner of a server that was started with [Args]. It reads and drops the rest of the output,
// which contains the token.
func Start(ctx context.Context, child Child) (*Server, error) {
	type found struct {
		url, token string
		err        error
	}
	ch := make(chan found, 1)
	go func() {
		lines := bufio.NewReaderSize(child, 4<<10)
		for {
			line, err := lines.ReadSlice('\n')
			if m := banner.FindSubmatch(line); m != nil {
				ch <- found{url: string(m[1]), token: string(m[2])}
				break
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				ch <- found{err: err}
				return
			}
		}
		io.Copy(io.Discard, lines)
	}()
	select {
	case f := <-ch:
		if f.err != nil {
			return nil, ErrEnded
		}
		return newServer(f.url, f.token, child), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the server has not said where it listens: %w", context.Cause(ctx))
	}
}

// ErrEnded is the error for a server whose output ends before its address.
var ErrEnded = errors.New("the server ended before it said where it listens")

// Attach returns a server on this machine that was not started by this program.
func Attach(url, token string) *Server { return newServer(strings.TrimSuffix(url, "/"), token, nil) }

// Elsewhere returns a server on another machine. Such a server may still be running even if it refuses a connection.
func Elsewhere(url, token string) *Server {
	s := Attach(url, token)
	s.far, s.patience = true, Patience
	return s
}

func newServer(url, token string, child Child) *Server {
	usual, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced the default transport by another type
		usual = &http.Transport{ForceAttemptHTTP2: true, MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second}
	}
	transport := usual.Clone()
	transport.Proxy = nil // a proxy must not see the token
	transport.MaxIdleConnsPerHost = 8
	dialer := transport.DialContext
	if dialer == nil {
		dialer = new(net.Dialer).DialContext
	}
	events := transport.TLSClientConfig.Clone() // Clone also accepts nil
	if events != nil {
		events.NextProtos = nil // a WebSocket needs HTTP/1.1
	}
	return &Server{url: url, token: token, child: child, dialer: dialer, tls: events, http: &http.Client{
		Transport: transport,
		// Go would send the token to another port of the same host, too.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// URL returns where the server listens.
func (s *Server) URL() string { return s.url }

// Token returns the token that gives access to the server. It is a secret.
func (s *Server) Token() string { return s.token }

// Call calls a route below /api/v1 and decodes the data of the answer into result, which may be nil. If there is no
// answer, or the answer reports an error, Call returns an [*api.Error].
func (s *Server) Call(ctx context.Context, method, path string, body, result any) error {
	return s.call(ctx, method, "/api/v1"+path, body, result)
}

// call is Call for any path of the server.
func (s *Server) call(ctx context.Context, method, path string, body, result any) error {
	var reader io.Reader
	kind := ""
	if body != nil {
		raw, err := marshal(body)
		if err != nil {
			return err
		}
		reader, kind = bytes.NewReader(raw), "application/json"
	}
	return s.do(ctx, method, path, kind, reader, result)
}

// marshal does not escape <, > and &, because the server limits the size of a body.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (s *Server) do(ctx context.Context, method, path, kind string, body io.Reader, result any) error {
	fail := func(code int, msg string, err error) error {
		return &api.Error{Method: method, Path: path, Code: code, Msg: msg, Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return fail(api.CodeConnectionError, "the request could not be made", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fail(api.CodeConnectionError, "no answer: "+err.Error(), err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fail(api.CodeConnectionError, "half an answer: "+err.Error(), err)
	}
	var e api.Envelope
	var known struct {
		Code *int `json:"code"`
	}
	if json.Unmarshal(raw, &known) != nil || known.Code == nil || json.Unmarshal(raw, &e) != nil {
		return fail(foreign(resp))
	}
	if e.Code != 0 {
		return fail(e.Code, e.Msg, nil)
	}
	if result == nil || len(e.Data) == 0 {
		return nil
	}
	if raw, ok := result.(*json.RawMessage); ok {
		*raw = e.Data
		return nil
	}
	if err := json.Unmarshal(e.Data, result); err != nil {
		return fail(api.CodeServerFailed, "an answer in another form: "+err.Error(), err)
	}
	return nil
}

// foreign describes an answer that comes from a proxy or another program and not from the server.
func foreign(resp *http.Response) (code int, msg string, err error) {
	msg = fmt.Sprintf("not an answer of Kimi Code's server, HTTP status %d", resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return api.CodeConnectionError, msg, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return api.CodeUnauthorized, msg, nil
	}
	if to, err := resp.Location(); err == nil {
		msg += fmt.Sprintf(", which leads to %.100q", to.Scheme+"://"+to.Host)
	}
	return api.CodeRouteMissing, msg, nil
}

// Upload stores a file on the server and returns its id. A prompt uses the id as a source. An upload may be larger than
// other bodies, whose limit is 1 MiB.
func (s *Server) Upload(ctx context.Context, name, mediaType string, data []byte) (string, error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	w, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", name)},
		"Content-Type":        {mediaType},
	})
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return "", err
	}
	var stored struct {
		ID string `json:"id"`
	}
	err = s.do(ctx, http.MethodPost, "/api/v1/files", form.FormDataContentType(), &b, &stored)
	return stored.ID, err
}

// routes are the routes that this module needs, with the names in /openapi.json.
var routes = map[string]string{
	"/api/v1/meta":                                          "get",
	"/api/v1/auth":                                          "get",
	"/api/v1/config":                                        "get",
	"/api/v1/models":                                        "get",
	"/api/v1/sessions":                                      "post",
	"/api/v1/sessions/{session_id}/profile":                 "post",
	"/api/v1/sessions/{session_id}/status":                  "get",
	"/api/v1/sessions/{session_id}/messages":                "get",
	"/api/v1/sessions/{session_id}/snapshot":                "get",
	"/api/v1/sessions/{session_id}/transcript":              "get",
	"/api/v1/sessions/{session_id}/prompts":                 "post",
	"/api/v1/sessions/{session_id}/prompts/{tail}":          "post",
	"/api/v1/sessions/{session_id}/approvals":               "get",
	"/api/v1/sessions/{session_id}/approvals/{approval_id}": "post",
	"/api/v1/sessions/{session_id}/questions":               "get",
	"/api/v1/sessions/{session_id}/questions/{tail}":        "post",
	"/api/v1/sessions/{session_id}/{tail}":                  "post",
	"/api/v1/files":                                         "post",
	shutdown:                                                "post",
}

const shutdown = "/api/v1/shutdown"

// Check asks the server for its version and checks that it has the routes that this module needs. If it lacks some,
// Check returns an [*api.RoutesError] with their names.
func (s *Server) Check(ctx context.Context) (*api.Meta, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errors.New("the server did not answer in time"))
	defer cancel()
	meta := new(api.Meta)
	err := again(ctx, func() error { return s.Call(ctx, http.MethodGet, "/meta", nil, meta) })
	if err != nil {
		return nil, err
	}
	var missing []string
	err = again(ctx, func() (err error) {
		missing, err = s.missing(ctx)
		return err
	})
	if err != nil {
		return meta, err
	}
	if !meta.Capabilities.WebSocket {
		missing = append(missing, "a WebSocket")
	}
	if len(missing) > 0 {
		return meta, &api.RoutesError{Version: meta.ServerVersion, Missing: missing}
	}
	return meta, nil
}

// again repeats a call until an answer comes. The call must not change anything.
func again(ctx context.Context, call func() error) error {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		err := call()
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.CodeConnectionError || errors.Is(err, syscall.ECONNREFUSED) { // refused: no server runs
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// listens reports whether the server accepts connections. It returns true unless the system says that it does not.
func (s *Server) listens(ctx context.Context) bool {
	if s.far {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(strings.TrimPrefix(s.url, "http://"), "https://"))
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	conn.Close()
	return true
}

// Shutdown asks the server to end. The server does so only when no WebSocket is open.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.Call(ctx, http.MethodPost, "/shutdown", struct{}{}, nil)
	s.CloseIdle() // the server also waits for idle connections
	return err
}

// CloseIdle closes the connections that no call uses.
func (s *Server) CloseIdle() { s.http.CloseIdleConnections() }

// answerTime limits the calls that this package makes by itself.
const answerTime = 30 * time.Second
