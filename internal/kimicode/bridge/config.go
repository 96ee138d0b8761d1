package bridge

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// modelVariables are what Kimi Code makes a model of that its configuration does not name.
var modelVariables = []string{"NAME", "API_KEY", "BASE_URL", "PROVIDER_TYPE", "MAX_CONTEXT_SIZE", "CAPABILITIES"}

// configure turns the model of a configuration for kimi-cli, and the variables that kimi-cli
// reads, into the variables that Kimi Code reads. Without either, its own configuration serves.
func (s *settings) configure(cfg *config.Config) error {
	get := func(key string) string { return getenv(s.env, key) }
	if cfg == nil {
		// The three variables of kimi-cli, unless Kimi Code's own say it all.
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
	if n := cfg.LoopControl.MaxStepsPerTurn; n != nil && get("KIMI_LOOP_MAX_STEPS_PER_TURN") == "" {
		s.env = setenv(s.env, "KIMI_LOOP_MAX_STEPS_PER_TURN", strconv.Itoa(*n))
	}
	if n := cfg.LoopControl.MaxRetriesPerStep; n != nil && get("KIMI_LOOP_MAX_ATTEMPTS_PER_STEP") == "" {
		s.env = setenv(s.env, "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP", strconv.Itoa(*n))
	}
	if s.Thinking == "" {
		if s.Thinking = "off"; cfg.DefaultThinking {
			s.Thinking = "on"
		}
	}
	if cfg.DefaultYolo && s.Permission == api.Manual {
		s.Permission = api.Yolo
	}
	s.Plan = s.Plan || cfg.DefaultPlanMode
	name := s.Model
	if name == "" {
		name = cfg.DefaultModel
	}
	m, known := cfg.Models[name]
	if !known && s.Model != "" {
		return fmt.Errorf("the configuration has no model %.80q", s.Model)
	}
	p, ok := cfg.Providers[m.Provider]
	if known && !ok {
		return fmt.Errorf("models.%s names the provider %.80q, which the configuration has not", name, m.Provider)
	}
	s.Model = ""
	kinds := map[config.ProviderType]string{
		"": "kimi", config.ProviderKimi: "kimi", config.ProviderOpenAILegacy: "openai", config.ProviderAnthropic: "anthropic",
	}
	kind, ok := kinds[p.Type]
	if !ok {
		return &UnsupportedError{Option: "the provider type " + string(p.Type), Why: "it takes kimi, openai_legacy and anthropic from a configuration; name others in its own config.toml"}
	}
	for key, set := range map[string]bool{"custom_headers": len(p.CustomHeaders) > 0, "env": len(p.Env) > 0, "oauth": p.OAuth != nil} {
		if set {
			return &UnsupportedError{Option: "providers." + m.Provider + "." + key, Why: "name the provider in its own config.toml"}
		}
	}
	for _, extra := range []config.Extra{m.Extra, p.Extra} {
		for key := range extra {
			return &UnsupportedError{Option: "the configuration's " + key, Why: "name the model in its own config.toml"}
		}
	}
	if p.ReasoningKey != nil && *p.ReasoningKey == "" {
		return &UnsupportedError{Option: "providers." + m.Provider + ".reasoning_key = \"\"", Why: "name the provider in its own config.toml"}
	}
	if p.ReasoningKey != nil {
		s.env = setenv(s.env, "KIMI_MODEL_REASONING_KEY", *p.ReasoningKey)
	}
	var caps []string
	for _, c := range m.Capabilities {
		caps = append(caps, string(c))
	}
	values := []string{m.Model, p.APIKey.Reveal(), p.BaseURL, kind, "", strings.Join(caps, ",")}
	if m.MaxContextSize > 0 {
		values[4] = strconv.Itoa(m.MaxContextSize)
	}
	// In kimi-cli the environment beats the configuration, by the type of the provider.
	switch kind {
	case "kimi":
		for i, key := range []string{"KIMI_MODEL_NAME", "KIMI_API_KEY", "KIMI_BASE_URL", "", "KIMI_MODEL_MAX_CONTEXT_SIZE", "KIMI_MODEL_CAPABILITIES"} {
			if v := get(key); key != "" && v != "" {
				values[i] = v
			}
		}
	case "openai":
		for i, key := range []string{"", "OPENAI_API_KEY", "OPENAI_BASE_URL"} {
			if v := get(key); key != "" && v != "" {
				values[i] = v
			}
		}
	}
	if s.NoModel = values[0] == "" || values[1] == ""; s.NoModel {
		return nil // its own must not step in: each prompt says that there is none
	}
	for i, variable := range modelVariables {
		s.env = setenv(s.env, "KIMI_MODEL_"+variable, values[i])
	}
	return nil
}

// foreign names what a configuration sets that Kimi Code cannot be told.
func foreign(cfg *config.Config) error {
	c := *cfg
	c.DefaultModel, c.DefaultThinking, c.DefaultYolo, c.DefaultPlanMode = "", false, false, false
	c.Models, c.Providers = nil, nil
	c.LoopControl.MaxStepsPerTurn, c.LoopControl.MaxRetriesPerStep = nil, nil
	c.Theme, c.DefaultEditor, c.ShowThinkingStream = "", "", nil // the terminal's
	var keys []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if v.Field(i).IsZero() || v.Field(i).Kind() == reflect.Map && v.Field(i).Len() == 0 || v.Field(i).Kind() == reflect.Slice && v.Field(i).Len() == 0 {
			continue
		}
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "-" {
			keys = slices.AppendSeq(keys, maps.Keys(c.Extra))
			continue
		}
		keys = append(keys, name)
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return &UnsupportedError{Option: "the configuration's " + strings.Join(keys, ", "), Why: "set it in its own config.toml"}
}
