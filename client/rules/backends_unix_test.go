//go:build unix

package rules_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/rules"
	"github.com/kimi-go/kimi-go/config"
)

// buffer is a log that several goroutines may write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// The rules answer the requests of the real agents. Allowed calls run. Denied calls do not run, and the model reads
// why. All other calls go to the next handler.
func TestBackendsRules(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		name, shell, write string
		options            func(testing.TB, string) *client.Options
	}{
		{"kimi-cli", "Shell", "WriteFile", func(t testing.TB, url string) *client.Options {
			opts := clienttest.Kimi(t)
			opts.Config = &config.Config{
				DefaultModel: "scripted",
				Providers:    map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: url, APIKey: "sk-test"}},
				Models:       map[string]config.Model{"scripted": {Provider: "kimi", Model: "scripted", MaxContextSize: 100000}},
			}
			return opts
		}},
		{"Kimi Code", "Bash", "Write", func(t testing.TB, url string) *client.Options {
			opts := clienttest.KimiCode(t)
			opts.Env["KIMI_MODEL_BASE_URL"] = url
			return opts
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			outside := filepath.Join(t.TempDir(), "outside")
			run := func(id, command string) string {
				return clienttest.ToolCall(id, b.shell, map[string]string{"command": command})
			}
			write := func(id, path string) string {
				return clienttest.ToolCall(id, b.write, map[string]string{"path": path, "content": "x"})
			}
			model := clienttest.NewModel(t,
				run("c1", "touch allowed"), run("c2", "touch allowed; touch slipped"), run("c3", "/bin/rm 'allowed'"), run("c4", "touch asked"), run("c5", "touch > redirected"),
				write("c6", "sub/allowed.txt"), write("c7", outside), write("c8", "denied.txt"), "text: done")
			opts := b.options(t, model.URL())
			if err := os.Mkdir(filepath.Join(opts.WorkDir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			r := &rules.Rules{
				Deny:  []rules.Rule{{Command: "rm *", Reason: "keep what is there, please"}, {Path: "denied.txt", Reason: "that one stays as it is"}},
				Ask:   []rules.Rule{{Command: "touch asked"}},
				Allow: []rules.Rule{{Command: "touch a*"}, {Path: "sub/**"}},
			}
			var log buffer
			r.Logger = slog.New(slog.NewJSONHandler(&log, nil))
			var mu sync.Mutex
			var asked []string
			opts.Approve = r.Approve(func(_ context.Context, request *client.ApprovalRequest) error {
				name, args := request.Call()
				if name != request.Sender || request.WorkDir() != opts.WorkDir {
					t.Errorf("%s of %s asks in %q, want %q", request.Sender, name, request.WorkDir(), opts.WorkDir)
				}
				mu.Lock()
				asked = append(asked, string(args))
				mu.Unlock()
				return request.Reject("not now")
			})
			s, err := client.NewSession(ctx, opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			turn, err := s.Prompt(ctx, "go")
			if err != nil {
				t.Fatal(err)
			}
			if result, err := turn.Result(); err != nil || result.Text != "done" {
				t.Fatalf("%+v, %v", result, err)
			}
			for name, want := range map[string]bool{"allowed": true, "slipped": false, "asked": false, "redirected": false, "sub/allowed.txt": true, "denied.txt": false} {
				if _, err := os.Stat(filepath.Join(opts.WorkDir, name)); (err == nil) != want || err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %v, want it: %v", name, err, want)
				}
			}
			if _, err := os.Stat(outside); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file outside: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, want := range []string{"slipped", "touch asked", "redirected", "outside"} {
				if len(asked) != 4 || !strings.Contains(asked[min(i, len(asked)-1)], want) {
					t.Errorf("asked for %q", asked)
				}
			}
			requests := model.Requests()
			last := string(requests[len(requests)-1])
			for _, want := range []string{"keep what is there, please", "that one stays as it is", "not now"} {
				if !strings.Contains(last, want) {
					t.Errorf("the model does not read %q", want)
				}
			}
			for _, want := range []string{`"verdict":"deny"`, `"rule":"command \"rm *\""`, `"verdict":"ask"`, `"verdict":"allow"`, `"verdict":""`} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log has no %s: %s", want, log.String())
				}
			}
			if strings.Contains(log.String(), "slipped") {
				t.Errorf("the log has arguments: %s", log.String())
			}
			if got := s.Status().Approvals; got.All != "" || len(got.Actions) > 0 {
				t.Errorf("approved for the session: %+v", got)
			}
		})
	}
}
