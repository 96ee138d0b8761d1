package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The help of the program fits on one screen, and names every command.
func TestHelpFits(t *testing.T) {
	t.Parallel()
	r := bareDemo(t).run(t, "", "--help")
	r.check(t, 0, []string{"prompt", "view", "proxy", "shell", "login", "doctor", "completion", "--version", "--help", "143"}, nil)
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	if len(lines) > 23 { // one more line is needed for the shell's prompt
		t.Errorf("the help has %d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("a line of the help has %d columns: %s", len(line), line)
		}
	}
}

// Each script has every command and the flags of each.
func TestCompletion(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	for shell, want := range map[string][]string{
		"bash": {"prompt) list='", "--work-dir", "--no-thinking", "-y", "view) list='", "--markdown", "list='prompt chat sessions resume replay view "},
		"zsh":  {"#compdef kimi-go-demo", "'prompt:Run one turn.'", `'shell:Open a session in kimi'\''s own user interface.'`, "prompt) list=(", "'--work-dir:Directory that", "view) list=(", "'--markdown:Write", "_files"},
		"fish": {"-a prompt -d 'Run one turn.'", "'__fish_seen_subcommand_from prompt' -l work-dir -r -d", "-l yolo -s y -d", `-a shell -d 'Open a session in kimi\'s own user interface.'`},
	} {
		d.run(t, "", "completion", shell).check(t, 0, want, nil)
	}
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}} {
		r := d.run(t, "", args...)
		r.check(t, 2, nil, nil)
		r.errorLine(t)
	}
}

// bash completes these words with the script.
func TestCompletionBash(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no bash")
	}
	d := bareDemo(t)
	script := filepath.Join(d.work, "completion")
	if err := os.WriteFile(script, []byte(d.run(t, "", "completion", "bash").stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"kimi-go-demo v": "view", "kimi-go-demo re": "resume replay", "kimi-go-demo view --mark": "--markdown", "kimi-go-demo view fi": "", "kimi-go-demo prompt --no-t": "--no-thinking",
	} {
		words := strings.Fields(line)
		const test = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kimi_go_demo; echo "${COMPREPLY[*]}"`
		out, err := exec.Command("bash", append([]string{"--norc", "-c", test, "bash", script}, words...)...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
}
