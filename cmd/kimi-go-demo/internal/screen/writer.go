package screen

import (
	"fmt"
	"io"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Style is an ANSI sequence.
type Style string

// The styles that this program uses.
const (
	Plain  Style = ""
	Bold   Style = "\x1b[1m"
	Dim    Style = "\x1b[2m"
	Red    Style = "\x1b[31m"
	Green  Style = "\x1b[32m"
	Yellow Style = "\x1b[33m"
	Cyan   Style = "\x1b[36m"

	reset = "\x1b[0m"
)

// Span is a text in one style.
type Span struct {
	Style Style
	Text  string
}

// Writer cleans everything that is written to it, as [Clean] does. Only its own styles have an effect on the terminal.
// Several goroutines may use it at once.
type Writer struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
	clean  cleaner
	part   []byte // the first bytes of a rune that is not complete yet
}

// NewWriter returns a Writer to w. It writes styles if colour is true.
func NewWriter(w io.Writer, colour bool) *Writer { return &Writer{w: w, colour: colour} }

// Colour reports whether the Writer writes styles.
func (w *Writer) Colour() bool { return w.colour }

// Write cleans p and writes it. A rune may be split between two writes.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := append(w.part, p...)
	whole := len(t)
	for i := max(0, len(t)-utf8.UTFMax+1); i < len(t); i++ {
		if utf8.RuneStart(t[i]) && !utf8.FullRune(t[i:]) {
			whole = i
			break
		}
	}
	w.part = append([]byte(nil), t[whole:]...)
	if _, err := w.w.Write(w.clean.append(nil, string(t[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Print writes spans at once, with their texts cleaned.
func (w *Writer) Print(spans ...Span) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.clean.append(nil, string(w.part))
	w.part = nil
	for _, s := range spans {
		if s.Text == "" {
			continue
		}
		if s.Style == Plain || !w.colour {
			b = w.clean.append(b, s.Text)
			continue
		}
		b = append(b, s.Style...)
		b = w.clean.append(b, s.Text)
		b = append(b, reset...)
	}
	_, err := w.w.Write(b)
	return err
}

// JSON returns a writer for JSON. Characters that Clean would make visible are written as \u escapes, which have the
// same meaning in JSON.
func (w *Writer) JSON() io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w *Writer }

func (j jsonWriter) Write(p []byte) (int, error) {
	b := make([]byte, 0, len(p))
	for i, n := 0, 0; i < len(p); i += n {
		var c rune
		c, n = utf8.DecodeRune(p[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case c == '\r' || !hidden(c): // a \r outside of strings is white space; in strings it is already escaped
			b = append(b, p[i:i+n]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	j.w.mu.Lock()
	defer j.w.mu.Unlock()
	if _, err := j.w.w.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}
