//go:build unix

package clienttest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// A test is skipped if there is no kimi. It is not skipped if a kimi is slow or does not start.
func TestInspectSkips(t *testing.T) {
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "kimi")
		if err := os.WriteFile(path, []byte("#!"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		path    string
		timeout time.Duration
		skips   bool
	}{
		"none":                    {path: "/gone/kimi", skips: true},
		"another":                 {path: script("/bin/sh\necho '{\"kimi_cli_version\":\"1.0\",\"wire_protocol_version\":\"1.1\"}'"), skips: true},
		"not kimi":                {path: script("/bin/sh\nexit 3"), skips: true},
		"slow":                    {path: script("/bin/sh\nexec sleep 100"), timeout: 300 * time.Millisecond},
		"without its interpreter": {path: script("/gone/python")},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := inspect(&client.Options{Executable: test.path, StartTimeout: test.timeout}, client.BackendServer, "Kimi Code 2.x", ".kimi")
			if err == nil || errors.Is(err, errNoKimi) != test.skips {
				t.Errorf("got %s, %v", path, err)
			}
			if test.timeout > 0 && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}
