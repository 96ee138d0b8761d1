package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// onWrite is an io.Writer that calls a function with each text.
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

// The ctx of NewSession limits only the start. Its end does not end the session.
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
	if p, err := os.FindProcess(s.PID()); err == nil {
		if runs(p) {
			t.Error("the process is still there")
		}
		p.Release()
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
		want   []func(error) bool // checks of the error; none if the session starts
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

func init() {
	programs["tombstone"] = func() { fmt.Println("kimi-cli is no longer maintained.") }
	programs["node"] = func() {
		if slices.Contains(os.Args, "--version") {
			fmt.Println("2.1.0")
			return
		}
		fmt.Fprintf(os.Stderr, "error: unknown option '%s'\n", os.Args[1])
		os.Exit(1)
	}
	programs["other"] = func() {
		fmt.Fprintln(os.Stderr, "bad flag")
		os.Exit(2)
	}
	programs["hangs when asked"] = func() {
		if os.Args[1] == "info" {
			time.Sleep(100 * time.Second) // until it is killed
		}
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
	}
	programs["tells HOME"] = func() {
		fmt.Fprintf(os.Stderr, "HOME=%s\n", os.Getenv("HOME"))
		os.Exit(3)
	}
}

func TestNotKimi(t *testing.T) {
	for name, found := range map[string]string{
		"tombstone": "kimi-cli 1.52 or later",
		"node":      "Kimi Code 2.1.0",
		"other":     "not kimi",
	} {
		t.Run(name, func(t *testing.T) {
			opts := spawn(t, serves, "")
			opts.Env[programKey] = name
			err := fails(t, limited(t), opts)
			var bad *client.IncompatibleError
			if !errors.As(err, &bad) || !strings.Contains(bad.Found, found) || bad.Path != opts.Executable {
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
		opts.Env[programKey] = "hangs when asked"
		opts.StartTimeout = 3 * time.Second
		began := time.Now()
		hasEnded(t, fails(t, limited(t), opts), "exit 3")
		if d := time.Since(began); d > 8*time.Second { // less than the time for which the program hangs
			t.Errorf("it took %v", d)
		}
	})
	t.Run("no environment", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.ModifyCmd = func(cmd *exec.Cmd) { cmd.Env = nil } // package exec then uses the environment of this program
		t.Setenv("HOME", "/home/me")
		t.Setenv(programKey, "tells HOME")
		var process *client.ProcessError
		if err := fails(t, limited(t), opts); !errors.As(err, &process) || process.Stderr != "HOME=/home/me\n" {
			t.Errorf("NewSession: %v", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.Executable = filepath.Join(t.TempDir(), "none")
		var none *client.NotFoundError
		if err := fails(t, limited(t), opts); !errors.As(err, &none) {
			t.Errorf("NewSession: %v", err)
		}
	})
	t.Run("no program", func(t *testing.T) {
		opts := spawn(t, serves, "")
		opts.Executable = filepath.Join(t.TempDir(), "text.exe")
		if err := os.WriteFile(opts.Executable, []byte("hello\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := fails(t, limited(t), opts); !errors.Is(err, noProgram) || !strings.Contains(err.Error(), "KIMI_PATH") {
			t.Errorf("NewSession: %v", err)
		}
	})
}
