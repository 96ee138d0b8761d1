package page

import (
	"bytes"
	"html"
	"html/template"
	"net/url"
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer"
	gmtext "github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// A text over these limits is shown without rendering. A browser does not show very deep elements, and the parser needs
// long for text that is nested without end.
const (
	maxMarkdown = 128 << 10
	maxDepth    = 40
	maxMarks    = 200  // how many opening marks a line may have
	maxRun      = 5000 // how many opening marks there may be between blank lines; the parser's time grows with the square of their number
)

var md = goldmark.New(
	goldmark.WithExtensions(
		// Alignment would need a style attribute, which the policy does not allow.
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone)),
		extension.Strikethrough,
	),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(inert{}, 1))),
)

// markdown returns the HTML of a text that an agent has written. It returns "" if the text is better shown as it is.
func markdown(text string) template.HTML {
	text = screen.Clean(text)
	if len(text) > maxMarkdown || crowded(text) {
		return ""
	}
	source := []byte(text)
	doc := md.Parser().Parse(gmtext.NewReader(source))
	deep, depth := 0, 0
	ast.Walk(doc, func(_ ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			depth++
		} else {
			depth--
		}
		deep = max(deep, depth)
		return ast.WalkContinue, nil
	})
	var b bytes.Buffer
	if deep > maxDepth || md.Renderer().Render(&b, source, doc) != nil {
		return ""
	}
	// Clean the HTML, because entities may stand for invisible characters.
	return template.HTML(screen.Clean(b.String()))
}

// crowded reports whether a text has more marks than a person writes, or has a line that begins with more marks of
// lists and quotes than a person writes.
func crowded(text string) bool {
	run := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			run = 0
		}
		marks, opened := 0, 0
		for _, c := range line {
			if strings.ContainsRune("[]*_~<>!`|", c) {
				marks++
			}
		}
		for word := range strings.FieldsSeq(line) {
			if strings.Trim(word, "-+*>.)0123456789") != "" {
				break
			}
			opened++
		}
		run += marks
		if marks > maxMarks || run > maxRun || opened > maxDepth {
			return true
		}
	}
	return false
}

// inert renders elements so that they cannot do anything: links lead only to the web, images are not loaded, and HTML
// is shown as text.
type inert struct{}

func (r inert) RegisterFuncs(reg renderer.NodeRendererFuncRegisterer) {
	reg.Register(ast.KindLink, r.link)
	reg.Register(ast.KindAutoLink, r.autoLink)
	reg.Register(ast.KindImage, r.image)
	reg.Register(ast.KindRawHTML, r.rawHTML)
	reg.Register(ast.KindHTMLBlock, r.htmlBlock)
	reg.Register(ast.KindHeading, r.heading)
	reg.Register(ast.KindFencedCodeBlock, r.code)
	reg.Register(ast.KindCodeBlock, r.code)
}

// web returns the address of a link that may be followed. It must be an address of the web with a clearly visible host.
func web(dest string) (string, bool) {
	u, err := url.Parse(strings.TrimSpace(dest))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", false
	}
	return u.String(), true
}

func text(w util.BufWriter, s string) { w.WriteString(html.EscapeString(screen.Clean(s))) }

func (inert) link(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*ast.Link)
	href, ok := web(string(n.Destination))
	switch {
	case entering && ok:
		w.WriteString(`<a href="` + html.EscapeString(href) + `" rel="noopener noreferrer">`)
	case entering:
		w.WriteString(`<span class="inert">`)
	case ok:
		w.WriteString("</a>")
	default:
		w.WriteString("</span> (")
		text(w, string(n.Destination))
		w.WriteString(")")
	}
	return ast.WalkContinue, nil
}

func (inert) autoLink(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*ast.AutoLink)
	if !entering {
		return ast.WalkContinue, nil
	}
	href, ok := web(string(n.URL(source)))
	if ok && n.AutoLinkType == ast.AutoLinkURL {
		w.WriteString(`<a href="` + html.EscapeString(href) + `" rel="noopener noreferrer">`)
		text(w, string(n.Label(source)))
		w.WriteString("</a>")
	} else {
		text(w, string(n.Label(source)))
	}
	return ast.WalkContinue, nil
}

// image writes the description of an image, which are its children, and its address.
func (inert) image(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		w.WriteString(`<span class="inert">image: `)
		return ast.WalkContinue, nil
	}
	w.WriteString("</span> (")
	text(w, string(node.(*ast.Image).Destination))
	w.WriteString(")")
	return ast.WalkContinue, nil
}

func (inert) rawHTML(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		segments := node.(*ast.RawHTML).Segments
		for i := range segments.Len() {
			s := segments.At(i)
			text(w, string(s.Value(source)))
		}
	}
	return ast.WalkSkipChildren, nil
}

func (inert) htmlBlock(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	n := node.(*ast.HTMLBlock)
	w.WriteString("<pre>")
	lines(w, source, node)
	if n.HasClosure() {
		text(w, string(n.ClosureLine.Value(source)))
	}
	w.WriteString("</pre>\n")
	return ast.WalkContinue, nil
}

// heading writes a heading at a lower level than the headings of the page.
func (inert) heading(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	tag := "h" + strconv.Itoa(min(node.(*ast.Heading).Level+3, 6)) + ">"
	if entering {
		w.WriteString("<" + tag)
	} else {
		w.WriteString("</" + tag + "\n")
	}
	return ast.WalkContinue, nil
}

func (inert) code(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		w.WriteString("<pre><code>")
		lines(w, source, node)
		w.WriteString("</code></pre>\n")
	}
	return ast.WalkSkipChildren, nil
}

func lines(w util.BufWriter, source []byte, node ast.Node) {
	for i := range node.Lines().Len() {
		s := node.Lines().At(i)
		text(w, string(s.Value(source)))
	}
}
