package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"new file", "", "a b", "+a +b"},
		{"deleted", "a b", "", "-a -b"},
		{"same", "a b", "a b", " a  b"},
		{"one line", "a b c", "a x c", " a -b +x  c"},
		{"context is three lines", "1 2 3 4 5 x 6 7 8 9", "1 2 3 4 5 y 6 7 8 9", " 3  4  5 -x +y  6  7  8"},
		{"moved", "a b c d", "b c a d", "-a  b  c +a  d"},
		{"repeated", "a a", "a a a", " a  a +a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range compare(strings.Fields(tt.old), strings.Fields(tt.new)) {
				got = append(got, string(c.op)+c.text)
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A text that is too long to be compared is shown completely, first the old text and then the new one.
func TestCompareLong(t *testing.T) {
	lines := func(prefix string) []string {
		list := make([]string, 2000)
		for i := range list {
			list[i] = fmt.Sprint(prefix, i)
		}
		return list
	}
	got := compare(lines("a"), lines("b"))
	if len(got) != 4000 || got[0] != (change{'-', "a0"}) || got[3999] != (change{'+', "b1999"}) {
		t.Errorf("%d changes, first %v, last %v", len(got), got[0], got[len(got)-1])
	}
}

func TestArguments(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"command": "ls -l\npwd", "timeout": 60}`, "ls -l⏎pwd  timeout=60"},
		{`{"path": "a.txt", "content": "x"}`, `a.txt  content="x"`},
		{`{"todos": [{}, {}], "deep": {"b": 1, "a": 2}, "on": true, "none": null}`, "deep={a, b}  none=null  on=true  todos=[2 items]"},
		{`{}`, ""},
		{``, ""},
		{`{"command": "unfin`, `{"command": "unfin`},
		{`{"path": 7}`, "path=7"},
		{`{"command": "` + strings.Repeat("x", 200) + `"}`, strings.Repeat("x", 99) + "…"},
	} {
		if diff := cmp.Diff(tt.want, Arguments(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
}
