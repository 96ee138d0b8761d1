//go:build unix

package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

func init() { programs["kimi-session"] = sessionProgram }

// withinCtx returns a ctx for a whole test. Its time limit ends a test that would hang.
func withinCtx(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// liveSession starts a session, and closes it at the end of the test.
func liveSession(t testing.TB, ctx context.Context, opts *client.Options) *client.Session {
	t.Helper()
	s, err := client.NewSession(ctx, opts)
	return alive(t, s, err)
}

// resumed continues a session, and closes it at the end of the test.
func resumed(t testing.TB, ctx context.Context, id string, opts *client.Options) *client.Session {
	t.Helper()
	s, err := client.ResumeSession(ctx, id, opts)
	return alive(t, s, err)
}

func alive(t testing.TB, s *client.Session, err error) *client.Session {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// closed closes the session. The test fails if the agent had to be killed.
func closed(t testing.TB, s *client.Session) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// playTurn runs a turn to its end and returns its messages, its result and its error.
func playTurn(t testing.TB, ctx context.Context, s *client.Session, prompt string, parts ...wireproto.ContentPart) ([]wireproto.Message, *client.TurnResult, error) {
	t.Helper()
	turn, err := s.Prompt(ctx, prompt, parts...)
	if err != nil {
		t.Fatal(err)
	}
	var msgs []wireproto.Message
	for m, err := range turn.Messages() {
		if err == nil {
			msgs = append(msgs, m)
		}
	}
	result, err := turn.Result()
	return msgs, result, err
}

// finished runs a turn. The turn must finish with the text.
func finished(t testing.TB, ctx context.Context, s *client.Session, prompt, text string) []wireproto.Message {
	t.Helper()
	msgs, result, err := playTurn(t, ctx, s, prompt)
	if err != nil || result.Text != text {
		t.Fatalf("turn %q: text %q, error %v; want text %q", prompt, result.Text, err, text)
	}
	return msgs
}

// only returns the messages of one type.
func only[M wireproto.Message](msgs []wireproto.Message) []M {
	var list []M
	for _, m := range msgs {
		if m, ok := m.(M); ok {
			list = append(list, m)
		}
	}
	return list
}

// root returns the directory in which clienttest.Kimi keeps all files of a test.
func root(opts *client.Options) string { return filepath.Dir(opts.WorkDir) }

var sleepCount atomic.Int64

// uniqueSleep returns an argument for the command sleep that no other process uses.
func uniqueSleep(seconds int) string {
	return fmt.Sprintf("%d.%d%04d", seconds, os.Getpid(), sleepCount.Add(1))
}

// sleeping returns the ids of the processes "sleep ARG".
func sleeping(arg string) []int {
	var pids []int
	eachProcess(func(p foreignProcess) {
		if p.cmdline == "sleep\x00"+arg {
			pids = append(pids, p.pid)
		}
	})
	return pids
}

// processesOf lists the processes, other than this one, that belong to the test with the directory dir. It finds them
// by their working directory, their command line or their environment. kimi overwrites its command line and
// environment.
func processesOf(dir string) []string {
	var list []string
	eachProcess(func(p foreignProcess) {
		if p.pid != os.Getpid() && strings.Contains(p.cwd+p.cmdline+p.environ, dir) {
			list = append(list, fmt.Sprintf("%d: %.200q", p.pid, p.cmdline))
		}
	})
	return list
}

type foreignProcess struct {
	pid                   int
	cwd, cmdline, environ string
}

func eachProcess(do func(foreignProcess)) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		cmdline, err2 := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		if err == nil && err2 == nil {
			do(foreignProcess{pid, cwd, strings.TrimRight(string(cmdline), "\x00"), string(environ)})
		}
	}
}

// needProc skips the test if there is no /proc.
func needProc(t testing.TB) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("needs /proc")
	}
}

