package config

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allBad breaks every rule that config.toml can break for a single key.
const allBad = `
default_thinking = 2
default_editor = 1
theme = "blue"
extra_skill_dirs = "a"
models = { a = { provider = "p", max_context_size = 1.5, capabilities = ["thinking", "fly"] } }
[providers]
none = 1
kimi = { type = "kimi", api_key = 4711, env = { A = 1 }, oauth = { storage = "cloud" } }
"my.p" = { type = "", base_url = "", api_key = "" }
[loop_control]
max_steps_per_run = 0
max_retries_per_step = 0
max_ralph_iterations = -2
reserved_context_size = 999
compaction_trigger_ratio = 1.0
[background]
max_running_tasks = 0
read_max_bytes = 1023
notification_tail_lines = 0
notification_tail_chars = 255
wait_poll_interval_ms = 49
worker_heartbeat_interval_ms = 99
worker_stale_after_ms = 999
kill_grace_period_ms = 99
agent_task_timeout_s = 59
print_wait_ceiling_s = 0
[notifications]
claim_stale_after_ms = 999
[services.moonshot_search]
api_key = ""
[mcp.client]
tool_call_timeout_ms = "long"
[[hooks]]
event = "Never"
timeout = 0
[[hooks]]
event = "Stop"
command = ""
timeout = 601
`

func keysOf(err error) []string {
	var keys []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			keys = append(keys, keysOf(e)...)
		}
		return keys
	}
	var e *Error
	if errors.As(err, &e) {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestParseErrors(t *testing.T) {
	const providers = "[providers.p]\ntype='kimi'\nbase_url=''\napi_key=''\n"
	const model = "[models.m]\nprovider='p'\nmodel='m'\nmax_context_size=1\n"
	tests := map[string]struct{ in, want string }{
		"missing base_url": {"[providers.kimi]\ntype='kimi'\napi_key=''", "config: providers.kimi.base_url: required"},
		"missing type":     {"[providers.kimi]\nbase_url=''\napi_key=''", "config: providers.kimi.type: required"},
		"wrong type, value not shown": {"[providers.kimi]\ntype='kimi'\nbase_url=''\napi_key=471147114711",
			"config: providers.kimi.api_key: must be a string, not a whole number"},
		"enum": {`theme="blue"`, `config: theme: "blue" is not one of dark, light`},
		"long enum value is not shown": {"[providers.p]\ntype='sk-0123456789012345678901234'\nbase_url=''\napi_key=''",
			"config: providers.p.type: the value is not one of kimi, openai_legacy, openai_responses, anthropic, google_genai, gemini, vertexai, _echo, _scripted_echo, _chaos"},
		"empty enum": {`theme=""`, "config: theme: required: one of dark, light"},
		"good":       {"default_model='m'\n" + providers + model, ""},
		"default_model missing": {"default_model='k'\n" + providers + model,
			`config: default_model: "k" is not in models; use one of "m" or add a [models.NAME] table`},
		"no models": {"default_model='k'", `config: default_model: "k" is not in models; there are none: add a [models.NAME] table`},
		"no provider, dotted name": {"[models.'k2.5']\nprovider='p'\nmodel='m'\nmax_context_size=1",
			`config: models."k2.5".provider: "p" is not in providers; there are none: add a [providers.NAME] table`},
		"null":         {`{"default_model": null}`, "config: default_model: must be a string, not null; remove the key"},
		"null allowed": {`{"providers": {"p": {"type": "kimi", "base_url": "", "api_key": "", "env": null, "oauth": null}}}`, ""},
		"hook event":   {"[[hooks]]\nevent='Stop'\ncommand=''\n[[hooks]]\nevent='x'\ncommand=''", `config: hooks[1].event: "x" is not one of ` + strings.Join(HookEvent("").values(), ", ")},
		"fraction":     {"[loop_control]\nmax_steps_per_turn=1.5", "config: loop_control.max_steps_per_turn: must be a whole number, not a fraction or a number that large"},
		"big integer":  {`{"loop_control": {"max_steps_per_turn": 12345678901234567890}}`, "config: loop_control.max_steps_per_turn: must be a whole number, not a number too large for 64 bits"},
		"two at once": {"theme='a'\ntelemetry='maybe'", "config: telemetry: must be true or false, not a string\n" +
			`config: theme: "a" is not one of dark, light`},
		"table of a wrong type": {"default_model='m'\nmodels=1", "config: models: must be a table, not a whole number"},
		"alias":                 {"[loop_control]\nmax_steps_per_run=0", "config: loop_control.max_steps_per_run: must be at least 1"},
		"not a table":           {"[1]", "config: must be a table, not a list"},
		"empty":                 {" \n", "config: the text is empty; an empty config is {}"},
		"mark":                  {"\ufefftheme='dark'", "config: starts with a byte order mark: save it as UTF-8 without one"},
		"not UTF-8":             {"theme='\xff'", "config: is not valid UTF-8"},
		"json syntax":           {"{\n\"theme\": dark}", "config: line 2: not JSON: invalid character 'd' looking for beginning of value"},
		"json cut":              {"{\n\"theme\": ", "config: line 2: not JSON: the text ends too early"},
		"json trailer":          {"{}\n{}", "config: line 2: not JSON: more text after the end of the object"},
		"toml syntax":           {"[providers.kimi]\napi_key = sk-" + canary, "config: line 2: providers.kimi.api_key: not TOML: expected value but found … instead"},
		"toml float":            {"[providers.kimi]\napi_key = 4711.4711.4711", "config: line 2: providers.kimi.api_key: not TOML: Invalid float value: …"},
		"toml range":            {"[providers.kimi]\napi_key = 47114711471147114711", "config: line 2: providers.kimi.api_key: not TOML: … is out of range for int64"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, err := Parse([]byte(test.in))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if (cfg == nil) != (err != nil) {
				t.Errorf("config %v together with the error %v", cfg, err)
			}
		})
	}
}

