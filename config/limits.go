package config

import (
	"bytes"
	"fmt"

	"github.com/kimi-go/kimi-go/internal/regular"
)

const (
	// maxFile is the size of the longest file that is read, in bytes.
	maxFile = 4 << 20
	// maxNesting and maxKeyParts are far larger than a configuration needs. The time of the TOML decoder grows with the
	// square of the depth, and with the cube for inline tables: without a limit, 20 KB could take ten seconds.
	maxNesting  = 64
	maxKeyParts = 16
)

// readFile reads a file that another person may have written.
func readFile(path string) ([]byte, error) {
	data, err := regular.Read(path, maxFile)
	if err != nil {
		return nil, fileError(err)
	}
	return data, nil
}

// tooDeep refuses TOML or JSON with more levels than maxNesting, or with a dotted key of more parts than maxKeyParts,
// before a decoder reads it. It knows only strings and comments, and no other part of the grammar.
func tooDeep(data []byte, toml bool) *Error {
	depth, parts := 0, 1
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"', '\'':
			if toml || c == '"' {
				i += stringLen(data[i:], toml) - 1
			}
		case '#':
			if end := bytes.IndexByte(data[i:], '\n'); toml && end >= 0 {
				i += end - 1 // the next iteration handles the line end
			} else if toml {
				return nil
			}
		case '[', '{':
			depth++
			parts = 1
		case ']', '}':
			depth--
			parts = 1
		case '.':
			parts++
		case '=', ',', '\n', ':':
			parts = 1
		}
		if depth > maxNesting || parts > maxKeyParts && toml {
			return &Error{
				Line: 1 + bytes.Count(data[:i], []byte("\n")),
				Text: fmt.Sprintf("has more than %d levels or a key of more than %d parts: no configuration needs them", maxNesting, maxKeyParts),
			}
		}
	}
	return nil
}

// stringLen returns the length of the string at the beginning of data, with its quotes. A string without an end ends
// with its line or, if it may have several lines, with the text.
func stringLen(data []byte, toml bool) int {
	quote := data[:1]
	if triple := bytes.Repeat(quote, 3); toml && bytes.HasPrefix(data, triple) {
		quote = triple
	}
	for i := len(quote); i < len(data); i++ {
		switch {
		case data[i] == '\\' && quote[0] == '"':
			i++
		case bytes.HasPrefix(data[i:], quote):
			return i + len(quote)
		case data[i] == '\n' && len(quote) == 1:
			return i
		}
	}
	return len(data)
}
