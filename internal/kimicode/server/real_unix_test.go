//go:build unix

package server_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// ready creates a session with a model on the real server.
func ready(t *testing.T, k *webtest.Kimi) string {
	t.Helper()
	var made api.Session
	if err := k.Call(t.Context(), http.MethodPost, "/sessions", api.NewSession{Metadata: api.SessionMetadata{CWD: k.Options.WorkDir}}, &made); err != nil {
		t.Fatal(err)
	}
	var c api.Config
	if err := k.Call(t.Context(), http.MethodGet, "/config", nil, &c); err != nil {
		t.Fatal(err)
	}
	profile := api.Profile{Config: &api.AgentConfig{Model: c.DefaultModel, Permission: api.Manual}}
	if err := k.Call(t.Context(), http.MethodPost, "/sessions/"+made.ID+"/profile", profile, nil); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// The real server: it describes itself, and refuses what it should. It keeps the connection while the reader reads
// nothing for longer than the server waits for a sign of life. It ends only when nothing is connected.
func TestKimi(t *testing.T) {
	k := webtest.NewKimi(t)
	ctx := within(t, 3*time.Minute)
	if meta, err := k.Check(ctx); err != nil || meta.ServerVersion == "" {
		t.Fatalf("check: %+v, %v", meta, err)
	}
	wrong := server.Attach(k.URL, "wrong")
	defer wrong.CloseIdle()
	var e *api.Error
	if err := wrong.Call(ctx, http.MethodGet, "/meta", nil, nil); !errors.As(err, &e) || e.Code != api.CodeUnauthorized {
		t.Errorf("wrong token: %v", err)
	}
	if _, err := wrong.Open(within(t, time.Second), "x"); err == nil || strings.Contains(err.Error(), k.Token) {
		t.Errorf("wrong token: %v", err)
	}
	if err := k.Call(ctx, http.MethodGet, "/sessions/session_none/status", nil, nil); !errors.As(err, &e) || e.Code != api.CodeNoSession {
		t.Errorf("no session: %v", err)
	}
	if err := k.Call(ctx, http.MethodGet, "/nothing", nil, nil); !errors.As(err, &e) || e.Code != api.CodeRouteMissing {
		t.Errorf("no route: %v", err)
	}
	if _, err := k.Open(ctx, "session_none"); !errors.As(err, new(*server.NotFoundError)) {
		t.Errorf("open no session: %v", err)
	}
	if id, err := k.Upload(ctx, "x.png", "image/png", []byte("data")); err != nil || id == "" {
		t.Errorf("upload: %q, %v", id, err)
	}

	id := ready(t, k)
	st, err := k.Open(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	// More events come than may wait for Next, and Next is not called for 25 s. The pongs of the stream keep the
	// connection.
	lines := make([]string, 40)
	for i := range lines {
		lines[i] = "text: x\nwait: 20ms"
	}
	k.Model.Add(strings.Join(lines, "\n"))
	prompt(t, k.Server, id)
	select {
	case <-time.After(25 * time.Second): // the server closes a silent connection after 20 s
	case <-ctx.Done():
	}
	var text strings.Builder
	for item := range st.Items() {
		if item.Gap || item.Lost {
			t.Fatalf("the connection was lost: %+v", item)
		}
		if item.Event.Type == api.TypeAssistantDelta {
			text.WriteString("x")
		}
		if item.Event.Type == api.TypeTurnEnded {
			break
		}
	}
	if text.String() == "" {
		t.Error("no text")
	}

	// The server does not end while a stream is connected, but it stops listening. The stream notices that.
	if err := k.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	select {
	case <-k.Process.Done():
		if err := k.Process.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-ctx.Done():
		t.Error("it has not ended")
	}
	closed(t, st)
	if err := k.Call(ctx, http.MethodGet, "/meta", nil, nil); !errors.As(err, &e) || e.Code != api.CodeConnectionError {
		t.Errorf("after the end: %v", err)
	}
}

// When the server is killed and Last is called, the stream yields the last events and ends.
func TestKimiKilled(t *testing.T) {
	k := webtest.NewKimi(t)
	ctx := within(t, 2*time.Minute)
	id := ready(t, k)
	st, err := k.Open(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	k.Model.Add("text: x\nhang:")
	prompt(t, k.Server, id)
	for item := range st.Items() {
		if item.Event != nil && item.Event.Type == api.TypeAssistantDelta {
			break
		}
	}
	k.Process.Close()
	st.Last()
	for range st.Items() {
	}
	closed(t, st)
	var exit *exec.ExitError
	if err := k.Process.Wait(); !errors.As(err, &exit) {
		t.Errorf("how it ended: %v", err)
	}
}

// Start returns an error for a program that is not a server.
func TestKimiRefuses(t *testing.T) {
	p := webtest.Spawn(t, clienttest.KimiCode(t), "web", "--bogus")
	if _, err := server.Start(within(t, time.Minute), p); !errors.Is(err, server.ErrEnded) {
		t.Error(err)
	}
	if err := p.Wait(); err == nil {
		t.Error("it ended well")
	}
	if _, err := server.Start(within(t, time.Minute), p); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// A killed server leaves its file in the home. The next server removes it; on Windows nothing else does.
func TestKimiInstances(t *testing.T) {
	k := webtest.NewKimi(t)
	instances := func() []string {
		files, err := filepath.Glob(filepath.Join(home.Instances(k.Options.ShareDir), "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	left := instances()
	if len(left) != 1 {
		t.Fatalf("the server that runs has the files %q", left)
	}
	k.Process.Close()
	if _, err := os.Stat(left[0]); err != nil {
		t.Fatalf("the killed server: %v; nothing is left to be removed", err)
	}
	p := webtest.Spawn(t, k.Options, server.Args...)
	s, err := server.Start(within(t, 2*time.Minute), p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.CloseIdle()
	if now := instances(); len(now) != 1 || now[0] == left[0] {
		t.Errorf("the next server has the files %q, was %q", now, left)
	}
}
