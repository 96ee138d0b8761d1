package screen

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// hostile are texts that control a terminal or hide in it, and how Clean shows them.
var hostile = []struct{ name, text, want string }{
	{"plain", "Grüße, 世界 $ x\ty\n", "Grüße, 世界 $ x\ty\n"},
	{"line ends", "a\r\nb\n", "a\nb\n"},
	{"carriage return", "rm -rf /\recho ok", "rm -rf /^Mecho ok"},
	{"escape", "\x1b[2J\x1b[H", "^[[2J^[[H"},
	{"window title", "\x1b]0;title\a", "^[]0;title^G"},
	{"clipboard", "\x1b]52;c;cm0gLXJm\x1b\\", `^[]52;c;cm0gLXJm^[\`},
	{"NUL, backspace, DEL", "\x00a\bb\x7f", "^@a^Hb^?"},
	{"vertical", "a\vb\fc", "a^Kb^Lc"},
	{"C1", "\u009b31m\u009d52;c;x\u009c\u0085", `\u009b31m\u009d52;c;x\u009c\u0085`},
	{"C1, no UTF-8", "\x9b31m", `\x9b31m`},
	{"no UTF-8", "\xff\xc3", `\xff\xc3`},
	{"bidi", "\u202e\u2066\u2069\u200e\u061c", `\u202e\u2066\u2069\u200e\u061c`},
	{"zero width", "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg", `a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg`},
	{"line and paragraph", "a\u2028b\u2029c", `a\u2028b\u2029c`},
	{"tags", "\U000e0001\U000e0041\U000e007f", `\U000e0001\U000e0041\U000e007f`},
	{"variation selectors", "a\ufe0f\ufe00\U000e0100", `a\ufe0f\ufe00\U000e0100`},
	{"fillers", "\u115f\u1160\u3164\uffa0\u034f\u180e\u17b4", `\u115f\u1160\u3164\uffa0\u034f\u180e\u17b4`},
	{"interlinear", "\ufff9a\ufffab\ufffb", `\ufff9a\ufffab\ufffb`},
	{"replacement", "\ufffd", "\ufffd"},
	{"signs", "\u0600\u06dd", "\u0600\u06dd"},
	{"emoji", "⚠️ ❤️ 1️⃣ 👩‍🚀 🏳️‍🌈 👩🏽‍💻 🏃‍♂️", "⚠️ ❤️ 1️⃣ 👩‍🚀 🏳️‍🌈 👩🏽‍💻 🏃‍♂️"},
	{"no emoji", "⚠\ufe0f\ufe0f 1\ufe0f 👩\u200d\u200d👩 👩\u200da", "⚠\ufe0f\\ufe0f 1\\ufe0f 👩\\u200d\\u200d👩 👩\\u200da"},
}

func TestClean(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Clean(tt.text)); diff != "" {
				t.Errorf("Clean (-want +got):\n%s", diff)
			}
			if got := Line(tt.text); strings.ContainsAny(got, "\n\t") {
				t.Errorf("Line = %q", got)
			}
			if again := Clean(Clean(tt.text)); again != tt.want {
				t.Errorf("cleaned twice: %q", again)
			}
		})
	}
}

// Clean lets no single rune through that has no glyph.
func TestCleanAll(t *testing.T) {
	for c := rune(0); c <= unicode.MaxRune; c++ {
		if c == '\n' || c == '\t' || unicode.Is(unicode.Cs, c) { // a surrogate cannot be UTF-8
			continue
		}
		shown := !hidden(c)
		if shown && !unicode.IsGraphic(c) && !unicode.In(c, unicode.Co, unicode.Cn, unicode.Prepended_Concatenation_Mark) {
			t.Fatalf("%U gets through", c)
		}
		if !shown && c > 0x9f && unicode.In(c, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c) {
			t.Fatalf("%U is hidden", c)
		}
	}
}

func TestWriter(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			w := NewWriter(&out, true)
			if n, err := w.Write([]byte(tt.text)); n != len(tt.text) || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
			if err := w.Print(Span{Red, tt.text}); err != nil { // the half rune is now invalid
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want+"\x1b[31m"+tt.want+"\x1b[0m", out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A text that is written byte by byte gives the same output as the whole text.
func TestWriterPieces(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, false)
	const text = "Grüße, 世界 👩‍🚀 ⚠️\x1b\u202e"
	for _, b := range []byte(text) {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(Clean(text), out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterFails(t *testing.T) {
	w := NewWriter(full{}, false)
	_, err := w.Write([]byte("a"))
	_, errJSON := w.JSON().Write([]byte("1"))
	for _, err := range []error{err, errJSON, w.Print(Span{Text: "a"})} {
		if !errors.Is(err, errFull) {
			t.Errorf("error %v, want %v", err, errFull)
		}
	}
}

// The JSON has the same meaning as before, and nothing in it is hidden.
func TestJSON(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			in, err := json.MarshalIndent(map[string]any{tt.text: []string{tt.text}}, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			raw := []byte("[\"\x7f\u202e\U000e0041\x9b\"]\r\n") // such as another program may write it
			for _, in := range [][]byte{in, raw} {
				var out bytes.Buffer
				w := NewWriter(&out, true)
				if n, err := w.JSON().Write(in); n != len(in) || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
				var want, got any
				if err := errors.Join(json.Unmarshal(in, &want), json.Unmarshal(out.Bytes(), &got)); err != nil {
					t.Fatalf("%v: %s", err, out.String())
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if s := out.String(); !utf8.ValidString(s) || strings.ContainsFunc(strings.ReplaceAll(s, "\r\n", ""), hidden) {
					t.Errorf("hidden characters are left: %q", s)
				}
			}
		})
	}
}

func TestLayout(t *testing.T) {
	text := func(lines ...string) []Row { return Rows(Plain, "    + ", "    + ", strings.Join(lines, "\n")) }
	for _, tt := range []struct {
		name    string
		in      []Row
		columns int
		want    string
	}{
		{"as it is", text("a", "", "", "", "b\tc"), 80, "    + a|    + |    + |    + |    + b\tc"},
		{"blank lines", text("a", "", " ", "\t", "\u3000\u2800", "b"), 80, "    + a|    ⋮ 4 blank lines|    + b"},
		{"blank to the end", text("a", "", "", "", "", ""), 80, "    + a|    ⋮ 5 blank lines"},
		{"blanks in a line", text("a" + strings.Repeat(" ", 5000) + "b" + strings.Repeat(" ", 40) + "c"), 80, "    + a⟨5000 blanks⟩b" + strings.Repeat(" ", 40) + "c"},
		{"blanks at the end", text("a" + strings.Repeat("\t", 10)), 80, "    + a⟨80 blanks⟩"},
		{"long", text("0123456789012345678901234"), 20, "    + 01234567890123|    ↪ 45678901234"},
		{"wide", text("世界世界世界世界"), 20, "    + 世界世界世界世|    ↪ 界"},
		{"not broken", text(strings.Repeat("x", 300)), 0, "    + " + strings.Repeat("x", 300)},
		{"narrow", text("abc"), 3, "    + a|    ↪ b|    ↪ c"},
		{"one line", []Row{{Mark: "? ", Text: "a\n? b\r\n\x1b[H"}}, 80, "? a⏎? b⏎^[[H"},
		{"other line ends", text("a\vb\u2028c\rd"), 80, `    + a^Kb\u2028c^Md`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range Layout(tt.in, tt.columns) {
				got = append(got, r.Mark+r.Text)
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
