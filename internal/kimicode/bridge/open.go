package bridge

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/toolhost"
	"github.com/kimi-go/kimi-go/internal/regular"
)

// ToolPrefix is the start of the names of Go tools in the files of Kimi Code. To Kimi Code, they are tools of an MCP
// server.
const ToolPrefix = "mcp__" + toolhost.ServerName + "__"

// OpenIn returns the process id of a server of the home that has a session open, or 0 if no server says so. It cannot
// ask a server that has ended without a notice, a server of another system, or a Kimi Code in a terminal.
func OpenIn(dir, session string) int {
	instances := home.Instances(dir)
	entries, _ := os.ReadDir(instances)
	token, err := regular.Read(filepath.Join(dir, "server.token"), 4<<10)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		var at struct {
			PID       int    `json:"pid"`
			Host      string `json:"host"`
			Port      int    `json:"port"`
			Heartbeat int64  `json:"heartbeat_at"`
		}
		data, err := regular.Read(filepath.Join(instances, e.Name()), 64<<10)
		if err != nil || json.Unmarshal(data, &at) != nil {
			continue
		}
		// Only the server may get the token. If the server has ended, its port may belong to another program.
		if ip := net.ParseIP(at.Host); ip == nil && at.Host != "localhost" || time.Since(time.UnixMilli(at.Heartbeat)).Abs() > fresh || !home.Alive(at.PID) {
			continue
		}
		if has(at.Port, strings.TrimSpace(string(token)), session) {
			return at.PID
		}
	}
	return 0
}

const (
	fresh    = time.Minute     // a server writes that it runs every few seconds
	patience = 2 * time.Second // how long a server may take to answer
)

// has asks a server on this machine whether it has a session open.
func has(port int, token, session string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := server.Attach("http://127.0.0.1:"+strconv.Itoa(port), token)
	defer s.CloseIdle()
	var told struct {
		Busy  bool `json:"busy"`
		Agent struct {
			Model string `json:"model"` // set only if the server has the session open
		} `json:"agent_config"`
	}
	err := s.Call(ctx, "GET", "/sessions/"+url.PathEscape(session), nil, &told)
	return err == nil && (told.Busy || told.Agent.Model != "")
}
