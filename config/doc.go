// Package config reads, checks and writes the configuration of Kimi Code:
// config.toml, as kimi-cli 1.51.0 defines it in kimi_cli/config.py, and the MCP
// server files next to it. It starts no program and no goroutine.
//
//	cfg := &config.Config{
//		DefaultModel: "k2",
//		Providers: map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: "https://api.moonshot.ai/v1", APIKey: config.Secret(key)}},
//		Models:    map[string]config.Model{"k2": {Provider: "kimi", Model: "kimi-k2-thinking-turbo", MaxContextSize: 262144}},
//	}
//
// # The model
//
// [Config] has a field for every key. Its zero value is kimi's default. Saving
// leaves out fields that are not set; the comment of [Config] has the exact rule.
// Keys that this package does not know go to the Extra field of their table, and
// saving writes them back. So a file for another version of kimi keeps its keys.
// Saving loses comments, the order and the layout of the file, and lines that set
// a plain field to its default (default_yolo = false).
//
// # Reading and writing
//
// [Load] reads a file. [LoadDefault] reads the default file; if it is missing,
// the result has kimi's defaults. [Parse] reads text in TOML or JSON. All three
// accept what kimi-cli accepts, with pydantic's conversions ("5" for 5), and
// refuse everything else. There are three differences: integers have 64 bits, JSON
// has no NaN, and the three functions also accept TOML 1.1. Written files are
// TOML 1.0.
// [Config.Save] writes the whole file or nothing, with mode 0600.
// [Config.MarshalTOML] and [Config.MarshalJSONFile] return the bytes.
//
// # Errors
//
// [Config.Validate], [Load] and [Parse] report all violations at once, each as
// an [*Error] with its key path:
//
//	config: providers.kimi.base_url: required
//
// No error contains a secret, even if the syntax error is in the middle of a secret.
//
// # Secrets
//
// API keys, header values and environment values have the type [Secret], which
// never shows its value. Unknown keys may hold secrets, too, so [Extra] shows
// only its keys. The output of json.Marshal for a Config is therefore safe to
// show, but kimi cannot use it as a file. For a file, use [Config.Save].
//
// # The environment
//
// For each type of provider, these environment variables override the config file.
// An empty variable counts as not set.
//
//	kimi                             KIMI_BASE_URL, KIMI_API_KEY, KIMI_MODEL_NAME,
//	                                 KIMI_MODEL_MAX_CONTEXT_SIZE, KIMI_MODEL_CAPABILITIES
//	openai_legacy, openai_responses  OPENAI_BASE_URL, OPENAI_API_KEY
//	the others                       none
//
// For a provider of type kimi, these variables set what the file has no key for:
// KIMI_MODEL_TEMPERATURE, KIMI_MODEL_TOP_P, KIMI_MODEL_THINKING_KEEP, and
// KIMI_MODEL_MAX_COMPLETION_TOKENS or, without it, KIMI_MODEL_MAX_TOKENS.
//
// KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME together define a model without
// a provider in the config, in two cases: neither --model nor default_model names a model, or --model
// names a model that is not in the config. A stored OAuth login
// overrides the API key of the file and of the environment. A provider's own env
// table has an effect only for vertexai and _scripted_echo.
// [Config.Effective] returns the result for a given environment.
package config