// noneLeft checks that every process of the test ends soon.
func noneLeft(t testing.TB, token string) {
	t.Helper()
	var left []string
	eventually(t, 10*time.Second, func() bool {
		left = processesOf(token)
		return len(left) == 0
	}, func() string { return "processes left:\n" + strings.Join(left, "\n") })
	for _, line := range left { // a failed test must not leave processes on the machine
		var pid int
		if n, _ := fmt.Sscanf(line, "%d:", &pid); n == 1 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// sleepScripts lets the model run one sleep in the background and one in the foreground.
func sleepScripts(background, foreground string) []string {
	return []string{
		clienttest.ToolCall("bg", "Shell", map[string]any{"command": "sleep " + background, "run_in_background": true, "description": "a nap"}) +
			"\n" + clienttest.ToolCall("fg", "Shell", map[string]any{"command": "sleep " + foreground}),
		"text: not reached",
	}
}

// asleep waits until all sleeps run.
func asleep(t testing.TB, args ...string) {
	t.Helper()
	eventually(t, time.Minute, func() bool {
		for _, arg := range args {
			if len(sleeping(arg)) == 0 {
				return false
			}
		}
		return true
	}, func() string { return "the commands of the agent do not run" })
	if t.Failed() {
		t.FailNow()
	}
}

func TestKimiProcessKilled(t *testing.T) {
	for _, tt := range []struct {
		signal syscall.Signal
		want   string
	}{
		{syscall.SIGKILL, "killed"},
		{syscall.SIGTERM, "terminated"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			needProc(t)
			noLeaks(t)
			ctx := withinCtx(t)
			bg, fg := uniqueSleep(301), uniqueSleep(300)
			opts := clienttest.Kimi(t, sleepScripts(bg, fg)...)
			opts.Yolo = true
			s := liveSession(t, ctx, opts)
			title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID()))
			if err != nil || !bytes.HasPrefix(title, []byte("Kimi Code")) {
				t.Fatalf("PID %d is not that of the agent: %.40q, %v", s.PID(), title, err)
			}
			if err := s.Err(); err != nil {
				t.Errorf("Err of a session that runs: %v", err)
			}

			turn, err := s.Prompt(ctx, "sleep")
			if err != nil {
				t.Fatal(err)
			}
			loop := make(chan error, 1)
			go func() {
				var last error
				for _, err := range turn.Messages() {
					last = err
				}
				loop <- last
			}()
			asleep(t, bg, fg)
			killedAt := time.Now()
			if err := syscall.Kill(s.PID(), tt.signal); err != nil {
				t.Fatal(err)
			}
			err = <-loop
			if d := time.Since(killedAt); d > 2*time.Second {
				t.Errorf("the loop ended %v after the agent", d)
			}
			var exit *client.ProcessError
			if !errors.As(err, &exit) {
				t.Fatalf("the loop's error is %v, want a ProcessError", err)
			}
			if exit.Signal != tt.want || exit.ExitCode != -1 || len(exit.Args) == 0 || exit.Args[0] != opts.Executable {
				t.Errorf("got signal %q, exit code %d, args %q", exit.Signal, exit.ExitCode, exit.Args)
			}
			for _, part := range []string{tt.want, "ResumeSession"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			select {
			case <-s.Done():
			case <-time.After(2 * time.Second):
				t.Error("Done is not closed")
			}
			if got := s.Err(); !errors.As(got, &exit) {
				t.Errorf("Err: %v", got)
			}
			if _, err := s.Prompt(ctx, "more"); !errors.As(err, &exit) {
				t.Errorf("Prompt afterwards: %v", err)
			}
			if err := s.Steer(ctx, "more"); !errors.As(err, &exit) {
				t.Errorf("Steer afterwards: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close afterwards: %v", err)
			}
			noneLeft(t, root(opts))
		})
	}
}

func TestKimiCloseIdle(t *testing.T) {
	needProc(t)
	noLeaks(t)
	limit := withinCtx(t)
	opts := clienttest.Kimi(t, "text: one")
	var stderr lockedBuffer
	opts.Stderr = &stderr

	opts.StopGrace = time.Minute // long, so that only the end of its input can end kimi in time

	startCtx, cancel := context.WithCancel(limit)
	began := time.Now()
	s := liveSession(t, startCtx, opts)
	started := time.Since(began) // the time limit for Close, because a busy machine needs longer
	cancel()                     // like a "defer cancel()" of the caller; the ctx limits only the start
	finished(t, limit, s, "hello", "one")

	began = time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { closed(t, s) })
	}
	wg.Wait()
	if d := time.Since(began); d > max(time.Second, started) {
		t.Errorf("Close took %v, the start %v", d, started)
	}
	closed(t, s)
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Close")
	}
	if err := s.Err(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Err: %v", err)
	}
	if _, err := s.Prompt(limit, "more"); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Prompt after Close: %v", err)
	}
	if err := s.Steer(limit, "more"); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Steer after Close: %v", err)
	}
	if _, err := s.SetPlanMode(limit, true); !errors.Is(err, client.ErrClosed) {
		t.Errorf("SetPlanMode after Close: %v", err)
	}
	for m, err := range s.Replay(limit) {
		if m != nil || !errors.Is(err, client.ErrClosed) {
			t.Errorf("Replay after Close: %v, %v", m, err)
		}
	}
	if want := "kimi -r " + s.ID(); !strings.Contains(stderr.String(), want) {
		t.Errorf("Options.Stderr got %q, want a line with %q", stderr.String(), want)
	}
	noneLeft(t, root(opts))
}

