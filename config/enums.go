package config

// ProviderType says which API a provider speaks: kimi_cli/llm.py (1.51.0).
type ProviderType string

// The provider types of Kimi Code. Those with an underscore are for tests.
const (
	ProviderKimi            ProviderType = "kimi"
	ProviderOpenAILegacy    ProviderType = "openai_legacy"    // OpenAI chat completions
	ProviderOpenAIResponses ProviderType = "openai_responses" // OpenAI responses
	ProviderAnthropic       ProviderType = "anthropic"
	ProviderGoogleGenAI     ProviderType = "google_genai" // the old name of gemini
	ProviderGemini          ProviderType = "gemini"
	ProviderVertexAI        ProviderType = "vertexai"
	ProviderEcho            ProviderType = "_echo"          // repeats the prompt
	ProviderScriptedEcho    ProviderType = "_scripted_echo" // plays the scripts in the file that KIMI_SCRIPTED_ECHO_SCRIPTS names
	ProviderChaos           ProviderType = "_chaos"         // kimi with random failures
)

func (ProviderType) values() []string {
	return names(ProviderKimi, ProviderOpenAILegacy, ProviderOpenAIResponses, ProviderAnthropic, ProviderGoogleGenAI,
		ProviderGemini, ProviderVertexAI, ProviderEcho, ProviderScriptedEcho, ProviderChaos)
}

// Capability is something that a model can do: kimi_cli/llm.py (1.51.0).
type Capability string

// The capabilities of a model.
const (
	CapabilityImageIn        Capability = "image_in"
	CapabilityVideoIn        Capability = "video_in"
	CapabilityThinking       Capability = "thinking"        // can be switched on and off
	CapabilityAlwaysThinking Capability = "always_thinking" // cannot be switched off
)

func (Capability) values() []string {
	return names(CapabilityImageIn, CapabilityVideoIn, CapabilityThinking, CapabilityAlwaysThinking)
}

// Theme is the terminal's colour theme; "" means dark.
type Theme string

// The colour themes.
const (
	ThemeDark  Theme = "dark"
	ThemeLight Theme = "light"
)

func (Theme) values() []string { return names(ThemeDark, ThemeLight) }

// OAuthStorage says where OAuth credentials are stored; "" means file.
type OAuthStorage string

// The storages of OAuth credentials.
const (
	OAuthFile    OAuthStorage = "file"
	OAuthKeyring OAuthStorage = "keyring"
)

func (OAuthStorage) values() []string { return names(OAuthFile, OAuthKeyring) }

// HookEvent is the moment at which a [Hook] runs: kimi_cli/hooks/config.py (1.51.0).
type HookEvent string

// The hook events.
const (
	HookPreToolUse         HookEvent = "PreToolUse"
	HookPostToolUse        HookEvent = "PostToolUse"
	HookPostToolUseFailure HookEvent = "PostToolUseFailure"
	HookUserPromptSubmit   HookEvent = "UserPromptSubmit"
	HookStop               HookEvent = "Stop"
	HookStopFailure        HookEvent = "StopFailure"
	HookSessionStart       HookEvent = "SessionStart"
	HookSessionEnd         HookEvent = "SessionEnd"
	HookSubagentStart      HookEvent = "SubagentStart"
	HookSubagentStop       HookEvent = "SubagentStop"
	HookPreCompact         HookEvent = "PreCompact"
	HookPostCompact        HookEvent = "PostCompact"
	HookNotification       HookEvent = "Notification"
)

func (HookEvent) values() []string {
	return names(HookPreToolUse, HookPostToolUse, HookPostToolUseFailure, HookUserPromptSubmit, HookStop, HookStopFailure,
		HookSessionStart, HookSessionEnd, HookSubagentStart, HookSubagentStop, HookPreCompact, HookPostCompact, HookNotification)
}

func names[T ~string](list ...T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}
