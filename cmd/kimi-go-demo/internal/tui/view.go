package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func (m *model) view() view {
	return view{columns: m.columns, now: m.now, spin: spinner[m.spin%len(spinner)]}
}

// View shows the state: what goes on, what waits for the person, what is queued, the editor, and a line or two about all that.
func (m *model) View() tea.View {
	if m.phase == leaving {
		return tea.NewView("")
	}
	lines, cursor := m.screen()
	m.height.note(len(lines), m.now)
	content := strings.Join(cutAll(lines, m.columns), "\n")
	if !m.cfg.Colour {
		content = ansi.Strip(content)
	}
	v := tea.NewView(content)
	v.Cursor = cursor
	v.WindowTitle = "kimi"
	if t := m.status.title; t != "" {
		v.WindowTitle = "kimi: " + cut(screen.Line(screen.Clean(t)), 60)
	}
	return v
}

// screen returns the lines of the program and where the cursor stands in them.
func (m *model) screen() ([]string, *tea.Cursor) {
	v := m.view()
	var below []string
	var cursor *tea.Cursor
	place := func(lines []string, c *tea.Cursor) {
		if c != nil && cursor == nil {
			c.Y += len(below)
			cursor = c
		}
		below = append(below, lines...)
	}

	if m.status.todo != nil {
		place(fold(rowLines(todoRows(m.status.todo), v.columns), max(m.rows/3, 3)), nil)
	}
	if m.decide.now() != nil {
		lines, c := m.decide.lines(v, max(m.rows-6-len(below), 6), m.guard.open(m.now), m.perCall())
		place(append([]string{""}, lines...), down(c, 1))
	}
	for i, q := range m.queue {
		if i == 3 && len(m.queue) > 4 {
			place([]string{paint(screen.Dim, "⋯ and "+count(len(m.queue)-i, "more"))}, nil)
			break
		}
		place([]string{q.line(v.columns)}, nil)
	}
	activity := ""
	if a := m.activity(); a != "" {
		activity = cut(paint(screen.Cyan, v.spin+" "+a), v.columns)
	}
	place([]string{activity}, nil)
	if !m.asksAlone() {
		place(m.edit.lines(v.columns))
	}
	place(m.edit.menu.lines(v.columns), nil)
	place([]string{cut(m.statusLine(), v.columns), cut(m.hints(), v.columns)}, nil)

	// The rest of the screen is for what goes on; its last lines are the newest.
	live := m.log.open(v)
	if room := m.rows - len(below) - 1; len(live) > room {
		hidden := len(live) - max(room-1, 0)
		live = append([]string{paint(screen.Dim, "… "+count(hidden, "line")+" above, until this is finished")}, live[hidden:]...)
		live = live[:max(min(len(live), room), 0)]
	}
	return append(live, below...), down(cursor, len(live))
}

func down(c *tea.Cursor, by int) *tea.Cursor {
	if c != nil {
		c.Y += by
	}
	return c
}

// asksAlone reports whether the editor makes room for a request: a key answers that, and there is no draft.
func (m *model) asksAlone() bool {
	return m.decide.now() != nil && m.guard.open(m.now) && m.edit.empty()
}

// perCall reports whether "always" covers the same call alone, as with Kimi Code, not each call of a kind.
func (m *model) perCall() bool { return m.session != nil && m.session.Server().Bridge != nil }

// roomAbove returns how many lines the terminal can take above the program's own.
func (m *model) roomAbove() int {
	if m.phase != leaving {
		lines, _ := m.screen()
		m.height.note(len(lines), m.now)
	}
	return m.rows - m.height.max() - 1
}
