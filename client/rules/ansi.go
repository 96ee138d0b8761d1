package rules

import (
	"strconv"
	"strings"
)

// ansiEscapes are the escapes in $'…' that have one letter.
var ansiEscapes = map[byte]string{'a': "\a", 'b': "\b", 'e': "\x1b", 'E': "\x1b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	'\\': `\`, '\'': `'`, '"': `"`, '?': "?"}

// ansiC decodes the text in $'…'. It reports whether it knows all escapes in the text.
func ansiC(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if s, ok := ansiEscapes[text[i]]; ok {
			b.WriteString(s)
			continue
		}
		base, most, start := 16, 2, i+1
		switch c := text[i]; {
		case c == 'x':
		case c == 'u':
			most = 4
		case c == 'U':
			most = 8
		case '0' <= c && c <= '7':
			base, most, start = 8, 3, i
		default:
			return b.String(), false
		}
		end := start
		for end < len(text) && end < start+most && isDigit(text[end], base) {
			end++
		}
		n, err := strconv.ParseUint(text[start:end], base, 32)
		if err != nil || n == 0 { // a NUL would end the word
			return b.String(), false
		}
		if most > 3 {
			b.WriteRune(rune(n))
		} else {
			b.WriteByte(byte(n))
		}
		i = end - 1
	}
	return b.String(), true
}

func isDigit(c byte, base int) bool {
	_, err := strconv.ParseUint(string(rune(c)), base, 8)
	return err == nil
}
