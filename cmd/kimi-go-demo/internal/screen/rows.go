package screen

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Row is a line of what a person decides about. Its text stands to the right of a mark. No text can come where the
// mark is, so the text cannot look like another row.
type Row struct {
	Style Style
	Mark  string
	Text  string
}

// String returns the row as one line.
func (r Row) String() string { return r.Mark + oneLine.Replace(r.Text) }

// Rows returns the lines of t as rows: the first has the mark head, the others rest.
func Rows(st Style, head, rest, t string) []Row {
	var list []Row
	for l := range strings.SplitSeq(strings.ReplaceAll(t, "\r\n", "\n"), "\n") {
		list = append(list, Row{st, head, l})
		head = rest
	}
	return list
}

const (
	maxBlankRows = 3  // that follow each other and are shown as they are
	maxBlanks    = 40 // columns of white space in a row
)

// Layout cleans rows. It replaces long white space, which could push the rest out of sight, by its length, and breaks
// rows that are wider than columns; 0 breaks nothing.
func Layout(rows []Row, columns int) []Row {
	var list []Row
	for i := 0; i < len(rows); {
		n := 0
		for i+n < len(rows) && blank(rows[i+n].Text) {
			n++
		}
		if n > maxBlankRows {
			list = append(list, Row{Dim, "    ⋮ ", fmt.Sprintf("%d blank lines", n)})
			i += n
			continue
		}
		for _, r := range rows[i : i+max(n, 1)] {
			r.Text = foldBlanks(Clean(oneLine.Replace(r.Text)))
			list = append(list, wrap(r, columns)...)
		}
		i += max(n, 1)
	}
	return list
}

func white(c rune) bool { return unicode.IsSpace(c) || c == '\u2800' } // a Braille pattern with no dots

func blank(t string) bool { return !strings.ContainsFunc(t, func(c rune) bool { return !white(c) }) }

// foldBlanks puts a count in the place of long white space.
func foldBlanks(t string) string {
	var b strings.Builder
	for t != "" {
		text := strings.IndexFunc(t, func(c rune) bool { return !white(c) })
		if text < 0 {
			text = len(t)
		}
		if n := width(t[:text]); n > maxBlanks {
			fmt.Fprintf(&b, "⟨%d blanks⟩", n)
		} else {
			b.WriteString(t[:text])
		}
		t = t[text:]
		end := strings.IndexFunc(t, white)
		if end < 0 {
			end = len(t)
		}
		b.WriteString(t[:end])
		t = t[end:]
	}
	return b.String()
}

// wrap breaks a row itself, because a terminal would continue it in the column of the marks.
func wrap(r Row, columns int) []Row {
	if columns <= 0 || width(r.Mark)+width(r.Text) <= columns {
		return []Row{r}
	}
	const more = "    ↪ "
	var list []Row
	start, used := 0, width(r.Mark)
	for i, c := range r.Text {
		w := runeWidth(c)
		if used+w > columns && i > start {
			list = append(list, Row{r.Style, r.Mark, r.Text[start:i]})
			start, used, r.Mark = i, width(more), more
		}
		used += w
	}
	return slices.Concat(list, []Row{{r.Style, r.Mark, r.Text[start:]}})
}

func width(t string) int {
	n := 0
	for _, c := range t {
		n += runeWidth(c)
	}
	return n
}

// runeWidth returns the most columns that c takes.
func runeWidth(c rune) int {
	switch {
	case c == '\t':
		return 8
	case c < 0x1100, c >= 0x2000 && c < 0x2e80 && !unicode.Is(unicode.So, c):
		return 1
	}
	return 2
}
