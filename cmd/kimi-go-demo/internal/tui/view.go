package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func (m *model) view() view {
	asks := slices.ContainsFunc(m.decide.list, func(r *request) bool { return r.approval != nil && r.approval.AgentID == nil })
	return view{columns: m.columns, now: m.now, spin: spinner[m.spin%len(spinner)], asks: asks, oneByOne: m.perCall()}
}

// View shows the state: the running turn, what waits for the person, the queue, the editor, and a line or two about
// the state.
func (m *model) View() tea.View {
	if m.phase == leaving {
		return tea.NewView("")
	}
	lines, cursor := m.screen()
	m.height.note(len(lines), m.now)
	v := tea.NewView(m.colours.show(strings.Join(cutAll(lines, m.columns), "\n")))
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

	var todo, waiting, edit []string
	if m.status.todo != nil {
		todo = foldRows(todoRows(m.status.todo), max(m.rows/3, 3), v.columns)
	}
	for i, q := range m.queue {
		if i == 3 && len(m.queue) > 4 {
			waiting = append(waiting, paint(screen.Dim, fmt.Sprintf("⋯ and %d more", len(m.queue)-i)))
			break
		}
		waiting = append(waiting, q.line(v.columns))
	}
	activity := ""
	if a := m.activity(); a != "" {
		activity = cut(paint(screen.Cyan, v.spin+" "+a), v.columns)
	}
	var typing *tea.Cursor
	if !m.asksAlone() {
		edit, typing = m.edit.lines(v.columns)
	}
	menu := m.edit.menu.lines(v.columns)

	hints := m.hints()
	others := 4 + len(hints) // one row each for activity and status, an empty row, and the last row, which stays free
	if m.decide.now() != nil {
		if m.rows-others-len(todo)-len(waiting)-len(edit)-len(menu) < minRequest { // the request is more important
			todo, waiting, menu = nil, nil, nil
			edit, typing = lastLines(edit, typing, max(m.rows-others-minRequest, 1))
		}
		lines, c := m.decide.lines(v, m.rows-others-len(todo)-len(waiting)-len(edit)-len(menu), m.silent())
		place(todo, nil)
		place(append([]string{""}, lines...), down(c, 1))
	} else {
		place(todo, nil)
	}
	place(waiting, nil)
	place([]string{activity}, nil)
	place(edit, typing)
	place(menu, nil)
	place([]string{m.statusLine()}, nil)
	place(hints, nil)

	m.decide.fits(len(below) <= m.window)

	// The rest of the screen shows the newest lines of the blocks that are not done.
	live := m.log.open(v)
	if room := m.rows - len(below) - 1; len(live) > room {
		hidden := len(live) - max(room-1, 0)
		live = append([]string{paint(screen.Dim, "… "+screen.Count(hidden, "line")+" hidden until this is finished")}, live[hidden:]...)
		live = live[:max(min(len(live), room), 0)]
	}
	return append(live, below...), down(cursor, len(live))
}

// minRequest is how many rows a request gets before the todo list, the queue and the menu get any.
const minRequest = 12

// lastLines returns the last n lines, and the cursor in them.
func lastLines(lines []string, cursor *tea.Cursor, n int) ([]string, *tea.Cursor) {
	if len(lines) <= n {
		return lines, cursor
	}
	from := len(lines) - n
	if cursor != nil {
		cursor.Y = max(cursor.Y-from, 0)
	}
	return lines[from:], cursor
}

func down(c *tea.Cursor, by int) *tea.Cursor {
	if c != nil {
		c.Y += by
	}
	return c
}

// silent says why keys do not answer the current request now. It is "" if they do.
func (m *model) silent() string {
	switch {
	case m.drafting():
		return "your keys go to your text; Esc gives them to this request"
	case !m.decide.open():
		return "keys do not answer this request yet"
	}
	return ""
}

// asksAlone reports whether the request takes the place of the editor: a key answers the request, and there is no
// draft.
func (m *model) asksAlone() bool {
	return m.decide.open() && m.edit.empty()
}

// perCall reports whether "always" allows only the same call, as in Kimi Code, and not each call of a kind.
func (m *model) perCall() bool { return m.session != nil && m.session.Server().Bridge != nil }

// roomAbove returns how many lines the terminal can take above the program's own.
func (m *model) roomAbove() int {
	if m.phase != leaving {
		lines, _ := m.screen()
		m.height.note(len(lines), m.now)
	}
	return m.rows - m.height.max() - 1
}
