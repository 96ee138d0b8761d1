package client_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/kimi-go/kimi-go/client"
)

const (
	killedCode = 1 // the exit code of a process that was killed
	noProgram  = windows.ERROR_BAD_EXE_FORMAT
)

var brokenPipe = []os.Signal{syscall.SIGPIPE}

func init() { ends["killed"] = client.ProcessError{ExitCode: killedCode} }

func endBySystem(string) {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		self.Kill()
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runs reports whether a process runs. It waits a moment, because the end of a process is not immediate.
func runs(p *os.Process) bool {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(p.Pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	event, err := windows.WaitForSingleObject(h, uint32(5*time.Second/time.Millisecond))
	return err != nil || event != windows.WAIT_OBJECT_0
}

// detach makes it hard for the client to find the process. For the kind "hidden", the test itself is the parent, so
// that the process is not in the agent's job.
func detach(cmd *exec.Cmd, kind string) {
	switch kind {
	case "own group", "own session":
		cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
	case "hidden":
		parent, err := windows.OpenProcess(windows.PROCESS_CREATE_PROCESS|windows.PROCESS_DUP_HANDLE, false, uint32(os.Getppid()))
		if err != nil {
			panic(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{ParentProcess: syscall.Handle(parent)}
	}
}
