package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/fixture"
)

// recording is a Conn that notes everything both ways.
type recording struct {
	Conn
	w       *fixture.Writer
	log     func(error)
	asked   atomic.Bool // the agent was asked to end
	unasked atomic.Bool // its output has ended before that
}

func (l *launch) record(peer Conn, command string) Conn {
	w := fixture.NewWriter(l.opts.Record, l.redactor(command))
	return &recording{Conn: peer, w: w, log: func(err error) { l.opts.Logger.Error("client: recording stopped", "error", err) }}
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if err != nil && !r.asked.Load() {
		r.unasked.Store(true)
	}
	r.w.Write(fixture.Agent, p[:n])
	return n, err
}

// Write notes first: the answer may be read before the write has returned.
func (r *recording) Write(p []byte) (int, error) {
	r.w.Write(fixture.Client, p)
	return r.Conn.Write(p)
}

func (r *recording) CloseWrite() error { r.asked.Store(true); return r.Conn.CloseWrite() }
func (r *recording) Interrupt() error  { r.asked.Store(true); return r.Conn.Interrupt() }
func (r *recording) Close() error      { r.asked.Store(true); return r.Conn.Close() }

func (r *recording) PID() int {
	if p, ok := r.Conn.(interface{ PID() int }); ok {
		return p.PID()
	}
	return 0
}

// finish notes how the agent ended, behind its last line.
func (r *recording) finish(exit error) {
	end := fixture.End{Unasked: r.unasked.Load()}
	var p *ProcessError
	if errors.As(exit, &p) {
		end.ExitCode, end.Signal = p.ExitCode, p.Signal
	}
	if err := r.w.End(end); err != nil {
		r.log(err)
	}
}

// redactor knows what must not get into a recording: the keys of the configuration and of
// the environment, and the folders of this machine.
func (l *launch) redactor(command string) *fixture.Redactor {
	r := new(fixture.Redactor)
	cfg := l.opts.Config
	if path := l.configPath(); path != "" && isFile(path) {
		cfg, _ = config.Load(path)
	}
	secrets := func(m map[string]config.Secret) {
		for _, s := range m {
			r.Secret(s.Reveal())
		}
	}
	if cfg != nil {
		for _, p := range cfg.Providers {
			r.Secret(p.APIKey.Reveal())
			secrets(p.Env)
			secrets(p.CustomHeaders)
		}
		for _, s := range []*config.Service{cfg.Services.MoonshotSearch, cfg.Services.MoonshotFetch} {
			if s != nil {
				r.Secret(s.APIKey.Reveal())
				secrets(s.CustomHeaders)
			}
		}
	}
	for _, servers := range l.mcpServers() {
		for _, s := range servers {
			secrets(s.Env)
			secrets(s.Headers)
			r.Secret(s.Auth.Reveal())
		}
	}
	for _, token := range l.storedTokens() {
		r.Secret(token)
	}
	for _, entry := range l.env {
		key, value, _ := strings.Cut(entry, "=")
		key = strings.ToUpper(key)
		for _, part := range []string{"KEY", "TOKEN", "SECRET", "PASSWORD"} {
			if strings.Contains(key, part) {
				r.Secret(value)
			}
		}
	}
	for _, path := range []string{l.workDir, l.opts.WorkDir} {
		if filepath.IsAbs(path) {
			r.Path(path, "/work")
		}
	}
	r.Path(l.shareDir, "/share")
	r.Path(cmp.Or(l.getenv("HOME"), l.getenv("USERPROFILE")), "/home/user")
	if temp := cmp.Or(l.getenv("TMPDIR"), l.getenv("TEMP")); filepath.IsAbs(temp) {
		r.Path(filepath.Clean(temp), "/tmp")
	}
	r.Program(command)
	return r
}

// mcpServers returns the MCP servers that kimi will know; files that cannot be read are its to
// complain about.
func (l *launch) mcpServers() []map[string]config.MCPServer {
	list := []map[string]config.MCPServer{l.opts.MCPServers}
	for _, path := range append([]string{filepath.Join(l.shareDir, "mcp.json")}, l.opts.MCPConfigFiles...) {
		if servers, err := config.LoadMCP(path); err == nil {
			list = append(list, servers)
		}
	}
	return list
}

// storedTokens returns the tokens of kimi's logins.
func (l *launch) storedTokens() (tokens []string) {
	files, _ := filepath.Glob(filepath.Join(l.shareDir, "credentials", "*.json")) // a share dir like "[" has none
	for _, path := range files {
		var login struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &login) == nil {
			tokens = append(tokens, login.Access, login.Refresh)
		}
	}
	return tokens
}