// A syntax error at any place shows no part of a key.
func TestSyntaxErrorsShowNoSecret(t *testing.T) {
	data, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	// Take the part of the file with the keys. The canary is a text that is valid in every kind of value.
	_, text, _ := strings.Cut(string(data), "[providers.kimi]")
	text, _, _ = strings.Cut("[providers.kimi]"+text, "[loop_control]")
	text = strings.ReplaceAll(text, canary, "471147114711")
	text = strings.ReplaceAll(text, `"sk-2-471147114711"`, "471147114711471147114711")
	n := 0
	for i := range text {
		for _, broken := range []string{text[:i], text[:i] + text[i+1:], text[:i] + "\x01" + text[i:], text[:i] + "\\q" + text[i:], text[:i] + "\n" + text[i:]} {
			if _, err := Parse([]byte(broken)); err != nil {
				n++
				if strings.Contains(err.Error(), "4711") {
					t.Errorf("%v", err)
				}
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d errors", n)
	}
}

func TestConversions(t *testing.T) {
	cfg, err := Parse([]byte("telemetry = 'Off'\ndefault_yolo = 1\n[loop_control]\nmax_steps_per_turn = ' 5.0'\nmax_retries_per_step = true\n" +
		"max_ralph_iterations = 2.0\nreserved_context_size = '4000'\ncompaction_trigger_ratio = '0.5'"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{DefaultYolo: true, Telemetry: pointer(false), LoopControl: LoopControl{
		MaxStepsPerTurn: pointer(5), MaxRetriesPerStep: pointer(1), MaxRalphIterations: 2, ReservedContextSize: pointer(4000), CompactionTriggerRatio: pointer(0.5),
	}}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
}

func TestValidateConfigOfGo(t *testing.T) {
	good := &Config{DefaultModel: "m", Providers: map[string]Provider{"p": {Type: ProviderKimi}}, Models: map[string]Model{"m": {Provider: "p"}}}
	for _, cfg := range []*Config{nil, {}, good} {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	bad := &Config{
		DefaultModel: "x",
		Theme:        "blue",
		Models:       map[string]Model{"b": {Provider: "p", Capabilities: []Capability{""}}, "a": {}},
		Providers:    map[string]Provider{"p": {OAuth: &OAuthRef{Storage: "cloud"}}},
		LoopControl:  LoopControl{CompactionTriggerRatio: pointer(math.NaN()), MaxStepsPerTurn: pointer(0)},
		Services:     Services{MoonshotFetch: &Service{Extra: Extra{"api_key": "k", "other": 1}}},
		Hooks:        []Hook{{Timeout: pointer(601)}},
	}
	want := []string{
		"default_model", "hooks[0].event", "hooks[0].timeout", "loop_control.compaction_trigger_ratio", "loop_control.max_steps_per_turn",
		"models.a.provider", "models.b.capabilities[0]", "providers.p.oauth.storage", "providers.p.type",
		"services.moonshot_fetch.api_key", "theme",
	}
	if diff := cmp.Diff(want, keysOf(bad.Validate())); diff != "" {
		t.Error(diff)
	}
}

func pointer[T any](v T) *T {
	p := new(T)
	*p = v
	return p
}
