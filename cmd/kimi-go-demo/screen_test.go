//go:build !windows

package main

import (
	"encoding/base64"
	"fmt"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

// Each answer to an approval does what its name says.
func TestScreenApprovals(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		scripts := []string{
			"think: hm\ntext: hello **there**",
			"text: I will\n" + k.run("1", "echo on$((1))ce"), "text: done once",
			k.run("2", "echo never"), "text: as you like",
		}
		d := k.demo(t, scripts...)
		g := d.glass(t, 80, 24, d.chatArgs("chat", "--session", "talk")...)
		g.shows("starting kimi")
		g.shows("session", "Ctrl-D leaves", "\n>\n", "asks first", "Enter sends")
		g.typed("hi\r")
		g.shows("> hi", "✻ thought for", "hm", "  hello there", "finished after", "1 step")
		g.typed("go\r")
		g.asked("wants to", "echo on$((1))ce", "y yes, once", "n no", "a always")
		g.typed("y")
		g.shows("  I will", "✓ "+k.shell, "allowed", "└ on1ce", "  done once", "finished after")
		g.typed("again\r")
		g.asked("echo never", "y yes, once")
		g.typed("e")
		g.shows("What should it do instead?")
		g.typed("no noise\r")
		g.shows("✗ "+k.shell, "refused: no noise", "as you like", "finished after")
		g.typed(ctrlD)
		g.end(0)
		g.shows("go on with:")
		if all := g.all(); strings.Contains(all, "never1") || strings.Count(all, "  hello there") != 1 || strings.Count(all, "└ on1ce") != 1 {
			t.Errorf("what is shown is not shown once:\n%s", all)
		}
	})
}

// Nothing can be allowed before all of it has been on the screen. Before that, y shows the next page.
func TestScreenPages(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		for _, key := range []string{"y", "a"} {
			t.Run(key, func(t *testing.T) {
				t.Parallel()
				var command strings.Builder
				for i := range 40 {
					fmt.Fprintf(&command, "echo line %d of many that are as long as this one\n", i+1)
				}
				d := k.demo(t, k.run("1", command.String()+"echo la$((1))st"), "text: done")
				g := d.glass(t, 80, 24, d.chatArgs("chat")...)
				g.shows("Enter sends")
				g.typed("go\r")
				press := func() { // a second letter before the first one has had its effect would be text
					t.Helper()
					meaning := map[string]string{"y": "y: yes", "a": "a: always"}[key]
					g.typed(key)
					g.shows(meaning)
					g.gone(meaning)
				}
				g.asked("echo line 1 of", "NOT SHOWN YET: ", "lines 1 to ", "m shows more", "m show the rest first")
				press()
				g.gone("echo line 1 of")
				g.resize(40, 24) // the lines now break at other places, so the first page is shown again
				g.asked("echo line 1 of", "NOT SHOWN YET: ", "lines 1 to ")
				g.resize(80, 6)
				g.shows("make the window larger")
				g.typed(key)
				g.resize(80, 24)
				g.asked("echo line 1 of", "NOT SHOWN YET: ", "lines 1 to ")
				for page := 0; !strings.Contains(g.now(), "$ echo la$((1))st") && !strings.Contains(g.now(), "echo la$((1))st"); page++ {
					if strings.Contains(g.all(), "la1st") || page > 10 {
						t.Fatalf("it ran, or does not end:\n%s", g.all())
					}
					press()
					g.asked("wants to", "lines ", " of ")
				}
				g.gone("NOT SHOWN")
				g.asked("y yes, once")
				g.typed(key)
				if key == "a" {
					g.asked("What is always allowed?")
					g.typed("\r")
				}
				g.shows("✓ "+k.shell, "allowed", "  done", "finished after")
				g.typed("\x0f")
				g.shows("la1st")
				g.typed(ctrlD)
				g.end(0)
			})
		}
	})
}

// Text that was typed before a request appeared does not answer the request, and is not lost.
func TestScreenTypedTooEarly(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, k.run("w", "until [ -e go ]; do sleep 0.05; done"), k.run("1", "echo on$((1))ce"), "text: as you like")
		g := d.glass(t, 80, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("x\r")
		g.asked("until [", "y yes, once")
		g.typed("y")
		g.shows(k.shell + " runs")
		g.typed("y")
		g.shows("\n> y\n")
		d.touch(t, "go")
		g.asked("echo on$((1))ce", "y yes, once", "\n> y\n", "Esc, then")
		g.typed("es")
		g.shows("echo on$((1))ce", "\n> yes\n") // more of the text does not answer the request, either
		g.typed("\x1b")
		g.shows("echo on$((1))ce", "\n> yes\n", "\na key answers")
		g.typed("n")
		g.shows("✗ "+k.shell, "refused", "finished after")
		g.shows("\n> yes\n") // the text can still be sent
		g.typed("\x15" + ctrlD)
		g.end(0)
		if strings.Contains(g.all(), "on1ce") {
			t.Errorf("the command ran:\n%s", g.all())
		}
	})
}

