package tui

import (
	"fmt"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// Pick lets a person choose one of the sessions: with the arrow keys, or by letters of its title or id. If the person
// chooses none, Pick returns "" and [ErrInterrupted].
func Pick(in, out *os.File, colour bool, sessions []client.SessionInfo, age func(time.Duration) string) (id string, err error) {
	p := &picker{colour: colour, columns: 80, rows: 24}
	for _, s := range sessions {
		title := strings.Join(strings.Fields(s.Title), " ")
		if title == "" {
			title = "(no title)"
		}
		p.all = append(p.all, entry{text: "/" + title + " " + s.ID, about: age(time.Since(s.Updated))})
	}
	p.sessions = sessions
	p.filter()
	if _, err := tea.NewProgram(p, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run(); err != nil {
		return "", err
	}
	if p.chosen == "" {
		return "", ErrInterrupted
	}
	return p.chosen, nil
}

// picker is the state of the choice between sessions.
type picker struct {
	colour        bool
	columns, rows int
	sessions      []client.SessionInfo
	all, found    []entry
	search        []rune
	current       int
	chosen        string
	over          bool
}

func (p *picker) filter() {
	p.found, p.current = nil, 0
	search := strings.ToLower(strings.TrimSpace(string(p.search)))
	var byID []entry
	for _, e := range p.all {
		id := p.id(e)
		if title := strings.TrimSuffix(e.text, " "+id); len(matching([]entry{{text: title}}, search)) > 0 {
			p.found = append(p.found, e)
		} else if len(search) >= 4 && strings.Contains(strings.ToLower(id), search) {
			byID = append(byID, e)
		}
	}
	p.found = append(p.found, byID...)
}

// Init implements [tea.Model].
func (p *picker) Init() tea.Cmd { return nil }

// Update implements [tea.Model].
func (p *picker) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		p.columns, p.rows = max(msg.Width, 20), max(msg.Height, 6)
	case tea.PasteMsg:
		p.search = append(p.search, []rune(screen.Line(msg.Content))...)
		p.filter()
	case tea.KeyPressMsg:
		switch s := msg.String(); {
		case s == "ctrl+c" || s == "ctrl+d" || s == "esc":
			p.over = true
			return p, tea.Quit
		case s == "enter" && len(p.found) > 0:
			p.chosen, p.over = p.id(p.found[p.current]), true
			return p, tea.Quit
		case (s == "up" || s == "ctrl+p") && len(p.found) > 0:
			p.current = (p.current + len(p.found) - 1) % len(p.found)
		case (s == "down" || s == "ctrl+n") && len(p.found) > 0:
			p.current = (p.current + 1) % len(p.found)
		case s == "backspace" && len(p.search) > 0:
			p.search = p.search[:len(p.search)-1]
			p.filter()
		case s == "ctrl+u":
			p.search = nil
			p.filter()
		case msg.Text != "":
			p.search = append(p.search, []rune(msg.Text)...)
			p.filter()
		}
	}
	return p, nil
}

// id returns the id of the session that an entry stands for.
func (p *picker) id(e entry) string { return e.text[strings.LastIndexByte(e.text, ' ')+1:] }

// View implements [tea.Model].
func (p *picker) View() tea.View {
	if p.over {
		return tea.NewView("")
	}
	search := "Search: " + string(p.search)
	lines := []string{paint(screen.Bold, fmt.Sprintf("Which session? %d of %d", len(p.found), len(p.all))), paint(screen.Plain, search)}
	keys := wrapWords(paint(screen.Dim, "type to search · ↑ ↓ choose · Enter goes on with it · Esc leaves"), p.columns)
	room := max(p.rows-4-len(keys), 1)
	from := max(0, p.current-room+1)
	for i, e := range p.found[from:min(len(p.found), from+room)] {
		mark, style := "  ", screen.Plain
		if from+i == p.current {
			mark, style = "❯ ", screen.Bold
		}
		id := p.id(e)
		title := paint(style, strings.TrimSuffix(e.text[1:], " "+id))
		tail := paint(screen.Dim, "  "+e.about+"  "+id)
		if room := p.columns - 2 - width(tail); room >= 20 {
			title = cut(title, room)
		}
		lines = append(lines, cut(mark+title+tail, p.columns))
	}
	if len(p.found) == 0 {
		lines = append(lines, paint(screen.Plain, "  no session has these letters: Backspace takes one back"))
	}
	lines = append(lines, keys...)
	v := tea.NewView(palette{none: !p.colour}.show(strings.Join(cutAll(lines, p.columns), "\n")))
	v.Cursor = tea.NewCursor(min(width(search), p.columns-1), 1)
	return v
}
