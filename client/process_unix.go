//go:build unix

package client

import (
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
