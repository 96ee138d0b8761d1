package rules

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/kimi-go/kimi-go/internal/regular"
)

// maxFile is the size of the longest file of rules that is read, in bytes.
const maxFile = 1 << 20

// Load reads a file of rules in TOML. The tables are [[deny]], [[ask]] and [[allow]], with the keys tool, command,
// path, mcp_server, reason and options. An unknown key is an error that names the key and its line. Everything that
// [Rules.Validate] refuses is an error, too.
func Load(path string) (*Rules, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("rules: load: %w; name a readable file of rules", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("rules: load %s: %w; name a readable file of rules", path, err)
	}
	r, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("rules: load %s: %w", path, err)
	}
	return r, nil
}

// Parse reads rules in TOML, as Load does.
func Parse(data []byte) (*Rules, error) {
	r, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return r, nil
}

// decode does what Parse does. Its errors do not name this package.
func decode(data []byte) (*Rules, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d MiB; name a file of rules", maxFile>>20)
	}
	r := new(Rules)
	meta, err := toml.Decode(string(data), r)
	if err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: %s; correct the TOML", syntax.Position.Line, strings.TrimSuffix(syntax.Message, "."))
		}
		// The rest of the decoder's text is left out, because it names Go types.
		where, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "toml: "), "): ")
		return nil, fmt.Errorf("%s): every value is a string, every table one of [[deny]], [[ask]] and [[allow]]", where)
	}
	var errs []error
	seen := make(map[string]int) // how often each last part of a key has come; lineOf counts in the same way
	for _, key := range meta.Keys() {
		name, last := key.String(), key[len(key)-1]
		seen[last]++
		remedy := ""
		switch {
		case undecoded(meta, key):
			remedy = "a rule has tool, command, path, mcp_server, reason and options"
		case name != strings.ToLower(name): // the decoder ignores the case of keys, but a reader of the file may not notice that
			remedy = "write it in lower case"
		default:
			continue
		}
		errs = append(errs, fmt.Errorf("line %d: unknown key %.80q; %s", lineOf(string(data), key, seen[last]), name, remedy))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := r.problems(); err != nil {
		return nil, err
	}
	return r, nil
}

func undecoded(meta toml.MetaData, key toml.Key) bool {
	for _, other := range meta.Undecoded() {
		if other.String() == key.String() {
			return true
		}
	}
	return false
}

// lineOf returns the line of the n-th key of that name, because the decoder does not report it. It searches for the
// last name of the key, so it may also find the name in a comment or in a string of several lines.
func lineOf(data string, key toml.Key, n int) int {
	name := regexp.QuoteMeta(key[len(key)-1])
	pattern := regexp.MustCompile(`(?:^|[\s{,.\[])["']?` + name + `["']?\s*[=.\]]`)
	line := 0
	for text := range strings.Lines(data) {
		line++
		if !strings.HasPrefix(strings.TrimSpace(text), "#") && pattern.MatchString(text) {
			if n--; n == 0 {
				return line
			}
		}
	}
	return 0
}
