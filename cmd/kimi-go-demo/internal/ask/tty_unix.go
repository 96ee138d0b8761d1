//go:build unix

package ask

import (
	"os"

	"golang.org/x/sys/unix"
)

// tty is a terminal that lines are typed at.
type tty struct{ file *os.File }

// canWait is true: a terminal reports that it has a complete line, so there is no need to read in order to wait.
const canWait = true

// wait waits for a line.
func (t *tty) wait() { t.poll(nil) }

// ready reports whether a read would not wait.
func (t *tty) ready() bool { return t.poll(new(unix.Timeval)) }

// poll uses select, because poll does not work with the terminals of macOS. It leaves errors to the read.
func (t *tty) poll(timeout *unix.Timeval) bool {
	fd := int(t.file.Fd())
	for {
		var set unix.FdSet
		set.Set(fd)
		n, err := unix.Select(fd+1, &set, nil, nil, timeout)
		if err != unix.EINTR {
			return n != 0 || err != nil
		}
	}
}
