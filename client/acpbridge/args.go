package acpbridge

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/config"
)

// UnsupportedError names an option that has no place in Kimi Code.
type UnsupportedError struct {
	Option string // such as "--agent-file"
	Why    string
}

// Error names the option and what to do.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("Kimi Code has no place for %s: %s", e.Option, e.Why)
}

// settings is what a command line of "kimi --wire" comes to in Kimi Code.
type settings struct {
	env      []string
	home     string // KIMI_CODE_HOME
	workDir  string
	addDirs  []string
	id       string // --session
	newest   bool   // --continue
	model    string // an alias of Kimi Code's own configuration, "" for its default
	noModel  bool   // a configuration was named, and there is no model in it
	thinking *bool
	mode     string // default, auto or yolo: the mode outside of plan mode
	plan     bool
	servers  []mcpServer
}

// mcpServer is an MCP server as ACP's session/new takes it.
type mcpServer struct {
	Type    string    `json:"type,omitempty"` // http or sse, "" for a program
	Name    string    `json:"name"`
	Command string    `json:"command,omitempty"`
	Args    *[]string `json:"args,omitempty"`
	Env     *[]pair   `json:"env,omitempty"`
	URL     string    `json:"url,omitempty"`
	Headers *[]pair   `json:"headers,omitempty"`
}

type pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// parse reads the command line of "kimi --wire" (kimi_cli/cli/__init__.py, 1.51.0).
func parse(cmd *Command) (*settings, error) {
	s := &settings{env: slices.Clone(cmd.Env), workDir: cmd.Dir, mode: "default"}
	var errs []error
	no := func(option, why string) { errs = append(errs, &UnsupportedError{option, why}) }

	fs := flag.NewFlagSet("kimi --wire", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	str := func(do func(string), names ...string) {
		for _, name := range names {
			fs.Func(name, "", func(v string) error { do(v); return nil })
		}
	}
	yes := func(do func(), names ...string) {
		for _, name := range names {
			fs.BoolFunc(name, "", func(v string) error {
				if v != "true" { // so it is told of a flag alone
					return errors.New("it takes no value")
				}
				do()
				return nil
			})
		}
	}
	var cfg *config.Config
	var mcp []map[string]config.MCPServer
	yes(func() {}, "wire", "debug", "verbose", "quiet")
	str(func(v string) { s.id = v }, "session", "resume", "S", "r")
	yes(func() { s.newest = true }, "continue", "C")
	str(func(v string) { s.workDir = v }, "work-dir", "w")
	str(func(v string) { s.addDirs = append(s.addDirs, s.path(cmd.Dir, v)) }, "add-dir")
	str(func(v string) { s.model = v }, "model", "m")
	yes(func() { s.thinking = new(bool); *s.thinking = true }, "thinking")
	yes(func() { s.thinking = new(bool) }, "no-thinking")
	yes(func() { s.mode = "yolo" }, "yolo", "yes", "auto-approve", "y")
	yes(func() { s.mode = "auto" }, "afk")
	yes(func() { s.plan = true }, "plan")
	str(func(v string) {
		c, err := config.Load(s.path(cmd.Dir, v))
		cfg, errs = c, append(errs, err)
	}, "config-file")
	str(func(v string) {
		c, err := config.Parse([]byte(v))
		cfg, errs = c, append(errs, err)
	}, "config")
	str(func(v string) {
		m, err := config.LoadMCP(s.path(cmd.Dir, v))
		mcp, errs = append(mcp, m), append(errs, err)
	}, "mcp-config-file")
	str(func(v string) {
		if v != "default" {
			no("--agent "+v, "it has the agent \"default\" alone")
		}
	}, "agent")
	str(func(string) {
		no("--agent-file", "its agents are Markdown files below agents/ in the work dir or in its home")
	}, "agent-file")
	str(func(string) { no("--mcp-config", "write the servers to a file and name it with --mcp-config-file") }, "mcp-config")
	str(func(string) { no("--skills-dir", "name it as extra_skill_dirs in its config.toml") }, "skills-dir")
	limit := func(option, variable string) {
		str(func(v string) { s.env = setenv(s.env, variable, v) }, option)
	}
	limit("max-steps-per-turn", "KIMI_LOOP_MAX_STEPS_PER_TURN")
	limit("max-retries-per-step", "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP")
	str(func(v string) {
		if v != "0" {
			no("--max-ralph-iterations", "it has no such loop; prompt again instead")
		}
	}, "max-ralph-iterations")
	if err := fs.Parse(cmd.Args); err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
			return nil, &UnsupportedError{"--" + strings.TrimPrefix(name, "-"), "it is no option of kimi --wire"}
		}
		return nil, fmt.Errorf("the command line of kimi --wire: %w", err)
	}
	if fs.NArg() > 0 {
		no(fmt.Sprintf("the argument %.40q", fs.Arg(0)), "with Wire mode there are options only")
	}
	s.workDir = s.path(cmd.Dir, s.workDir)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := s.configure(cfg); err != nil {
		return nil, err
	}
	for _, m := range mcp {
		if err := s.addServers(m); err != nil {
			return nil, err
		}
	}
	return s, s.environment(cmd.Dir)
}

