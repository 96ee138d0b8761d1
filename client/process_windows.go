package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// These are the errors for arguments that are too long, and for a file that is not a program.
const errTooLong, errNoProgram = windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_BAD_EXE_FORMAT

// inputPipe returns a pipe for the input of a child.
func inputPipe() (theirs, ours *os.File, err error) {
	ours, theirs, err = pipe(windows.PIPE_ACCESS_OUTBOUND, windows.GENERIC_READ)
	return theirs, ours, err
}

// outputPipe returns a pipe for an output of a child.
func outputPipe() (ours, theirs *os.File, err error) {
	return pipe(windows.PIPE_ACCESS_INBOUND, windows.GENERIC_WRITE)
}

// pipe returns a pipe whose end in this program supports deadlines. The pipes of [os.Pipe] do not, so a read would wait
// for every process that holds the other end. On Windows, only a named pipe supports deadlines. The name cannot be
// guessed, and the pipe has only one instance. If another process opens it first, pipe returns an error.
func pipe(access, childAccess uint32) (ours, theirs *os.File, err error) {
	const size = 64 << 10
	name, err := windows.UTF16PtrFromString(`\\.\pipe\kimi-go-` + rand.Text())
	if err != nil {
		return nil, nil, err
	}
	here, err := windows.CreateNamedPipe(name, access|windows.FILE_FLAG_OVERLAPPED|windows.FILE_FLAG_FIRST_PIPE_INSTANCE,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, size, size, 0, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe: %w", err)
	}
	child, err := windows.CreateFile(name, childAccess, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open a pipe: %w", err), windows.CloseHandle(here))
	}
	return os.NewFile(uintptr(here), "|0"), os.NewFile(uintptr(child), "|1"), nil
}

// keepReadEnd does nothing, because Windows cannot pass such files to a child.
func keepReadEnd(*exec.Cmd, *os.File) (*os.File, error) { return nil, nil }

// interrupt does nothing, because Windows cannot interrupt a single process without a console. Close closes the input
// before it calls interrupt, and ends the job after it.
func interrupt(*os.Process) error { return nil }

func signalName(*os.ProcessState) string { return "" }
