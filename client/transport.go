package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Transport starts an agent that speaks Wire and connects to it. The default starts
// kimi as a child process; Options.Transport replaces it by a recording, a fake, or
// another back end.
type Transport interface {
	// Start starts the agent. ctx bounds the start alone: the agent lives on when ctx
	// ends later.
	Start(ctx context.Context, cmd *Command) (Conn, error)
}

// Command says what to start, in the terms of kimi's own command line.
type Command struct {
	Path string   // the program; "" when Options.Transport is set and Options.Executable is not
	Args []string // arguments, without the program: --wire, --session ID, …; no secret in them
	Env  []string // the whole environment, "KEY=value"
	Dir  string   // working directory, absolute
}

// String names what is started. The variables of Env show by their names, and what is no flag in Args
// is ***; so it is for every verb of fmt, in log/slog and in encoding/json.
func (c Command) String() string { return show(c) }

// Format implements [fmt.Formatter]: every verb prints [Command.String].
func (c Command) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText implements [encoding.TextMarshaler], and so covers encoding/json, with [Command.String].
func (c Command) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue implements [slog.LogValuer] with [Command.String].
func (c Command) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Conn is a running agent. Read and Write may be called at the same time, by one
// goroutine each; the other methods at any time, from any goroutine, many times.
type Conn interface {
	// Read reads the agent's output: lines of the protocol. It returns [io.EOF] when the
	// agent has closed it, or has ended and all that it wrote has been read.
	io.Reader
	// Write writes to the agent's input. Each call brings whole lines.
	io.Writer
	// CloseWrite closes the agent's input, by which it is asked to end.
	CloseWrite() error
	// Interrupt asks once more, as Ctrl-C would.
	Interrupt() error
	// Close ends the agent and all that it has started, at once, and unblocks Read,
	// Write and Wait.
	Close() error
	// Wait returns when the agent has ended, and says how: a [*ProcessError] for a child
	// process, whatever its exit code; nil where there is nothing to say.
	Wait() error
}
