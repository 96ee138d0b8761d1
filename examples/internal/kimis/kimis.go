// Package kimis runs the tests of the examples with both real kimis.
package kimis

import (
	"context"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
)

// Kimi is one of the two programs.
type Kimi struct {
	Name               string
	Shell, Read, Write string                                         // the names by which the model calls these tools
	ToolPrefix         string                                         // the model calls a Go tool by this prefix and its name
	At                 func(t testing.TB, url string) *client.Options // returns options with the model at the URL
}

var both = []Kimi{
	{Name: "kimi-cli", Shell: "Shell", Read: "ReadFile", Write: "WriteFile", At: func(t testing.TB, url string) *client.Options {
		opts := clienttest.Kimi(t)
		opts.Config = &config.Config{
			DefaultModel: "scripted",
			Providers:    map[string]config.Provider{"local": {Type: config.ProviderKimi, BaseURL: url, APIKey: "sk-test"}},
			Models:       map[string]config.Model{"scripted": {Provider: "local", Model: "scripted", MaxContextSize: 100_000}},
		}
		return opts
	}},
	{Name: "Kimi Code", Shell: "Bash", Read: "Read", Write: "Write", ToolPrefix: "mcp__program__", At: func(t testing.TB, url string) *client.Options {
		opts := clienttest.KimiCode(t)
		opts.Env["KIMI_MODEL_BASE_URL"] = url
		return opts
	}},
}

// Run runs a test with both kimis, in parallel with other tests.
func Run(t *testing.T, test func(*testing.T, context.Context, Kimi)) {
	t.Parallel()
	for _, k := range both {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			test(t, ctx, k)
		})
	}
}

// Options returns options with a model that plays the scripts, and the model.
func (k Kimi) Options(t testing.TB, scripts ...string) (*client.Options, *clienttest.Model) {
	model := clienttest.NewModel(t, scripts...)
	return k.At(t, model.URL()), model
}

// Tool returns the name by which the model calls a Go tool.
func (k Kimi) Tool(name string) string { return k.ToolPrefix + name }
