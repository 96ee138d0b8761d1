//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

// terminal is the command in a terminal of its own.
type terminal struct {
	t    *testing.T
	tty  *os.File
	done chan error

	mu   sync.Mutex
	news sync.Cond
	out  strings.Builder // all output
	seen int             // how much of the output earlier calls of expect have used
	over bool
	code func() int
	kill func(os.Signal) error
}

func (d *demo) terminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	return d.terminalWith(t, nil, args...)
}

// terminalWith does what terminal does. If stdout is not nil, it is the standard output.
func (d *demo) terminalWith(t *testing.T, stdout *os.File, args ...string) *terminal {
	t.Helper()
	cmd := d.command(t, args...)
	if stdout != nil {
		cmd.Stdout = stdout
	}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, tty: tty, done: make(chan error, 1), code: func() int { return cmd.ProcessState.ExitCode() }, kill: cmd.Process.Signal}
	x.news.L = &x.mu
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			x.mu.Lock()
			x.out.Write(buf[:n])
			x.over = err != nil
			x.news.Broadcast()
			x.mu.Unlock()
			if err != nil {
				x.done <- cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		tty.Close()
	})
	return x
}

// expect waits until the terminal has shown all of want, in order, after the texts of the last call.
func (x *terminal) expect(want ...string) {
	x.t.Helper()
	stop := time.AfterFunc(limit, func() {
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
				x.t.Fatalf("the terminal does not show %q; it shows\n%s", w, x.out.String())
			}
			x.news.Wait()
		}
	}
}

func (x *terminal) typed(s string) {
	x.t.Helper()
	if _, err := x.tty.WriteString(s); err != nil {
		x.t.Fatal(err)
	}
}

// end waits for the end of the command.
func (x *terminal) end(code int) {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(limit):
		x.t.Fatalf("the command does not end; it shows\n%s", x.out.String())
	}
	if got := x.code(); got != code {
		x.t.Errorf("exit status %d, want %d; the terminal shows\n%s", got, code, x.out.String())
	}
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
)

func echo(id string, word any) string {
	return clienttest.ToolCall(id, "Shell", map[string]any{"command": fmt.Sprint("echo ", word)})
}

// In one turn, approvals get each possible answer.
func TestTerminalApproval(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "think: hm\n"+echo("1", "on$((1))ce"), echo("2", "never"), echo("3", "a$((1))")+"\n"+echo("4", "b$((1))"), echo("5", "c$((1))"), "text: all done")
	x := d.terminal(t, "prompt", "--config", d.config, "x")
	x.expect("\x1b[2mhm\x1b[0m", "wants to run a command", "$ echo on", "allow?")
	x.typed("maybe\r")
	x.expect("y, a or n, please", "allow?")
	x.typed("y\r")
	x.expect("└ on1ce", "$ echo never", "allow?")
	x.typed("n\r")
	x.expect("what instead?")
	x.typed("say a and b\r")
	x.expect("Rejected: say a and b", "echo a", "allow?")
	x.typed("a\r") // also answers the request that waits with it, and later ones
	x.expect("b1", "c1", "all done", "finished: 5 steps", "go on with:", program+" resume")
	x.end(0)
}

// text returns the output without the terminal's line ends and the command's styles.
func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return styles.ReplaceAllString(strings.ReplaceAll(x.out.String(), "\r\n", "\n"), "")
}

var styles = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33|36)m")

