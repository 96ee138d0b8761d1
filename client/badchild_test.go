package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// ends are the ways in which an agent can end, with the error of each. Each system adds more ways.
var ends = map[string]client.ProcessError{
	"exit 0": {ExitCode: 0},
	"exit 3": {ExitCode: 3},
}

func (a *agent) end(how string) {
	fmt.Fprintln(os.Stderr, "last words")
	switch how {
	case "exit 0":
		a.exit(0)
	case "exit 3":
		a.exit(3)
	default:
		endBySystem(how)
	}
	a.hang()
}

// hasEnded checks that err describes the way in which a process ended.
func hasEnded(t *testing.T, err error, how string) {
	t.Helper()
	var got *client.ProcessError
	if !errors.As(err, &got) {
		t.Errorf("not a ProcessError: %v", err)
		return
	}
	plain(t, err)
	want := ends[how]
	if got.ExitCode != want.ExitCode || got.Signal != want.Signal || got.Stderr != "last words\n" {
		t.Errorf("ProcessError: %d %q %q", got.ExitCode, got.Signal, got.Stderr)
	}
	if len(got.Args) < 2 || got.Args[1] != "--wire" {
		t.Errorf("ProcessError.Args: %q", got.Args)
	}
}

// fails checks that no session starts, and returns the error.
func fails(t *testing.T, ctx context.Context, opts *client.Options) (err error) {
	t.Helper()
	within(t, limit, "NewSession", func() {
		var s *client.Session
		if s, err = client.NewSession(ctx, opts); err == nil {
			s.Close()
		}
	})
	if err == nil {
		t.Error("the session has started")
		return errors.New("none")
	}
	plain(t, err)
	return err
}

var (
	diesAtStart = script("dies at start", func(a *agent) { a.end(a.arg) })
	diesInReply = script("dies in the reply to initialize", func(a *agent) {
		a.raw(`{"jsonrpc":"2.0","id":"` + a.call(wireproto.MethodInitialize).ID + `","result":{"protocol_ver`)
		a.end(a.arg)
	})
	diesIdle = script("dies idle", func(a *agent) {
		a.handshake()
		a.call(wireproto.MethodSetPlanMode) // the agent does not answer this call
		a.end(a.arg)
	})
	diesInTurn = script("dies in a turn", func(a *agent) {
		a.handshake()
		a.begin()
		a.text("a", "b", "c")
		a.end(a.arg)
	})
	diesInLine = script("dies in a line", func(a *agent) {
		a.handshake()
		a.begin()
		a.text("a", "b", "c")
		a.raw(`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"te`)
		a.end(a.arg)
	})
)

func TestDiesAtStart(t *testing.T) {
	for _, name := range []string{diesAtStart, diesInReply} {
		for how := range ends {
			t.Run(name+" "+how, func(t *testing.T) {
				hasEnded(t, fails(t, limited(t), spawn(t, name, how)), how)
			})
		}
	}
}

func TestDiesIdle(t *testing.T) {
	for how := range ends {
		t.Run(how, func(t *testing.T) {
			s := start(t, spawn(t, diesIdle, how))
			_, err := s.SetPlanMode(limited(t), true)
			hasEnded(t, err, how)
			within(t, limit, "Done", func() { <-s.Done() })
			hasEnded(t, s.Err(), how)
			_, err = s.Prompt(t.Context(), "hello")
			hasEnded(t, err, how)
			hasEnded(t, s.Steer(t.Context(), "left"), how)
			_, err = s.SetPlanMode(t.Context(), true)
			hasEnded(t, err, how)
			_, err = loop(s.Replay(t.Context()))
			hasEnded(t, err, how)
			if s.ID() == "" {
				t.Error("no ID")
			}
			within(t, time.Second, "Close after the end", func() { err = s.Close() })
			if err != nil {
				t.Errorf("Close: %v", err)
			}
			hasEnded(t, s.Err(), how)
		})
	}
}

