// Package screen writes text of an agent to terminals so that a person sees all of it. The text cannot move the cursor,
// rename the window, fill the clipboard or hide.
package screen

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes characters visible that would control a terminal or are invisible: it writes control characters as ^X,
// bytes that are not UTF-8 as \xNN, and other hidden characters as \uNNNN or \UNNNNNNNN. Line ends and tabs stay.
func Clean(t string) string {
	var c cleaner
	return string(c.append(nil, t))
}

// Line returns t as one line, so that it cannot begin another line: line ends become ⏎ and tabs become blanks.
func Line(t string) string { return strings.ReplaceAll(oneLine.Replace(t), "\t", " ") }

var oneLine = strings.NewReplacer("\r\n", "⏎", "\n", "⏎")

// hidden reports whether c is invisible, or changes how its neighbours appear.
func hidden(c rune) bool {
	switch {
	case c >= ' ' && c < 0x7f, c == '\n', c == '\t':
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, c):
		return false // format characters that are visible, such as the Arabic number sign
	}
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Bidi_Control, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// cleaner cleans a text that comes in pieces.
type cleaner struct {
	last rune // the last rune that was written; 0 if that was an escape
}

// append appends t to b, cleaned.
func (cl *cleaner) append(b []byte, t string) []byte {
	for i, n := 0, 0; i < len(t); i += n {
		var c rune
		c, n = utf8.DecodeRuneInString(t[i:])
		next, _ := utf8.DecodeRuneInString(t[i+n:])
		switch {
		case c == utf8.RuneError && n == 1:
			b = fmt.Appendf(b, `\x%02x`, t[i])
			c = 0
		case c == '\r' && next == '\n':
		case !hidden(c) || emoji(cl.last, c, next, i+n == len(t)):
			b = append(b, t[i:i+n]...)
		default:
			switch {
			case c < ' ' || c == 0x7f:
				b = append(b, '^', byte(c)^0x40)
			case c > 0xffff:
				b = fmt.Appendf(b, `\U%08x`, c)
			default:
				b = fmt.Appendf(b, `\u%04x`, c)
			}
			c = 0
		}
		cl.last = c
	}
	return b
}

// emoji reports whether c, which is invisible alone, is part of an emoji, as in ⚠️, 1️⃣ and 👩‍🚀. It returns false after
// another invisible character, so that no text can be hidden with it. atEnd says that next is not known yet.
func emoji(last, c, next rune, atEnd bool) bool {
	const style, joiner, keycap = '\ufe0f', '\u200d', '\u20e3'
	symbol := func(c rune) bool { return c > 0x7f && unicode.Is(unicode.S, c) }
	switch c {
	case style:
		return symbol(last) || next == keycap && strings.ContainsRune("0123456789#*", last)
	case joiner:
		return (symbol(last) || last == style) && (symbol(next) || atEnd)
	}
	return false
}