// An approval shows the whole call, one page at a time, and shortens padding.
func TestTerminalApprovalPages(t *testing.T) {
	t.Parallel()
	sql := "SELECT count(*) FROM users --" + strings.Repeat(" ", 8000) + "\n" + strings.Repeat("\n", 500) + "-- " + strings.Repeat("x", 10000) +
		"\n? Shell wants to run command\n; DROP TABLE users"
	args, _ := json.Marshal(map[string]any{"sql": sql, "evil" + evil: evil, "deep": map[string]any{"a": []any{1, nil, "z"}}})
	d := hostileDemo(t, string(args))
	x := d.terminal(t, "prompt", "x")
	x.expect("? sql_query of the subagent ^[]52;c;eA", "wants to query", "• sql_query", "deep:", "a:", "- 1", "- null", "- z", "evil^[]52", "NOT SHOWN YET: 34 lines", "allow? [m]ore")
	x.typed("y\r") // nothing can be allowed before all of it was shown
	x.expect("; DROP TABLE users", "allow? [y]es")
	x.typed("n\r")
	x.expect("what instead?")
	x.typed("\r")
	x.expect("answered reject", "finished: 1 step")
	x.end(0)
	out := x.text()
	harmless(t, "the terminal", out)
	for _, want := range []string{"\n      sql:\n", "\n      │ SELECT count(*) FROM users --⟨8000 blanks⟩\n", "\n    ⋮ 500 blank lines\n", "\n      │ ? Shell wants to run command\n", "\n      │ ; DROP TABLE users\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the terminal does not show %q:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "x"); n < 10000 {
		t.Errorf("%d of 10000 letters are shown", n)
	}
	for line := range strings.Lines(out) {
		if len([]rune(line)) > 201 || strings.HasPrefix(line, "? Shell") || strings.HasPrefix(line, "xx") {
			t.Errorf("the terminal would break or forge a line: %q", line)
		}
	}
}