// path makes a path absolute, from the directory in which kimi would run.
func (s *settings) path(dir, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return path
}

// environment sets what the whole process of Kimi Code takes from its environment.
func (s *settings) environment(dir string) error {
	s.home = Home(s.env, dir)
	if s.home == "" {
		return errors.New("there is no home for Kimi Code: set HOME, KIMI_CODE_HOME or KIMI_SHARE_DIR")
	}
	if getenv(s.env, "KIMI_SHARE_DIR") != "" {
		s.env = setenv(s.env, "KIMI_CODE_HOME", s.home)
	}
	s.env = setenv(s.env, "KIMI_SHARE_DIR", "") // there Kimi Code looks for what kimi-cli has left, to take it over
	// A call of a Go tool takes the time it takes, and its turn can be cancelled.
	if getenv(s.env, toolTimeout) == "" {
		s.env = setenv(s.env, toolTimeout, strconv.Itoa(1<<31-1))
	}
	return nil
}

const toolTimeout = "KIMI_MCP_TOOL_TIMEOUT_MS"

// modelVariables are what Kimi Code makes a model of that its configuration does not name.
var modelVariables = []string{"NAME", "API_KEY", "BASE_URL", "PROVIDER_TYPE", "MAX_CONTEXT_SIZE", "CAPABILITIES"}

// configure turns the model of a configuration for kimi-cli, and the variables that kimi-cli
// reads, into the variables that Kimi Code reads. Without either, its own configuration serves.
func (s *settings) configure(cfg *config.Config) error {
	get := func(key string) string { return getenv(s.env, key) }
	if cfg == nil {
		// The three variables of kimi-cli, unless Kimi Code's own say it all.
		if get("KIMI_MODEL_NAME") != "" && get("KIMI_MODEL_API_KEY") == "" && get("KIMI_API_KEY") != "" {
			s.env = setenv(s.env, "KIMI_MODEL_API_KEY", get("KIMI_API_KEY"))
			if get("KIMI_MODEL_BASE_URL") == "" {
				s.env = setenv(s.env, "KIMI_MODEL_BASE_URL", get("KIMI_BASE_URL"))
			}
		}
		return nil
	}
	if err := foreign(cfg); err != nil {
		return err
	}
	if n := cfg.LoopControl.MaxStepsPerTurn; n != nil && get("KIMI_LOOP_MAX_STEPS_PER_TURN") == "" {
		s.env = setenv(s.env, "KIMI_LOOP_MAX_STEPS_PER_TURN", strconv.Itoa(*n))
	}
	if n := cfg.LoopControl.MaxRetriesPerStep; n != nil && get("KIMI_LOOP_MAX_ATTEMPTS_PER_STEP") == "" {
		s.env = setenv(s.env, "KIMI_LOOP_MAX_ATTEMPTS_PER_STEP", strconv.Itoa(*n))
	}
	if s.thinking == nil {
		s.thinking = &cfg.DefaultThinking
	}
	if cfg.DefaultYolo && s.mode == "default" {
		s.mode = "yolo"
	}
	s.plan = s.plan || cfg.DefaultPlanMode
	name := s.model
	if name == "" {
		name = cfg.DefaultModel
	}
	m, known := cfg.Models[name]
	if !known && s.model != "" {
		return fmt.Errorf("the configuration has no model %.80q", s.model)
	}
	p, ok := cfg.Providers[m.Provider]
	if known && !ok {
		return fmt.Errorf("models.%s names the provider %.80q, which the configuration has not", name, m.Provider)
	}
	s.model = ""
	kinds := map[config.ProviderType]string{
		"": "kimi", config.ProviderKimi: "kimi", config.ProviderOpenAILegacy: "openai", config.ProviderAnthropic: "anthropic",
	}
	kind, ok := kinds[p.Type]
	if !ok {
		return &UnsupportedError{"the provider type " + string(p.Type), "it takes kimi, openai_legacy and anthropic from a configuration; name others in its own config.toml"}
	}
	for key, set := range map[string]bool{"custom_headers": len(p.CustomHeaders) > 0, "env": len(p.Env) > 0, "oauth": p.OAuth != nil} {
		if set {
			return &UnsupportedError{"providers." + m.Provider + "." + key, "name the provider in its own config.toml"}
		}
	}
	for _, extra := range []config.Extra{m.Extra, p.Extra} {
		for key := range extra {
			return &UnsupportedError{"the configuration's " + key, "name the model in its own config.toml"}
		}
	}
	if p.ReasoningKey != nil && *p.ReasoningKey == "" {
		return &UnsupportedError{"providers." + m.Provider + ".reasoning_key = \"\"", "name the provider in its own config.toml"}
	}
	if p.ReasoningKey != nil {
		s.env = setenv(s.env, "KIMI_MODEL_REASONING_KEY", *p.ReasoningKey)
	}
	var caps []string
	for _, c := range m.Capabilities {
		caps = append(caps, string(c))
	}
	values := []string{m.Model, p.APIKey.Reveal(), p.BaseURL, kind, "", strings.Join(caps, ",")}
	if m.MaxContextSize > 0 {
		values[4] = strconv.Itoa(m.MaxContextSize)
	}
	// In kimi-cli the environment beats the configuration, by the type of the provider.
	switch kind {
	case "kimi":
		for i, key := range []string{"KIMI_MODEL_NAME", "KIMI_API_KEY", "KIMI_BASE_URL", "", "KIMI_MODEL_MAX_CONTEXT_SIZE", "KIMI_MODEL_CAPABILITIES"} {
			if v := get(key); key != "" && v != "" {
				values[i] = v
			}
		}
	case "openai":
		for i, key := range []string{"", "OPENAI_API_KEY", "OPENAI_BASE_URL"} {
			if v := get(key); key != "" && v != "" {
				values[i] = v
			}
		}
	}
	if s.noModel = values[0] == "" || values[1] == ""; s.noModel {
		return nil // its own must not step in: each prompt says that there is none
	}
	for i, variable := range modelVariables {
		s.env = setenv(s.env, "KIMI_MODEL_"+variable, values[i])
	}
	return nil
}

