//go:build unix

package clienttest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

// A test that asks for the real kimi has it installed. A failed install fails the test with the last output of the
// installer.
func TestInstall(t *testing.T) {
	t.Parallel()
	kimi := clienttest.Kimi(t).Executable
	for name, test := range map[string]struct {
		script, want string
	}{
		"installs": {"ln -s '" + kimi + `' "$KIMI_PATH"`, "PASS"},
		"fails":    {"echo no index here >&2; exit 3", "KIMI_GO_INSTALL_KIMI: exit status 3: no index here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			script := filepath.Join(dir, "install")
			if err := os.WriteFile(script, []byte("#!/bin/sh\n[ $# = 0 ] || exit 2\n"+test.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestNilKimi$")
			cmd.Env = append(os.Environ(), "KIMI_GO_INSTALL_KIMI="+script, "KIMI_PATH="+filepath.Join(dir, "kimi"), clienttest.RequireKimi+"=1")
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), test.want) || (err == nil) != (test.want == "PASS") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
