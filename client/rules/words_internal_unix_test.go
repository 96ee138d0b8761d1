//go:build unix

package rules

import (
	"context"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// The real shells read words as the rules do: every shell reads plain words so, and bash reads known words so.
func TestWordsAsShellsReadThem(t *testing.T) {
	const alphabet = "aab--==~/.:,@%+^_#!'\"\"\\\\$nx1  \t{}[]*?&;|<>()`é\n"
	random := rand.New(rand.NewPCG(1, 2))
	candidates := []string{"a", "'a b'", `"a\"b"`, `"a\b"`, `"\\"`, `a\ b`, `$'\x41\101\u0041\n'`, "a=b", "a~b", "[", "]", "''", `""`, "a''b", "HEAD~1", "@{u}"}
	letters := []rune(alphabet)
	for range 60000 {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteRune(letters[random.IntN(len(letters))])
		}
		candidates = append(candidates, b.String())
	}
	counts := make(map[string]int)
	for _, shell := range []string{"bash", "sh"} {
		var script strings.Builder
		var want, tried []string
		for _, c := range candidates {
			s := newScript("printf '%s\\001' " + c)
			if s.err != nil || len(s.file.Stmts) != 1 || strings.HasSuffix(c, `\`) {
				continue
			}
			if _, ok := s.file.Stmts[0].Cmd.(*syntax.CallExpr); !ok {
				continue
			}
			all := &everything{left: maxScript}
			all.file(s.file, 0)
			if len(all.commands) != 1 || len(s.file.Stmts[0].Redirs) > 0 {
				continue
			}
			usable, plain := true, true
			var texts []string
			for _, w := range all.commands[0][2:] {
				usable, plain = usable && w.known, plain && w.plain
				texts = append(texts, w.text)
			}
			call := &call{script: s, workDir: "/"}
			if len(texts) == 0 || !usable || (shell == "sh" && !plain) || s.file.Stmts[0].Background || s.file.Stmts[0].Semicolon.IsValid() || strings.HasPrefix(texts[0], "-") {
				continue
			}
			if !plain && call.simpleCommands() != nil {
				t.Errorf("%q may be allowed", c)
			}
			script.WriteString(s.text + "\nprintf '\\002'\n")
			tried = append(tried, s.text)
			want = append(want, strings.Join(texts, "\x01")+"\x01")
			counts[shell]++
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, shell)
		cmd.Stdin, cmd.Dir = strings.NewReader(script.String()), t.TempDir()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v", shell, err)
		}
		got := strings.Split(strings.TrimSuffix(string(out), "\x02"), "\x02")
		if len(got) != len(want) {
			t.Errorf("%s: %d results, want %d", shell, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%s: %q: got %q, want %q", shell, tried[i], got[i], want[i])
			}
		}
	}
	if counts["bash"] < 1000 || counts["sh"] < 1000 {
		t.Errorf("compared %v", counts)
	}
	t.Log(counts)
}
