package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// effectiveConfig returns a config with a provider of each kind. base is the address of the API.
func effectiveConfig(base string) *Config {
	return &Config{
		DefaultModel: "k",
		Models: map[string]Model{
			"k":   {Provider: "kimi", Model: "kimi-model", MaxContextSize: 200000, Capabilities: []Capability{CapabilityImageIn}},
			"o":   {Provider: "open", Model: "open-model", MaxContextSize: 100000},
			"r":   {Provider: "responses", Model: "r-model", MaxContextSize: 1},
			"a":   {Provider: "claude", Model: "a-model", MaxContextSize: 1},
			"e.1": {Provider: "echo", Model: "", MaxContextSize: 1},
			"n":   {Provider: "kimi", Model: "", MaxContextSize: 1},
			"b":   {Provider: "bare", Model: "b-model", MaxContextSize: 1},
			"l":   {Provider: "login", Model: "l-model", MaxContextSize: 1},
		},
		Providers: map[string]Provider{
			"kimi": {Type: ProviderKimi, BaseURL: base + "/config/v1", APIKey: "config-key", Env: map[string]Secret{"KIMI_API_KEY": "block-key"},
				CustomHeaders: map[string]Secret{"X-Custom": "custom-value"}},
			"open":      {Type: ProviderOpenAILegacy, BaseURL: base + "/open/v1", APIKey: "open-key"},
			"responses": {Type: ProviderOpenAIResponses, BaseURL: base + "/r/v1"},
			"claude":    {Type: ProviderAnthropic, BaseURL: base + "/a/v1", APIKey: "claude-key"},
			"echo":      {Type: ProviderEcho},
			"bare":      {Type: ProviderOpenAILegacy},
			"login":     {Type: ProviderKimi, BaseURL: base, OAuth: &OAuthRef{Key: "k"}},
		},
	}
}

