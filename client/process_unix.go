//go:build unix

package client

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// These are the errors for arguments that are too long, and for a file that is not a program.
const errTooLong, errNoProgram = syscall.E2BIG, syscall.ENOEXEC

// inputPipe returns a pipe for the input of a child.
func inputPipe() (theirs, ours *os.File, err error) { return os.Pipe() }

// outputPipe returns a pipe for an output of a child.
func outputPipe() (ours, theirs *os.File, err error) { return os.Pipe() }

// keepReadEnd gives the child the read end of its own stderr, in addition to the one in this program. If this program
// is killed, kimi writes to stderr that it ends its background tasks. If there were no reader, that write would fail,
// and kimi would leave the tasks running (kimi_cli/app.py, shutdown).
func keepReadEnd(cmd *exec.Cmd, stderr *os.File) (*os.File, error) {
	raw, err := stderr.SyscallConn()
	if err != nil {
		return nil, err
	}
	var held *os.File
	syscall.ForkLock.RLock()
	controlErr := raw.Control(func(fd uintptr) {
		var dup int
		if dup, err = syscall.Dup(int(fd)); err == nil {
			syscall.CloseOnExec(dup)
			held = os.NewFile(uintptr(dup), stderr.Name()) // non-blocking, like stderr, and must stay non-blocking
		}
	})
	syscall.ForkLock.RUnlock()
	if err = errors.Join(controlErr, err); err != nil {
		return nil, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, held)
	return held, nil
}

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }

func signalName(s *os.ProcessState) string {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}

// TryWrite writes as much of b as the pipe accepts at once. It ignores errors, because the next Write gets them.
func (p *process) TryWrite(b []byte) (n int) {
	raw, err := p.stdin.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	return max(n, 0)
}
