// Package grant holds the rules that answer requests for approval: those of a file, and those that the person adds.
package grant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/rules"
)

// Book has the rules. It may be used by several goroutines at once.
type Book struct {
	file    string // "" for none
	missing bool   // the file did not exist when it was opened

	mu    sync.Mutex
	rules *rules.Rules // replaced, never changed
}

// Open reads a file of rules. The file may be missing: it is created when a rule is kept. "" means no file.
func Open(file string) (*Book, error) {
	b := &Book{file: file, rules: new(rules.Rules)}
	if file == "" {
		return b, nil
	}
	r, err := rules.Load(file)
	switch {
	case err == nil:
		b.rules = r
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	default:
		if _, err := os.Stat(filepath.Dir(file)); err != nil { // no rule could be written
			return nil, err
		}
		b.missing = true
	}
	return b, nil
}

// Missing reports whether the file did not exist, so that there are no rules yet.
func (b *Book) Missing() bool { return b.missing }

func (b *Book) now() *rules.Rules {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rules
}

// Hooks returns hooks for [client.Options.Hooks]. They block what the file denies, also if kimi does not ask.
func (b *Book) Hooks() []client.Hook {
	if r := b.now(); len(r.Deny)+len(r.Ask) > 0 {
		return []client.Hook{r.Hook()}
	}
	return nil
}

// Answer answers a request if a rule covers it, and says how. "" means that the person decides.
func (b *Book) Answer(ctx context.Context, m *client.ApprovalRequest, name string, arguments json.RawMessage) (said string, err error) {
	r := b.now()
	d := r.Decide(name, arguments, m.WorkDir())
	if name != "" && d.Verdict != rules.Allow && d.Verdict != rules.Deny {
		return "", nil
	}
	asked := false
	err = r.Approve(func(context.Context, *client.ApprovalRequest) error { asked = true; return nil })(ctx, m) // checks more than Decide
	switch {
	case asked:
		return "", nil
	case d.Verdict == rules.Allow:
		return "allowed by a rule: " + d.Rule.String(), err
	}
	return "refused by a rule: " + d.Reason, err
}

// Offer is something that the person can allow from now on.
type Offer struct {
	Words string
	rule  *rules.Rule // nil for kimi's own approval for the session
	keep  bool        // also write the rule to the file
}

// Offers returns rules that would allow a request, the narrowest first, and kimi's own approval for the session. No
// offer covers more than its words say. perCall says that kimi's own approval covers the same call only.
func (b *Book) Offers(m *client.ApprovalRequest, name string, arguments json.RawMessage, perCall bool) []Offer {
	return b.offers(m.WorkDir(), m.Action, name, arguments, perCall)
}

func (b *Book) offers(workDir, action, name string, arguments json.RawMessage, perCall bool) []Offer {
	var list []Offer
	r := b.now()
	foreign := strings.Contains(action, ":") // kimi-cli's own actions are plain words
	found := slices.DeleteFunc(suggest(name, arguments, workDir, foreign), func(s suggestion) bool {
		return with(r, s.rule).Decide(name, arguments, workDir).Verdict != rules.Allow
	})
	for _, s := range found {
		if !s.exact || !perCall {
			list = append(list, Offer{s.words + ", in this session", &s.rule, false})
		}
	}
	if perCall {
		list = append(list, Offer{Words: "the same call again, in this session"})
	}
	if b.file != "" {
		for _, s := range found {
			list = append(list, Offer{s.words + ", from now on (in " + filepath.Base(b.file) + ")", &s.rule, true})
		}
	}
	if !perCall {
		list = append(list, Offer{Words: "every later “" + action + "”, whatever it is, in this session"})
	}
	return list
}

// with returns a copy of r that also allows what rule covers.
func with(r *rules.Rules, rule rules.Rule) *rules.Rules {
	next := *r
	next.Allow = append(slices.Clone(r.Allow), rule)
	return &next
}

// Approve approves a request, and from now on everything that the offer covers.
func (b *Book) Approve(m *client.ApprovalRequest, o Offer) error {
	if o.rule == nil {
		return m.ApproveForSession()
	}
	if err := m.Approve(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = with(b.rules, *o.rule)
	return nil
}

// Keep writes the rule of an approved offer to the file, if the offer says so. If that fails, the rule still holds in
// this session.
func (b *Book) Keep(o Offer) error {
	if !o.keep {
		return nil
	}
	if err := b.write(*o.rule); err != nil {
		return fmt.Errorf("the rule is allowed in this session only: %w", err)
	}
	return nil
}

// write appends a rule to the file.
func (b *Book) write(rule rules.Rule) error {
	data, err := os.ReadFile(b.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := table(rule)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		text = append([]byte("\n"), text...)
		if !bytes.HasSuffix(data, []byte("\n")) {
			text = append([]byte("\n"), text...)
		}
	}
	if _, err := rules.Parse(append(data, text...)); err != nil { // the file has changed, or has a form that nothing can be appended to
		return fmt.Errorf("%s cannot take another rule: %w", b.file, err)
	}
	return add(b.file, text)
}

// add appends text to a file, all of it or nothing. Another chat may have appended to the file in the meantime.
func add(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	before, err := f.Stat()
	if err == nil {
		var n int
		if n, err = f.Write(text); err != nil && n > 0 { // a part of a rule may allow more than the whole rule
			err = errors.Join(err, f.Truncate(before.Size()))
		}
	}
	return errors.Join(err, f.Close())
}

// table returns a rule in the form of the file.
func table(rule rules.Rule) ([]byte, error) {
	text := bytes.NewBufferString("[[allow]]\n")
	fields := make(map[string]string)
	for key, value := range map[string]string{"tool": rule.Tool, "command": rule.Command, "path": rule.Path} {
		if value != "" {
			fields[key] = value
		}
	}
	if err := toml.NewEncoder(text).Encode(fields); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// text returns the argument key if it is a string, and "" otherwise.
func text(arguments json.RawMessage, key string) string {
	var all map[string]json.RawMessage
	var s string
	if json.Unmarshal(arguments, &all) != nil || json.Unmarshal(all[key], &s) != nil {
		return ""
	}
	return s
}
