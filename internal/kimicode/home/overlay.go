package home

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/kimi-go/kimi-go/internal/kimicode/relay"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/internal/tempdir"
)

// Spec says how a private home differs from the user's home.
type Spec struct {
	Real       string         // the user's home
	Config     map[string]any // keys that replace or add to the user's config.toml; nil for none
	Replace    bool           // use Config alone, without the user's config.toml
	Servers    map[string]any // servers to add to mcp.json, by name
	NoOwnMCP   bool           // the user's mcp.json is left out
	Tools      *ToolServer
	Hooks      []string // the events for which the program has hooks
	HookScript []byte
	Agent      *Agent
	SkillsDirs []string // absolute paths; they replace the skills in the user's home
}

// ToolServer is the MCP server of the program's own tools.
type ToolServer struct {
	Name, URL, Authorization string
}

// Needed reports whether a session needs a private home.
func (s *Spec) Needed() bool {
	return s.Config != nil || s.Servers != nil || s.NoOwnMCP || s.Tools != nil || len(s.Hooks) > 0 || s.Agent != nil || len(s.SkillsDirs) > 0
}

const (
	hookScript = "hook.sh"        // a file in a private home
	agentsDir  = "program-agents" // a folder in a private home
)

// own are the entries that are not links to the user's home: a private home has its own, or none.
var own = []string{
	"config.toml", "mcp.json", "workspaces.json", "session_index.jsonl", "server", "server.token", "search-index", "gui.toml",
	hookScript, agentsDir, tempdir.Marker, // they exist if the user's home is itself a private home
}

// copied are those entries of own that are copied into a private home at the start. session_index.jsonl is needed
// because only it has the work dir of a session that was made by Kimi Code 0.29 or earlier.
var copied = []string{"workspaces.json", "session_index.jsonl"}

// made are the folders of the user's home that must exist before links to them are made.
var made = []string{"sessions", "credentials", "oauth", "workspace-trust", "plugins"}

// kind describes the folders of private homes, so that Sweep removes only what Kimi Code or this package has put there.
var kind = tempdir.Kind{
	Prefix: "kimi-go-home-",
	Notice: "The kimi-go library made this folder: it is the home of one session of Kimi Code, laid over the user's own home.\n" +
		"Its links lead there. It is removed when the session has ended, or, if the program was killed before, with the next start.\n",
	Files: []string{
		"config.toml*", "mcp.json*", "workspaces.json*", "session_index.jsonl*", hookScript, "server.token*", "gui.toml*", "tui.toml*",
		"device_id", "region*", "migrations-*", "update*",
	},
	Trees: []string{agentsDir, "server", "search-index", "cache", "logs", "telemetry", "files", "blobs", "store", "user-history", "updates"},
	Links: true,
}

// Sweep removes the private homes that killed programs have left.
func Sweep() { kind.Sweep() }

// Overlay is a private home on the disk.
type Overlay struct {
	Dir      string
	Warnings []string // which of the user's settings are not in force, and why

	dir *tempdir.Dir
}

// Build makes a private home in the system's folder for temporary files. Links lead to the user's sessions, logins,
// skills and trust. Most of them lead to folders, because Kimi Code replaces a file by renaming a new file over it.
// That would replace a link to the file, too.
func Build(s *Spec) (o *Overlay, err error) {
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("make a private home for Kimi Code: %w", err)
		if o != nil {
			err = errors.Join(err, o.Close())
			o = nil
		}
	}()
	for _, name := range made {
		if err := os.MkdirAll(filepath.Join(s.Real, name), 0o700); err != nil {
			return nil, err
		}
	}
	dir, err := kind.Make()
	if err != nil {
		return nil, err
	}
	o = &Overlay{Dir: dir.Path, dir: dir}
	entries, err := os.ReadDir(s.Real)
	if err != nil {
		return o, err
	}
	link := func(name string) error {
		err := os.Symlink(filepath.Join(s.Real, name), filepath.Join(o.Dir, name))
		if err != nil && runtime.GOOS == "windows" && !errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w; Windows lets programs make links in its developer mode", err)
		}
		return err
	}
	for _, e := range entries {
		if slices.Contains(own, e.Name()) || e.Name() == "skills" && len(s.SkillsDirs) > 0 {
			continue
		}
		if err := link(e.Name()); err != nil {
			return o, err
		}
	}
	if err := link("device_id"); err != nil && !errors.Is(err, fs.ErrExist) {
		return o, err
	}
	for _, name := range copied {
		data, err := regular.Read(filepath.Join(s.Real, name), indexMost)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = o.write(name, data)
		}
		if err != nil {
			return o, err
		}
	}
	if err := o.agent(s.Agent); err != nil {
		return o, err
	}
	if err := o.config(s); err != nil {
		return o, err
	}
	return o, o.mcp(s)
}

// write writes a file that only this user can read.
func (o *Overlay) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(o.Dir, name), data, 0o600)
}

func (o *Overlay) warn(format string, args ...any) {
	o.Warnings = append(o.Warnings, fmt.Sprintf(format, args...))
}

// agent writes the agent files.
func (o *Overlay) agent(a *Agent) error {
	if a == nil {
		return nil
	}
	if err := os.Mkdir(filepath.Join(o.Dir, agentsDir), 0o700); err != nil {
		return err
	}
	for name, text := range a.files {
		if err := o.write(filepath.Join(agentsDir, name+".md"), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// config writes config.toml: the user's settings and those of the session.
func (o *Overlay) config(s *Spec) error {
	table := make(map[string]any)
	path := filepath.Join(s.Real, "config.toml")
	if !s.Replace {
		data, err := readSmall(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			if _, err := toml.Decode(string(data), &table); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	maps.Copy(table, s.Config)
	hooks, err := hooksOf(table["hooks"])
	if err != nil {
		// If one hook is bad, Kimi Code runs none of them. Then the program's own hooks would not run either.
		o.warn("no hook of %s is run: %v", path, err)
		hooks = nil
		delete(table, "hooks")
	}
	if len(s.Hooks) > 0 {
		if err := o.write(hookScript, s.HookScript); err != nil {
			return err
		}
		command := relay.Command(filepath.Join(o.Dir, hookScript))
		for _, event := range append([]string{"SessionStart"}, s.Hooks...) {
			hooks = append(hooks, map[string]any{"event": event, "command": command, "timeout": relay.TimeoutS})
		}
		table["hooks"] = hooks
	}
	if s.Agent != nil {
		first(table, "extra_agent_dirs", filepath.Join(o.Dir, agentsDir))
	}
	first(table, "extra_skill_dirs", s.SkillsDirs...)
	var b strings.Builder
	if err := toml.NewEncoder(&b).Encode(table); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return o.write("config.toml", []byte(b.String()))
}

// first puts entries at the start of a list.
func first(table map[string]any, key string, entries ...string) {
	if len(entries) == 0 {
		return
	}
	var list []any
	for _, e := range entries {
		list = append(list, e)
	}
	switch old := table[key].(type) {
	case []any:
		list = append(list, old...)
	case []string:
		for _, e := range old {
			list = append(list, e)
		}
	}
	table[key] = list
}

// Close removes the private home. Kimi Code must have ended before, because it would create the folders again.
func (o *Overlay) Close() error { return o.dir.RemoveAll() }
