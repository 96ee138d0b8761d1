package client

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/kimi-go/kimi-go/internal/fixture"
)

// recording is a Conn that records both directions.
type recording struct {
	Conn
	w       *fixture.Writer
	asked   atomic.Bool // the agent was asked to end
	unasked atomic.Bool // the agent's output has ended before this side asked it to end
}

func (l *launch) record(peer Conn) Conn {
	machine := &fixture.Machine{
		Command: l.path, Args: l.opts.ExtraArgs, Config: l.opts.Config, ConfigFiles: []string{l.configPath(), filepath.Join(l.backend.home(l), "config.toml")},
		MCPServers: l.opts.MCPServers, MCPConfigFiles: l.opts.MCPConfigFiles,
		Env: l.env, WorkDirs: []string{l.workDir, l.opts.WorkDir}, ShareDir: l.backend.home(l),
	}
	if s := l.opts.Server; s != nil {
		machine = &fixture.Machine{Env: []string{"KIMI_SERVER_TOKEN=" + s.Token}, WorkDirs: []string{l.workDir}}
	}
	w := fixture.NewWriter(l.opts.Record, machine.Redactor())
	return &recording{Conn: peer, w: w}
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if err != nil && !r.asked.Load() {
		r.unasked.Store(true)
	}
	r.w.Write(fixture.Agent, p[:n])
	return n, err
}

// Write records the data before it writes them, because the answer may be read before the write returns.
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

// finish records how the agent ended, after the agent's last line.
func (r *recording) finish(exit error) {
	end := fixture.End{Unasked: r.unasked.Load()}
	var p *ProcessError
	if errors.As(exit, &p) {
		end.ExitCode, end.Signal = p.ExitCode, p.Signal
	}
	r.w.End(end)
}

// minFlush is the least time that the last lines of a recording get, even after the deadline of Close.
const minFlush = 200 * time.Millisecond

// endRecording waits until the recording has been written, at most for limit. It returns the first error of Record.
// Nothing is written after that.
func (s *Session) endRecording(limit time.Duration) error {
	r, ok := s.conn.peer.(*recording)
	if !ok {
		return nil
	}
	if err := r.w.Wait(max(limit, minFlush)); err != nil {
		return fmt.Errorf("client: recording: %w", err)
	}
	return nil
}
