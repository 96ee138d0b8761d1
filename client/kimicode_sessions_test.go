//go:build unix

package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// Kimi Code makes the ids of its sessions. An id that a program has chosen is mapped to Kimi Code's id.
func TestKimiCodeSessionIDs(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, "text: one", "text: two", "text: three", "text: four", "text: five")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	named := *opts
	named.SessionID = "my-own.id"
	s := e2eStart(t, ctx, &named)
	id := s.ID()
	if !strings.HasPrefix(id, "session_") {
		t.Errorf("id %q", id)
	}
	e2eText(t, ctx, s, "first", "one")
	closed(t, s)
	for _, tt := range []struct{ name, new, resume, text string }{
		{"the program's id, again", "my-own.id", "", "two"},
		{"the program's id, continued", "", "my-own.id", "three"},
		{"kimi's id, again", id, "", "four"},
	} {
		o := *opts
		if tt.new != "" {
			o.SessionID = tt.new
			s = e2eStart(t, ctx, &o)
		} else {
			s = resumed(t, ctx, tt.resume, &o)
		}
		e2eSame(t, tt.name, id, s.ID())
		e2eText(t, ctx, s, tt.name, tt.text)
		closed(t, s)
	}
	if last := string(m.Requests()[3]); !strings.Contains(last, `"first"`) || !strings.Contains(last, `"three"`) {
		t.Error("the history is not continued")
	}
	list := listed(t, opts)
	if len(list) != 1 || list[0].ID != id || list[0].Title == "" || list[0].WorkDir != opts.WorkDir {
		t.Errorf("listed %+v", list)
	}

	// A session belongs to its work dir. In another work dir, neither id finds it.
	other := *opts
	other.WorkDir = filepath.Join(root(opts), "other")
	if err := os.Mkdir(other.WorkDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{id, "my-own.id"} {
		if s, err := client.ResumeSession(ctx, name, &other); err == nil {
			t.Errorf("%s is continued in another work dir", name)
			s.Close()
		} else {
			e2eIs(t, name, err, client.ErrSessionNotFound)
		}
	}
	other.SessionID = "my-own.id"
	s = e2eStart(t, ctx, &other)
	if s.ID() == id {
		t.Error("a session of another work dir is continued")
	}
	e2eText(t, ctx, s, "elsewhere", "five")
	if last := string(m.Requests()[4]); strings.Contains(last, `"first"`) {
		t.Error("with the history of another work dir")
	}
}

// A session without a turn leaves no files.
func TestKimiCodeUnusedSession(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t)
	opts.SessionID = "never-used"
	s := e2eStart(t, ctx, opts)
	if exists(filepath.Join(opts.ShareDir, "sessions")) {
		codeJournal(t, opts, s.ID()) // the session's files exist
	}
	if _, err := s.SetPlanMode(ctx, true); err != nil {
		t.Error(err)
	}
	closed(t, s)
	dirs, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "wd_*", "session_*"))
	if err != nil || len(dirs) != 0 {
		t.Errorf("left: %q, %v", dirs, err)
	}
	e2eSame(t, "listed", 0, len(listed(t, opts)))
	if _, err := client.ResumeSession(ctx, s.ID(), opts); err == nil {
		t.Error("it can be continued")
	}
}

// One share dir can have the sessions of both programs. Each program lists and finds its own sessions.
func TestKimiCodeBothStores(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	code, cli := clienttest.KimiCode(t, "text: of Kimi Code"), clienttest.Kimi(t, "text: of kimi-cli")
	cli.WorkDir, cli.ShareDir = code.WorkDir, code.ShareDir
	ids := make(map[*client.Options]string)
	for opts, text := range map[*client.Options]string{code: "of Kimi Code", cli: "of kimi-cli"} {
		s := e2eStart(t, ctx, opts)
		e2eText(t, ctx, s, "hi", text)
		ids[opts] = s.ID()
		closed(t, s)
	}
	for opts, id := range ids {
		list := listed(t, opts)
		if len(list) != 1 || list[0].ID != id {
			t.Errorf("%s lists %+v, want %s alone", opts.Executable, list, id)
		}
	}
	for opts, other := range map[*client.Options]*client.Options{code: cli, cli: code} {
		s, err := client.ResumeSession(ctx, ids[other], opts)
		if err == nil {
			s.Close()
		}
		e2eIs(t, "the other's session", err, client.ErrSessionNotFound)
	}
	unknown := *code
	unknown.Executable = write(t, filepath.Join(root(code), "bin", "kimi"), "#!/bin/sh\nexit 1\n", 0o700)
	if list := listed(t, &unknown); len(list) != 2 {
		t.Errorf("a program of which nobody knows lists %+v, want both", list)
	}
}

// A session that this program has not used, but another program has, is not removed.
func TestKimiCodeUsedByAnother(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.KimiCode(t, "text: hello")
	first := e2eStart(t, ctx, opts)
	second, err := client.ResumeSession(ctx, first.ID(), opts)
	if err != nil {
		t.Fatal(err)
	}
	finished(t, ctx, second, "hi", "hello")
	closed(t, first)
	list := listed(t, opts)
	if len(list) != 1 || list[0].ID != first.ID() {
		t.Errorf("listed: %+v", list)
	}
	closed(t, second)
	codeJournal(t, opts, first.ID())
}
