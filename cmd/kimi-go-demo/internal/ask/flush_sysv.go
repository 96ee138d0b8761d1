//go:build aix || linux || solaris

package ask

import "golang.org/x/sys/unix"

// flush drops what has been typed, also a line that is not complete.
func (t *tty) flush() { unix.IoctlSetInt(int(t.file.Fd()), unix.TCFLSH, unix.TCIFLUSH) }
