package render

import (
	"strings"
	"unicode"
)

// Piece is a part of a line that has changed, or has not.
type Piece struct {
	Text    string
	Changed bool
}

// Words says which words of a line have changed, in the old line and in the new one. If the lines have almost nothing
// in common, all words count as changed.
func Words(from, to string) (before, after []Piece) {
	a, b := words(from), words(to)
	if len(a)*len(b) > 1<<16 {
		return []Piece{{from, true}}, []Piece{{to, true}}
	}
	same := 0
	add := func(list []Piece, t string, changed bool) []Piece {
		if n := len(list); n > 0 && list[n-1].Changed == changed {
			list[n-1].Text += t
			return list
		}
		return append(list, Piece{t, changed})
	}
	for _, c := range align(a, b) {
		switch c.op {
		case '-':
			before = add(before, c.text, true)
		case '+':
			after = add(after, c.text, true)
		default:
			if strings.TrimSpace(c.text) != "" {
				same += len(c.text)
			}
			before, after = add(before, c.text, false), add(after, c.text, false)
		}
	}
	if 4*same < min(len(from), len(to)) {
		return []Piece{{from, true}}, []Piece{{to, true}}
	}
	return before, after
}

// words splits a line into words, white space and signs.
func words(t string) []string {
	class := func(c rune) int {
		switch {
		case unicode.IsLetter(c), unicode.IsDigit(c), c == '_':
			return 1
		case unicode.IsSpace(c):
			return 2
		}
		return 0
	}
	var list []string
	start, last := 0, -1
	for i, c := range t {
		if k := class(c); i > 0 && (k != last || k == 0) {
			list = append(list, t[start:i])
			start = i
		}
		last = class(c)
	}
	if start < len(t) {
		list = append(list, t[start:])
	}
	return list
}
