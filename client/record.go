package client

import (
	"cmp"
	"errors"
	"path/filepath"
	"strings"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/fixture"
)

// recording is a Conn that notes everything both ways.
type recording struct {
	Conn
	w   *fixture.Writer
	log func(error)
}

func (l *launch) record(peer Conn) Conn {
	w := fixture.NewWriter(l.opts.Record, l.redactor())
	return &recording{peer, w, func(err error) { l.opts.Logger.Error("client: recording stopped", "error", err) }}
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.w.Write(fixture.Agent, p[:n])
	return n, err
}

func (r *recording) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	r.w.Write(fixture.Client, p[:n])
	return n, err
}

func (r *recording) PID() int {
	if p, ok := r.Conn.(interface{ PID() int }); ok {
		return p.PID()
	}
	return 0
}

// finish notes how the agent ended, behind its last line.
func (r *recording) finish(exit error) {
	var end fixture.End
	var p *ProcessError
	if errors.As(exit, &p) {
		end = fixture.End{ExitCode: p.ExitCode, Signal: p.Signal}
	}
	if err := r.w.End(end); err != nil {
		r.log(err)
	}
}

// redactor knows what must not get into a recording: the keys of the configuration and of
// the environment, and the folders of this machine.
func (l *launch) redactor() *fixture.Redactor {
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
	for _, s := range l.opts.MCPServers {
		secrets(s.Env)
		secrets(s.Headers)
		r.Secret(s.Auth.Reveal())
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
	return r
}
