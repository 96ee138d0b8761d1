package rules

import (
	"path"
	"strings"
)

// covers reports whether a rule of Allow covers a command with plain words.
func (r *Rule) covers(words []word) bool {
	if name, _, _ := strings.Cut(r.Command, " "); name != words[0].text {
		return false
	}
	patterns := strings.Fields(r.Command)
	open := len(patterns) > 1 && patterns[len(patterns)-1] == "*"
	if open {
		patterns = patterns[:len(patterns)-1]
	}
	if len(words) < len(patterns) || len(words) > len(patterns) && !open {
		return false
	}
	for i, p := range patterns[1:] {
		w := words[i+1]
		if !glob(p, w.text) || p[0] == '*' && w.isOption() {
			return false
		}
	}
	if !open {
		return true
	}
	return !hazardous(patterns, r.Options, words[len(patterns):])
}

func anyGlob(patterns, text string) bool {
	for p := range strings.FieldsSeq(patterns) {
		if glob(p, text) {
			return true
		}
	}
	return false
}

// glob reports whether text matches a pattern. "*" matches any characters.
func glob(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		piece, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, piece)
		}
		i := strings.Index(text, piece)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(piece):], next
	}
}

// resembles reports whether a rule of Deny or Ask matches a command. After a word that is not known, no word is known.
func resembles(patterns []string, words []word) match {
	for i, p := range patterns {
		switch {
		case p == "*" && i == len(patterns)-1:
			return yes
		case i == len(words):
			return no
		case !words[i].known:
			return maybe
		case i == 0 && !glob(programName(p), programName(words[0].text)), i > 0 && !glob(p, words[i].text):
			return no
		}
	}
	switch {
	case len(words) == len(patterns):
		return yes
	case !words[len(patterns)].known:
		return maybe // the unknown word may expand to nothing
	}
	return no
}

// programName returns the name of a program without its folder, in lower case and without ".exe", because some systems
// ignore these.
func programName(text string) string {
	return strings.TrimSuffix(strings.ToLower(path.Base(strings.ReplaceAll(text, `\`, "/"))), ".exe")
}
