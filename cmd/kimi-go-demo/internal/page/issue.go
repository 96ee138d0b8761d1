package page

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Markdown writes the session as Markdown for an issue, without the lines of the protocol. The text of the session is
// in fences that it cannot close, so it cannot mention a person, load an image or make a link.
func (s *Session) Markdown(w io.Writer) error {
	m := s.read()
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Session %s\n\n", inline(m.Title))
	if m.Agent != "" {
		fmt.Fprintf(&b, "%s\n\n", inline(m.Agent))
	}
	b.WriteString("| | |\n|---|---|\n")
	for _, f := range m.Facts {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, f.Value)
	}
	for _, i := range m.Items {
		if i.Kind == "note" && i.Text == "" && len(i.Blocks) == 0 && !strings.HasPrefix(i.Title, "The turn") {
			continue // such notes are only on the HTML page
		}
		b.WriteString("\n### " + i.Kind + ": " + inline(i.Title))
		if i.Who != "" {
			b.WriteString(" of " + inline(i.Who))
		}
		if i.When != "" {
			b.WriteString(" at " + i.When)
		}
		b.WriteString("\n")
		fence(&b, "", i.Text)
		for _, block := range i.Blocks {
			if block.Title != "" {
				b.WriteString("\n" + inline(block.Title) + "\n")
			}
			if block.Diff == nil {
				fence(&b, "", block.Text)
				continue
			}
			var diff strings.Builder
			for _, l := range block.Diff {
				diff.WriteString(l.Text + "\n")
			}
			fence(&b, "diff", diff.String())
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// fence writes a text between fences that are longer than every run of backticks in it.
func fence(b *bytes.Buffer, language, text string) {
	if text == "" {
		return
	}
	mark := strings.Repeat("`", max(longest(text)+1, 3))
	fmt.Fprintf(b, "\n%s%s\n%s\n%s\n", mark, language, strings.TrimRight(text, "\n"), mark)
}

// inline returns a text of one line as a code span.
func inline(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	mark := strings.Repeat("`", longest(text)+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return mark + text + mark
}

// longest returns the length of the longest run of backticks in a text.
func longest(text string) (most int) {
	run := 0
	for i := range len(text) {
		if text[i] != '`' {
			run = 0
			continue
		}
		run++
		most = max(most, run)
	}
	return most
}
