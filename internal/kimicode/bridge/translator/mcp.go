package translator

import (
	"encoding/json"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// mcpPolling asks how the MCP servers do, which no event tells, until all have started or failed.
type mcpPolling struct {
	polls  int
	failed map[string]bool // that the client was told of
}

// pollMCP asks once.
func (t *Translator) pollMCP() {
	t.call("GET", "/mcp/servers", nil, true, func(data json.RawMessage, err error) {
		var list api.MCPServers
		if err != nil || json.Unmarshal(data, &list) != nil {
			return
		}
		m := &wireproto.MCPStatus{Total: len(list.Servers)}
		for _, s := range list.Servers {
			status := s.Status
			switch status {
			case "connected":
				m.Connected++
			case "error", "failed":
				status = "failed"
				if !t.mcp.failed[s.Name] {
					if t.mcp.failed == nil {
						t.mcp.failed = make(map[string]bool)
					}
					t.mcp.failed[s.Name] = true
					t.notify("mcp_failed", "error", "The MCP server "+s.Name+" did not start", s.LastError)
				}
			default:
				m.Loading = m.Loading || status != "disabled"
			}
			m.Servers = append(m.Servers, wireproto.MCPServer{Name: s.Name, Status: status})
		}
		if m.Total > 0 {
			t.emit(&wireproto.StatusUpdate{MCPStatus: m})
		}
		if t.mcp.polls++; m.Loading && t.mcp.polls < mcpPolls {
			t.do(SetTimer{timerMCP, mcpEvery})
		}
	})
}
