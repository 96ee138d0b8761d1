//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The key "a" lists in words what may always be allowed. After the choice, matching calls run without a question, and
// no others. A rule is written to the file only if the person chooses that.
func TestScreenAlways(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		rules := filepath.Join(t.TempDir(), "rules.toml")
		d := k.demo(t, k.run("1", "echo one"), "text: first", k.run("2", "echo two three"), k.run("3", "echo x; touch slipped"), "text: second",
			k.run("4", "touch kept"), "text: third")
		g := d.glass(t, 100, 30, d.chatArgs("chat", "--rules", rules)...)
		g.shows("Enter sends")
		g.typed("go\r")
		g.asked("$ echo one", "a always: choose what it covers")
		g.typed("a")
		g.asked("What is always allowed?", "❯ 1 ", "commands that begin with “echo” (no dangerous options), in this session",
			"the command “echo one”, from now on (in rules.toml)", "4 commands that begin with “echo”", "Esc goes back")
		g.typed("\x1b")
		g.gone("What is always allowed?")
		g.asked("y yes, once")
		g.typed("a")
		g.asked("What is always allowed?")
		g.typed(map[string]string{"kimi-cli": "2", "Kimi Code": "1"}[k.name] + "\r")
		g.shows("✓ "+k.shell, "always allowed", "└ one", "always allowed, after "+k.shell+" echo", "commands", "  first", "finished after")
		g.typed("more\r")
		g.shows("✓ "+k.shell, "allowed by a rule", "└ two three")
		g.asked("echo x; touch slipped", "y yes, once")
		g.typed("e")
		g.shows("What should it do instead?")
		g.typed("leave it\r")
		g.shows("refused: leave it", "  second", "finished after")
		if _, err := os.Stat(rules); err == nil {
			t.Error("what is allowed in this session went into the file")
		}
		g.typed("again\r")
		g.asked("$ touch kept", "y yes, once")
		g.typed("a")
		g.asked("the command “touch kept”, from now on")
		g.typed(map[string]string{"kimi-cli": "2", "Kimi Code": "2"}[k.name] + "\r")
		g.shows("✓ "+k.shell, "  third", "finished after")
		g.typed(ctrlD)
		g.end(0)
		g.shows("go on with:", "--rules")
		data, err := os.ReadFile(rules)
		if want := "[[allow]]\ncommand = \"touch kept\"\ntool = \"" + k.shell + "\"\n"; err != nil || string(data) != want {
			t.Errorf("%v, the rules are\n%s\nwant\n%s", err, data, want)
		}
		if _, err := os.Stat(filepath.Join(d.work, "slipped")); err == nil {
			t.Error("more ran than was allowed")
		}
	})
}

// The rules of a file apply in a chat. A denied call does not run, and the person sees the reason.
func TestScreenRules(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		file := filepath.Join(t.TempDir(), "rules.toml")
		if err := os.WriteFile(file, []byte("[[allow]]\ncommand = \"echo *\"\n[[deny]]\ncommand = \"touch *\"\nreason = \"we touch nothing\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		script := []string{k.run("1", "echo on''ce"), k.run("2", "touch slipped"), k.run("3", "echo la$((1))st"), "text: done"}
		d := k.demo(t, script...)
		g := d.glass(t, 120, 30, d.chatArgs("chat", "--rules", file)...)
		g.shows("Enter sends")
		g.typed("go\r")
		g.asked("✓ "+k.shell, "allowed by a rule", "└ once", "✗ "+k.shell, "we touch nothing", "$ echo la$((1))st", "y yes, once")
		g.typed("y")
		g.shows("la1st", "  done", "finished after")
		g.typed(ctrlD)
		g.end(0)

		d = k.demo(t, script...)
		x := d.terminal(t, d.chatArgs("chat", "--plain", "--rules", file)...)
		x.expect("> ")
		x.typed("go\r")
		x.expect("allowed by a rule", "once", "we touch nothing", "echo la$((1))st", "allow? [y]es")
		x.typed("y\r")
		x.expect("la1st", "done", "finished")
		x.typed(ctrlD)
		x.end(0)
		if strings.Contains(x.text(), "slipped\n  allow?") {
			t.Errorf("what is denied was asked: %s", x.text())
		}
		if _, err := os.Stat(filepath.Join(d.work, "slipped")); err == nil {
			t.Error("what is denied ran")
		}
	})
}

// With --plain, "always" also lists in words what it may allow.
func TestTerminalAlways(t *testing.T) {
	onScreens(t, func(t *testing.T, k *screenKimi) {
		d := k.demo(t, k.run("1", "echo one"), k.run("2", "echo two three"), "text: done")
		x := d.terminal(t, d.chatArgs("chat", "--plain")...)
		x.expect("> ")
		x.typed("go\r")
		x.expect("$ echo one", "allow? [y]es, [n]o (then say what instead), [a]lways (choose what): ")
		x.typed("a\r")
		x.expect("  1  ", "commands that begin with “echo” (no dangerous options), in this session", "number (Enter goes back): ")
		x.typed(map[string]string{"kimi-cli": "2", "Kimi Code": "1"}[k.name] + "\r")
		x.expect("one", "two three", "allowed by a rule", "done", "finished")
		x.typed(ctrlD)
		x.end(0)
	})
}

// Invalid rules give an error before anything starts.
func TestRulesAreWrong(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	file := filepath.Join(d.work, "rules.toml")
	if err := os.WriteFile(file, []byte("[[allow]]\ncomand = \"echo *\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := d.run(t, "", "prompt", "--rules", file, "x")
	r.check(t, 2, nil, []string{"--rules: " + file + ": line 2: unknown key \"allow.comand\"", "\nhint: a rule is ", "\n      [[allow]]\n      command = \"go test *\"\n"})
	r = d.run(t, "", "prompt", "--rules", d.work, "x")
	r.check(t, 2, nil, []string{"--rules: ", d.work, "hint: check the path"})
}
