//go:build unix

package client_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// shown is a kimi that runs in a terminal of its own.
type shown struct {
	t    *testing.T
	tty  *os.File
	done chan struct{}

	mu   sync.Mutex
	news sync.Cond
	out  strings.Builder
	seen int // how much of the output earlier calls of expect have used
	over bool
}

// show starts kimi in a terminal of 90 columns.
func show(t *testing.T, kimi *client.Terminal) *shown {
	t.Helper()
	tty, err := pty.StartWithSize(kimi.Cmd, &pty.Winsize{Rows: 30, Cols: 90})
	if err != nil {
		t.Fatal(err)
	}
	x := &shown{t: t, tty: tty, done: make(chan struct{})}
	x.news.L = &x.mu
	go func() {
		defer close(x.done)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			x.mu.Lock()
			x.out.Write(buf[:n])
			x.over = err != nil
			x.news.Broadcast()
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		kimi.Cmd.Process.Kill()
		tty.Close()
		<-x.done
	})
	return x
}

// expect waits until the terminal has shown all of want, in order, after the texts of the last call.
func (x *shown) expect(want ...string) {
	x.t.Helper()
	stop := time.AfterFunc(2*time.Minute, func() {
		x.mu.Lock()
		x.over = true
		x.news.Broadcast()
		x.mu.Unlock()
	})
	defer stop.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range want {
		for {
			if i := strings.Index(x.out.String()[x.seen:], w); i >= 0 {
				x.seen += i + len(w)
				break
			}
			if x.over {
				x.t.Fatalf("the terminal does not show %q; it shows\n%q", w, x.out.String())
			}
			x.news.Wait()
		}
	}
}

func (x *shown) typed(s string) {
	x.t.Helper()
	if _, err := x.tty.WriteString(s); err != nil {
		x.t.Fatal(err)
	}
}

// said makes a session with one turn.
func said(t *testing.T, opts *client.Options) *client.Session {
	t.Helper()
	s, err := client.NewSession(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	turn, err := s.Prompt(t.Context(), "Say hello")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Result(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A session can be used in kimi's own user interface and then in this package again.
func TestBackendsTerminal(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			opts := b.options(t, "text: hello there", "text: again")
			const key = "sk-kept-out-of-the-arguments"
			if opts.Config != nil {
				opts.Config.Providers["other"] = config.Provider{Type: config.ProviderKimi, BaseURL: "http://127.0.0.1:1", APIKey: key}
			}
			s := said(t, opts)
			if _, err := client.OpenTerminal(t.Context(), s.ID(), opts); !errors.Is(err, client.ErrInUse) {
				t.Fatalf("of a session that is open: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			kimi, err := client.OpenTerminal(t.Context(), s.ID(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if kimi.SessionID != s.ID() || strings.Contains(strings.Join(kimi.Cmd.Args, " "), key) {
				t.Errorf("session %q, arguments %q", kimi.SessionID, kimi.Cmd.Args)
			}
			x := show(t, kimi)
			if b.name == "Kimi Code" {
				x.expect("Trust this folder?")
				x.typed("\r")
			}
			x.expect(s.ID(), "Say hello", "hello there")
			if b.name == "kimi-cli" {
				x.expect("── input ")
			}
			if err := client.RenameSession(s.ID(), "mine", opts); !errors.Is(err, client.ErrInUse) {
				t.Errorf("renamed while kimi has it: %v", err)
			}
			if err := pty.Setsize(x.tty, &pty.Winsize{Rows: 20, Cols: 61}); err != nil {
				t.Fatal(err)
			}
			if b.name == "kimi-cli" {
				x.expect("── input ───────────────────────────────────────────────────\r")
				x.typed("/exit\r")
			} else {
				x.expect("╭─────────────────────────────────────────────────────────╮")
				x.typed("/exit")
				x.expect("/exit")
				x.typed("\r")
			}
			if err := kimi.Cmd.Wait(); err != nil {
				t.Errorf("kimi ended: %v; it showed\n%q", err, x.out.String())
			}
			if err := kimi.Close(); err != nil {
				t.Error(err)
			}
			for _, arg := range kimi.Cmd.Args {
				if _, err := os.Stat(arg); err == nil && strings.Contains(arg, "kimi-go-secrets-") {
					t.Errorf("%s is there after Close", arg)
				}
			}
			if err := client.RenameSession(s.ID(), "mine", opts); err != nil {
				t.Errorf("renamed after Close: %v", err)
			}
			s, err = client.ResumeSession(t.Context(), s.ID(), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var texts []string
			for m, err := range s.Replay(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if text, ok := m.(*wireproto.TextPart); ok {
					texts = append(texts, text.Text)
				}
			}
			if !slices.Contains(texts, "hello there") {
				t.Errorf("after the terminal the session says %q", texts)
			}
		})
	}
}

// The end of ctx ends kimi. The login command is kimi's own.
func TestBackendsTerminalEnd(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			opts := b.options(t, "text: hello there")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			kimi, err := client.OpenTerminal(ctx, "", opts)
			if err != nil {
				t.Fatal(err)
			}
			if (kimi.SessionID != "") != (b.name == "kimi-cli") {
				t.Errorf("a new session has the id %q", kimi.SessionID)
			}
			x := show(t, kimi)
			if b.name == "kimi-cli" {
				x.expect("Welcome to Kimi Code CLI", kimi.SessionID, "── input ")
			} else {
				x.expect("Trust this folder?")
			}
			cancel()
			if err := kimi.Cmd.Wait(); err == nil && b.name == "kimi-cli" {
				t.Error("kimi ended as if no one had ended it")
			}
			if err := errors.Join(kimi.Close(), kimi.Close()); err != nil {
				t.Error(err)
			}
			login, err := client.OpenLogin(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer login.Close()
			if !slices.Equal(login.Cmd.Args[1:], []string{"login"}) || login.Cmd.Dir != opts.WorkDir {
				t.Errorf("login: %q in %s", login.Cmd.Args, login.Cmd.Dir)
			}
		})
	}
}

// Options that kimi cannot use in a terminal give an error that names them, and no session is made.
func TestBackendsTerminalRefused(t *testing.T) {
	t.Parallel()
	on := true
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			plain := b.options(t)
			refused := map[string]func(*client.Options){
				"Hooks": func(o *client.Options) {
					o.Hooks = []client.Hook{{Event: "Stop", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) { return client.Allow(), nil }}}
				},
				"Record":    func(o *client.Options) { o.Record = &strings.Builder{} },
				"Limits":    func(o *client.Options) { o.Limits.Tokens = 1 },
				"SessionID": func(o *client.Options) { o.SessionID = "one" },
			}
			if b.name == "Kimi Code" {
				refused["Thinking"] = func(o *client.Options) { o.Thinking = &on }
				refused["MaxStepsPerTurn"] = func(o *client.Options) { o.MaxStepsPerTurn = 3 }
			}
			for name, set := range refused {
				opts := *plain
				set(&opts)
				_, err := client.OpenTerminal(t.Context(), "", &opts)
				var bad *client.OptionError
				if !errors.Is(err, client.ErrUnsupported) || !errors.As(err, &bad) || bad.Option != name {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, id := range []string{"none", "../evil", "-x"} {
				if _, err := client.OpenTerminal(t.Context(), id, plain); !errors.Is(err, client.ErrSessionNotFound) {
					t.Errorf("%q: %v", id, err)
				}
			}
		})
	}
}