// lockedBuffer is a buffer that a session may write to while the test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestKimiCloseMidTurn(t *testing.T) {
	needProc(t)
	noLeaks(t)
	ctx := withinCtx(t)
	bg, fg := uniqueSleep(301), uniqueSleep(300)
	opts := clienttest.Kimi(t, sleepScripts(bg, fg)...)
	opts.Yolo = true
	s := liveSession(t, ctx, opts)
	turn, err := s.Prompt(ctx, "sleep")
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		result *client.TurnResult
		err    error
	}
	result := make(chan end, 1)
	go func() {
		r, err := turn.Result()
		result <- end{r, err}
	}()
	asleep(t, bg, fg)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { closed(t, s) })
	}
	wg.Wait()
	e := <-result
	if !errors.Is(e.err, client.ErrClosed) {
		t.Errorf("the turn ended with %v", e.err)
	}
	if e.result.Steps != 1 || e.result.Status != "" {
		t.Errorf("the turn came to %+v, want one step and no status", e.result)
	}
	noneLeft(t, root(opts))
}

func TestKimiCloseWithRequestPending(t *testing.T) {
	noLeaks(t)
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t, clienttest.ToolCall("a", "Shell", map[string]any{"command": "echo a"}), "text: not reached")
	s := liveSession(t, ctx, opts)
	turn, err := s.Prompt(ctx, "go")
	if err != nil {
		t.Fatal(err)
	}
	var request *client.ApprovalRequest
	var last error
	for m, err := range turn.Messages() {
		last = err
		if r, ok := m.(*client.ApprovalRequest); ok {
			request = r
			r.Hold()
			go s.Close()
		}
	}
	if request == nil || !errors.Is(last, client.ErrClosed) {
		t.Fatalf("request %v, error %v", request, last)
	}
	closed(t, s)
	<-request.Done()
	if err := request.Approve(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Approve after Close: %v", err)
	}
	noneLeft(t, root(opts))
}

// TestKimiCloseFromWithin holds that a program can call Close within a loop, a handler, a tool or a hook.
func TestKimiCloseFromWithin(t *testing.T) {
	t.Parallel()
	tool := clienttest.ToolCall("a", "stop", map[string]any{})
	shell := clienttest.ToolCall("a", "Shell", map[string]any{"command": "echo a"})
	for _, tt := range []struct {
		name, script string
		set          func(t *testing.T, o *client.Options, stop func() error)
		inLoop       bool // close the session at each message
	}{
		{name: "loop", script: shell, inLoop: true},
		{name: "approve", script: shell, set: func(t *testing.T, o *client.Options, stop func() error) {
			o.Approve = func(context.Context, *client.ApprovalRequest) error { return stop() }
		}},
		{name: "tool", script: tool, set: func(t *testing.T, o *client.Options, stop func() error) {
			tool, err := client.NewTool("stop", "stops", func(context.Context, struct{}) (string, error) { return "", stop() })
			if err != nil {
				t.Fatal(err)
			}
			o.Tools = []client.Tool{tool}
		}},
		{name: "hook", script: shell, set: func(t *testing.T, o *client.Options, stop func() error) {
			o.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
				return client.Allow(), stop()
			}}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := withinCtx(t)
			opts := clienttest.Kimi(t, tt.script, "text: not reached")
			var s *client.Session
			stop := func() error { return s.Close() }
			if tt.set != nil {
				tt.set(t, opts, stop)
			}
			s = liveSession(t, ctx, opts)
			turn, err := s.Prompt(ctx, "go")
			if err != nil {
				t.Fatal(err)
			}
			var last error
			for _, err := range turn.Messages() {
				last = err
				if tt.inLoop {
					stop()
				}
			}
			if !errors.Is(last, client.ErrClosed) {
				t.Errorf("the loop ended with %v", last)
			}
			closed(t, s)
			noneLeft(t, root(opts))
		})
	}
}

// sessionSpec tells sessionProgram what to run.
type sessionSpec struct {
	Executable, WorkDir, ShareDir, ConfigFile string
	Env                                       map[string]string
}

