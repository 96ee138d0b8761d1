//go:build unix

package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

var hangsAtStart = script("hangs at start", func(a *agent) {
	fmt.Fprintln(os.Stderr, "thinking")
	a.hang()
})

func TestStartTimeout(t *testing.T) {
	opts := spawn(t, hangsAtStart, "")
	opts.StartTimeout = 100 * time.Millisecond
	err := fails(t, t.Context(), opts)
	var start *client.StartError
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &start) || start.Limit != opts.StartTimeout {
		t.Fatalf("NewSession: %v", err)
	}
	if want := "; start fewer at once, or raise Options.StartTimeout (100ms)"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("NewSession: %v; want %q at its end", err, want)
	}
}

// onWrite calls a function with what is written to it.
type onWrite func(string)

func (f onWrite) Write(p []byte) (int, error) { f(string(p)); return len(p), nil }

func TestStartContext(t *testing.T) {
	opts := spawn(t, hangsAtStart, "")
	cause := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(limited(t))
	opts.Stderr = onWrite(func(string) { cancel(cause) })
	err := fails(t, ctx, opts)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "and said: thinking") {
		t.Errorf("NewSession: %v", err)
	}
	if err := fails(t, ctx, opts); !errors.Is(err, cause) {
		t.Errorf("NewSession with an ended ctx: %v", err)
	}
}

// The ctx of the start bounds the start alone.
func TestStartContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := client.NewSession(ctx, spawn(t, serves, ""))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 20 {
		works(t, s)
	}
	if s.PID() <= 0 || s.PID() == os.Getpid() {
		t.Errorf("PID: %d", s.PID())
	}
	if err := shut(t, s); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := syscall.Kill(s.PID(), 0); err != syscall.ESRCH {
		t.Errorf("the process is still there: %v", err)
	}
}

var initializes = script("initializes", func(a *agent) {
	f := a.call(wireproto.MethodInitialize)
	a.line(`{"jsonrpc":"2.0","id":"%s",%s}`, f.ID, a.arg)
	a.serve()
})

