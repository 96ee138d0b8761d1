package client

import (
	"slices"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/wireproto"
)

// wordsMark before a slash turns a command of kimi into text. It is not white space, so no kimi strips it. It has no
// width, so the model and a reader see the original text.
const wordsMark = "\u200b"

// unmarked is a text as Prompt got it.
func unmarked(text string) string { return strings.Replace(text, wordsMark+"/", "/", 1) }

// isCommand reports whether some kimi reads a text as a slash command. kimi-cli (kimi_cli/utils/slashcmd.py, 1.51.0)
// strips white space before the slash, Kimi Code 2.x after it. A name in kimi-cli has letters and digits; in Kimi Code
// it may have anything but a slash.
func isCommand(text string) bool {
	rest, slash := strings.CutPrefix(strings.TrimLeftFunc(text, isSpace), "/")
	rest = strings.TrimLeftFunc(rest, isSpace)
	if end := strings.IndexFunc(rest, isSpace); end >= 0 {
		rest = rest[:end]
	}
	return slash && rest != "" && !strings.Contains(rest, "/")
}

// command returns the command that a text begins with, with its slash, "" if it is none.
func command(text string) string {
	if !isCommand(text) {
		return ""
	}
	return strings.FieldsFunc(text, isSpace)[0]
}

// isSpace reports whether Python's str.isspace does.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// asWords returns c changed so that no kimi reads it as a slash command, and whether a change was needed. kimi-cli
// joins the texts of all parts by spaces before it looks.
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
