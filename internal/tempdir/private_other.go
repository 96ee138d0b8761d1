//go:build !unix

package tempdir

import "io/fs"

// isPrivate reports what can be known: modes and owners are not told here, and the folder for temporary files is
// each user's own.
func isPrivate(dir fs.FileInfo) bool { return dir.IsDir() }
