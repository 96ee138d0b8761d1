//go:build unix

package spawn

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

const windows = false

// Group is a child process with all processes that it starts. On Unix it is a process group, and a process can leave
// it. On Windows it is a job object, which no process can leave and which ends with this program. Use a Group only
// once.
type Group struct {
	cmd   *exec.Cmd
	guard *guard // nil if Guard was not called
}

// Guard makes the group end even if this program ends without ending it, for example by SIGKILL. Call it before Start,
// for a child that does not notice the end of this program.
//
// Guard starts a shell that waits for the end of a pipe. When this program ends, the shell sends SIGTERM to the group
// and, at most three seconds later, SIGKILL. On Linux it also kills every process with the marker in its environment.
// It removes the folders in remove. about is a folder, or "" for none, in which each process keeps a JSON file about
// itself: once the child has ended, the shell removes the file with the child's "pid". The shell leads the process
// group, so that the system does not give the id of the group to another one too early.
func (g *Group) Guard(marker, about string, remove []string) error {
	w := &guard{cmd: exec.Command("/bin/sh", append([]string{"-c", guardScript, "kimi-go-guard", marker, about}, remove...)...)}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	w.cmd.Stdin = theirs
	w.cmd.Env = []string{"PATH=/usr/bin:/bin:" + os.Getenv("PATH")}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = w.cmd.Start()
	theirs.Close()
	if err != nil {
		ours.Close()
		return fmt.Errorf("start /bin/sh, which ends the agent when this program is killed: %w", err)
	}
	w.pipe, g.guard = ours, w
	return nil
}

// guard is a shell that ends the group when this program ends.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// guardScript reads the id of the child, and then waits until this program has ended.
const guardScript = `
trap '' INT TERM HUP
marker=$1
about=$2
shift 2
read -r child
read -r _
kill -TERM 0
i=0
gone() { ! kill -0 "$child" || grep -q "^State:.*Z" "/proc/$child/status"; } # it stays a zombie if no process waits for it
while [ -n "$child" ] && [ $i -lt 30 ] && ! gone; do
	sleep 0.1
	i=$((i + 1))
done 2>/dev/null
for round in 1 2 3; do # a process that is just starting does not show the marker yet
	for file in $(grep -las -- "$marker" /proc/[0-9]*/environ); do
		pid=${file#/proc/}
		kill -KILL "${pid%/environ}"
	done
	sleep 0.05
done 2>/dev/null
if [ -n "$about" ] && [ -n "$child" ] && gone; then
	for file in "$about"/*.json; do
		grep -q "\"pid\": *$child *[,}]" "$file" && rm -f -- "$file"
	done
fi 2>/dev/null
for dir; do rm -rf -- "$dir"; done
kill -KILL 0
`

// release ends the guard. The group must have been ended before.
func (w *guard) release() {
	syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	w.cmd.Wait()
	w.pipe.Close()
}

// Start starts cmd as the first process of the group. A Ctrl-C at this program's terminal does not reach the group.
func (g *Group) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	g.cmd = cmd
	if g.guard != nil {
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pgid = false, true, g.guard.cmd.Process.Pid
		err := cmd.Start()
		if err == nil {
			_, err = io.WriteString(g.guard.pipe, fmt.Sprintln(cmd.Process.Pid))
			if err != nil {
				g.Kill()
				cmd.Wait()
			}
		}
		if err != nil {
			g.guard.release()
		}
		return err
	}
	if !cmd.SysProcAttr.Setsid { // a session leader already leads a group
		cmd.SysProcAttr.Setpgid = true
		cmd.SysProcAttr.Pgid = 0
	}
	return cmd.Start()
}

// id returns the id of the process group.
func (g *Group) id() int {
	if g.guard != nil {
		return g.guard.cmd.Process.Pid
	}
	return g.cmd.Process.Pid
}

// Kill ends the group. Do not call it after waiting for the child, because another process may then have the child's
// id.
func (g *Group) Kill() error {
	syscall.Kill(-g.id(), syscall.SIGKILL)
	return g.cmd.Process.Kill()
}

// End kills the processes that are left in the group. Call it only once, right after waiting for the child.
func (g *Group) End() error {
	syscall.Kill(-g.id(), syscall.SIGKILL) // fails if no process is left
	if g.guard != nil {
		g.guard.release()
	}
	return nil
}

// Killed returns false: on Unix, the signal shows that Kill has ended the child.
func (g *Group) Killed(int) bool { return false }
