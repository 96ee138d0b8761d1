package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Transport starts an agent that speaks Wire, and connects to it. The default Transport starts kimi as a child process.
// Options.Transport replaces it by a recording, an agent in memory, or another back end.
type Transport interface {
	// Start starts the agent. ctx limits only the start; the agent continues to run if ctx ends later.
	Start(ctx context.Context, cmd *Command) (Conn, error)
}

// Command says what to start, with the flags of kimi's own command line.
type Command struct {
	Path string   // the program; "" if Options.Transport is set and Options.Executable is not
	Args []string // the arguments without the program, such as --wire and --session ID; they have no secrets
	Env  []string // the whole environment, as "KEY=value"
	Dir  string   // the working directory, an absolute path
}

// String shows the command with the variables of Env by name only, and with *** for each argument that is not a flag.
// Every verb of fmt, log/slog and encoding/json shows the same text.
func (c Command) String() string { return show(c) }

// Format implements [fmt.Formatter]: every verb prints [Command.String].
func (c Command) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText implements [encoding.TextMarshaler] with [Command.String]. encoding/json uses it, too.
func (c Command) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue implements [slog.LogValuer] with [Command.String].
func (c Command) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Conn is a running agent. One goroutine may call Read and another Write at the same time. Any goroutine may call the
// other methods at any time, more than once.
type Conn interface {
	// Read reads the agent's output, which has lines of the protocol. It returns [io.EOF] when the agent has closed its
	// output, or has ended and all its output was read.
	io.Reader
	// Write writes to the agent's input. Each call writes whole lines.
	io.Writer
	// CloseWrite closes the agent's input, which asks the agent to end.
	CloseWrite() error
	// Interrupt asks the agent a second time to end, as Ctrl-C does.
	Interrupt() error
	// Close ends the agent and all processes that it has started at once. Read, Write and Wait then return.
	Close() error
	// Wait returns when the agent has ended. For a child process, the error is a [*ProcessError], whatever the exit
	// code is. For other agents, it may be nil.
	Wait() error
}

// decoder reads the frames of an agent. [wireproto.Decoder] is one. A Conn can also be one, so that its frames need not
// be encoded as lines first. Its Read then returns the same frames as lines.
type decoder interface {
	SetMaxLine(int)
	Decode() (*wireproto.Frame, error)
	Size() int      // the length of the last line in bytes, which may be estimated
	Buffered() bool // whether Decode would return at once
}

// decoderOf returns the decoder of a Conn: the Conn itself, or a decoder that reads its lines.
func decoderOf(c Conn, maxLine int) decoder {
	d, ok := c.(decoder)
	if !ok {
		d = wireproto.NewDecoder(c)
	}
	d.SetMaxLine(maxLine)
	return d
}
