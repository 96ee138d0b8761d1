//go:build unix

package client_test

import (
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/kimi-go/kimi-go/client"
)

// Bad files in the place of sessions, pipes without a writer, and endless devices do not block a list, and do not hide
// another session.
func TestListSessionsHostile(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	dir := t.TempDir()
	opts := &client.Options{
		WorkDir: filepath.Join(dir, "work"), ShareDir: filepath.Join(dir, "share"),
		Executable: write(t, filepath.Join(dir, "kimi"), "#!/bin/sh\nexit 1\n", 0o700), // a script, which could be either program
	}
	if err := os.Mkdir(opts.WorkDir, 0o700); err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte(opts.WorkDir))
	cli := func(names ...string) string {
		return filepath.Join(append([]string{opts.ShareDir, "sessions", hex.EncodeToString(sum[:])}, names...)...)
	}
	code := func(names ...string) string {
		return filepath.Join(append([]string{opts.ShareDir, "sessions", "wd_1"}, names...)...)
	}
	const turn = `{"timestamp": 1, "message": {"type": "TurnBegin", "payload": {"user_input": "hello"}}}` + "\n"
	index := filepath.Join(opts.ShareDir, "kimi.json")
	write(t, index, `{"work_dirs": [{"path": "`+opts.WorkDir+`", "kaos": "local"}]}`, 0o600)
	for _, id := range []string{"good", "pipe-context", "pipe-state", "pipe-wire", "zero-state"} {
		write(t, cli(id, "context.jsonl"), `{"role": "user", "content": "hello"}`+"\n", 0o600)
		write(t, cli(id, "wire.jsonl"), turn, 0o600)
	}
	state := func(id string) string {
		return `{"id": "` + id + `", "cwd": "` + opts.WorkDir + `", "title": "T", "lastPrompt": "hello"}`
	}
	write(t, code("session_good", "state.json"), state("session_good"), 0o600)
	for path, target := range map[string]string{
		cli("pipe-context", "context.jsonl"): "", cli("pipe-state", "state.json"): "", cli("pipe-wire", "wire.jsonl"): "",
		cli("zero-state", "state.json"):            "/dev/zero",
		code("session_pipe", "state.json"):         "",
		code("session_zero", "state.json"):         "/dev/zero",
		code("session_alias", "wire-session-id"):   "",
		code("session_alias-2", "wire-session-id"): "/dev/zero",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		var err error
		if target == "" {
			err = syscall.Mkfifo(path, 0o600)
		} else {
			err = os.Symlink(target, path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan []string, 1)
	list := func() {
		found, err := client.ListSessions(opts)
		if err != nil {
			t.Error(err)
		}
		var ids []string
		for _, s := range found {
			ids = append(ids, s.ID)
		}
		slices.Sort(ids)
		done <- ids
	}
	go list()
	e2eSame(t, "sessions", []string{"good", "pipe-state", "pipe-wire", "session_good", "zero-state"}, recv(t, ctx, "the list", done))

	failed := make(chan error, 1)
	go func() {
		_, err := client.ResumeSession(ctx, "nowhere", opts) // also searches for the id under other names
		failed <- err
	}()
	e2eIs(t, "a session that is not there", recv(t, ctx, "the error", failed), client.ErrSessionNotFound)

	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(index, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := client.ListSessions(opts)
		failed <- err
	}()
	if err := recv(t, ctx, "the error", failed); err == nil {
		t.Error("an index that is a pipe gives no error")
	}
}