// The screen tells a new user how to approve, queue, steer, take back, cancel, plan, fork, continue and leave.
func TestScreenTells(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, k.run("w", "until [ -e go ]; do sleep 0.05; done"), "text: steered", "text: queued", k.run("s", "sleep 60"), "text: not reached")
		g := d.glass(t, 110, 24, d.chatArgs("chat", "--session", "talk")...)
		g.shows("Enter sends", "/ commands", "@ files", "Ctrl-D leaves", "Shift-Tab plan mode")
		g.typed("/")
		g.shows("❯ /help", "/plan", "/model", "/effort", "/fork", "N: go on in a copy", "/undo", "Tab or Enter completes")
		g.typed("\x15\x1b[Z") // Shift-Tab
		g.shows("plan mode · context")
		g.typed("\x1b[Z")
		g.shows("asks first · context")
		g.typed("work\r")
		g.asked("y yes, once", "n no", "e no, and say what instead", "a always")
		g.typed("y")
		g.shows("Enter queues", "Tab: steer instead", "Ctrl-C cancels")
		g.typed("later\r")
		g.shows("⋯ queued: later", "↑ takes back")
		g.typed("oops\r")
		g.shows("⋯ queued: oops")
		g.typed("\x1b[A")
		g.shows("\n> oops")
		g.typed("\x15\t")
		g.shows("Enter steers the turn")
		g.typed("hurry\r")
		g.shows("» steers: hurry")
		d.touch(t, "go")
		g.shows("» hurry", "  steered", "> later", "  queued", "finished after")
		g.typed("more\r")
		g.asked("sleep 60", "y yes, once")
		g.typed("y")
		g.shows(k.shell+" runs", "Ctrl-C cancels")
		g.typed(ctrlC)
		g.shows("cancelled after", "Ctrl-C again leaves")
		g.typed(ctrlC)
		g.end(130)
		g.shows("session ", "go on with:")
	})
}

func TestScreenQuestions(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		option := func(label, about string) map[string]string {
			return map[string]string{"label": label, "description": about}
		}
		ask := clienttest.ToolCall("q", "AskUserQuestion", map[string]any{"questions": []any{
			map[string]any{"question": "Which one?", "header": "Colour", "options": []any{option("Red", "warm"), option("Blue", "cold")}},
			map[string]any{"question": "Which ones?", "header": "Parts", "multi_select": true, "options": []any{option("tests", "a"), option("docs", "b"), option("code", "c")}},
			map[string]any{"question": "Which else?", "header": "Others", "multi_select": true, "options": []any{option("tools", "d"), option("images", "e")}},
			map[string]any{"question": "Why would anyone want to do such a thing, and not another one of these?", "header": "Reason", "options": []any{option("Because", "x"), option("Just so", "y")}},
		}})
		d, model := k.twoModels(t, ask, "text: thanks")
		g := d.glass(t, 60, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("ask\r")
		g.asked("? AskUserQuestion Which one? / Wh", "waits for you", "? (1 of 4) Colour: Which one?", "❯ 1 Red  warm", "2 Blue  cold", "3 Something else: type it", "Enter chooses")
		g.typed("\x1b[B") // down
		g.shows("❯ 2 Blue")
		g.typed("\r")
		g.asked("? (2 of 4) Parts: Which ones?", "1 [ ] tests", "Space or a number marks")
		g.typed("13")
		g.shows("[x] tests", "[ ] docs", "❯ 3 [x] code")
		g.typed("\r")
		g.asked("? (3 of 4) Others: Which else?")
		g.typed("\r")
		g.shows("nothing is marked")
		g.shows("3 [ ] None of these", "4 Something else: type it")
		g.typed("3\r")
		g.asked("? (4 of 4) Reason: Why would anyone want to do such a\n  thing, and not another one of these?\n")
		g.typed("3\r")
		g.shows("Your answer")
		g.typed("it is 世界\r")
		g.shows("answered", "Which one? → Blue", "Which ones? → tests, code", "Which else? → None of these", "→ it is 世界", "  thanks", "finished after")
		g.typed(ctrlD)
		g.end(0)
		asked := model.Requests()
		for _, answer := range []string{"Blue", "tests, code", "None of these", "it is 世界"} {
			if last := string(asked[len(asked)-1]); !strings.Contains(last, `\":\"`+answer+`\"`) && !strings.Contains(last, `\": \"`+answer+`\"`) {
				t.Errorf("the model is not told %q: %s", answer, last)
			}
		}
	})
}

