//go:build unix

package client_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// codeConfigured returns options with the model in a configuration object, because killProgram saves that object.
func codeConfigured(t testing.TB, scripts ...string) *client.Options {
	opts := clienttest.KimiCode(t, scripts...)
	opts.Config = kimiConfig(opts.Env["KIMI_MODEL_BASE_URL"])
	for key := range opts.Env {
		if strings.HasPrefix(key, "KIMI_MODEL_") {
			opts.Env[key] = ""
		}
	}
	return opts
}

// bridgeGone waits until all goroutines of the bridge and of its server have ended.
func bridgeGone(t testing.TB) {
	t.Helper()
	var stacks string
	eventually(t, 20*time.Second, func() bool {
		buf := make([]byte, 4<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		return !strings.Contains(stacks, "internal/kimicode/") && !strings.Contains(stacks, "go-sdk/mcp.")
	}, func() string { return "goroutines of the bridge are left:\n" + stacks })
}

// If the program is killed while a command or one of its tools runs, kimi and its children end, too.
func TestKimiCodeProgramKilled(t *testing.T) {
	needProc(t)
	t.Run("shell", func(t *testing.T) {
		bg, fg := uniqueSleep(301), uniqueSleep(300)
		opts := codeConfigured(t, say(
			clienttest.ToolCall("bg", "Bash", map[string]any{"command": "sleep " + bg, "run_in_background": true, "description": "a nap"}),
			codeBash("fg", "sleep "+fg)), "text: not reached")
		killProgram(t, opts, func() { asleep(t, bg, fg) })
	})
	t.Run("tool", func(t *testing.T) {
		killProgram(t, codeConfigured(t, codeTool("a", "wait", noInput{}), "text: not reached"), nil)
	})
}

// A session can end while a Go tool runs.
func TestKimiCodeToolAtTheEnd(t *testing.T) {
	needProc(t)
	noLeaks(t)
	for name, end := range map[string]func(*client.Session) error{
		"closed": (*client.Session).Close,
		"killed": func(s *client.Session) error { return syscall.Kill(s.PID(), syscall.SIGKILL) },
		"ended":  func(s *client.Session) error { return syscall.Kill(s.PID(), syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := withinCtx(t)
			opts := clienttest.KimiCode(t, codeTool("a", "wait", noInput{}), "text: not reached")
			running, ended := make(chan struct{}), make(chan struct{})
			opts.Tools = []client.Tool{mustTool(client.NewTool("wait", "", func(ctx context.Context, _ noInput) (string, error) {
				close(running)
				<-ctx.Done()
				close(ended)
				return "", ctx.Err()
			}))}
			s := liveSession(t, ctx, opts)
			turn, err := s.Prompt(ctx, "go")
			if err != nil {
				t.Fatal(err)
			}
			loop := make(chan error, 1)
			go func() {
				_, err := e2eRead(turn, nil)
				loop <- err
			}()
			recv(t, ctx, "the tool", running)
			if err := end(s); err != nil {
				t.Error(err)
			}
			var exit *client.ProcessError
			if err := recv(t, ctx, "the loop's end", loop); !errors.Is(err, client.ErrClosed) && !errors.As(err, &exit) {
				t.Errorf("the turn: %v", err)
			}
			recv(t, ctx, "the tool's end", ended)
			closed(t, s)
			noneLeft(t, root(opts))
			bridgeGone(t)
		})
	}
}

// A server that was killed leaves a file about itself in the user's home. The library removes that file. It does not
// remove the file of another server.
func TestKimiCodeKilledServer(t *testing.T) {
	ctx := withinCtx(t)
	opts := clienttest.KimiCode(t, "text: one")
	s := liveSession(t, ctx, opts)
	instances := filepath.Join(opts.ShareDir, "server", "instances")
	if files, err := os.ReadDir(instances); err != nil || len(files) != 1 {
		t.Fatalf("the files of the server: %v, %v", files, err)
	}
	other := write(t, filepath.Join(instances, "other.json"), `{"server_id":"other","pid":1,"port":1}`, 0o600)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	recv(t, ctx, "the end", s.Done())
	if files, err := os.ReadDir(instances); err != nil || len(files) != 1 || files[0].Name() != filepath.Base(other) {
		t.Errorf("the files of servers: %v, %v", files, err)
	}
	closed(t, s)
}

// A start that is given up at any moment leaves no process and no file.
func TestKimiCodeStartGivenUp(t *testing.T) {
	needProc(t)
	noLeaks(t)
	errGone := errors.New("the user has gone")
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		when    func(opts *client.Options) bool // ctx is cancelled when it returns true
		want    error
	}{
		{name: "StartTimeout", timeout: 150 * time.Millisecond, want: context.DeadlineExceeded},
		{name: "process", when: func(opts *client.Options) bool { return len(processesOf(root(opts))) > 0 }, want: errGone},
		{name: "session", when: func(opts *client.Options) bool {
			dirs, _ := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "wd_*", "session_*"))
			return len(dirs) > 0
		}, want: errGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := clienttest.KimiCode(t)
			opts.StartTimeout, opts.Plan = tt.timeout, true
			opts.Tools = []client.Tool{mustTool(client.NewTool("a", "", func(context.Context, noInput) (string, error) { return "", nil }))}
			ctx, cancel := context.WithCancelCause(withinCtx(t))
			defer cancel(nil)
			if tt.when != nil {
				go func() {
					eventually(t, time.Minute, func() bool { return tt.when(opts) || ctx.Err() != nil }, func() string { return "nothing was started" })
					cancel(errGone)
				}()
			}
			s, err := client.NewSession(ctx, opts)
			if s != nil { // the start was faster than the cancellation
				closed(t, s)
			} else {
				e2eIs(t, "NewSession", err, tt.want)
			}
			noneLeft(t, root(opts))
			bridgeGone(t)
		})
	}
}

// Many sessions run, some with a turn, and one is closed by several goroutines. The number of open files does not grow.
func TestKimiCodeManySessions(t *testing.T) {
	if testing.Short() {
		t.Skip("20 starts")
	}
	needProc(t)
	noLeaks(t)
	ctx := withinCtx(t)
	opts := clienttest.KimiCode(t, "text: one", "text: two", "text: three", "text: four")
	opts.Tools = []client.Tool{mustTool(client.NewTool("a", "", func(context.Context, noInput) (string, error) { return "", nil }))}
	opts.StartTimeout, opts.StopGrace = time.Minute, 30*time.Second
	files := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := 0
	for i := range 20 {
		s := liveSession(t, ctx, opts)
		if i%5 == 0 {
			_, res, err := playTurn(t, ctx, s, "hi")
			if err != nil || res.Text == "" {
				t.Errorf("%+v, %v", res, err)
			}
		}
		var all sync.WaitGroup
		for range 1 + i%3 {
			all.Go(func() { closed(t, s) })
		}
		all.Wait()
		if i == 4 {
			before = files()
		}
	}
	noneLeft(t, root(opts))
	bridgeGone(t)
	if after := files(); after > before+8 {
		t.Errorf("%d open files, and %d after the fifth session", after, before)
	}
	dirs, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "wd_*", "session_*"))
	if err != nil || len(dirs) != 4 {
		t.Errorf("%d sessions are left, want the 4 that had a turn: %v", len(dirs), err)
	}
}
