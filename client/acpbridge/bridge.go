package acpbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Command is a command line of "kimi --wire".
type Command struct {
	Path string   // Kimi Code
	Args []string // arguments of kimi --wire
	Env  []string // the whole environment, "KEY=value"
	Dir  string   // working directory, absolute
}

// Child is the running "kimi acp", as client.Conn is described.
type Child interface {
	io.Reader
	io.Writer
	CloseWrite() error
	Interrupt() error
	Close() error
	Wait() error
}

// Spawn starts "kimi acp".
type Spawn func(ctx context.Context, cmd *Command) (Child, error)

// Conn is a running bridge: what a Wire client reads from and writes to.
type Conn struct {
	child     Child
	acp       *peer
	set       *settings
	out       *io.PipeReader // the client's ends
	in        *io.PipeWriter
	frames    chan *wireproto.Frame
	eof       chan struct{} // the client has closed its end
	toolCalls chan *toolCall
	stop      chan struct{} // closed by Close
	done      chan struct{} // closed when run has returned
	stopOnce  sync.Once
	closeOnce sync.Once

	// All below belongs to run.
	output    *io.PipeWriter
	enc       *wireproto.Encoder
	init      json.RawMessage // the answer to initialize, once it was given
	caps      wireproto.ClientCapabilities
	name      string // as Kimi Code calls itself
	version   string
	session   string // its id, "" before it is open
	ready     bool   // model, thinking and mode of the session are set
	unused    bool   // the session is new and has had no turn
	commands  []wireproto.SlashCommand
	options   []configOption
	tools     *toolServer
	journal   *journal
	turn      *turn
	history   *history            // of the replay that runs
	requests  map[string]*request // sent to the client, by id
	unplaced  []*permission       // not sent yet: whose they are is not known
	plan      bool                // plan mode is on
	modeSet   time.Time           // when kimi had taken the last mode that was set: what its journal tells of modes before is old
	suspended bool                // it has been put in place of yolo or afk
	restoring string              // the call that puts the mode of the command line in force again
	used      int                 // tokens in the context
	window    int                 // the model's context, in tokens; 0 where unknown
	told      [2]int              // used and window, as the client was told
	compact   bool                // a compaction runs, by the journal
	lastID    int
}

// Start parses the command line and starts "kimi acp" through spawn. ctx bounds the start alone.
func Start(ctx context.Context, cmd *Command, spawn Spawn) (*Conn, error) {
	set, err := parse(cmd)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(set.workDir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the work dir %s is no directory", set.workDir)
	}
	child, err := spawn(ctx, &Command{Path: cmd.Path, Args: []string{"acp"}, Env: set.env, Dir: cmd.Dir})
	if err != nil {
		return nil, err
	}
	b := &Conn{
		child: child, set: set, acp: newPeer(child),
		frames: make(chan *wireproto.Frame), eof: make(chan struct{}), toolCalls: make(chan *toolCall),
		stop: make(chan struct{}), done: make(chan struct{}),
		requests: make(map[string]*request),
	}
	b.out, b.output = io.Pipe()
	b.enc = wireproto.NewEncoder(b.output)
	var input *io.PipeReader
	input, b.in = io.Pipe()
	go b.read(input)
	go b.run()
	return b, nil
}

// Read reads the lines of the protocol.
func (b *Conn) Read(p []byte) (int, error) {
	n, err := b.out.Read(p)
	if err == io.ErrClosedPipe { // by Close
		err = io.EOF
	}
	return n, err
}

// Write takes lines of the protocol.
func (b *Conn) Write(p []byte) (int, error) { return b.in.Write(p) }

// CloseWrite ends the bridge and kimi behind what was written. A run that is held up, by a client
// that does not read or by kimi, keeps it no longer than eofWait.
func (b *Conn) CloseWrite() error {
	b.closeOnce.Do(func() { time.AfterFunc(eofWait, b.acp.closeWrite) })
	return b.in.Close()
}

// Interrupt interrupts kimi.
func (b *Conn) Interrupt() error { return b.child.Interrupt() }

// Close ends all at once and returns when nothing of it is left.
func (b *Conn) Close() error {
	b.stopOnce.Do(func() { close(b.stop) })
	b.out.Close()
	b.in.Close()
	err := b.child.Close()
	b.acp.stop()
	<-b.done
	return err
}

