package client_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// programs are the programs that the test binary can run as, by name, such as agents that misbehave and programs that a
// test kills.
var programs = map[string]func(){}

// programKey names the environment variable that tells the test binary which of the programs to run.
const programKey = "KIMI_GO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programKey); name != "" {
		programs[name]()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// noLeaks fails the test if a goroutine with code of this module still runs at its end. Call it before anything starts
// such a goroutine, in a test that is not parallel.
func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var left []string
		eventually(t, 5*time.Second, func() bool {
			left = nil
			buf := make([]byte, 4<<20)
			for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
				if (strings.Contains(g, "kimi-go/client.") || strings.Contains(g, "kimi-go/internal/kimicode/")) && !strings.Contains(g, "testing.tRunner") {
					left = append(left, g)
				}
			}
			return len(left) == 0
		}, func() string { return "goroutines left:\n" + strings.Join(left, "\n\n") })
	})
}

// eventually calls cond every few milliseconds until it returns true. It is for states that no event reports, such as
// the end of another process or goroutine.
func eventually(t testing.TB, limit time.Duration, cond func() bool, say func() string) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Errorf("after %v: %s", limit, say())
			return
		case <-tick.C:
		}
	}
}
