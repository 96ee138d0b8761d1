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
	// outputClosedGrace is how long a child that has closed a pipe may take to end.
	outputClosedGrace = 2 * time.Second
	// drainGrace is how long the pipes of a child that has ended may stay silent before the library gives them up.
	// Only a process that the child started, and that was not found, can hold them open.
	drainGrace = time.Second
	stderrTail = 64 << 10
	// drainMax limits reading after the child has ended, and drainTime is more time than that takes. No pipe holds
	// more for one user, so anything beyond it comes from a process that was not found.
	drainMax  = 1 << 20
	drainTime = 3 * time.Second
	// markerKey names an environment variable that the child's descendants inherit. With it, descendants are found
	// that have left the process group.
	markerKey = "KIMI_GO_CHILD"
)

// processTransport runs kimi as a child process.
type processTransport struct {
	modify func(*exec.Cmd)
	stderr io.Writer // may be nil
}

// process is a child in its own group, connected by three pipes. Files do not work: kimi hangs on /dev/null and
// refuses files.
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
	drain  int           // bytes read after the child's end; the reader's own
	last   time.Time     // when reading must have ended; set before exited
	reaped chan struct{} // closed when the child has ended and nothing of it is left
	// Set before reaped is closed.
	state *os.ProcessState
	left  error // why a process of it may be left
}

func (t *processTransport) Start(ctx context.Context, c *Command) (Conn, error) {
	p, err := t.start(ctx, c, false, "", nil)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// start starts the child. If it is guarded, a watching shell ends it when this program is killed, and removes its file
// in the folder about and the folders of remove. The child itself does not notice that this program is gone.
func (t *processTransport) start(ctx context.Context, c *Command, guarded bool, about string, remove []string) (*process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p := &process{
		args: append([]string{c.Path}, redactArgs(c.Args)...), marker: rand.Text(),
		quiet: make(chan struct{}), reaped: make(chan struct{}),
	}
	// Not ctx: the child must outlive it.
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
		if outer, ok := strings.CutPrefix(entry, markerKey+"="); ok { // this program is a child itself
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

// pipes sets the pipes up and returns the child's ends.
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
	return append(ends, held), err // a nil file can be closed
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// batchError returns the error about a batch file that cannot be run, nil for any other error.
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
	return &StartError{Path: path, Reason: systemError(err), Remedy: "see whether it runs by itself", Err: err}
}

// reap waits for the child and ends the processes that it has left. The pipes stay open, because what the child wrote
// before its end still has to be read.
func (p *process) reap() {
	p.state, _ = p.cmd.Process.Wait()
	p.last = time.Now().Add(drainTime)
	p.exited.Store(true)
	p.left = errors.Join(p.group.End(), killMarked(p.marker))
	deadline := time.Now().Add(drainGrace)
	p.stdout.SetReadDeadline(deadline) // wakes a Read that waits; later ones set their own
	p.stderr.SetReadDeadline(deadline)
	waitOr(p.quiet, 2*drainGrace) // longer, if Options.Stderr blocks
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
		p.stdout.Close() // no one reads on after an error
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
		if !p.exited.Load() { // else its id may be another's
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

// Wait waits for the child and for its stderr.
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

// tailBuffer keeps the last bytes written to it.
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

// inputValue matches the part of a bad configuration that kimi repeats in its error, with keys in it.
var inputValue = regexp.MustCompile(`(?s)input_value=.*?(input_type=|$)`)

// redactArgs hides the values of flags that may hold keys.
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

// waitOr waits for c, at most for d, and reports whether c came.
func waitOr(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
	}
	select {
	case <-c: // both came
		return true
	default:
		return false
	}
}
