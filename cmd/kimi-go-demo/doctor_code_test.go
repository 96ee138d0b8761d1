package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

// codeHome sets up the command with a script that answers as Kimi Code does, and a home. ~/.kimi has a configuration of
// kimi-cli, which must not be read.
func codeHome(t *testing.T, config string) (d *demo, home string) {
	t.Helper()
	d = bareDemo(t)
	d.writeConfig(t, goodConfig)
	if err := os.Rename(d.share, filepath.Join(d.work, ".kimi")); err != nil {
		t.Fatal(err)
	}
	home = filepath.Join(d.work, ".kimi-code")
	d.share = home
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if config != "" {
		d.writeConfig(t, config)
	}
	d.fake(t, `case "$*" in
--version) echo 2.3.4;;
web*) `+programKey+`=server exec '`+self+`';;
*) echo "error: unknown option '--json'" >&2; exit 1;;
esac`)
	d.env = append(d.env, "KIMI_SHARE_DIR=")
	return d, home
}

const codeLogin = `default_model = "kimi-code/k2"
telemetry = false
default_permission_mode = "manual"
[models."kimi-code/k2"]
provider = "managed:kimi-code"
model = "k2"
max_context_size = 262144
[providers."managed:kimi-code"]
type = "kimi"
base_url = "https://api.example.com/v1?key=` + secret + `"
api_key = ""
oauth = { storage = "file", key = "oauth/kimi-code" }
`

func TestDoctorKimiCode(t *testing.T) {
	t.Parallel()
	withKey := strings.Replace(codeLogin, `api_key = ""`+"\noauth = { storage = \"file\", key = \"oauth/kimi-code\" }", `api_key = "`+secret+`"`, 1)
	const login = `-> run "kimi login"`
	for name, tt := range map[string]struct {
		config string
		login  bool
		env    map[string]string
		args   []string
		code   int
		want   []string
	}{
		"login":    {config: codeLogin, login: true, want: []string{"ok    configuration ", "ok    model kimi-code/k2 (k2), provider type kimi at https://api.example.com/v1?***, 262,144 tokens", "ok    login: ", "telemetry of kimi is off", "ok    0 sessions", "\nusable\n"}},
		"no login": {config: codeLogin, code: 1, want: []string{"FAIL  login: none; ", login}},
		"key":      {config: withKey, want: []string{"ok    model kimi-code/k2", "ok    API key from the configuration"}},
		"nothing":  {code: 1, want: []string{"note  configuration ", "none yet", "FAIL  model: no model is set", login, "KIMI_API_KEY"}},
		"no model": {config: "default_permission_mode = \"yolo\"\n", code: 1, want: []string{"note  default_permission_mode is yolo: it has no effect here", "FAIL  model: no model is set", login}},
		"variables": {env: map[string]string{"KIMI_MODEL_NAME": "k2", "KIMI_API_KEY": secret, "KIMI_BASE_URL": "https://u:" + secret + "@example.com/v1"},
			want: []string{"ok    model k2, provider type kimi at https://***@example.com/v1, from the environment", "ok    API key from KIMI_API_KEY"}},
		"its own variables": {config: codeLogin, env: map[string]string{"KIMI_MODEL_NAME": "k2", "KIMI_MODEL_API_KEY": secret, "KIMI_MODEL_PROVIDER_TYPE": "openai"},
			want: []string{"ok    model k2, provider type openai, from the environment", "ok    API key from KIMI_MODEL_API_KEY"}},
		"no key":          {env: map[string]string{"KIMI_MODEL_NAME": "k2"}, code: 1, want: []string{"FAIL  model: KIMI_MODEL_NAME is set, and no key for it", "-> set KIMI_API_KEY"}},
		"another model":   {config: codeLogin, login: true, args: []string{"--model", "x"}, code: 1, want: []string{"FAIL  model: there is no x", "-> name one of kimi-code/k2"}},
		"no provider":     {config: "default_model = \"m\"\n[models.m]\nprovider = \"p\"\n", code: 1, want: []string{"FAIL  model: m names the provider p", "-> name one of the configuration, which has none yet"}},
		"syntax":          {config: "default_model = \"" + secret + "\n", code: 1, want: []string{"FAIL  configuration ", "is not TOML: line 1", "-> fix the file"}},
		"for kimi-cli":    {args: []string{"--config", ".kimi/config.toml"}, want: []string{"ok    configuration .kimi/config.toml is valid", "ok    model kimi-k2, provider type kimi", "ok    API key from"}},
		"home by name":    {env: map[string]string{"KIMI_CODE_HOME": "elsewhere"}, code: 1, want: []string{"elsewhere", "none yet", "note  environment: KIMI_CODE_HOME chooses the home"}},
		"home by another": {env: map[string]string{"KIMI_CODE_HOME": "elsewhere"}, args: []string{"--share-dir", "here"}, code: 1, want: []string{"here", "none yet", "KIMI_CODE_HOME is set and has no effect"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, home := codeHome(t, tt.config)
			if tt.login {
				os.MkdirAll(filepath.Join(home, "credentials"), 0o700)
				os.WriteFile(filepath.Join(home, "credentials", "kimi-code.json"), []byte(`{"access_token":"`+secret+`","refresh_token":"`+secret+`"}`), 0o600)
			}
			d.setenv(tt.env)
			r := d.run(t, "", append([]string{"doctor"}, tt.args...)...)
			r.check(t, tt.code, append([]string{"ok    Kimi Code 2.3.4 at ", "note  it is newer than 2.1.0", "ok    it starts, and answered after ", "note  it cannot do these: audio"}, tt.want...), nil)
			if strings.Contains(r.stdout+r.stderr, secret) || r.stderr != "" {
				t.Errorf("a secret is shown, or something on stderr:\n%s%s", r.stdout, r.stderr)
			}
			if strings.Contains(r.stdout, filepath.Join(d.work, ".kimi")+"/") {
				t.Errorf("it looks at kimi-cli's files:\n%s", r.stdout)
			}
		})
	}
}

