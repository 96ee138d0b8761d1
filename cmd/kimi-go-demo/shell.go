package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/term"

	"github.com/kimi-go/kimi-go/client"
)

type shellCmd struct {
	which
	Yolo bool   `short:"y" help:"Let kimi do everything without asking."`
	Plan bool   `help:"Start in plan mode."`
	ID   string `arg:"" optional:"" help:"Id of the session; - means the newest of the work dir (default: a new session)."`
}

// Run gives the terminal to kimi's own user interface, and then gets it back.
func (s *shellCmd) Run(e *env) error {
	opts := s.which.options()
	opts.Yolo, opts.Plan = s.Yolo, s.Plan
	id := s.ID
	if id == "-" {
		var err error
		if id, err = newest(opts); err != nil {
			return err
		}
	}
	open := func(ctx context.Context) (*client.Terminal, error) { return client.OpenTerminal(ctx, id, opts) }
	id, err := e.handOver(open)
	if id != "" {
		if list, listErr := client.ListSessions(opts); listErr == nil {
			for _, info := range list { // kimi does not keep a session without a turn
				if info.ID == id {
					e.note("session " + id + "; go on with: " + s.resumeCommand(id))
				}
			}
		}
	}
	return err
}

type loginCmd struct{ where }

// Run gives the terminal to kimi's own login.
func (l *loginCmd) Run(e *env) error {
	_, err := e.handOver(func(ctx context.Context) (*client.Terminal, error) { return client.OpenLogin(ctx, l.options()) })
	return err
}

// reset turns off everything that a program may have turned on in a terminal: styles, a hidden cursor, special reports
// of keys and of the mouse, and the alternate screen.
const reset = "\x1b[0m\x1b[?25h\x1b[<u\x1b[?2004l\x1b[?1004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2031l\x1b[?1049l"

// handOver runs kimi in this program's own terminal, so that the system sends keys, sizes and signals to it. It returns
// the session's id if that is known. The error says how kimi ended.
func (e *env) handOver(open func(context.Context) (*client.Terminal, error)) (id string, err error) {
	if !e.inTerminal || !e.outTerminal {
		return "", hinted{errors.New("kimi's own user interface needs a terminal, for input and output"), "run it in a terminal; " + program + " prompt needs none"}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	back := e.signals.lend(cancel)
	defer back()
	kimi, err := open(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, kimi.Close()) }()
	in := int(os.Stdin.Fd())
	state, err := term.GetState(in)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	kimi.Cmd.Stdin, kimi.Cmd.Stdout, kimi.Cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := kimi.Cmd.Start(); err != nil {
		return "", err
	}
	err = kimi.Cmd.Wait()
	term.Restore(in, state)
	if kimi.Cmd.ProcessState.ExitCode() < 0 {
		os.Stdout.WriteString(reset) // kimi was ended before it could reset the terminal
	}
	err = ending(kimi.Cmd.ProcessState, err)
	if e.signals.stopped() != 0 {
		err = toldError{cmp.Or(err, errInterrupted)}
	}
	return kimi.SessionID, err
}

// ending returns the exit status of a program that has ended, as a shell shows it.
func ending(state *os.ProcessState, err error) error {
	var exit *exec.ExitError
	switch status, ok := state.Sys().(syscall.WaitStatus); {
	case state.Success():
		return nil
	case ok && state.ExitCode() < 0 && status.Signaled():
		return statusError(128 + int(status.Signal()))
	case errors.As(err, &exit):
		return statusError(max(state.ExitCode(), 1))
	case state.ExitCode() > 0: // kimi was ended by this program
		return statusError(state.ExitCode())
	}
	return err
}
