// Package page shows a session as one HTML page, or as Markdown. Everything in a session is hostile input, so the page
// shows it as text, never as markup. The page loads nothing and runs only its own script.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"

	"github.com/kimi-go/kimi-go/internal/fixture"
)

// Session is a session that is shown.
type Session struct {
	Title     string
	Recording *fixture.Fixture
	// Timed says that the recording has times. Without them, only the order is shown.
	Timed bool
	// Folded says that the times leave out the pauses between turns.
	Folded bool
	// TurnsOnly says that the recording has no requests and no messages of subagents, even if the session had some.
	TurnsOnly bool
}

//go:embed page.html page.css page.js
var files embed.FS

func file(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // cannot happen, because the template is part of the program
	}
	return string(data)
}

var (
	style  = file("page.css")
	script = file("page.js")
	layout = template.Must(template.New("page").Parse(file("page.html")))
)

// hash returns the source of a text for a content security policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// policy allows the page's own style and script, by their hashes, and nothing else.
func policy() string {
	return "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) + "; base-uri 'none'; form-action 'none'"
}

// HTML writes the page. The same session always gives the same bytes.
func (s *Session) HTML(w io.Writer) error {
	m := s.read()
	var b bytes.Buffer
	err := layout.Execute(&b, struct {
		*model
		Policy template.HTMLAttr
		Style  template.CSS
		Script template.JS
		Charts []chart
	}{m, template.HTMLAttr(`content="` + policy() + `"`), template.CSS(style), template.JS(script), m.charts()})
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}
