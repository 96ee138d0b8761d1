//go:build unix

package client

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes the child the leader of a process group, so that it and what it starts
// can be ended together, and a Ctrl-C at the terminal reaches this program alone.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	if !cmd.SysProcAttr.Setsid { // a session leader leads a group already
		cmd.SysProcAttr.Setpgid = true
		cmd.SysProcAttr.Pgid = 0
	}
}

// keepReadEnd gives the child the read end of its own stderr, besides the one here. When this
// program is killed, kimi tells there that it ends its background tasks; if that fails, since
// nobody could read it, it leaves them running (kimi_cli/app.py, shutdown).
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
			held = os.NewFile(uintptr(dup), stderr.Name()) // does not block, as stderr, and must stay so
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

// killTree ends the child and its group.
func killTree(p *os.Process) {
	killGroup(p.Pid)
	p.Kill()
}

// killGroup ends what is left of a group.
func killGroup(pgid int) { syscall.Kill(-pgid, syscall.SIGKILL) }

func signalName(s *os.ProcessState) string {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}

// TryWrite writes as much of b as the pipe takes at once. Errors are left to the next Write.
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
