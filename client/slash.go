package client

import (
	"slices"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/wireproto"
)

// wordsMark before a slash prevents that kimi reads a text as a command. It is not white space, so kimi does not strip
// it. It has no width, so the model and a reader see the original text.
const wordsMark = "\u200b"

// unmarked returns the text that Prompt got.
func unmarked(text string) string { return strings.Replace(text, wordsMark+"/", "/", 1) }

// isCommand reports whether kimi-cli or Kimi Code reads a text as a slash command. kimi-cli
// (kimi_cli/utils/slashcmd.py, 1.51.0) strips white space before the slash; Kimi Code 2.x strips it after the slash. A
// name in kimi-cli has letters and digits; in Kimi Code it may have any characters but a slash.
func isCommand(text string) bool {
	rest, slash := strings.CutPrefix(strings.TrimLeftFunc(text, isSpace), "/")
	rest = strings.TrimLeftFunc(rest, isSpace)
	if end := strings.IndexFunc(rest, isSpace); end >= 0 {
		rest = rest[:end]
	}
	return slash && rest != "" && !strings.Contains(rest, "/")
}

// command returns the command, with its slash, that a prompt begins with. It returns "" if the prompt is not a command.
func command(c wireproto.Content) string {
	text := joined(c)
	if !isCommand(text) {
		return ""
	}
	return strings.FieldsFunc(text, isSpace)[0]
}

// joined returns the text in which kimi-cli looks for a command.
func joined(c wireproto.Content) string {
	if c.Parts == nil {
		return c.Text
	}
	var texts []string
	for _, p := range c.Parts {
		if t, ok := p.(*wireproto.TextPart); ok {
			texts = append(texts, t.Text)
		}
	}
	return strings.Join(texts, " ")
}

// isSpace reports whether r is white space for Python's str.isspace.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// asWords changes c so that neither kimi-cli nor Kimi Code reads it as a slash command. It reports whether a change was
// needed. kimi-cli joins the texts of all parts with spaces before it checks.
func asWords(c wireproto.Content) (wireproto.Content, bool) {
	mark := func(s string) string {
		head := len(s) - len(strings.TrimLeftFunc(s, isSpace))
		return s[:head] + wordsMark + s[head:]
	}
	if !isCommand(joined(c)) {
		return c, false
	}
	if c.Parts == nil {
		return wireproto.Content{Text: mark(c.Text)}, true
	}
	first := slices.IndexFunc(c.Parts, func(p wireproto.ContentPart) bool { // the part in which the command begins
		t, ok := p.(*wireproto.TextPart)
		return ok && strings.TrimLeftFunc(t.Text, isSpace) != ""
	})
	c.Parts = slices.Clone(c.Parts) // a copy, because the parts belong to the caller
	c.Parts[first] = &wireproto.TextPart{Text: mark(c.Parts[first].(*wireproto.TextPart).Text)}
	return c, true
}
