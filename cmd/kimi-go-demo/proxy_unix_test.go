//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

func TestProxySignals(t *testing.T) {
	d := bareDemo(t)
	d.fake(t, `trap 'exit 9' INT; echo ready; while read -r line; do :; done; kill -TERM $$`)
	args := []string{"proxy", "--record", filepath.Join(d.work, "rec.jsonl"), "--", filepath.Join(d.work, "kimi"), "--wire"}
	for _, tt := range []struct {
		name string
		act  func(*os.Process, func())
		want string
	}{
		{"passed on", func(p *os.Process, _ func()) { p.Signal(os.Interrupt) }, "exit status 9"},
		{"died of", func(_ *os.Process, closeInput func()) { closeInput() }, "signal: terminated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := d.command(t, args...)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdout.Read(make([]byte, 100)); err != nil { // the program is ready when it writes
				t.Fatal(err)
			}
			tt.act(cmd.Process, func() { stdin.Close() })
			if err := cmd.Wait(); fmt.Sprint(err) != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// The client does not notice a proxy in front of the real kimi, and the proxy's recording can be replayed.
func TestProxyBeforeKimi(t *testing.T) {
	opts := clienttest.Kimi(t,
		"think: hm\ntext: look\n"+clienttest.ToolCall("c1", "Shell", map[string]string{"command": "echo 1"}), "text: done")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	record := filepath.Join(dir, "rec.jsonl")
	proxy := filepath.Join(dir, "kimi")
	script := fmt.Sprintf("#!/bin/sh\n%s=demo exec '%s' proxy --typed --record '%s' -- '%s' \"$@\"\n", programKey, self, record, opts.Executable)
	if err := os.WriteFile(proxy, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	opts.Executable = proxy
	if info, err := client.Inspect(t.Context(), opts); err != nil || info.Version != "1.51.0" {
		t.Errorf("inspect: %+v, %v", info, err)
	}
	turn := func(opts *client.Options) (types []string) {
		t.Helper()
		s, err := client.NewSession(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		turn, err := s.Prompt(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range turn.Messages() {
			if err != nil {
				t.Fatal(err)
			}
			if a, ok := m.(*client.ApprovalRequest); ok {
				a.Approve()
			}
			types = append(types, fmt.Sprintf("%T", m))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return types
	}
	live := turn(opts)
	if !strings.Contains(strings.Join(live, " "), "*client.ApprovalRequest") {
		t.Errorf("no approval in %v", live)
	}
	again := turn(&client.Options{Transport: clienttest.Replay(t, record), WorkDir: t.TempDir()})
	if diff := cmp.Diff(live, again); diff != "" {
		t.Error(diff)
	}
	if data, err := os.ReadFile(record); err != nil || bytes.Contains(data, []byte(opts.WorkDir)) {
		t.Errorf("the recording names the work dir, or: %v", err)
	}
}
