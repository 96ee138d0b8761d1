//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// echo is a Go tool. A session with a Go tool needs a private home.
func echo(t testing.TB) client.Tool {
	t.Helper()
	return mustTool(client.NewTool("echo", "", func(context.Context, noInput) (string, error) { return "echoed", nil }))
}

func readText(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Sessions in the formats of older versions of Kimi Code are listed and can be continued, also with a private home.
func TestKimiCodeOldSessions(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, "text: one", "text: two", "text: three", "text: four")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "first", "one")
	id := s.ID()
	closed(t, s)
	dirs, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "*", id))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("folders of the session: %q, %v", dirs, err)
	}
	var state struct{ Agents json.RawMessage }
	if err := json.Unmarshal([]byte(readText(t, filepath.Join(dirs[0], "state.json"))), &state); err != nil {
		t.Fatal(err)
	}
	base := `{"createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:06.678Z","title":"old","isCustomTitle":false,"custom":{},"agents":` +
		string(state.Agents) + `,"lastPrompt":"first"`
	tools := *opts
	tools.Tools = []client.Tool{echo(t)}
	index := fmt.Sprintf(`{"sessionId":%q,"sessionDir":%q,"workDir":%q}`+"\n", id, dirs[0], opts.WorkDir)
	for i, tt := range []struct {
		name, state, index, text string
		opts                     *client.Options
	}{
		{"0.30", base + `,"workDir":` + quote(opts.WorkDir) + `}`, index, "two", opts},
		{"0.10", base + `}`, index, "three", opts},
		{"0.10 with a home of its own", base + `}`, index, "four", &tools},
	} {
		write(t, filepath.Join(dirs[0], "state.json"), tt.state, 0o600)
		write(t, filepath.Join(opts.ShareDir, "session_index.jsonl"), tt.index, 0o600)
		if err := os.Remove(filepath.Join(opts.ShareDir, "workspaces.json")); err != nil && !os.IsNotExist(err) { // 0.10 had no such file
			t.Fatal(err)
		}
		list := listed(t, tt.opts)
		if len(list) != 1 || list[0].ID != id || list[0].Title != "old" {
			t.Errorf("%s: listed %+v", tt.name, list)
		}
		s := resumed(t, ctx, id, tt.opts)
		e2eSame(t, tt.name, id, s.ID())
		e2eText(t, ctx, s, tt.name, tt.text)
		closed(t, s)
		if last := string(m.Requests()[i+1]); !strings.Contains(last, `"first"`) {
			t.Errorf("%s: the history is not continued", tt.name)
		}
	}
}

// If one entry in the user's files is bad, Kimi Code silently uses none of the hooks or MCP servers there. The library
// reports that, and the program's own hooks and tools work. The files are not changed.
func TestKimiCodeBadSettings(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, codeTool("c", "echo", noInput{}), "text: done")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	files := map[string]string{
		"config.toml": "# mine\n[[hooks]]\nevent = \"Nonesuch\"\ncommand = \"true\"\n",
		"mcp.json":    `{"mcpServers": {"bad": {"transport": "http"}} }`,
	}
	for name, text := range files {
		write(t, filepath.Join(opts.ShareDir, name), text, 0o644)
	}
	opts.Tools = []client.Tool{echo(t)}
	told := make(chan string, 10)
	opts.OnMessage = func(m wireproto.Message) {
		if n, ok := m.(*wireproto.Notification); ok {
			told <- n.Body
		}
	}
	s := e2eStart(t, ctx, opts)
	for _, want := range []string{`hook 1: there is no event "Nonesuch"`, `"bad": url must be a URL`} {
		if got := recv(t, ctx, want, told); !strings.Contains(got, want) {
			t.Errorf("told of %q, want %s", got, want)
		}
	}
	if r := e2eResult(t, e2eTurn(t, ctx, s, "go", nil), "c"); r.Output.String() != "echoed" {
		t.Errorf("the program's tool: %+v", r)
	}
	closed(t, s)
	for name, text := range files {
		e2eSame(t, name, text, readText(t, filepath.Join(opts.ShareDir, name)))
	}
}

