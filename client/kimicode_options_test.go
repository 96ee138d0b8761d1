//go:build unix

package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
)

// codeRequest is the part of a request to the model that the tests check.
type codeRequest struct {
	Model    string
	Thinking struct{ Type string }
}

func codeRequests(t testing.TB, m *clienttest.Model) (list []codeRequest) {
	t.Helper()
	for _, raw := range m.Requests() {
		var r codeRequest
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// The requests to the model show the effects of the options.
func TestKimiCodeModelOptions(t *testing.T) {
	t.Parallel()
	own := func(url string) string { // the user's own configuration of Kimi Code
		return fmt.Sprintf(`
default_model = "first"
[providers.p]
type = "kimi"
base_url = %q
api_key = "sk-own"
[models.first]
provider = "p"
model = "model-1"
max_context_size = 100000
capabilities = ["thinking"]
[models.second]
provider = "p"
model = "model-2"
max_context_size = 100000
capabilities = ["thinking"]
`, url)
	}
	configured := func(t *testing.T, o *client.Options, url string) {
		write(t, filepath.Join(o.ShareDir, "config.toml"), own(url), 0o600)
	}
	object := func(_ *testing.T, o *client.Options, url string) {
		o.Config = kimiConfig(url)
		m := o.Config.Models["scripted"]
		m.Capabilities = []config.Capability{config.CapabilityThinking}
		m.Model = "of-the-object"
		o.Config.Models["scripted"] = m
	}
	byDefault := func(t *testing.T, o *client.Options, url string) {
		object(t, o, url)
		o.Config.DefaultThinking = true
		m := o.Config.Models["scripted"]
		m.Model, m.Capabilities = "thoughtless", nil
		o.Config.Models["flat"] = m
	}
	for _, tt := range []struct {
		name     string
		set      func(*testing.T, *client.Options, string)
		model    string
		thinking *bool
		want     string
		thinks   string
		session  string // the value of Session.Model
	}{
		{name: "its own configuration", set: configured, want: "model-1", thinks: "enabled", session: "first"},
		{name: "a model of its own", set: configured, model: "second", want: "model-2", thinks: "enabled", session: "second"},
		{name: "thinking off", set: configured, thinking: ptr(false), want: "model-1", thinks: "disabled", session: "first"},
		{name: "object", set: object, want: "of-the-object", thinks: "disabled", session: "scripted"}, // default_thinking is false
		{name: "object, thinking", set: object, thinking: ptr(true), want: "of-the-object", thinks: "enabled", session: "scripted"},
		{name: "object, thinking by default", set: byDefault, want: "of-the-object", thinks: "enabled", session: "scripted"},
		{name: "object, thinking by default, but the model cannot", set: byDefault, model: "flat", want: "thoughtless", thinks: "disabled", session: "flat"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			m := clienttest.NewModel(t, "text: hello")
			opts := clienttest.KimiCode(t)
			for key := range m.Env() {
				opts.Env[key] = "" // the environment of the test must not matter
			}
			tt.set(t, opts, m.URL())
			opts.Model, opts.Thinking = tt.model, tt.thinking
			s := e2eStart(t, ctx, opts)
			e2eText(t, ctx, s, "hi", "hello")
			e2eSame(t, "asked for", []codeRequest{{Model: tt.want, Thinking: struct{ Type string }{tt.thinks}}}, codeRequests(t, m))
			e2eSame(t, "Session.Model", tt.session, s.Model())
		})
	}
	t.Run("a model that is not there", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts := clienttest.KimiCode(t)
		for key := range clienttest.NewModel(t).Env() {
			opts.Env[key] = ""
		}
		configured(t, opts, "http://127.0.0.1:1/v1")
		opts.Model = "nonesuch"
		if s, err := client.NewSession(ctx, opts); err == nil {
			s.Close()
			t.Error("no error")
		} else if !strings.Contains(err.Error(), "nonesuch") {
			t.Errorf("the error %q does not name the model", err)
		}
	})
}

// Options.AddDirs adds directories to the work dir. kimi does not refuse to write there because of the work tree.
func TestKimiCodeAddDirs(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	model := clienttest.NewModel(t, "text: hello")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
	dir := filepath.Join(root(opts), "besides")
	write(t, filepath.Join(dir, "found.txt"), "x", 0o600)
	opts.AddDirs = []string{dir}
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "hi", "hello")
	if !strings.Contains(string(model.Requests()[0]), dir) {
		t.Error("the model is not told of the directory")
	}
}

// No argument, no log and no file that stays has a secret of the options.
func TestKimiCodeSecrets(t *testing.T) {
	needProc(t)
	t.Parallel()
	ctx := e2eCtx(t)
	secrets := []string{"sk-secret-key", "secret-of-mcp", "secret-header"}
	opts := clienttest.KimiCode(t, "text: hello")
	url := opts.Env["KIMI_MODEL_BASE_URL"]
	for key := range clienttest.NewModel(t).Env() {
		opts.Env[key] = ""
	}
	opts.Config = kimiConfig(url)
	p := opts.Config.Providers["kimi"]
	p.APIKey = config.Secret(secrets[0])
	opts.Config.Providers["kimi"] = p
	opts.MCPServers = map[string]config.MCPServer{
		"run":  mcpProgram(t, map[string]config.Secret{"MCP_SECRET": config.Secret(secrets[1])}),
		"http": {URL: "http://127.0.0.1:1/mcp", Headers: map[string]config.Secret{"X-Key": config.Secret(secrets[2])}},
	}
	var log, stderr, record lockedBuffer
	opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts.Stderr, opts.Record = &stderr, &record
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "hi", "hello")
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	seen := map[string][]byte{"arguments": args, "log": []byte(log.String()), "stderr": []byte(stderr.String()), "record": []byte(record.String())}
	err = filepath.WalkDir(root(opts), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			seen[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range seen {
		for _, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s: %s", what, secret)
			}
		}
	}
}
