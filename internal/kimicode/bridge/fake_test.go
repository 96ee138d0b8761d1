package bridge_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// The connection is lost before, in the middle of, and after each event of a long turn. The client gets everything, and
// nothing twice.
func TestLostSocketFake(t *testing.T) {
	var mu sync.Mutex
	events := 0
	want := told(t, webtest.Hooks{Frame: func(f []byte) ([][]byte, webtest.Cut) {
		mu.Lock()
		defer mu.Unlock()
		events++
		return [][]byte{f}, webtest.Keep
	}})
	if want.Status != "finished" || events < 100 {
		t.Fatalf("%+v, %d events", want, events)
	}
	for n := 1; n <= events; n++ {
		for _, how := range []webtest.Cut{webtest.Before, webtest.Half, webtest.After} {
			t.Run(fmt.Sprint(n, " ", how), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				seen := 0
				got := told(t, webtest.Hooks{Frame: func(f []byte) ([][]byte, webtest.Cut) {
					mu.Lock()
					defer mu.Unlock()
					if seen++; seen == n {
						return [][]byte{f}, how
					}
					return [][]byte{f}, webtest.Keep
				}})
				if diff := cmp.Diff(want, got, sameTale); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}
