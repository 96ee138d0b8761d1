package render

import (
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// line writes t as one line. t cannot begin another line.
func (r *Renderer) line(s *stream, st screen.Style, t string) {
	r.fresh(s)
	s.kind, s.above = block, nil
	r.put(s, st, screen.Line(t))
	r.newline()
}

// lines writes the lines of t. The first comes after head, the others after rest.
func (r *Renderer) lines(s *stream, st screen.Style, head, rest, t string) {
	r.rows(s, screen.Rows(st, head, rest, t))
}

func (r *Renderer) rows(s *stream, rows []screen.Row) {
	for _, row := range rows {
		r.fresh(s)
		s.kind, s.above = block, nil
		if row.Text == "" {
			row.Mark = strings.TrimRight(row.Mark, " ")
		}
		r.put(s, row.Style, row.String()+"\n")
	}
}

// stream continues text of the same kind, or begins a new one.
func (r *Renderer) stream(s *stream, k kind, st screen.Style, t string) {
	if t == "" {
		return
	}
	if s.kind != k || r.last != s {
		r.fresh(s)
		s.kind, s.above = k, nil
		if k == thinking && !r.w.Colour() {
			t = "(thinking) " + t
		}
	}
	r.put(s, st, strings.ReplaceAll(t, "\r\n", "\n"))
}

// fresh begins a new line for s. If another agent begins to write, it names that agent.
func (r *Renderer) fresh(s *stream) {
	r.newline()
	if r.last != s && s.label != "" {
		r.put(s, screen.Dim, screen.Line(s.label))
		r.newline()
	}
	r.last = s
}

func (r *Renderer) newline() {
	if r.open {
		r.styled(screen.Plain, "\n")
		r.open = false
	}
}

// put writes text that may have several lines. Each line gets the indent and the style.
func (r *Renderer) put(s *stream, st screen.Style, t string) {
	for {
		line, rest, more := strings.Cut(t, "\n")
		if line != "" {
			if !r.open {
				r.styled(screen.Dim, s.indent)
			}
			r.styled(st, line)
			r.open = true
		}
		if !more {
			return
		}
		if !r.open {
			r.styled(screen.Dim, strings.TrimRight(s.indent, " "))
		}
		r.styled(screen.Plain, "\n")
		r.open = false
		t = rest
	}
}

func (r *Renderer) styled(st screen.Style, t string) {
	r.buf = append(r.buf, screen.Span{Style: st, Text: t})
}

// oneLine replaces each run of white space by one blank, and cuts t to at most n runes.
func oneLine(t string, n int) string {
	runes := []rune(strings.TrimSpace(strings.Join(strings.FieldsFunc(t, func(c rune) bool { return c == '\n' || c == '\r' }), "⏎")))
	if len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return string(runes)
}

// Part names a content part that is not text.
func Part(p wireproto.ContentPart) string {
	switch p := p.(type) {
	case *wireproto.ImageURLPart:
		return media("image", p.ImageURL.URL)
	case *wireproto.AudioURLPart:
		return media("audio", p.AudioURL.URL)
	case *wireproto.VideoURLPart:
		return media("video", p.VideoURL.URL)
	case *wireproto.UnknownPart:
		return "[" + p.Type + "]"
	}
	return ""
}

func media(kind, url string) string {
	if head, data, ok := strings.Cut(url, ","); ok && strings.HasPrefix(head, "data:") {
		mime, _, _ := strings.Cut(strings.TrimPrefix(head, "data:"), ";")
		return fmt.Sprintf("[%s: %s, %d KB]", kind, mime, (len(data)*3/4+1023)/1024)
	}
	return "[" + kind + ": " + oneLine(url, 100) + "]"
}

// Said returns the text of the user.
func Said(c wireproto.Content) string {
	if c.Parts == nil {
		return c.Text
	}
	var list []string
	for _, p := range c.Parts {
		if t, ok := p.(*wireproto.TextPart); ok {
			list = append(list, t.Text)
		} else if name := Part(p); name != "" {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}
