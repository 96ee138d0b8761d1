package bridge_test

import (
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// overFake starts a session on a fake server through a proxy with hooks.
func overFake(t *testing.T, f *webtest.Fake, hooks webtest.Hooks) (*client.Session, error) {
	t.Helper()
	p := webtest.NewProxy(t, f.URL, f.Token, hooks)
	return client.NewSession(within(t, time.Minute), &client.Options{
		Transport: transport{spawn: func() bridge.Child { return f.Use(p.Child()) }},
		WorkDir:   t.TempDir(), ShareDir: t.TempDir(), StopGrace: 20 * time.Second,
	})
}

// told runs the recorded turn on a fake server.
func told(t *testing.T, hooks webtest.Hooks) *tale {
	t.Helper()
	s, err := overFake(t, webtest.NewFake(t), hooks)
	if err != nil {
		t.Fatal(err)
	}
	got := hearTurn(within(t, time.Minute), s, "go", always)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return got
}
