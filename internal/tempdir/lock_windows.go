package tempdir

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock locks a file for this process. It fails at once if another process has locked it. It locks one byte after the
// text, so that others can read the text.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{OffsetHigh: 1})
}
