package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/regular"
)

// launch holds the options as they are resolved on this machine, with absolute paths and an environment.
type launch struct {
	opts      *Options
	env       []string
	workDir   string
	shareDir  string    // of kimi-cli
	path      string    // the program, "" until it is found
	transport Transport // nil until the start
	secrets   secretDir
	backend   backend        // never nil
	shared    *bridge.Shared // the server that sessions of Kimi Code share; nil if each session has its own
	made      bool           // this start has made the session's id, so that no other program knows it
	held      *os.File       // the lock of an existing session, until the Session takes it over; nil for none
}

// newLaunch validates the options and finds the folders that they name. It starts nothing. Like kimi, it resolves a
// relative work dir against the physical current directory, and keeps the symbolic links of an absolute one. kimi finds
// sessions by the text of the path.
func newLaunch(opts *Options) (*launch, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &launch{opts: o, workDir: o.WorkDir, backend: backends[0]}
	if o.Server != nil {
		l.backend = elsewhere{}
		return l, nil
	}
	if !filepath.IsAbs(l.workDir) {
		cwd, err := os.Getwd()
		if err == nil {
			cwd, err = filepath.EvalSymlinks(cwd)
		}
		if err != nil {
			return nil, fmt.Errorf("client: current directory: %w; set Options.WorkDir", err)
		}
		l.workDir = filepath.Join(cwd, l.workDir)
	}
	l.workDir = filepath.Clean(l.workDir)
	l.env = overlay(os.Environ(), o.Env)
	if o.ShareDir != "" {
		l.shareDir = absolute(o.ShareDir)
		l.env = overlay(l.env, map[string]string{"KIMI_SHARE_DIR": l.shareDir})
	} else {
		l.shareDir = config.ShareDirIn(l.getenv)
	}
	l.env = overlay(l.env, map[string]string{"PWD": l.workDir})
	return l, nil
}

func (l *launch) getenv(key string) string {
	for _, entry := range slices.Backward(l.env) {
		if k, v, _ := strings.Cut(entry, "="); sameKey(k, key) {
			return v
		}
	}
	return ""
}

// sameKey reports whether two names of environment variables are equal. On Windows, PATH and Path are the same name.
func sameKey(a, b string) bool {
	return a == b || runtime.GOOS == "windows" && strings.EqualFold(a, b)
}

// overlay returns env with the entries of over, which replace those of env. An empty value removes the entry.
func overlay(env []string, over map[string]string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		key, _, _ := strings.Cut(entry, "=")
		for k := range over {
			if sameKey(key, k) {
				return true
			}
		}
		return false
	})
	for key, value := range over {
		if value != "" {
			out = append(out, key+"="+value)
		}
	}
	return out
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// check reports files and directories of the options that are missing. kimi itself would report them as a table that
// breaks long paths across lines.
func (l *launch) check() error {
	var errs []error
	bad := func(option, reason, remedy string, err error) {
		errs = append(errs, &OptionError{Option: option, Reason: reason, Remedy: remedy, Err: err})
	}
	notUTF8 := func(option, path string) { // kimi keeps paths in JSON
		bad(option, fmt.Sprintf("the name %.150q is not UTF-8", path), "rename it", nil)
	}
	dir := func(option, path string) {
		switch info, err := os.Stat(path); {
		case !utf8.ValidString(path):
			notUTF8(option, path)
		case err != nil:
			bad(option, fmt.Sprintf("%s: %s", path, systemError(err)), "name a directory that exists", err)
		case !info.IsDir():
			bad(option, path+" is not a directory", "name a directory", nil)
		}
	}
	file := func(option, path string) {
		if path == "" {
			return
		}
		if !utf8.ValidString(path) {
			notUTF8(option, path)
			return
		}
		f, err := regular.Open(path)
		if err != nil {
			bad(option, fmt.Sprintf("%s: %s", path, systemError(err)), "name a file that can be read", err)
			return
		}
		f.Close()
	}
	o := l.opts
	if o.Server != nil {
		return nil // its files are not on this machine
	}
	dir("WorkDir", l.workDir)
	if !utf8.ValidString(o.ShareDir) {
		notUTF8("ShareDir", o.ShareDir)
	}
	for _, d := range o.AddDirs {
		dir("AddDirs", d)
	}
	for _, d := range o.SkillsDirs {
		dir("SkillsDirs", d)
	}
	file("ConfigFile", o.ConfigFile)
	file("AgentFile", o.AgentFile)
	for _, f := range o.MCPConfigFiles {
		file("MCPConfigFiles", f)
	}
	return errors.Join(errs...)
}

