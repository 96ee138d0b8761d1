//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tempdir

import (
	"os"
	"syscall"
)

// lock locks a file for this process, at once or not at all.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
