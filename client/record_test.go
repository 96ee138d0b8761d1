package client_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// If Record returns an error, Close returns it.
func TestRecordError(t *testing.T) {
	s, err := client.NewSession(t.Context(), &client.Options{
		Transport: clienttest.NewAgent(t), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Record: fullDisk{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("close: %v", err)
		}
	}
}

// blockedWriter is a writer that blocks until it is released. It reports its first call.
type blockedWriter struct {
	began, free chan struct{}
	once        sync.Once
	writes      atomic.Int64
}

func newBlockedWriter() *blockedWriter {
	return &blockedWriter{began: make(chan struct{}), free: make(chan struct{})}
}

func (b *blockedWriter) Write(p []byte) (int, error) {
	b.once.Do(func() { close(b.began) })
	<-b.free
	b.writes.Add(1)
	return len(p), nil
}

// A blocked writer in Record delays neither a turn nor Close. Close reports that the recording is incomplete, and
// nothing is written after Close has returned.
func TestRecordBlocked(t *testing.T) {
	const grace = time.Second
	record := newBlockedWriter()
	s, err := client.NewSession(t.Context(), &client.Options{
		Transport: clienttest.NewAgent(t, func(turn *clienttest.Turn) {
			for range 100 {
				turn.Say(strings.Repeat("x", 10<<10))
			}
		}), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Record: record, StopGrace: grace, IdleTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-record.began
	turn, err := s.Prompt(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Result(); err != nil {
		t.Error(err)
	}
	start := time.Now()
	for range 2 {
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "incomplete") {
			t.Errorf("close: %v", err)
		}
	}
	if took := time.Since(start); took > grace+20*time.Second {
		t.Errorf("close took %v", took)
	}
	close(record.free)
	if n := record.writes.Load(); n > 1 {
		t.Errorf("%d writes after Close", n)
	}
}

// A start that fails also does not wait for a blocked writer in Record.
func TestRecordBlockedStart(t *testing.T) {
	record := newBlockedWriter()
	defer close(record.free)
	dir := t.TempDir()
	hello, err := os.ReadFile("../testdata/fixtures/hello.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfterN(string(hello), "\n", 3) // the header and the first line of the client
	agent := filepath.Join(dir, "rec.jsonl")
	if err := os.WriteFile(agent, []byte(lines[0]+lines[1]+`{"ms":1,"from":"agent","end":{"exit_code":1,"unasked":true}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = client.NewSession(t.Context(), &client.Options{
		Transport: clienttest.Replay(t, agent), WorkDir: dir, ShareDir: dir, Record: record, StopGrace: 100 * time.Millisecond,
	})
	var exit *client.ProcessError
	if !errors.As(err, &exit) {
		t.Errorf("start: %v", err)
	}
}

// The recording has the lines of both directions in their order, and the end of the agent as the last line.
func TestRecordOrder(t *testing.T) {
	var record bytes.Buffer
	say := func(turn *clienttest.Turn) { turn.Say("one"); turn.Say("two") }
	s, err := client.NewSession(t.Context(), &client.Options{
		Transport: clienttest.NewAgent(t, say, say), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Record: &record,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		turn, err := s.Prompt(t.Context(), "go")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := turn.Result(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(record.String()) {
		for _, word := range []string{`"fixture"`, "initialize", "protocol_version", `\"prompt\"`, "TurnBegin", `\"one\"`, `\"two\"`, "finished", `"end"`} {
			if strings.Contains(line, word) {
				got = append(got, word)
				break
			}
		}
	}
	turn := []string{`\"prompt\"`, "TurnBegin", `\"one\"`, `\"two\"`, "finished"}
	want := slices.Concat([]string{`"fixture"`, "initialize", "protocol_version"}, turn, turn, []string{`"end"`})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, record.String())
	}
}
