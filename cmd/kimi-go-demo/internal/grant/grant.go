// Package grant knows what runs unasked: by the rules of a file, and by what a person allows from now on.
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

// Book is the rules that hold. It may be used by several goroutines at once.
type Book struct {
	file string // "" for none

	mu    sync.Mutex
	rules *rules.Rules // never changed: another takes its place
}

// Open reads a file of rules. One that is not there yet has none; with "" there is no file.
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
	}
	return b, nil
}

func (b *Book) now() *rules.Rules {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rules
}

// Hooks are for [client.Options.Hooks]: they block what the file denies where kimi does not ask.
func (b *Book) Hooks() []client.Hook {
	if r := b.now(); len(r.Deny)+len(r.Ask) > 0 {
		return []client.Hook{r.Hook()}
	}
	return nil
}

// Answer answers a request about a call if a rule does, and says how; "" says that somebody is to be asked.
func (b *Book) Answer(ctx context.Context, m *client.ApprovalRequest, name string, arguments json.RawMessage) (said string, err error) {
	r := b.now()
	d := r.Decide(name, arguments, m.WorkDir())
	if name != "" && d.Verdict != rules.Allow && d.Verdict != rules.Deny {
		return "", nil
	}
	asked := false
	err = r.Approve(func(context.Context, *client.ApprovalRequest) error { asked = true; return nil })(ctx, m) // it knows more than Decide
	switch {
	case asked:
		return "", nil
	case d.Verdict == rules.Allow:
		return "allowed by a rule: " + d.Rule.String(), err
	}
	return "refused by a rule: " + d.Reason, err
}

// Offer is what a person may allow from now on.
type Offer struct {
	Words string
	rule  *rules.Rule // nil for what kimi itself takes an approval for the session for
	keep  bool        // the rule goes into the file as well
}

// Offers returns what would cover a request, the narrowest first: rules that allow it, and at last what kimi itself takes
// an approval for the session for. Each covers what its words say, and no more.
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

// with returns rules with one more that allows.
func with(r *rules.Rules, rule rules.Rule) *rules.Rules {
	next := *r
	next.Allow = append(slices.Clone(r.Allow), rule)
	return &next
}

// Approve allows a request, and what the offer covers from now on.
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

// Keep writes an offer that has been approved into the file, if it says so. Whatever comes of that, it holds in this session.
func (b *Book) Keep(o Offer) error {
	if !o.keep {
		return nil
	}
	if err := b.write(*o.rule); err != nil {
		return fmt.Errorf("what is allowed holds in this session alone: %w", err)
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
	if _, err := rules.Parse(append(data, text...)); err != nil { // somebody has changed the file meanwhile
		return fmt.Errorf("%s cannot take another rule: %w", b.file, err)
	}
	f, err := os.OpenFile(b.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// table returns a rule as a table of a file of rules.
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

// text returns an argument that is a string.
func text(arguments json.RawMessage, key string) string {
	var all map[string]json.RawMessage
	var s string
	if json.Unmarshal(arguments, &all) != nil || json.Unmarshal(all[key], &s) != nil {
		return ""
	}
	return s
}
