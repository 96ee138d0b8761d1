//go:build unix

package webtest

import (
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
)

// Kimi is a real server with a scripted model.
type Kimi struct {
	*server.Server
	URL, Token string
	Model      *clienttest.Model
	Options    *client.Options // isolated ones
	Process    *Process
}

// Process is a running Kimi Code in its own process group.
type Process struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	waited chan struct{}
	err    error
}

// NewKimi starts a real server and waits until it listens. The server ends with the test.
func NewKimi(t testing.TB) *Kimi {
	t.Helper()
	model := clienttest.NewModel(t)
	opts := clienttest.KimiCode(t)
	maps.Copy(opts.Env, model.Env())
	p := Spawn(t, opts, server.Args...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := server.Start(ctx, p)
	if err != nil {
		t.Fatalf("start the server: %v", err)
	}
	t.Cleanup(s.CloseIdle)
	return &Kimi{Server: s, URL: s.URL(), Token: s.Token(), Model: model, Options: opts, Process: p}
}

// Spawn starts Kimi Code. The process ends with the test.
func Spawn(t testing.TB, opts *client.Options, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(opts.Executable, args...)
	cmd.Dir = opts.WorkDir
	cmd.Env = os.Environ()
	for key, value := range opts.Env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	cmd.Env = append(cmd.Env, "KIMI_CODE_HOME="+opts.ShareDir)
	return SpawnCmd(t, cmd)
}

// SpawnCmd starts a command that runs Kimi Code. The process ends with the test.
func SpawnCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start Kimi Code: %v", err)
	}
	p := &Process{cmd: cmd, out: out, waited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.waited)
	}()
	t.Cleanup(func() { p.Close() })
	return p
}

// Read reads from the standard output of the process.
func (p *Process) Read(b []byte) (int, error) { return p.out.Read(b) }

// Interrupt asks the process to end.
func (p *Process) Interrupt() error { return p.cmd.Process.Signal(os.Interrupt) }

// Close kills the process and its group.
func (p *Process) Close() error {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.waited
	return nil
}

// Wait waits for the end of the process.
func (p *Process) Wait() error {
	<-p.waited
	return p.err
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.waited }

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }
