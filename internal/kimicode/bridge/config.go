package bridge

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// providerTypes has Kimi Code's name for each type of provider.
var providerTypes = map[config.ProviderType]string{
	"": "kimi", config.ProviderKimi: "kimi", config.ProviderOpenAILegacy: "openai", config.ProviderOpenAIResponses: "openai_responses",
	config.ProviderAnthropic: "anthropic", config.ProviderGoogleGenAI: "google-genai", config.ProviderGemini: "google-genai",
	config.ProviderVertexAI: "vertexai",
}

// configure converts a configuration of kimi-cli to the configuration of a private home. It also sets the variables that
// Kimi Code reads from those that kimi-cli reads. If cfg is nil, Kimi Code uses its own configuration.
func (s *settings) configure(cfg *config.Config) error {
	get := func(key string) string { return getenv(s.env, key) }
	if cfg == nil {
		// Use the three variables of kimi-cli, unless Kimi Code's own variables are complete.
		if get("KIMI_MODEL_NAME") != "" && get("KIMI_MODEL_API_KEY") == "" && get("KIMI_API_KEY") != "" {
			s.env = setenv(s.env, "KIMI_MODEL_API_KEY", get("KIMI_API_KEY"))
			if get("KIMI_MODEL_BASE_URL") == "" {
				s.env = setenv(s.env, "KIMI_MODEL_BASE_URL", get("KIMI_BASE_URL"))
			}
		}
		return nil
	}
	if err := foreign(cfg); err != nil {
		return err
	}
	if s.Thinking == "" && !cfg.DefaultThinking { // without a value, Kimi Code lets a model think that can
		s.Thinking = "off"
	}
	if cfg.DefaultYolo && s.Permission == api.Manual {
		s.Permission = api.Yolo
	}
	s.Plan = s.Plan || cfg.DefaultPlanMode
	models, providers := maps.Clone(cfg.Models), maps.Clone(cfg.Providers)
	if s.Model != "" {
		if _, known := models[s.Model]; !known {
			return &ArgumentError{
				Argument: "--model", Why: fmt.Sprintf("the configuration has no model %.80q; it has %.200s", s.Model, names(models)),
				Remedy: "use one that it has", Code: wireproto.CodeLLMNotSet,
			}
		}
	} else {
		s.Model = cfg.DefaultModel
	}
	m, known := models[s.Model]
	if _, ok := providers[m.Provider]; known && !ok {
		return fmt.Errorf("models.%s names the provider %.80q, which is not in the configuration", s.Model, m.Provider)
	}
	if !known { // as in kimi-cli, the environment alone can describe a model
		s.Model, m.Provider = environmentModel, environmentModel
		m.MaxContextSize = 100_000
		if models == nil {
			models = make(map[string]config.Model)
		}
		if providers == nil {
			providers = make(map[string]config.Provider)
		}
		providers[m.Provider] = config.Provider{Type: config.ProviderKimi}
	}
	p := providers[m.Provider]
	if err := override(&m, &p, get); err != nil {
		return err
	}
	models[s.Model], providers[m.Provider] = m, p
	if s.NoModel = m.Model == "" || p.APIKey == "" && p.OAuth == nil && p.Type != config.ProviderVertexAI; s.NoModel {
		delete(models, s.Model)
		s.Model = ""
	}
	for _, key := range []string{"NAME", "API_KEY", "BASE_URL", "PROVIDER_TYPE", "MAX_CONTEXT_SIZE", "CAPABILITIES"} {
		s.env = setenv(s.env, "KIMI_MODEL_"+key, "") // Kimi Code would prefer a model of the environment
	}
	settings := translate(cfg, models, providers)
	if s.Model != "" {
		settings["default_model"] = s.Model
	}
	s.overlay.Config, s.overlay.Replace = settings, true
	return nil
}

// names lists the names of models.
func names(models map[string]config.Model) string {
	if len(models) == 0 {
		return "none at all"
	}
	return strings.Join(slices.Sorted(maps.Keys(models)), ", ")
}

// environmentModel is the name of a model that only the environment describes, and the name of its provider.
const environmentModel = "environment"

// override replaces values of the configuration by those of the environment. As in kimi-cli, the type of the provider
// says which variables count.
func override(m *config.Model, p *config.Provider, get func(string) string) error {
	set := func(to *string, key string) {
		if v := get(key); v != "" {
			*to = v
		}
	}
	key := p.APIKey.Reveal()
	switch p.Type {
	case "", config.ProviderKimi:
		set(&m.Model, "KIMI_MODEL_NAME")
		set(&key, "KIMI_API_KEY")
		set(&p.BaseURL, "KIMI_BASE_URL")
		if v := get("KIMI_MODEL_MAX_CONTEXT_SIZE"); v != "" {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				return fmt.Errorf("KIMI_MODEL_MAX_CONTEXT_SIZE is %.20q, not a number", v)
			}
			m.MaxContextSize = n
		}
		if v := get("KIMI_MODEL_CAPABILITIES"); v != "" {
			m.Capabilities = nil
			for name := range strings.SplitSeq(v, ",") {
				m.Capabilities = append(m.Capabilities, config.Capability(strings.TrimSpace(name)))
			}
		}
	case config.ProviderOpenAILegacy, config.ProviderOpenAIResponses:
		set(&key, "OPENAI_API_KEY")
		set(&p.BaseURL, "OPENAI_BASE_URL")
	}
	p.APIKey = config.Secret(key)
	return nil
}