// A plan is shown as Markdown. It can be approved, sent back with a text, or refused.
func TestScreenPlan(t *testing.T) {
	t.Parallel()
	exit := func(id string) string { return clienttest.ToolCall(id, "ExitPlanMode", map[string]any{}) }
	d := newDemo(t, clienttest.ToolCall("p1", "EnterPlanMode", map[string]any{}), exit("p2"), "text: no file yet",
		exit("p3"), exit("p4"), "text: off I go")
	g := d.glass(t, 80, 30, d.chatArgs("chat")...)
	g.shows("Enter sends")
	g.typed("plan it\r")
	g.asked("? Plan Mode: Enter plan mode?", "❯ 1 Yes")
	g.typed("1\r")
	g.shows("no file yet", "finished after", "plan mode")
	g.typed("\x0f") // show all of the result, which names the file
	g.shows("Write your plan to ")
	joined := strings.ReplaceAll(strings.ReplaceAll(g.all(), "\n    ↪ ", ""), "\n", " ")
	_, rest, _ := strings.Cut(joined, "Write your plan to ")
	file, _, _ := strings.Cut(rest, " first")
	if err := os.WriteFile(file, []byte("# The plan\n\n1. do **it**\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.typed("show it\r")
	g.asked("plan ", "  The plan", "  1. do it", "? Plan: Approve this plan", "❯ 1 Approve", "2 Reject", "4 Revise")
	g.typed("4\r")
	g.shows("What should change?")
	g.typed("shorter\r")
	g.asked("answered: shorter", "? Plan: Approve this plan")
	g.typed("1\r")
	g.shows("answered: Approve", "  off I go", "finished after", "asks first")
	g.typed(ctrlD)
	g.end(0)
}

// The screen works in a narrow window, after a change of its size, and with wide characters.
func TestScreenSizes(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		table := "| 名前 | value |\n|---|---|\n| 世界 | one two three four five six seven eight nine |\n"
		d := k.demo(t, clienttest.Text(strings.Repeat("世界 ", 40)+"\n\n"+table+"\n```go\nfunc main() {}\n```\nend"), "text: again")
		g := d.glass(t, 60, 20, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("世界\x1b[D\x1b[Dお\r") // twice the key "left"
		g.shows("> お世界", "  世界 世界", "│ 名前 │", "│ 世界 │ one two", "func main() {}", "  end", "finished after")
		for l := range strings.SplitSeq(g.all(), "\n") {
			if n := ansi.StringWidth(l); n > 60 {
				t.Errorf("%d columns: %q", n, l)
			}
		}
		g.resize(100, 30)
		g.typed("more\r")
		g.shows("> more", "  again", "finished after", "Shift-Tab plan mode")
		g.until("the answer once", func(all string) bool { return strings.Count(all, "  again") == 1 })
		g.typed(ctrlD)
		g.end(0)
	})
}

// Without an id, a person chooses a session, sees its history and continues. Earlier typed texts are offered again.
func TestScreenResume(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, "text: the first answer", "text: the second answer", "text: the third answer")
		for _, id := range []string{"alpha", "beta"} {
			g := d.glass(t, 80, 24, d.chatArgs("chat")...)
			g.shows("Enter sends")
			g.typed("about " + id + "\r")
			g.shows("answer", "finished after")
			g.typed(ctrlD)
			g.end(0)
		}
		g := d.glass(t, 80, 24, d.chatArgs("resume")...)
		g.shows("Which session? 2 of 2", "about beta", "about alpha", "type to search")
		g.typed("alph")
		g.shows("Which session? 1 of 2", "❯ about alpha")
		g.typed("\r")
		g.shows("> about alpha", "  the first answer", "Enter sends")
		g.typed("\x1b[A\x1b[A")
		g.shows("\n> about alpha\n")
		g.typed("\r")
		g.shows("answer", "finished after")
		g.typed(ctrlD)
		g.end(0)
		g.shows("go on with:")

		g = d.glass(t, 40, 24, d.chatArgs("resume")...)
		g.shows("Which session?", "type to search · ↑ ↓ choose · Enter goes\non with it · Esc leaves")
		g.typed("\x1b")
		g.end(130)
	})
}

// If the terminal cannot have a screen, or the user does not want one, the chat has plain lines.
func TestScreenPlain(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct {
		env  string
		args []string
	}{
		"--plain":    {"X=1", []string{"chat", "--plain"}},
		"ACCESSIBLE": {"ACCESSIBLE=1", []string{"chat"}},
		"dumb":       {"TERM=dumb", []string{"chat"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDemo(t, "text: hello")
			d.env = append(d.env, how.env)
			x := d.terminal(t, d.chatArgs(how.args...)...)
			x.expect("Ctrl-D leaves", "\n> ")
			x.typed("hi\r")
			x.expect("hello", "finished: 1 step", "> ")
			x.typed(ctrlD)
			x.end(0)
			if strings.Contains(x.text(), "\x1b") && name == "dumb" || strings.Contains(x.text(), "\x1b[?") {
				t.Errorf("the terminal is moved about: %q", x.text())
			}
		})
	}
}

