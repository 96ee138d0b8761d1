package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

// After decoding and encoding, each line of each recording, from either side, is equal JSON. A line that is not a frame
// is not changed.
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
			case strings.Contains(file, "raw-"): // lines that no client of this module writes
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
	kimi := d.plays(t, "echo")
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

// If kimi fails at once, the program has the same output and exit status.
func TestWireKimiFails(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	d.plays(t, "fails")
	r := d.run(t, `{"jsonrpc":"2.0","id":"1","method":"initialize","params":{"protocol_version":"1.10"}}`+"\n", "wire")
	if r.stderr != "oops\n" || r.stdout != "" || r.code != 7 {
		t.Errorf("%+v", r)
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
		[]string{"(thinking)", "SetTodoList", "? Shell wants to run a command", "- Hello, world!", "+ Hello, Go!", "[x]", "Done"}, nil)
	d.run(t, "", "replay", "--json", file("fixtures/hello.jsonl")).check(t, 0, []string{`{"type":"TurnBegin"`, `{"type":"TurnEnd"`}, nil)
	d.run(t, "", "replay", "--speed", "1000", file("fixtures/max-steps.jsonl")).check(t, 3, nil, []string{"limit of steps"})
	d.run(t, "", "replay", file("fixtures/crash.jsonl")).check(t, 1, nil, []string{"killed"})
	d.run(t, "", "replay", file("fixtures/README.md")).check(t, 1, nil, []string{"not the header of a recording", "hint:"})
	d.run(t, "", "replay", "--speed=-1", file("tour.jsonl")).check(t, 2, nil, []string{"negative"})
	d.run(t, "", "replay", file("nothing.jsonl")).check(t, 1, nil, []string{"nothing.jsonl", "hint: check the path"})
}
