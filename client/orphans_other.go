//go:build !linux

package client

// killMarked does nothing. On Windows no process leaves the job of the child. Elsewhere the environment of
// another process cannot be read simply: a background task of a kimi that was killed continues there until it ends.
func killMarked(string) error { return nil }