// With NO_COLOR, the output has no colour and no other style.
func TestScreenNoColour(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "think: hm\ntext: **bold**\n"+echo("1", 1), "text: x")
	d.env = append(d.env, "NO_COLOR=1")
	x := d.terminal(t, d.chatArgs("chat", "--answer", "y")...)
	x.expect("Enter sends")
	x.typed("hi\r")
	x.expect("bold", "finished after")
	x.typed(ctrlD)
	x.end(0)
	if m := sgr.FindString(x.text()); m != "" {
		t.Errorf("there is the style %q in %q", m, x.text())
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*[1-9][0-9;]*m")

// On a light background, the colours are darker. Keys that are pressed while the terminal is asked for its background
// are not lost.
func TestScreenBackground(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		paper        color.Color
		term         string
		asks, result color.Color
	}{
		"light":                     {color.White, "xterm-256color", ansi.IndexedColor(94), ansi.IndexedColor(28)},
		"dark":                      {color.Black, "xterm-256color", ansi.Yellow, ansi.Green},
		"light, but few colours":    {color.White, "xterm", ansi.Yellow, ansi.Green},
		"a terminal that is silent": {nil, "xterm-256color", ansi.Yellow, ansi.Green},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDemo(t, echo("1", "on$((1))ce"), "text: done")
			d.env = append(d.env, "TERM="+tt.term, "COLORTERM=")
			g := d.glassOn(t, 80, 24, tt.paper, d.command(t, d.chatArgs("chat")...))
			g.typed("draft")
			g.shows("\n> draft\n", "Enter sends")
			g.typed("\r")
			g.asked("wants to run a command", "y yes, once")
			if got := g.colour("Shell wants to"); got != tt.asks {
				t.Errorf("the request is %v, want %v", got, tt.asks)
			}
			g.typed("y")
			g.shows("✓ Shell", "  done", "finished after")
			if got := g.colour("✓ Shell"); got != tt.result {
				t.Errorf("the result is %v, want %v", got, tt.result)
			}
			g.typed(ctrlD)
			g.end(0)
		})
	}
}

// A picture is sent if its file is dropped on the terminal, or if it is in the clipboard.
func TestScreenPictures(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, model := k.twoModels(t, "text: seen", "text: seen again")
		picture, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
		if err != nil {
			t.Fatal(err)
		}
		bin := t.TempDir()
		file := filepath.Join(bin, "it's a picture.png")
		if err := os.WriteFile(file, picture, 0o600); err != nil {
			t.Fatal(err)
		}
		board := "#!/bin/sh\n[ -e '" + bin + "/full' ] && exec cat \"" + file + "\"\necho nothing is copied >&2\nexit 1\n"
		if err := os.WriteFile(filepath.Join(bin, "wl-paste"), []byte(board), 0o700); err != nil {
			t.Fatal(err)
		}
		d.env = append(d.env, "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+bin)
		g := d.glass(t, 200, 24, "chat", "--config", d.config, "--model", "seeing")
		g.shows("Enter sends")
		g.typed("\x1b[200~'" + strings.ReplaceAll(file, "'", `'\''`) + "'\x1b[201~look\r")
		g.shows("> @\"", "it's a picture.png\" look", "  seen", "finished after")
		g.typed("\x16") // Ctrl-V
		g.shows("no picture is in the clipboard")
		if err := os.WriteFile(filepath.Join(bin, "full"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		g.typed("\x16")
		g.shows("> @"+bin, ".png")
		g.typed("again\r")
		g.shows("  seen again", "finished after")
		g.typed(ctrlD)
		g.end(0)
		for i, r := range model.Requests() {
			if n := strings.Count(string(r), "data:image/png;base64,"); n != i+1 {
				t.Errorf("request %d has %d pictures: %.2000s", i+1, n, r)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(bin, "kimi-go-demo-*")); left != nil {
			t.Errorf("files are left: %q", left)
		}
	})
}

// With prices, the status line and the summary of a turn show the cost.
func TestScreenPrice(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, _ := k.twoModels(t, "text: hello", "text: again")
		g := d.glass(t, 100, 24, "chat", "--config", d.config, "--price", "1000,1000000")
		g.shows("Enter sends")
		g.typed("hi\r")
		g.shows("  hello", "finished after", " in, ", " out · cost ")
		g.typed(ctrlD)
		g.end(0)
		d.run(t, "", "prompt", "--config", d.config, "--price", "1000,1000000", "x").check(t, 0, []string{"again"}, []string{"finished: 1 step", "cost "})
		d.run(t, "", "prompt", "--config", d.config, "--price", "cheap", "x").check(t, 2, nil, []string{`--price "cheap"`, "--price 0.60,2.50"})
	})
}

// The agent cannot control the terminal: its title, its clipboard and its screen.
func TestScreenHostile(t *testing.T) {
	t.Parallel()
	d := hostileDemo(t, `{"sql":"DROP TABLE users"}`)
	g := d.glass(t, 80, 30, "chat")
	g.shows("Enter sends")
	g.typed("x\r")
	g.asked("wants to query", "sql: DROP TABLE users", "y yes, once")
	g.typed("y")
	g.shows("answered approve", "finished after")
	g.typed("/help\r")
	g.shows("Alt-Enter", "/^[]52;c;eA")
	g.typed("fail\r")
	g.shows("failed after", "the model's provider failed")
	g.typed(ctrlD)
	g.end(0)
	harmless(t, "the terminal", g.all())
}

