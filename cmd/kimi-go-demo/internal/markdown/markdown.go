// Package markdown shows Markdown in a terminal. The text comes from an agent, so each text is cleaned after the parser
// has decoded it, including its entities: only the styles of this package have an effect on the terminal. A link shows
// its address and cannot be clicked. Raw HTML is shown as text.
package markdown

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// These styles use the terminal's own palette, so they work on light and dark backgrounds.
const (
	bold      = "\x1b[1m"
	dim       = "\x1b[2m"
	italic    = "\x1b[3m"
	underline = "\x1b[4m"
	strike    = "\x1b[9m"
	code      = "\x1b[36m"
	reset     = "\x1b[0m"
)

var parse = reader(goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList, extension.Linkify)).Parser())

// reader returns a function that parses Markdown.
func reader(p parser.Parser) func(source []byte) ast.Node {
	return func(source []byte) ast.Node { return p.Parse(text.NewReader(source)) }
}

// Render returns the lines that show source in this number of columns, or in 10 if it is less.
func Render(source string, columns int) []string {
	r := renderer{source: []byte(source), columns: max(columns, 10)}
	return r.blocks(parse(r.source), r.columns, true)
}

type renderer struct {
	source  []byte
	columns int
}

// blocks renders the children of a node. If the list is loose, it puts empty lines between them.
func (r *renderer) blocks(parent ast.Node, columns int, loose bool) []string {
	var list []string
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		lines := r.block(n, max(columns, 10))
		if len(list) > 0 && len(lines) > 0 && loose {
			list = append(list, "")
		}
		list = append(list, lines...)
	}
	return list
}

func (r *renderer) block(n ast.Node, columns int) []string {
	switch n := n.(type) {
	case *ast.Heading:
		style := bold
		if n.Level == 1 {
			style += underline
		}
		return wrap(r.inline(n, style), columns)
	case *ast.Blockquote:
		return prefix(r.blocks(n, columns-2, true), dim+"│"+reset+" ", dim+"│"+reset+" ")
	case *ast.List:
		return r.list(n, columns)
	case *ast.FencedCodeBlock:
		return highlight(r.lines(n), string(n.Language(r.source)), columns)
	case *ast.CodeBlock:
		return highlight(r.lines(n), "", columns)
	case *ast.HTMLBlock:
		t := r.lines(n)
		if n.HasClosure() {
			t += string(n.ClosureLine.Value(r.source))
		}
		return wrap(styled(dim, strings.TrimRight(t, "\n")), columns)
	case *ast.ThematicBreak:
		return []string{dim + strings.Repeat("─", columns) + reset}
	case *ast.LinkReferenceDefinition:
		return nil
	}
	if t, ok := asTable(n); ok {
		return r.table(t, columns)
	}
	return wrap(r.inline(n, ""), columns)
}

// lines returns the text of a block as it is in the source.
func (r *renderer) lines(n ast.Node) string { return string(n.Lines().Value(r.source)) }

func (r *renderer) list(n *ast.List, columns int) []string {
	var list []string
	number := n.Start
	for item := n.FirstChild(); item != nil; item = item.NextSibling() {
		mark := "• "
		if n.IsOrdered() {
			mark = itoa(number) + ". "
			number++
		}
		rest := strings.Repeat(" ", len([]rune(mark)))
		lines := r.blocks(item, columns-len(rest), !n.IsTight)
		if len(lines) == 0 {
			lines = []string{""}
		}
		if len(list) > 0 && !n.IsTight {
			list = append(list, "")
		}
		list = append(list, prefix(lines, mark, rest)...)
	}
	return list
}

func prefix(lines []string, head, rest string) []string {
	for i, l := range lines {
		lines[i] = head + l
		if l == "" {
			lines[i] = strings.TrimRight(head, " ")
		}
		head = rest
	}
	return lines
}

// styled cleans t and returns it in a style.
func styled(style, t string) string {
	t = strings.ReplaceAll(screen.Clean(t), "\t", "    ")
	if style == "" || t == "" {
		return t
	}
	// Each line sets its own style, because lines may be shown separately.
	return style + strings.ReplaceAll(t, "\n", reset+"\n"+style) + reset
}

// wrap breaks lines between words. It breaks a word that is longer than a line.
func wrap(t string, columns int) []string {
	if t == "" {
		return nil
	}
	if ansi.StringWidth(t) <= columns && !strings.Contains(t, "\n") {
		return []string{t}
	}
	return strings.Split(lipgloss.Wrap(t, columns, ""), "\n")
}
