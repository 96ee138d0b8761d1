//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tempdir

import (
	"os"
	"syscall"
)

// lock locks a file for this process. It fails at once if another process has locked it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
