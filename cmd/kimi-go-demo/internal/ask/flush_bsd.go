//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package ask

import "golang.org/x/sys/unix"

// flush forgets what has been typed, a line that is not complete included.
func (t *tty) flush() {
	unix.IoctlSetPointerInt(int(t.file.Fd()), unix.TIOCFLUSH, unix.TCIFLUSH)
}
