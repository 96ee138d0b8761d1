package rules

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

const (
	// maxScript is the size of the longest script that is parsed, in bytes. The verdict about a longer script is ask.
	maxScript = 64 << 10
	// maxNested is how many brackets and opening words a script may have. The parser and the walk are recursive for
	// each.
	maxNested = 2000
)

var (
	errTooLong = fmt.Errorf("it has more than %d KiB", maxScript>>10)
	errNested  = fmt.Errorf("it has more than %d brackets", maxNested)
	errBytes   = errors.New("it has control characters or is not UTF-8; shells read such text in different ways")
)

// script is a parsed command of a shell tool.
type script struct {
	text string
	file *syntax.File
	err  error
	all  *everything // nil until it is needed
}

func newScript(text string) *script {
	s := &script{text: text}
	s.file, s.err = parse(text)
	return s
}

var parsers = sync.Pool{New: func() any { return syntax.NewParser(syntax.Variant(syntax.LangBash)) }}

// parse parses a script as bash does. It returns an error if bash or another shell might read the script differently.
func parse(text string) (f *syntax.File, err error) {
	if len(text) > maxScript {
		return nil, errTooLong
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || r == utf8.RuneError
	}) {
		return nil, errBytes
	}
	nested := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '{', '[', '`':
			nested++
		}
	}
	for _, opener := range []string{"if", "while", "until", "for", "case", "select", "time", "function", "coproc", "!"} {
		nested += strings.Count(text, opener)
	}
	if nested > maxNested {
		return nil, errNested
	}
	p := parsers.Get().(*syntax.Parser)
	defer func() {
		if v := recover(); v != nil { // the state of the parser is not known, so the parser is not used again
			f, err = nil, fmt.Errorf("the parser failed: %v", v)
			return
		}
		parsers.Put(p)
	}()
	f, err = p.Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, fmt.Errorf("it cannot be parsed: %.200w", err)
	}
	return f, nil
}

// word is a word of a command.
type word struct {
	text  string // the text that the program gets; it is right only if known is true
	known bool   // the shell expands nothing in the word
	plain bool   // known is true, and the word has no unquoted character with a meaning, so every shell reads it in the same way
}

func (w word) escapes() bool {
	for rest := w.text; ; {
		i := strings.Index(rest, "..")
		if i < 0 {
			return false
		}
		if (i == 0 || rest[i-1] != '.') && (len(rest) == i+2 || !rangeGoesOn(rest[i+2])) {
			return true
		}
		for rest = rest[i+2:]; strings.HasPrefix(rest, "."); rest = rest[1:] {
		}
	}
}

