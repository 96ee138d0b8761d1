package client

import (
	"slices"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/wireproto"
)

// wordsMark before a slash makes words of what kimi would take as a command: it is no white space, so that no kimi
// strips it, and has no width, so that the model and a reader see the words that were given.
const wordsMark = "\u200b"

// unmarked is a text as it was given to Prompt.
func unmarked(text string) string { return strings.Replace(text, wordsMark+"/", "/", 1) }

// isCommand reports whether some kimi takes a text as a slash command: kimi-cli (kimi_cli/utils/slashcmd.py, 1.51.0) strips
// white space before the slash, Kimi Code 2.x after it, and the one takes letters and digits for a name, the
// other all but a slash.
func isCommand(text string) bool {
	rest, slash := strings.CutPrefix(strings.TrimLeftFunc(text, isSpace), "/")
	rest = strings.TrimLeftFunc(rest, isSpace)
	if end := strings.IndexFunc(rest, isSpace); end >= 0 {
		rest = rest[:end]
	}
	return slash && rest != "" && !strings.Contains(rest, "/")
}

// isSpace reports whether Python's str.isspace does.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// asWords returns c so that no kimi takes it as a slash command, and whether that took a change. kimi-cli looks at
// the texts of all parts, joined by spaces.
func asWords(c wireproto.Content) (wireproto.Content, bool) {
	mark := func(s string) string {
		head := len(s) - len(strings.TrimLeftFunc(s, isSpace))
		return s[:head] + wordsMark + s[head:]
	}
	if c.Parts == nil {
		if !isCommand(c.Text) {
			return c, false
		}
		return wireproto.Content{Text: mark(c.Text)}, true
	}
	var texts []string
	first := -1 // the part that the command begins in
	for i, p := range c.Parts {
		if t, ok := p.(*wireproto.TextPart); ok {
			if texts = append(texts, t.Text); first < 0 && strings.TrimLeftFunc(t.Text, isSpace) != "" {
				first = i
			}
		}
	}
	if !isCommand(strings.Join(texts, " ")) {
		return c, false
	}
	c.Parts = slices.Clone(c.Parts) // they are the caller's
	c.Parts[first] = &wireproto.TextPart{Text: mark(c.Parts[first].(*wireproto.TextPart).Text)}
	return c, true
}
