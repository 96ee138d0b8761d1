package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/kimi-go/kimi-go/internal/spawn"
)

// Terminal is kimi in a terminal: its own user interface for a session, or its login. The program connects Cmd to a
// terminal, such as its own standard input, output and error, and runs it. Then it calls Close.
//
// This package does not make a pseudo-terminal. If the child uses the program's own terminal, the system passes keys,
// size and signals to it. To show kimi elsewhere, such as in a browser, use another library that makes a
// pseudo-terminal.
type Terminal struct {
	// Cmd is not started yet. If ctx ends, kimi gets SIGTERM (on Windows it is killed). It is killed if it has not
	// ended after Options.StopGrace.
	Cmd *exec.Cmd
	// SessionID is the session's id. It is "" for a login, and for a new session of Kimi Code, which makes the id
	// itself.
	SessionID string

	launch *launch
	held   *os.File
}

// OpenTerminal prepares kimi's own user interface for a session of the work dir, or for a new session if id is "". If
// this program has the session open, it must close it first, and may resume it after [Terminal.Close]. Until then,
// other programs with this library cannot open it. [ErrSessionNotFound] and [ErrInUse] mean the same as for
// [ResumeSession] and [RenameSession].
//
// kimi asks its user for approvals, and keeps the session's yolo mode. It gets Model, the run modes, directories, loop
// control and every other option for which its user interface has a flag. Options that only this package can provide,
// such as Tools and Hooks, give [ErrUnsupported]. So do options for which Kimi Code has no flag. Approve, Answer and
// Observer are not called. Configurations and MCP servers are passed in files, never in arguments; Close removes the
// files.
func OpenTerminal(ctx context.Context, id string, opts *Options) (*Terminal, error) {
	l, b, err := openTerminal(ctx, opts)
	if err != nil {
		return nil, err
	}
	t := &Terminal{launch: l, SessionID: id}
	if id == "" {
		t.SessionID = b.newID()
	} else if err := t.hold(b, id); err != nil {
		return nil, err
	}
	args, err := b.terminal(l, t.SessionID)
	if err == nil {
		err = t.command(ctx, b, args)
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// OpenLogin prepares kimi's own login, which talks to the user in the terminal. It uses only the options that say which
// kimi runs and where kimi keeps its files.
func OpenLogin(ctx context.Context, opts *Options) (*Terminal, error) {
	l, b, err := openTerminal(ctx, opts)
	if err != nil {
		return nil, err
	}
	t := &Terminal{launch: l}
	if err := t.command(ctx, b, []string{"login"}); err != nil {
		return nil, err
	}
	return t, nil
}

// openTerminal finds the kimi that runs in the terminal.
func openTerminal(ctx context.Context, opts *Options) (*launch, backend, error) {
	if ctx == nil {
		return nil, nil, errNilContext
	}
	l, err := newLaunch(opts)
	if err == nil {
		err = errors.Join(l.noTerminal(), l.check())
	}
	if err != nil {
		return nil, nil, err
	}
	program, err := l.find()
	if err != nil {
		return nil, nil, err
	}
	l.use(program)
	list := recognise(program.path)
	if len(list) > 1 {
		ctx, stop := l.limit(ctx)
		defer stop()
		info, err := list[0].probe(ctx, l)
		if err != nil {
			return nil, nil, err
		}
		list = []backend{backendOf(info.Backend)}
	}
	l.backend = list[0]
	return l, l.backend, nil
}

// noTerminal returns an error that names the options which kimi in a terminal would silently ignore.
func (l *launch) noTerminal() error {
	o := l.opts
	return unsupported("kimi at a terminal has no place for it", "leave it out, or use NewSession", []option{
		{"Server", o.Server != nil}, {"Transport", o.Transport != nil}, {"SessionID", o.SessionID != ""}, {"Tools", len(o.Tools) > 0}, {"Hooks", len(o.Hooks) > 0},
		{"Record", o.Record != nil}, {"Limits", o.Limits.any()}, {"SessionLimits", o.SessionLimits.any()},
	})
}

// option is a field of Options, or a flag.
type option struct {
	name string
	set  bool
}

// unsupported returns an error about each option that is set.
func unsupported(reason, remedy string, list []option) error {
	var errs []error
	for _, o := range list {
		if o.set {
			errs = append(errs, &OptionError{Option: o.name, Reason: reason, Remedy: remedy, Err: ErrUnsupported})
		}
	}
	return errors.Join(errs...)
}

// hold locks the session.
func (t *Terminal) hold(b backend, id string) error {
	if err := validSessionID(id); err != nil {
		return fmt.Errorf("%w: %w", ErrSessionNotFound, err)
	}
	s, err := b.stored(t.launch, id)
	if err == nil && s == nil {
		err = fmt.Errorf("%w: %q in the work dir %s, of %s", ErrSessionNotFound, id, t.launch.workDir, t.launch.path)
	}
	if err != nil {
		return about("open", id, err)
	}
	defer s.Close()
	if t.held, err = s.hold(); err != nil {
		return about("open", id, err)
	}
	return nil
}

func (t *Terminal) command(ctx context.Context, b backend, args []string) error {
	l := t.launch
	cmd, err := spawn.Command(ctx, l.path, b.terminalEnv(l), args...)
	if err != nil {
		return startError(l.path, err)
	}
	cmd.Dir = l.workDir
	cmd.WaitDelay = l.opts.StopGrace
	if runtime.GOOS != "windows" {
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	}
	if l.opts.ModifyCmd != nil {
		l.opts.ModifyCmd(cmd)
	}
	t.Cmd = cmd
	return nil
}

// Close unlocks the session and removes the files that were made for kimi. Call it after Cmd has ended, or instead of
// starting Cmd. It may be called again.
func (t *Terminal) Close() error {
	t.held.Close() // held may be nil; Close of a nil file is harmless
	t.held = nil
	return t.launch.secrets.remove()
}

// terminal returns the flags for kimi-cli without Wire.
func (b kimiCLI) terminal(l *launch, id string) ([]string, error) {
	args, err := l.args(id)
	if err != nil {
		return nil, err
	}
	return args[1:], nil // without --wire, which is the first
}

func (kimiCLI) terminalEnv(l *launch) []string { return l.env }

// terminal returns the flags for Kimi Code's user interface, which supports fewer options than the server.
func (b kimiCode) terminal(l *launch, id string) ([]string, error) {
	o := l.opts
	err := unsupported("Kimi Code has no flag for it at a terminal", "leave it out, and set it in its own configuration", []option{
		{"Config", o.Config != nil}, {"ConfigFile", o.ConfigFile != ""}, {"Thinking", o.Thinking != nil}, {"Effort", o.Effort != ""}, {"Agent", o.Agent != ""},
		{"AgentFile", o.AgentFile != ""}, {"MCPConfigFiles", len(o.MCPConfigFiles) > 0}, {"MCPServers", len(o.MCPServers) > 0}, {"MaxStepsPerTurn", o.MaxStepsPerTurn != 0},
		{"MaxRetriesPerStep", o.MaxRetriesPerStep != 0}, {"MaxRalphIterations", o.MaxRalphIterations != nil},
	})
	if err != nil {
		return nil, err
	}
	var args []string
	flag := func(name, value string) {
		if value != "" {
			args = append(args, name, value)
		}
	}
	flag("--session", id)
	flag("--model", o.Model)
	for _, mode := range []option{{"--yolo", o.Yolo && !o.AFK}, {"--auto", o.AFK}, {"--plan", o.Plan}} {
		if mode.set {
			args = append(args, mode.name)
		}
	}
	for _, dir := range o.AddDirs {
		flag("--add-dir", absolute(dir))
	}
	for _, dir := range o.SkillsDirs {
		flag("--skills-dir", absolute(dir))
	}
	return append(args, o.ExtraArgs...), nil
}

// terminalEnv sets KIMI_SHARE_DIR, too. If that names the home, Kimi Code does not import the files of kimi-cli.
func (b kimiCode) terminalEnv(l *launch) []string {
	if home := b.home(l); home != "" {
		return overlay(l.env, map[string]string{"KIMI_CODE_HOME": home})
	}
	return l.env
}

// terminal and terminalEnv are never called, because OpenTerminal refuses Options.Server.
func (elsewhere) terminal(*launch, string) ([]string, error) { return nil, errElsewhere }
func (elsewhere) terminalEnv(l *launch) []string             { return l.env }

// any reports whether there is a limit.
func (l *Limits) any() bool { return l.Tokens > 0 || l.ToolCalls > 0 || l.Duration > 0 || l.Cost > 0 }
