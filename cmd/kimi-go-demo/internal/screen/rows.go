package screen

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Row is a line of a text that a person must decide about. The text is to the right of a mark. No text can appear in
// the place of the mark, so a text cannot look like another row.
type Row struct {
	Style Style
	Mark  string
	Text  string
}

// String returns the row as one line.
func (r Row) String() string { return r.Mark + oneLine.Replace(r.Text) }

// Rows returns the lines of t as rows. The first row has the mark head, the others have the mark rest.
func Rows(st Style, head, rest, t string) []Row {
	var list []Row
	for l := range strings.SplitSeq(strings.ReplaceAll(t, "\r\n", "\n"), "\n") {
		list = append(list, Row{st, head, l})
		head = rest
	}
	return list
}

const (
	maxBlankRows = 3  // how many blank rows in a row are shown as they are
	maxBlanks    = 40 // how many columns of white space in a row are shown as they are
)

// Layout cleans rows. It replaces long white space, which could move the rest off the screen, by its length. It breaks
// rows that are wider than columns; 0 means no limit.
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

// foldBlanks replaces long white space by a count.
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

// wrap breaks a row here, because a terminal would continue it in the column of the marks.
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

// runeWidth returns the largest number of columns that c may take.
func runeWidth(c rune) int {
	switch {
	case c == '\t':
		return 8
	case c < 0x1100, c >= 0x2000 && c < 0x2e80 && !unicode.Is(unicode.So, c):
		return 1
	}
	return 2
}
