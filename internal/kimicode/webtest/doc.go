// Package webtest has what tests of this module share about the server of Kimi Code: a real one, a
// proxy that does to its answers and events what a network or another version might do, and one
// that plays recorded events.
package webtest
