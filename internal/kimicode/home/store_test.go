package home

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The store finds sessions in every form that Kimi Code has used. Kimi Code 2.1.0, 2.0.2, 0.43.1, 0.30.0 and 0.10.0
// wrote the texts.
func TestStoreForms(t *testing.T) {
	home, work := t.TempDir(), "/home/u/w"
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const ws = "sessions/wd_w_0123456789ab/"
	put(ws+"session_web/state.json", `{"id":"session_web","version":2,"cwd":"/home/u/w","createdAt":1,"updatedAt":1795656862724,"archived":false,"custom":{"kimi_go_id":"mine"},"lastPrompt":"hello","title":"T","titleKind":"replaceable","lastTurnReason":"completed"}`)
	put(ws+"session_p/state.json", `{"id":"session_p","version":2,"cwd":"/home/u/w","createdAt":1,"updatedAt":1795656855221,"archived":true,"custom":{},"lastTurnReason":"completed"}`)
	put(ws+"session_030/state.json", `{"createdAt":"2026-11-26T01:37:19.046Z","updatedAt":"2026-11-26T01:37:19.384Z","title":"old","isCustomTitle":false,"custom":{},"workDir":"/home/u/w","lastPrompt":"p"}`)
	put(ws+"session_010/state.json", `{"createdAt":"2026-11-26T01:37:09.910Z","updatedAt":"2026-11-26T01:37:10.133Z","title":"oldest","isCustomTitle":false,"custom":{},"lastPrompt":"p"}`)
	put("sessions/w_other/by-hand/session-meta/state.json", `{"custom":{"cwd":"/home/u/w"},"updatedAt":"no time","lastPrompt":"p"}`)
	put(ws+"session_elsewhere/state.json", `{"cwd":"/home/u/v","updatedAt":1,"lastPrompt":"p"}`)
	put(ws+"session_fresh/state.json", `{"cwd":"/home/u/w","updatedAt":1}`)
	put(ws+"session_fresh/agents/main/wire.jsonl", `{"type":"metadata"}`)
	put(ws+"session_cut/state.json", `{"cwd":"/home/u/w","updatedAt":1}`)
	put(ws+"session_cut/agents/main/wire.jsonl", `{"type":"turn.prompt"}`)
	put(ws+"session_broken/state.json", `{`)
	put("sessions/.index-cache/x/state.json", `{"cwd":"/home/u/w","lastPrompt":"p"}`)
	put("session_index.jsonl", "no JSON\n"+`{"sessionId":"session_010","sessionDir":"/gone","workDir":"/home/u/w"}`+"\n")

	got, err := Sessions(home, work, true)
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	want := []Session{
		{ID: "session_030", WorkDir: work, Title: "old", Created: at("2026-11-26T01:37:19.046Z"), Updated: at("2026-11-26T01:37:19.384Z"), Archived: false},
		{ID: "session_010", WorkDir: work, Title: "oldest", Created: at("2026-11-26T01:37:09.910Z"), Updated: at("2026-11-26T01:37:10.133Z"), Archived: false},
		{ID: "session_web", WorkDir: work, Title: "T", Created: time.UnixMilli(1), Updated: time.UnixMilli(1795656862724), Archived: false},
		{ID: "session_p", WorkDir: work, Title: "", Created: time.UnixMilli(1), Updated: time.UnixMilli(1795656855221), Archived: true},
		{ID: "session_cut", WorkDir: work, Title: "", Created: time.Time{}, Updated: time.UnixMilli(1), Archived: false},
		{ID: "by-hand", WorkDir: work, Title: "", Created: time.Time{}, Updated: time.UnixMilli(0), Archived: false},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
		t.Error(diff)
	}
	for id, want := range map[string]string{
		"session_010": "session_010", "session_030": "session_030", "mine": "session_web", "by-hand": "by-hand", "session_elsewhere": "", "../x": "", "": "",
	} {
		if got := FindSession(home, work, id); got != want {
			t.Errorf("FindSession(%q) = %q, want %q", id, got, want)
		}
	}
	for id, want := range map[string]bool{"session_fresh": true, "session_cut": false, "session_p": false, "session_broken": false, "session_gone": false} {
		if got := Unused(home, id); got != want {
			t.Errorf("Unused(%q) = %t", id, got)
		}
	}
}
