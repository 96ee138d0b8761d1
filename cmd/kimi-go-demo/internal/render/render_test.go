package render_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sgr matches the styles that a Renderer writes.
var sgr = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33|36)m")

// messages reads a file with one envelope on each line.
func messages(t *testing.T, name string) []wireproto.Message {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []wireproto.Message
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m, err := wireproto.UnmarshalMessage(lines.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, m)
	}
	return list
}

func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		opts        render.Options
		colour      bool
	}{
		{"turn", "turn.jsonl", render.Options{}, false}, // recorded with kimi-cli 1.51.0
		{"turn-colour", "turn.jsonl", render.Options{}, true},
		{"turn-quiet", "turn.jsonl", render.Options{Quiet: true}, false},
		{"events", "events.jsonl", render.Options{Inputs: true}, false},
		{"subagents", "subagents.jsonl", render.Options{}, false},
		{"hostile", "hostile.jsonl", render.Options{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := render.New(screen.NewWriter(&out, tt.colour), tt.opts)
			for _, m := range messages(t, tt.input) {
				if err := r.Message(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Fresh(); err != nil {
				t.Fatal(err)
			}
			if bare := sgr.ReplaceAllString(out.String(), ""); strings.ContainsAny(bare, "\x1b\r\x07\u009b\u202e") {
				t.Errorf("control characters of the messages got through: %q", bare)
			}
			path := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
				t.Errorf("(-want +got), -update rewrites:\n%s", diff)
			}
		})
	}
}

// When Message returns, the text of the message is written. It does not wait for the next message.
func TestStreaming(t *testing.T) {
	var out bytes.Buffer
	r := render.New(screen.NewWriter(&out, false), render.Options{})
	head, rest := `{"command": "ec`, `ho 1"}`
	steps := []struct {
		m    wireproto.Message
		want string
	}{
		{&wireproto.TextPart{Text: "He"}, "He"},
		{&wireproto.TextPart{Text: "llo"}, "Hello"},
		{&wireproto.ToolCall{ID: "1", Function: wireproto.ToolCallFunction{Name: "Shell", Arguments: &head}}, "Hello\n• Shell"},
		{&wireproto.ToolCallPart{ArgumentsPart: &rest}, "Hello\n• Shell"},
		{&wireproto.StatusUpdate{}, "Hello\n• Shell echo 1\n"},
	}
	for _, s := range steps {
		if err := r.Message(s.m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.want, out.String()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", s.m.MessageType(), diff)
		}
	}
}

type full struct{ n int }

func (w *full) Write(p []byte) (int, error) {
	if w.n--; w.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

var errFull = errors.New("no space left")

func TestWriterFails(t *testing.T) {
	r := render.New(screen.NewWriter(&full{1}, false), render.Options{})
	if err := r.Message(&wireproto.TextPart{Text: "a"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the error stays
		if err := r.Message(&wireproto.TextPart{Text: "b"}); !errors.Is(err, errFull) {
			t.Errorf("Message = %v, want %v", err, errFull)
		}
	}
}
