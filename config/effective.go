package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Effective is the model, provider and key that Kimi Code uses for a config, a --model flag and an environment. It
// holds no secret.
type Effective struct {
	Model          string       // the name in Config.Models; "" if there is none
	ModelName      string       // the name that is sent to the API
	Provider       string       // the name in Config.Providers; "" if there is none
	Type           ProviderType // the provider's type; kimi if there is no provider
	BaseURL        string       // the API's address, without user name, password and query values
	MaxContextSize int          // the size of the context in tokens
	KeySource      string       // where the API key comes from: the name of a variable, or a key path; "" if there is no key
	Overrides      []Override   // the variables that have an effect, in kimi's order
	Problem        string       // why no model can be called, and what to do; "" if one can
}

// Override is one environment variable that has an effect.
type Override struct {
	Variable string // such as KIMI_BASE_URL
	Setting  string // the setting that it sets, such as base_url
	Key      string // the key path of the value that it overrides in the config; "" if the config has no such value
}

// String returns "KIMI_BASE_URL overrides providers.kimi.base_url", or "KIMI_BASE_URL sets base_url".
func (o Override) String() string {
	if o.Key != "" {
		return o.Variable + " overrides " + o.Key
	}
	return o.Variable + " sets " + o.Setting
}

// Effective says which model Kimi Code would call, and which variables override the config, as in kimi_cli/app.py and
// kimi_cli/llm.py (1.51.0). model is the --model flag, "" if it is not given. getenv returns the variables of kimi's
// environment; os.Getenv returns those of this process. A nil Config is the default one. Effective reads no file. If
// the provider has OAuth, KeySource names it, although kimi uses the API key if no login is stored.
func (c *Config) Effective(model string, getenv func(string) string) Effective {
	if c == nil {
		c = &Config{}
	}
	name := model
	if name == "" {
		name = c.DefaultModel
	}
	m, known := c.Models[name]
	p := c.Providers[m.Provider]
	e := Effective{Model: name, Provider: m.Provider}
	modelKey, providerKey := join("models", name), join("providers", m.Provider)
	if !known {
		m, p = Model{MaxContextSize: 100_000}, Provider{Type: ProviderKimi}
		e.Model, e.Provider, modelKey = "", "", ""
	}
	e.ModelName, e.Type, e.BaseURL, e.MaxContextSize = m.Model, p.Type, p.BaseURL, m.MaxContextSize
	if p.APIKey != "" {
		e.KeySource = join(providerKey, "api_key")
	}

	// apply records a variable if it is set. A table of "" means that the config has no such key.
	apply := func(variable, table, setting string, inConfig bool) (string, bool) {
		value := getenv(variable)
		if value == "" {
			return "", false
		}
		o := Override{Variable: variable, Setting: setting}
		if inConfig {
			o.Key = join(table, setting)
		}
		e.Overrides = append(e.Overrides, o)
		return value, true
	}
	address := func(prefix string) {
		if v, ok := apply(prefix+"_BASE_URL", providerKey, "base_url", p.BaseURL != ""); ok {
			e.BaseURL = v
		}
		if _, ok := apply(prefix+"_API_KEY", providerKey, "api_key", p.APIKey != ""); ok {
			e.KeySource = prefix + "_API_KEY"
		}
	}
	bad := "" // the variable whose value kimi cannot read
	switch p.Type {
	case ProviderKimi:
		address("KIMI")
		if v, ok := apply("KIMI_MODEL_NAME", modelKey, "model", m.Model != ""); ok {
			e.ModelName = v
		}
		if v, ok := apply("KIMI_MODEL_MAX_CONTEXT_SIZE", modelKey, "max_context_size", known); ok {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				bad = "KIMI_MODEL_MAX_CONTEXT_SIZE"
			}
			e.MaxContextSize = n
		}
		apply("KIMI_MODEL_CAPABILITIES", modelKey, "capabilities", len(m.Capabilities) > 0)
		for _, setting := range []string{"temperature", "top_p"} {
			variable := "KIMI_MODEL_" + strings.ToUpper(setting)
			v, ok := apply(variable, "", setting, false)
			if _, err := strconv.ParseFloat(strings.TrimSpace(v), 64); ok && err != nil && bad == "" {
				bad = variable
			}
		}
		for _, variable := range []string{"KIMI_MODEL_MAX_COMPLETION_TOKENS", "KIMI_MODEL_MAX_TOKENS"} {
			if _, err := strconv.Atoi(strings.TrimSpace(getenv(variable))); err == nil { // kimi ignores a value that is not a number
				apply(variable, "", "max_completion_tokens", false)
				break
			}
		}
		apply("KIMI_MODEL_THINKING_KEEP", "", "thinking.keep", false) // kimi uses it only in thinking mode
	case ProviderOpenAILegacy, ProviderOpenAIResponses:
		address("OPENAI")
	}
	if p.OAuth != nil {
		e.KeySource = join(providerKey, "oauth")
	}
	e.Problem = problem(e, model, known, bad)
	e.BaseURL = redactURL(e.BaseURL)
	return e
}

func problem(e Effective, model string, known bool, bad string) string {
	echo := slices.Contains([]ProviderType{ProviderEcho, ProviderScriptedEcho}, e.Type)
	switch {
	case bad != "":
		return bad + " is not a number: kimi will not start; unset it"
	case echo || e.BaseURL != "" && e.ModelName != "":
		return ""
	case known && e.BaseURL == "":
		return join(join("providers", e.Provider), "base_url") + " is empty: set it"
	case known:
		return join(join("models", e.Model), "model") + " is empty: set it"
	case model != "":
		return "model " + quote(model) + " is not in models: add it, or choose another"
	}
	return "no model is set: set default_model, choose a model, or set KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME"
}

// redactURL removes the parts of a URL that may be secret. A text that is not a URL is removed completely.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || strings.Contains(u.Opaque, "@") { // user:password@host
		return mask
	}
	if u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		return s
	}
	if u.User != nil {
		u.User = url.User(mask)
	}
	if u.RawQuery != "" {
		u.RawQuery = mask
	}
	u.Fragment = ""
	return strings.ReplaceAll(u.String(), "%2A%2A%2A", mask)
}