// Ctrl-Z returns the terminal to the shell. Then the chat continues with the text that was typed.
func TestScreenSuspend(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: hello", "text: again")
	cmd := d.command(t, d.chatArgs("chat")...)
	shell := exec.Command("bash", "-c", `set -m; "$@"; echo ba""ck; fg; echo en""d $?`)
	shell.Args = append(append(shell.Args, "bash"), cmd.Args...)
	shell.Env, shell.Dir = cmd.Env, cmd.Dir
	g := d.glassOf(t, 80, 24, shell)
	g.shows("Enter sends")
	g.typed("hi\r")
	g.shows("  hello", "finished after")
	g.typed("dra\x1a")
	g.shows("Stopped", "back", "\n> dra")
	g.typed("ft\r")
	g.shows("> draft", "  again", "finished after")
	g.typed(ctrlD)
	g.end(0)
	g.shows("go on with", "end 0")
}

// If a turn ends while the chat is in the background, its end does not overwrite what the shell has shown.
func TestScreenSuspendWorking(t *testing.T) {
	t.Parallel()
	d := newCodeDemo(t, "text: It begins\nwait: 2s\ntext_json: \" and\\n\\nends.\"")
	cmd := d.command(t, d.chatArgs("chat")...)
	shell := exec.Command("bash", "-c", `set -m; seq 30; "$@"; for i in 1 2 3 4; do echo kept$i; done; sleep 4; echo m""ore; fg; echo en""d $?`)
	shell.Args = append(append(shell.Args, "bash"), cmd.Args...)
	shell.Env, shell.Dir = cmd.Env, cmd.Dir
	g := d.glassOf(t, 80, 24, shell)
	g.shows("Enter sends")
	g.typed("hi\r")
	g.shows("> hi", "  It begins")
	g.typed("\x1a")
	g.shows("Stopped", "kept1\n", "kept2\n", "kept3\n", "kept4\n", "more\n", "  It begins and\n\n  ends.", "finished after", "Enter sends")
	g.typed(ctrlD)
	g.end(0)
	g.shows("go on with", "end 0")
}

// Requests that come together are shown as a list. Each is answered separately. An answer for the session also answers
// the others of the same kind.
func TestScreenSeveral(t *testing.T) {
	t.Parallel()
	d := newDemo(t, echo("1", "on$((1))e")+"\n"+echo("2", "tw$((1))o")+"\n"+echo("3", "thre$((1))"), "text: done")
	g := d.glass(t, 100, 30, d.chatArgs("chat")...)
	g.shows("Enter sends")
	g.typed("go\r")
	g.asked("3 requests wait for you; Tab shows the next", "❯ Shell: echo on$((1))e", "  Shell: echo tw$((1))o", "? Shell wants to run a command", "$ echo on$((1))e", "a always: choose what it covers")
	g.typed("\t")
	g.asked("❯ Shell: echo tw$((1))o", "$ echo tw$((1))o")
	g.typed("n")
	g.asked("2 requests wait for you", "y yes, once")
	g.gone("Shell: echo tw")
	g.typed("a")
	g.asked("What is always allowed?", "❯ 1 every later “run command”")
	g.typed("\r")
	g.shows("on1e", "thre1", "finished after")
	g.typed(ctrlD)
	g.end(0)
	if all := g.all(); strings.Contains(all, "tw1o") || !strings.Contains(all, "refused") || !strings.Contains(all, "always allowed") {
		t.Errorf("the answers went to others:\n%s", all)
	}
}

// The conversation is written to a file. An existing file is not overwritten.
func TestScreenExport(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, "text: before\n"+k.run("1", "echo on$((1))ce"), "text: **after**")
		g := d.glass(t, 120, 24, d.chatArgs("chat", "--answer", "y")...)
		g.shows("Enter sends")
		g.typed("do it\r")
		g.shows("allowed by --answer", "on1ce", "  after", "finished after")
		g.typed("/export talk.md\r")
		g.shows("the conversation is in ", "talk.md")
		g.typed("/export talk.md\r")
		g.shows("talk.md is there already; name another file")
		g.typed(ctrlD)
		g.end(0)
		data, err := os.ReadFile(filepath.Join(d.work, "talk.md"))
		if err != nil {
			t.Fatal(err)
		}
		rest := string(data)
		for _, want := range []string{"# do it\n", "## You\n\ndo it\n", "## Agent\n\nbefore\n", "Calls `" + k.shell + "`", "echo on$((1))ce", "Result:\n\n```\n", "on1ce", "**after**"} {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Fatalf("%q is not in\n%s", want, data)
			}
			rest = after
		}
	})
}

