package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kimi-go/kimi-go/internal/spawn"
)

const (
	// outputClosedGrace is how long a child that has closed a pipe has to end by itself.
	outputClosedGrace = 2 * time.Second
	// drainGrace is how long the pipes of a child that has ended may stay silent. After that, the library stops
	// reading. The pipes are then held open by a process that the child has started and that could not be found.
	drainGrace = time.Second
	stderrTail = 64 << 10
	// drainMax limits how many bytes are read after the child has ended. drainTime is longer than reading them takes. A
	// pipe cannot hold more for one user, so further data comes from a process that could not be found.
	drainMax  = 1 << 20
	drainTime = 3 * time.Second
	// markerKey names an environment variable that the descendants of the child inherit. It is used to find descendants
	// that have left the process group.
	markerKey = "KIMI_GO_CHILD"
)

// processTransport runs kimi as a child process.
type processTransport struct {
	modify func(*exec.Cmd)
	stderr io.Writer // nil drops it
}

// process is a child in its own process group, connected by three pipes. Files cannot replace the pipes: kimi hangs
// with /dev/null and refuses other files.
type process struct {
	cmd    *exec.Cmd
	group  spawn.Group
	args   []string
	marker string
	stdin  *os.File
	stdout *os.File
	stderr *os.File

	tail   tailBuffer
	quiet  chan struct{} // closed when stderr has been read to its end
	exited atomic.Bool
	drain  int           // how many bytes were read after the child's end; only the reader uses it
	last   time.Time     // when reading must have ended; set before exited is true
	reaped chan struct{} // closed when the child has ended and nothing of it is left
	// Set before reaped is closed.
	state *os.ProcessState
	left  error // why a process that the child has started may be left
}

