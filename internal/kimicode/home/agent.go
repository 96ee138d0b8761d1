package home

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// Agent is an agent of the program, in the form of the files that Kimi Code reads. Kimi Code silently skips a bad file,
// so this package checks the files first.
type Agent struct {
	// Name is the name of the agent in Kimi Code. Agents with different tools or subagents have different names,
	// because a session keeps the agent that it began with, and refuses an agent of another name.
	Name string

	files map[string]string // the texts of the agent files; the keys are the names of the agents
}

// profile is the content of an agent file of Kimi Code.
type profile struct {
	name, description, whenToUse string
	override                     bool
	tools, disallowed, subagents []string // nil if the file does not name any, which allows all
	prompt                       string
}

// LoadAgent reads an agent file: kimi-cli's YAML, or Kimi Code's Markdown. Its errors name the file and the line.
func LoadAgent(path string) (*Agent, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, fmt.Errorf("the agent file: %w", err)
	}
	a := &Agent{files: make(map[string]string)}
	var main *profile
	if isMarkdown(path, data) {
		main, err = parseMarkdown(path, data)
	} else {
		main, err = a.loadYAML(path)
	}
	var no *api.UnsupportedError
	if errors.As(err, &no) {
		return nil, no // this error names the file itself
	}
	if err != nil {
		return nil, fmt.Errorf("the agent file %w", err)
	}
	limits, err := json.Marshal([][]string{main.tools, main.disallowed, main.subagents})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(limits)
	main.name += "-" + hex.EncodeToString(sum[:4])
	main.override = false // no agent of Kimi Code has this name
	a.Name = main.name
	return a, a.add(main)
}

// isMarkdown reports whether a file is an agent file of Kimi Code and not one of kimi-cli.
func isMarkdown(path string, data []byte) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".md", ".markdown":
		return true
	case ".yaml", ".yml":
		return false
	}
	_, _, found := frontMatter(data)
	return found
}

// add adds an agent file in the form that Kimi Code reads.
func (a *Agent) add(p *profile) error {
	var b strings.Builder
	b.WriteString("---\n")
	field := func(key string, value any) error {
		enc := json.NewEncoder(&b) // every JSON value is also YAML
		enc.SetEscapeHTML(false)
		b.WriteString(key + ": ")
		return enc.Encode(value)
	}
	errs := []error{field("name", p.name), field("description", p.description)}
	if p.whenToUse != "" {
		errs = append(errs, field("whenToUse", p.whenToUse))
	}
	if p.override {
		errs = append(errs, field("override", true))
	}
	for key, list := range map[string][]string{"tools": p.tools, "disallowedTools": p.disallowed, "subagents": p.subagents} {
		if list != nil {
			errs = append(errs, field(key, list))
		}
	}
	b.WriteString("---\n" + p.prompt + "\n")
	a.files[p.name] = b.String()
	return errors.Join(errs...)
}

// frontMatter divides a Markdown file into the YAML at its start and its body.
func frontMatter(data []byte) (head, body []byte, found bool) {
	text := bytes.ReplaceAll(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	rest, found := bytes.CutPrefix(text, []byte("---\n"))
	if !found {
		return nil, text, false
	}
	for at := 0; ; {
		line, _, more := bytes.Cut(rest[at:], []byte("\n"))
		if string(bytes.TrimRight(line, " \t")) == "---" {
			return rest[:at], rest[min(len(rest), at+len(line)+1):], true
		}
		if !more {
			return nil, text, false
		}
		at += len(line) + 1
	}
}

var kebab = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// parseMarkdown reads an agent file of Kimi Code in the way of Kimi Code.
func parseMarkdown(path string, data []byte) (*profile, error) {
	head, body, found := frontMatter(data)
	if !found {
		return nil, fmt.Errorf("%s:1: it must begin with a front matter between two lines of ---", path)
	}
	fields, err := fieldsOf(path, append([]byte("\n"), head...)) // the line --- counts, too
	if err != nil {
		return nil, err
	}
	p := &profile{prompt: strings.TrimSpace(string(body))}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	for key, into := range map[string]*string{"name": &name, "description": &p.description, "whenToUse": &p.whenToUse} {
		f := fields[key]
		if f == nil || f.node.Tag == "!!null" {
			continue
		}
		if f.node.Kind != yaml.ScalarNode || f.node.Tag != "!!str" {
			return nil, f.errorf("%s must be a text", key)
		}
		if text := strings.TrimSpace(f.node.Value); text != "" {
			*into = text
		}
	}
	if !kebab.MatchString(name) {
		return nil, fields["name"].or(path, 2).errorf("the name %.40q must be of lower-case letters and digits, with single hyphens between", name)
	}
	p.name = name
	if p.description == "" {
		return nil, fields["description"].or(path, 2).errorf("description is missing")
	}
	for key, into := range map[string]*[]string{"tools": &p.tools, "disallowedTools": &p.disallowed, "subagents": &p.subagents} {
		if f := fields[key]; f != nil {
			if *into, err = f.list(key); err != nil {
				return nil, err
			}
		}
	}
	if len(p.tools) == 1 && p.tools[0] == "*" {
		p.tools = nil
	}
	if f := fields["override"]; f != nil && f.node.Tag != "!!bool" && f.node.Tag != "!!null" {
		return nil, f.errorf("override must be true or false")
	}
	if p.prompt == "" {
		return nil, fmt.Errorf("%s:%d: there is no prompt after the front matter", path, bytes.Count(head, []byte("\n"))+3)
	}
	return p, nil
}

// field is a value of a mapping in a file, with its place.
type field struct {
	node *yaml.Node
	path string
	line int
}

func (f *field) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{f.path, f.line}, args...)...)
}

// or returns f, or a field at the given place if f is nil.
func (f *field) or(path string, line int) *field {
	if f != nil {
		return f
	}
	return &field{path: path, line: line}
}

// list returns a list of texts. A single text is split at its commas.
func (f *field) list(key string) ([]string, error) {
	list := []string{}
	switch {
	case f.node.Tag == "!!null":
		return nil, nil
	case f.node.Kind == yaml.ScalarNode && f.node.Tag == "!!str":
		for item := range strings.SplitSeq(f.node.Value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, nil
	case f.node.Kind != yaml.SequenceNode:
		return nil, f.errorf("%s must be a list of names", key)
	}
	for _, n := range f.node.Content {
		if n = target(n); n.Kind != yaml.ScalarNode || n.Tag != "!!str" || strings.TrimSpace(n.Value) == "" {
			return nil, f.errorf("%s must be a list of names", key)
		}
		list = append(list, strings.TrimSpace(n.Value))
	}
	return list, nil
}

// fieldsOf returns the values of the mapping in the text of a file.
func fieldsOf(path string, text []byte) (map[string]*field, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %.200s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return map[string]*field{}, nil
	}
	return (&field{doc.Content[0], path, doc.Content[0].Line}).fields()
}

// fields returns the values of a mapping by their keys.
func (f *field) fields() (map[string]*field, error) {
	all := make(map[string]*field)
	if f.node.Tag == "!!null" {
		return all, nil
	}
	if f.node.Kind != yaml.MappingNode {
		return nil, f.errorf("there must be keys with values here")
	}
	for pair := range slices.Chunk(f.node.Content, 2) {
		all[pair[0].Value] = &field{target(pair[1]), f.path, pair[0].Line}
	}
	return all, nil
}

// target returns the value that an alias of YAML stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
