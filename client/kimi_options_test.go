//go:build unix

package client_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

func init() { programs["mcp-server"] = mcpServerProgram }

// mcpProgram returns an MCP server that is this test binary. It has one tool with the name in MCP_TOOL, which returns
// the environment variable MCP_SECRET.
func mcpProgram(t testing.TB, env map[string]config.Secret) config.MCPServer {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := config.MCPServer{Command: exe, Env: map[string]config.Secret{programKey: "mcp-server", "MCP_TOOL": "reveal"}}
	maps.Copy(server.Env, env)
	return server
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func mcpServerProgram() {
	if os.Getenv("MCP_STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	}
	// kimi starts its servers in parallel with the session, and reports them only if they are not ready at the first
	// turn.
	if path := os.Getenv("MCP_AWAIT"); path != "" {
		for tick := time.Tick(5 * time.Millisecond); !exists(path); <-tick {
		}
	}
	answer := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var call struct {
			ID     json.RawMessage
			Method string
			Params struct{ ProtocolVersion string }
		}
		if json.Unmarshal(lines.Bytes(), &call) != nil || call.ID == nil {
			continue
		}
		var result any = struct{}{}
		switch call.Method {
		case "initialize":
			result = map[string]any{
				"protocolVersion": call.Params.ProtocolVersion, "capabilities": map[string]any{"tools": struct{}{}},
				"serverInfo": map[string]string{"name": "kimi-go-test", "version": "1"},
			}
		case "tools/list":
			result = map[string]any{"tools": []any{map[string]any{
				"name": os.Getenv("MCP_TOOL"), "description": "returns a value", "inputSchema": map[string]string{"type": "object"},
			}}}
		case "tools/call":
			if os.Getenv("MCP_HANG") != "" {
				continue
			}
			result = map[string]any{"content": []any{map[string]string{"type": "text", "text": "value: " + os.Getenv("MCP_SECRET")}}}
		}
		answer.Encode(map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": result})
	}
	if os.Getenv("MCP_STUBBORN") != "" {
		select {}
	}
}

// modelAPI is a model with the HTTP API of a provider of type kimi. It stores the requests.
type modelAPI struct {
	url   string
	reply func(modelRequest) string // the delta of a choice, as JSON

	mu       sync.Mutex
	requests []modelRequest
}

type modelRequest struct {
	header http.Header
	body   struct {
		Model       string
		Temperature *float64
		TopP        *float64 `json:"top_p"`
		MaxTokens   *int     `json:"max_completion_tokens"`
		Thinking    struct{ Type string }
		Messages    []struct {
			Role    string
			Content json.RawMessage
		}
		Tools []struct{ Function struct{ Name string } }
	}
}

// says reports whether a message with this role has the text.
func (r modelRequest) says(role, text string) bool {
	for _, m := range r.body.Messages {
		if m.Role == role && strings.Contains(string(m.Content), text) {
			return true
		}
	}
	return false
}

func textDelta(text string) string { return fmt.Sprintf(`{"role":"assistant","content":%q}`, text) }

func toolDelta(id, name string, args any) string {
	raw, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"role":"assistant","tool_calls":[{"index":0,"id":%q,"type":"function","function":{"name":%q,"arguments":%q}}]}`, id, name, raw)
}

// newModelAPI starts an API that answers with reply. A nil reply answers "hello".
func newModelAPI(t testing.TB, reply func(modelRequest) string) *modelAPI {
	api := &modelAPI{reply: reply}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	api.url = server.URL + "/v1"
	return api
}

func (api *modelAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := modelRequest{header: r.Header}
	if r.URL.Path != "/v1/chat/completions" || json.NewDecoder(r.Body).Decode(&req.body) != nil {
		http.Error(w, "no such thing", http.StatusNotFound)
		return
	}
	api.mu.Lock()
	api.requests = append(api.requests, req)
	api.mu.Unlock()
	delta := textDelta("hello")
	if api.reply != nil {
		delta = api.reply(req)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, choice := range []string{
		`{"index":0,"delta":` + delta + `,"finish_reason":null}`, `{"index":0,"delta":{},"finish_reason":"stop"}`,
	} {
		fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[%s]}\n\n", choice)
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func (api *modelAPI) asked() []modelRequest {
	api.mu.Lock()
	defer api.mu.Unlock()
	return slices.Clone(api.requests)
}

// apiOptions returns options whose model is the API. The configuration has another model, "second".
func apiOptions(t testing.TB, api *modelAPI) *client.Options {
	t.Helper()
	opts := clienttest.Kimi(t)
	thinking := []config.Capability{config.CapabilityThinking}
	opts.Config = &config.Config{
		DefaultModel: "first",
		Providers:    map[string]config.Provider{"p": {Type: config.ProviderKimi, BaseURL: api.url, APIKey: "sk-config"}},
		Models: map[string]config.Model{
			"first":  {Provider: "p", Model: "model-1", MaxContextSize: 100000, Capabilities: thinking},
			"second": {Provider: "p", Model: "model-2", MaxContextSize: 100000, Capabilities: thinking},
		},
	}
	return opts
}

// write writes a file of a test.
func write(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKimiModelOptions checks in the requests to the model what the options have changed.
func TestKimiModelOptions(t *testing.T) {
	ctx := withinCtx(t)
	type sent struct {
		Model, Thinking, Key string
		Temperature, TopP    float64
		MaxTokens            int
	}
	for _, tt := range []struct {
		name  string
		set   func(t *testing.T, o *client.Options, api *modelAPI)
		want  sent
		model string // the value of Session.Model
		check func(t *testing.T, s *client.Session, r modelRequest)
	}{
		{
			name: "flags",
			set: func(t *testing.T, o *client.Options, _ *modelAPI) {
				o.Model, o.Thinking = "second", new(bool)
				*o.Thinking = true
				write(t, filepath.Join(root(o), "more", "in-the-added-directory.txt"), "", 0o600)
				o.AddDirs = []string{filepath.Join(root(o), "more")}
				write(t, filepath.Join(root(o), "skills", "juggle", "SKILL.md"), "---\nname: juggle\ndescription: Keeps balls up.\n---\nThrow.\n", 0o600)
				o.SkillsDirs = []string{filepath.Join(root(o), "skills")}
				// Env changes the program's environment: it replaces values, and an empty value unsets a variable.
				t.Setenv("KIMI_MODEL_TEMPERATURE", "0.25")
				t.Setenv("KIMI_MODEL_TOP_P", "0.5")
				t.Setenv("KIMI_MODEL_MAX_COMPLETION_TOKENS", "111")
				o.Env["KIMI_MODEL_TOP_P"], o.Env["KIMI_MODEL_MAX_COMPLETION_TOKENS"] = "", "222"
			},
			want:  sent{Model: "model-2", Thinking: "enabled", Key: "sk-config", Temperature: 0.25, MaxTokens: 222},
			model: "second",
			check: func(t *testing.T, s *client.Session, r modelRequest) {
				if !r.says("system", "in-the-added-directory.txt") {
					t.Error("the system prompt does not tell of AddDirs")
				}
				if !slices.ContainsFunc(s.Server().SlashCommands, func(c wireproto.SlashCommand) bool {
					return c.Name == "skill:juggle" && c.Description == "Keeps balls up."
				}) {
					t.Errorf("no command for the skill in %v", s.Server().SlashCommands)
				}
				if !r.says("system", "juggle") {
					t.Error("the system prompt does not tell of the skill")
				}
			},
		},
		{
			name: "agent file",
			set: func(t *testing.T, o *client.Options, _ *modelAPI) {
				o.Thinking, o.Config.DefaultThinking = new(bool), true
				write(t, filepath.Join(root(o), "agent", "prompt.md"), "You are a parrot of ${FEATHERS} feathers.", 0o600)
				o.AgentFile = write(t, filepath.Join(root(o), "agent", "agent.yaml"), "version: 1\nagent:\n  extend: default\n  name: parrot\n"+
					"  system_prompt_path: ./prompt.md\n  system_prompt_args:\n    FEATHERS: green\n  tools: [\"kimi_cli.tools.shell:Shell\"]\n  subagents: {}\n", 0o600)
			},
			want:  sent{Model: "model-1", Thinking: "disabled", Key: "sk-config"},
			model: "first",
			check: func(t *testing.T, _ *client.Session, r modelRequest) {
				if !r.says("system", "You are a parrot of green feathers.") {
					t.Errorf("the system prompt is %.100s", r.body.Messages[0].Content)
				}
				if len(r.body.Tools) != 1 || r.body.Tools[0].Function.Name != "Shell" {
					t.Errorf("tools: %+v", r.body.Tools)
				}
			},
		},
		{
			name: "environment and okabe",
			set: func(t *testing.T, o *client.Options, api *modelAPI) {
				o.Config.DefaultThinking = true
				o.Config.Providers["p"] = config.Provider{Type: config.ProviderKimi, BaseURL: "http://127.0.0.1:9/v1", APIKey: "sk-config"}
				t.Setenv("KIMI_BASE_URL", "http://127.0.0.1:9/env")
				o.Env["KIMI_BASE_URL"], o.Env["KIMI_API_KEY"], o.Env["KIMI_MODEL_NAME"] = api.url, "sk-env", "model-env"
				o.Agent = "okabe"
			},
			want:  sent{Model: "model-env", Thinking: "enabled", Key: "sk-env"},
			model: "model-env",
			check: func(t *testing.T, _ *client.Session, r modelRequest) {
				names := make([]string, 0, 32)
				for _, tool := range r.body.Tools {
					names = append(names, tool.Function.Name)
				}
				if !slices.Contains(names, "SendDMail") { // the default agent does not have this tool
					t.Errorf("tools: %q", names)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := newModelAPI(t, nil)
			opts := apiOptions(t, api)
			tt.set(t, opts, api)
			s := liveSession(t, ctx, opts)
			finished(t, ctx, s, "hi", "hello")
			if s.Model() != tt.model {
				t.Errorf("Model() is %q, want %q", s.Model(), tt.model)
			}
			asked := api.asked()
			if len(asked) != 1 {
				t.Fatalf("the model was asked %d times", len(asked))
			}
			r := asked[0]
			got := sent{Model: r.body.Model, Thinking: r.body.Thinking.Type, Key: strings.TrimPrefix(r.header.Get("Authorization"), "Bearer ")}
			for dst, src := range map[*float64]*float64{&got.Temperature: r.body.Temperature, &got.TopP: r.body.TopP} {
				if src != nil {
					*dst = *src
				}
			}
			if r.body.MaxTokens != nil && tt.want.MaxTokens != 0 { // without the option, kimi computes a value
				got.MaxTokens = *r.body.MaxTokens
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if agent := r.header.Get("User-Agent"); !strings.Contains(agent, "kimi-go "+client.Version) {
				t.Errorf("User-Agent %q", agent)
			}
			tt.check(t, s, r)
		})
	}
}

func TestKimiRunModes(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*client.Options){
		"Yolo and Plan": func(o *client.Options) { o.Yolo, o.Plan = true, true },
		"AFK":           func(o *client.Options) { o.AFK = true },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := withinCtx(t)
			opts := clienttest.Kimi(t, clienttest.ToolCall("a", "Shell", map[string]any{"command": "echo ran"}), "text: done")
			set(opts)
			s := liveSession(t, ctx, opts)
			msgs := finished(t, ctx, s, "go", "done")
			if r := only[*client.ApprovalRequest](msgs); len(r) > 0 {
				t.Errorf("asked to approve %+v", r[0].ApprovalRequest)
			}
			if r := only[*wireproto.ToolResult](msgs); len(r) != 1 || r[0].ReturnValue.IsError || !strings.Contains(r[0].ReturnValue.Output.String(), "ran") {
				t.Errorf("tool results: %+v", r)
			}
			if got := s.Status().PlanMode; got != opts.Plan {
				t.Errorf("plan mode is %v, want %v", got, opts.Plan)
			}
		})
	}
}

func TestKimiMCP(t *testing.T) {
	needProc(t)
	t.Parallel()
	call := func(id, tool string) string { return clienttest.ToolCall(id, tool, map[string]any{}) }
	inFile := func(t *testing.T, path string, servers map[string]config.MCPServer) string {
		data, err := config.MarshalMCP(servers)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, path, string(data), 0o600)
	}
	type secrets = map[string]config.Secret
	ready := func(o *client.Options) config.Secret { return config.Secret(filepath.Join(root(o), "ready")) }
	for _, tt := range []struct {
		name    string
		set     func(t *testing.T, o *client.Options)
		servers []string
		outputs []string // the outputs of the two tool calls
		kill    bool     // Close has to kill kimi
	}{
		{
			name: "MCPServers beside mcp.json",
			set: func(t *testing.T, o *client.Options) {
				// The server does not end at the end of its input, and kimi waits for it. Close must still leave no
				// process.
				o.StopGrace = time.Second
				o.MCPServers = map[string]config.MCPServer{"object": mcpProgram(t, secrets{"MCP_TOOL": "one", "MCP_SECRET": "1", "MCP_STUBBORN": "yes", "MCP_AWAIT": ready(o)})}
				inFile(t, filepath.Join(o.ShareDir, "mcp.json"), map[string]config.MCPServer{"own": mcpProgram(t, secrets{"MCP_TOOL": "two", "MCP_SECRET": "2"})})
			},
			servers: []string{"object", "own"},
			outputs: []string{"value: 1", "value: 2"},
			kill:    true,
		},
		{
			name: "MCPConfigFiles instead of mcp.json",
			set: func(t *testing.T, o *client.Options) {
				o.MCPConfigFiles = []string{
					inFile(t, filepath.Join(root(o), "first.json"), map[string]config.MCPServer{"first": mcpProgram(t, secrets{"MCP_TOOL": "one", "MCP_SECRET": "1", "MCP_AWAIT": ready(o)})}),
				}
				o.MCPServers = map[string]config.MCPServer{"object": mcpProgram(t, secrets{"MCP_TOOL": "two", "MCP_SECRET": "2"})}
				inFile(t, filepath.Join(o.ShareDir, "mcp.json"), map[string]config.MCPServer{"own": mcpProgram(t, secrets{"MCP_TOOL": "two", "MCP_SECRET": "own"})})
			},
			servers: []string{"first", "object"},
			outputs: []string{"value: 1", "value: 2"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := withinCtx(t)
			opts := clienttest.Kimi(t, call("a", "one")+"\n"+call("b", "two"), "text: done")
			opts.Yolo = true
			tt.set(t, opts)
			s := liveSession(t, ctx, opts)
			turn, err := s.Prompt(ctx, "go")
			if err != nil {
				t.Fatal(err)
			}
			outputs := make(map[string]string)
			begun, ended := 0, 0
			for m, err := range turn.Messages() {
				if err != nil {
					t.Fatal(err)
				}
				switch m := m.(type) {
				case *wireproto.MCPLoadingBegin:
					begun++
					if status := s.Status().MCP; status == nil || !status.Loading || status.Total != 2 {
						t.Errorf("MCP status while the servers start: %+v", status)
					}
					write(t, filepath.Join(root(opts), "ready"), "", 0o600)
				case *wireproto.MCPLoadingEnd:
					ended++
				case *wireproto.ToolResult:
					outputs[m.ToolCallID] = m.ReturnValue.Output.String()
				}
			}
			if diff := cmp.Diff(map[string]string{"a": tt.outputs[0], "b": tt.outputs[1]}, outputs); diff != "" {
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
			if begun != 1 || ended != 1 {
				t.Errorf("MCPLoadingBegin came %d times, MCPLoadingEnd %d times", begun, ended)
			}
			status := s.Status().MCP
			if status == nil {
				t.Fatal("no MCP status")
			}
			var names []string
			for _, server := range status.Servers {
				names = append(names, server.Name)
			}
			slices.Sort(names)
			if diff := cmp.Diff(tt.servers, names); diff != "" || status.Loading || status.Connected != 2 || status.Tools != 2 {
				t.Errorf("MCP status %+v (-want +got):\n%s", status, diff)
			}
			if list := processesOf(root(opts)); len(list) < 3 {
				t.Errorf("the servers are not seen: %q", list)
			}
			if tt.kill {
				if err := s.Close(); err == nil || !strings.Contains(err.Error(), "StopGrace") {
					t.Errorf("Close of an agent that does not end in time: %v", err)
				}
			} else {
				closed(t, s)
			}
			noneLeft(t, root(opts))
		})
	}

	t.Run("a server that fails", func(t *testing.T) {
		ctx := withinCtx(t)
		opts := clienttest.Kimi(t, "text: done")
		opts.MCPServers = map[string]config.MCPServer{"bad": {Command: "/bin/false"}}
		s := liveSession(t, ctx, opts)
		_, _, err := playTurn(t, ctx, s, "first")
		var rpc *wireproto.RPCError
		if !errors.As(err, &rpc) || rpc.Code != wireproto.CodeInternalError || !strings.Contains(err.Error(), "MCP") {
			t.Errorf("first turn: %v", err)
		}
		finished(t, ctx, s, "second", "done") // kimi continues without the server
	})
}

func TestKimiLoopControl(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	one := 1
	opts := clienttest.Kimi(t,
		"error: 429 slow down", "error: 429 slow down",
		clienttest.ToolCall("a", "Shell", map[string]any{"command": "echo a"}),
		"text: work", "text: <choice>STOP</choice>", "text: not reached")
	opts.Yolo, opts.MaxRetriesPerStep, opts.MaxStepsPerTurn, opts.MaxRalphIterations = true, 2, 1, &one
	s := liveSession(t, ctx, opts)
	msgs, _, err := playTurn(t, ctx, s, "fail")
	if !errors.Is(err, client.ErrProvider) {
		t.Errorf("after the attempts: %v", err)
	}
	if r := only[*wireproto.StepRetry](msgs); len(r) != 1 || r[0].MaxAttempts != 2 {
		t.Errorf("retries: %+v, want one of two attempts", r)
	}
	if _, r, err := playTurn(t, ctx, s, "long"); !errors.Is(err, client.ErrMaxSteps) || r.Steps != 1 || r.Status != wireproto.StatusMaxSteps {
		t.Errorf("after the steps: %+v, %v", r, err)
	}
	// kimi calls the model again by itself, and the model answers that it is done.
	msgs = finished(t, ctx, s, "ralph", "<choice>STOP</choice>")
	if texts := only[*wireproto.TextPart](msgs); len(texts) != 2 || texts[0].Text != "work" {
		t.Errorf("texts: %+v, want two", texts)
	}
}

func TestKimiBadInput(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	for _, tt := range []struct {
		name string
		set  func(o *client.Options)
		want []string // texts that the error must have
	}{
		{"WorkDir missing", func(o *client.Options) { o.WorkDir = filepath.Join(root(o), "gone") }, []string{"WorkDir", "/gone", "name a directory"}},
		{"WorkDir a file", func(o *client.Options) { o.WorkDir = filepath.Join(root(o), "scripts.json") }, []string{"WorkDir", "not a directory"}},
		{"AddDirs missing", func(o *client.Options) { o.AddDirs = []string{"/gone"} }, []string{"AddDirs", "/gone"}},
		{"SkillsDirs missing", func(o *client.Options) { o.SkillsDirs = []string{"/gone"} }, []string{"SkillsDirs", "/gone"}},
		{"ConfigFile missing", func(o *client.Options) { o.Config, o.ConfigFile = nil, "/gone.toml" }, []string{"ConfigFile", "/gone.toml", "name a file"}},
		{"ConfigFile a directory", func(o *client.Options) { o.Config, o.ConfigFile = nil, o.WorkDir }, []string{"ConfigFile", "is a directory"}},
		{"AgentFile missing", func(o *client.Options) { o.AgentFile = "/gone.yaml" }, []string{"AgentFile", "/gone.yaml"}},
		{"MCPConfigFiles missing", func(o *client.Options) { o.MCPConfigFiles = []string{"/gone.json"} }, []string{"MCPConfigFiles", "/gone.json"}},
		{"ConfigFile unreadable", func(o *client.Options) {
			o.Config, o.ConfigFile = nil, filepath.Join(root(o), "loop.toml")
			if err := os.Symlink("loop.toml", o.ConfigFile); err != nil { // a link to itself, which root cannot read either
				t.Fatal(err)
			}
		}, []string{"ConfigFile", "symbolic links"}},
		{"ConfigFile invalid", func(o *client.Options) {
			o.Config, o.ConfigFile = nil, write(t, filepath.Join(root(o), "c.toml"), "[providers.p]\ntype = \"kimi\"\napi_key = \"sk-1Wq6-of-the-file\"\n", 0o600)
		}, []string{"c.toml", "providers.p.base_url"}},
		{"default configuration invalid", func(o *client.Options) {
			o.Config = nil
			write(t, filepath.Join(o.ShareDir, "config.toml"), "[loop_control]\nmax_steps_per_turn = 0\n", 0o600)
		}, []string{"config.toml", "loop_control.max_steps_per_turn"}},
		{"AgentFile invalid", func(o *client.Options) {
			o.AgentFile = write(t, filepath.Join(root(o), "agent.yaml"), "version: 1\nagent:\n  name: nobody\n", 0o600)
		}, []string{"System prompt path is required", "kimi.log"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := clienttest.Kimi(t, "text: done")
			tt.set(opts)
			s, err := client.NewSession(ctx, opts)
			if s != nil || err == nil {
				t.Fatalf("got %v, %v; want an error", s, err)
			}
			for _, part := range append(tt.want, "client: ") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "of-the-file") {
				t.Errorf("a secret is in %v", err)
			}
			noneLeft(t, root(opts))
		})
	}
}

const (
	tombstone = "#!/bin/sh\necho 'kimi-cli is no longer maintained. Please use the new Kimi Code CLI.'\n"
	kimiCode2 = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 2.3.4; exit 0; fi\necho \"error: unknown option '--wire'\" >&2\nexit 1\n"
)

func TestKimiWrongPrograms(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		name, path string
		found      []string // texts in IncompatibleError.Found; nil if the error is a NotFoundError
		remedy     []string
	}{
		{"true", "/bin/true", []string{"not kimi"}, []string{"kimi-cli==1.51.0", "KIMI_PATH"}},
		{"cat", "/bin/cat", []string{"not kimi"}, []string{"kimi-cli==1.51.0", "KIMI_PATH"}},
		{"tombstone", write(t, filepath.Join(dir, "tombstone"), tombstone, 0o700), []string{"1.52"}, []string{"kimi-cli==1.51.0"}},
		{"Kimi Code 2", write(t, filepath.Join(dir, "two"), kimiCode2, 0o700), []string{"Kimi Code 2.3.4", "kimi web"}, []string{"kimi web", "@moonshot-ai/kimi-code"}},
		{"no format", write(t, filepath.Join(dir, "noformat"), "\x7fELF, but no program", 0o700), nil, nil},
		{"text", write(t, filepath.Join(dir, "text"), "some text", 0o600), nil, nil},
		{"directory", dir, nil, nil},
		{"missing", filepath.Join(dir, "missing"), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := clienttest.Kimi(t)
			opts.Executable = tt.path
			if tt.name == "Kimi Code 2" {
				opts.Config = nil // Kimi Code does not have the model of the configuration
			}
			info, inspectErr := client.Inspect(ctx, opts)
			s, startErr := client.NewSession(ctx, opts)
			if tt.name == "Kimi Code 2" { // Inspect can tell what it is, but not that it does not work
				if inspectErr != nil || info.Version != "2.3.4" || info.Backend != client.BackendServer {
					t.Fatalf("got %+v and %v", info, inspectErr)
				}
				info, inspectErr = nil, startErr
			}
			if info != nil || s != nil {
				t.Fatalf("got %+v and %v", info, s)
			}
			for name, err := range map[string]error{"Inspect": inspectErr, "NewSession": startErr} {
				var missing *client.NotFoundError
				var wrong *client.IncompatibleError
				switch {
				case tt.name == "no format":
					if err == nil || !strings.Contains(err.Error(), tt.path) || !strings.Contains(err.Error(), "KIMI_PATH") {
						t.Errorf("%s: %v", name, err)
					}
				case tt.found == nil:
					if !errors.As(err, &missing) || len(missing.Tried) != 1 || !strings.Contains(missing.Tried[0], tt.path) || !strings.Contains(err.Error(), "kimi-cli==1.51.0") {
						t.Errorf("%s: %v, want a NotFoundError", name, err)
					}
				case !errors.As(err, &wrong):
					t.Errorf("%s: %v, want an IncompatibleError", name, err)
				default:
					if wrong.Path != tt.path || wrong.Want == "" {
						t.Errorf("%s: %+v", name, wrong)
					}
					for _, part := range tt.found {
						if !strings.Contains(wrong.Found, part) {
							t.Errorf("%s: found %q, want %q in it", name, wrong.Found, part)
						}
					}
					for _, part := range tt.remedy {
						if !strings.Contains(wrong.Remedy, part) || !strings.Contains(err.Error(), part) {
							t.Errorf("%s: remedy %q, want %q in it", name, wrong.Remedy, part)
						}
					}
				}
			}
			noneLeft(t, root(opts))
		})
	}

	t.Run("kimi", func(t *testing.T) {
		opts := clienttest.Kimi(t)
		info, err := client.Inspect(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		if info.Path != opts.Executable || info.WireVersion == "" || info.Version == "" || info.PythonVersion == "" {
			t.Errorf("Info %+v", info)
		}
	})
}

// TestKimiDiscovery holds that kimi is searched for in the documented order.
func TestKimiDiscovery(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	dir := t.TempDir()
	fake := func(path string) string {
		path = filepath.Join(dir, path)
		version := strings.ReplaceAll(strings.TrimPrefix(path, dir), "/", "-")
		return write(t, path, fmt.Sprintf("#!/bin/sh\necho '{\"kimi_cli_version\":%q,\"wire_protocol_version\":\"1.10\"}'\n", "1"+version), 0o700)
	}
	named := fake("named/anything")
	path := []string{fake("bin/kimi"), fake("other/kimi-cli"), fake("bin/kimi-agent")}
	home := []string{fake("home/.local/bin/kimi"), fake("home/.kimi-code/bin/kimi")}
	tools := []struct{ by, path string }{ // in the order of the search; the newest version of a tool comes first
		{"uv", fake("home/.local/share/uv/tools/kimi-cli/bin/kimi")},
		{"npm", fake("home/mine/bin/kimi")}, // the prefix is set in .npmrc
		{"npm", fake("home/.npm-global/bin/kimi")},
		{"pnpm", fake("home/.local/share/pnpm/kimi")},
		{"bun", fake("home/.bun/bin/kimi")},
		{"volta", fake("home/.volta/bin/kimi")},
		{"mise", fake("home/.local/share/mise/shims/kimi")},
		{"mise", fake("home/.local/share/mise/installs/node/22.19.0/bin/kimi")},
		{"asdf", fake("home/.asdf/shims/kimi")},
		{"nvm", fake("home/.nvm/versions/node/v22.19.0/bin/kimi")},
		{"nvm", fake("home/.nvm/versions/node/v22.9.0/bin/kimi")},
		{"nvm", fake("home/.nvm/versions/node/v9.0.0/bin/kimi")},
		{"fnm", fake("home/.local/share/fnm/aliases/default/bin/kimi")},
		{"fnm", fake("home/.local/share/fnm/node-versions/v24.1.0/installation/bin/kimi")},
	}
	if runtime.GOOS != "linux" {
		tools = nil // TestPlaces tests the folders of other systems
	}
	write(t, filepath.Join(dir, "home/.npmrc"), "fund=false\nprefix = ${HOME}/mine\n", 0o600)
	env := func(over ...string) map[string]string {
		env := map[string]string{"KIMI_PATH": "", "HOME": filepath.Join(dir, "home"), "PATH": filepath.Join(dir, "bin") + ":" + filepath.Join(dir, "other")}
		for _, key := range []string{"UV_TOOL_DIR", "XDG_DATA_HOME", "NPM_CONFIG_PREFIX", "npm_config_prefix", "PNPM_HOME", "BUN_INSTALL", "VOLTA_HOME", "MISE_DATA_DIR", "ASDF_DATA_DIR", "NVM_DIR", "NVM_BIN", "FNM_DIR"} {
			env[key] = ""
		}
		for i := 0; i < len(over); i += 2 {
			env[over[i]] = over[i+1]
		}
		return env
	}
	check := func(name, want, by string, opts *client.Options) {
		t.Helper()
		info, err := client.Inspect(ctx, opts)
		if err != nil || info.Path != want || info.FoundBy != by {
			t.Errorf("%s: got %+v, %v; want %s by %s", name, info, err, want, by)
		}
	}
	check("Executable", named, "Options.Executable", &client.Options{Executable: named, Env: env("KIMI_PATH", path[1])})
	check("Executable by name", path[1], "Options.Executable", &client.Options{Executable: "kimi-cli", Env: env("KIMI_PATH", named)})
	check("KIMI_PATH", named, "KIMI_PATH", &client.Options{Env: env("KIMI_PATH", named)})
	check("KIMI_PATH by name", path[2], "KIMI_PATH", &client.Options{Env: env("KIMI_PATH", "kimi-agent")})
	next := func(want, by string) {
		t.Helper()
		check("the next", want, by, &client.Options{Env: env()})
		if err := os.Remove(want); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range path {
		next(want, "PATH")
	}
	for _, want := range home {
		next(want, filepath.Dir(want))
	}
	for _, tool := range tools {
		next(tool.path, tool.by)
	}
	var missing *client.NotFoundError
	if _, err := client.Inspect(ctx, &client.Options{Env: env()}); !errors.As(err, &missing) {
		t.Fatalf("with none left: %v", err)
	}
	tried := append([]string{"kimi on PATH", "kimi-cli on PATH", "kimi-agent on PATH"}, home...)
	tried = append(tried, "the folders of uv, npm, pnpm, bun, volta, mise, asdf, nvm, fnm")
	if diff := cmp.Diff(tried, missing.Tried); diff != "" {
		t.Errorf("tried (-want +got):\n%s", diff)
	}
	if _, err := client.NewSession(ctx, &client.Options{WorkDir: dir, ShareDir: dir, Env: env("KIMI_PATH", "/gone/kimi")}); !errors.As(err, &missing) {
		t.Fatalf("KIMI_PATH to nothing: %v", err)
	}
	if diff := cmp.Diff([]string{"KIMI_PATH /gone/kimi"}, missing.Tried); diff != "" {
		t.Errorf("tried (-want +got):\n%s", diff)
	}
}

// If npm has installed kimi next to a version manager's Node.js, that Node.js runs kimi, although it is not on PATH.
func TestKimiBesideNode(t *testing.T) {
	t.Parallel()
	opts := clienttest.KimiCode(t, "text: hello")
	code := filepath.Join(filepath.Dir(opts.Executable), "..", "node_modules")
	node, err := filepath.EvalSymlinks(filepath.Join(code, ".bin", "node"))
	if err != nil {
		t.Skipf("needs Kimi Code and its Node.js as npm installs them: %v", err)
	}
	bin := filepath.Join(opts.Env["HOME"], ".nvm", "versions", "node", "v22.19.0", "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"node": node, "kimi": filepath.Join(code, "@moonshot-ai", "kimi-code", "dist", "main.mjs")} {
		if err := os.Symlink(target, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	opts.Executable = ""
	opts.Env["PATH"], opts.Env["NVM_DIR"], opts.Env["NVM_BIN"] = t.TempDir(), "", ""
	ctx := withinCtx(t)
	info, err := client.Inspect(ctx, opts)
	if err != nil || info.FoundBy != "nvm" || info.Path != filepath.Join(bin, "kimi") || info.Backend != client.BackendServer {
		t.Fatalf("Inspect: %+v, %v", info, err)
	}
	e2eText(t, ctx, e2eStart(t, ctx, opts), "hi", "hello")
}
