package client_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/kimi-go/kimi-go/config"
)

func init() { programs["mcp-server"] = mcpServerProgram }

// mcpProgram defines this test binary as an MCP server with one tool, named by MCP_TOOL, that
// returns the environment variable MCP_SECRET.
func mcpProgram(t testing.TB, env map[string]config.Secret) config.MCPServer {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := config.MCPServer{Command: exe, Env: map[string]config.Secret{programKey: "mcp-server", "MCP_TOOL": "reveal"}}
	for key, value := range env {
		server.Env[key] = value
	}
	return server
}

func mcpServerProgram() {
	if os.Getenv("MCP_STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
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
			result = map[string]any{"content": []any{map[string]string{"type": "text", "text": "value: " + os.Getenv("MCP_SECRET")}}}
		}
		answer.Encode(map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": result})
	}
	if os.Getenv("MCP_STUBBORN") != "" {
		select {}
	}
}
