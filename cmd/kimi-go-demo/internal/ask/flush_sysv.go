//go:build aix || linux || solaris

package ask

import "golang.org/x/sys/unix"

// flush forgets what has been typed, a line that is not complete included.
func (t *tty) flush() { unix.IoctlSetInt(int(t.file.Fd()), unix.TCFLSH, unix.TCIFLUSH) }
