package client

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/config"
)

// As in kimi, the environment overrides an explicit configuration. The log reports each override.
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
	if got := l.backend.model(l); got != "m" {
		t.Errorf("model %q", got)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "KIMI_BASE_URL") || !strings.Contains(got, "providers.p.base_url") {
		t.Errorf("log: %s", got)
	}
}
