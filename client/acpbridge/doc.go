// Package acpbridge is a Wire agent made of Kimi Code 2.x, which has no Wire mode: one side
// answers Wire 1.10 as kimi-cli --wire does, the other drives "kimi acp" in the Agent Client
// Protocol and follows the session's journal, which holds what that protocol leaves out.
//
// [Start] takes the arguments and the environment of "kimi --wire"; what has no place in Kimi Code
// is an [UnsupportedError] before anything starts.
//
// # One goroutine
//
// All state belongs to the goroutine of run: frames of the client, messages of kimi, calls of Go
// tools and ticks of the journal reach it through channels. Writing to the client blocks
// it, and so a slow client slows kimi; writing to kimi never does.
//
// # How a turn ends
//
// ACP reports a failed model call as a success. A turn's end is therefore what the journal says,
// a few milliseconds behind ACP's reply; where it does not say, the prompt is answered with
// [wireproto.CodeOutcomeUnknown], never with "finished".
//
// All facts are those of Kimi Code 2.1.0 (packages/acp-server and agent-core-v2 in its bundle).
package acpbridge
