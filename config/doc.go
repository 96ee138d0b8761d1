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
// [Config] has a field for every key. Its zero value is kimi's default, and what
// is not set is not written; [Config] states the one rule for all tables. Keys
// that this version does not know are kept in the Extra field of their table and
// written back, so that a file made by another version survives. What a save
// does not keep: comments, the order and the layout of the file, and, where the
// file spells out a plain field's default (default_yolo = false), that line.
//
// # Reading and writing
//
// [Load] reads a file, [LoadDefault] the default one (kimi's defaults if it is
// missing), [Parse] text in TOML or JSON. They accept what Kimi Code accepts,
// with pydantic's conversions ("5" for 5), and refuse the rest. Three limits of
// the readers: integers have 64 bits, JSON has no NaN, and TOML 1.1 is read too,
// which Kimi Code does not. Written files are TOML 1.0.
// [Config.Save] writes a file with mode 0600, whole or not at all;
// [Config.MarshalTOML] and [Config.MarshalJSONFile] give the bytes.
//
// # Errors
//
// [Config.Validate], [Load] and [Parse] report all violations at once, each as
// an [*Error] with its key path:
//
//	config: providers.kimi.base_url: required
//
// No error holds a secret, also where the syntax is broken in the middle of one.
//
// # Secrets
//
// API keys, header values and environment values are of type [Secret], which
// shows itself nowhere. Unknown keys may hold secrets too, so [Extra] shows its
// keys only. json.Marshal of a Config is therefore safe to show and useless as a
// file: use the functions above.
//
// # The environment
//
// Environment variables override the config file, by the type of the chosen
// provider; an empty variable counts as not set:
//
//	kimi                             KIMI_BASE_URL, KIMI_API_KEY, KIMI_MODEL_NAME,
//	                                 KIMI_MODEL_MAX_CONTEXT_SIZE, KIMI_MODEL_CAPABILITIES; and, without a key in
//	                                 the file, KIMI_MODEL_TEMPERATURE, _TOP_P, _MAX_COMPLETION_TOKENS (else
//	                                 _MAX_TOKENS) and _THINKING_KEEP
//	openai_legacy, openai_responses  OPENAI_BASE_URL, OPENAI_API_KEY
//	the others                       none
//
// Where neither --model nor default_model names a model of the config, and also
// where --model names one that is not there, a nameless kimi provider stands in:
// KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME together then suffice. A
// stored OAuth login overrides the API key of the file and of the environment. A
// provider's own env table acts for vertexai and _scripted_echo only.
// [Config.Effective] works this out for a given environment.
package config
