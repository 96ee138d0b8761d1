//go:build unix

package spawn

import (
	"os/exec"
	"syscall"
)

const windows = false

// Group is a child with what it starts. On Unix it is a process group, which a descendant can leave. On
// Windows it is a job object, which none leaves, and which ends with this program. A Group is used once.
type Group struct{ cmd *exec.Cmd }

// Start starts cmd as the first of the group, which a Ctrl-C at this program's terminal does not reach.
func (g *Group) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	if !cmd.SysProcAttr.Setsid { // a session leader leads a group already
		cmd.SysProcAttr.Setpgid = true
		cmd.SysProcAttr.Pgid = 0
	}
	g.cmd = cmd
	return cmd.Start()
}

// Kill ends the group. It must not be called once the child has been waited for: its id may be another's.
func (g *Group) Kill() error {
	syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	return g.cmd.Process.Kill()
}

// End ends what the child has left behind. It is called once, as soon as the child has been waited for.
func (g *Group) End() error {
	syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL) // fails where none is left
	return nil
}

// Killed reports whether the child was ended by Kill. On Unix its signal tells.
func (g *Group) Killed(int) bool { return false }
