package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

var (
	ignoresAll = script("ignores the end of its input and SIGINT", func(a *agent) {
		signal.Ignore(os.Interrupt)
		a.handshake()
		a.hang()
	})
)

// stubborn are agents that Close ends. The value says whether Close has to kill the agent. Each system adds more
// agents.
var stubborn = map[string]bool{ignoresAll: true, serves: false}

func TestCloseStubborn(t *testing.T) {
	for name, killed := range stubborn {
		t.Run(name, func(t *testing.T) {
			opts := spawn(t, name, "")
			if opts.StopGrace = 300 * time.Millisecond; !killed {
				opts.StopGrace = limit // Close must not use the whole grace period
			}
			if name == "ends at SIGINT" {
				opts.StopGrace = 3 * time.Second // SIGINT comes after two of these seconds
			}
			s := start(t, opts)
			err := shut(t, s)
			if (err != nil) != killed || killed && !strings.Contains(err.Error(), "had to be killed") {
				t.Errorf("Close: %v", err)
			}
			if err := s.Err(); err != client.ErrClosed {
				t.Errorf("Err: %v", err)
			}
			if err := s.Close(); (err != nil) != killed {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

var (
	closesStdout = script("closes stdout", func(a *agent) {
		a.handshake()
		a.begin()
		a.text("a")
		os.Stdout.Close()
		a.hang()
	})
	closesStdoutAtStart = script("closes stdout at the start", func(a *agent) {
		os.Stdout.Close()
		a.hang()
	})
	closesStdin = script("closes stdin", func(a *agent) {
		a.handshake()
		a.begin()
		os.Stdin.Close()
		a.text("a")
		a.hang()
	})
)

// If an agent closes its input or its output, the session ends.
func TestClosesPipe(t *testing.T) {
	killed := func(t *testing.T, err error, what string) {
		t.Helper()
		var process *client.ProcessError
		if !errors.As(err, &process) || process.Signal != "killed" || !strings.Contains(err.Error(), what) {
			t.Errorf("error: %v", err)
		}
	}
	t.Run(closesStdoutAtStart, func(t *testing.T) {
		killed(t, fails(t, limited(t), spawn(t, closesStdoutAtStart, "")), "closed its output")
	})
	t.Run(closesStdout, func(t *testing.T) {
		s := start(t, spawn(t, closesStdout, ""))
		got, err := read(t, prompt(t, limited(t), s))
		killed(t, err, "closed its output")
		if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "a"}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run(closesStdin, func(t *testing.T) {
		s := start(t, spawn(t, closesStdin, ""))
		var got []string
		var err error
		within(t, limit, "the loop", func() {
			for m, e := range prompt(t, limited(t), s).Messages() {
				if err = e; e != nil {
					continue
				}
				if got = append(got, brief(m)); brief(m) == "a" {
					killed(t, s.Steer(limited(t), "left"), "closed its input")
				}
			}
		})
		killed(t, err, "closed its input")
		if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "a"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

var readsNothing = script("reads nothing", func(a *agent) {
	a.handshake()
	a.hang()
})

// Close ends an agent even while a write to its full input pipe blocks.
func TestReadsNothing(t *testing.T) {
	opts := spawn(t, readsNothing, "")
	opts.StopGrace = 300 * time.Millisecond
	s := start(t, opts)
	turn, err := s.Prompt(limited(t), strings.Repeat("x", 10<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := shut(t, s); err != nil && !strings.Contains(err.Error(), "had to be killed") {
		t.Errorf("Close: %v", err)
	}
	if _, err := turn.Result(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Result: %v", err)
	}
}

// leave starts a process that lives longer than the agent and keeps the agent's stdout and stderr open.
func (a *agent) leave() (pid int) {
	kind, how, _ := strings.Cut(a.arg, ", ")
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe, how)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), programKey+"=straggler")
	detach(cmd, kind)
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return cmd.Process.Pid
}

func init() { programs["straggler"] = straggler }

// straggler is the program that leave starts. It ends by itself if the test is killed before it can end it.
func straggler() {
	signal.Ignore(brokenPipe...)
	end := time.After(100 * time.Second)
	noise := func() {
		fmt.Println("noise")
		fmt.Fprintln(os.Stderr, "noise")
	}
	switch how := os.Args[1]; {
	case strings.Contains(how, "noisy"):
		for start := time.Now(); time.Since(start) < 100*time.Second; {
			noise()
		}
	case strings.Contains(how, "drips"):
		tick := time.NewTicker(200 * time.Millisecond)
		for {
			select {
			case <-tick.C:
				noise()
			case <-end:
				return
			}
		}
	default:
		<-end
	}
}

var leaves = script("leaves a process", func(a *agent) {
	a.handshake()
	a.begin()
	a.text(strconv.Itoa(a.leave()))
	if strings.Contains(a.arg, "dies") {
		a.exit(3)
	}
	a.serve()
})

// A process that the agent leaves with its pipes open is ended if the client can find it. No call waits for it.
func TestLeavesProcess(t *testing.T) {
	for kind, ways := range map[string][]string{
		"same group":  {"dies", "closed"},
		"own group":   {"dies", "closed"},
		"own session": {"dies", "closed, noisy"},
		"hidden":      {"dies", "dies, noisy", "dies, drips", "closed", "closed, drips"},
	} {
		for _, how := range ways {
			t.Run(kind+", "+how, func(t *testing.T) {
				s := start(t, spawn(t, leaves, kind+", "+how))
				turn := prompt(t, limited(t), s)
				var last error
				var left *os.Process
				within(t, limit, "the loop", func() {
					for m, err := range turn.Messages() {
						last = err
						text, ok := m.(*wireproto.TextPart)
						if !ok || left != nil {
							continue
						}
						pid, err := strconv.Atoi(text.Text)
						if err != nil {
							t.Error(err)
							continue
						}
						if left, err = os.FindProcess(pid); err != nil && kind == "hidden" {
							t.Error(err) // the other processes may have ended already
						}
						if strings.HasPrefix(how, "closed") {
							if err := shut(t, s); err != nil {
								t.Errorf("Close: %v", err)
							}
						}
					}
				})
				within(t, limit, "Done", func() { <-s.Done() })
				switch {
				case left == nil: // it ended before the test looked at it
				case kind == "hidden":
					left.Kill()
				case runs(left):
					t.Errorf("process %d is left", left.Pid)
				}
				if left != nil {
					left.Release()
				}
				var process *client.ProcessError
				if strings.HasPrefix(how, "closed") {
					if last != client.ErrClosed {
						t.Errorf("the turn: %v", last)
					}
				} else if !errors.As(last, &process) || process.ExitCode != 3 {
					t.Errorf("the turn: %v", last)
				}
			})
		}
	}
}

var talksOnStderr = script("talks on stderr", func(a *agent) {
	a.handshake()
	lines := 20_000
	if a.arg == "dies soon" {
		lines = 20
	}
	for i := range lines {
		fmt.Fprintf(os.Stderr, "%050d\n", i)
	}
	if a.arg != "lives" {
		a.exit(3)
	}
	a.serve()
})

func TestStderr(t *testing.T) {
	opts := spawn(t, talksOnStderr, "dies")
	var all bytes.Buffer
	opts.Stderr = &all
	s := start(t, opts)
	within(t, limit, "Done", func() { <-s.Done() })
	var process *client.ProcessError
	if !errors.As(s.Err(), &process) || process.ExitCode != 3 {
		t.Fatal(s.Err())
	}
	if all.Len() != 20_000*51 || !strings.HasSuffix(all.String(), process.Stderr) || len(process.Stderr) != 64<<10 {
		t.Errorf("%d bytes went to Stderr, %d into the error", all.Len(), len(process.Stderr))
	}
	if msg := process.Error(); len(msg) > 2000 || !strings.Contains(msg, "19999") {
		t.Errorf("Error: %s", msg)
	}
}

// A writer in Options.Stderr that blocks, fails or calls the session does not stop the session.
func TestStderrWriter(t *testing.T) {
	t.Run("fails", func(t *testing.T) {
		opts := spawn(t, talksOnStderr, "dies")
		r, w := io.Pipe()
		r.Close()
		opts.Stderr = w
		s := start(t, opts)
		within(t, limit, "Done", func() { <-s.Done() })
		var process *client.ProcessError
		if !errors.As(s.Err(), &process) || !strings.HasSuffix(process.Stderr, "19999\n") {
			t.Errorf("Err: %v", s.Err())
		}
	})
	for _, arg := range []string{"dies soon", "lives"} {
		t.Run("blocks, the agent "+arg, func(t *testing.T) {
			opts := spawn(t, talksOnStderr, arg)
			release := make(chan struct{})
			opts.Stderr = onWrite(func(string) { <-release })
			opts.StopGrace = 300 * time.Millisecond
			s := start(t, opts)
			if arg == "dies soon" {
				within(t, limit, "Done", func() { <-s.Done() })
			}
			shut(t, s)
			close(release)
		})
	}
	t.Run("closes the session", func(t *testing.T) {
		opts := spawn(t, talksOnStderr, "lives")
		sessions := make(chan *client.Session, 1)
		closed := make(chan error, 1)
		opts.StopGrace = 300 * time.Millisecond
		opts.Stderr = onWrite(func(string) {
			if s, ok := <-sessions; ok {
				close(sessions)
				closed <- s.Close()
			}
		})
		sessions <- start(t, opts)
		within(t, limit, "Close", func() {
			if err := <-closed; err != nil && !strings.Contains(err.Error(), "killed") {
				t.Errorf("Close: %v", err)
			}
		})
	})
}
