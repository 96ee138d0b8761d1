package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var mcpServers = map[string]MCPServer{
	"files": {
		Command: "npx", Args: []string{"-y", "@x/files", "<dir>"}, Env: map[string]Secret{"TOKEN": canary}, CWD: "/w",
		KeepAlive: pointer(false), Transport: MCPStdio, Timeout: pointer(30000),
	},
	"web": {
		URL: "https://mcp.example/mcp", Headers: map[string]Secret{"X-Key": canary}, Auth: "oauth", Transport: MCPHTTP, SSEReadTimeout: pointer(2.5),
		Extra: Extra{"description": "d", "tools": map[string]any{"t": map[string]any{"enabled": true}}},
	},
}

const mcpJSON = `{
  "mcpServers": {
    "files": {
      "args": [
        "-y",
        "@x/files",
        "<dir>"
      ],
      "command": "npx",
      "cwd": "/w",
      "env": {
        "TOKEN": "CANARY"
      },
      "keep_alive": false,
      "timeout": 30000,
      "transport": "stdio"
    },
    "web": {
      "auth": "oauth",
      "description": "d",
      "headers": {
        "X-Key": "CANARY"
      },
      "sse_read_timeout": 2.5,
      "tools": {
        "t": {
          "enabled": true
        }
      },
      "transport": "http",
      "url": "https://mcp.example/mcp"
    }
  }
}
`

func TestMCPFile(t *testing.T) {
	if err := ValidateMCP(mcpServers); err != nil {
		t.Error(err)
	}
	text, err := MarshalMCP(mcpServers)
	if diff := cmp.Diff(mcpJSON, string(text)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	path := filepath.Join(t.TempDir(), "mcp.json")
	if _, err := LoadMCP(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	write(t, path, mcpJSON)
	got, err := LoadMCP(path)
	if diff := cmp.Diff(mcpServers, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	write(t, path, `{"s": {"command": "c", "type": "stdio"}}`)
	got, err = LoadMCP(path)
	if diff := cmp.Diff(map[string]MCPServer{"s": {Command: "c", Extra: Extra{"type": "stdio"}}}, got); diff != "" || err != nil {
		t.Error("servers at the top:", diff, err)
	}
	write(t, path, `{"mcpServers": {"s": {"command": "c", "env": {"A": 4711}}, "t": {"url": "x"}}}`)
	_, err = LoadMCP(path)
	want := "config: " + path + ": mcpServers.s.env.A: must be a string, not a whole number\n" +
		"config: " + path + ": mcpServers.t.url: must start with http:// or https:// and a host"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if text, err := MarshalMCP(nil); string(text) != "{\n  \"mcpServers\": {}\n}\n" || err != nil {
		t.Errorf("no servers: %s, %v", text, err)
	}
}

func TestValidateMCP(t *testing.T) {
	for want, server := range map[string]MCPServer{
		"config: mcpServers.s: set command, to start a program, or url, for a remote server":    {},
		"config: mcpServers.s: has both command and url: remove one":                            {Command: "c", URL: "http://h"},
		"config: mcpServers.s.transport: stdio needs command, not url":                          {URL: "http://h", Transport: MCPStdio},
		"config: mcpServers.s.transport: a command talks over stdio only: remove transport":     {Command: "c", Transport: MCPSSE},
		"config: mcpServers.s.url: must start with http:// or https:// and a host":              {URL: "ftp://h"},
		`config: mcpServers.s.transport: "tcp" is not one of stdio, http, streamable-http, sse`: {URL: "http://h", Transport: "tcp"},
		"config: mcpServers.s.url: is a known key: set the field, not Extra":                    {Command: "c", Extra: Extra{"url": "http://h"}},
	} {
		if err := ValidateMCP(map[string]MCPServer{"s": server}); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
