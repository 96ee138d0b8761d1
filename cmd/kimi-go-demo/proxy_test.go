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
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Each line of each recording, of either side, comes out of the types as equal JSON. What is no
// frame is left as it is.
func TestTyped(t *testing.T) {
	files, err := filepath.Glob("../../testdata/fixtures/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	converted := 0
	for _, file := range files {
		rec := fixtureOf(t, file)
		types := newTyped()
		for i, r := range rec.Records {
			line := []byte(r.Line)
			if _, err := wireproto.DecodeLine(line); err != nil || r.Line == "" {
				if got := types.line(r.From, line); !bytes.Equal(got, line) {
					t.Errorf("%s:%d: a line that is no frame was changed to %q", file, i+2, got)
				}
				continue
			}
			out, ok := types.convert(r.From, line)
			switch {
			case ok && sameJSON(line, out):
				converted++
			case strings.Contains(file, "raw-"): // what no client of this module says
			default:
				t.Errorf("%s:%d: from %s\n%s", file, i+2, r.From, cmp.Diff(r.Line, string(out)))
			}
		}
	}
	if converted < 1000 {
		t.Errorf("only %d lines went through the types", converted)
	}
}

func fixtureOf(t *testing.T, file string) *fixture.Fixture {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := fixture.Read(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return rec
}

func TestProxyPassesThrough(t *testing.T) {
	d := bareDemo(t)
	d.fake(t, "/bin/cat; echo err >&2; exit 7")
	kimi := filepath.Join(d.work, "kimi")
	record := filepath.Join(d.work, "rec.jsonl")
	input := "{\"a\": 1}\n\x00\xff\r\n\nhalf a line"
	for _, args := range [][]string{
		{"proxy", "--", kimi, "mcp", "list"},
		{"proxy", "--", kimi, "--wire"},
		{"proxy", "--record", record, "--", kimi, "--wire"},
		{"proxy", "--typed", "--", kimi, "--wire"},
		{"proxy", "--typed", "--record", record, "--", kimi, "--wire"},
	} {
		t.Run(strings.Join(args[1:len(args)-1], " "), func(t *testing.T) {
			got := d.run(t, input, args...)
			if got.stdout != input || got.stderr != "err\n" || got.code != 7 {
				t.Errorf("%+v", got)
			}
		})
	}
	if end := fixtureOf(t, record).Records; end[len(end)-1].End == nil || end[len(end)-1].End.ExitCode != 7 {
		t.Errorf("recorded end: %+v", end[len(end)-1])
	}
	d.run(t, "", "proxy", "--typed").check(t, 2, nil, []string{"name the kimi to run"})
}

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
			if _, err := stdout.Read(make([]byte, 100)); err != nil { // it is ready
				t.Fatal(err)
			}
			tt.act(cmd.Process, func() { stdin.Close() })
			if err := cmd.Wait(); fmt.Sprint(err) != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// The client does not notice a proxy before the real kimi, and what it records can be replayed.
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

func TestReplay(t *testing.T) {
	d := bareDemo(t)
	fixtures, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(fixtures, name) }
	d.run(t, "", "replay", file("tour.jsonl")).check(t, 0,
		[]string{"(thinking)", "SetTodoList", "? Shell wants to run command", "- Hello, world!", "+ Hello, Go!", "[x]", "Done"}, nil)
	d.run(t, "", "replay", "--json", file("fixtures/hello.jsonl")).check(t, 0, []string{`{"type":"TurnBegin"`, `{"type":"TurnEnd"`}, nil)
	d.run(t, "", "replay", "--speed", "1000", file("fixtures/max-steps.jsonl")).check(t, 3, nil, []string{"limit of steps"})
	d.run(t, "", "replay", file("fixtures/crash.jsonl")).check(t, 1, nil, []string{"killed"})
	d.run(t, "", "replay", file("fixtures/README.md")).check(t, 1, nil, []string{"not the header of a recording", "hint:"})
	d.run(t, "", "replay", "--speed=-1", file("tour.jsonl")).check(t, 2, nil, []string{"negative"})
	d.run(t, "", "replay", file("nothing.jsonl")).check(t, 1, nil, []string{"no such file"})
}
