//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package ask

import "golang.org/x/sys/unix"

// flush drops what has been typed, also a line that is not complete.
func (t *tty) flush() {
	unix.IoctlSetPointerInt(int(t.file.Fd()), unix.TIOCFLUSH, unix.TCIFLUSH)
}
