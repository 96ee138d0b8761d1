package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Transport starts an agent that speaks Wire and connects to it. The default starts
// kimi as a child process; Options.Transport replaces it by a recording, a fake, or
// another back end.
type Transport interface {
	// Start starts the agent. ctx limits the start only: the agent keeps running if ctx ends later.
	Start(ctx context.Context, cmd *Command) (Conn, error)
}

// Command says what to start, in the terms of kimi's own command line.
type Command struct {
	Path string   // the program; "" if Options.Transport is set and Options.Executable is not
	Args []string // arguments without the program, such as --wire and --session ID; they contain no secret
	Env  []string // the whole environment, "KEY=value"
	Dir  string   // working directory, absolute
}

// String names what is started. It shows variables of Env by name only, and each argument that is not a flag as ***.
// Every verb of fmt, log/slog and encoding/json shows the same.
func (c Command) String() string { return show(c) }

// Format implements [fmt.Formatter]: every verb prints [Command.String].
func (c Command) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText implements [encoding.TextMarshaler], and so covers encoding/json, with [Command.String].
func (c Command) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue implements [slog.LogValuer] with [Command.String].
func (c Command) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Conn is a running agent. One goroutine may call Read and another Write at the same time. Any goroutine may call the
// other methods at any time, more than once.
type Conn interface {
	// Read reads the agent's output: lines of the protocol. It returns [io.EOF] when the
	// agent has closed its output, or has ended and everything that it wrote has been read.
	io.Reader
	// Write writes to the agent's input. Each call brings whole lines.
	io.Writer
	// CloseWrite closes the agent's input, which asks the agent to end.
	CloseWrite() error
	// Interrupt asks the agent again to end, as Ctrl-C does.
	Interrupt() error
	// Close ends the agent and all processes that it has started, at once. Read, Write and Wait then return.
	Close() error
	// Wait returns when the agent has ended, and says how: with a [*ProcessError] for a child process, whatever its
	// exit code, or with nil if there is nothing to say.
	Wait() error
}

// decoder reads the frames of an agent. [wireproto.Decoder] is one. A Conn can be one, too: it then has frames that need
// not become lines first. Its Read gives the same frames as lines.
type decoder interface {
	SetMaxLine(int)
	Decode() (*wireproto.Frame, error)
	Size() int      // about the length of the last line, in bytes
	Buffered() bool // Decode would return at once
}

// decoderOf returns the decoder of a Conn: the Conn itself, or one that reads its lines.
func decoderOf(c Conn, maxLine int) decoder {
	d, ok := c.(decoder)
	if !ok {
		d = wireproto.NewDecoder(c)
	}
	d.SetMaxLine(maxLine)
	return d
}
