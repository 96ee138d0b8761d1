package translator

import (
	"encoding/json"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// mcpPolling asks for the state of the MCP servers until all have started or failed. No event reports it.
type mcpPolling struct {
	polls  int
	asked  int             // how often the server of the program's tools was looked for
	failed map[string]bool // the failed servers that the client knows of
}

// pollMCP asks once.
func (t *Translator) pollMCP() {
	t.call("GET", "/mcp/servers", nil, true, func(data json.RawMessage, err error) {
		var list api.MCPServers
		if err != nil || json.Unmarshal(data, &list) != nil {
			return
		}
		t.mcp.polls++
		m := &wireproto.MCPStatus{}
		listed := make(map[string]bool)
		for _, s := range list.Servers {
			listed[s.Name] = true
			status := s.Status
			switch status {
			case "connected":
				m.Connected++
			case "error", "failed":
				status = "failed"
				t.mcpFailed(s.Name, s.LastError)
			case "disabled", "disconnected": // a server that mcp.json disables is "disconnected"
			default:
				m.Loading = true
			}
			m.Servers = append(m.Servers, wireproto.MCPServer{Name: s.Name, Status: status})
		}
		for _, name := range t.session.mcp {
			switch {
			case listed[name]:
			case t.mcp.polls == 1: // the server may still be listed later
				m.Loading = true
				m.Servers = append(m.Servers, wireproto.MCPServer{Name: name, Status: "pending"})
			default:
				t.mcpFailed(name, "Kimi Code does not list this server. If one entry of mcp.json is bad, Kimi Code drops all entries; \"kimi doctor\" may say which one is bad.")
				m.Servers = append(m.Servers, wireproto.MCPServer{Name: name, Status: "failed"})
			}
		}
		if m.Total = len(m.Servers); m.Total > 0 {
			t.emit(&wireproto.StatusUpdate{MCPStatus: m})
		}
		if m.Loading && t.mcp.polls < mcpPolls {
			t.do(SetTimer{timerMCP, mcpEvery})
		}
	})
}

// mcpFailed tells the client, once for each server, that a server has failed.
func (t *Translator) mcpFailed(name, why string) {
	if t.mcp.failed[name] {
		return
	}
	if t.mcp.failed == nil {
		t.mcp.failed = make(map[string]bool)
	}
	t.mcp.failed[name] = true
	t.notify("mcp_failed", "error", "The MCP server "+name+" did not start", why)
}
