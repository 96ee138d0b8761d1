//go:build !unix

package regular

// nonblock is not needed: where there are no named pipes among the files, no opening waits.
const nonblock = 0
