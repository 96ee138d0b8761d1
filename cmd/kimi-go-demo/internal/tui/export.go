package tui

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// exportedItem says where the conversation was written to.
type exportedItem struct{ path string }

// export writes the conversation to a new file. If path is "", it makes a name from the id of the session.
func (m *model) export(path string) {
	if m.session == nil || m.phase != idle {
		m.notNow()
		return
	}
	m.echo()
	s := m.session
	named := path != ""
	if !named {
		path = "kimi-" + s.ID() + ".md"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(m.cfg.WorkDir, path)
	}
	for n := 2; !named && exists(path); n++ {
		path = filepath.Join(m.cfg.WorkDir, fmt.Sprintf("kimi-%s-%d.md", s.ID(), n))
	}
	title := m.status.title
	m.work.Go(func() {
		text, err := conversation(title, s.Replay(m.ctx))
		if err == nil {
			err = writeNew(path, text)
		}
		if err != nil {
			m.feed.add(toldItem{err})
			return
		}
		m.feed.add(exportedItem{path})
	})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; name another file", path)
	}
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// conversation returns a history as Markdown.
func conversation(title string, history iter.Seq2[wireproto.Message, error]) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", strings.Join(strings.Fields(title), " "))
	part := ""
	begin := func(name string) {
		if part != name {
			part = name
			fmt.Fprintf(&b, "\n## %s\n\n", name)
		}
	}
	for m, err := range history {
		if err != nil {
			return "", err
		}
		switch m := m.(type) {
		case *wireproto.TurnBegin:
			part = ""
			begin("You")
			b.WriteString(saidText(m.UserInput) + "\n")
		case *wireproto.SteerInput:
			part = ""
			begin("You, meanwhile")
			b.WriteString(saidText(m.UserInput) + "\n")
		case *wireproto.TextPart:
			begin("Agent")
			b.WriteString(m.Text + "\n\n")
		case *wireproto.ToolCall:
			begin("Agent")
			args := ""
			if m.Function.Arguments != nil {
				args = *m.Function.Arguments
			}
			fmt.Fprintf(&b, "Calls `%s`:\n\n%s", m.Function.Name, fenced(args))
		case *wireproto.ToolResult:
			begin("Agent")
			text := saidText(m.ReturnValue.Output)
			if text == "" {
				text = m.ReturnValue.Message
			}
			b.WriteString("Result:\n\n" + fenced(text))
		case *wireproto.PlanDisplay:
			begin("Plan")
			b.WriteString(m.Content + "\n")
		}
	}
	return b.String(), nil
}

// fenced returns t as a code block of Markdown. t does not contain the fence of the block.
func fenced(t string) string {
	fence := "```"
	for strings.Contains(t, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(t, "\n") + "\n" + fence + "\n\n"
}
