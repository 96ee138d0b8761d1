//go:build unix

package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// sessionFolders returns the folders of sessions that are in the share dir.
func sessionFolders(t testing.TB, opts *client.Options) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, path := range all {
		if name := filepath.Base(filepath.Dir(path)); !strings.HasPrefix(name, ".") { // names with a dot are Kimi Code's index
			folders = append(folders, path)
		}
	}
	return folders
}

// appears waits until there are at least n folders of sessions.
func appears(t testing.TB, opts *client.Options, n int) {
	t.Helper()
	eventually(t, 2*time.Minute, func() bool { return len(sessionFolders(t, opts)) >= n }, func() string { return "no session is begun" })
}

// A start that is ended by force leaves no new session, and removes no session that was there before.
func TestBackendsForcedStart(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, "text: one")
		s := e2eStart(t, ctx, opts)
		e2eText(t, ctx, s, "hello", "one")
		id := s.ID()
		closed(t, s)
		before := sessionFolders(t, opts)

		enough := errors.New("enough")
		short, cancel := context.WithCancelCause(ctx)
		started := make(chan error, 1)
		go func() {
			s, err := client.NewSession(short, opts)
			if err == nil {
				s.Close()
			}
			started <- err
		}()
		appears(t, opts, len(before)+1)
		cancel(enough)
		if err := recv(t, ctx, "the start's end", started); err != nil {
			e2eIs(t, "the start", err, enough)
		}
		e2eSame(t, "folders after a start", before, sessionFolders(t, opts))

		p := pooled(t, opts, client.PoolOptions{Warm: 1})
		appears(t, opts, len(before)+1)
		closedPool(t, p)
		e2eSame(t, "folders after a pool", before, sessionFolders(t, opts))

		short, cancel = context.WithCancelCause(ctx)
		cancel(enough)
		if _, err := client.ResumeSession(short, id, opts); !errors.Is(err, enough) {
			t.Errorf("resume: %v", err)
		}
		model.Add("text: two")
		e2eText(t, ctx, resumed(t, ctx, id, opts), "hello again", "two")
	})
}

func closedPool(t testing.TB, p *client.Pool) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Errorf("close the pool: %v", err)
	}
}
