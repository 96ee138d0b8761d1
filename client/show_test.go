package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
)

// Options and a Command show the fields that are set, but no value that may be secret, in whatever way they are
// printed.
func TestOptionsShowNoSecret(t *testing.T) {
	const canary = "CANARY"
	thinking := true
	opts := client.Options{
		Executable: "/bin/kimi", ExtraArgs: []string{"--config", canary, "--mcp-config=" + canary, "-k" + canary, canary, "--verbose"},
		Env: map[string]string{"MY_KEY": canary}, WorkDir: "/work", Thinking: &thinking, StopGrace: time.Second, Record: io.Discard, Stderr: os.Stderr,
		Transport: clienttest.NewAgent(t), Approve: func(context.Context, *client.ApprovalRequest) error { return nil },
		Tools: []client.Tool{{}}, Hooks: []client.Hook{{Event: "PreToolUse"}}, Logger: slog.New(slog.DiscardHandler),
		Config:     &config.Config{Providers: map[string]config.Provider{"p": {APIKey: canary, BaseURL: "https://me:" + canary + "@x/?k=" + canary}}},
		MCPServers: map[string]config.MCPServer{"s": {Args: []string{"--token", canary, "-k=" + canary}, Env: map[string]config.Secret{"K": canary}, URL: "https://" + canary + "@x"}},
	}
	command := client.Command{Path: "/bin/kimi", Args: opts.ExtraArgs, Env: []string{"MY_KEY=" + canary}, Dir: "/work"}
	for _, v := range []any{opts, &opts, struct{ O *client.Options }{&opts}, []client.Options{opts}, command, &command, map[string]client.Command{"c": command}} {
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("x", "v", v)
		}
		outputs := map[string]string{"slog": log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			outputs[verb] = fmt.Sprintf(verb, v)
		}
		for how, out := range outputs {
			if strings.Contains(strings.ToUpper(out), canary) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of a %T: %s", how, v, out)
			}
		}
	}
	for _, want := range []string{
		"Executable:/bin/kimi", "ExtraArgs:[--config *** --mcp-config=*** *** *** --verbose]", "Env:[MY_KEY]", "WorkDir:/work", "Thinking:true", "StopGrace:1s", "Approve:func(", "Tools:1", "Hooks:1",
		`"base_url":"https://***@x/?***"`, `"args":["--token","***","***"]`,
	} {
		if got := opts.String(); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got, want := command.String(), "{Path:/bin/kimi Args:[--config *** --mcp-config=*** *** *** --verbose] Env:[MY_KEY] Dir:/work}"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if got := fmt.Sprintf("%+v %v", (*client.Options)(nil), client.Options{}); got != "<nil> {}" {
		t.Errorf("none: %s", got)
	}
}
