// Package clienttest helps to test programs that use package client, as net/http/httptest does for net/http. [Kimi]
// runs the real kimi-cli with its own scripted model. [KimiCode] runs the real Kimi Code with a [Model]. [Replay] plays
// a recording that was made with Options.Record. [NewAgent] makes an agent in memory. None of them needs a key or the
// network, and Replay and NewAgent need no kimi. A program that is not a test calls them in [Run].
package clienttest
