package client

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// ownGroup keeps a console window from opening and Ctrl-C from reaching the child.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.CreationFlags |= syscall.CREATE_NEW_PROCESS_GROUP
	cmd.SysProcAttr.HideWindow = true
}

// keepReadEnd does nothing: files cannot be handed on here.
func keepReadEnd(*exec.Cmd, *os.File) (*os.File, error) { return nil, nil }

// interrupt does nothing: Windows cannot interrupt one process that has no console of its
// own. Closing the input comes before it, ending the tree after it.
func interrupt(*os.Process) error { return nil }

// killTree ends the child and what it has started.
func killTree(p *os.Process) {
	exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(p.Pid)).Run()
	p.Kill()
}

// killGroup does nothing: a tree can be found only while its root lives.
func killGroup(int) {}

func signalName(*os.ProcessState) string { return "" }
