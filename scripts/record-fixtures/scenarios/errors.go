package scenarios

import (
	"context"
	"net/http"
	"os"
	"path/filepath"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

func errorScenarios() []Scenario {
	return []Scenario{
		{
			Name: "retry", Shows: "a model call that fails with 429 and then succeeds: StepRetry",
			Scripts: []string{"error: 429 slow down", "text: Now."},
			Run: func(p *Play) {
				list := p.Turn("Hurry", nil)
				p.Order(list, "StepBegin StepRetry ContentPart TurnEnd")
				r := one[wireproto.StepRetry](p, list)
				p.Check(r.StatusCode != nil && *r.StatusCode == 429 && r.NextAttempt == 2, "retry", r)
			},
		},
		{
			Name: "provider-error", Shows: "error -32003: the model's provider answers HTTP 400, and kimi does not try again; connections are lost, which gives no HTTP status, and kimi tries again without success; the configuration has a hook for StopFailure",
			Scripts: []string{"error: 400 bad request", "error: connection lost", "error: connection lost", "error: timeout late", "text: Back."},
			Prepare: func(_ context.Context, r *Rig) error {
				r.Options.Config.Hooks = []config.Hook{{Event: config.HookStopFailure, Command: "true"}}
				return nil
			},
			Run: func(p *Play) {
				list := p.Ends(client.ErrProvider, "Hello?", nil)
				p.Order(list, "TurnBegin StepBegin StepInterrupted TurnEnd")
				p.Without(list, "StepRetry")
				list = p.Ends(client.ErrProvider, "Hello?", nil)
				p.Order(list, "StepBegin StepRetry StepRetry StepInterrupted TurnEnd")
				p.Says(p.Turn("Hello?", nil), "Back.")
			},
		},
		{
			Name: "llm-not-set", Shows: "error -32001: no model is configured",
			Prepare: func(_ context.Context, r *Rig) error {
				r.Options.Config = &config.Config{}
				return nil
			},
			Run: func(p *Play) {
				p.Order(p.Ends(client.ErrLLMNotSet, "Hello?", nil), "TurnBegin TurnEnd")
			},
		},
		{
			Name: "llm-not-supported", Shows: "error -32002: an image for a model that takes no images, in a prompt and in the result of a tool",
			Scripts: []string{call("d1", "draw", word{"gopher"})},
			Options: func(p *Play) {
				p.Options.Tools = []client.Tool{tool("draw", func(context.Context, word) (wireproto.ContentPart, error) {
					return &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: pixel}}, nil
				})}
			},
			Run: func(p *Play) {
				image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: pixel}}
				p.Without(p.Ends(client.ErrLLMNotSupported, "What is this?", nil, image), "StepBegin")
				p.Order(p.Ends(client.ErrLLMNotSupported, "Draw", nil), "ToolResult StepInterrupted TurnEnd")
			},
		},
		{
			Name: "auth-expired", Shows: "error -32004: a login that has expired; the provider answers HTTP 401",
			Prepare: func(_ context.Context, r *Rig) error {
				dir := filepath.Join(r.Options.ShareDir, "credentials")
				if err := os.Mkdir(dir, 0o700); err != nil {
					return err
				}
				token := toJSON(map[string]any{"access_token": "expired-" + Planted[0], "refresh_token": "", "expires_at": 1, "scope": "s", "token_type": "Bearer"})
				if err := os.WriteFile(filepath.Join(dir, "test.json"), []byte(token), 0o600); err != nil {
					return err
				}
				return r.Model(config.Provider{OAuth: &config.OAuthRef{Storage: config.OAuthFile, Key: "oauth/test"}}, func(w http.ResponseWriter, req *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusUnauthorized)
					w.Write([]byte(toJSON(map[string]any{"error": map[string]string{"message": "expired: " + req.Header.Get("Authorization")}})))
				})
			},
			Run: func(p *Play) {
				p.Order(p.Ends(client.ErrAuthExpired, "Hello?", nil), "StepInterrupted TurnEnd")
			},
		},
	}
}
