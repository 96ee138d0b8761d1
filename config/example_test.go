package config_test

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/kimi-go/kimi-go/config"
)

func ExampleParse() {
	cfg, err := config.Parse([]byte(`
default_model = "k2"

[models.k2]
provider = "kimi"
model = "kimi-k2-thinking-turbo"
max_context_size = 262144

[providers.kimi]
type = "kimi"
base_url = "https://api.moonshot.ai/v1"
api_key = "sk-secret"
added_in_the_future = true
`))
	if err != nil {
		log.Fatal(err)
	}
	kimi := cfg.Providers[cfg.Models[cfg.DefaultModel].Provider]
	fmt.Println(kimi.BaseURL, kimi.APIKey, kimi.Extra)

	_, err = config.Parse([]byte(`{"theme": "blue", "providers": {"kimi": {"type": "kimi", "api_key": 1}}}`))
	fmt.Println(err)
	// Output:
	// https://api.moonshot.ai/v1 *** map[added_in_the_future:***]
	// config: providers.kimi.api_key: must be a string, not a whole number
	// config: providers.kimi.base_url: required
	// config: theme: "blue" is not one of dark, light
}

func ExampleConfig_Validate() {
	steps := 0
	cfg := &config.Config{
		DefaultModel: "k2",
		Models:       map[string]config.Model{"k2.5": {Provider: "moonshot", Model: "kimi-k2.5", MaxContextSize: 262144}},
		Providers:    map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: "https://api.moonshot.ai/v1"}},
		LoopControl:  config.LoopControl{MaxStepsPerTurn: &steps},
	}
	fmt.Println(cfg.Validate())
	// Output:
	// config: default_model: "k2" is not in models; use one of "k2.5" or add a [models.NAME] table
	// config: loop_control.max_steps_per_turn: must be at least 1
	// config: models."k2.5".provider: "moonshot" is not in providers; use one of "kimi" or add a [providers.NAME] table
}

func ExampleConfig_Save() {
	dir, err := os.MkdirTemp("", "kimi")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "config.toml")

	cfg := &config.Config{Theme: config.ThemeLight, Extra: config.Extra{"added_in_the_future": 1}}
	if err := cfg.Save(path); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))

	again, err := config.Load(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Theme, again.ShowThinkingStream == nil)
	// Output:
	// added_in_the_future = 1
	// theme = "light"
	// light true
}

func ExampleSecret() {
	key := config.Secret("sk-secret")
	text, err := json.Marshal(map[string]config.Secret{"api_key": key})
	fmt.Printf("%v %q %#v %x %s %v\n", key, key, key, key, text, err)
	fmt.Println(key.Reveal())
	// Output:
	// *** *** *** *** {"api_key":"***"} <nil>
	// sk-secret
}

func ExampleConfig_Effective() {
	cfg := &config.Config{
		DefaultModel: "k2",
		Models:       map[string]config.Model{"k2": {Provider: "kimi", Model: "kimi-k2-thinking-turbo", MaxContextSize: 262144}},
		Providers:    map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: "https://api.moonshot.ai/v1", APIKey: "sk-secret"}},
	}
	env := map[string]string{"KIMI_MODEL_NAME": "kimi-k2.5"}
	e := cfg.Effective("", func(name string) string { return env[name] })
	fmt.Println(e.ModelName, "at", e.BaseURL, "with", e.KeySource)
	for _, o := range e.Overrides {
		fmt.Println(o)
	}
	// Output:
	// kimi-k2.5 at https://api.moonshot.ai/v1 with providers.kimi.api_key
	// KIMI_MODEL_NAME overrides models.k2.model
}

func ExampleMarshalMCP() {
	servers := map[string]config.MCPServer{
		"docs": {URL: "https://mcp.example.com/mcp", Headers: map[string]config.Secret{"X-Key": "secret"}},
	}
	if err := config.ValidateMCP(servers); err != nil {
		log.Fatal(err)
	}
	fmt.Println(servers)
	text, err := config.MarshalMCP(servers)
	fmt.Println(string(text), err)
	// Output:
	// map[docs:{"url":"https://mcp.example.com/mcp","headers":{"X-Key":"***"}}]
	// {
	//   "mcpServers": {
	//     "docs": {
	//       "headers": {
	//         "X-Key": "secret"
	//       },
	//       "url": "https://mcp.example.com/mcp"
	//     }
	//   }
	// }
	//  <nil>
}
