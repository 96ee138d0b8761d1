package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/relay"
)

// Spec says what a private home has that the user's has not.
type Spec struct {
	Real       string         // the user's home
	Config     map[string]any // keys of config.toml over the user's; nil for none
	Replace    bool           // Config stands in place of the user's config.toml
	Servers    map[string]any // of mcp.json, by name
	NoOwnMCP   bool           // the user's mcp.json is left out
	Tools      *ToolServer
	Hooks      []string // events
	HookScript []byte
	AgentFile  string
	SkillsDirs []string
}

// ToolServer is the MCP server of the program's own tools.
type ToolServer struct {
	Name, URL, Authorization string
}

// Needed reports whether a private home is needed at all.
func (s *Spec) Needed() bool {
	return s.Config != nil || s.Servers != nil || s.NoOwnMCP || s.Tools != nil || len(s.Hooks) > 0 || s.AgentFile != "" || len(s.SkillsDirs) > 0
}

// MCP reports whether there are MCP servers besides the program's own tools.
func (s *Spec) MCP() bool { return len(s.Servers) > 0 }

// AddServers takes the servers of an mcp.json as kimi-cli has it.
func (s *Spec) AddServers(servers map[string]config.MCPServer) error {
	s.NoOwnMCP = true
	if s.Servers == nil {
		s.Servers = make(map[string]any)
	}
	for name, m := range servers {
		entry := map[string]any{}
		if m.Command != "" {
			entry["command"], entry["args"] = m.Command, m.Args
			env := make(map[string]string)
			for k, v := range m.Env {
				env[k] = v.Reveal()
			}
			entry["env"] = env
			if m.CWD != "" {
				entry["cwd"] = m.CWD
			}
		} else {
			entry["url"] = m.URL
			entry["transport"] = "http"
			if m.Transport == config.MCPSSE {
				entry["transport"] = "sse"
			}
			headers := make(map[string]string)
			for k, v := range m.Headers {
				headers[k] = v.Reveal()
			}
			if m.Auth != "" {
				headers["Authorization"] = "Bearer " + m.Auth.Reveal()
			}
			entry["headers"] = headers
		}
		s.Servers[name] = entry
	}
	return nil
}

// own are the entries of a home that a private one has for itself, or does without.
var own = map[string]bool{
	"config.toml": true, "mcp.json": true, "workspaces.json": true, "session_index.jsonl": true,
	"server": true, "server.token": true, "search-index": true, "gui.toml": true,
}

// made are the folders of the user's home that must be there before they are linked.
var made = []string{"sessions", "credentials", "oauth", "workspace-trust", "plugins"}

// Overlay is a private home.
type Overlay struct {
	Dir string
}

// Build makes a private home below the system's folder for temporary files. What the user has goes
// on as it is, over links: sessions, logins, skills, trust.
func Build(s *Spec) (o *Overlay, err error) {
	for _, name := range made {
		if err := os.MkdirAll(filepath.Join(s.Real, name), 0o700); err != nil {
			return nil, fmt.Errorf("prepare the home of Kimi Code: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "kimi-go-home-")
	if err != nil {
		return nil, fmt.Errorf("make a private home for Kimi Code: %w; set TMPDIR to a directory that can be written", err)
	}
	o = &Overlay{Dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a private home for Kimi Code: %w", err), o.Close())
			o = nil
		}
	}()
	entries, err := os.ReadDir(s.Real)
	if err != nil {
		return o, err
	}
	for _, e := range entries {
		if !own[e.Name()] {
			if err := os.Symlink(filepath.Join(s.Real, e.Name()), filepath.Join(dir, e.Name())); err != nil {
				return o, err
			}
		}
	}
	if err := os.Symlink(filepath.Join(s.Real, "device_id"), filepath.Join(dir, "device_id")); err != nil && !errors.Is(err, fs.ErrExist) {
		return o, err
	}
	if err := copyFile(filepath.Join(s.Real, "workspaces.json"), filepath.Join(dir, "workspaces.json")); err != nil {
		return o, err
	}
	if err := s.writeConfig(dir); err != nil {
		return o, err
	}
	return o, s.writeMCP(dir)
}

func copyFile(from, to string) error {
	data, err := readSmall(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// writeConfig writes config.toml: the user's, with what the session needs besides.
func (s *Spec) writeConfig(dir string) error {
	table := make(map[string]any)
	if !s.Replace {
		data, err := readSmall(filepath.Join(s.Real, "config.toml"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			if _, err := toml.Decode(string(data), &table); err != nil {
				return fmt.Errorf("the configuration %s: %w", filepath.Join(s.Real, "config.toml"), err)
			}
		}
	}
	for key, value := range s.Config {
		table[key] = value
	}
	if len(s.Hooks) > 0 {
		script := filepath.Join(dir, "hook.sh")
		if err := os.WriteFile(script, s.HookScript, 0o600); err != nil {
			return err
		}
		var hooks []any
		if list, ok := table["hooks"].([]map[string]any); ok {
			for _, h := range list {
				hooks = append(hooks, h)
			}
		}
		for _, event := range append([]string{"SessionStart"}, s.Hooks...) {
			hooks = append(hooks, map[string]any{"event": event, "command": relay.Command(script), "timeout": relay.TimeoutS})
		}
		table["hooks"] = hooks
	}
	if len(s.SkillsDirs) > 0 {
		table["extra_skill_dirs"] = s.SkillsDirs
	}
	var b strings.Builder
	if err := toml.NewEncoder(&b).Encode(table); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.toml"), []byte(b.String()), 0o600)
}

// writeMCP writes mcp.json.
func (s *Spec) writeMCP(dir string) error {
	servers := make(map[string]any)
	if !s.NoOwnMCP {
		data, err := readSmall(filepath.Join(s.Real, "mcp.json"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			var file struct {
				Servers map[string]any `json:"mcpServers"`
			}
			if err := json.Unmarshal(data, &file); err != nil {
				return fmt.Errorf("%s: %w", filepath.Join(s.Real, "mcp.json"), err)
			}
			servers = file.Servers
		}
	}
	if servers == nil {
		servers = make(map[string]any)
	}
	for name, server := range s.Servers {
		servers[name] = server
	}
	if t := s.Tools; t != nil {
		servers[t.Name] = map[string]any{"transport": "http", "url": t.URL, "headers": map[string]string{"Authorization": t.Authorization}}
	}
	raw, err := json.Marshal(map[string]any{"mcpServers": servers})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "mcp.json"), raw, 0o600)
}

// Close removes the private home. Kimi Code has ended: it would make folders anew.
func (o *Overlay) Close() error {
	return os.RemoveAll(o.Dir) // made by Build under a name that no other has; links are not followed
}
