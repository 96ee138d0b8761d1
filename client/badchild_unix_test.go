//go:build unix

package client_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
)

const (
	killedCode = -1 // the exit code of a process that was killed
	noProgram  = syscall.ENOEXEC
)

var brokenPipe = []os.Signal{syscall.SIGPIPE}

func init() {
	ends["SIGKILL"] = client.ProcessError{ExitCode: -1, Signal: "killed"}
	ends["SIGSEGV"] = client.ProcessError{ExitCode: -1, Signal: "segmentation fault"}
	stubborn[stops] = true
	stubborn[endsAtSIGINT] = false
}

func endBySystem(how string) {
	switch how {
	case "SIGKILL":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "SIGSEGV": // Go would handle a SIGSEGV of its own program
		syscall.Exec("/bin/sh", []string{"sh", "-c", "ulimit -c 0; kill -SEGV $$"}, nil)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// runs reports whether a process runs. A process that has ended may stay as a zombie until its parent waits for it.
func runs(p *os.Process) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.Pid), "status"))
	if err == nil && strings.Contains(string(status), "State:\tZ") {
		return false
	}
	return p.Signal(syscall.Signal(0)) == nil
}

// detach makes it hard for the client to find the process.
func detach(cmd *exec.Cmd, kind string) {
	switch kind {
	case "own group":
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	case "own session":
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	case "hidden":
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Env = []string{programKey + "=straggler"}
	}
}

var (
	stops = script("stops", func(a *agent) {
		a.handshake()
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		a.hang()
	})
	endsAtSIGINT = script("ends at SIGINT", func(a *agent) {
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		a.handshake()
		<-interrupted
	})
)

var tells = script("tells of itself", func(a *agent) {
	a.handshake()
	a.begin()
	sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	dir, _ := os.Getwd()
	a.text(os.Getenv("EXTRA"), strconv.FormatBool(int(sid) == os.Getpid()), strconv.FormatBool(os.Getenv("PWD") == dir), os.Getenv("HOME"))
	a.leave()
	a.exit(0)
})

// ModifyCmd may change the environment and the attributes of the command.
func TestModifyCmd(t *testing.T) {
	opts := spawn(t, tells, "same group")
	opts.WorkDir, _ = filepath.EvalSymlinks(opts.WorkDir)
	opts.Env["HOME"] = "" // removes the variable
	opts.ModifyCmd = func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "EXTRA=more")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	}
	s := start(t, opts)
	got, _ := read(t, prompt(t, limited(t), s))
	if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "more", "true", "true", ""}, got); diff != "" {
		t.Error(diff)
	}
}