// rangeGoesOn reports whether ".." before c is part of a name or of a range such as main..dev, and not a parent folder.
func rangeGoesOn(c byte) bool {
	return c == '.' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// isOption reports whether a program may read w as an option.
func (w word) isOption() bool {
	return strings.HasPrefix(w.text, "-") || strings.HasPrefix(w.text, "+")
}

// simpleCommands returns the commands of a script that has only simple commands with plain words, joined by ";",
// newlines, "&&", "||" and "|". For any other script it returns nil.
func (c *call) simpleCommands() [][]word {
	if c.script == nil || c.script.err != nil || c.windows || c.strange || c.foreign ||
		strings.Contains(c.script.text, "\\\n") {
		return nil
	}
	if dir := c.shape.dir; dir != "" && !c.absent(dir) {
		text, ok := c.text(dir)
		root, err := resolve(c.workDir)
		if p := c.locate(text); !ok || !p.sure || c.workDir == "" || err != nil || p.resolved != root {
			return nil
		}
	}
	var commands [][]word
	for _, stmt := range c.script.file.Stmts {
		var ok bool
		if commands, ok = simple(commands, stmt); !ok {
			return nil
		}
	}
	return commands
}

// simple appends the commands of a statement. It returns false if the statement has anything else than simple commands.
func simple(commands [][]word, s *syntax.Stmt) ([][]word, bool) {
	if s.Negated || s.Background || s.Coprocess {
		return nil, false
	}
	for _, r := range s.Redirs {
		if r.Op != syntax.DplOut || !isOutput(r.Word.Lit()) || r.N != nil && !isOutput(r.N.Value) {
			return nil, false
		}
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		if len(cmd.Assigns) > 0 || len(cmd.Args) == 0 {
			return nil, false
		}
		words := make([]word, len(cmd.Args))
		for i, arg := range cmd.Args {
			if words[i] = newWord(arg); !words[i].plain || words[i].escapes() {
				return nil, false
			}
		}
		if name := words[0].text; name == "" || strings.Contains(name, "=") {
			return nil, false
		}
		return append(commands, words), true
	case *syntax.BinaryCmd:
		if len(s.Redirs) > 0 || cmd.Op != syntax.AndStmt && cmd.Op != syntax.OrStmt && cmd.Op != syntax.Pipe {
			return nil, false
		}
		commands, ok := simple(commands, cmd.X)
		if !ok {
			return nil, false
		}
		return simple(commands, cmd.Y)
	}
	return nil, false
}

// isOutput reports whether n is the number of stdout or stderr.
func isOutput(n string) bool { return n == "1" || n == "2" }

// changesShell are commands of the shell itself that change the shell for later commands, such as its folder or PATH,
// or that run or evaluate their arguments. Validate refuses a rule that allows one of them.
var changesShell = set(". alias bg bind builtin caller cd command compgen complete compopt declare dirs disown enable eval exec export fc fg getopts " +
	"hash history jobs let local logout mapfile popd pushd read readarray readonly return set shift shopt source suspend trap typeset ulimit " +
	"umask unalias unset wait")

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// newWord converts a word of the syntax tree.
func newWord(w *syntax.Word) word {
	out := word{known: true, plain: true}
	if len(w.Parts) == 1 { // most words have one part
		if lit, ok := w.Parts[0].(*syntax.Lit); ok && isPlain(lit.Value) {
			out.text = lit.Value
			return out
		}
	}
	var b strings.Builder
	for _, part := range w.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			out.plain = out.plain && isPlain(part.Value)
			text, known := unescape(part.Value)
			out.known = out.known && known
			b.WriteString(text)
		case *syntax.SglQuoted:
			if !part.Dollar {
				b.WriteString(part.Value)
				continue
			}
			out.plain = false
			text, known := ansiC(part.Value)
			out.known = out.known && known
			b.WriteString(text)
		case *syntax.DblQuoted:
			out.plain = out.plain && !part.Dollar
			for _, inner := range part.Parts {
				lit, ok := inner.(*syntax.Lit)
				if !ok {
					out.known = false
					continue
				}
				out.plain = out.plain && !strings.ContainsAny(lit.Value, "$`")
				b.WriteString(unquote(lit.Value))
			}
		default:
			out.known = false
		}
	}
	out.text = b.String()
	out.plain = out.plain && out.known
	return out
}

// isPlain reports whether an unquoted text has only characters without a meaning for a shell.
func isPlain(text string) bool {
	if text == "[" || text == "]" { // the command "[" and its last argument
		return true
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("_@%+:,./^-", c) >= 0:
		case c == '=' && i > 0:
		case c == '~' && i > 0 && strings.IndexByte("=:", text[i-1]) < 0: // such as HEAD~1
		default:
			return false
		}
	}
	return true
}

// unescape removes the backslashes from an unquoted text. It reports whether a shell reads the rest literally.
func unescape(text string) (string, bool) {
	known := !strings.HasPrefix(text, "~") && !strings.Contains(text, "=~") && !strings.Contains(text, ":~")
	if !strings.ContainsAny(text, `\*?[{`) {
		return text, known
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if i++; i < len(text) && text[i] != '\n' {
				b.WriteByte(text[i])
			}
			continue
		case '*', '?', '[', '{':
			known = known && text == "[" // the command "["
		}
		b.WriteByte(text[i])
	}
	if text == "{}" { // an argument of find and xargs
		known = true
	}
	return b.String(), known
}

// unquote removes the backslashes from a text in double quotes.
func unquote(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && strings.IndexByte("$`\"\\\n", text[i+1]) >= 0 {
			if i++; text[i] == '\n' {
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
