package client_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// memory is a Transport that runs a script in this process, over two pipes without a buffer. In a synctest bubble, its
// time is virtual.
type memory func(*agent)

// memoryConn is a Conn to an agent in a goroutine.
type memoryConn struct {
	out, in *io.PipeReader
	output  *io.PipeWriter // the output of the agent
	input   *io.PipeWriter // the input of the agent
	killed  chan struct{}
	kill    func()
	ended   chan struct{}
	code    int
}

// exited is the panic value that ends the goroutine of an agent.
type exited int

func (script memory) Start(context.Context, *client.Command) (client.Conn, error) {
	c := &memoryConn{killed: make(chan struct{}), ended: make(chan struct{})}
	c.out, c.output = io.Pipe()
	c.in, c.input = io.Pipe()
	c.kill = sync.OnceFunc(func() { close(c.killed) })
	a := &agent{
		in: wireproto.NewDecoder(c.in), out: c.output, killed: c.killed,
		exit: func(code int) { panic(exited(code)) },
	}
	go func() {
		defer close(c.ended)
		defer c.in.Close()
		defer c.output.Close()
		defer func() {
			if code, ok := recover().(exited); ok {
				c.code = int(code)
			}
		}()
		script(a)
	}()
	return c, nil
}

func (c *memoryConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *memoryConn) Write(p []byte) (int, error) { return c.input.Write(p) }
func (c *memoryConn) CloseWrite() error           { return c.input.Close() }
func (c *memoryConn) Interrupt() error            { return nil }

func (c *memoryConn) Close() error {
	c.kill()
	c.output.Close() // the client's Read ends, the agent's Write fails
	c.in.Close()     // the client's Write ends
	c.input.Close()
	return nil
}

func (c *memoryConn) Wait() error {
	<-c.ended
	if c.code == 0 {
		return nil
	}
	return &client.ProcessError{ExitCode: c.code}
}

// bubble runs a test in virtual time. The test fails if it leaves a goroutine running.
func bubble(t *testing.T, run memory, opts client.Options, test func(t *testing.T, s *client.Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.Transport, opts.WorkDir, opts.ShareDir = run, t.TempDir(), t.TempDir()
		s, err := client.NewSession(t.Context(), &opts)
		if err != nil {
			t.Fatal(err)
		}
		test(t, s)
		s.Close()
		synctest.Wait()
	})
}

// good is an agent that answers every call correctly.
func good(a *agent) {
	a.handshake()
	a.serve()
}

func TestTransport(t *testing.T) {
	bubble(t, good, client.Options{}, func(t *testing.T, s *client.Session) {
		if got := s.Server().Server.Name; got != "test" {
			t.Errorf("Server: %q", got)
		}
		if s.PID() != 0 {
			t.Errorf("PID: %d", s.PID())
		}
		works(t, s)
		if on, err := s.SetPlanMode(t.Context(), true); !on || err != nil {
			t.Errorf("SetPlanMode: %v, %v", on, err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("Err of a live session: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if err := s.Err(); err != client.ErrClosed {
			t.Errorf("Err: %v", err)
		}
		if _, err := s.Prompt(t.Context(), "hello"); err != client.ErrClosed {
			t.Errorf("Prompt after Close: %v", err)
		}
		if err := s.Steer(t.Context(), "hello"); err != client.ErrClosed {
			t.Errorf("Steer after Close: %v", err)
		}
		if _, err := s.SetPlanMode(t.Context(), true); err != client.ErrClosed {
			t.Errorf("SetPlanMode after Close: %v", err)
		}
	})
}

// The default of StartTimeout applies to a Transport. It passes in virtual time.
func TestTransportStartTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := client.NewSession(t.Context(), &client.Options{
			Transport: memory(func(a *agent) { a.hang() }), WorkDir: t.TempDir(), ShareDir: t.TempDir(),
		})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "StartTimeout (2m0s)") {
			t.Errorf("NewSession: %v", err)
		}
		if d := time.Since(begin); d != 2*time.Minute {
			t.Errorf("it took %v", d)
		}
	})
}

func TestTransportRefuses(t *testing.T) {
	refused := errors.New("refused")
	_, err := client.NewSession(limited(t), &client.Options{Transport: failing{refused}, WorkDir: t.TempDir(), ShareDir: t.TempDir()})
	if !errors.Is(err, refused) {
		t.Errorf("NewSession: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Start(context.Context, *client.Command) (client.Conn, error) { return nil, f.err }

// silent begins a turn and then sends nothing, but obeys calls.
func silent(a *agent) {
	a.handshake()
	a.begin()
	a.event(&wireproto.ToolCall{ID: "t1", Function: wireproto.ToolCallFunction{Name: "Shell"}})
	a.serve()
}

// deaf begins each turn, and then reacts only to the end of its input.
func deaf(a *agent) {
	a.handshake()
	for {
		a.begin()
		a.text("a", "b")
	}
}

func TestCloseTakesStopGrace(t *testing.T) {
	ignores := func(a *agent) {
		a.handshake()
		a.begin()
		a.hang()
	}
	bubble(t, ignores, client.Options{StopGrace: 9 * time.Second}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		began := time.Now()
		errs := make(chan error, 2)
		for range cap(errs) {
			go func() { errs <- s.Close() }()
		}
		for range cap(errs) {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("Close: %v", err)
			}
		}
		if d := time.Since(began); d != 9*time.Second {
			t.Errorf("Close took %v", d)
		}
		if _, err := turn.Result(); err != client.ErrClosed {
			t.Errorf("Result: %v", err)
		}
	})
}

// If the agent closes its output and has not ended yet, the error is not ErrClosed.
func TestOutputClosed(t *testing.T) {
	closes := func(a *agent) {
		a.handshake()
		a.out.(io.Closer).Close()
		a.hang()
	}
	bubble(t, closes, client.Options{}, func(t *testing.T, s *client.Session) {
		synctest.Wait()
		began := time.Now()
		turn := prompt(t, t.Context(), s)
		if _, err := s.SetPlanMode(t.Context(), true); err == nil || !strings.Contains(err.Error(), "closed its output") {
			t.Errorf("SetPlanMode: %v", err)
		}
		if _, err := turn.Result(); err == nil || !strings.Contains(err.Error(), "closed its output") {
			t.Errorf("Result: %v", err)
		}
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// Close after the end of the agent returns no error, however short StopGrace is.
func TestCloseAfterTheEnd(t *testing.T) {
	leaves := func(a *agent) {
		a.handshake()
		a.exit(3)
	}
	for range 50 {
		bubble(t, leaves, client.Options{StopGrace: 1}, func(t *testing.T, s *client.Session) {
			<-s.Done()
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			var process *client.ProcessError
			if err := s.Err(); !errors.As(err, &process) || process.ExitCode != 3 {
				t.Errorf("Err: %v", err)
			}
		})
	}
}

// Close works while the writer is blocked because the agent does not read.
func TestCloseWhileWriting(t *testing.T) {
	full := func(a *agent) {
		a.handshake()
		a.hang()
	}
	bubble(t, full, client.Options{}, func(t *testing.T, s *client.Session) {
		turn := prompt(t, t.Context(), s)
		synctest.Wait()
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Errorf("Close: %v", err)
		}
		if _, err := turn.Result(); err != client.ErrClosed {
			t.Errorf("Result: %v", err)
		}
	})
}