// Wait waits for kimi's end.
func (b *Conn) Wait() error { return b.child.Wait() }

// PID returns kimi's process id, 0 where it is no process.
func (b *Conn) PID() int {
	if p, ok := b.child.(interface{ PID() int }); ok {
		return p.PID()
	}
	return 0
}

// read hands the client's lines to run. The end of the input asks kimi to end.
func (b *Conn) read(input *io.PipeReader) {
	defer input.Close()
	dec := wireproto.NewDecoder(input)
	for {
		f, err := dec.Decode()
		var bad *wireproto.LineError
		switch {
		case errors.As(err, &bad):
			f = &wireproto.Frame{Error: &wireproto.RPCError{Code: wireproto.CodeParseError, Message: "this line is no message of the protocol"}}
		case err != nil:
			select {
			case b.eof <- struct{}{}:
			case <-b.done:
			}
			return
		}
		select {
		case b.frames <- f:
		case <-b.done:
			return
		}
	}
}

// run is the bridge: see the package's description.
func (b *Conn) run() {
	defer close(b.done)
	defer b.output.Close()
	defer func() {
		if b.tools != nil {
			b.tools.close()
		}
		if b.journal != nil {
			b.journal.close()
		}
	}()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		var ticks <-chan time.Time
		if b.turn != nil || len(b.unplaced) > 0 {
			ticks = tick.C
		}
		select {
		case f := <-b.frames:
			b.frame(f)
		case <-b.eof:
			b.leave()
		case m, ok := <-b.acp.messages:
			if !ok {
				b.childEnded()
				return
			}
			b.message(m)
		case c := <-b.toolCalls:
			b.startTool(c)
		case <-ticks:
			b.poll()
			b.settle()
		case <-b.stop:
			return
		}
	}
}

// eofWait is how long the end of the client's input waits for run, and run for kimi.
const eofWait = 500 * time.Millisecond

// leave asks kimi to end. A session without a turn is deleted, as kimi-cli does; one in which another program has
// prompted meanwhile is not.
func (b *Conn) leave() {
	if b.session != "" && b.unused && neverPrompted(sessionDir(b.set.home, b.session)) {
		b.call("session/delete", map[string]any{"sessionId": b.session}, nil)
	}
	b.acp.closeWrite()
}

// childEnded hands on what the journal still holds.
func (b *Conn) childEnded() {
	if b.turn != nil {
		b.poll()
	}
}

// emit sends an event.
func (b *Conn) emit(m wireproto.Message) {
	b.send(&wireproto.Frame{Method: wireproto.MethodEvent, Message: m})
}

// send sends a frame. It fails for one that is too long for a line, and once the client has closed.
func (b *Conn) send(f *wireproto.Frame) error {
	err := b.enc.Encode(f)
	if errors.Is(err, wireproto.ErrLineTooLong) && f.Method == "" && f.ID != "" {
		b.refuse(f.ID, wireproto.CodeInternalError, "the answer is longer than a line may be")
	}
	return err
}

// reply answers a call of the client.
func (b *Conn) reply(id string, result any) {
	raw, err := json.Marshal(result)
	if err != nil {
		b.refuse(id, wireproto.CodeInternalError, "%v", err)
		return
	}
	b.send(&wireproto.Frame{ID: id, Result: raw})
}

func (b *Conn) refuse(id string, code int, format string, args ...any) {
	b.fail(id, &wireproto.RPCError{Code: code, Message: fmt.Sprintf(format, args...)})
}

func (b *Conn) fail(id string, err *wireproto.RPCError) {
	b.send(&wireproto.Frame{ID: id, Error: err})
}

func (b *Conn) newID(kind string) string {
	b.lastID++
	return fmt.Sprintf("%s-%d", kind, b.lastID)
}

// openRequests returns the requests that wait for the client, in the order of their ids.
func (b *Conn) openRequests() []*request {
	var list []*request
	for _, r := range b.requests {
		list = append(list, r)
	}
	slices.SortFunc(list, func(x, y *request) int { return x.n - y.n })
	return list
}

// waitJournal calls done every few milliseconds until it reports true, for so long at most.
// Meanwhile nothing else is handled.
func (b *Conn) waitJournal(most time.Duration, done func() bool) {
	if done() {
		return
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(most); time.Now().Before(end); {
		select {
		case <-tick.C:
			if done() {
				return
			}
		case <-b.stop:
			return
		}
	}
}
