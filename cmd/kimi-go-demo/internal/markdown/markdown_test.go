package markdown

import (
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

func TestRender(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		columns  int
		want     string
	}{
		{"paragraphs", "one two three\nfour\n\nfive", 10, "one two|three|four||five"},
		{"wide", "世界世界世界世界", 10, "世界世界世|界世界"},
		{"heading", "# A *b*\n\ntext", 20, "A b||text"},
		{"lists", "- a\n- b\n  1. x\n  2. y\n- [x] c", 20, "• a|• b|  1. x|  2. y|• [x] c"},
		{"loose list", "3. a\n\n   b\n4. c", 20, "3. a||   b||4. c"},
		{"quote", "> a\n> b", 20, "│ a|│ b"},
		{"code", "```go\nfunc f() {\n\treturn\n}\n```", 20, "  func f() {|      return|  }"},
		{"long code", "```\n0123456789abcdef\n```", 12, "  0123456789|  abcdef"},
		{"code of no known language", "```nope\nx\n```", 20, "  x"},
		{"open fence", "```sh\nls", 20, "  ls"},
		{"links", "[a](http://b) http://c <http://d>", 60, "a (http://b) http://c http://d"},
		{"entities and escapes", `&lt;a&gt; \*b\* &amp;`, 20, "<a> *b* &"},
		{"html", "a <b>c</b>\n\n<div>\nx\n</div>", 20, "a <b>c</b>||<div>|x|</div>"},
		{"type arguments", "List<String> x", 20, "List<String> x"},
		{"image", "![alt](a.png)", 40, "[image: alt] (a.png)"},
		{"table", "|a|b|\n|-|-:|\n|1|22|", 40, "╭───┬────╮|│ a │  b │|├───┼────┤|│ 1 │ 22 │|╰───┴────╯"},
		{"table that is too wide", "|a|b|\n|-|-|\n|1|one two three four|", 18, "╭───┬────────────╮|│ a │ b          │|├───┼────────────┤|│ 1 │ one two    │|│   │ three four │|╰───┴────────────╯"},
		{"table of many columns", "|a|b|\n|-|-|\n|1|2|\n|3|4|", 12, "a: 1|b: 2||a: 3|b: 4"},
		{"rule", "a\n\n---\n", 10, "a||──────────"},
		{"nothing", "", 10, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ansi.Strip(strings.Join(Render(tt.in, tt.columns), "|"))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStyles(t *testing.T) {
	got := strings.Join(Render("**b** _i_ ~~s~~ `c` [l](x)\n\n```go\nreturn \"s\" // c\n```", 60), "|")
	for _, want := range []string{bold + "b" + reset, italic + "i" + reset, strike + "s" + reset, code + "c" + reset, underline + "l" + reset,
		"\x1b[35mreturn" + reset, "\x1b[32m\"s\"" + reset, dim + "// c" + reset} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}

var styles = regexp.MustCompile("\x1b\\[[0-9;]*m")

// The Markdown of an agent never controls the terminal, in whatever place and spelling.
func TestHostile(t *testing.T) {
	for name, evil := range map[string]string{
		"escapes":         "\x1b]52;c;eA\a\x1b[2J\x1b[8m",
		"C1":              "\u009b2J\x9b2J",
		"entities":        "&#27;[2J&#x1b;]0;t&#7;&#155;2J&#x202e;&ZeroWidthSpace;&#0;",
		"bidi":            "\u202eabc\u2066",
		"hidden":          "a\u200bb\U000e0041",
		"carriage return": "rm -rf /\recho ok",
	} {
		for _, around := range []string{"%", "# %", "- %", "> %", "**%**", "`%`", "```%\n%\n```", "    %", "[%](%)", "[a](<%>)", "![%](<%>)", "<http://%>", "<b %>", "<div>%\n</div>",
			"|%|b|\n|-|-|\n|%|c|", "[a]: <%> \"%\"\n\n[a]", "~~%~~", "a\\\n%", "http://x/%"} {
			source := strings.ReplaceAll(around, "%", evil)
			for _, columns := range []int{10, 80} {
				lines := Render(source, columns)
				for _, l := range lines {
					bare := styles.ReplaceAllString(l, "")
					if screen.Clean(bare) != bare || strings.ContainsAny(bare, "\n\t") {
						t.Errorf("%s in %q: %q", name, around, l)
					}
				}
				if strings.Contains(strings.Join(lines, ""), "\x1b[8m") {
					t.Errorf("%s in %q: hides %q", name, around, lines)
				}
			}
		}
	}
}

const document = "# Head\n\nSome *text*\ngoes on\n\n- a\n- b\n\n  more\n- c\n\n1. x\n2. y\n\n> quote\nlazy\n\n```go\nfunc f() {\n\n}\n```\ntext\n\n|a|b|\n|-|-|\n|1|2|\n\n    code\n\n    more\n\nend\n===\n\n***\nlast 世界"

// The text may come in any pieces. The parts that Split returns as done, and the final rest, show the same as the
// whole.
func TestSplit(t *testing.T) {
	want := strings.Join(Render(document, 40), "\n")
	for size := 1; size < 40; size++ {
		var shown []string
		open, cuts := "", 0
		for rest := document; rest != ""; {
			n := min(size, len(rest))
			open, rest = open+rest[:n], rest[n:]
			done, next := Split(open)
			if done+next != open {
				t.Fatalf("%q and %q are not %q", done, next, open)
			}
			if open = next; done != "" {
				cuts++
				shown = append(append(shown, Render(done, 40)...), "")
			}
		}
		shown = append(shown, Render(open, 40)...)
		if diff := cmp.Diff(want, strings.Join(shown, "\n")); diff != "" {
			t.Fatalf("%d bytes at a time (-want +got):\n%s", size, diff)
		}
		if size < 10 && cuts < 8 {
			t.Errorf("%d bytes at a time: only %d parts were shown before the end", size, cuts)
		}
	}
}

// The open part stays short, whatever the agent writes.
func TestSplitLong(t *testing.T) {
	for name, tt := range map[string]struct{ head, line string }{
		"code":           {"```go\n", "x := \"世界\"\n"},
		"list":           {"", "- an item of a list\n"},
		"paragraph":      {"", "word 世界 "},
		"lines":          {"", "word after word\n"},
		"one word":       {"", "xxxxxxxxxxxxxxxx"},
		"table":          {"|a|b|\n|-|-|\n", "|1|2|\n"},
		"nested":         {"> - ```\n", ">   x\n"},
		"fence of tilde": {"~~~~ sh\n", "ls -l\n"},
	} {
		t.Run(name, func(t *testing.T) {
			open, n, lines := tt.head, 0, 0
			for range 3000 {
				open += tt.line
				done, rest := Split(open)
				if done != "" {
					lines += len(Render(done, 80))
				}
				open = rest
				n = max(n, len(open))
			}
			if n > 17*maxOpen {
				t.Errorf("%d bytes were open", n)
			}
			if lines == 0 {
				t.Error("nothing was shown for good")
			}
		})
	}
}

// Code that was cut is still shown as code.
func TestSplitFence(t *testing.T) {
	source := "```go\n" + strings.Repeat("// a comment that is long enough\n", 200) + "retu"
	done, rest := Split(source)
	if !strings.HasSuffix(done, "\n```\n") || rest != "```go\nretu" {
		t.Errorf("done ends in %q, rest is %q", done[len(done)-20:], rest)
	}
}

func BenchmarkSplitAndRender(b *testing.B) {
	b.SetBytes(int64(len(document)))
	for b.Loop() {
		Split(document)
		Render(document, 80)
	}
}
