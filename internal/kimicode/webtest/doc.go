// Package webtest has what several tests of this module need of Kimi Code's server: a real server, a proxy that changes
// answers and events as a network or another version may do, and a server in memory that plays recorded events.
package webtest
