package scenarios_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/scripts/record-fixtures/scenarios"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	dir    = "../../../testdata/fixtures"
	acpDir = "../../../testdata/acp"
)

func path(name string) string { return filepath.Join(dir, name+".jsonl") }

func load(t *testing.T, name string) *fixture.Fixture {
	t.Helper()
	data, err := os.ReadFile(path(name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := fixture.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// In a replay of each recording, the client writes the recorded lines and the checks of the scenario hold.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			opts := &client.Options{Transport: clienttest.Replay(t, path(s.Name)), WorkDir: t.TempDir(), ShareDir: t.TempDir()}
			if err := s.Play(ctx, opts); err != nil {
				t.Error(err)
			}
		})
	}
}

// The client replays old recordings of Kimi Code over ACP, because users have such recordings.
func TestReplayACP(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(acpDir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	list := scenarios.ACP()
	if len(files) != len(list) {
		t.Errorf("%d files and %d scenarios", len(files), len(list))
	}
	for _, s := range list {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			file := filepath.Join(acpDir, s.Name+".jsonl")
			opts := &client.Options{Transport: clienttest.Replay(t, file), WorkDir: t.TempDir(), ShareDir: t.TempDir()}
			if err := s.Play(ctx, opts); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each file belongs to a scenario, has a limited size, and does not change when it is read and written again.
func TestFixtures(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range scenarios.All() {
		if s.Shows == "" || strings.ContainsAny(s.Shows, "|\n") {
			t.Errorf("%s: Shows must be one line for a table: %q", s.Name, s.Shows)
		}
		if slices.Contains(names, s.Name) {
			t.Errorf("there are two scenarios %s", s.Name)
		}
		names = append(names, s.Name)
	}
	slices.Sort(names)
	files, err := filepath.Glob(path("*"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	var total int64
	for _, file := range files {
		found = append(found, strings.TrimSuffix(filepath.Base(file), ".jsonl"))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if total += int64(len(data)); len(data) > 50_000 {
			t.Errorf("%s has %d bytes", file, len(data))
		}
		if bytes.Contains(data, []byte("unknown_event")) {
			t.Errorf("%s has a notification about an event that the bridge does not know", file)
		}
		f, err := fixture.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var again bytes.Buffer
		if err := f.Write(&again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(data), again.String()); diff != "" {
			t.Errorf("%s, read and written (-file +again):\n%s", file, diff)
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff(names, found); diff != "" {
		t.Errorf("scenarios and files (-scenarios +files); run make fixtures:\n%s", diff)
	}
	if total > 1_000_000 {
		t.Errorf("the fixtures have %d bytes", total)
	}
}

func TestREADME(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(scenarios.README()), string(got)); diff != "" {
		t.Errorf("README.md is not what make fixtures writes:\n%s", diff)
	}
}

// The recordings together show every feature of the protocol, except for those in unprovoked.
func TestCoverage(t *testing.T) {
	t.Parallel()
	seen := make(map[scenarios.Feature]bool)
	for _, s := range scenarios.All() {
		if s.KimiCode {
			continue
		}
		for f := range scenarios.Seen(load(t, s.Name)) {
			seen[f] = true
		}
	}
	problems := scenarios.Missing(seen)
	slices.Sort(problems)
	for _, p := range problems {
		t.Error(p)
	}
}

// Each line of the agent decodes without an unknown type, and encodes to equal JSON.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			for i, rec := range load(t, s.Name).Records {
				if rec.From != fixture.Agent || rec.End != nil {
					continue
				}
				f, err := wireproto.DecodeLine([]byte(rec.Line))
				if err != nil {
					if s.Name != "noise" && s.Name != "tombstone" {
						t.Errorf("line %d: %v", i+2, err)
					}
					continue
				}
				unknown(t, i+2, f.Message)
				var out bytes.Buffer
				if err := wireproto.NewEncoder(&out).Encode(f); err != nil {
					t.Fatalf("line %d: %v", i+2, err)
				}
				if diff := cmp.Diff(value(t, []byte(rec.Line)), value(t, out.Bytes())); diff != "" {
					t.Errorf("line %d (-agent +encoded):\n%s", i+2, diff)
				}
			}
		})
	}
}

// unknown fails the test if the message has an unknown type. TestCoverage checks the display blocks.
func unknown(t *testing.T, line int, m wireproto.Message) {
	t.Helper()
	var parts []wireproto.ContentPart
	switch m := m.(type) {
	case *wireproto.UnknownMessage:
		t.Errorf("line %d: unknown message %s", line, m.Type)
	case *wireproto.UnknownPart:
		t.Errorf("line %d: unknown part %s", line, m.Type)
	case *wireproto.SubagentEvent:
		unknown(t, line, m.Event)
	case *wireproto.TurnBegin:
		parts = m.UserInput.Parts
	case *wireproto.SteerInput:
		parts = m.UserInput.Parts
	case *wireproto.ToolResult:
		parts = m.ReturnValue.Output.Parts
	}
	for _, p := range parts {
		unknown(t, line, p)
	}
}

func value(t *testing.T, line []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(line, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// machine matches paths that show on which machine something was recorded.
var machine = regexp.MustCompile(`/root\b|/Users/|/home/[^u]|[A-Z]:\\|python3\.\d|kimi-go-fixture|/tmp/[^f]|/var/|\.kimi/(bin|lib)`)

// No file contains a secret or a path of the machine on which it was recorded.
func TestClean(t *testing.T) {
	t.Parallel()
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Concat(scenarios.Planted, []string{"planted", "expired-"})
	home, _ := os.UserHomeDir() // "" if there is no home
	for _, path := range []string{checkout, home} {
		if len(path) > 1 && !slices.Contains([]string{"/work", "/share", "/home/user", "/tmp", "/kimi"}, path) { // the names of the paths in a recording
			bad = append(bad, path)
		}
	}
	for _, s := range scenarios.All() {
		data, err := os.ReadFile(path(s.Name))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range bad {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %s", s.Name, secret)
			}
		}
		if s.Name == "secrets" && !bytes.Contains(data, []byte("key ***, header ***, token ***")) {
			t.Error("the model did not repeat the secrets")
		}
		if found := machine.Find(data); found != nil {
			t.Errorf("%s holds %q", s.Name, found)
		}
	}
}
