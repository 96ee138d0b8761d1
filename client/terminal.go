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

// Terminal is kimi at a terminal: its own user interface on a session, or its login. The program connects Cmd with a
// terminal, such as its own standard input, output and error, and runs it. Then it calls Close.
//
// This package does not make a pseudo-terminal. If the child uses the program's own terminal, the system gives it
// keys, size and signals. To show kimi elsewhere, such as in a browser, use a library of your choice that makes a
// pseudo-terminal.
type Terminal struct {
	// Cmd has not been started. If the ctx ends, kimi gets SIGTERM (on Windows it is killed), and is killed after
	// Options.StopGrace.
	Cmd *exec.Cmd
	// SessionID is the session's id; "" for a login, and for a new session of Kimi Code, which makes the id itself.
	SessionID string

	launch *launch
	held   *os.File
}

// OpenTerminal prepares kimi's own user interface on a session of the work dir, or on a new session if id is "". A
// session that this program has open must be closed first, and may be resumed after Close. Until then, other programs
// of this library cannot open it. [ErrSessionNotFound] and [ErrInUse] mean the same as for [ResumeSession] and
// [RenameSession].
//
// kimi asks its user for approvals, and keeps the session's yolo mode. It gets Model, the run modes, directories,
// loop control and every other option for which its user interface has a flag. Options that only this package can
// provide, such as Tools and Hooks, give [ErrUnsupported]. So do options for which Kimi Code has no flag. Approve,
// Answer and Observer are not called. Configurations and MCP servers are passed in files, never in arguments; Close
// removes the files.
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

// OpenLogin prepares kimi's own login, which talks to the user at the terminal. It uses only the options that say
// which kimi runs and where kimi keeps its files.
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

// openTerminal finds the kimi of a terminal.
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

// noTerminal names the options that kimi at a terminal would silently ignore.
func (l *launch) noTerminal() error {
	o := l.opts
	return unsupported("kimi at a terminal has no place for it", "leave it out, or use NewSession", []option{
		{"Server", o.Server != nil}, {"Transport", o.Transport != nil}, {"SessionID", o.SessionID != ""}, {"Tools", len(o.Tools) > 0}, {"Hooks", len(o.Hooks) > 0},
		{"Record", o.Record != nil}, {"Limits", o.Limits.any()}, {"SessionLimits", o.SessionLimits.any()},
	})
}

// option is a field of Options.
type option struct {
	name string
	set  bool
}

// unsupported is an error about each option that is set.
func unsupported(reason, remedy string, list []option) error {
	var errs []error
	for _, o := range list {
		if o.set {
			errs = append(errs, &OptionError{Option: o.name, Reason: reason, Remedy: remedy, Err: ErrUnsupported})
		}
	}
	return errors.Join(errs...)
}

// hold keeps the session from others.
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

// Close gives the session back and removes the files that were made for kimi. Call it after Cmd has ended, or instead
// of starting Cmd. It may be called again.
func (t *Terminal) Close() error {
	t.held.Close() // of a nil file, too
	t.held = nil
	return t.launch.secrets.remove()
}

// terminal returns the flags of kimi-cli without Wire.
func (b kimiCLI) terminal(l *launch, id string) ([]string, error) {
	args, err := l.args(id)
	if err != nil {
		return nil, err
	}
	return args[1:], nil // the first is --wire
}

func (kimiCLI) terminalEnv(l *launch) []string { return l.env }

// terminal returns the flags of Kimi Code's user interface, which has fewer than the server takes.
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

// terminalEnv keeps KIMI_SHARE_DIR. If it names the home, Kimi Code imports nothing that kimi-cli has left.
func (b kimiCode) terminalEnv(l *launch) []string {
	if home := b.home(l); home != "" {
		return overlay(l.env, map[string]string{"KIMI_CODE_HOME": home})
	}
	return l.env
}

// terminal and terminalEnv are not reached: Options.Server is refused before.
func (elsewhere) terminal(*launch, string) ([]string, error) { return nil, errElsewhere }
func (elsewhere) terminalEnv(l *launch) []string             { return l.env }

// any reports whether there is a limit.
func (l *Limits) any() bool { return l.Tokens > 0 || l.ToolCalls > 0 || l.Duration > 0 || l.Cost > 0 }
