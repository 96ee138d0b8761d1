package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Error is one error in a config. A function that finds several errors joins them ([errors.Join]), sorted by key, one
// on each line; [errors.As] finds the first. No Error contains a secret: of the values in the file, it quotes only the
// names of models, providers, servers and enumerations.
type Error struct {
	File string // the path of the file; "" for text and for a Config built in Go
	Line int    // the line of a syntax error, from 1; 0 if it is not known
	Key  string // the key path in the form of TOML, such as providers.kimi.base_url or hooks[0].event; "" for the whole config
	Text string // what is wrong and what to do
}

// Error returns "config: FILE:LINE: KEY: TEXT", without the parts that are not known.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("config: ")
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			b.WriteString(":" + strconv.Itoa(e.Line))
		}
		b.WriteString(": ")
	} else if e.Line > 0 {
		b.WriteString("line " + strconv.Itoa(e.Line) + ": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	return b.String() + e.Text
}

// problems collects errors. It keeps only the first error of each key path, and none below a path that has an error.
type problems struct {
	file  string
	list  []*Error
	seen  map[string]bool
	alias map[string]string // from a key path to the key path in the file
}

func (p *problems) add(key, text string) {
	if alias, ok := p.alias[key]; ok {
		key = alias
	}
	for i := range len(key) + 1 {
		if (i == len(key) || key[i] == '.' || key[i] == '[') && p.seen[key[:i]] {
			return
		}
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[key] = true
	p.list = append(p.list, &Error{File: p.file, Key: key, Text: text})
}

// err returns the problems as one error, sorted by key.
func (p *problems) err() error {
	slices.SortFunc(p.list, func(a, b *Error) int { return strings.Compare(a.Key, b.Key) })
	var list []error
	for _, e := range p.list {
		list = append(list, e)
	}
	return errors.Join(list...)
}

// fileError keeps the error of the system, so that errors.Is works with the errors of io/fs.
func fileError(err error) error { return fmt.Errorf("config: %w", err) }

// join appends a key to a key path, with the quotes that TOML needs.
func join(path, key string) string {
	key = toml.Key{key}.String()
	if path == "" {
		return key
	}
	return path + "." + key
}

// quote returns a name from the file for an error, shortened.
func quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strconv.Quote(s)
}
