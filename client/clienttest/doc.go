// Package clienttest helps to test programs that use package client, in the spirit of
// net/http/httptest. [Kimi] runs the real kimi with its own scripted model, with no key
// and no network; [KimiCode] runs Kimi Code, its successor, with a [Model]. [Replay] plays
// a recording made with Options.Record, and [NewAgent] an agent in memory; both need no kimi.
// A program that is no test calls them in [Run].
package clienttest
