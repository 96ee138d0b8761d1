//go:build unix

package client

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The session is locked as soon as the start has ended. A process that follows can then lock it again. If the session
// were locked later, the new process would find it in use.
func TestHeldWhenConnected(t *testing.T) {
	dir := t.TempDir()
	kimi := filepath.Join(dir, "kimi")
	script := `#!/bin/sh
read -r line
id=$(printf '%s' "$line" | sed 's/.*"id":"\([0-9]*\)".*/\1/')
echo '{"jsonrpc":"2.0","id":"'$id'","result":{"protocol_version":"1.10","server":{"name":"kimi","version":"1.51.0"},"slash_commands":[]}}'
read -r line
`
	if err := os.WriteFile(kimi, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := newLaunch(&Options{Executable: kimi, WorkDir: dir, ShareDir: dir, Restart: true})
	if err != nil {
		t.Fatal(err)
	}
	program, err := l.find()
	if err != nil {
		t.Fatal(err)
	}
	l.use(program)
	session := kimiCLI{}.sessionDir(l, "x")
	if err := os.MkdirAll(session, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := l.connect(t.Context(), new(processTransport), "x", Approvals{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	held := func(what string) {
		t.Helper()
		f, err := holdSession(session, true)
		f.Close()
		if !errors.Is(err, ErrInUse) {
			t.Errorf("%s: the session is not held: %v", what, err)
		}
	}
	<-s.connected
	held("started")
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for revived := false; !revived; {
		select {
		case <-tick.C:
			s.peer.mu.Lock()
			revived = s.peer.revival != nil && !s.peer.reviving
			s.peer.mu.Unlock()
		case <-s.Done():
			t.Fatal(s.Err())
		case <-t.Context().Done():
			t.Fatal("no process follows")
		}
	}
	held("followed")
	if s.PID() == pid {
		t.Error("it is the same process")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if f, err := holdSession(session, true); f == nil || err != nil {
		t.Errorf("closed: %v", err)
	} else {
		f.Close()
	}
}
