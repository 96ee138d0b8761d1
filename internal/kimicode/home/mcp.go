package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// timeoutMost is the longest time limit that Kimi Code accepts, in milliseconds: about 24 days.
const timeoutMost = 1<<31 - 1

// AddServers adds the servers of an mcp.json of kimi-cli in the form of Kimi Code. It leaves out the keys that kimi-cli
// ignores, such as type, enabled, disabled and alwaysAllow. For a key that kimi-cli uses and Kimi Code cannot, it
// returns an [*api.UnsupportedError].
func (s *Spec) AddServers(servers map[string]config.MCPServer) error {
	s.NoOwnMCP = true
	if s.Servers == nil {
		s.Servers = make(map[string]any)
	}
	for name, m := range servers {
		entry, err := server(name, m)
		if err != nil {
			return err
		}
		s.Servers[name] = entry
	}
	return nil
}

func server(name string, m config.MCPServer) (map[string]any, error) {
	no := func(key, why string) error {
		return &api.UnsupportedError{Option: "mcpServers." + name + "." + key, Why: why}
	}
	entry := map[string]any{}
	if m.Timeout != nil && *m.Timeout > 0 { // in files of other programs, 0 means no limit
		entry["toolTimeoutMs"] = min(*m.Timeout, timeoutMost)
	}
	if m.SSEReadTimeout != nil {
		return nil, no("sse_read_timeout", "it waits for events without a limit")
	}
	for _, key := range []string{"include_tags", "exclude_tags"} {
		if m.Extra[key] != nil {
			return nil, no(key, "choose tools by their names, in tools")
		}
	}
	hidden, plain := hiddenTools(m.Extra["tools"])
	if !plain {
		return nil, no("tools", "it can only hide tools, by enabled = false")
	}
	if len(hidden) > 0 {
		entry["disabledTools"] = hidden
	}
	if m.Command != "" {
		env := make(map[string]string)
		for k, v := range m.Env {
			env[k] = v.Reveal()
		}
		entry["transport"], entry["command"], entry["args"], entry["env"] = "stdio", m.Command, append([]string{}, m.Args...), env
		if m.CWD != "" {
			entry["cwd"] = m.CWD
		}
		return entry, nil
	}
	entry["url"], entry["transport"] = m.URL, "http"
	if m.Transport == config.MCPSSE || m.Transport == "" && ssePath(m.URL) {
		entry["transport"] = "sse"
	}
	headers := make(map[string]string)
	for k, v := range m.Headers {
		headers[k] = v.Reveal()
	}
	switch auth := m.Auth.Reveal(); auth {
	case "":
	case "oauth":
		entry["auth"] = "oauth"
	default:
		headers["Authorization"] = "Bearer " + auth
	}
	entry["headers"] = headers
	return entry, nil
}

var sse = regexp.MustCompile(`/sse(/|\?|&|$)`)

// ssePath reports whether fastmcp uses SSE for a URL without a transport (fastmcp/mcp_config.py).
func ssePath(address string) bool {
	u, err := url.Parse(address)
	return err == nil && sse.MatchString(u.Path)
}

// hiddenTools returns the tools that an entry of mcp.json hides. It returns false if the entry changes more than that.
// An entry that fastmcp does not understand, such as a list of names, hides nothing.
func hiddenTools(value any) (hidden []string, plain bool) {
	transforms, ok := value.(map[string]any)
	if !ok {
		return nil, true
	}
	plain = true
	for name, value := range transforms {
		t, ok := value.(map[string]any)
		if !ok {
			return nil, true
		}
		for key, value := range t {
			switch key {
			case "enabled":
				enabled, ok := value.(bool)
				if !ok {
					return nil, true
				}
				if !enabled {
					hidden = append(hidden, name)
				}
			case "name", "version", "title", "description", "tags", "meta", "arguments":
				plain = plain && value == nil
			default: // fastmcp then ignores the whole entry
				return nil, true
			}
		}
	}
	slices.Sort(hidden)
	return hidden, plain
}

// mcp writes the mcp.json of the private home.
func (o *Overlay) mcp(s *Spec) error {
	servers := make(map[string]any)
	if !s.NoOwnMCP {
		path := filepath.Join(s.Real, "mcp.json")
		data, err := readSmall(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		theirs, err := serversOf(data)
		if err != nil {
			// If one server is bad, Kimi Code uses none of them. Then the program's own server would not run either.
			o.warn("no MCP server of %s is used: %v", path, err)
			theirs = nil
		}
		for name, raw := range theirs {
			servers[name] = raw
		}
		if s.Tools != nil && servers[s.Tools.Name] != nil {
			o.warn("the MCP server %q of %s is not used: the program's own tools have this name", s.Tools.Name, path)
		}
	}
	maps.Copy(servers, s.Servers)
	if t := s.Tools; t != nil {
		servers[t.Name] = map[string]any{
			"transport": "http", "url": t.URL, "headers": map[string]string{"Authorization": t.Authorization},
			"toolTimeoutMs": timeoutMost, // a call of the program has no time limit; to stop it, cancel the turn
		}
	}
	raw, err := json.Marshal(map[string]any{"mcpServers": servers})
	if err != nil {
		return err
	}
	return o.write("mcp.json", raw)
}

// serversOf returns the servers of an mcp.json of Kimi Code, unchanged. Its error says why Kimi Code would use none of
// them.
func serversOf(data []byte) (map[string]json.RawMessage, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var file struct {
		Servers map[string]json.RawMessage `json:"mcpServers"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errors.New("it is not the JSON of an mcp.json")
	}
	for name, raw := range file.Servers {
		if err := checkServer(raw); err != nil {
			return file.Servers, fmt.Errorf("%.40q: %w", name, err)
		}
	}
	return file.Servers, nil
}

// MCPServers returns the names of the MCP servers in a home's mcp.json. Its error says why Kimi Code uses none of
// them. Kimi Code itself does not report that.
func MCPServers(home string) ([]string, error) {
	path := filepath.Join(home, "mcp.json")
	data, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var servers map[string]json.RawMessage
	if err == nil {
		servers, err = serversOf(data)
	}
	if err != nil {
		err = fmt.Errorf("no MCP server of %s is used: %w", path, err)
	}
	return slices.Sorted(maps.Keys(servers)), err
}

// checkServer checks a server by the rules of Kimi Code. Like Kimi Code, it ignores unknown keys.
func checkServer(raw json.RawMessage) error {
	var s entry
	if err := json.Unmarshal(raw, &s); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) && typed.Field != "" {
			return fmt.Errorf("%s must not be of the type %s", typed.Field, typed.Value)
		}
		return errors.New("it is not a table")
	}
	if key := nullIn(raw); key != "" {
		return fmt.Errorf("%s must not be null", key)
	}
	transport := ""
	switch {
	case s.Transport != nil:
		transport = *s.Transport
	case s.Command != nil:
		transport = "stdio"
	case s.URL != nil:
		transport = "http"
	}
	switch transport {
	case "stdio":
		if s.Command == nil || *s.Command == "" {
			return errors.New("command is missing")
		}
	case "http", "sse":
		if u, err := url.Parse(deref(s.URL)); s.URL == nil || err != nil || u.Scheme == "" {
			return errors.New("url must be a URL")
		}
		if s.Auth != nil && *s.Auth != "oauth" {
			return errors.New(`auth can be "oauth" only`)
		}
		if s.BearerTokenEnvVar != nil && *s.BearerTokenEnvVar == "" {
			return errors.New("bearerTokenEnvVar is empty")
		}
	default:
		return errors.New("it has no command and no url, or a transport other than stdio, http and sse")
	}
	for name, ms := range map[string]*float64{"startupTimeoutMs": s.StartupTimeoutMS, "toolTimeoutMs": s.ToolTimeoutMS} {
		if ms != nil && (*ms != float64(int64(*ms)) || *ms < 1 || *ms > timeoutMost) {
			return fmt.Errorf("%s must be a whole number from 1 to %d", name, timeoutMost)
		}
	}
	return nil
}

// entry is a server in mcp.json, with the keys that Kimi Code knows.
type entry struct {
	Transport         *string           `json:"transport"`
	Command           *string           `json:"command"`
	Args              []string          `json:"args"`
	Env               map[string]string `json:"env"`
	CWD               *string           `json:"cwd"`
	Executor          *string           `json:"executor"`
	URL               *string           `json:"url"`
	Headers           map[string]string `json:"headers"`
	Auth              *string           `json:"auth"`
	BearerTokenEnvVar *string           `json:"bearerTokenEnvVar"`
	Enabled           *bool             `json:"enabled"`
	StartupTimeoutMS  *float64          `json:"startupTimeoutMs"`
	ToolTimeoutMS     *float64          `json:"toolTimeoutMs"`
	EnabledTools      []string          `json:"enabledTools"`
	DisabledTools     []string          `json:"disabledTools"`
}

// nullIn returns the first key that Kimi Code knows and that is null or contains a null; "" if there is none. For
// encoding/json, null is the same as a missing key. For Kimi Code it is an error.
func nullIn(raw json.RawMessage) string {
	var values map[string]any
	json.Unmarshal(raw, &values) // checkServer has read it as an object
	for _, f := range reflect.VisibleFields(reflect.TypeFor[entry]()) {
		key := f.Tag.Get("json")
		if v, ok := values[key]; ok && hasNull(v) {
			return key
		}
	}
	return ""
}

func hasNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(v, hasNull)
	case map[string]any:
		for _, member := range v {
			if hasNull(member) {
				return true
			}
		}
	}
	return false
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