// foreign names what a configuration sets that Kimi Code cannot be told.
func foreign(cfg *config.Config) error {
	c := *cfg
	c.DefaultModel, c.DefaultThinking, c.DefaultYolo, c.DefaultPlanMode = "", false, false, false
	c.Models, c.Providers = nil, nil
	c.LoopControl.MaxStepsPerTurn, c.LoopControl.MaxRetriesPerStep = nil, nil
	c.Theme, c.DefaultEditor, c.ShowThinkingStream = "", "", nil // the terminal's
	var keys []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if v.Field(i).IsZero() || v.Field(i).Kind() == reflect.Map && v.Field(i).Len() == 0 || v.Field(i).Kind() == reflect.Slice && v.Field(i).Len() == 0 {
			continue
		}
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "-" {
			keys = slices.AppendSeq(keys, maps.Keys(c.Extra))
			continue
		}
		keys = append(keys, name)
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return &UnsupportedError{"the configuration's " + strings.Join(keys, ", "), "set it in its own config.toml"}
}

// addServers takes over the servers of an mcp.json.
func (s *settings) addServers(servers map[string]config.MCPServer) error {
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		m := servers[name]
		for key, set := range map[string]bool{
			"cwd": m.CWD != "", "keep_alive": m.KeepAlive != nil, "sse_read_timeout": m.SSEReadTimeout != nil,
			"timeout": m.Timeout != nil, "auth": m.Auth.Reveal() == "oauth",
		} {
			if set {
				return &UnsupportedError{"mcpServers." + name + "." + key, "name the server in its own mcp.json"}
			}
		}
		for key := range m.Extra {
			if key != "description" && key != "icon" {
				return &UnsupportedError{"mcpServers." + name + "." + key, "name the server in its own mcp.json"}
			}
		}
		if name == toolServerName {
			return &UnsupportedError{"an MCP server named " + name, "the program's own tools go by that name"}
		}
		if m.Command != "" {
			args := slices.Clone(m.Args)
			if args == nil {
				args = []string{}
			}
			s.servers = append(s.servers, mcpServer{Name: name, Command: m.Command, Args: &args, Env: pairs(m.Env)})
			continue
		}
		kind := "http"
		if m.Transport == config.MCPSSE || m.Transport == "" && slices.Contains(strings.Split(m.URL, "/"), "sse") {
			kind = "sse"
		}
		headers := pairs(m.Headers)
		if m.Auth != "" {
			*headers = append(*headers, pair{"Authorization", "Bearer " + m.Auth.Reveal()})
		}
		s.servers = append(s.servers, mcpServer{Type: kind, Name: name, URL: m.URL, Headers: headers})
	}
	return nil
}

func pairs(m map[string]config.Secret) *[]pair {
	list := []pair{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, pair{name, m[name].Reveal()})
	}
	return &list
}

// getenv returns the value of a variable in env, the last one if it is there twice.
func getenv(env []string, key string) string {
	for _, entry := range slices.Backward(env) {
		if k, v, _ := strings.Cut(entry, "="); k == key || runtime.GOOS == "windows" && strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// setenv returns env with a variable set, or unset with "".
func setenv(env []string, key, value string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		k, _, _ := strings.Cut(entry, "=")
		return k == key || runtime.GOOS == "windows" && strings.EqualFold(k, key)
	})
	if value != "" {
		env = append(env, key+"="+value)
	}
	return env
}
