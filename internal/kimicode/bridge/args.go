package bridge

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
)

// UnsupportedError names an option that Kimi Code does not have.
type UnsupportedError = translator.UnsupportedError

// ArgumentError says why the value of an argument cannot be used.
type ArgumentError = translator.ArgumentError

// UndoKey is the member of an error's data that says how many turns can be taken back, -1 if that is not known.
const UndoKey = translator.UndoKey

// RoutesError says which routes the server does not have. The error that answers initialize has the RoutesError in its
// data, as the member RoutesKey.
type RoutesError = api.RoutesError

// RoutesKey is the key of a [RoutesError].
const RoutesKey = api.RoutesKey

// SlashFlag is an argument of this package. It says that a prompt's text can be a command.
const SlashFlag = "--slash-commands"

// EffortFlag is an argument of this package. Its value says how much the model thinks; each model has its own values.
const EffortFlag = translator.EffortFlag

// settings are what a command line of "kimi --wire" means for Kimi Code.
type settings struct {
	translator.Settings
	path, dir string
	env       []string
	home      string // the user's KIMI_CODE_HOME
	newest    bool   // --continue
	remote    bool   // the server runs elsewhere, so no file of its machine is read
	overlay   home.Spec
}

// parse reads the command line of "kimi --wire" (kimi_cli/cli/__init__.py, 1.51.0).
func parse(cmd *Command) (*settings, error) { return parseFor(cmd, false) }

// ofThisMachine are the options that name files or programs of this machine, or that must be set when a server starts.
var ofThisMachine = []string{
	"config-file", "config", "mcp-config-file", "mcp-config", "agent", "agent-file", "skills-dir", "max-steps-per-turn", "max-retries-per-step",
	"max-ralph-iterations",
}

// parseFor is like parse. remote says that the server runs elsewhere.
func parseFor(cmd *Command, remote bool) (*settings, error) {
	s := &settings{path: cmd.Path, dir: cmd.Dir, env: slices.Clone(cmd.Env), remote: remote}
	s.Permission, s.WorkDir = api.Manual, cmd.Dir
	var errs []error
	no := func(option, why string) { errs = append(errs, &UnsupportedError{Option: option, Why: why}) }

	fs := flag.NewFlagSet("kimi --wire", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	str := func(do func(string), names ...string) {
		if remote && slices.Contains(ofThisMachine, names[0]) {
			do = func(string) { no("--"+names[0], "the server runs elsewhere: set it up there") }
		}
		for _, name := range names {
			fs.Func(name, "", func(v string) error { do(v); return nil })
		}
	}
	yes := func(do func(), names ...string) {
		for _, name := range names {
			fs.BoolFunc(name, "", func(v string) error {
				if v != "true" { // package flag passes "true" for a flag without a value
					return errors.New("it takes no value")
				}
				do()
				return nil
			})
		}
	}
	abs := func(path string) string { return s.abs(cmd.Dir, path) }
	var cfg *config.Config
	var mcp []map[string]config.MCPServer
	yes(func() {}, "wire", "debug", "verbose", "quiet")
	yes(func() { s.Slash = true }, strings.TrimPrefix(SlashFlag, "--"))
	str(func(v string) { s.ID = v }, "session", "resume", "S", "r")
	yes(func() { s.newest = true }, "continue", "C")
	str(func(v string) { s.WorkDir = v }, "work-dir", "w")
	str(func(v string) { s.AddDirs = append(s.AddDirs, abs(v)) }, "add-dir")
	str(func(v string) { s.Model = v }, "model", "m")
	yes(func() { s.Thinking = "on" }, "thinking")
	yes(func() { s.Thinking = "off" }, "no-thinking")
	str(func(v string) { s.Thinking, s.Effort = v, v }, strings.TrimPrefix(EffortFlag, "--"))
	yes(func() { s.Permission = api.Yolo }, "yolo", "yes", "auto-approve", "y")
	yes(func() { s.Permission = api.Auto }, "afk")
	yes(func() { s.Plan = true }, "plan")
	str(func(v string) {
		c, err := config.Load(abs(v))
		cfg, errs = c, append(errs, err)
	}, "config-file")
	str(func(v string) {
		c, err := config.Parse([]byte(v))
		cfg, errs = c, append(errs, err)
	}, "config")
	str(func(v string) {
		m, err := config.LoadMCP(abs(v))
		mcp, errs = append(mcp, m), append(errs, err)
	}, "mcp-config-file")
	str(func(v string) {
		if v != "default" {
			no("--agent "+v, "it has only the agent \"default\"")
		}
	}, "agent")
	str(func(v string) {
		agent, err := home.LoadAgent(abs(v))
		if err == nil {
			s.overlay.Agent, s.Profile = agent, agent.Name
		}
		errs = append(errs, err)
	}, "agent-file")
	str(func(string) { no("--mcp-config", "write the servers to a file and name it with --mcp-config-file") }, "mcp-config")
	str(func(v string) { s.overlay.SkillsDirs = append(s.overlay.SkillsDirs, abs(v)) }, "skills-dir")
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
			return nil, &UnsupportedError{Option: "--" + strings.TrimPrefix(name, "-"), Why: "it is not an option of kimi --wire"}
		}
		return nil, fmt.Errorf("the command line of kimi --wire: %w", err)
	}
	if fs.NArg() > 0 {
		no(fmt.Sprintf("the argument %.40q", fs.Arg(0)), "Wire mode takes options only")
	}
	s.WorkDir = abs(s.WorkDir)
	s.KeepModel = s.Model == "" && (remote || getenv(s.env, "KIMI_MODEL_NAME") == "")
	s.KeepEffort = s.Thinking == ""
	if err := errors.Join(errs...); err != nil || remote {
		return s, err
	}
	if err := s.environment(cmd.Dir); err != nil {
		return nil, err
	}
	if err := s.configure(cfg); err != nil {
		return nil, err
	}
	for _, m := range mcp {
		if err := s.overlay.AddServers(m); err != nil {
			return nil, err
		}
	}
	s.overlay.Real = s.home
	return s, nil
}

// abs makes a path absolute. dir is the directory in which kimi would run.
func (s *settings) abs(dir, path string) string {
	if !s.remote && !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return path
}

// environment sets the home of Kimi Code and the variables that say where it is.
func (s *settings) environment(dir string) error {
	s.home = home.Path(s.env, dir)
	if s.home == "" {
		return errors.New("there is no home for Kimi Code: set HOME, KIMI_CODE_HOME or KIMI_SHARE_DIR")
	}
	if getenv(s.env, "KIMI_SHARE_DIR") != "" {
		s.env = setenv(s.env, "KIMI_CODE_HOME", s.home)
	}
	s.env = setenv(s.env, "KIMI_SHARE_DIR", "") // Kimi Code would import files of kimi-cli from this directory
	return nil
}

// find returns Kimi Code's id of the session to continue. For an unknown id it returns "", and a new session begins, as
// in kimi-cli.
func (s *settings) find() (string, error) {
	if !s.newest {
		return home.FindSession(s.home, s.WorkDir, s.ID), nil
	}
	list, err := home.Sessions(s.home, s.WorkDir, false)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", errors.New("no session to continue in " + s.WorkDir)
	}
	return list[0].ID, nil
}

// getenv returns the value of a variable in env. If env has the variable twice, the last value counts.
func getenv(env []string, key string) string {
	for _, entry := range slices.Backward(env) {
		if k, v, _ := strings.Cut(entry, "="); k == key || runtime.GOOS == "windows" && strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// setenv returns env with a variable set. If value is "", it returns env without the variable.
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
