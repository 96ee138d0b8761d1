//go:build unix

package acpbridge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHome(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{[]string{"HOME=/h"}, "/h/.kimi-code"},
		{[]string{"HOME=/h", "KIMI_CODE_HOME=/c"}, "/c"},
		{[]string{"HOME=/h", "KIMI_CODE_HOME=/c", "KIMI_SHARE_DIR=/s"}, "/s"},
		{[]string{"HOME=/h", "HOME=/i", "KIMI_CODE_HOME="}, "/i/.kimi-code"},
		{[]string{"HOME=/h", "KIMI_CODE_HOME=c"}, "/dir/c"},
		{[]string{"HOME="}, ""},
		{nil, ""},
	} {
		if got := filepath.ToSlash(Home(tt.env, "/dir")); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.env, got, tt.want)
		}
	}
}

// home makes a home of Kimi Code: a file for each path below sessions.
func home(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, "sessions", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSessions(t *testing.T) {
	state := func(id, cwd, more string) string {
		return `{"id":"` + id + `","cwd":"` + cwd + `","updatedAt":1700000000123` + more + `}`
	}
	dir := home(t, map[string]string{
		"wd_a_1/session_1/state.json":       state("session_1", "/w", `,"title":"One","lastPrompt":"hi"`),
		"wd_a_1/session_2/state.json":       state("session_2", "/w", `,"archived":true,"lastPrompt":"hi"`),
		"wd_a_1/session_3/state.json":       state("session_3", "/w", ""),                       // has had no turn
		"wd_b_2/session_4/state.json":       state("session_4", "/other", `,"lastPrompt":"hi"`), // of another work dir
		"wd_b_2/session_4/wire-session-id":  "my-id",
		"wd_a_1/session_5/state.json":       "{",
		"wd_a_1/session_6/agents/x":         "",
		"wd_a_1/note.txt":                   "",
		"d41d8cd98f/ses/state.json":         state("ses", "/w", `,"lastPrompt":"hi"`), // of kimi-cli
		"wd_c_3/session_7/state.json":       state("session_7", "/w", ""),
		"wd_c_3/session_7/wire-session-id":  "my-id",
		"wd_c_3/session_8/state.json":       state("session_8", "/w", ""),
		"wd_c_3/session_8/wire-session-id":  "session_1", // the alias of one is the id of another
		"wd_c_3/session_9/sub/state.json":   state("sub", "/w", `,"lastPrompt":"hi"`),
		"wd_c_3/session_10/state.json":      state("session_10", "/w", ""),
		"wd_c_3/session_10/wire-session-id": "my-id-2\n",
	})
	got, err := Sessions(dir, "/w")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b Session) int { return strings.Compare(a.ID, b.ID) })
	at := time.UnixMilli(1700000000123)
	want := []Session{{ID: "session_1", WorkDir: "/w", Title: "One", UpdatedAt: at}, {ID: "session_2", WorkDir: "/w", UpdatedAt: at, Archived: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for id, want := range map[string]string{
		"session_1": "session_1", "session_3": "session_3", "session_4": "", "session_6": "", "my-id": "session_7", "my-id-2": "",
		"": "", "none": "", "ses": "", "../wd_a_1/session_1": "", `..\session_1`: "", "note.txt": "", ".": "", "..": "",
	} {
		if got := FindSession(dir, "/w", id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}

	if got, err := Sessions(t.TempDir(), "/w"); err != nil || got != nil {
		t.Errorf("no sessions: %+v, %v", got, err)
	}
	broken := home(t, nil)
	if err := os.WriteFile(filepath.Join(broken, "sessions"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Sessions(broken, "/w"); err == nil || got != nil {
		t.Errorf("sessions is a file: %+v, %v", got, err)
	}
	if got := FindSession(broken, "/w", "x"); got != "" {
		t.Errorf("sessions is a file: %q", got)
	}
}

func TestNeverPrompted(t *testing.T) {
	const journal = `{"type":"metadata"}` + "\n"
	const prompt = `{"type":"turn.prompt","agentId":"main"}` + "\n"
	for name, tt := range map[string]struct {
		state, journal string // "" for none
		want           bool
	}{
		"new":                      {`{"id":"s"}`, journal, true},
		"new, no journal yet":      {`{"id":"s"}`, "", true},
		"new, state half written":  {`{"id":"s`, journal, true},
		"prompted":                 {`{"id":"s","lastPrompt":"hi"}`, journal + prompt, false},
		"prompted just now":        {`{"id":"s"}`, journal + prompt, false},
		"prompted, journal gone":   {`{"id":"s","lastPrompt":"hi"}`, "", false},
		"nothing can be read":      {"", "", false},
		"nothing, but half of one": {`{"id":`, "", false},
	} {
		dir := t.TempDir()
		for path, text := range map[string]string{"state.json": tt.state, "agents/main/wire.jsonl": tt.journal} {
			path = filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if text == "" {
				continue
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := neverPrompted(dir); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
