package wireproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// This file finds the parts of a JSON text without decoding them. encoding/json must read a value twice to split it:
// once to check it, and once to fill a RawMessage. It does so at each level of nesting, and a Wire line has three
// levels around a few bytes of text. The code here skips values without checking them. The code that decodes or keeps a
// value checks it. A value that is not used may be invalid.

var (
	errObject = errors.New("wireproto: not a JSON object")
	errArray  = errors.New("wireproto: not a JSON array")
	errString = errors.New("wireproto: not a JSON string")
	errSyntax = errors.New("wireproto: not valid JSON")
)

// eachMember calls f with the name and the raw value of each member of the object in data. A name is passed with its
// escapes; no name of the protocol has any.
func eachMember(data []byte, f func(key, value []byte)) error {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return errObject
	}
	if i = skipSpace(data, i+1); i < len(data) && data[i] == '}' {
		return atEnd(data, i+1, errObject)
	}
	for {
		end := skipString(data, i)
		if end < 0 {
			return errObject
		}
		key := data[i+1 : end-1]
		if i = skipSpace(data, end); i == len(data) || data[i] != ':' {
			return errObject
		}
		i = skipSpace(data, i+1)
		if end = skipValue(data, i); end < 0 {
			return errObject
		}
		f(key, data[i:end])
		if i = skipSpace(data, end); i == len(data) {
			return errObject
		}
		switch data[i] {
		case ',':
			i = skipSpace(data, i+1)
		case '}':
			return atEnd(data, i+1, errObject)
		default:
			return errObject
		}
	}
}

// eachElement calls f with each raw element of the array in data.
func eachElement(data []byte, f func(value []byte) error) error {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return errArray
	}
	if i = skipSpace(data, i+1); i < len(data) && data[i] == ']' {
		return atEnd(data, i+1, errArray)
	}
	for {
		end := skipValue(data, i)
		if end < 0 {
			return errArray
		}
		if err := f(data[i:end]); err != nil {
			return err
		}
		if i = skipSpace(data, end); i == len(data) {
			return errArray
		}
		switch data[i] {
		case ',':
			i = skipSpace(data, i+1)
		case ']':
			return atEnd(data, i+1, errArray)
		default:
			return errArray
		}
	}
}

func atEnd(data []byte, i int, otherwise error) error {
	if skipSpace(data, i) != len(data) {
		return otherwise
	}
	return nil
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i, or -1 if the string has no end.
func skipString(data []byte, i int) int {
	if i >= len(data) || data[i] != '"' {
		return -1
	}
	for i++; ; i++ {
		quote := bytes.IndexByte(data[i:], '"')
		if quote < 0 {
			return -1
		}
		// The quote ends the string unless an odd number of backslashes stands before it.
		start := i
		i += quote
		back := i
		for back > start && data[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 {
			return i + 1
		}
	}
}

// skipValue returns the index after the value that starts at i, or -1 if there is none.
func skipValue(data []byte, i int) int {
	if i >= len(data) {
		return -1
	}
	switch c := data[i]; {
	case c == '"':
		return skipString(data, i)
	case c == '{' || c == '[':
		for depth := 0; i < len(data); i++ {
			switch data[i] {
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			case '"':
				if i = skipString(data, i) - 1; i < 0 {
					return -1
				}
			}
		}
		return -1
	case c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z':
		start := i
		for i < len(data) && isScalar(data[i]) {
			i++
		}
		if c >= 'a' {
			if word := string(data[start:i]); word != "true" && word != "false" && word != "null" {
				return -1
			}
		}
		return i
	}
	return -1
}

func isScalar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// decodeString returns the text of a raw JSON string that was found by the functions above. Like encoding/json, it
// replaces invalid UTF-8 and unpaired surrogates by U+FFFD, and refuses control characters.
func decodeString(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", errString
	}
	body := raw[1 : len(raw)-1]
	bad, ascii := control(body)
	if bad {
		return "", errString
	}
	if bytes.IndexByte(body, '\\') < 0 && (ascii || utf8.Valid(body)) {
		return string(body), nil
	}
	out := make([]byte, 0, len(body))
	for len(body) > 0 {
		plain := bytes.IndexByte(body, '\\')
		if plain < 0 {
			plain = len(body)
		}
		out = appendValid(out, body[:plain])
		if body = body[plain:]; len(body) == 0 {
			break
		}
		if len(body) < 2 {
			return "", errString
		}
		c := body[1]
		if c != 'u' {
			if c = unescaped[c]; c == 0 {
				return "", errString
			}
			out, body = append(out, c), body[2:]
			continue
		}
		r, ok := hex4(body)
		if !ok {
			return "", errString
		}
		body = body[6:]
		if utf16.IsSurrogate(r) {
			low, _ := hex4(body)
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				body = body[6:]
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}

// control reports whether s has a byte below 0x20, and whether all of s is ASCII. It looks at 32 bytes at a time: after
// a subtraction of 0x20 from each byte, the high bit of a byte is set only if the byte was below 0x20 or above 0x7F, or
// is next to such a byte.
func control(s []byte) (found, ascii bool) {
	const spaces, high = 0x2020202020202020, 0x8080808080808080
	var seen uint64
	for ; len(s) >= 32; s = s[32:] {
		a, b := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		c, d := binary.LittleEndian.Uint64(s[16:]), binary.LittleEndian.Uint64(s[24:])
		seen |= a | b | c | d
		if ((a-spaces)|(b-spaces)|(c-spaces)|(d-spaces))&high != 0 &&
			((a-spaces)&^a|(b-spaces)&^b|(c-spaces)&^c|(d-spaces)&^d)&high != 0 {
			return true, false
		}
	}
	for _, c := range s {
		if c < ' ' {
			return true, false
		}
		seen |= uint64(c)
	}
	return false, seen&high == 0
}

// appendValid appends s, and replaces each byte of invalid UTF-8 by U+FFFD.
func appendValid(out, s []byte) []byte {
	if utf8.Valid(s) {
		return append(out, s...)
	}
	for _, r := range string(s) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hex4 reads \uXXXX at the start of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	return rune(n), err == nil
}

// appendPart writes a message if it is text or thinking. Most messages are, and encoding/json would write them in three
// steps.
func appendPart(b *bytes.Buffer, m Message) bool {
	switch p := m.(type) {
	case *TextPart:
		b.WriteString(`{"type":"ContentPart","payload":{"type":"text","text":`)
		appendString(b, p.Text)
		b.WriteString(`}}`)
		return true
	case *ThinkPart:
		if p.Encrypted != nil {
			return false
		}
		b.WriteString(`{"type":"ContentPart","payload":{"type":"think","think":`)
		appendString(b, p.Think)
		b.WriteString(`,"encrypted":null}}`)
		return true
	}
	return false
}

// appendString writes s in the same form as encodeJSON.
func appendString(b *bytes.Buffer, s string) {
	const hex = "0123456789abcdef"
	b.WriteByte('"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || n > 1) && r != '\u2028' && r != '\u2029' {
			i += n
			continue
		}
		b.WriteString(s[start:i])
		i += n
		start = i
		switch c {
		case '"', '\\':
			b.Write([]byte{'\\', c})
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			b.Write([]byte{'\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15]})
		}
	}
	b.WriteString(s[start:])
	b.WriteByte('"')
}