func TestEffective(t *testing.T) {
	kimiEnv := map[string]string{"KIMI_BASE_URL": "http://u:p@env/v1?key=s#f", "KIMI_API_KEY": "env-key", "KIMI_MODEL_NAME": "env-model"}
	openEnv := map[string]string{"OPENAI_BASE_URL": "http://env", "OPENAI_API_KEY": "env-key", "KIMI_MODEL_NAME": "env-model"}
	tests := map[string]struct {
		model string
		env   map[string]string
		want  Effective
		acts  string
	}{
		"default": {"", nil, Effective{Model: "k", ModelName: "kimi-model", Provider: "kimi", Type: ProviderKimi, BaseURL: "http://h/config/v1",
			MaxContextSize: 200000, KeySource: "providers.kimi.api_key"}, ""},
		"kimi": {"", kimiEnv, Effective{Model: "k", ModelName: "env-model", Provider: "kimi", Type: ProviderKimi, BaseURL: "http://***@env/v1?***",
			MaxContextSize: 200000, KeySource: "KIMI_API_KEY"},
			"KIMI_BASE_URL overrides providers.kimi.base_url, KIMI_API_KEY overrides providers.kimi.api_key, KIMI_MODEL_NAME overrides models.k.model"},
		"kimi, the rest": {"", map[string]string{"KIMI_MODEL_MAX_CONTEXT_SIZE": "5", "KIMI_MODEL_CAPABILITIES": "thinking", "KIMI_MODEL_TEMPERATURE": "0.5", "KIMI_MODEL_TOP_P": "1",
			"KIMI_MODEL_MAX_COMPLETION_TOKENS": "many", "KIMI_MODEL_MAX_TOKENS": "7", "KIMI_MODEL_THINKING_KEEP": "all", "OPENAI_API_KEY": "x", "KIMI_API_KEY": ""},
			Effective{Model: "k", ModelName: "kimi-model", Provider: "kimi", Type: ProviderKimi, BaseURL: "http://h/config/v1", MaxContextSize: 5, KeySource: "providers.kimi.api_key"},
			"KIMI_MODEL_MAX_CONTEXT_SIZE overrides models.k.max_context_size, KIMI_MODEL_CAPABILITIES overrides models.k.capabilities, KIMI_MODEL_TEMPERATURE sets temperature, " +
				"KIMI_MODEL_TOP_P sets top_p, KIMI_MODEL_MAX_TOKENS sets max_completion_tokens, KIMI_MODEL_THINKING_KEEP sets thinking.keep"},
		"openai": {"o", openEnv, Effective{Model: "o", ModelName: "open-model", Provider: "open", Type: ProviderOpenAILegacy, BaseURL: "http://env",
			MaxContextSize: 100000, KeySource: "OPENAI_API_KEY"}, "OPENAI_BASE_URL overrides providers.open.base_url, OPENAI_API_KEY overrides providers.open.api_key"},
		"responses": {"r", openEnv, Effective{Model: "r", ModelName: "r-model", Provider: "responses", Type: ProviderOpenAIResponses, BaseURL: "http://env",
			MaxContextSize: 1, KeySource: "OPENAI_API_KEY"}, "OPENAI_BASE_URL overrides providers.responses.base_url, OPENAI_API_KEY sets api_key"},
		"anthropic": {"a", kimiEnv, Effective{Model: "a", ModelName: "a-model", Provider: "claude", Type: ProviderAnthropic, BaseURL: "http://h/a/v1",
			MaxContextSize: 1, KeySource: "providers.claude.api_key"}, ""},
		"echo":     {"e.1", nil, Effective{Model: "e.1", Provider: "echo", Type: ProviderEcho, MaxContextSize: 1}, ""},
		"no model": {"n", nil, Effective{Model: "n", Provider: "kimi", Type: ProviderKimi, BaseURL: "http://h/config/v1", MaxContextSize: 1, KeySource: "providers.kimi.api_key", Problem: "models.n.model is empty: set it"}, ""},
		"no url":   {"b", nil, Effective{Model: "b", ModelName: "b-model", Provider: "bare", Type: ProviderOpenAILegacy, MaxContextSize: 1, Problem: "providers.bare.base_url is empty: set it"}, ""},
		"login":    {"l", map[string]string{"KIMI_API_KEY": "x"}, Effective{Model: "l", ModelName: "l-model", Provider: "login", Type: ProviderKimi, BaseURL: "http://h", MaxContextSize: 1, KeySource: "providers.login.oauth"}, "KIMI_API_KEY sets api_key"},
		"unknown":  {"nope", nil, Effective{Type: ProviderKimi, MaxContextSize: 100000, Problem: `model "nope" is not in models: add it, or choose another`}, ""},
		"unknown, environment": {"nope", kimiEnv, Effective{ModelName: "env-model", Type: ProviderKimi, BaseURL: "http://***@env/v1?***", MaxContextSize: 100000, KeySource: "KIMI_API_KEY"},
			"KIMI_BASE_URL sets base_url, KIMI_API_KEY sets api_key, KIMI_MODEL_NAME sets model"},
		"bad size": {"", map[string]string{"KIMI_MODEL_MAX_CONTEXT_SIZE": "abc"}, Effective{Model: "k", ModelName: "kimi-model", Provider: "kimi", Type: ProviderKimi, BaseURL: "http://h/config/v1",
			KeySource: "providers.kimi.api_key", Problem: "KIMI_MODEL_MAX_CONTEXT_SIZE is not a number: kimi will not start; unset it"}, "KIMI_MODEL_MAX_CONTEXT_SIZE overrides models.k.max_context_size"},
		"bad temperature": {"", map[string]string{"KIMI_MODEL_TEMPERATURE": "warm", "KIMI_MODEL_TOP_P": "x"}, Effective{Model: "k", ModelName: "kimi-model", Provider: "kimi", Type: ProviderKimi, BaseURL: "http://h/config/v1", MaxContextSize: 200000,
			KeySource: "providers.kimi.api_key", Problem: "KIMI_MODEL_TEMPERATURE is not a number: kimi will not start; unset it"}, "KIMI_MODEL_TEMPERATURE sets temperature, KIMI_MODEL_TOP_P sets top_p"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := effectiveConfig("http://h").Effective(test.model, func(k string) string { return test.env[k] })
			if text := fmt.Sprintf("%+v", got); strings.Contains(text, "-key ") || strings.Contains(text, "u:p") {
				t.Errorf("shows a secret: %s", text)
			}
			var acts []string
			for _, o := range got.Overrides {
				acts = append(acts, o.String())
			}
			if diff := cmp.Diff(test.acts, strings.Join(acts, ", ")); diff != "" {
				t.Error(diff)
			}
			got.Overrides = nil
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	none := (*Config)(nil).Effective("", func(string) string { return "" })
	if want := "no model is set: set default_model, choose a model, or set KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME"; none.Problem != want {
		t.Errorf("nil config: %+v", none)
	}
}