// The work of a subagent is shown below the call that has started it, and its requests are shown separately. A todo
// list changes in place. A change of a file is shown word by word.
func TestScreenWork(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		todo := func(id, status string) string {
			return clienttest.ToolCall(id, k.todo, map[string]any{"todos": []any{map[string]string{"title": "the only task", "status": status}}})
		}
		d := k.demo(t, todo("t1", "in_progress")+"\n"+clienttest.ToolCall("ag", "Agent", map[string]any{"description": "some work", "prompt": "do it", "subagent_type": "coder"}),
			"text: within\n"+k.run("sub", "echo by-s$((1))b"), "text: "+strings.Repeat("what was done ", 30),
			clienttest.ToolCall("e", k.edit, k.editArgs("a.txt", "two three", "two 3")), todo("t2", "done"), "text: all done")
		if err := os.WriteFile(filepath.Join(d.work, "a.txt"), []byte("one two three four\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		g := d.glass(t, 100, 40, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("go\r")
		g.asked("Agent some work", "  │ ", "within", "[>] the only task", "coder", "$ echo by-s$((1))b", "y yes, once")
		g.typed("y")
		g.asked("wants to", "a.txt", "two three", "two 3", "y yes, once")
		g.typed("y")
		g.shows("✓ Agent some work", "  │   within", "  │ ✓ "+k.shell, "  │   └ by-s1b", "✓ "+k.edit, "  all done", "[x] the only task", "finished after")
		g.typed(ctrlD)
		g.end(0)
		if n := strings.Count(g.all(), "the only task"); n != 1 {
			t.Errorf("the todo list is shown %d times:\n%s", n, g.all())
		}
		data, err := os.ReadFile(filepath.Join(d.work, "a.txt"))
		if err != nil || string(data) != "one two 3 four\n" {
			t.Errorf("%q, %v", data, err)
		}
	})
}

// /undo takes turns back. /fork makes a copy of the session, and both continue independently.
func TestScreenForkUndo(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, model := k.twoModels(t, "text: one", "text: two", "text: three", "text: four")
		g := d.glass(t, 120, 30, "chat", "--config", d.config)
		g.shows("Enter sends")
		for _, turn := range [][2]string{{"alpha", "one"}, {"beta", "two"}} {
			g.typed(turn[0] + "\r")
			g.shows("> "+turn[0], "  "+turn[1], "finished after")
		}
		g.typed("/un")
		g.shows("❯ /undo")
		g.typed("\t\r")
		g.shows("1 turn taken back: “beta”; ", "\n>", "Enter sends")
		g.typed("/undo 99\r")
		g.shows("> /undo 99\n", "✗ the session has 1 turn, not 99\n", "\n>", "Enter sends")
		g.typed("/fork 2\r")
		g.shows("> /fork 2\n", "✗ the session has 1 turn, not 2\n", "\n>", "Enter sends")
		defer func() {
			if strings.Contains(g.all(), "unknown event") {
				t.Errorf("the person reads of events:\n%s", g.all())
			}
		}()
		g.typed("gamma\r")
		g.shows("> gamma", "  three", "finished after")
		g.typed("/fork ")
		g.shows("❯ /fork 2  keeps up to “gamma”", "/fork 1  keeps up to “alpha”")
		g.typed("1\r")
		g.shows("> /fork 1\n", "kept up to “alpha”: this is session ", ", a copy;", "\n>", "Enter sends")
		g.typed("delta\r")
		g.shows("> delta", "  four", "finished after")
		g.typed(ctrlD)
		g.end(0)
		asked := model.Requests()
		if len(asked) != 4 {
			t.Fatalf("the model was asked %d times", len(asked))
		}
		for i, want := range []string{"alpha", "alpha beta", "alpha gamma", "alpha delta"} {
			var got []string
			for _, word := range []string{"alpha", "beta", "gamma", "delta"} {
				if strings.Contains(string(asked[i]), word) {
					got = append(got, word)
				}
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("request %d knows of %s, want %s", i, s, want)
			}
		}
	})
}

// The line about the state shows the mode that a command of kimi-cli turns on and off, also in a new process.
func TestScreenYolo(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: one")
	g := d.glass(t, 110, 24, d.chatArgs("chat")...)
	g.shows("Enter sends", "? keys")
	g.typed("hi\r")
	g.shows("  one", "finished after")
	g.typed("/yolo off\r")
	g.shows("asks first · context", "yolo mode is off already")
	g.typed("/yolo maybe\r")
	g.shows("asks first · context", "/yolo takes on or off; ↑ brings it back")
	g.typed("/yolo\u3000off\r") // kimi-cli takes any white space
	g.shows("asks first · context", "yolo mode is off already")
	g.typed("/yolo on\r")
	g.shows("> /yolo\n", "finished after", "yolo: the agent does not ask · context")
	for i, mode := range []string{"yolo", "afk"} {
		shown := func(text string) { // as often as it was to be shown so far
			t.Helper()
			g.until(text, func(all string) bool { return strings.Count(all, text) == i+1 && strings.Contains(all, "Enter sends") })
		}
		if mode == "afk" {
			g.typed("/yolo off\r")
			g.shows("asks first · context")
			g.typed("/afk\r")
			g.shows("> /afk\n", "finished after", "afk: the agent does not ask · context")
		}
		g.typed("/fork\r")
		shown(", a copy;")
		g.shows("scripted · " + mode + ": the agent does not ask · context")
		g.typed("/plan\r")
		g.shows("plan mode · " + mode + ": the agent does not ask")
		g.typed("/effort off\r")
		shown("the effort is off")
		g.shows("plan mode · " + mode + ": the agent does not ask")
		g.typed("/plan\r")
		g.shows("the effort is off", "scripted · "+mode+": the agent does not ask")
	}
	g.typed(ctrlD)
	g.end(0)
}

