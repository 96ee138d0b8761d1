package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/internal/spawn"
	"github.com/kimi-go/kimi-go/wireproto"
)

type proxyCmd struct {
	Typed  bool     `help:"Decode and encode every line with the types of this module. The JSON means the same after that."`
	Record string   `placeholder:"FILE" help:"Write a recording of all messages."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"kimi and its arguments, after --."`
}

// Run connects a Wire client with kimi: input, output, signals and the exit status pass through.
func (p *proxyCmd) Run(e *env) error {
	args := p.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return usage("name the kimi to run: %s proxy -- kimi --wire …", program)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	args = args[1:]
	e.signals.release() // kimi handles them
	if !slices.Contains(args, "--wire") || !p.Typed && p.Record == "" {
		return become(path, args) // this program is not needed, so kimi replaces it
	}
	cmd, err := spawn.Command(context.Background(), path, os.Environ(), args...)
	if err != nil {
		return err
	}
	x := &proxy{cmd: cmd}
	if p.Typed {
		x.typed = newTyped()
	}
	if p.Record != "" {
		f, err := createRecording(p.Record)
		if err != nil {
			return err
		}
		defer f.Close()
		x.record = fixture.NewWriter(f, machine(path, args).Redactor())
	}
	return x.run(e)
}

// machine finds out from kimi's arguments where secrets and paths may be.
func machine(path string, args []string) *fixture.Machine {
	share := config.ShareDir()
	m := &fixture.Machine{Command: path, Args: args, Env: os.Environ(), ShareDir: share, ConfigFiles: []string{filepath.Join(share, "config.toml")}}
	if cwd, err := os.Getwd(); err == nil {
		m.WorkDirs = append(m.WorkDirs, cwd)
	}
	for i, arg := range args {
		flag, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if flag == "--work-dir" || flag == "-w" {
			if abs, err := filepath.Abs(value); err == nil {
				m.WorkDirs = append(m.WorkDirs, abs)
			}
		}
	}
	return m
}

// proxy is a proxy that runs.
type proxy struct {
	cmd    *exec.Cmd
	typed  *typed          // nil without --typed
	record *fixture.Writer // nil without --record
}

func (x *proxy) run(e *env) error {
	toAgent, err := x.cmd.StdinPipe()
	if err != nil {
		return err
	}
	fromAgent, err := x.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	x.cmd.Stderr = os.Stderr
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, forwarded...)
	defer signal.Stop(caught)
	if err := x.cmd.Start(); err != nil {
		return err
	}
	over := make(chan struct{})
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		for {
			select {
			case s := <-caught:
				x.cmd.Process.Signal(s)
			case <-over:
				return
			}
		}
	})
	go func() { // this goroutine ends with standard input or with this program
		x.pass(fixture.Client, toAgent, e.stdin)
		toAgent.Close()
	}()
	outErr := x.pass(fixture.Agent, os.Stdout, fromAgent)
	if outErr != nil {
		toAgent.Close() // no one reads the output, so let kimi end
		io.Copy(io.Discard, fromAgent)
	}
	err = x.cmd.Wait()
	close(over)
	forwarding.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if x.record != nil {
		end := fixture.End{ExitCode: x.cmd.ProcessState.ExitCode(), Signal: signalName(x.cmd.ProcessState)}
		x.record.End(end)
		if err := x.record.Wait(recordingGrace); err != nil {
			return fmt.Errorf("recording: %w", err)
		}
	}
	endLike(x.cmd.ProcessState)
	return exitStatus(x.cmd.ProcessState.ExitCode())
}

// pass copies the output of one side. It copies whole lines only if the lines are decoded or recorded.
func (x *proxy) pass(from fixture.Side, to io.Writer, r io.Reader) error {
	if x.typed == nil {
		_, err := io.Copy(to, io.TeeReader(r, noted{x.record, from}))
		return err
	}
	lines := wireproto.NewLineReader(r)
	lines.Limit = math.MaxInt - 1
	for {
		line, err := lines.ReadLine()
		if err != nil && err != io.ErrUnexpectedEOF {
			if err == io.EOF {
				err = nil
			}
			return err
		}
		if err == nil {
			if x.record != nil {
				x.record.Write(from, append(slices.Clip(line), '\n'))
			}
			line = append(slices.Clip(x.typed.line(from, line)), '\n')
		}
		if _, err := to.Write(line); err != nil {
			return err
		}
	}
}

// noted is a writer that also writes to a recording.
type noted struct {
	w    *fixture.Writer
	from fixture.Side
}

func (n noted) Write(p []byte) (int, error) {
	n.w.Write(n.from, p)
	return len(p), nil
}

// exitStatus returns an error that ends the program with kimi's exit status, without a message.
func exitStatus(code int) error {
	if code == 0 {
		return nil
	}
	return statusError(code)
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
