package config

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
)

// MCPServer is one MCP server in mcp.json or in a file of --mcp-config-file, in the format of fastmcp that kimi-cli
// 1.51.0 reads. It is a program to start (Command) or a remote server (URL). Put secrets only into Env, Headers or
// Auth: Args appear in the process list, and Command and CWD are printed unmasked.
type MCPServer struct {
	Command        string            `json:"command,omitzero"`                      // the program to start; required unless URL is set
	Args           []string          `json:"args,omitzero"`                         // its arguments; default none
	Env            map[string]Secret `json:"env,omitzero"`                          // its environment; default none
	CWD            string            `json:"cwd,omitzero" kimi:"null"`              // its working folder; default "": that of kimi
	KeepAlive      *bool             `json:"keep_alive,omitzero" kimi:"null"`       // keep it between connections; default nil: fastmcp decides
	URL            string            `json:"url,omitzero"`                          // http or https; required unless Command is set
	Headers        map[string]Secret `json:"headers,omitzero"`                      // HTTP headers; default none
	Auth           Secret            `json:"auth,omitzero" kimi:"null"`             // a bearer token, or "oauth" for a login; default "": none
	SSEReadTimeout *float64          `json:"sse_read_timeout,omitzero" kimi:"null"` // in seconds; default nil: that of fastmcp
	Transport      MCPTransport      `json:"transport,omitzero" kimi:"null"`        // default "": stdio for a Command; for a URL sse if its path has a part "sse", else http
	Timeout        *int              `json:"timeout,omitzero" kimi:"null"`          // longest wait for an answer in milliseconds; default nil: none
	Extra          Extra             `json:"-"`                                     // other keys: description, icon, tools, include_tags, …
}

// MCPTransport says how to talk to an MCP server; "" lets fastmcp decide.
type MCPTransport string

// The transports of MCP servers.
const (
	MCPStdio          MCPTransport = "stdio" // only with Command
	MCPHTTP           MCPTransport = "http"  // only with URL, like the next two
	MCPStreamableHTTP MCPTransport = "streamable-http"
	MCPSSE            MCPTransport = "sse"
)

func (MCPTransport) values() []string { return names(MCPStdio, MCPHTTP, MCPStreamableHTTP, MCPSSE) }

// ValidateMCP checks MCP servers, by name. Each violation is an [*Error] whose
// Key starts with mcpServers.NAME.
func ValidateMCP(servers map[string]MCPServer) error {
	var p problems
	p.servers(servers)
	return p.err()
}

func (p *problems) servers(servers map[string]MCPServer) {
	p.check("mcpServers", reflect.ValueOf(servers), rules{})
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		s, path := servers[name], join("mcpServers", name)
		switch stdio := s.Transport == MCPStdio; {
		case s.Command == "" && s.URL == "":
			p.add(path, "set command, to start a program, or url, for a remote server")
		case s.Command != "" && s.URL != "":
			p.add(path, "has both command and url: remove one")
		case s.URL != "" && stdio:
			p.add(join(path, "transport"), "stdio needs command, not url")
		case s.Command != "" && s.Transport != "" && !stdio:
			p.add(join(path, "transport"), "a command talks over stdio only: remove transport")
		case s.URL != "":
			if u, err := url.Parse(s.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				p.add(join(path, "url"), "must start with http:// or https:// and a host")
			}
		}
	}
}

// MarshalMCP returns {"mcpServers": {…}}, the text of an mcp.json, with the secrets in clear text. It does not
// validate.
func MarshalMCP(servers map[string]MCPServer) ([]byte, error) {
	w := writer{json: true}
	tree := w.value("mcpServers", reflect.ValueOf(servers))
	if err := w.err(); err != nil {
		return nil, err
	}
	return marshalJSON(map[string]any{"mcpServers": tree})
}

// LoadMCP reads and validates the servers of an mcp.json. The outer "mcpServers" may be missing, as fastmcp allows.
// Other top-level keys are ignored. If the file is missing, the error is [fs.ErrNotExist]. The limits of [Load]
// apply.
func LoadMCP(path string) (map[string]MCPServer, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	src, err := decode(path, data, decodeJSON)
	if err != nil {
		return nil, err
	}
	if table, ok := src.(map[string]any); ok {
		if inner, ok := table["mcpServers"]; ok {
			src = inner
		}
	}
	servers := map[string]MCPServer{}
	p := problems{file: path}
	p.fill("mcpServers", reflect.ValueOf(&servers).Elem(), src)
	p.servers(servers)
	if err := p.err(); err != nil {
		return nil, err
	}
	return servers, nil
}