func TestHandshake(t *testing.T) {
	tool, err := client.NewTool("look", "", func(context.Context, struct{}) (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	withTool := client.Options{Tools: []client.Tool{tool}}
	withHook := client.Options{Hooks: []client.Hook{{Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		return client.Allow(), nil
	}}}}
	isRPC := func(code int) func(error) bool {
		return func(err error) bool {
			var rpc *wireproto.RPCError
			return errors.As(err, &rpc) && rpc.Code == code && rpc.Method == "initialize"
		}
	}
	says := func(text string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), text) }
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	const unknown = `"error":{"code":-32601,"message":"Unknown method"}`
	result := `"result":` + strings.TrimSuffix(initialized, "}")
	for name, test := range map[string]struct {
		answer string
		opts   client.Options
		want   []func(error) bool // none: it works
	}{
		"no initialize":            {answer: unknown},
		"no initialize, a tool":    {unknown, withTool, []func(error) bool{is(client.ErrUnsupported), says(`"look"`)}},
		"no initialize, a hook":    {unknown, withHook, []func(error) bool{is(client.ErrUnsupported), says("PreToolUse")}},
		"another error":            {`"error":{"code":-32603,"message":"MCP is down"}`, client.Options{}, []func(error) bool{isRPC(-32603), says("MCP is down")}},
		"busy":                     {`"error":{"code":-32000,"message":"busy"}`, client.Options{}, []func(error) bool{isRPC(-32000), is(client.ErrBusy)}},
		"not a result":             {`"result":"ok"`, client.Options{}, []func(error) bool{says("unexpected result")}},
		"neither":                  {`"result":{}`, client.Options{}, nil},
		"takes no tools":           {result + "}", withTool, []func(error) bool{is(client.ErrUnsupported), says(`"look"`)}},
		"takes no hooks":           {result + "}", withHook, []func(error) bool{is(client.ErrUnsupported), says("PreToolUse")}},
		"rejects the tool":         {result + `,"external_tools":{"accepted":[],"rejected":[{"name":"look","reason":"built in"}]}}`, withTool, []func(error) bool{says(`"look": built in`)}},
		"forgets the tool":         {result + `,"external_tools":{"accepted":["other"],"rejected":[]}}`, withTool, []func(error) bool{is(client.ErrUnsupported)}},
		"has other hooks":          {result + `,"hooks":{"supported_events":["Stop"],"configured":{}}}`, withHook, []func(error) bool{is(client.ErrUnsupported), says("it has Stop")}},
		"takes the tool":           {result + `,"external_tools":{"accepted":["look"],"rejected":[]}}`, withTool, nil},
		"takes the hook":           {result + `,"hooks":{"supported_events":["PreToolUse"],"configured":{}}}`, withHook, nil},
		"tools nobody asked about": {result + `,"external_tools":{"accepted":[],"rejected":[{"name":"mine","reason":"no"}]}}`, client.Options{}, []func(error) bool{says(`"mine"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := spawn(t, initializes, test.answer)
			opts.Tools, opts.Hooks = test.opts.Tools, test.opts.Hooks
			if test.want == nil {
				works(t, start(t, opts))
				return
			}
			err := fails(t, limited(t), opts)
			for i, fits := range test.want {
				if !fits(err) {
					t.Errorf("error, by check %d: %v", i, err)
				}
			}
		})
	}
}

func TestNotKimi(t *testing.T) {
	dir := t.TempDir()
	program := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct{ path, found string }{
		"tombstone": {program("kimi-1.52", "#!/bin/sh\necho 'kimi-cli is no longer maintained.'\n"), "kimi-cli 1.52 or later"},
		"node":      {program("kimi-2", "#!/bin/sh\ntest \"$1\" = --version && echo 2.1.0 && exit\necho \"error: unknown option '$1'\" >&2\nexit 1\n"), "Kimi Code 2.1.0"},
		"other":     {program("other", "#!/bin/sh\necho 'bad flag' >&2\nexit 2\n"), "not kimi"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := spawn(t, serves, "")
			opts.Executable = test.path
			err := fails(t, limited(t), opts)
			var bad *client.IncompatibleError
			if !errors.As(err, &bad) || !strings.Contains(bad.Found, test.found) || bad.Path != test.path {
				t.Errorf("NewSession: %v", err)
			}
			var process *client.ProcessError
			if !errors.As(err, &process) {
				t.Errorf("NewSession: no ProcessError in %v", err)
			}
		})
	}
	t.Run("dies, and hangs when asked what it is", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.Executable = program("hangs", "#!/bin/sh\ntest \"$1\" = info && sleep 100\necho 'last words' >&2\nexit 3\n")
		opts.StartTimeout = 500 * time.Millisecond
		began := time.Now()
		hasEnded(t, fails(t, limited(t), opts), "exit 3")
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
	t.Run("no environment", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.Executable = program("env", "#!/bin/sh\necho \"HOME=$HOME\" >&2\nexit 3\n")
		opts.ModifyCmd = func(cmd *exec.Cmd) { cmd.Env = nil } // this program's own, says package exec
		t.Setenv("HOME", "/home/me")
		var process *client.ProcessError
		if err := fails(t, limited(t), opts); !errors.As(err, &process) || process.Stderr != "HOME=/home/me\n" {
			t.Errorf("NewSession: %v", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.Executable = filepath.Join(dir, "none")
		var none *client.NotFoundError
		if err := fails(t, limited(t), opts); !errors.As(err, &none) {
			t.Errorf("NewSession: %v", err)
		}
	})
	t.Run("no program", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.Executable = program("text", "hello\n")
		if err := fails(t, limited(t), opts); !errors.Is(err, syscall.ENOEXEC) {
			t.Errorf("NewSession: %v", err)
		}
	})
}

var tells = script("tells of itself", func(a *agent) {
	a.handshake()
	a.begin()
	sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	dir, _ := os.Getwd()
	a.text(os.Getenv("EXTRA"), strconv.FormatBool(int(sid) == os.Getpid()), strconv.FormatBool(os.Getenv("PWD") == dir), os.Getenv("HOME"))
	a.leave()
	a.exit(0)
})

// ModifyCmd changes what is its own to change.
func TestModifyCmd(t *testing.T) {
	opts := spawn(t, tells, "same group")
	opts.WorkDir, _ = filepath.EvalSymlinks(opts.WorkDir)
	opts.Env["HOME"] = "" // unset
	opts.ModifyCmd = func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "EXTRA=more")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	}
	s := start(t, opts)
	got, _ := read(t, prompt(t, limited(t), s))
	if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "more", "true", "true", ""}, got); diff != "" {
		t.Error(diff)
	}
}