// mcp.json may have the format of other programs. A time limit may hold for all servers or for one. Go tools have none.
func TestKimiCodeMCPFile(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t,
		say(clienttest.ToolCall("r", "mcp__ordinary__reveal", noInput{}), clienttest.ToolCall("s", "mcp__slow__reveal", noInput{}), codeTool("g", "wait", noInput{})), "text: done")
	opts := clienttest.KimiCode(t)
	for key := range m.Env() {
		opts.Env[key] = ""
	}
	opts.Config = kimiConfig(m.URL())
	opts.Config.MCP.Client.ToolCallTimeoutMS = ptr(300)
	opts.Yolo = true
	entry := func(env map[string]config.Secret, more string) string {
		p := mcpProgram(t, env)
		vars := make(map[string]string)
		for k, v := range p.Env {
			vars[k] = v.Reveal()
		}
		raw, err := json.Marshal(vars)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"type": "stdio", "command": %q, "args": [], "env": %s%s}`, p.Command, raw, more)
	}
	opts.MCPConfigFiles = []string{write(t, filepath.Join(root(opts), "mcp.json"), `{"inputs": [], "mcpServers": {"ordinary": `+
		entry(map[string]config.Secret{"MCP_SECRET": "told"}, `, "name": "n", "enabled": true, "disabled": false, "alwaysAllow": ["reveal"], "timeout": 60000, "tools": ["*"], "cwd": "/", "description": "d"`)+
		`, "slow": `+entry(map[string]config.Secret{"MCP_HANG": "1"}, "")+`}}`, 0o600)}
	slow := make(chan struct{})
	opts.Tools = []client.Tool{mustTool(client.NewTool("wait", "", func(ctx context.Context, _ noInput) (string, error) {
		select {
		case <-slow: // longer than the limit of the other servers
			<-time.After(400 * time.Millisecond)
			return "waited", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}))}
	s := e2eStart(t, ctx, opts)
	msgs := e2eTurn(t, ctx, s, "go", func(m wireproto.Message) {
		if r, ok := m.(*wireproto.ToolCallRequest); ok && r.Name == "wait" {
			close(slow)
		}
	})
	if r := e2eResult(t, msgs, "r"); r.IsError || r.Output.String() != "value: told" {
		t.Errorf("the ordinary server: %+v", r)
	}
	if r := e2eResult(t, msgs, "s"); !r.IsError || !strings.Contains(strings.ToLower(r.Output.String()), "time") {
		t.Errorf("the slow server: %+v", r)
	}
	if r := e2eResult(t, msgs, "g"); r.IsError || r.Output.String() != "waited" {
		t.Errorf("the Go tool: %+v", r)
	}
}

// The settings of a kimi-cli configuration have their effects in Kimi Code, where they have other names.
func TestKimiCodeConfig(t *testing.T) {
	t.Parallel()
	with := func(t *testing.T, m *clienttest.Model, change func(*config.Config)) *client.Options {
		opts := clienttest.KimiCode(t)
		for key := range m.Env() {
			opts.Env[key] = ""
		}
		opts.Config = kimiConfig(m.URL())
		change(opts.Config)
		return opts
	}
	t.Run("openai_legacy", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		m := clienttest.NewModel(t, say("think: why", "text: hello"))
		s := e2eStart(t, ctx, with(t, m, func(c *config.Config) {
			p := c.Providers["kimi"]
			p.Type = config.ProviderOpenAILegacy
			c.Providers["kimi"] = p
		}))
		e2eText(t, ctx, s, "hi", "hello")
	})
	t.Run("limits, hooks, skills", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		m := clienttest.NewModel(t,
			clienttest.ToolCall("c1", "Bash", map[string]string{"command": "echo ran"}),
			clienttest.ToolCall("c2", "Bash", map[string]string{"command": "echo ran"}), "error: 500 no", "text: not reached")
		opts := with(t, m, func(c *config.Config) {
			c.DefaultYolo = true
			c.LoopControl.MaxStepsPerTurn = ptr(2)
			c.LoopControl.MaxRetriesPerStep = ptr(1)
			c.Hooks = []config.Hook{{Event: config.HookEvent("PreToolUse"), Matcher: "Bash", Command: "echo no shell >&2; exit 2", Timeout: ptr(20)}}
		})
		dir := filepath.Join(root(opts), "more")
		write(t, filepath.Join(dir, "juggle", "SKILL.md"), "---\nname: juggle\ndescription: About balls.\n---\nThrow.\n", 0o600)
		opts.Config.ExtraSkillDirs = []string{dir}
		s := e2eStart(t, ctx, opts)
		turn, err := s.Prompt(ctx, "go")
		if err != nil {
			t.Fatal(err)
		}
		msgs, err := e2eRead(turn, nil)
		e2eIs(t, "two steps", err, client.ErrMaxSteps)
		if r := e2eResult(t, msgs, "c1"); !r.IsError || !strings.Contains(r.Output.String(), "no shell") {
			t.Errorf("the hook: %+v", r)
		}
		if a := codeAgentOf(t, m, 0); !strings.Contains(a.System, "About balls.") {
			t.Error("the model is not told of the skill")
		}
		if turn, err = s.Prompt(ctx, "fail"); err != nil {
			t.Fatal(err)
		}
		if _, err := turn.Result(); err == nil {
			t.Error("no error of the provider")
		}
		if n := len(m.Requests()); n != 3 { // only one attempt for the last step
			t.Errorf("the model was called %d times, want 3", n)
		}
	})
}
