package render

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/wireproto"
)

// style is an ANSI sequence.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	dim    style = "\x1b[2m"
	red    style = "\x1b[31m"
	green  style = "\x1b[32m"
	yellow style = "\x1b[33m"
	cyan   style = "\x1b[36m"
	reset        = "\x1b[0m"
)

// line writes whole lines.
func (r *Renderer) line(s *stream, st style, t string) {
	r.fresh(s)
	s.kind, s.above = block, nil
	r.put(s, st, clean(t))
	r.newline()
}

// stream continues what is of one kind, or begins it.
func (r *Renderer) stream(s *stream, k kind, st style, t string) {
	if t == "" {
		return
	}
	if s.kind != k || r.last != s {
		r.fresh(s)
		s.kind, s.above = k, nil
		if k == thinking && !r.opts.Colour {
			t = "(thinking) " + t
		}
	}
	r.put(s, st, clean(t))
}

// fresh goes to the start of a line for s, and says whose it is where a subagent takes over.
func (r *Renderer) fresh(s *stream) {
	r.newline()
	if r.last != s && s.label != "" {
		r.put(s, dim, s.label)
		r.newline()
	}
	r.last = s
}

func (r *Renderer) newline() {
	if r.open {
		r.buf.WriteByte('\n')
		r.open = false
	}
}

// put writes text that may have several lines, each with the indent and the style.
func (r *Renderer) put(s *stream, st style, t string) {
	for {
		line, rest, more := strings.Cut(t, "\n")
		if line != "" {
			if !r.open {
				r.styled(dim, s.indent)
			}
			r.styled(st, line)
			r.open = true
		}
		if !more {
			return
		}
		if !r.open {
			r.styled(dim, strings.TrimRight(s.indent, " "))
		}
		r.buf.WriteByte('\n')
		r.open = false
		t = rest
	}
}

func (r *Renderer) styled(st style, t string) {
	if t == "" {
		return
	}
	if st == plain || !r.opts.Colour {
		r.buf.WriteString(t)
		return
	}
	r.buf.WriteString(string(st))
	r.buf.WriteString(t)
	r.buf.WriteString(reset)
}

// clean makes visible what could move the cursor, rename the window or turn the order of the
// text around: what is shown to be approved must be what will be done.
func clean(t string) string {
	t = strings.ReplaceAll(t, "\r\n", "\n")
	if !strings.ContainsFunc(t, hidden) {
		return t
	}
	var b strings.Builder
	for _, c := range t {
		switch {
		case !hidden(c):
			b.WriteRune(c)
		case c < ' ':
			b.WriteString("^" + string(c+'@'))
		default:
			fmt.Fprintf(&b, "\\u%04x", c)
		}
	}
	return b.String()
}

func hidden(c rune) bool {
	return unicode.IsControl(c) && c != '\n' && c != '\t' || unicode.Is(unicode.Bidi_Control, c)
}

// Clean returns t with the control characters made visible, for others that write beside a Renderer.
func Clean(t string) string { return clean(t) }

// oneLine folds white space and cuts t to at most n runes.
func oneLine(t string, n int) string {
	t = strings.Join(strings.FieldsFunc(t, func(c rune) bool { return c == '\n' || c == '\r' }), "⏎")
	runes := []rune(strings.TrimSpace(t))
	if len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return string(runes)
}

// part names a content part that is not text.
func part(p wireproto.ContentPart) string {
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

// summary returns what the user said.
func summary(c wireproto.Content) string {
	if c.Parts == nil {
		return c.Text
	}
	var list []string
	for _, p := range c.Parts {
		if t, ok := p.(*wireproto.TextPart); ok {
			list = append(list, t.Text)
		} else if name := part(p); name != "" {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
