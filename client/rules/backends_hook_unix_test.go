//go:build unix

package rules_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/rules"
)

// A call that the rules deny is not carried out, even if kimi does not ask about it: when it reads files, with Yolo,
// and when it changes files in a Git work tree.
func TestBackendsRulesHook(t *testing.T) {
	t.Parallel()
	for name, yolo := range map[string]bool{"asked": false, "yolo": true} {
		for _, b := range []struct {
			name, shell, read, write string
			options                  func(clienttest.TB, ...string) *client.Options
		}{
			{"kimi-cli", "Shell", "ReadFile", "WriteFile", clienttest.Kimi},
			{"Kimi Code", "Bash", "Read", "Write", clienttest.KimiCode},
		} {
			t.Run(b.name+" "+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				write := func(id, path string) string {
					return clienttest.ToolCall(id, b.write, map[string]string{"path": path, "content": "x"})
				}
				opts := b.options(t,
					write("c1", "denied.txt"), write("c2", "free.txt"), clienttest.ToolCall("c3", b.shell, map[string]string{"command": "rm free.txt"}),
					clienttest.ToolCall("c4", b.read, map[string]string{"path": "secret/key"}), clienttest.ToolCall("c5", "Grep", map[string]string{"pattern": "hidden", "path": "."}),
					clienttest.ToolCall("c6", b.read, map[string]string{"path": "free.txt"}), "text: done")
				git := exec.CommandContext(ctx, "git", "init", "-q")
				git.Dir = opts.WorkDir
				secret := filepath.Join(opts.WorkDir, "secret")
				if err := errors.Join(git.Run(), os.Mkdir(secret, 0o700), os.WriteFile(filepath.Join(secret, "key"), []byte("hidden here"), 0o600)); err != nil {
					t.Fatal(err)
				}
				r := &rules.Rules{Deny: []rules.Rule{{Command: "rm *", Reason: "keep it"}, {Path: "denied.txt", Reason: "leave it"}, {Path: "secret/**", Reason: "not yours"}}}
				opts.Hooks = []client.Hook{r.Hook()}
				if opts.Yolo = yolo; !yolo {
					opts.Approve = client.ApproveAll
				}
				var results []string
				for m, err := range client.Prompt(ctx, "go", opts) {
					if err != nil {
						t.Fatal(err)
					}
					if m.Role == client.RoleTool {
						results = append(results, m.Text())
					}
				}
				if len(results) != 6 {
					t.Fatalf("results %q", results)
				}
				for i, want := range []string{"leave it", "", "keep it", "not yours", "it is not certain", ""} {
					if !strings.Contains(results[i], want) || want == "" && strings.Contains(results[i], "locked") || strings.Contains(results[i], "hidden here") {
						t.Errorf("call %d: %q, want %q", i+1, results[i], want)
					}
				}
				for file, want := range map[string]bool{"denied.txt": false, "free.txt": true} {
					if _, err := os.Stat(filepath.Join(opts.WorkDir, file)); (err == nil) != want {
						t.Errorf("%s: %v, want it: %t", file, err, want)
					}
				}
			})
		}
	}
}