func TestDiesInTurn(t *testing.T) {
	for _, name := range []string{diesInTurn, diesInLine} {
		for how := range ends {
			t.Run(name+" "+how, func(t *testing.T) {
				s := start(t, spawn(t, name, how))
				turn := prompt(t, limited(t), s)
				got, err := read(t, turn)
				hasEnded(t, err, how)
				if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "a", "b", "c"}, got); diff != "" {
					t.Error(diff)
				}
				result, err := turn.Result()
				hasEnded(t, err, how)
				if diff := cmp.Diff(&client.TurnResult{Steps: 1, Text: "abc"}, result, unmeasured); diff != "" {
					t.Error(diff)
				}
				if err := turn.Cancel(t.Context()); err != nil {
					t.Errorf("Cancel of a turn that has ended: %v", err)
				}
				_, err = s.Prompt(t.Context(), "hello")
				hasEnded(t, err, how)
			})
		}
	}
}

var serves = script("serves", good)

var (
	hangsInLine = script("hangs in a line", func(a *agent) {
		a.handshake()
		a.begin()
		a.text("a")
		a.raw(`{"jsonrpc":"2.0","method":"event","params":{"type":"Conte`)
		a.hang()
	})
	hangsInTurn = script("hangs in a turn", func(a *agent) {
		a.handshake()
		a.begin()
		a.text("a")
		a.hang()
	})
)

func TestHangsInTurn(t *testing.T) {
	cause := errors.New("the user left")
	wantKilled := func(t *testing.T, s *client.Session, err error, want ...error) {
		t.Helper()
		var process *client.ProcessError
		plain(t, err)
		if !errors.As(err, &process) || process.Signal != "killed" || !strings.Contains(err.Error(), "StopGrace (100ms)") {
			t.Errorf("not killed after StopGrace: %v", err)
		}
		for _, w := range want {
			if !errors.Is(err, w) {
				t.Errorf("not %q: %v", w, err)
			}
		}
		if err := shut(t, s); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for _, name := range []string{hangsInLine, hangsInTurn} {
		begin := func(t *testing.T, ctx context.Context, idle time.Duration) (*client.Session, *client.Turn) {
			opts := spawn(t, name, "")
			opts.StopGrace, opts.IdleTimeout = 100*time.Millisecond, idle
			s := start(t, opts)
			return s, prompt(t, ctx, s)
		}
		all := []string{"TurnBegin", "StepBegin", "a"}
		t.Run(name+", IdleTimeout", func(t *testing.T) {
			s, turn := begin(t, limited(t), 200*time.Millisecond)
			got, err := read(t, turn)
			wantKilled(t, s, err, client.ErrIdle)
			if diff := cmp.Diff(all, got); diff != "" {
				t.Error(diff)
			}
		})
		t.Run(name+", ctx", func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(limited(t))
			s, turn := begin(t, ctx, 0)
			var got []string
			var err error
			within(t, limit, "the loop", func() {
				for m, e := range turn.Messages() {
					if err = e; e == nil {
						got = append(got, brief(m))
					}
					if len(got) == len(all) {
						cancel(cause)
					}
				}
			})
			wantKilled(t, s, err, client.ErrCancelled, cause)
			if diff := cmp.Diff(all, got); diff != "" {
				t.Error(diff)
			}
		})
		t.Run(name+", break", func(t *testing.T) {
			s, turn := begin(t, limited(t), 0)
			within(t, limit, "leaving the loop", func() {
				for range turn.Messages() {
					break
				}
			})
			_, err := turn.Result()
			wantKilled(t, s, err)
		})
		t.Run(name+", Cancel and Close", func(t *testing.T) {
			s, turn := begin(t, limited(t), 0)
			ctx, cancel := context.WithTimeout(limited(t), 150*time.Millisecond) // longer than StopGrace
			defer cancel()
			if err := turn.Cancel(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Cancel: %v", err)
			}
			if err := s.Err(); err != nil {
				t.Errorf("Cancel has ended the agent: %v", err)
			}
			if err := shut(t, s); err != nil && !strings.Contains(err.Error(), "killed") {
				t.Errorf("Close: %v", err)
			}
			if _, err := turn.Result(); !errors.Is(err, client.ErrClosed) {
				t.Errorf("Result: %v", err)
			}
		})
	}
}

