package tui

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

const (
	reset     = "\x1b[0m"
	underline = "\x1b[4m"
)

// paint returns t in a style. It cleans t, which is one line. Words of an agent reach the screen only through this
// function and package markdown.
func paint(style screen.Style, t string) string {
	t = screen.Line(screen.Clean(t))
	if style == screen.Plain || t == "" {
		return t
	}
	return string(style) + t + reset
}

// paintLines is paint for a text of several lines.
func paintLines(style screen.Style, t string) string {
	lines := strings.Split(t, "\n")
	for i, l := range lines {
		lines[i] = paint(style, l)
	}
	return strings.Join(lines, "\n")
}

var sequence = regexp.MustCompile("\x1b\\[([0-9;]+)m")

// onLight maps colours that are hard to read on a light background to darker ones.
var onLight = map[string]string{"32": "38;5;28", "33": "38;5;94", "36": "38;5;24"}

// darker returns t with colours for a light background. t has only the styles of this program, of 16 colours.
func darker(t string) string {
	return sequence.ReplaceAllStringFunc(t, func(s string) string {
		codes := strings.Split(s[len("\x1b["):len(s)-1], ";")
		for i, c := range codes {
			if other, ok := onLight[c]; ok {
				codes[i] = other
			}
		}
		return "\x1b[" + strings.Join(codes, ";") + "m"
	})
}

// palette is what the program knows about the terminal's colours.
type palette struct {
	none  bool // show no styles
	many  bool // the terminal has 256 colours
	light bool // the background is light
}

// show returns t with the styles that the terminal can show.
func (p palette) show(t string) string {
	switch {
	case p.none:
		return ansi.Strip(t)
	case p.many && p.light:
		return darker(t)
	}
	return t
}

// cut shortens a line to columns.
func cut(t string, columns int) string { return ansi.Truncate(t, max(columns, 1), "…") }

// cutAll shortens lines to columns.
func cutAll(lines []string, columns int) []string {
	for i, l := range lines {
		if ansi.StringWidth(l) > columns {
			lines[i] = cut(l, columns)
		}
	}
	return lines
}

// under puts head before the first line, and rest before each of the others.
func under(lines []string, head, rest string) []string {
	list := make([]string, len(lines))
	for i, l := range lines {
		list[i] = strings.TrimRight(head+l, " ")
		head = rest
	}
	return list
}

// rowLines returns rows as lines of at most columns columns. It marks the words that differ between an old line and the
// new line that replaces it.
func rowLines(rows []screen.Row, columns int) []string {
	rows = screen.Layout(rows, 0)
	texts := make([]string, len(rows))
	for i := range rows {
		rows[i].Text = strings.ReplaceAll(rows[i].Text, "\t", "    ")
		texts[i] = paint(rows[i].Style, rows[i].Text)
	}
	for i := 0; i < len(rows); i++ {
		old := 0
		for i+old < len(rows) && rows[i+old].Style == screen.Red {
			old++
		}
		fresh := 0
		for i+old+fresh < len(rows) && rows[i+old+fresh].Style == screen.Green {
			fresh++
		}
		if old == 0 {
			continue
		}
		for j := range min(old, fresh) {
			before, after := render.Words(rows[i+j].Text, rows[i+old+j].Text)
			texts[i+j], texts[i+old+j] = pieces(screen.Red, before), pieces(screen.Green, after)
		}
		i += old + fresh - 1
	}
	var list []string
	for i, r := range rows {
		mark := paint(r.Style, r.Mark)
		width := ansi.StringWidth(r.Mark)
		text := texts[i]
		if width+ansi.StringWidth(text) <= columns {
			list = append(list, strings.TrimRight(mark+text, " "))
			continue
		}
		list = append(list, under(wrapHard(text, columns-max(width, 6)), mark, paint(screen.Dim, "    ↪ "))...)
	}
	return list
}

func pieces(style screen.Style, list []render.Piece) string {
	var b strings.Builder
	for _, p := range list {
		if p.Changed && strings.TrimSpace(p.Text) != "" && len(list) > 1 {
			b.WriteString(paint(style+screen.Bold+underline, p.Text))
		} else {
			b.WriteString(paint(style, p.Text))
		}
	}
	return b.String()
}

// wrapHard breaks a line at its last column, even within a word.
func wrapHard(t string, columns int) []string {
	columns = max(columns, 1)
	return strings.Split(lipgloss.Wrap(ansi.Hardwrap(t, columns, true), columns, ""), "\n")
}

// wrapWords breaks a line between words.
func wrapWords(t string, columns int) []string {
	return strings.Split(lipgloss.Wrap(t, max(columns, 1), ""), "\n")
}

// tokens writes a number of tokens in a short form.
func tokens(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprint(n)
	case n < 100_000:
		return fmt.Sprintf("%.1fk", float64(n)/1000)
	case n < 1_000_000:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprintf("%.1fM", float64(n)/1e6)
}

// took writes a duration as people say it.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// seconds is took in whole seconds, for something that still runs.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return took(d)
}
