//go:build unix

package acpbridge

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// file writes a file for an option that names one.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// always is in every environment that parse makes.
var always = map[string]string{"HOME": "/home/u", toolTimeout: "2147483647"}

func TestParse(t *testing.T) {
	const kimi = `
default_model = "m"
[models.m]
provider = "p"
model = "k2"
max_context_size = 1000
capabilities = ["image_in", "thinking"]
[models.other]
provider = "p"
model = "k3"
max_context_size = 2000
[providers.p]
type = "kimi"
base_url = "https://p.example/v1"
api_key = "sk-p"
`
	of := func(from, to string) string { return strings.Replace(kimi, from, to, 1) }
	model := func(over map[string]string) map[string]string {
		m := map[string]string{
			"KIMI_MODEL_NAME": "k2", "KIMI_MODEL_API_KEY": "sk-p", "KIMI_MODEL_BASE_URL": "https://p.example/v1",
			"KIMI_MODEL_PROVIDER_TYPE": "kimi", "KIMI_MODEL_MAX_CONTEXT_SIZE": "1000", "KIMI_MODEL_CAPABILITIES": "image_in,thinking",
		}
		maps.Copy(m, over)
		return m
	}
	yes, no := true, false
	for _, tt := range []struct {
		name   string
		args   []string
		env    map[string]string
		config string // of --config
		want   settings
		set    map[string]string // in the environment, besides always; "" for what is not in it
	}{
		{name: "nothing", want: settings{mode: "default"}},
		{name: "the whole line", args: []string{"--wire", "--session", "s-1", "--work-dir", "/w", "--add-dir", "/a", "--add-dir", "b", "--model", "alias",
			"--thinking", "--plan", "--agent", "default", "--max-ralph-iterations", "0", "--debug"},
			want: settings{mode: "default", workDir: "/w", id: "s-1", addDirs: []string{"/a", "/dir/b"}, model: "alias", thinking: &yes, plan: true}},
		{name: "short", args: []string{"-S", "s-1", "-w", "sub", "-m", "alias", "--no-thinking", "-y"},
			want: settings{mode: "yolo", workDir: "/dir/sub", id: "s-1", model: "alias", thinking: &no}},
		{name: "the newest, and afk", args: []string{"--continue", "--afk"}, want: settings{mode: "auto", newest: true}},
		{name: "limits", args: []string{"--max-steps-per-turn", "7", "--max-retries-per-step=2"}, want: settings{mode: "default"},
			set: map[string]string{"KIMI_LOOP_MAX_STEPS_PER_TURN": "7", "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP": "2"}},
		{name: "share dir", env: map[string]string{"KIMI_SHARE_DIR": "/share", "KIMI_CODE_HOME": "/other"}, want: settings{mode: "default", home: "/share"},
			set: map[string]string{"KIMI_CODE_HOME": "/share", "KIMI_SHARE_DIR": ""}},
		{name: "home", env: map[string]string{"KIMI_CODE_HOME": "/other"}, want: settings{mode: "default", home: "/other"},
			set: map[string]string{"KIMI_CODE_HOME": "/other"}},
		{name: "tool timeout", env: map[string]string{toolTimeout: "1000"}, want: settings{mode: "default"}, set: map[string]string{toolTimeout: "1000"}},

		{name: "quickstart", env: map[string]string{"KIMI_API_KEY": "sk", "KIMI_BASE_URL": "https://x/v1", "KIMI_MODEL_NAME": "k2"}, want: settings{mode: "default"},
			set: map[string]string{"KIMI_API_KEY": "sk", "KIMI_BASE_URL": "https://x/v1", "KIMI_MODEL_NAME": "k2", "KIMI_MODEL_API_KEY": "sk", "KIMI_MODEL_BASE_URL": "https://x/v1"}},
		{name: "Kimi Code's own variables", env: map[string]string{"KIMI_API_KEY": "sk", "KIMI_MODEL_NAME": "k2", "KIMI_MODEL_API_KEY": "own", "KIMI_BASE_URL": "https://x/v1"},
			want: settings{mode: "default"},
			set:  map[string]string{"KIMI_API_KEY": "sk", "KIMI_BASE_URL": "https://x/v1", "KIMI_MODEL_NAME": "k2", "KIMI_MODEL_API_KEY": "own"}},

		{name: "config", config: kimi, want: settings{mode: "default", thinking: &no}, set: model(nil)},
		{name: "config and model", config: kimi, args: []string{"--model", "other", "--thinking"}, want: settings{mode: "default", thinking: &yes},
			set: model(map[string]string{"KIMI_MODEL_NAME": "k3", "KIMI_MODEL_MAX_CONTEXT_SIZE": "2000", "KIMI_MODEL_CAPABILITIES": ""})},
		{name: "config's defaults", config: "default_thinking = true\ndefault_yolo = true\ndefault_plan_mode = true\n" + kimi + "[loop_control]\nmax_steps_per_turn = 3\nmax_retries_per_step = 4\n",
			want: settings{mode: "yolo", plan: true, thinking: &yes},
			set:  model(map[string]string{"KIMI_LOOP_MAX_STEPS_PER_TURN": "3", "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP": "4"})},
		{name: "options beat config's defaults", config: "default_thinking = true\ndefault_yolo = true\n" + kimi + "[loop_control]\nmax_steps_per_turn = 3\n",
			args: []string{"--no-thinking", "--afk", "--max-steps-per-turn", "9"}, want: settings{mode: "auto", thinking: &no},
			set: model(map[string]string{"KIMI_LOOP_MAX_STEPS_PER_TURN": "9"})},
		{name: "environment beats config", config: kimi,
			env:  map[string]string{"KIMI_API_KEY": "sk-env", "KIMI_BASE_URL": "https://env/v1", "KIMI_MODEL_NAME": "env", "KIMI_MODEL_MAX_CONTEXT_SIZE": "5", "KIMI_MODEL_CAPABILITIES": "video_in"},
			want: settings{mode: "default", thinking: &no},
			set: map[string]string{"KIMI_API_KEY": "sk-env", "KIMI_BASE_URL": "https://env/v1", "KIMI_MODEL_NAME": "env", "KIMI_MODEL_API_KEY": "sk-env",
				"KIMI_MODEL_BASE_URL": "https://env/v1", "KIMI_MODEL_MAX_CONTEXT_SIZE": "5", "KIMI_MODEL_CAPABILITIES": "video_in", "KIMI_MODEL_PROVIDER_TYPE": "kimi"}},
		{name: "openai", config: of(`"kimi"`, `"openai_legacy"`), env: map[string]string{"OPENAI_API_KEY": "sk-o", "KIMI_API_KEY": "sk-k", "KIMI_MODEL_NAME": "k"},
			want: settings{mode: "default", thinking: &no},
			set:  model(map[string]string{"KIMI_MODEL_PROVIDER_TYPE": "openai", "KIMI_MODEL_API_KEY": "sk-o", "OPENAI_API_KEY": "sk-o", "KIMI_API_KEY": "sk-k"})},
		{name: "anthropic", config: of(`"kimi"`, `"anthropic"`), env: map[string]string{"KIMI_API_KEY": "sk-k"}, want: settings{mode: "default", thinking: &no},
			set: model(map[string]string{"KIMI_MODEL_PROVIDER_TYPE": "anthropic", "KIMI_API_KEY": "sk-k"})},
		{name: "empty config", config: "# nothing", want: settings{mode: "default", noModel: true, thinking: &no}},
		{name: "no key", config: of(`"sk-p"`, `""`), want: settings{mode: "default", noModel: true, thinking: &no}},
		{name: "a key of the environment", config: of(`"sk-p"`, `""`), env: map[string]string{"KIMI_API_KEY": "sk-env"}, want: settings{mode: "default", thinking: &no},
			set: model(map[string]string{"KIMI_API_KEY": "sk-env", "KIMI_MODEL_API_KEY": "sk-env"})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := []string{"HOME=/home/u"}
			for k, v := range tt.env {
				env = append(env, k+"="+v)
			}
			args := tt.args
			if tt.config != "" {
				args = append(slices.Clone(args), "--config-file", file(t, "config.toml", tt.config))
			}
			got, err := parse(&Command{Path: "/kimi", Args: args, Env: env, Dir: "/dir"})
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want.home == "" {
				want.home = "/home/u/.kimi-code"
			}
			if want.workDir == "" {
				want.workDir = "/dir"
			}
			if diff := cmp.Diff(want, *got, cmp.AllowUnexported(settings{}), cmpopts.IgnoreFields(settings{}, "env")); diff != "" {
				t.Error(diff)
			}
			wantEnv, gotEnv := maps.Clone(always), make(map[string]string)
			maps.Copy(wantEnv, tt.set)
			maps.DeleteFunc(wantEnv, func(_, v string) bool { return v == "" })
			for _, entry := range got.env {
				k, v, _ := strings.Cut(entry, "=")
				gotEnv[k] = v
			}
			if diff := cmp.Diff(wantEnv, gotEnv); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseMCP(t *testing.T) {
	got, err := parse(&Command{Path: "/kimi", Dir: "/dir", Env: []string{"HOME=/home/u"}, Args: []string{
		"--mcp-config-file", file(t, "a.json", `{"mcpServers":{
			"run":{"command":"prog","args":["-x"],"env":{"B":"2","A":"1"}}, "bare":{"command":"prog"},
			"key":{"url":"https://x/mcp","headers":{"X":"y"},"auth":"tok"}}}`),
		"--mcp-config-file", file(t, "b.json", `{"mcpServers":{"guess":{"url":"https://x/sse/"},"named":{"url":"https://x/y","transport":"sse"}}}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []mcpServer{
		{Name: "bare", Command: "prog", Args: &[]string{}, Env: &[]pair{}},
		{Type: "http", Name: "key", URL: "https://x/mcp", Headers: &[]pair{{"X", "y"}, {"Authorization", "Bearer tok"}}},
		{Name: "run", Command: "prog", Args: &[]string{"-x"}, Env: &[]pair{{"A", "1"}, {"B", "2"}}},
		{Type: "sse", Name: "guess", URL: "https://x/sse/", Headers: &[]pair{}},
		{Type: "sse", Name: "named", URL: "https://x/y", Headers: &[]pair{}},
	}
	if diff := cmp.Diff(want, got.servers); diff != "" {
		t.Error(diff)
	}
}

// What has no place in Kimi Code is refused by its name.
func TestParseUnsupported(t *testing.T) {
	config := func(text string) []string {
		return []string{"--config", "default_model = \"m\"\n" + text + "\n[models.m]\nprovider = \"p\"\nmodel = \"k\"\nmax_context_size = 1\n"}
	}
	provider := func(lines string) []string {
		return config("[providers.p]\nbase_url = \"u\"\napi_key = \"k\"\n" + lines)
	}
	server := func(text string) []string {
		return []string{"--mcp-config-file", file(t, "mcp.json", `{"mcpServers":{"s":`+text+`}}`)}
	}
	kimi := "[providers.p]\ntype = \"kimi\"\nbase_url = \"u\"\napi_key = \"k\"\n"
	for name, args := range map[string][]string{
		"--agent okabe":                         {"--agent", "okabe"},
		"--agent-file":                          {"--agent-file", "x.yaml"},
		"--skills-dir":                          {"--skills-dir", "/s"},
		"--mcp-config":                          {"--mcp-config", "{}"},
		"--max-ralph-iterations":                {"--max-ralph-iterations", "1"},
		"--print":                               {"--print"},
		`"hello"`:                               {"hello"},
		"hooks":                                 config("[[hooks]]\nevent = \"Stop\"\ncommand = \"true\"\n" + kimi),
		"services":                              config("[services.moonshot_search]\nbase_url = \"u\"\napi_key = \"k\"\n" + kimi),
		"background":                            config("[background]\nmax_running_tasks = 1\n" + kimi),
		"loop_control":                          config("[loop_control]\nmax_ralph_iterations = 2\n" + kimi),
		"extra_skill_dirs":                      config("extra_skill_dirs = [\"/s\"]\n" + kimi),
		"telemetry":                             config("telemetry = false\n" + kimi),
		"what_is_this":                          config("what_is_this = 1\n" + kimi),
		"the provider type gemini":              provider(`type = "gemini"`),
		"the provider type google_genai":        provider(`type = "google_genai"`),
		"the provider type openai_responses":    provider(`type = "openai_responses"`),
		"the provider type vertexai":            provider(`type = "vertexai"`),
		"providers.p.custom_headers":            provider("type = \"kimi\"\ncustom_headers = {a = \"b\"}"),
		"providers.p.env":                       provider("type = \"kimi\"\nenv = {a = \"b\"}"),
		"providers.p.oauth":                     provider("type = \"kimi\"\noauth = {key = \"b\"}"),
		"mcpServers.s.cwd":                      server(`{"command":"x","cwd":"/"}`),
		"mcpServers.s.timeout":                  server(`{"url":"https://x","timeout":5}`),
		"mcpServers.s.sse_read_timeout":         server(`{"url":"https://x","sse_read_timeout":5}`),
		"mcpServers.s.keep_alive":               server(`{"command":"x","keep_alive":true}`),
		"mcpServers.s.auth":                     server(`{"url":"https://x","auth":"oauth"}`),
		"mcpServers.s.odd":                      server(`{"command":"x","odd":1}`),
		"an MCP server named " + toolServerName: {"--mcp-config-file", file(t, "mcp.json", `{"mcpServers":{"`+toolServerName+`":{"command":"x"}}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(&Command{Path: "/kimi", Dir: "/dir", Env: []string{"HOME=/home/u"}, Args: args})
			var no *UnsupportedError
			if !errors.As(err, &no) || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), strings.TrimLeft(name, "-")) {
				t.Errorf("error %v", err)
			} else if no.Why == "" {
				t.Errorf("error %q does not say what to do", err)
			}
		})
	}
	// And the rest, which is only wrong.
	for name, tt := range map[string]struct {
		args []string
		env  string
		want string
	}{
		"a model that is not there":    {[]string{"--config", kimi, "--model", "x"}, "HOME=/h", `no model "x"`},
		"a provider that is not there": {config(""), "HOME=/h", `"p"`},
		"no home":                      {nil, "X=y", "HOME"},
		"no such file":                 {[]string{"--config-file", "/none.toml"}, "HOME=/h", "/none.toml"},
	} {
		_, err := parse(&Command{Path: "/kimi", Dir: "/dir", Env: []string{tt.env}, Args: tt.args})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
