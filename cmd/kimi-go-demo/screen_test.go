//go:build !windows

package main

import (
	"strings"
	"testing"
)

// A conversation with approvals, of which each answer does what it says.
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
		g.shows("session", "/help tells more", "\n>\n", "asks first", "Enter sends")
		g.typed("hi\r")
		g.shows("> hi", "✻ thought for", "hm", "  hello there", "finished after", "1 step")
		g.typed("go\r")
		g.asked("wants to", "echo on$((1))ce", "y yes, once", "n no", "a always")
		g.typed("y")
		g.shows("  I will", "✓ "+k.shell, "allowed", "└ on1ce", "  done once", "finished after")
		g.typed("again\r")
		g.asked("echo never", "y yes, once")
		g.typed("e")
		g.shows("What instead?")
		g.typed("no noise\r")
		g.shows("✗ "+k.shell, "refused: no noise", "as you like", "finished after")
		g.typed(ctrlD)
		g.end(0)
		g.shows("go on with: " + program + " resume")
		if all := g.all(); strings.Contains(all, "never1") || strings.Count(all, "  hello there") != 1 || strings.Count(all, "└ on1ce") != 1 {
			t.Errorf("what is shown is not shown once:\n%s", all)
		}
	})
}
