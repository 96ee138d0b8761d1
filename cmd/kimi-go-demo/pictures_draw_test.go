//go:build !windows

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// These are the measures of a picture, in pixels.
const (
	cellWidth, cellHeight = 8.4, 18
	margin                = 14
)

// These are the colours of a picture. The user of a terminal chooses its first 16 colours; a picture has its own.
const paper, ink = "#16181d", "#d8dbe2"

var palette = [16]string{
	"#3b4048", "#f2777a", "#8cc570", "#e5b567", "#6cb0f0", "#c792ea", "#56c2c2", "#d8dbe2",
	"#7d8590", "#ff9a9c", "#a8dc8e", "#f5cd87", "#8fc7ff", "#dbb4f5", "#7fdddd", "#ffffff",
}

// These are the bits of a cell's attributes that are drawn. The emulator's own names for them are in an internal
// package.
const (
	bold = 1 << iota
	faint
	italic
	_
	_
	reverse
	_
	strike
)

// hex returns a colour in the form of SVG. For the terminal's default colour, it returns other.
func hex(c color.Color, other string) string {
	switch c := c.(type) {
	case nil:
		return other
	case ansi.BasicColor:
		return palette[c]
	case ansi.IndexedColor:
		if c < 16 {
			return palette[c]
		}
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

// look is the style of a run of cells.
type look struct {
	fg, bg string
	attrs  uint8
	under  bool
}

func (l look) attributes() string {
	s := fmt.Sprintf(" fill=%q", l.fg)
	if l.attrs&bold != 0 {
		s += ` font-weight="bold"`
	}
	if l.attrs&faint != 0 {
		s += ` opacity="0.6"`
	}
	if l.attrs&italic != 0 {
		s += ` font-style="italic"`
	}
	switch {
	case l.attrs&strike != 0:
		s += ` text-decoration="line-through"`
	case l.under:
		s += ` text-decoration="underline"`
	}
	return s
}

// drawCast returns the pictures of the moments of a cast, by their names.
func drawCast(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	h, events := readCast(t, data)
	emu := vt.NewEmulator(h.Width, h.Height)
	go io.Copy(io.Discard, emu) // drop the replies of the terminal
	defer emu.InputPipe().(io.Closer).Close()
	drawn := make(map[string][]byte)
	for _, e := range events {
		if e.kind == "m" {
			drawn[e.data] = draw(emu, h.Title)
		} else {
			emu.WriteString(e.data)
		}
	}
	return drawn
}

// draw returns the screen of a terminal as SVG, without the empty rows at its end.
func draw(emu *vt.Emulator, title string) []byte {
	var body bytes.Buffer
	rows := 0
	for y := range emu.Height() {
		var cells []string // the cells with one look
		var style look
		from := 0
		flush := func() {
			for part := range parts(cells) {
				at := margin + float64(from+part.from)*cellWidth
				width := float64(part.columns) * cellWidth
				fmt.Fprintf(&body, "<text x=\"%.1f\" y=\"%d\" textLength=\"%.1f\"%s>", at, margin+y*cellHeight+13, width, style.attributes())
				xml.EscapeText(&body, []byte(part.text))
				body.WriteString("</text>\n")
				rows = y + 1
			}
			cells = nil
		}
		cursor := emu.CursorPosition()
		for x := 0; x < emu.Width(); {
			text, width, l := " ", 1, look{fg: ink, bg: paper}
			if c := emu.CellAt(x, y); c != nil {
				l = look{hex(c.Style.Fg, ink), hex(c.Style.Bg, paper), c.Style.Attrs & (bold | faint | italic | reverse | strike), c.Style.Underline != 0}
				if c.Content != "" {
					text, width = c.Content, max(c.Width, 1)
				}
			}
			if l.attrs&reverse != 0 != (cursor.X == x && cursor.Y == y && !emu.CursorHidden()) {
				l.fg, l.bg = l.bg, l.fg
			}
			l.attrs &^= reverse
			if l.bg != paper {
				fmt.Fprintf(&body, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=%q/>\n", margin+float64(x)*cellWidth, margin+y*cellHeight, float64(width)*cellWidth, cellHeight, l.bg)
				rows = y + 1
			}
			if l != style {
				flush()
			}
			if len(cells) == 0 {
				from, style = x, l
			}
			cells = append(cells, text)
			for range width - 1 {
				cells = append(cells, "")
			}
			x += width
		}
		flush()
	}
	var b bytes.Buffer
	width, height := 2*margin+float64(emu.Width())*cellWidth, 2*margin+rows*cellHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.1f %d" width="%.1f" height="%d" role="img" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">`+"\n", width, height, width, height)
	b.WriteString("<title>")
	xml.EscapeText(&b, []byte(title))
	fmt.Fprintf(&b, "</title>\n<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=%q/>\n", paper)
	b.Write(body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// part is a part of the text of a run of cells.
type part struct {
	from, columns int
	text          string
}

// parts yields the text of a run in parts. It cuts the text at blanks that SVG would join, and yields each wide
// character alone, because such a character does not have the width of two columns in every font.
func parts(cells []string) iter.Seq[part] {
	return func(yield func(part) bool) {
		for i := 0; i < len(cells); {
			if cells[i] == " " {
				i++
				continue
			}
			end := i + 1
			wide := func(at int) bool { return at+1 < len(cells) && cells[at+1] == "" }
			if wide(i) {
				end++
			} else {
				for end < len(cells) && !wide(end) && (cells[end] != " " || end+1 < len(cells) && cells[end+1] != " " && !wide(end+1)) {
					end++
				}
			}
			if !yield(part{i, end - i, strings.Join(cells[i:end], "")}) {
				return
			}
			i = end
		}
	}
}
