//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package client

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// holdSession locks a session's directory for this process, with a file lock on the directory itself. It writes
// nothing, and the system removes the lock at the end of the process. With alone, no other program can lock the
// directory. Without it, other programs can also lock it, but not with alone. If another lock prevents this one, the
// error is ErrInUse. holdSession returns nil if the directory does not exist or cannot be locked.
func holdSession(dir string, alone bool) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, nil
	}
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return nil, nil
}
