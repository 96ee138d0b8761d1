package tempdir

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock locks a file for this process, at once or not at all. The locked byte is beyond the text, which others may read.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{OffsetHigh: 1})
}