// sessionProgram runs a turn. It prints "started" and, when its tool runs, "tool".
func sessionProgram() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var spec sessionSpec
	fail(json.Unmarshal([]byte(os.Getenv("KIMI_GO_TEST_SPEC")), &spec))
	cfg, err := config.Load(spec.ConfigFile)
	fail(err)
	wait, err := client.NewTool("wait", "waits for ever", func(ctx context.Context, _ struct{}) (string, error) {
		fmt.Println("tool")
		<-ctx.Done()
		return "", ctx.Err()
	})
	fail(err)
	s, err := client.NewSession(context.Background(), &client.Options{
		Executable: spec.Executable, WorkDir: spec.WorkDir, ShareDir: spec.ShareDir, Env: spec.Env, Config: cfg,
		Yolo: true, Tools: []client.Tool{wait},
	})
	fail(err)
	fmt.Println("started")
	turn, err := s.Prompt(context.Background(), "go")
	fail(err)
	_, err = turn.Result()
	fail(err)
}

func TestKimiProgramKilled(t *testing.T) {
	t.Run("shell", func(t *testing.T) {
		needProc(t)
		bg, fg := uniqueSleep(301), uniqueSleep(300)
		opts := clienttest.Kimi(t, sleepScripts(bg, fg)...)
		killProgram(t, opts, func() { asleep(t, bg, fg) })
	})
	t.Run("tool", func(t *testing.T) {
		needProc(t)
		opts := clienttest.Kimi(t, clienttest.ToolCall("a", "wait", map[string]any{}), "text: not reached")
		killProgram(t, opts, nil)
	})
}

// killProgram runs sessionProgram in a process of its own. It kills that process when running returns or, if running is
// nil, when the tool runs.
func killProgram(t *testing.T, opts *client.Options, running func()) {
	t.Helper()
	ctx := withinCtx(t)
	configFile, temp := filepath.Join(root(opts), "saved.toml"), filepath.Join(root(opts), "temp")
	if err := errors.Join(opts.Config.Save(configFile), os.Mkdir(temp, 0o700)); err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(sessionSpec{opts.Executable, opts.WorkDir, opts.ShareDir, configFile, opts.Env})
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), programKey+"=kimi-session", "KIMI_GO_TEST_SPEC="+string(spec), "TMPDIR="+temp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	awaitLine := func(want string) {
		line := make([]byte, 0, 64)
		for b := make([]byte, 1); !bytes.HasSuffix(line, []byte(want+"\n")); line = append(line, b[0]) {
			if _, err := stdout.Read(b); err != nil {
				cmd.Wait()
				t.Fatalf("the program said %q instead of %q: %v; %s", line, want, err, stderr.String())
			}
		}
	}
	awaitLine("started")
	if running != nil {
		running()
	} else {
		awaitLine("tool")
	}
	if list := processesOf(root(opts)); len(list) < 2 { // at least the program and its agent
		t.Fatalf("the agent does not run: %q", list)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	noneLeft(t, root(opts))
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("temporary files left: %q", left)
	}
}

func TestKimiStartGivenUp(t *testing.T) {
	needProc(t)
	errGone := errors.New("the user has gone")
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		cancel  bool
		want    error
		says    string
	}{
		{name: "ctx", cancel: true, want: errGone, says: "the user has gone: it ran"},
		{name: "StartTimeout", timeout: 150 * time.Millisecond, want: context.DeadlineExceeded, says: "Options.StartTimeout (150ms)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			noLeaks(t)
			opts := clienttest.Kimi(t, "text: one")
			opts.StartTimeout = tt.timeout
			ctx, cancel := context.WithCancelCause(withinCtx(t))
			defer cancel(nil)
			var gone atomic.Int64
			if tt.cancel {
				go func() {
					eventually(t, time.Minute, func() bool { return len(processesOf(root(opts))) > 0 }, func() string { return "nothing was started" })
					gone.Store(time.Now().UnixNano())
					cancel(errGone)
				}()
			} else {
				gone.Store(time.Now().Add(tt.timeout).UnixNano())
			}
			s, err := client.NewSession(ctx, opts)
			d := time.Since(time.Unix(0, gone.Load()))
			if s != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v, error %v; want %v, saying %q", s, err, tt.want, tt.says)
			}
			if d > time.Second {
				t.Errorf("NewSession returned %v after it was given up", d)
			}
			noneLeft(t, root(opts))
		})
	}
}