// doctor works with the real Kimi Code and no other kimi.
func TestDoctorOnlyKimiCode(t *testing.T) {
	t.Parallel()
	opts := clienttest.KimiCode(t)
	d := &demo{work: opts.WorkDir, share: opts.ShareDir}
	d.setenv(opts.Env)
	d.env = append(d.env, "PATH="+filepath.Dir(opts.Executable)+string(filepath.ListSeparator)+os.Getenv("PATH"), "KIMI_SHARE_DIR=", "KIMI_CODE_HOME="+opts.ShareDir)
	d.run(t, "", "doctor").check(t, 0, []string{"ok    Kimi Code 2.1.0 at " + opts.Executable, "ok    it starts, and answered after ", "note  it cannot do these", "ok    model scripted, provider type kimi at http://127.0.0.1:", "ok    API key from KIMI_MODEL_API_KEY", "ok    share dir", "\nusable\n"}, nil)
}

// doctor finds mistakes in the files of Kimi Code, and keys of a configuration that Kimi Code does not support.
func TestDoctorKimiCodeFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files map[string]string // the files in the home, by name
		args  []string
		want  []string
	}{
		"login has ended": {files: map[string]string{"credentials/kimi-code.json": `{"access_token":"","refresh_token":""}`},
			want: []string{"FAIL  login: it has expired; ", `-> run "kimi login"`}},
		"login is none": {files: map[string]string{"credentials/kimi-code.json": "x"}, want: []string{"FAIL  login: ", "holds no tokens"}},
		"MCP server": {files: map[string]string{"mcp.json": `{"mcpServers":{"a":{"command":"x","args":null}}}`},
			want: []string{"FAIL  MCP servers: no MCP server of ", `"a": args must not be null`, "-> fix or remove the file"}},
		"configuration": {files: map[string]string{"cli.toml": "skip_afk_prompt_injection = true\n" + goodConfig + "\n[loop_control]\nmax_ralph_iterations = 2\n"},
			args: []string{"--config", ".kimi-code/cli.toml"},
			want: []string{"FAIL  configuration .kimi-code/cli.toml: ", "Kimi Code has no place for the configuration's loop_control.max_ralph_iterations, skip_afk_prompt_injection", "-> leave out what it names"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, home := codeHome(t, codeLogin)
			for file, text := range tt.files {
				path := filepath.Join(home, file)
				os.MkdirAll(filepath.Dir(path), 0o700)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d.run(t, "", append([]string{"doctor"}, tt.args...)...).check(t, 1, tt.want, nil)
		})
	}
}

// If a server lacks routes, doctor names all of them, and says what to install. The test uses a recording, and the real
// server.
func TestDoctorRoutes(t *testing.T) {
	t.Parallel()
	const lack = "/api/v1/sessions/{session_id}/snapshot /api/v1/files"
	want := []string{"FAIL  ", "whose server lacks get /api/v1/sessions/{session_id}/snapshot, post /api/v1/files",
		"-> install the version that this package is tested with: npm install -g @moonshot-ai/kimi-code@2.1.0"}
	t.Run("recording", func(t *testing.T) {
		t.Parallel()
		d, _ := codeHome(t, "")
		d.setenv(map[string]string{lackKey: lack})
		d.run(t, "", "doctor").check(t, 1, want, nil)
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		opts := clienttest.KimiCode(t)
		d, _ := codeHome(t, "")
		d.setenv(opts.Env)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		d.fake(t, `case "$*" in
web*) `+programKey+`="in front" exec '`+self+`' "$@";;
*) exec '`+opts.Executable+`' "$@";;
esac`)
		d.setenv(map[string]string{lackKey: lack, realKey: opts.Executable})
		d.run(t, "", "doctor").check(t, 1, append([]string{"ok    Kimi Code 2.1.0 at "}, want...), nil)
	})
}