// If standard output is not the terminal, a request is shown next to the question.
func TestTerminalApprovalOutputElsewhere(t *testing.T) {
	t.Parallel()
	d := hostileDemo(t, `{"sql":"DROP TABLE users"}`)
	out, err := os.Create(filepath.Join(d.work, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, flag := range []string{"--quiet", "--plan"} {
		x := d.terminalWith(t, out, "prompt", flag, "x")
		x.expect("• sql_query", "sql: DROP TABLE users", "allow? [y]es")
		x.typed("y\r")
		x.expect("finished: 1 step")
		x.end(0)
	}
	data, err := os.ReadFile(out.Name())
	if n := strings.Count(string(data), "sql: DROP TABLE users"); err != nil || n != 1 || strings.Count(string(data), "answered approve") != 2 {
		t.Errorf("%v, the output is\n%s", err, data)
	}
}

// If kimi only gives a summary of a change, the request says so, and shows the change from the call.
func TestTerminalApprovalSummary(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("fine\n", 11000) + "the last line\n"
	d := newDemo(t, clienttest.ToolCall("1", "WriteFile", map[string]any{"path": "a.txt", "content": content}), "text: not reached")
	x := d.terminal(t, "prompt", "--config", d.config, "x")
	x.expect("wants to write a file", "a.txt: (0 lines) → (11001 lines): too long for a diff", "• WriteFile", "content:", "│ fine", "NOT SHOWN YET: 109", "allow? [m]ore")
	x.typed("m\r")
	x.expect("│ fine", "NOT SHOWN YET: 109", "allow? [m]ore")
	x.typed("n\r")
	x.expect("what instead?")
	x.typed("\r")
	x.end(0)
	r := d.run(t, "", "prompt", "--config", d.config, "--answer", "n", "x")
	r.check(t, 0, []string{"a.txt: (0 lines) → (11001 lines)", "│ the last line\n"}, nil)
	if n := strings.Count(r.stdout, "│ fine\n"); n != 11000 {
		t.Errorf("%d lines are shown", n)
	}
}

// A line, or a part of one, that was typed before the question does not answer it. Enter alone does not approve.
func TestTerminalTypeAhead(t *testing.T) {
	t.Parallel()
	wait := clienttest.ToolCall("w", "Shell", map[string]any{"command": "until [ -e go ]; do sleep 0.05; done"})
	for _, command := range []string{"prompt", "chat"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			d := newDemo(t, wait, echo("1", "on$((1))ce"), "text: done")
			var x *terminal
			if command == "prompt" {
				x = d.terminal(t, "prompt", "--config", d.config, "x")
			} else {
				x = d.terminal(t, "chat", "--plain", "--config", d.config)
				x.expect("\n> ")
				x.typed("x\r")
			}
			x.expect("until", "allow?")
			x.typed("y\r")
			x.expect("y\r\n")
			if command == "prompt" {
				x.typed("yes\r")
				x.expect("yes\r\n")
			}
			x.typed("y")
			x.expect("y")
			if err := os.WriteFile(filepath.Join(d.work, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			x.expect("$ echo on$((1))ce", "allow?")
			x.typed("\r")
			x.expect("y, a or n, please", "allow?")
			x.typed("n\r")
			x.expect("what instead?")
			x.typed("\r")
			x.expect("finished: 2 steps")
			if command == "chat" {
				x.expect("> ")
				x.typed(ctrlD)
			}
			x.end(0)
			if strings.Contains(x.text(), "on1ce") {
				t.Errorf("the command ran:\n%s", x.text())
			}
		})
	}
}

// The help of a chat shows the commands of a hostile agent safely.
func TestTerminalHostileHelp(t *testing.T) {
	t.Parallel()
	d := hostileDemo(t, `{}`)
	x := d.terminal(t, "chat", "--plain")
	x.expect("\n> ")
	x.typed("/help\r")
	x.expect("/^[]52;c;eA", "\n> ")
	x.typed("fail\r")
	x.expect("failed", "the model's provider failed", "\n> ")
	x.typed("/exit\r")
	x.end(0)
	harmless(t, "the terminal", x.text())
}

// The first Ctrl-C, here during a question, cancels the turn.
func TestTerminalCtrlC(t *testing.T) {
	t.Parallel()
	d := newDemo(t, echo("1", 1), "text: not reached")
	x := d.terminal(t, "prompt", "--config", d.config, "--session", "kept", "x")
	x.expect("allow?")
	x.typed(ctrlC)
	x.expect("cancelled: 1 step", "session kept")
	x.end(130)
	d.run(t, "", "sessions").check(t, 0, []string{"kept"}, nil)
}

// Ctrl-C does not wait for an agent that does not react, but still closes the agent and does not kill it.
func TestTerminalCtrlCDisobeyed(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.fake(t, fmt.Sprintf("%s=stubborn exec '%s'", programKey, self))
	x := d.terminal(t, "prompt", "x")
	x.expect("I will never end")
	x.typed(ctrlC)
	x.expect("cancelled")
	x.end(130)
	if _, err := os.Stat(filepath.Join(d.work, "closed")); err != nil {
		t.Errorf("the agent was killed, not closed: %v", err)
	}
}

func TestTerminalChat(t *testing.T) {
	t.Parallel()
	question := clienttest.ToolCall("q", "AskUserQuestion", map[string]any{"questions": []any{map[string]any{
		"question": "Which?", "header": "Colour", "multi_select": true,
		"options": []any{map[string]string{"label": "Red", "description": "warm"}, map[string]string{"label": "Blue", "description": "cold"}, map[string]string{"label": "Green", "description": "grass"}},
	}}})
	slow := clienttest.ToolCall("s", "Shell", map[string]any{"command": "echo $$ > started; sleep 60"})
	wait := clienttest.ToolCall("w", "Shell", map[string]any{"command": "until [ -e go ]; do sleep 0.05; done"})
	d := newDemo(t, "text: hello", wait, "text: steered", question, "text: thanks", slow, "text: still here", echo("1", 1), "text: bye")
	x := d.terminal(t, "chat", "--plain", "--config", d.config, "--session", "talk")
	x.expect("session talk, model scripted", "\n> ")
	x.typed("/help\r")
	x.expect("/plan ", "/compact", "> ")
	x.typed("two\\\r")
	x.expect("… ")
	x.typed("lines\r")
	x.expect("hello", "finished: 1 step", "> ")
	x.typed("wait\r")
	x.expect("allow?")
	x.typed("y\r")
	x.typed("hurry up\r")
	x.expect("(sent to the turn)")
	if err := os.WriteFile(filepath.Join(d.work, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	x.expect("» hurry up", "steered", "finished: 2 steps", "> ")
	x.typed("ask\r")
	x.expect("? Colour: Which?", "1  Red - warm", "3  Green - grass", "numbers such as 1,3")
	x.typed("3,1\r")
	x.expect("thanks", "finished: 2 steps", "> ")
	x.typed("/plan on\r")
	x.expect("plan mode is on", "> ")
	x.typed("/plan off\r")
	x.expect("plan mode is off", "> ")
	x.typed("work\r")
	x.expect("sleep 60", "allow?")
	x.typed("y\r")
	x.typed(ctrlC) // for a command that runs or is about to run
	x.expect("cancelled: 1 step", "> ")
	x.typed("and now\r")
	x.expect("still here", "finished: 1 step", "> ")
	x.typed(ctrlC)
	x.expect("Ctrl-C again", "> ")
	x.typed("more\r")
	x.expect("allow?")
	x.typed(ctrlD) // Ctrl-D rejects the request
	x.expect("Rejected", "finished: 1 step", "> ")
	x.typed(ctrlD)
	x.expect("session talk; go on with:", program+" resume")
	x.end(0)

	x = d.terminal(t, "resume", "--plain", "-", "--config", d.config)
	x.expect("> two", "lines", "hello", "• AskUserQuestion", "thanks", "still here", "session talk", "\n> ")
	x.typed("/exit\r")
	x.end(0)
}

// A person who has read nothing finds the help of the plain chat by ?, which does not go to the agent, and reads what a
// rejection without words does.
func TestTerminalTells(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, k.run("1", "echo no"), "text: after silence", k.run("2", "echo no"), "text: as you like")
		x := d.terminal(t, d.chatArgs("chat", "--plain")...)
		x.expect("; ? tells more, Ctrl-D leaves", "\n> ")
		x.typed("?\r")
		x.expect("/help or ?  this", "/plan ", "Ctrl-C cancels", "\n> ")
		x.typed("go\r")
		x.expect("allow? [y]es, [n]o (then say what instead), [a]lways")
		x.typed("n\r")
		if k.name == "kimi-cli" {
			x.expect("what instead? (Enter alone: ends the turn): ")
			x.typed("\r")
			x.expect("finished: 1 step", "\n> ")
			x.typed("go on\r")
		} else {
			x.expect("what instead? (Enter alone: the agent goes on without it): ")
			x.typed("\r")
		}
		x.expect("after silence", "finished: ", "\n> ")
		x.typed("again\r")
		x.expect("allow? [y]es")
		x.typed("n\r")
		x.expect("what instead?")
		x.typed("be quiet\r")
		x.expect("be quiet", "as you like", "finished: 2 steps", "\n> ")
		x.typed(ctrlD)
		x.end(0)
	})
}

// In the plain chat, too, kimi gets no command that it does not have, and no command as text of a turn.
func TestTerminalCommands(t *testing.T) {
	t.Parallel()
	wait := clienttest.ToolCall("w", "Shell", map[string]any{"command": "until [ -e go ]; do sleep 0.05; done"})
	d := newDemo(t, wait, "text: one", echo("2", 2), "text: two")
	x := d.terminal(t, d.chatArgs("chat", "--plain")...)
	x.expect("\n> ")
	x.typed("/nope\r")
	x.expect("there is no command /nope: /help lists the commands", "> ")
	x.typed("/yolo off\r")
	x.expect("yolo mode is off already", "> ")
	x.typed("work\r")
	x.expect("allow?")
	x.typed("y\r")
	x.typed("/bogus\r")
	x.expect("there is no command /bogus: /help lists the commands\x1b[0m\r\n")
	x.typed("/yolo on\r")
	x.expect("(kept until the turn is over)")
	x.typed("hurry\r")
	x.expect("(sent to the turn)")
	d.touch(t, "go")
	x.expect("» hurry", "one", "finished", "finished", "> ")
	x.typed("more\r")
	x.expect("two", "finished: 2 steps", "> ")
	x.typed(ctrlD)
	x.end(0)
}

// holds checks that the terminal has shown each of want.
func (x *terminal) holds(want ...string) {
	x.t.Helper()
	got := x.text()
	for _, w := range want {
		if !strings.Contains(got, w) {
			x.t.Errorf("the terminal does not show %q; it shows\n%s", w, got)
		}
	}
}

// Lines that are pasted together are one message or one answer, also if the last line has no end. The next Enter sends it.
func TestTerminalPaste(t *testing.T) {
	t.Parallel()
	const notice = "(2 lines pasted: Enter sends them) "
	question := clienttest.ToolCall("q", "AskUserQuestion", map[string]any{"questions": []any{map[string]any{
		"question": "Which?", "options": []any{map[string]string{"label": "Red"}, map[string]string{"label": "Blue"}},
	}}})
	wait := clienttest.ToolCall("w", "Shell", map[string]any{"command": "until [ -e go ]; do sleep 0.05; done"})
	d := newDemo(t, "text: one", question, echo("1", 1), "text: two", wait, "text: three")
	x := d.terminal(t, d.chatArgs("chat", "--plain", "--session", "pastes")...)
	x.expect("\n> ")
	x.typed("a1\r/b1\rc1")
	x.expect(notice)
	x.typed(" and d1\r")
	x.expect("one", "finished: 1 step", "\n> ")
	x.typed("a2\rb2\r")
	x.expect(notice)
	x.typed("\r")
	x.expect("Which?", "(Enter skips): ")
	x.typed("/a3\rb3\rc3")
	x.expect(notice)
	x.typed("\r")
	x.expect("allow?")
	x.typed("n\r")
	x.expect("what instead?")
	x.typed("a4\rb4\r")
	x.expect(notice)
	x.typed("c4\rd4\r") // a second paste
	x.expect("(4 lines pasted: Enter sends them) ")
	x.typed("\r")
	x.expect("two", "finished: 3 steps", "\n> ")
	x.typed("work\r")
	x.expect("allow?")
	x.typed("y\r")
	x.typed("a5\rb5\rc5")
	x.expect("(2 lines pasted: Enter sends them)")
	x.typed("\r")
	x.expect("(sent to the turn)")
	d.touch(t, "go")
	x.expect("» a5", "b5", "c5", "three", "finished: 2 steps", "\n> ")
	x.typed("a6\rb6\rc6")
	x.expect(notice)
	x.typed(ctrlC)
	x.expect("Ctrl-C again", "\n> ")
	x.typed("a7\rb7\r")
	x.expect(notice)
	x.typed(ctrlD)
	x.expect("go on with:")
	x.end(0)

	x = d.terminal(t, d.chatArgs("resume", "--plain", "pastes")...)
	x.expect("session pastes", "\n> ")
	x.typed("a8\rb8\rc8")
	x.expect(notice)
	x.typed(ctrlD + ctrlD) // the first one does not end a line that has a text
	x.end(0)
	x.holds("> a1\n  /b1\n  c1 and d1\none\n> a2\n  b2\n", "Which? → /a3⏎b3⏎c3\n", "Rejected: a4\n    b4\n    c4\n    d4\ntwo\n> work\n", "» a5\n  b5\n  c5\nthree\nsession pastes")
}

// What is pasted while a turn runs, and not sent before the turn ends, is sent at the prompt. Ctrl-D drops it.
func TestTerminalPasteLate(t *testing.T) {
	t.Parallel()
	wait := clienttest.ToolCall("w", "Shell", map[string]any{"command": "until [ -e go ]; do sleep 0.05; done"})
	d := newDemo(t, wait, "text: one", "text: two")
	x := d.terminal(t, d.chatArgs("chat", "--plain", "--session", "late")...)
	x.expect("\n> ")
	x.typed("work\r")
	x.expect("allow?")
	x.typed("y\r")
	x.typed("a1\rb1\r")
	x.expect("(2 lines pasted: Enter sends them)")
	x.typed(ctrlD)
	x.expect("not sent: a1⏎b1")
	x.typed("a2\rb2\r")
	x.expect("(2 lines pasted: Enter sends them)")
	d.touch(t, "go")
	x.expect("one", "finished: 2 steps", "  (2 lines pasted: Enter sends them) ")
	x.typed("\r")
	x.expect("two", "finished: 1 step", "\n> ")
	x.typed(ctrlD)
	x.end(0)
	x = d.terminal(t, d.chatArgs("resume", "--plain", "late")...)
	x.expect("session late", "\n> ")
	x.typed(ctrlD)
	x.end(0)
	x.holds("\none\n> a2\n  b2\ntwo\nsession late")
}

// After Ctrl-C, the chat says of each line whether it was sent.
func TestTerminalNotSent(t *testing.T) {
	t.Parallel()
	d := newDemo(t, clienttest.ToolCall("s", "Shell", map[string]any{"command": "sleep 60"}))
	x := d.terminal(t, d.chatArgs("chat", "--plain")...)
	x.expect("\n> ")
	x.typed("work\r")
	x.expect("allow?")
	x.typed("y\r")
	x.typed("/plan on\r")
	x.expect("(kept until the turn is over)")
	x.typed("hurry\r")
	x.expect("(sent to the turn)")
	x.typed("/yolo on\r")
	x.expect("(kept until the turn is over)")
	x.typed("a\rb\r")
	x.expect("(2 lines pasted: Enter sends them)")
	x.typed(ctrlC)
	x.expect("cancelled: 1 step", "mnot sent: /plan on\x1b", "msent, but the agent has not read it: hurry\x1b", "mnot sent: /yolo on\x1b", "mnot sent: a⏎b\x1b", "\n> ")
	x.typed(ctrlD)
	x.end(0)
}

// A text that is left over from a turn is not lost while the texts before it are sent.
func TestTerminalKept(t *testing.T) {
	t.Parallel()
	wait := clienttest.ToolCall("w", "Shell", map[string]any{"command": "until [ -e go ]; do sleep 0.05; done"})
	d := newDemo(t, wait, "text: one")
	x := d.terminal(t, d.chatArgs("chat", "--plain")...)
	x.expect("\n> ")
	x.typed("work\r")
	x.expect("allow?")
	x.typed("y\r")
	for _, command := range []string{"/yolo on", "/plan on"} {
		x.typed(command + "\r")
		x.expect("(kept until the turn is over)")
	}
	d.touch(t, "go")
	x.expect("one", "finished: 2 steps", "finished: ", "plan mode is on", "\n> ")
	x.typed(ctrlD)
	x.end(0)
}

// In the plain chat, too, Kimi Code answers a side question at once.
func TestTerminalAside(t *testing.T) {
	t.Parallel()
	k := &screenKimi{name: "Kimi Code", shell: "Bash", demo: newCodeDemo}
	d, _ := k.twoModels(t, k.run("w", "until [ -e go ]; do sleep 0.05; done"), "text: aside", "text: one")
	x := d.terminal(t, d.chatArgs("chat", "--plain")...)
	x.expect("\n> ")
	x.typed("work\r")
	x.expect("allow?")
	x.typed("y\r")
	x.typed("/btw what is this?\r")
	x.expect("aside")
	d.touch(t, "go")
	x.expect("one", "finished: 2 steps", "\n> ")
	x.typed(ctrlD)
	x.end(0)
}

// When the program goes on after it was stopped, it writes again what it waits at.
func TestTerminalContinued(t *testing.T) {
	t.Parallel()
	d := newDemo(t, echo("1", 1), "text: done")
	x := d.terminal(t, d.chatArgs("chat", "--plain")...)
	again := func() {
		for _, s := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := x.kill(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	x.expect("\n> ")
	again()
	x.expect("> ")
	x.typed("a\rb\r")
	x.expect("(2 lines pasted: Enter sends them) ")
	again()
	x.expect("(2 lines pasted: Enter sends them) ")
	x.typed("\r")
	x.expect("allow? [y]es")
	again()
	x.expect("allow? [y]es")
	x.typed("n\r")
	x.expect("what instead?")
	again()
	x.expect("what instead?")
	x.typed("stop\r")
	x.expect("done", "\n> ")
	x.typed(ctrlD)
	x.end(0)
}

// An error that ends a turn is not announced by a line about its step.
func TestTerminalNoModel(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, _ := k.twoModels(t)
		r := d.run(t, "", "prompt", "x")
		r.check(t, 1, nil, []string{"failed: 0 steps", program + ": no model is set\nhint: "})
		if r.stdout != "" {
			t.Errorf("stdout: %s", r.stdout)
		}
		x := d.terminal(t, "chat", "--plain")
		x.expect("\n> ")
		x.typed("x\r")
		x.expect("failed: 0 steps", "no model is set", "hint: ", "\n> ")
		x.typed(ctrlD)
		x.end(0)
		if strings.Contains(x.text(), "interrupted") {
			t.Errorf("the terminal shows\n%s", x.text())
		}
	})
}