func (t *processTransport) Start(ctx context.Context, c *Command) (Conn, error) {
	p, err := t.start(ctx, c, false, "", nil)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// start starts the child. If guarded is true, a shell watches this program. If this program is killed, the shell ends
// the child, and removes the child's file in the folder about and the folders in remove. The child itself does not
// notice that this program is gone.
func (t *processTransport) start(ctx context.Context, c *Command, guarded bool, about string, remove []string) (*process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p := &process{
		args: append([]string{c.Path}, redactArgs(c.Args)...), marker: rand.Text(),
		quiet: make(chan struct{}), reaped: make(chan struct{}),
	}
	// The child must live longer than ctx, so it does not get ctx.
	var err error
	if p.cmd, err = spawn.Command(context.Background(), c.Path, c.Env, c.Args...); err != nil {
		return nil, startError(c.Path, err)
	}
	p.cmd.Dir = c.Dir
	if t.modify != nil {
		t.modify(p.cmd)
	}
	env := p.cmd.Environ()
	markers := p.marker
	for _, entry := range env {
		if outer, ok := strings.CutPrefix(entry, markerKey+"="); ok { // this program is itself a child of such a program
			markers = outer + "," + p.marker
		}
	}
	p.cmd.Env = append(env, markerKey+"="+markers)
	ends, err := p.pipes()
	if err == nil && guarded {
		err = p.group.Guard(p.marker, about, remove)
	}
	if err == nil {
		err = p.group.Start(p.cmd)
	}
	for _, f := range ends {
		f.Close()
	}
	if err != nil {
		p.closePipes()
		return nil, startError(c.Path, err)
	}
	go p.readStderr(t.stderr)
	go p.reap()
	return p, nil
}

// pipes makes the pipes and returns the ends for the child.
func (p *process) pipes() (ends []*os.File, err error) {
	in, stdin, err := inputPipe()
	if err != nil {
		return nil, err
	}
	ends, p.stdin, p.cmd.Stdin = append(ends, in), stdin, in
	stdout, out, err := outputPipe()
	if err != nil {
		return ends, err
	}
	ends, p.stdout, p.cmd.Stdout = append(ends, out), stdout, out
	stderr, errOut, err := outputPipe()
	if err != nil {
		return ends, err
	}
	ends, p.stderr, p.cmd.Stderr = append(ends, errOut), stderr, errOut
	held, err := keepReadEnd(p.cmd, stderr)
	return append(ends, held), err // held may be nil; Close of a nil file is harmless
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// batchError returns an error if err is about a batch file that cannot be run safely. Otherwise it returns nil.
func batchError(err error) error {
	var batch *spawn.BatchError
	if !errors.As(err, &batch) {
		return nil
	}
	return &IncompatibleError{Path: batch.Path, Found: "a program whose arguments cmd.exe would read (" + batch.Reason + ")", Want: wantKimi,
		Remedy: "set Options.Executable or KIMI_PATH to kimi.exe, or to the kimi.cmd that " + installKimiCode + " makes"}
}

func startError(path string, err error) error {
	if batch := batchError(err); batch != nil {
		return batch
	}
	switch {
	case errors.Is(err, errTooLong):
		return &StartError{Path: path, Reason: "arguments and environment are too long", Remedy: "use fewer or shorter ones", Err: err}
	case errors.Is(err, fs.ErrNotExist) && isFile(path) && interpreter(path) != "":
		program := interpreter(path)
		return &StartError{Path: path, Reason: "its interpreter " + program + " is not there", Remedy: cure(program, "install the program again"), Err: err}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, errNoProgram):
		return &StartError{Path: path, Reason: systemError(err), Remedy: "set KIMI_PATH or Options.Executable to a kimi that can be run", Err: err}
	}
	return &StartError{Path: path, Reason: systemError(err), Remedy: "check that the program runs in a terminal", Err: err}
}

// reap waits for the child and ends the processes that the child has left. The pipes stay open, because the last output
// of the child still has to be read.
func (p *process) reap() {
	p.state, _ = p.cmd.Process.Wait()
	p.last = time.Now().Add(drainTime)
	p.exited.Store(true)
	p.left = errors.Join(p.group.End(), killMarked(p.marker))
	deadline := time.Now().Add(drainGrace)
	p.stdout.SetReadDeadline(deadline) // ends a Read that waits; later Reads set their own deadline
	p.stderr.SetReadDeadline(deadline)
	waitOr(p.quiet, 2*drainGrace) // does not wait for an Options.Stderr that blocks longer
	close(p.reaped)
}

func (p *process) readStderr(tee io.Writer) {
	defer close(p.quiet)
	defer p.stderr.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := p.stderr.Read(buf)
		if n > 0 {
			p.tail.Write(buf[:n])
			if tee != nil {
				tee.Write(buf[:n])
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *process) Read(b []byte) (int, error) {
	ended := p.exited.Load()
	if ended {
		deadline := time.Now().Add(drainGrace)
		if deadline.After(p.last) {
			deadline = p.last
		}
		p.stdout.SetReadDeadline(deadline)
	}
	n, err := p.stdout.Read(b)
	if ended {
		if p.drain += n; p.drain > drainMax {
			n, err = 0, io.EOF
		}
	}
	if err != nil && n == 0 {
		p.stdout.Close() // there is no Read after an error
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
			err = io.EOF
		}
	}
	return n, err
}

func (p *process) Write(b []byte) (int, error) { return p.stdin.Write(b) }
func (p *process) CloseWrite() error           { return p.stdin.Close() }
func (p *process) PID() int                    { return p.cmd.Process.Pid }

func (p *process) Interrupt() error { return interrupt(p.cmd.Process) }

func (p *process) Close() error {
	select {
	case <-p.reaped:
	default:
		if !p.exited.Load() { // after the end, its id may belong to another process
			p.group.Kill()
		}
		<-p.reaped
	}
	p.stdin.Close()
	if p.left != nil {
		return fmt.Errorf("processes that the agent started may be left, with %s in their variable %s: %w", p.marker, markerKey, p.left)
	}
	return nil
}

// Wait waits for the end of the child and of its stderr.
func (p *process) Wait() error {
	<-p.reaped
	e := &ProcessError{ExitCode: -1, Stderr: inputValue.ReplaceAllString(p.tail.String(), "input_value=***, $1"), Args: p.args}
	if p.state != nil {
		e.ExitCode, e.Signal = p.state.ExitCode(), signalName(p.state)
		e.CPU = p.state.UserTime() + p.state.SystemTime()
		if p.group.Killed(e.ExitCode) {
			e.ExitCode, e.Signal = -1, "killed"
		}
	}
	return e
}

// tailBuffer keeps the last bytes that were written to it.
type tailBuffer struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tailBuffer) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - stderrTail; over > stderrTail {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf[max(0, len(t.buf)-stderrTail):])
}

// inputValue matches the part of a bad configuration that kimi repeats in its error. That part may have keys.
var inputValue = regexp.MustCompile(`(?s)input_value=.*?(input_type=|$)`)

// redactArgs hides the values of flags that may have keys.
func redactArgs(args []string) []string {
	out := make([]string, len(args))
	hide := false
	for i, a := range args {
		flag, _, joined := strings.Cut(a, "=")
		secret := flag == "--config" || flag == "--mcp-config"
		switch {
		case hide:
			out[i] = "***"
		case secret && joined:
			out[i] = flag + "=***"
		default:
			out[i] = a
		}
		hide = !hide && secret && !joined
	}
	return out
}

// waitOr waits for c, at most for d. It reports whether c was received.
func waitOr(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
	}
	select {
	case <-c: // both were ready
		return true
	default:
		return false
	}
}
