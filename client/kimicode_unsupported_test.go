//go:build unix

package client_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// An option that Kimi Code does not support gives an error with its name, before anything starts.
func TestKimiCodeUnsupportedOptions(t *testing.T) {
	t.Parallel()
	cfg := func(change func(*config.Config)) func(*testing.T, *client.Options) {
		return func(_ *testing.T, o *client.Options) {
			o.Config = kimiConfig("http://127.0.0.1:1/v1")
			change(o.Config)
		}
	}
	provider := func(kind config.ProviderType) func(*testing.T, *client.Options) {
		return cfg(func(c *config.Config) {
			p := c.Providers["kimi"]
			p.Type = kind
			c.Providers["kimi"] = p
		})
	}
	server := func(s config.MCPServer) func(*testing.T, *client.Options) {
		return func(_ *testing.T, o *client.Options) { o.MCPServers = map[string]config.MCPServer{"mine": s} }
	}
	for name, set := range map[string]func(*testing.T, *client.Options){
		"--agent okabe":                     func(_ *testing.T, o *client.Options) { o.Agent = "okabe" },
		"--max-ralph-iterations":            func(_ *testing.T, o *client.Options) { o.MaxRalphIterations = ptr(1) },
		"--odd":                             func(_ *testing.T, o *client.Options) { o.ExtraArgs = []string{"--odd"} },
		"loop_control.max_ralph_iterations": cfg(func(c *config.Config) { c.LoopControl.MaxRalphIterations = 1 }),
		"skip_afk_prompt_injection":         cfg(func(c *config.Config) { c.SkipAFKPromptInjection = true }),
		"provider type _echo":               provider("_echo"),
		"mcpServers.mine.include_tags":      server(config.MCPServer{Command: "true", Extra: config.Extra{"include_tags": []any{"a"}}}),
		"mcpServers.mine.sse_read_timeout":  server(config.MCPServer{URL: "http://127.0.0.1:1", SSEReadTimeout: ptr(1.5)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			opts := clienttest.KimiCode(t)
			set(t, opts)
			opts.ModifyCmd = func(cmd *exec.Cmd) { t.Errorf("%q is started", cmd.Args) }
			s, err := client.NewSession(ctx, opts)
			if err == nil {
				s.Close()
			}
			e2eIs(t, name, err, client.ErrUnsupported)
			if err != nil && (!strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "Kimi Code")) {
				t.Errorf("the error %q does not name %s", err, name)
			}
		})
	}
}

// A call that Kimi Code does not support gives an error at once, and the session stays usable.
func TestKimiCodeUnsupported(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.KimiCode(t, "text: still usable")
	s := e2eStart(t, ctx, opts)
	turn, err := s.Prompt(ctx, "hear", &wireproto.AudioURLPart{AudioURL: wireproto.MediaURL{URL: "data:audio/mp3;base64,AAAA"}})
	if err == nil {
		_, err = turn.Result()
	}
	e2eIs(t, "audio", err, client.ErrUnsupported)
	if err == nil || !strings.Contains(err.Error(), "Kimi Code ") || !strings.Contains(err.Error(), "audio") {
		t.Errorf("the error %v does not name audio and Kimi Code", err)
	}
	e2eText(t, ctx, s, "go on", "still usable")
}
