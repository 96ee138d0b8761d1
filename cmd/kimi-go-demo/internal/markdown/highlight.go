package markdown

import (
	"strings"
	"sync"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// highlight returns the lines of a program. They have colours if the language is known.
func highlight(source, language string, columns int) []string {
	source = strings.ReplaceAll(screen.Clean(strings.TrimRight(source, "\n")), "\t", "    ")
	columns -= 2
	var list []string
	for l := range strings.SplitSeq(colours(source, language), "\n") {
		if ansi.StringWidth(l) <= columns {
			list = append(list, "  "+l)
			continue
		}
		for part := range strings.SplitSeq(hard(l, columns), "\n") {
			list = append(list, "  "+part)
		}
	}
	return list
}

// languages caches lexers, because finding one takes a millisecond and each frame shows the same code again.
var languages lookups

type lookups struct {
	mu    sync.Mutex
	found map[string]chroma.Lexer
}

// The cache has limits, because the agent chooses the names.
const (
	maxLanguages = 100
	maxLanguage  = 30
)

// get returns the lexer of a language. It returns nil if there is none.
func (l *lookups) get(language string) chroma.Lexer {
	if language == "" || len(language) > maxLanguage {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lexer, known := l.found[language]
	if !known {
		lexer = lexers.Get(language)
		if l.found == nil || len(l.found) >= maxLanguages {
			l.found = make(map[string]chroma.Lexer)
		}
		l.found[language] = lexer
	}
	return lexer
}

// colours returns source with the styles of a language. Each of its lines sets its own styles.
func colours(source, language string) string {
	lexer := languages.get(language)
	if lexer == nil {
		return source
	}
	tokens, err := lexer.Tokenise(&chroma.TokeniseOptions{State: "root", EnsureLF: true}, source)
	if err != nil {
		return source
	}
	var b strings.Builder
	for token := range tokens.Stdlib() {
		style := tokenStyle(token.Type)
		if style == "" {
			b.WriteString(token.Value)
			continue
		}
		for i, l := range strings.Split(token.Value, "\n") {
			if i > 0 {
				b.WriteByte('\n')
			}
			if l != "" {
				b.WriteString(style + l + reset)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// tokenStyle returns the style for a kind of token, "" for no style.
func tokenStyle(t chroma.TokenType) string {
	switch {
	case t.InCategory(chroma.Comment):
		return dim
	case t.InCategory(chroma.Keyword):
		return "\x1b[35m"
	case t.InSubCategory(chroma.LiteralString):
		return "\x1b[32m"
	case t.InSubCategory(chroma.LiteralNumber):
		return "\x1b[36m"
	case t == chroma.NameFunction, t == chroma.NameClass, t == chroma.NameTag, t == chroma.NameBuiltin:
		return "\x1b[34m"
	case t == chroma.GenericInserted:
		return "\x1b[32m"
	case t == chroma.GenericDeleted:
		return "\x1b[31m"
	}
	return ""
}