var floods = script("floods", func(a *agent) {
	var written atomic.Int64
	flood(&written)(a)
})

// tellsWritten skips the test on a system that does not report how many bytes a process has written.
func tellsWritten(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc/PID/io")
	}
}

// written returns how many bytes a process has written.
func written(t *testing.T, pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Error(err)
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(line, "wchar: "); ok {
			wchar, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Error(err)
			}
			return wchar
		}
	}
	t.Error("no wchar")
	return 0
}

// heldUp waits until a process writes nothing more.
func heldUp(t *testing.T, pid int) {
	t.Helper()
	last, same := -1, 0
	eventually(t, limit, func() bool {
		n := written(t, pid)
		if n != last {
			last, same = n, 0
		}
		same++
		return same > 20
	}, func() string { return fmt.Sprintf("the agent goes on writing: %d bytes so far", last) })
}

func TestFlood(t *testing.T) {
	tellsWritten(t)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	s := start(t, spawn(t, floods, ""))
	before := heap()
	grown := func(when string) {
		if n := heap() - before; n > 16<<20 {
			t.Errorf("%s: %d MiB more", when, n>>20)
		}
	}
	turn := prompt(t, limited(t), s)
	var last error
	within(t, limit, "the loop", func() {
		for m, err := range turn.Messages() {
			r, ok := m.(*client.ApprovalRequest)
			if last = err; !ok {
				continue
			}
			heldUp(t, s.PID())
			grown("held up")
			if err := r.Approve(); err != nil {
				t.Errorf("Approve: %v", err)
			}
			if err := s.Steer(limited(t), "left"); err != nil {
				t.Errorf("Steer: %v", err)
			}
			if on, err := s.SetPlanMode(limited(t), true); !on || err != nil {
				t.Errorf("SetPlanMode: %v, %v", on, err)
			}
			grown("after Steer and SetPlanMode")
			if err := turn.Cancel(limited(t)); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			grown("after Cancel")
		}
	})
	if last != client.ErrCancelled {
		t.Errorf("the turn: %v", last)
	}
	works(t, s)
}

// If an agent dies while no one reads the turn, no call waits for it.
func TestFloodKilled(t *testing.T) {
	tellsWritten(t)
	s := start(t, spawn(t, floods, ""))
	turn := prompt(t, limited(t), s)
	heldUp(t, s.PID())
	kill(t, s.PID())
	within(t, limit, "Done", func() { <-s.Done() })
	got, err := read(t, turn)
	var process *client.ProcessError
	if !errors.As(err, &process) || process.ExitCode != killedCode || len(got) < 100 {
		t.Errorf("the turn: %d messages, %v", len(got), err)
	}
}

func TestFloodClosed(t *testing.T) {
	tellsWritten(t)
	s := start(t, spawn(t, floods, ""))
	var last error
	within(t, limit, "the loop", func() {
		for _, err := range prompt(t, limited(t), s).Messages() {
			if last = err; err == nil && s.Err() == nil {
				heldUp(t, s.PID())
				if err := shut(t, s); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		}
	})
	if last != client.ErrClosed {
		t.Errorf("the turn: %v", last)
	}
}

func TestManySessions(t *testing.T) {
	opts := spawn(t, serves, "")
	opts.StartTimeout = time.Minute
	ids := make(chan string, 50)
	var sessions sync.WaitGroup
	for range cap(ids) {
		sessions.Go(func() {
			s, err := client.NewSession(t.Context(), opts)
			if err != nil {
				t.Error(err)
				return
			}
			ids <- s.ID()
			works(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, time.Minute, "50 sessions", sessions.Wait)
	close(ids)
	seen := make(map[string]bool)
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != cap(ids) {
		t.Errorf("%d ids", len(seen))
	}
}
