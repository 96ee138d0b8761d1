//go:build !unix

package regular

// nonblock is 0, because these systems have no named pipes in the file system, and opening a file never waits.
const nonblock = 0
