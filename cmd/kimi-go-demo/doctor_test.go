package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (d *demo) writeConfig(t *testing.T, text string) {
	t.Helper()
	if err := os.MkdirAll(d.share, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.share, "config.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const secret = "sk-do-not-show-me"

const goodConfig = `default_model = "k2"
telemetry = false
[models.k2]
provider = "kimi"
model = "kimi-k2"
max_context_size = 262144
[providers.kimi]
type = "kimi"
base_url = "https://user:` + secret + `@api.example.com/v1?key=` + secret + `"
api_key = "` + secret + `"
`

func TestDoctorGood(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	d.writeConfig(t, "default_yolo = true\n"+goodConfig)
	os.MkdirAll(filepath.Join(d.share, "credentials"), 0o700)
	os.WriteFile(filepath.Join(d.share, "credentials", "kimi-code.json"), []byte(secret), 0o600)
	d.setenv(map[string]string{"KIMI_API_KEY": secret, "KIMI_MODEL_TEMPERATURE": "0.5", "OPENAI_API_KEY": secret})
	r := d.run(t, "", "doctor")
	r.check(t, 0, []string{
		"ok    kimi 1.", "(Wire protocol 1.", "ok    it starts, and answered after ",
		"ok    configuration " + filepath.Join(d.share, "config.toml") + " is valid",
		"ok    model k2 (kimi-k2), provider type kimi at https://***@api.example.com/v1?***, 262,144 tokens",
		"ok    API key from KIMI_API_KEY",
		"note  login: ", "does not use it",
		"note  default_yolo is set: ", "-> to be asked, remove it",
		"note  environment: KIMI_API_KEY overrides providers.kimi.api_key",
		"note  environment: KIMI_PATH chooses",
		"note  environment: OPENAI_API_KEY is set and has no effect with provider type kimi",
		"ok    telemetry of kimi is off",
		"ok    share dir " + d.share + " is writable",
		"ok    0 sessions",
		"\nusable\n",
	}, nil)
	if strings.Contains(r.stdout+r.stderr, secret) {
		t.Errorf("a secret is shown:\n%s%s", r.stdout, r.stderr)
	}
}

func TestDoctorBad(t *testing.T) {
	t.Parallel()
	tombstone := `echo 'kimi-cli is no longer maintained. Please use the new Kimi Code CLI.'`
	const install = "-> install Kimi Code: npm install -g @moonshot-ai/kimi-code"
	for name, tt := range map[string]struct {
		kimi, config string
		prepare      func(t *testing.T, d *demo)
		args         []string
		want         []string
	}{
		"no kimi":   {config: goodConfig, want: []string{"FAIL  kimi was not found: tried kimi on PATH", install, "note  no kimi runs, so these are the files of kimi-cli", "ok    configuration", "not usable: 1 thing to fix"}},
		"tombstone": {kimi: tombstone, config: goodConfig, want: []string{"FAIL  ", "kimi-cli 1.52 or later", install}},
		"not kimi":  {kimi: "exit 3", config: goodConfig, want: []string{"FAIL  ", "not kimi", install}},
		"named":     {args: []string{"--kimi", "/nope/kimi"}, want: []string{"FAIL  kimi was not found: tried --kimi /nope/kimi", install}},
		"no model":  {want: []string{"note  configuration ", "none yet", "FAIL  model: no model is set", "kimi login", "note  share dir", "not there yet"}},
		"bad config": {config: strings.Replace(goodConfig, `type = "kimi"`, `type = "nonsense"`, 1) + "custom_headers = 7\n[loop_control]\nmax_steps_per_turn = 0\n",
			want: []string{"FAIL  configuration ", "-> loop_control.max_steps_per_turn: ", "-> providers.kimi.custom_headers: ", "-> providers.kimi.type: "}},
		"syntax":           {config: "api_key = " + secret + " x\n", want: []string{"FAIL  configuration ", "not TOML"}},
		"named config":     {args: []string{"--config", "nope.toml"}, want: []string{"FAIL  configuration nope.toml: no such file"}},
		"no login":         {config: strings.Replace(goodConfig, `api_key = "`+secret+`"`, "api_key = \"\"\noauth = {key = \"k\"}", 1), want: []string{"FAIL  login: none; ", `-> run "kimi login"`}},
		"damaged":          {config: goodConfig, prepare: func(t *testing.T, d *demo) { os.WriteFile(filepath.Join(d.share, "kimi.json"), []byte("{"), 0o600) }, want: []string{"FAIL  ", "kimi.json is damaged"}},
		"share dir a file": {prepare: func(t *testing.T, d *demo) { os.WriteFile(d.share, nil, 0o600) }, want: []string{"FAIL  share dir", "is not a directory", "KIMI_SHARE_DIR"}},
		"MCP": {config: goodConfig, prepare: func(t *testing.T, d *demo) { os.WriteFile(filepath.Join(d.share, "mcp.json"), []byte("["), 0o600) },
			want: []string{"FAIL  MCP servers: ", "mcp.json"}},
		"agent file": {config: goodConfig, args: []string{"--agent-file", "nope.yaml"}, want: []string{"FAIL  --agent-file nope.yaml: no such file or directory", "-> name a file that can be read"}},
		"MCP file":   {config: goodConfig, args: []string{"--mcp-config-file", "nope.json"}, want: []string{"FAIL  --mcp-config-file nope.json: no such file or directory", "-> name a file that can be read"}},
		"bad MCP file": {config: goodConfig, prepare: func(t *testing.T, d *demo) { os.WriteFile(filepath.Join(d.work, "own.json"), []byte("["), 0o600) }, args: []string{"--mcp-config-file", "own.json"},
			want: []string{"FAIL  --mcp-config-file: own.json", "-> fix the file"}},
		"skills dir": {config: goodConfig, prepare: func(t *testing.T, d *demo) { os.WriteFile(filepath.Join(d.work, "flat"), nil, 0o600) },
			args: []string{"--skills-dir", "nope", "--skills-dir", "flat"}, want: []string{"FAIL  --skills-dir nope: no such file or directory", "-> name a directory that exists", "FAIL  --skills-dir flat: it is not a directory", "not usable: 3 things"}},
		"work dir": {args: []string{"--work-dir", "nope"}, want: []string{"FAIL  work dir nope is not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := bareDemo(t)
			if tt.config != "" {
				d.writeConfig(t, tt.config)
			}
			if tt.prepare != nil {
				tt.prepare(t, d)
			}
			if tt.kimi != "" {
				d.fake(t, tt.kimi)
			}
			r := d.run(t, "", append([]string{"doctor"}, tt.args...)...)
			r.check(t, 1, tt.want, nil)
			if strings.Contains(r.stdout+r.stderr, secret) || r.stderr != "" {
				t.Errorf("a secret is shown, or something on stderr:\n%s%s", r.stdout, r.stderr)
			}
			for line := range strings.Lines(r.stdout) {
				if strings.Contains(line, "client:") || strings.Contains(line, "Options.") {
					t.Errorf("speaks to Go programs: %s", line)
				}
			}
		})
	}
}

// The error of a start says the same as doctor.
func TestNoKimi(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	r := d.run(t, "", "prompt", "x")
	r.check(t, 1, nil, []string{"kimi was not found: tried kimi on PATH", "hint: install Kimi Code: npm install -g @moonshot-ai/kimi-code", "uv tool install --python 3.13 kimi-cli==1.51.0", "--kimi PATH"})
	r.errorLine(t)
	d.fake(t, `echo 'kimi-cli is no longer maintained.'`)
	r = d.run(t, "", "prompt", "x")
	r.check(t, 1, nil, []string{"kimi-cli 1.52 or later", "hint: install"})
	r.errorLine(t)
}

// If kimi is not on PATH, doctor says which tool has installed it.
func TestDoctorFoundBy(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	d.writeConfig(t, goodConfig)
	d.fake(t, `case $1 in
info) echo '{"kimi_cli_version":"1.51.0","wire_protocol_version":"1.10"}';;
*) read -r line; echo '{"jsonrpc":"2.0","id":"1","result":{"protocol_version":"1.10","server":{"name":"kimi","version":"1.51.0"},"slash_commands":[]}}'; read -r line;;
esac`)
	path := filepath.Join(d.work, ".nvm", "versions", "node", "v22.19.0", "bin", "kimi")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(d.work, "kimi"), path); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"KIMI_PATH", "NVM_DIR", "NVM_BIN"} {
		d.env = append(d.env, key+"=")
	}
	d.run(t, "", "doctor").check(t, 0, []string{"ok    kimi 1.51.0 at " + path, "note  it is not on PATH; it was found in nvm's folder of programs", "ok    it starts, and answered after "}, nil)
}

// If there are several kimis, doctor says which of them are not used, and why.
func TestDoctorPassedOver(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	d.fake(t, "# @moonshot-ai/kimi-code\necho 2.1.0")
	other := filepath.Join(d.work, ".local", "bin", "kimi")
	if err := os.MkdirAll(filepath.Dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.run(t, "", "doctor").check(t, 1, []string{"passed over: " + other + ": KIMI_PATH names another"}, nil)
	d.run(t, "", "doctor", "--kimi", filepath.Join(d.work, "none")).check(t, 1, []string{"FAIL", "passed over: ", "--kimi " + filepath.Join(d.work, "none") + " is not there, and no other one is searched for"}, nil)
}