// A second Ctrl-C leaves, also if the turn that the first one has cancelled has ended before.
func TestScreenCtrlC(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, k.run("s", "sleep 60"), "text: not reached")
		g := d.glass(t, 100, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("work\r")
		g.asked("y yes, once")
		g.typed(ctrlC)
		g.shows("✗ "+k.shell+" sleep 60  not run", "cancelled after", "Ctrl-C again leaves")
		g.typed(ctrlC)
		g.end(130)
	})
}

// A call that kimi allows by the answer to another one runs, and is shown so.
func TestScreenAllowedTogether(t *testing.T) {
	t.Parallel()
	d := newDemo(t, echo("1", 1)+"\n"+clienttest.ToolCall("2", "Shell", map[string]string{"command": "touch ran; sleep 60"}), "text: one")
	g := d.glass(t, 110, 30, d.chatArgs("chat")...)
	g.shows("Enter sends", "? keys")
	g.typed("go\r")
	g.asked("2 requests wait", "a always")
	g.typed("a")
	g.asked("every later", "Enter allows it")
	g.typed("\x1b[A\r")
	g.shows("Shell touch ran; sleep 60  1 s")
	g.typed(ctrlC)
	g.shows("✗ Shell touch ran; sleep 60  ", "no result", "cancelled after")
	g.typed(ctrlD)
	g.end(0)
}

// A chat that continues the session of --session does not say that there is no such session.
func TestScreenNamed(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string][]string{"screen": nil, "plain": {"--plain"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newCodeDemo(t, "text: one", "text: two")
			for i, text := range []string{"one", "two"} {
				g := d.glass(t, 110, 24, append(d.chatArgs("chat", "--session", "talk"), plain...)...)
				g.shows("tells more, Ctrl-D leaves")
				g.typed("hello\r")
				g.shows(text, "finished")
				g.typed(ctrlD)
				g.end(0)
				if fresh := strings.Contains(g.all(), "this is a new one"); fresh != (i == 0) {
					t.Errorf("run %d: called new: %v\n%s", i, fresh, g.all())
				}
			}
		})
	}
}

// A side question steers, because Kimi Code answers it at once. A steer that a cancelled turn has not taken up is not sent
// again, because the model gets it with the next turn.
func TestScreenSteers(t *testing.T) {
	t.Parallel()
	k := &screenKimi{name: "Kimi Code", shell: "Bash", demo: newCodeDemo}
	d, model := k.twoModels(t, k.run("w", "until [ -e go ]; do sleep 0.05; done"), "text: aside", "text: a\nhang:", "text: done", "text: done")
	g := d.glass(t, 80, 30, d.chatArgs("chat")...)
	g.shows("Enter sends")
	g.typed("go\r")
	g.asked("until")
	g.typed("y")
	g.shows("Enter queues")
	g.typed("\t")
	g.shows("Enter steers the turn")
	g.typed("/btw what is this?\r")
	g.shows("btw: what is this?", "  aside")
	d.touch(t, "go")
	g.shows("  a\n", "the model writes")
	g.typed("zebra\r")
	g.shows("» steers: zebra")
	g.typed(ctrlC)
	g.shows("cancelled after")
	g.until("» zebra", func(all string) bool { return strings.Contains(all, "» zebra") && !strings.Contains(all, "⋯") })
	g.typed("next\r")
	g.shows("> next", "  done", "finished after")
	all := model.Requests()
	if n := strings.Count(string(all[len(all)-1]), "zebra"); n != 1 {
		t.Errorf("the model gets the steer %d times", n)
	}
	g.typed(ctrlD)
	g.end(0)
}

// A command of kimi is never sent into a turn as text, and the mode is what the last command asked for, however often
// it was typed.
func TestScreenCommandsWait(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "tool_call: "+`{"id":"w","name":"Shell","arguments":"{\"command\":\"until [ -e go ]; do sleep 0.05; done\"}"}`, "text: one", echo("2", 2), "text: two")
	g := d.glass(t, 110, 24, d.chatArgs("chat")...)
	g.shows("Enter sends", "? keys")
	g.typed("work\r")
	g.asked("y yes, once")
	g.typed("y")
	g.shows("Enter queues")
	g.typed("\t/yolo on\r/yolo on\r")
	g.shows("⋯ queued: /yolo on\n", "⋯ queued: /yolo on\n", "Enter steers the turn")
	d.touch(t, "go")
	g.shows("  one", "> /yolo\n", "yolo: the agent does not ask · context", "yolo mode is on already")
	g.typed("more\r")
	g.shows("  two", "finished after", "yolo: the agent does not ask · context")
	g.typed(ctrlD)
	g.end(0)
}

