package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// printer has the lines that go into the terminal's history, above what the program shows. bubbletea runs commands at
// the same time, so there is at most one command that prints.
type printer struct {
	lines []string
	busy  bool
	held  bool // bubbletea does not know yet where its lines are
}

// printedMsg says that lines have been printed.
type printedMsg struct{}

// heldMsg says that a frame has been drawn since the chat came back from the background.
type heldMsg struct{}

// hold waits for a frame. After the chat comes back from the background, bubbletea draws below what the shell has
// shown, but prints above the place where its lines were before.
func (p *printer) hold() tea.Cmd {
	p.held = true
	return tea.Tick(6*frame, func(time.Time) tea.Msg { return heldMsg{} })
}

func (p *printer) add(lines ...string) { p.lines = append(p.lines, lines...) }

// ready reports whether next has something to do.
func (p *printer) ready() bool { return !p.busy && !p.held && len(p.lines) > 0 }

// next returns the command that prints the next lines, at most room of them. Above the program's own lines, the terminal
// cannot take more at once.
func (p *printer) next(room int, colours palette) tea.Cmd {
	n := min(len(p.lines), max(room, 1))
	text := strings.Join(p.lines[:n], "\n")
	p.lines = p.lines[n:]
	text = colours.show(text)
	if text == "" {
		text = " " // for "", bubbletea prints nothing
	}
	p.busy = true
	return tea.Sequence(tea.Println(text), func() tea.Msg { return printedMsg{} })
}

// tallest is the largest number of lines that the program has shown lately. The screen may still show an older frame.
type tallest struct {
	lines, before int // of this span of time and of the previous one
	last          int // what was noted last
	since         time.Time
}

const tallSpan = 100 * time.Millisecond

func (t *tallest) note(lines int, now time.Time) {
	if d := now.Sub(t.since); d >= tallSpan {
		t.before = t.lines
		if d >= 2*tallSpan { // the screen still shows the last frame, however old it is
			t.before = t.last
		}
		t.lines, t.since = 0, now
	}
	t.lines, t.last = max(t.lines, lines), lines
}

func (t *tallest) max() int { return max(t.lines, t.before) }
