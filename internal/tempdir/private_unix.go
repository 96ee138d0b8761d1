//go:build unix

package tempdir

import (
	"io/fs"
	"os"
	"syscall"
)

// isPrivate reports whether a directory is this user's and closed to all others.
func isPrivate(dir fs.FileInfo) bool {
	stat, ok := dir.Sys().(*syscall.Stat_t)
	return ok && dir.IsDir() && dir.Mode().Perm() == 0o700 && int(stat.Uid) == os.Geteuid()
}
