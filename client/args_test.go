package client

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/config"
)

// What a program left behind that was killed during a start is removed by a later start; what
// another may be starting with is not.
func TestSweep(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	old, fresh, other := filepath.Join(temp, tempPrefix+"old"), filepath.Join(temp, tempPrefix+"fresh"), filepath.Join(temp, "other")
	for _, dir := range []string{old, fresh, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.toml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{old, other} {
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-2*staleAfter)); err != nil {
			t.Fatal(err)
		}
	}
	l := new(launch)
	if _, err := l.secretFile("config.toml", nil); err != nil {
		t.Fatal(err)
	}
	if err := l.cleanup(); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{old: false, fresh: true, other: true, l.tempDir: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// The environment beats an explicit configuration, as it does in kimi; it is not done silently.
func TestOverridesLogged(t *testing.T) {
	var log bytes.Buffer
	o := &Options{
		WorkDir: t.TempDir(), ShareDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Env: map[string]string{"KIMI_BASE_URL": "http://elsewhere", "KIMI_API_KEY": "", "KIMI_MODEL_NAME": ""},
		Config: &config.Config{
			DefaultModel: "m",
			Providers:    map[string]config.Provider{"p": {Type: config.ProviderKimi, BaseURL: "http://here"}},
			Models:       map[string]config.Model{"m": {Provider: "p", Model: "m", MaxContextSize: 1}},
		},
	}
	d, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLaunch(d)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.modelName(); got != "m" {
		t.Errorf("model %q", got)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "KIMI_BASE_URL") || !strings.Contains(got, "providers.p.base_url") {
		t.Errorf("log: %s", got)
	}
}
