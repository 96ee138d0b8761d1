//go:build !unix

package tempdir

import "io/fs"

// isPrivate reports only whether dir is a directory. These systems do not tell its owner and mode, but each user has a
// folder for temporary files.
func isPrivate(dir fs.FileInfo) bool { return dir.IsDir() }
