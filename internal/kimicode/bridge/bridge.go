// Package bridge makes a Wire agent of Kimi Code, which has no Wire mode. To the client, it answers Wire 1.10 as
// "kimi --wire" of kimi-cli does. On the other side, it drives the server of "kimi web".
//
// # One loop
//
// The package translator, a state machine, makes all decisions. The loop of a [Conn] gives the events to the translator
// and does what the translator says. The loop never waits for anything else: calls of the server, the client's input
// and output, tools and hooks have their own goroutines.
//
// # A slow client
//
// While much output waits for the client, the loop takes no events from the server. The server keeps them. The loop
// still handles the client's calls.
//
// The package follows Kimi Code 2.1.0.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Command is a command line of "kimi --wire".
type Command struct {
	Path string   // the program of Kimi Code
	Args []string // arguments of kimi --wire, and those of this package: see [SlashFlag] and [EffortFlag]
	Env  []string // the whole environment, "KEY=value"
	Dir  string   // working directory, absolute
}

// Child is the running "kimi web".
type Child interface {
	server.Child
	PID() int
}

// Spawn starts a child process. If this program ends and the child does not, a watching process ends the child and
// everything that the child has started. It then removes the folders of remove, and the file in the folder about whose
// member "pid" is the child's.
type Spawn func(ctx context.Context, cmd *Command, about string, remove []string) (Child, error)

// Conn is a running bridge. A Wire client reads from it and writes to it.
type Conn struct {
	set   *settings
	host  host
	watch func(translator.Input, time.Time) // gets every input of the translator; nil except in tests

	ctx    context.Context // for everything that the bridge does; ends with Close
	cancel context.CancelCauseFunc

	own ownSession
	out *outlet // to the client
	in  *io.PipeWriter

	frames   chan *wireproto.Frame // from the client
	inputs   chan any              // events of other goroutines
	launches chan launched         // has room for one
	hangUp   chan struct{}         // closed when the client has closed its end or has called Interrupt
	hangOne  sync.Once
	done     chan struct{} // closed when nothing is left

	mu     sync.Mutex
	child  Child // nil until it has started
	forced bool  // Close was called
	exit   error // how the child ended, or why it did not start; set before done is closed
}

var errClosed = errors.New("the bridge is closed")

// Start parses the command line and returns a bridge. Kimi Code starts when the client has sent its tools and hooks,
// because these are set up first. tools is nil if the client has no tools.
func Start(ctx context.Context, cmd *Command, spawn Spawn, tools ToolServer) (*Conn, error) {
	return start(ctx, cmd, ownServer{spawn, tools}, nil)
}

func start(ctx context.Context, cmd *Command, host host, watch func(translator.Input, time.Time)) (*Conn, error) {
	set, err := parse(cmd)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(set.WorkDir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the work dir %s is not a directory", set.WorkDir)
	}
	return connect(ctx, set, host, watch)
}

// connect starts the loop of a bridge.
func connect(ctx context.Context, set *settings, host host, watch func(translator.Input, time.Time)) (*Conn, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	c := &Conn{
		set: set, host: host, watch: watch, out: newOutlet(),
		frames: make(chan *wireproto.Frame), inputs: make(chan any), launches: make(chan launched, 1), hangUp: make(chan struct{}), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	var input *io.PipeReader
	input, c.in = io.Pipe()
	go c.read(input)
	go newLoop(c).run()
	return c, nil
}

// Read reads the lines of the protocol.
func (c *Conn) Read(p []byte) (int, error) { return c.out.Read(p) }

// Decode reads frames of the protocol. A caller uses Decode or Read, not both. Decode is faster: a frame with a text
// does not become a line first.
func (c *Conn) Decode() (*wireproto.Frame, error) { return c.out.Decode() }

// SetMaxLine sets the longest line that Decode accepts, in bytes.
func (c *Conn) SetMaxLine(n int) { c.out.setMaxLine(n) }

// Size returns the approximate length of the last frame's line, in bytes.
func (c *Conn) Size() int { return c.out.last }

// Buffered reports whether Decode would return at once.
func (c *Conn) Buffered() bool { return c.out.buffered() }

// Write takes lines of the protocol.
func (c *Conn) Write(p []byte) (int, error) { return c.in.Write(p) }

// CloseWrite ends the bridge and Kimi Code, after everything that was written before is handled.
func (c *Conn) CloseWrite() error { return c.in.Close() }

// Interrupt ends Kimi Code at once, if it serves this session only.
func (c *Conn) Interrupt() error {
	c.hangOne.Do(func() { close(c.hangUp) })
	if child := c.running(); child != nil {
		return child.Interrupt()
	}
	return nil
}

// Close ends everything at once and returns when nothing is left.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.forced = true
	c.mu.Unlock()
	c.cancel(errClosed)
	c.out.stop()
	c.in.Close()
	c.own.await()
	var err error
	if child := c.running(); child != nil {
		err = child.Close()
	}
	<-c.done
	return err
}

// Wait waits for the end of Kimi Code and of everything that served it.
func (c *Conn) Wait() error {
	<-c.done
	return c.exit
}

// PID returns Kimi Code's process id. It returns 0 before Kimi Code runs.
func (c *Conn) PID() int {
	if child := c.running(); child != nil {
		return child.PID()
	}
	return 0
}

// runs notes that Kimi Code runs.
func (c *Conn) runs(child Child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.child = child
}

func (c *Conn) running() Child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.child
}

// wasForced reports whether Close was called.
func (c *Conn) wasForced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forced
}

// read passes the client's lines to the loop. The end of the input asks Kimi Code to end.
func (c *Conn) read(input *io.PipeReader) {
	defer input.Close()
	dec := wireproto.NewDecoder(input)
	for {
		f, err := dec.Decode()
		var bad *wireproto.LineError
		switch {
		case errors.As(err, &bad):
			f = &wireproto.Frame{Error: &wireproto.RPCError{Code: wireproto.CodeParseError, Message: "this line is not a message of the protocol"}}
		case err != nil:
			c.hangOne.Do(func() { close(c.hangUp) })
			return
		}
		select {
		case c.frames <- f:
		case <-c.done:
			return
		}
	}
}

// tell passes an event to the loop. It returns false when everything is over.
func (c *Conn) tell(in any) bool {
	select {
	case c.inputs <- in:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// stopAgain is how long a server that was asked to end may take before it is asked again. It usually takes 0.2 s.
const stopAgain = 2 * time.Second

// stopWait is how long a server may take to end after it was asked to and nothing is connected to it. The client has
// limits of its own, and kills the server after them.
const stopWait = 10 * time.Second
