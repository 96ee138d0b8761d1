package markdown

import (
	"html"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
)

func itoa(n int) string { return strconv.Itoa(n) }

// inline returns the text of a block's children in a style.
func (r *renderer) inline(parent ast.Node, style string) string {
	var b strings.Builder
	r.spans(&b, parent, style)
	return strings.TrimRight(b.String(), "\n")
}

func (r *renderer) spans(b *strings.Builder, parent ast.Node, style string) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			b.WriteString(styled(style, r.plain(n)))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.String:
			b.WriteString(styled(style, string(n.Value)))
		case *ast.CodeSpan:
			b.WriteString(styled(style+code, r.raw(n)))
		case *ast.Emphasis:
			if n.Level > 1 {
				r.spans(b, n, style+bold)
			} else {
				r.spans(b, n, style+italic)
			}
		case *east.Strikethrough:
			r.spans(b, n, style+strike)
		case *east.TaskCheckBox:
			b.WriteString(map[bool]string{true: "[x] ", false: "[ ] "}[n.IsChecked])
		case *ast.Link:
			r.spans(b, n, style+underline)
			if to := string(n.Destination); to != r.raw(n) {
				b.WriteString(styled(dim, " ("+to+")"))
			}
		case *ast.Image:
			b.WriteString(styled(style, "[image: "+r.raw(n)+"]"))
			b.WriteString(styled(dim, " ("+string(n.Destination)+")"))
		case *ast.AutoLink:
			b.WriteString(styled(style+underline, string(n.URL(r.source))))
		case *ast.RawHTML:
			b.WriteString(styled(style, string(n.Segments.Value(r.source))))
		default:
			r.spans(b, n, style)
		}
	}
}

// plain returns a text with its entities and escapes decoded. [styled] must clean it after that.
func (r *renderer) plain(n *ast.Text) string {
	t := string(n.Value(r.source))
	if n.IsRaw() {
		return t
	}
	return html.UnescapeString(unescape(t))
}

// unescape removes the backslashes before punctuation.
func unescape(t string) string {
	if !strings.Contains(t, `\`) {
		return t
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] == '\\' && i+1 < len(t) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", t[i+1]) >= 0 {
			i++
		}
		b.WriteByte(t[i])
	}
	return b.String()
}

// raw returns the text below a node without styles.
func (r *renderer) raw(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Value(r.source))
			if n.SoftLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		default:
			b.WriteString(r.raw(n))
		}
	}
	return b.String()
}
