//go:build !linux

package client

// killMarked does nothing. On Windows, no process leaves the job of the child. On other systems there is no simple way
// to read the environment of another process, so a background task of a killed kimi continues until it ends.
func killMarked(string) error { return nil }
