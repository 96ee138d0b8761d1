//go:build unix

package tempdir

import (
	"io/fs"
	"os"
	"syscall"
)

// isPrivate reports whether a directory belongs to this user and no one else has access to it.
func isPrivate(dir fs.FileInfo) bool {
	stat, ok := dir.Sys().(*syscall.Stat_t)
	return ok && dir.IsDir() && dir.Mode().Perm() == 0o700 && int(stat.Uid) == os.Geteuid()
}
