//go:build !windows

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// In a window of 40 columns the lines that name keys are whole, and ? shows all keys.
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
		g.shows("Shift-Tab   plan mode on and off: the\n              agent plans", "Ctrl-C", "y n e a     when the agent asks:\n", "\n>\n")
		g.typed("/")
		g.shows("❯ /help", " more\n")
		whole("Tab completes · ↑ ↓ choose · Esc closes")
		g.typed("\x15/plan\r")
		g.shows("plan mode · context")
		g.typed("\x1b[Z")
		g.shows("asks first · context")
		g.typed("go\r")
		g.asked("$ echo abc", "y yes, once")
		g.typed("y")
		g.asked("$ git status", "y yes, once", "n no", "a always: choose")
		g.typed("a")
		g.shows("What is always allowed?", "commands that begin with “git", "Enter allows it, Esc\ngoes back\n")
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

// A copy goes on with the model that the command was started with, also if the environment names it.
func TestScreenForkModel(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, "text: one", "text: two")
		g := d.glass(t, 100, 24, d.chatArgs("chat")...)
		g.shows("Enter sends")
		g.typed("first\r")
		g.shows("  one", "finished after")
		g.typed("/fork\r")
		g.shows("this is session ", ", a copy; ", "\n>", "scripted · asks first", "Enter sends")
		g.typed("second\r")
		g.shows("> second", "finished after")
		g.typed(ctrlD)
		g.end(0)
	})
}
