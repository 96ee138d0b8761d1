package scenarios

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// ServeMCPKey names the environment variable that makes the recorder run as an MCP server.
const ServeMCPKey = "KIMI_GO_RECORD_MCP"

// mcpDelay is how long the MCP server takes to start. kimi's first turn waits for the server and reports that.
const mcpDelay = 2 * time.Second

// ServeMCP runs a small MCP server over stdio. It has one tool, which returns its arguments.
func ServeMCP(in io.Reader, out io.Writer) error {
	answer := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var call struct {
			ID     json.RawMessage
			Method string
			Params struct {
				ProtocolVersion string
				Arguments       json.RawMessage
			}
		}
		if json.Unmarshal(lines.Bytes(), &call) != nil || call.ID == nil {
			continue
		}
		var result any = struct{}{}
		switch call.Method {
		case "initialize":
			result = map[string]any{
				"protocolVersion": call.Params.ProtocolVersion, "capabilities": map[string]any{"tools": struct{}{}},
				"serverInfo": map[string]string{"name": "kimi-go-record", "version": "1"},
			}
		case "tools/list":
			<-time.After(mcpDelay)
			result = map[string]any{"tools": []any{map[string]any{
				"name": "repeat", "description": "repeats its arguments", "inputSchema": map[string]string{"type": "object"},
			}}}
		case "tools/call":
			result = map[string]any{"content": []any{map[string]string{"type": "text", "text": "repeated: " + string(call.Params.Arguments)}}}
		}
		if err := answer.Encode(map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": result}); err != nil {
			return err
		}
	}
	return nil
}

// serveMCP adds the recorder itself to kimi's MCP servers.
func (r *Rig) serveMCP(name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r.addMCP(name, config.MCPServer{Command: self, Env: map[string]config.Secret{ServeMCPKey: "1"}})
	return nil
}

func (r *Rig) addMCP(name string, s config.MCPServer) {
	if r.Options.MCPServers == nil {
		r.Options.MCPServers = make(map[string]config.MCPServer)
	}
	r.Options.MCPServers[name] = s
}

func mcpScenarios() []Scenario {
	return []Scenario{
		{
			Name: "mcp", Shows: "an MCP server: MCPLoadingBegin and MCPLoadingEnd, its status, a call of its tool",
			Scripts: []string{call("m1", "repeat", map[string]int{"n": 7}), "text: Seven."},
			Prepare: func(_ context.Context, r *Rig) error { return r.serveMCP("echo") },
			Run: func(p *Play) {
				list := p.Turn("Use it", p.answering(approve))
				p.Order(list, "MCPLoadingBegin MCPLoadingEnd ToolCall ToolResult TurnEnd")
				p.Result(list, "m1", false, "repeated")
				status := p.Session.Status().MCP
				p.Check(status != nil && status.Connected == 1 && len(status.Servers) == 1 && status.Servers[0].Status == "connected", "status", status)
			},
		},
		{
			Name: "mcp-bad", Shows: "an MCP server that does not start, and one that does: the first prompt fails with error -32603; the second prompt runs without the server that did not start",
			Scripts: []string{"text: Without it."},
			Prepare: func(_ context.Context, r *Rig) error {
				r.addMCP("broken", config.MCPServer{Command: "/no/such/mcp-server"})
				return r.serveMCP("echo")
			},
			Run: func(p *Play) {
				var rpc *wireproto.RPCError
				turn, err := p.Session.Prompt(p.Ctx, "Use it")
				if err != nil {
					p.NoError(err)
					return
				}
				_, err = turn.Result()
				p.Check(errors.As(err, &rpc) && rpc.Code == wireproto.CodeInternalError, "-32603", err)
				p.Says(p.Turn("Again", nil), "Without it.")
				status := p.Session.Status().MCP
				p.Check(status != nil && status.Connected == 1 && status.Total == 2, "status", status)
			},
		},
	}
}
