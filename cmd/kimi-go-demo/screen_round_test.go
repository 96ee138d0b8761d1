//go:build !windows

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

// In a window of 40 columns, the lines with the names of keys are complete, and ? shows all keys.
func TestScreenNarrow(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		letters := strings.Repeat("abcdefghij", 10)
		d := k.demo(t, k.run("0", "echo "+letters), k.run("1", "git status"), k.run("w", "until [ -e go ]; do sleep 0.05; done"), "text: done")
		g := d.glass(t, 40, 24, d.chatArgs("chat")...)
		whole := func(line string) {
			t.Helper()
			g.until(line, func(string) bool { return slices.Contains(g.screenLocked(), line) })
		}
		whole("Enter sends · / commands · ? keys")
		g.typed("?")
		g.shows("Shift-Tab   plan mode on and off: the\n              agent plans", "Ctrl-C", "y n e a     when the agent asks: y\n", "\n>\n")
		g.typed("/")
		g.shows("❯ /help", " more\n")
		whole("Tab or Enter completes · ↑ ↓ choose")
		g.typed("\x15/plan\r")
		g.shows("plan mode · context")
		g.typed("\x1b[Z")
		g.shows("asks first · context")
		g.typed("go\r")
		g.asked("$ echo abc", "y yes, once")
		g.typed("y")
		g.asked("$ git status", "y yes, once", "n no", "a always:")
		g.typed("a")
		g.asked("What is always allowed?", "commands that begin with “git", "Enter allows it, Esc\ngoes back\n")
		g.typed("\x1b")
		g.gone("What is always allowed?")
		g.asked("y yes, once")
		g.typed("y")
		g.asked("until [ -e go ]", "y yes, once")
		g.typed("y")
		g.shows(k.shell+" runs 0 s · turn ", "asks first · context 0%")
		whole("Enter queues · Tab: steer instead")
		d.touch(t, "go")
		g.shows("  done", "finished after")
		if all := strings.NewReplacer("\n    ↪ ", "", "\n      ", "").Replace(g.all()); strings.Count(all, letters) < 2 {
			t.Errorf("what ends in the last column is not shown whole:\n%s", g.all())
		}
		for l := range strings.SplitSeq(g.all(), "\n") {
			if n := ansi.StringWidth(l); n > 40 {
				t.Errorf("%d columns: %q", n, l)
			}
		}
		g.typed(ctrlD)
		g.end(0)
	})
}

// A forked session continues with the model of the command line, also if the environment names the model.
func TestScreenForkModel(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, "text: one", "text: two")
		g := d.glass(t, 100, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("first\r")
		g.shows("  one", "finished after")
		g.typed("/fork\r")
		g.shows("this is session ", ", a copy;", "\n>", "scripted · asks first", "Enter sends")
		g.typed("second\r")
		g.shows("> second", "finished after")
		g.typed(ctrlD)
		g.end(0)
	})
}

// A plan that is longer than the window can be read completely before it is approved.
func TestScreenLongPlan(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, model := k.twoModels(t, "text: thought of it")
		g := d.glass(t, 80, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("\x1b[Z") // Shift-Tab
		g.shows("plan mode · context")
		g.typed("plan it\r")
		g.shows("  thought of it", "finished after")
		file := regexp.MustCompile(`Plan file: ([^\\" ]+\.md)`).FindStringSubmatch(string(model.Requests()[0]))
		if file == nil {
			t.Fatalf("no file of the plan is in %s", model.Requests()[0])
		}
		plan, steps := "# The plan\n\n", []string{}
		for i := range 60 {
			steps = append(steps, fmt.Sprintf("  %d. step %d\n", i+1, i+1))
			plan += steps[i][2:]
		}
		if err := os.MkdirAll(filepath.Dir(file[1]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file[1], []byte(plan), 0o600); err != nil {
			t.Fatal(err)
		}
		model.Add(clienttest.ToolCall("p", "ExitPlanMode", struct{}{}), "text: off I go")
		g.typed("show it\r")
		g.asked(slices.Concat([]string{"  The plan\n"}, steps, []string{"? Plan: Approve this plan", "❯ 1 Approve"})...)
		g.typed("1\r")
		g.shows("answered: Approve", "  off I go", "finished after", "asks first")
		g.typed(ctrlD)
		g.end(0)
	})
}

// Enter takes the chosen entry of the menu, or completes the beginning of a command. The agent does not get that text.
func TestScreenMenu(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d, model := k.twoModels(t, "text: never")
		g := d.glass(t, 80, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("/")
		g.shows("❯ /help")
		g.typed("\x1b[B") // the key "down"
		g.shows("❯ /plan")
		g.typed("\r")
		g.shows("\n> /plan\n", "Enter sends")
		g.typed("\r")
		g.shows("plan mode · context")
		g.typed("/mod\r")
		g.shows("\n> /model\n", "Enter sends")
		g.typed("\r")
		g.shows("• scripted", "/model NAME changes it")
		g.typed("/model o\r")
		g.shows("\n> /model other\n", "Enter sends")
		g.typed("\r")
		g.shows("the model is other")
		g.typed(ctrlD)
		g.end(0)
		if n := len(model.Requests()); n != 0 {
			t.Errorf("the model was asked %d times", n)
		}
	})
}

// A mistake of the person gets a message that says so, and no typed text is lost.
func TestScreenMistakes(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, k.run("w", "until [ -e go ]; do sleep 0.05; done"), "text: one")
		g := d.glass(t, 110, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("work\r")
		g.asked("until [ -e go ]", "y yes, once")
		g.typed("yes hey") // a text is not an answer
		g.shows("until [ -e go ]", "y yes, once", "\n> yes hey\n", "Esc, then a key answers")
		g.typed("\x0c") // Ctrl-L
		g.asked("until [ -e go ]", "y yes, once", "\n> yes hey\n")
		if strings.Contains(g.now(), "What should it do instead?") || strings.Contains(g.all(), "allowed") {
			t.Errorf("a letter of a word is a key:\n%s", g.now())
		}
		g.typed("\x15")
		g.shows("until [ -e go ]", "y yes, once", "\na key answers")
		g.typed("e")
		g.shows("What should it do instead?", "Enter sends it · Esc goes back · Ctrl-C cancels")
		g.typed("\x1b")
		g.asked("y yes, once")
		g.typed("y")
		g.shows(k.shell + " runs")
		g.typed("/undo\r")
		g.shows("\n>\n", "not now: wait for kimi, or cancel the turn with Ctrl-C; ↑ brings it back")
		g.typed("\x1b[A")
		g.shows("\n> /undo\n")
		g.typed("\x15/export talk.md\r")
		g.shows("\n>\n", "not now: wait for kimi", "↑ brings it back")
		g.typed("later\r\t")
		g.shows("⋯ queued: later", "↑ takes back · Enter steers the turn")
		g.typed("\x1b[A")
		g.shows("\n> later\n")
		g.gone("queued")
		d.touch(t, "go")
		g.shows("  one", "finished after", "Enter sends")
		g.typed(ctrlC)
		g.shows("Ctrl-C again, or Ctrl-D, leaves · ↑ brings back what you typed")
		g.gone("> later")
		g.typed("\x1b[A")
		g.shows("\n> later\n")
		g.typed("\x15" + ctrlD)
		g.end(0)
	})
}
