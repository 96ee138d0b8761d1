package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "CANARY"

func TestSecretVerbs(t *testing.T) {
	hex := fmt.Sprintf("%x", canary)
	const verbs = "vsqxXdobOcUteEfFgG"
	for _, verb := range verbs {
		for _, flags := range []string{"", "+", "#", "-20", "020", " "} {
			format := "%" + flags + string(verb)
			if got := fmt.Sprintf(format, Secret(canary)); got != mask {
				t.Errorf("%s prints %s", format, got)
			}
			if got := fmt.Sprintf(format, Secret("")); got != "" {
				t.Errorf("%s prints %q for an empty Secret", format, got)
			}
			for _, holder := range []any{
				Extra{"k": canary}, []Secret{canary}, &[]Secret{canary}, map[string]Secret{"k": canary}, map[Secret]int{canary: 1},
				Provider{APIKey: canary}, struct{ P *Provider }{&Provider{APIKey: canary}},
				struct{ C *Config }{&Config{Services: Services{MoonshotFetch: &Service{APIKey: canary}}}},
				Provider{BaseURL: "https://me:" + canary + "@p/v1"}, Service{BaseURL: "https://p/v1?key=" + canary}, MCPServer{URL: "https://" + canary + "@x#" + canary},
				struct{ S *MCPServer }{&MCPServer{Args: []string{canary, "--token", canary, "--token=" + canary, "-k" + canary, "-H", "A: " + canary}}}, Provider{BaseURL: "me:" + canary + "@p"},
				struct{ O *OAuthRef }{&OAuthRef{Extra: Extra{"k": canary}}}, struct{ S *MCPServer }{&MCPServer{Auth: canary}},
			} {
				if got := fmt.Sprintf(format, holder); strings.Contains(got, canary) || strings.Contains(got, hex) {
					t.Errorf("%s prints %s for a %T", format, got, holder)
				}
			}
		}
	}
	if got := Secret(canary).Reveal(); got != canary {
		t.Errorf("Reveal gives %s", got)
	}
}

// A Config that is printed shows its keys, but none of its secrets.
func TestConfigShowsNoSecret(t *testing.T) {
	cfg, err := Load("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]MCPServer{"s": {
		URL: "https://me:" + canary + "@x/?k=" + canary, Args: []string{"--flag=" + canary, canary}, Env: map[string]Secret{"E": canary}, Headers: map[string]Secret{"H": canary}, Auth: canary, Extra: Extra{"x": canary},
	}}
	all := struct {
		Config  *Config
		Value   Config
		Servers map[string]MCPServer
	}{cfg, *cfg, servers}
	outputs := map[string]string{}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs[format] = fmt.Sprintf(format, all) + fmt.Sprintf(format, cfg)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	outputs["json"] = string(text)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("config", "config", cfg, "value", *cfg, "servers", servers, "key", Secret(canary), "extra", Extra{"k": canary}, "headers", cfg.Providers["kimi"].CustomHeaders)
	}
	outputs["slog"] = log.String()
	for name, out := range outputs {
		for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprint([]byte(canary))} {
			if strings.Contains(strings.ToLower(out), strings.ToLower(form)) {
				t.Errorf("%s shows a secret: %s", name, out)
			}
		}
	}
	if !strings.Contains(outputs["json"], `"api_key":"***"`) || !strings.Contains(outputs["json"], `"args":["--flag=***","***"]`) || !strings.Contains(outputs["json"], "https://***@x/?***") || !strings.Contains(outputs["slog"], mask) {
		t.Errorf("no masks in %s", outputs)
	}
}
