//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// The user interface of each kimi opens a session at the size of the terminal, and then returns the terminal.
func TestShell(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*demo{
		"kimi-cli":  newDemo(t, "text: hello there"),
		"Kimi Code": func() *demo { d, _ := codeDemo(t, "text: hello there"); return d }(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"prompt", "--quiet", "Say hello"}
			var more []string
			if d.config != "" {
				more = []string{"--config", d.config}
			}
			d.run(t, "", append(args, more...)...).check(t, 0, []string{"hello there"}, nil)
			id := d.newest(t)
			d.run(t, "", "shell", "none").check(t, 1, nil, []string{"needs a terminal"})
			x := d.terminal(t, append([]string{"shell", "-"}, more...)...)
			if name == "Kimi Code" {
				x.expect("Trust this folder?")
				x.typed("\r")
			}
			x.expect("Welcome to Kimi Code", id, "Say hello", "hello there")
			if name == "kimi-cli" {
				x.expect("── input ")
			}
			if err := pty.Setsize(x.tty, &pty.Winsize{Rows: 20, Cols: 61}); err != nil {
				t.Fatal(err)
			}
			if name == "kimi-cli" {
				x.expect("── input ───────────────────────────────────────────────────\r")
				x.typed("/exit\r")
			} else {
				x.expect("╭─────────────────────────────────────────────────────────╮")
				x.typed("/exit")
				x.expect("/exit")
				x.typed("\r")
			}
			x.expect("session " + id + "; go on with: " + program + " resume")
			x.end(0)

			x = d.terminal(t, append([]string{"shell", "none"}, more...)...)
			x.expect("no such session", "hint:")
			x.end(1)
		})
	}
}

// Keys that are signals, sizes and the exit status pass between the terminal and kimi. If kimi leaves the terminal in a
// bad state, that is repaired.
func TestShellTerminal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		do     func(*testing.T, *terminal)
		code   int
	}{
		"status": {`echo "kimi $*"; exit 7`, func(t *testing.T, x *terminal) { x.expect("kimi --plan\r\n") }, 7},
		"Ctrl-C": {`trap 'echo interrupted; exit 5' INT; echo ready; while :; do read x; done`, func(t *testing.T, x *terminal) {
			x.expect("ready")
			x.typed(ctrlC)
			x.expect("interrupted")
		}, 5},
		"resize": {`trap 'stty size; exit 6' WINCH; stty size; echo ready; while :; do read x; done`, func(t *testing.T, x *terminal) {
			x.expect("40 200", "ready")
			if err := pty.Setsize(x.tty, &pty.Winsize{Rows: 11, Cols: 77}); err != nil {
				t.Error(err)
			}
			x.expect("11 77")
		}, 6},
		"terminated": {`trap 'echo ended; exit 9' TERM; echo ready $PPID.; while :; do read x; done`, func(t *testing.T, x *terminal) {
			x.expect("ready")
			if err := x.kill(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			x.expect("ended")
		}, 143},
		"killed": {`stty raw -echo; kill -9 $$`, func(t *testing.T, x *terminal) { x.expect("\x1b[?25h") }, 137},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := bareDemo(t)
			d.fake(t, "# @moonshot-ai/kimi-code\n"+test.script)
			d.setenv(map[string]string{"PATH": os.Getenv("PATH")})
			x := d.terminal(t, "shell", "--plan")
			test.do(t, x)
			x.end(test.code)
			fresh, other, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer fresh.Close()
			defer other.Close()
			want, err := term.GetState(int(fresh.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := term.GetState(int(x.tty.Fd())); err != nil || *got != *want {
				t.Errorf("the terminal is left in the state %v, %v; want %v", got, err, want)
			}
		})
	}
}

// The login is kimi's own.
func TestLogin(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	d.fake(t, "# @moonshot-ai/kimi-code\necho \"kimi $*\"; [ -t 0 ] && [ -t 1 ] && exit 4")
	x := d.terminal(t, "login")
	x.expect("kimi login\r\n")
	x.end(4)
	d.run(t, "", "login").check(t, 1, nil, []string{"needs a terminal"})
	if files, err := filepath.Glob(filepath.Join(d.work, "*")); err != nil || len(files) != 1 {
		t.Errorf("%q, %v", files, err)
	}
}
