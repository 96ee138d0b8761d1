package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// printer has the lines that go into the terminal's history, above what the program shows. Commands run at the same
// time, so only one of them prints.
type printer struct {
	lines []string
	busy  bool
}

// printedMsg says that lines have been printed.
type printedMsg struct{}

func (p *printer) add(lines ...string) { p.lines = append(p.lines, lines...) }

// ready reports whether next has something to do.
func (p *printer) ready() bool { return !p.busy && len(p.lines) > 0 }

// next returns the command that prints the next lines, at most room: the terminal cannot take more at once above the
// program's own lines.
func (p *printer) next(room int, colours palette) tea.Cmd {
	n := min(len(p.lines), max(room, 1))
	text := strings.Join(p.lines[:n], "\n")
	p.lines = p.lines[n:]
	text = colours.show(text)
	if text == "" {
		text = " " // bubbletea prints nothing for it
	}
	p.busy = true
	return tea.Sequence(tea.Println(text), func() tea.Msg { return printedMsg{} })
}

// tallest is how many lines the program has shown lately. What is on the screen may be a frame old.
type tallest struct {
	lines, before int // of this span of time and the one before
	since         time.Time
}

const tallSpan = 100 * time.Millisecond

func (t *tallest) note(lines int, now time.Time) {
	if d := now.Sub(t.since); d >= tallSpan {
		t.before = t.lines
		if d >= 2*tallSpan {
			t.before = lines
		}
		t.lines, t.since = 0, now
	}
	t.lines = max(t.lines, lines)
}

func (t *tallest) max() int { return max(t.lines, t.before) }
