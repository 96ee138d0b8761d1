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
// [Config] has a field for every key. Its zero value is kimi's default. Fields that are not set are not written; the
// comment of [Config] has the rule. Keys that this version does not know are kept in the Extra field of their table and
// written back, so a file of another version keeps them. Saving loses comments, the order and the layout of the file,
// and lines that set a plain field to its default, such as default_yolo = false.
//
// # Reading and writing
//
// [Load] reads a file. [LoadDefault] reads the default file, or returns kimi's defaults if the file is missing. [Parse]
// reads text in TOML or JSON. They accept what Kimi Code accepts, with the conversions of pydantic ("5" for 5), and
// refuse everything else. There are three differences: integers have 64 bits, JSON has no NaN, and the readers also
// accept TOML 1.1, which Kimi Code does not. Written files are TOML 1.0. [Config.Save] writes the whole file or
// nothing, with mode 0600. [Config.MarshalTOML] and [Config.MarshalJSONFile] return the bytes of the file.
//
// # Errors
//
// [Config.Validate], [Load] and [Parse] report all violations at once, each as
// an [*Error] with its key path:
//
//	config: providers.kimi.base_url: required
//
// No error contains a secret, even if the syntax is wrong in the middle of a secret.
//
// # Secrets
//
// API keys, header values and environment values have the type [Secret], which
// never shows its value. Unknown keys may hold secrets, too, so [Extra] shows
// only its keys. The output of json.Marshal for a Config is therefore safe to
// show, but cannot be used as a file: use the functions above.
//
// # The environment
//
// Environment variables override the config file. Which ones do depends on the type of the chosen provider. An empty
// variable counts as not set:
//
//	kimi                             KIMI_BASE_URL, KIMI_API_KEY, KIMI_MODEL_NAME,
//	                                 KIMI_MODEL_MAX_CONTEXT_SIZE, KIMI_MODEL_CAPABILITIES; and, without a key in
//	                                 the file, KIMI_MODEL_TEMPERATURE, _TOP_P, _MAX_COMPLETION_TOKENS (else
//	                                 _MAX_TOKENS) and _THINKING_KEEP
//	openai_legacy, openai_responses  OPENAI_BASE_URL, OPENAI_API_KEY
//	the others                       none
//
// KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME together need no provider in the config in two cases: neither --model
// nor default_model names a model, or --model names a model that is not in the config. A stored OAuth login overrides
// the API key of the file and of the environment. A provider's own env table has an effect only for vertexai and
// _scripted_echo. [Config.Effective] returns the result for a given environment.
package config