func TestKimiSecrets(t *testing.T) {
	needProc(t)
	ctx := withinCtx(t)
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	const keySecret, mcpSecret = "sk-7Gt2-the-key", "mcp-9Kx1-the-secret"
	opts := clienttest.Kimi(t, clienttest.ToolCall("a", "reveal", map[string]any{}), "text: done")
	opts.Config.Providers["other"] = config.Provider{Type: config.ProviderKimi, BaseURL: "http://127.0.0.1:1", APIKey: keySecret}
	opts.MCPServers = map[string]config.MCPServer{"one": mcpProgram(t, map[string]config.Secret{"MCP_SECRET": mcpSecret})}
	opts.Yolo = true
	type file struct {
		Base      string
		Mode, Dir os.FileMode
		Secret    bool // the file has a secret
	}
	var files []file
	var paths []string
	opts.ModifyCmd = func(cmd *exec.Cmd) {
		for i, arg := range cmd.Args {
			if arg != "--config-file" && arg != "--mcp-config-file" {
				continue
			}
			path := cmd.Args[i+1]
			info, err := os.Stat(path)
			dir, err2 := os.Stat(filepath.Dir(path))
			data, err3 := os.ReadFile(path)
			if err := errors.Join(err, err2, err3); err != nil {
				t.Error(err)
				continue
			}
			paths = append(paths, path)
			files = append(files, file{
				filepath.Base(path), info.Mode(), dir.Mode(),
				bytes.Contains(data, []byte(keySecret)) || bytes.Contains(data, []byte(mcpSecret)),
			})
		}
	}
	cmdline := make(chan string, 1)
	go func() { // read the command line early, because kimi overwrites it after the start
		line := ""
		eventually(t, time.Minute, func() bool {
			eachProcess(func(p foreignProcess) {
				if strings.Contains(p.cmdline, opts.WorkDir) && strings.Contains(p.cmdline, "--wire") {
					line = p.cmdline
				}
			})
			return line != ""
		}, func() string { return "no command line of an agent" })
		cmdline <- line
	}()
	s := liveSession(t, ctx, opts)
	want := []file{{"config.toml", 0o600, 0o700 | os.ModeDir, true}, {"mcp.json", 0o600, 0o700 | os.ModeDir, true}}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("temporary files (-want +got):\n%s", diff)
	}
	for _, path := range paths {
		if !strings.HasPrefix(path, temp) {
			t.Errorf("%s is not in TMPDIR", path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "kimi-go-*")); len(left) > 0 {
		t.Errorf("temporary files are there after NewSession: %q", left)
	}
	msgs := finished(t, ctx, s, "go", "done")
	if r := only[*wireproto.ToolResult](msgs); len(r) != 1 || !strings.Contains(r[0].ReturnValue.Output.String(), mcpSecret) {
		t.Errorf("the MCP server did not get its secret: %+v", r)
	}
	line := <-cmdline
	if !strings.Contains(line, "--mcp-config-file") {
		t.Errorf("the agent's command line was not seen: %q", line)
	}
	eachProcess(func(p foreignProcess) {
		if p.pid != os.Getpid() {
			line += "\n" + p.cmdline
		}
	})
	for _, secret := range []string{keySecret, mcpSecret} {
		if strings.Contains(line, secret) {
			t.Errorf("%s is in a command line: %q", secret, line)
		}
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	var exit *client.ProcessError
	if !errors.As(s.Err(), &exit) || strings.Contains(fmt.Sprintf("%+v %v", exit, exit), keySecret) {
		t.Errorf("Err: %v", s.Err())
	}
}

// TestKimiArgsRedacted passes configurations with keys on the command line, by ExtraArgs. No error may show the keys.
func TestKimiArgsRedacted(t *testing.T) {
	t.Parallel()
	opts := clienttest.Kimi(t)
	opts.Config = nil
	const secret = "sk-5Rt8-in-the-arguments"
	opts.ExtraArgs = []string{
		`--mcp-config={"mcpServers":{"a":{"url":"` + secret + `"}}}`,
		"--config", `{"providers":{"p":{"type":"bogus","api_key":"` + secret + `"}}}`,
	}
	s, err := client.NewSession(withinCtx(t), opts)
	var exit *client.ProcessError
	if s != nil || !errors.As(err, &exit) || exit.ExitCode != 2 {
		t.Fatalf("got %v, error %v; want a ProcessError", s, err)
	}
	want := []string{"--mcp-config=***", "--config", "***"}
	if diff := cmp.Diff(want, exit.Args[len(exit.Args)-3:]); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	// kimi prints the end of the key, on two lines, in its error about the configuration.
	if all := fmt.Sprintf("%+v %v", *exit, err); strings.Contains(all, "5Rt") || strings.Contains(all, "the-arg") {
		t.Errorf("the secret is in %s", all)
	}
}
