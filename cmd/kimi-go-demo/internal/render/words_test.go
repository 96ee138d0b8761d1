package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	show := func(list []Piece) string {
		var b strings.Builder
		for _, p := range list {
			if p.Changed {
				b.WriteString("[" + p.Text + "]")
			} else {
				b.WriteString(p.Text)
			}
		}
		return b.String()
	}
	for _, tt := range []struct{ name, from, to, before, after string }{
		{"a word", "one two three", "one 2 three", "one [two] three", "one [2] three"},
		{"added", "f(a)", "f(a, b)", "f(a)", "f(a[, b])"},
		{"signs", "if a == b {", "if a != b {", "if a [=]= b {", "if a [!]= b {"},
		{"wide", "世界 a", "世界 b", "世界 [a]", "世界 [b]"},
		{"the same", "a b", "a b", "a b", "a b"},
		{"hardly anything the same", "alpha beta", "gamma delta", "[alpha beta]", "[gamma delta]"},
		{"white space alone", "a b c", "x y z", "[a b c]", "[x y z]"},
		{"from nothing", "", "a", "", "[a]"},
		{"too long to compare", strings.Repeat("a b ", 500), strings.Repeat("a c ", 500), "[" + strings.Repeat("a b ", 500) + "]", "[" + strings.Repeat("a c ", 500) + "]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := Words(tt.from, tt.to)
			if diff := cmp.Diff([]string{tt.before, tt.after}, []string{show(before), show(after)}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
