package markdown

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/yuin/goldmark/ast"
)

// maxOpen is how many bytes of a growing block stay open, so that each frame renders only a little text again.
const maxOpen = 4 << 10

// Split cuts a text that is still being written. done cannot change any more, and rest continues. Rendering done, and
// later the final rest, shows the same as rendering the whole text. A long block is cut, too, at a place where the cut
// is hardly visible: code between lines, a table between rows, a list between items, a paragraph between words.
func Split(source string) (done, rest string) {
	last := parse([]byte(source)).LastChild()
	if last == nil {
		return "", source
	}
	at := lineStart(source, start(last))
	if len(source)-at <= maxOpen {
		return source[:at], source[at:]
	}
	switch n := last.(type) {
	case *ast.FencedCodeBlock:
		return splitFence(source, at, n)
	case *ast.List:
		if item := n.LastChild(); item != nil && item != n.FirstChild() {
			if cut := lineStart(source, start(item)); cut > at {
				return source[:cut], source[cut:]
			}
		}
	}
	if _, ok := asTable(last); ok {
		return splitTable(source, at)
	}
	cut := strings.LastIndexByte(source, '\n') + 1
	if cut <= at {
		cut = strings.LastIndexByte(source, ' ') + 1
	}
	if cut <= at {
		cut = len(source)
	}
	return source[:cut], source[cut:]
}

// splitFence cuts growing code after its last whole line. rest begins with the fence again.
func splitFence(source string, at int, n *ast.FencedCodeBlock) (done, rest string) {
	open, _, _ := strings.Cut(source[at:], "\n")
	fence := strings.TrimLeft(open, " ")
	mark := fence[:len(fence)-len(strings.TrimLeft(fence, fence[:1]))]
	cut := strings.LastIndexByte(source, '\n') + 1
	if n.Lines().Len() == 0 || cut <= at+len(open)+1 {
		return source[:at], source[at:]
	}
	return source[:cut] + mark + "\n", open + "\n" + source[cut:]
}

// splitTable cuts a growing table after its last whole row. rest begins with the header again.
func splitTable(source string, at int) (done, rest string) {
	lines := strings.SplitAfterN(source[at:], "\n", 3)
	cut := strings.LastIndexByte(source, '\n') + 1
	if len(lines) < 3 || cut <= at+len(lines[0])+len(lines[1]) || len(lines[0])+len(lines[1]) > maxOpen/2 {
		return source, ""
	}
	return source[:cut], lines[0] + lines[1] + source[cut:]
}

// start returns the position at which a block begins. If the block does not have it, it is that of its first text.
func start(n ast.Node) int {
	if p := n.Pos(); p >= 0 {
		return p
	}
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		return start(c)
	}
	return 0
}

// lineStart returns the beginning of the line with the position.
func lineStart(source string, at int) int {
	return strings.LastIndexByte(source[:min(at, len(source))], '\n') + 1
}

// hard breaks a line of code at its last column, even within a word.
func hard(l string, columns int) string {
	return lipgloss.Wrap(ansi.Hardwrap(l, max(columns, 1), true), max(columns, 1), "")
}
