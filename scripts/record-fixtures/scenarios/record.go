package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/fixture"
)

// TombstoneKey names the environment variable with the path of kimi-cli 1.52.0. The scenario "tombstone" cannot be
// recorded without it.
const TombstoneKey = "KIMI_TOMBSTONE"

// ErrNoTombstone is the error if TombstoneKey is not set.
var ErrNoTombstone = errors.New("set " + TombstoneKey + " to the kimi of kimi-cli==1.52.0")

func useTombstone(_ context.Context, r *Rig) error {
	if r.Options.Executable = os.Getenv(TombstoneKey); r.Options.Executable == "" {
		return ErrNoTombstone
	}
	return nil
}

// Record runs the scenario with the real kimi at path and writes the fixture to w. root is an empty folder, which the
// recording uses.
func Record(ctx context.Context, s *Scenario, path, root string, w io.Writer) error {
	rig, err := NewRig(ctx, s, path, root)
	if err != nil {
		return fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	defer rig.Close()
	if s.Raw != nil {
		rig.Options.Transport = &pipes{rig: rig, scenario: s, w: w}
	} else {
		rig.Options.Record = w
	}
	recorded := *s
	recorded.rig = rig
	return recorded.Play(ctx, rig.Options)
}

// pipes runs kimi without a client and records the data in its pipes.
type pipes struct {
	rig      *Rig
	scenario *Scenario
	w        io.Writer
}

func (t *pipes) Start(context.Context, *client.Command) (client.Conn, error) {
	o := t.rig.Options
	cfg, err := o.Config.MarshalTOML()
	if err != nil {
		return nil, err
	}
	file := t.rig.path("config.toml")
	if err := os.WriteFile(file, cfg, 0o600); err != nil {
		return nil, err
	}
	id := t.scenario.Resume
	if id == "" {
		id = "00000000-0000-4000-8000-000000000000"
	}
	redact := new(fixture.Redactor)
	redact.Path(o.WorkDir, "/work")
	redact.Path(o.ShareDir, "/share")
	redact.Path(o.Env["HOME"], "/home/user")
	redact.Program(o.Executable)
	redact.Path(t.rig.Root, "/tmp")
	c := &pipeConn{w: fixture.NewWriter(t.w, redact)}
	c.cmd = exec.Command(o.Executable, "--wire", "--session", id, "--work-dir", o.WorkDir, "--config-file", file)
	c.cmd.Dir = o.WorkDir
	c.cmd.Env = os.Environ()
	for key, value := range o.Env {
		c.cmd.Env = append(c.cmd.Env, key+"="+value)
	}
	c.cmd.Env = append(c.cmd.Env, "KIMI_SHARE_DIR="+o.ShareDir, "PWD="+o.WorkDir) // if a variable occurs twice, the last one counts
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

type pipeConn struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.ReadCloser
	w       *fixture.Writer
	asked   bool // whether the input was closed
	unasked bool // whether the output ended before the input was closed
	waited  sync.Once
	exit    error
}

func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err != nil && !c.asked {
		c.unasked = true
	}
	c.w.Write(fixture.Agent, p[:n])
	return n, err
}

func (c *pipeConn) Write(p []byte) (int, error) {
	c.w.Write(fixture.Client, p)
	return c.in.Write(p)
}

func (c *pipeConn) CloseWrite() error { c.asked = true; return c.in.Close() }
func (c *pipeConn) Interrupt() error  { return c.cmd.Process.Signal(os.Interrupt) }
func (c *pipeConn) Close() error      { c.cmd.Process.Kill(); return c.Wait() }

// Wait waits for the end of kimi. Call it after the output has ended or after a kill.
func (c *pipeConn) Wait() error {
	c.waited.Do(func() {
		c.cmd.Wait()
		exit := &client.ProcessError{ExitCode: c.cmd.ProcessState.ExitCode()}
		c.exit = exit
		c.w.End(fixture.End{ExitCode: exit.ExitCode, Unasked: c.unasked})
		if err := c.w.Wait(time.Minute); err != nil {
			c.exit = err
		}
	})
	return c.exit
}
