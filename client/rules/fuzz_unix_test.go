//go:build unix

package rules_test

import (
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/kimi-go/kimi-go/client/rules"
)

// FuzzDecide checks allowed scripts in another way than Decide does: they have only certain nodes of the syntax tree,
// only commands that begin with "git diff" or are "ls" alone, and no word that leaves the work dir or that is known to
// run a program or to write a file.
func FuzzDecide(f *testing.F) {
	for _, command := range slices.Concat(attacks, safe, []string{"ls", "ls; git diff a 'b c' \"d\"", "git diff|ls||git diff\nls"}) {
		if len(command) < 1000 {
			f.Add(command)
		}
	}
	r := &rules.Rules{Allow: []rules.Rule{{Command: "git diff *", Options: "-- --stat -U*"}, {Command: "ls"}}}
	denies := &rules.Rules{Deny: []rules.Rule{{Command: "rm *"}}, Allow: []rules.Rule{{Tool: "Bash"}}}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, command string) {
		if d := denies.Decide("Bash", shell(t, command), dir); d.Verdict == "" {
			t.Errorf("%q: %+v", command, d)
		}
		if r.Decide("Bash", shell(t, command), dir).Verdict != rules.Allow {
			return
		}
		if strings.ContainsAny(command, "\x00\r$`<{}*?\\") && !strings.ContainsAny(command, `'"#`) {
			t.Errorf("allowed: %q", command)
		}
		file, err := syntax.NewParser().Parse(strings.NewReader(command), "")
		if err != nil {
			t.Fatalf("allowed: %q: %v", command, err)
		}
		syntax.Walk(file, func(n syntax.Node) bool {
			switch n := n.(type) {
			case nil, *syntax.File, *syntax.Word, *syntax.Lit, *syntax.Comment, *syntax.BinaryCmd:
			case *syntax.SglQuoted:
				if n.Dollar {
					t.Errorf("allowed: %q", command)
				}
			case *syntax.DblQuoted:
				if n.Dollar {
					t.Errorf("allowed: %q", command)
				}
			case *syntax.Redirect:
				if n.Op != syntax.DplOut || n.Word.Lit() != "1" && n.Word.Lit() != "2" {
					t.Errorf("allowed: %q", command)
				}
			case *syntax.Stmt:
				if n.Background || n.Coprocess || n.Negated {
					t.Errorf("allowed: %q", command)
				}
			case *syntax.CallExpr:
				var words []string
				for _, arg := range n.Args {
					var b strings.Builder
					if err := syntax.NewPrinter().Print(&b, arg); err != nil {
						t.Fatal(err)
					}
					words = append(words, strings.NewReplacer("'", "", `"`, "").Replace(b.String()))
				}
				line := strings.Join(words, " ")
				if len(n.Assigns) > 0 || line != "ls" && line != "git diff" && !strings.HasPrefix(line, "git diff ") || slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--o") }) || strings.Contains(line, "../") {
					t.Errorf("allowed: %q: %q", command, line)
				}
			default:
				t.Errorf("allowed: %q with %T", command, n)
			}
			return true
		})
	})
}

func BenchmarkDecide(b *testing.B) {
	r := commands()
	r.Deny = []rules.Rule{{Command: "rm *"}, {Command: "git push *"}, {Path: "/etc/**"}}
	r.Ask = []rules.Rule{{Command: "git commit *"}}
	args := shell(b, "git status && git diff --stat HEAD~3..HEAD -- 'client/rules' | head -20; go test -count=1 -run 'TestAttacks|TestSafe' ./client/... 2>&1 | grep -v '^ok' | sort -u | head -50; git log --oneline -n 20 -- client")
	dir := b.TempDir()
	if d := r.Decide("Bash", args, dir); d.Verdict != rules.Allow {
		b.Fatalf("%+v", d)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Decide("Bash", args, dir)
	}
}