// args returns the arguments of kimi, as kimi-cli 1.51.0 takes them (kimi_cli/cli/__init__.py). Values that may hold a
// secret go into files of mode 0600, which cleanup removes.
func (l *launch) args(sessionID string) ([]string, error) {
	o := l.opts
	args := []string{"--wire"}
	flag := func(name, value string) {
		if value != "" {
			args = append(args, name, value)
		}
	}
	flag("--session", sessionID)
	flag("--work-dir", l.workDir)
	set := func(name string, on bool) {
		if on {
			args = append(args, name)
		}
	}
	for _, d := range o.AddDirs {
		if o.Server == nil {
			d = absolute(d)
		}
		flag("--add-dir", d)
	}
	switch {
	case o.Config != nil:
		data, err := o.Config.MarshalTOML()
		if err != nil {
			return nil, err
		}
		path, err := l.secrets.write("config.toml", data)
		if err != nil {
			return nil, err
		}
		flag("--config-file", path)
	case o.ConfigFile != "":
		flag("--config-file", absolute(o.ConfigFile))
	}
	flag("--model", o.Model)
	if o.Thinking != nil {
		set("--thinking", *o.Thinking)
		set("--no-thinking", !*o.Thinking)
	}
	set("--yolo", o.Yolo)
	set("--afk", o.AFK)
	set("--plan", o.Plan)
	flag("--agent", o.Agent)
	if o.AgentFile != "" {
		flag("--agent-file", absolute(o.AgentFile))
	}
	files := make([]string, len(o.MCPConfigFiles))
	for i, f := range o.MCPConfigFiles {
		files[i] = absolute(f)
	}
	if len(o.MCPServers) > 0 {
		// If an MCP file is named, kimi does not read its own mcp.json, so name that file, too.
		if own := filepath.Join(l.backend.home(l), "mcp.json"); len(files) == 0 && isFile(own) {
			files = append(files, own)
		}
		data, err := config.MarshalMCP(o.MCPServers)
		if err != nil {
			return nil, err
		}
		path, err := l.secrets.write("mcp.json", data)
		if err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	for _, f := range files {
		flag("--mcp-config-file", f)
	}
	for _, d := range o.SkillsDirs {
		flag("--skills-dir", absolute(d))
	}
	if o.MaxStepsPerTurn > 0 {
		flag("--max-steps-per-turn", strconv.Itoa(o.MaxStepsPerTurn))
	}
	if o.MaxRetriesPerStep > 0 {
		flag("--max-retries-per-step", strconv.Itoa(o.MaxRetriesPerStep))
	}
	if o.MaxRalphIterations != nil {
		flag("--max-ralph-iterations", strconv.Itoa(*o.MaxRalphIterations))
	}
	own, err := l.backend.flags(o)
	if err != nil {
		return nil, err
	}
	return slices.Concat(args, own, o.ExtraArgs), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// configPath returns the configuration file that kimi reads. It is "" if the configuration is an object.
func (l *launch) configPath() string {
	switch {
	case l.opts.Config != nil:
		return ""
	case l.opts.ConfigFile != "":
		return absolute(l.opts.ConfigFile)
	}
	return filepath.Join(l.backend.home(l), "config.toml")
}

// config returns the configuration that the options name; nil if there is none.
func (l *launch) config() (*config.Config, error) {
	if path := l.configPath(); path != "" && isFile(path) {
		return config.Load(path)
	}
	return l.opts.Config, nil
}

// configuredModel returns the name of the model that the options, the environment or the configuration name.
func (l *launch) configuredModel() string {
	if l.opts.Model != "" {
		return l.opts.Model
	}
	cfg, _ := l.config()
	effective := cfg.Effective("", l.getenv)
	for _, o := range effective.Overrides {
		if l.opts.Config != nil && o.Key != "" {
			l.opts.Logger.Warn("client: the environment overrides Options.Config", "variable", o.Variable, "key", o.Key)
		}
	}
	for _, o := range effective.Overrides {
		if o.Variable == "KIMI_MODEL_NAME" {
			return effective.ModelName
		}
	}
	return effective.Model
}