// Taking back a turn does not change plan mode, whatever it was before that turn.
func TestScreenUndoPlan(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, "text: one", "text: two")
		g := d.glass(t, 100, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		for _, turn := range [][2]string{{"alpha", "one"}, {"beta", "two"}} {
			g.typed(turn[0] + "\r")
			g.shows("> "+turn[0], "  "+turn[1], "finished after", "asks first")
		}
		g.typed("\x1b[Z") // Shift-Tab
		g.shows("plan mode · context")
		g.typed("/undo\r")
		g.shows("1 turn taken back: “beta”", "plan mode · context", "Enter sends")
		g.typed("/plan\r")
		g.shows("1 turn taken back: “beta”", "asks first · context")
		g.typed(ctrlD)
		g.end(0)
	})
}

// After a change of the model or the effort, the conversation continues.
func TestScreenModel(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, model := k.twoModels(t, "text: one", "text: two", "text: three")
		g := d.glass(t, 100, 24, "chat", "--config", d.config)
		g.shows("Enter sends")
		g.typed("first\r")
		g.shows("  one", "finished after")
		g.typed("/model\r")
		g.shows("  other  200k context", "• scripted  100k context", "/model NAME changes it")
		g.typed("/model o")
		g.shows("❯ /model other")
		g.typed("\t\r")
		g.shows("the model is other", "other · asks first")
		g.typed("second\r")
		g.shows("  two", "finished after")
		g.typed("/effort ")
		g.shows("❯ /effort on", "/effort off")
		g.typed("\x7f\r") // Backspace
		g.shows("  on\n  off\n", "/effort NAME changes it")
		g.typed("/effort enormous\r")
		g.shows("✗ ", "ffort", "Enter sends")
		g.typed("/effort on\r")
		g.shows("the effort is on", "other · asks first", "Enter sends")
		g.typed("third\r")
		g.shows("  three", "finished after")
		g.typed(ctrlD)
		g.end(0)
		asked := model.Requests()
		if len(asked) != 3 {
			t.Fatalf("the models were asked %d times", len(asked))
		}
		for i, want := range []string{`"model":"scripted"`, `"model":"other-model"`, `"thinking":{"type":"enabled"`} {
			if !strings.Contains(string(asked[i]), want) {
				t.Errorf("request %d has no %s: %.2000s", i, want, asked[i])
			}
		}
		if !strings.Contains(string(asked[2]), "first") {
			t.Error("the conversation was lost")
		}
	})
}

// The error about a mistyped command has no routes, no codes and no hint that does not help.
func TestScreenSlips(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, _ := k.twoModels(t, "text: one")
		g := d.glass(t, 120, 40, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("hi\r")
		g.shows("  one", "finished after")
		slips := [][]string{
			{"/undo 99", "✗ the session has 1 turn, not 99", "hint: use at most 1"},
			{"/fork 99", "✗ the session has 1 turn, not 99", "hint: use at most 1"},
			{"/model nope", `✗ the configuration has no model "nope"; it has other, scripted, seeing`, "hint: use one that it has"},
			{"/effort nope", `✗ the model "scripted" has no effort "nope"; it has ` + map[string]string{"kimi-cli": "on, off", "Kimi Code": "off"}[k.name]},
		}
		if k.name == "kimi-cli" { // it goes on in a copy
			slips = append(slips, []string{"/undo", "✗ this kimi cannot take back the first turn; begin a new chat instead"})
		}
		for i, slip := range slips {
			g.typed(slip[0] + "\r")
			g.until(slip[0], func(all string) bool {
				return strings.Count(all, "\n✗ ") == i+1 && inOrder(all, append(slices.Clone(slip), "Enter sends"))
			})
		}
		g.typed(ctrlD)
		g.end(0)
		for _, never := range []string{"doctor", "/api/", "(-32"} {
			if strings.Contains(g.all(), never) {
				t.Errorf("a person reads %s:\n%s", never, g.all())
			}
		}
	})
}

// A session that keeps yolo mode ends a chat without --yolo. The hint is the whole command that continues the session.
func TestScreenKeptMode(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: one")
	d.run(t, "", d.chatArgs("prompt", "--slash", "--session", "my-id", "/yolo")...).check(t, 0, nil, []string{"finished"})
	g := d.glass(t, 400, 24, d.chatArgs("chat", "--session", "my-id", "--share-dir", d.share)...)
	g.shows("the session keeps yolo mode", "hint: to continue it: "+program+" resume --yolo --share-dir "+d.share+" --config "+d.config+" my-id; in the chat")
	g.end(1)
}