// foreign returns an error that names the keys of a configuration which Kimi Code does not have. It does not name keys
// about kimi-cli's terminal and about how kimi-cli polls its tasks, because these have no effect here.
func foreign(cfg *config.Config) error {
	var keys []string
	no := func(key string, set bool) {
		if set {
			keys = append(keys, key)
		}
	}
	no("skip_afk_prompt_injection", cfg.SkipAFKPromptInjection)
	no("loop_control.max_ralph_iterations", cfg.LoopControl.MaxRalphIterations != 0)
	for name, p := range cfg.Providers {
		if _, ok := providerTypes[p.Type]; !ok {
			return &UnsupportedError{Option: "the provider type " + string(p.Type), Why: "use " + known() + " in providers." + name}
		}
		no("providers."+name+".reasoning_key = \"\"", p.ReasoningKey != nil && *p.ReasoningKey == "")
	}
	keys = slices.AppendSeq(keys, maps.Keys(cfg.Extra))
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return &UnsupportedError{Option: "the configuration's " + strings.Join(keys, ", "), Why: "leave it out"}
}

// known lists the types of providers.
func known() string {
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(providerTypes)) {
		if kind != "" {
			list = append(list, string(kind))
		}
	}
	return strings.Join(list, ", ")
}

// table is a table of TOML.
type table = map[string]any

// put sets a key if there is a value.
func put[T any](t table, key string, value *T) {
	if value != nil {
		t[key] = *value
	}
}

// translate converts a configuration of kimi-cli to the form that Kimi Code reads.
func translate(cfg *config.Config, models map[string]config.Model, providers map[string]config.Provider) table {
	out := table{}
	modelTables := table{}
	for name, m := range models {
		t := table{"provider": m.Provider, "model": m.Model, "max_context_size": m.MaxContextSize}
		if len(m.Capabilities) > 0 {
			t["capabilities"] = m.Capabilities
		}
		if m.DisplayName != "" {
			t["display_name"] = m.DisplayName
		}
		if key := providers[m.Provider].ReasoningKey; key != nil {
			t["reasoning_key"] = *key
		}
		extra(t, m.Extra)
		modelTables[name] = t
	}
	out["models"] = modelTables
	providerTables := table{}
	for name, p := range providers {
		t := table{"type": providerTypes[p.Type], "base_url": p.BaseURL, "api_key": p.APIKey.Reveal()}
		secrets(t, "env", p.Env)
		secrets(t, "custom_headers", p.CustomHeaders)
		login(t, p.OAuth)
		extra(t, p.Extra)
		providerTables[name] = t
	}
	out["providers"] = providerTables
	loop := table{}
	put(loop, "max_steps_per_turn", cfg.LoopControl.MaxStepsPerTurn)
	put(loop, "max_attempts_per_step", cfg.LoopControl.MaxRetriesPerStep)
	put(loop, "reserved_context_size", cfg.LoopControl.ReservedContextSize)
	put(loop, "compaction_trigger_ratio", cfg.LoopControl.CompactionTriggerRatio)
	out["loop_control"] = loop
	background := table{}
	put(background, "max_running_tasks", cfg.Background.MaxRunningTasks)
	put(background, "kill_grace_period_ms", cfg.Background.KillGracePeriodMS)
	put(background, "print_wait_ceiling_s", cfg.Background.PrintWaitCeilingS)
	if cfg.Background.KeepAliveOnExit {
		background["keep_alive_on_exit"] = true
	}
	out["background"] = background
	if s := cfg.Background.AgentTaskTimeoutS; s != nil {
		out["subagent"] = table{"timeout_ms": *s * 1000}
	}
	if ms := cfg.MCP.Client.ToolCallTimeoutMS; ms != nil {
		out["mcp"] = table{"tool_timeout_ms": *ms}
	}
	services := table{}
	for name, s := range map[string]*config.Service{"moonshot_search": cfg.Services.MoonshotSearch, "moonshot_fetch": cfg.Services.MoonshotFetch} {
		if s != nil {
			t := table{"base_url": s.BaseURL, "api_key": s.APIKey.Reveal()}
			secrets(t, "custom_headers", s.CustomHeaders)
			login(t, s.OAuth)
			services[name] = t
		}
	}
	if len(services) > 0 {
		out["services"] = services
	}
	var hooks []table
	for _, h := range cfg.Hooks {
		t := table{"event": string(h.Event), "command": h.Command}
		if h.Matcher != "" {
			t["matcher"] = h.Matcher
		}
		put(t, "timeout", h.Timeout)
		hooks = append(hooks, t)
	}
	if hooks != nil {
		out["hooks"] = hooks
	}
	put(out, "merge_all_available_skills", cfg.MergeAllAvailableSkills)
	put(out, "telemetry", cfg.Telemetry)
	if len(cfg.ExtraSkillDirs) > 0 {
		out["extra_skill_dirs"] = cfg.ExtraSkillDirs
	}
	return out
}

func secrets(t table, key string, list map[string]config.Secret) {
	if len(list) == 0 {
		return
	}
	values := table{}
	for name, s := range list {
		values[name] = s.Reveal()
	}
	t[key] = values
}

func login(t table, ref *config.OAuthRef) {
	if ref != nil {
		storage := ref.Storage
		if storage == "" {
			storage = config.OAuthFile
		}
		t["oauth"] = table{"storage": string(storage), "key": ref.Key}
	}
}

func extra(t table, e config.Extra) {
	maps.Copy(t, e)
}
