package tui

import (
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// A paste that is larger than this is folded in the editor.
const (
	maxPasteLines = 5
	maxPasteBytes = 1000
	maxEntryLines = 20 // of an entry of the history
)

// editor is where a prompt is typed.
type editor struct {
	area    textarea.Model
	pasted  map[string]string // what stands for a folded paste, and the paste
	history *history
	back    int    // how many entries back in the history the text is from, 0 for none
	draft   string // what was there before the history was looked at
	menu    menu
}

func newEditor(h *history) *editor {
	return &editor{area: newArea("> "), pasted: make(map[string]string), history: h}
}

// newArea returns a field for words of a person, with the terminal's own cursor.
func newArea(mark string) textarea.Model {
	a := textarea.New()
	a.ShowLineNumbers = false
	a.CharLimit = 0
	a.DynamicHeight, a.MinHeight, a.MaxHeight, a.MaxContentHeight = true, 1, 8, 10_000
	a.SetPromptFunc(2, func(p textarea.PromptInfo) string {
		if p.LineNumber == 0 {
			return mark
		}
		return "  "
	})
	plain := lipgloss.NewStyle()
	state := textarea.StyleState{Placeholder: plain.Faint(true)}
	a.SetStyles(textarea.Styles{Focused: state, Blurred: state})
	a.SetVirtualCursor(false)
	k := &a.KeyMap
	k.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "ctrl+j", "shift+enter"))
	k.WordForward = key.NewBinding(key.WithKeys("alt+right", "ctrl+right", "alt+f"))
	k.WordBackward = key.NewBinding(key.WithKeys("alt+left", "ctrl+left", "alt+b"))
	k.Paste = key.NewBinding(key.WithDisabled()) // the terminal pastes text; pictures.go has Ctrl-V
	a.Focus()
	return a
}

// key takes a key that is for the text.
func (e *editor) key(msg tea.KeyPressMsg) {
	before := e.area.Value()
	e.area, _ = e.area.Update(msg)
	if e.area.Value() != before {
		e.back = 0
	}
}

// paste takes a paste in one piece.
func (e *editor) paste(text string) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	e.back = 0
	if paths := pastedImages(text); paths != nil {
		for _, path := range paths {
			e.insert("@" + quotePath(path) + " ")
		}
		return
	}
	if countLines(text) <= maxPasteLines && len(text) <= maxPasteBytes {
		e.insert(text)
		return
	}
	e.insert(e.mark(text))
}

func countLines(text string) int { return strings.Count(strings.TrimRight(text, "\n"), "\n") + 1 }

// mark returns what stands for a long text in the editor.
func (e *editor) mark(text string) string {
	lines := countLines(text)
	mark := fmt.Sprintf("[pasted %s]", screen.Count(lines, "line"))
	for n := 2; e.pasted[mark] != "" && e.pasted[mark] != text; n++ {
		mark = fmt.Sprintf("[pasted %s, %d]", screen.Count(lines, "line"), n)
	}
	e.pasted[mark] = text
	return mark
}

func (e *editor) insert(text string) {
	e.area, _ = e.area.Update(tea.PasteMsg{Content: text})
}

// text returns what is typed, as it is seen.
func (e *editor) text() string { return e.area.Value() }

// whole returns what is typed, with the pastes in their places.
func (e *editor) whole() string {
	text := e.text()
	for mark, paste := range e.pasted {
		text = strings.ReplaceAll(text, mark, paste)
	}
	return text
}

func (e *editor) empty() bool { return strings.TrimSpace(e.text()) == "" }

// set replaces what is typed; the cursor stands at its end.
func (e *editor) set(text string) {
	e.area.SetValue(text)
	e.area.MoveToEnd()
	e.area, _ = e.area.Update(nil)
}

// clear empties the editor. It keeps the pastes for text that may be taken back.
func (e *editor) clear() {
	e.set("")
	e.back, e.draft, e.menu = 0, "", menu{}
}

// earlier puts the entry of the history before the one that is shown into the editor.
func (e *editor) earlier() {
	if e.back >= len(e.history.entries) {
		return
	}
	if e.back == 0 {
		e.draft = e.text()
	}
	e.back++
	e.recall()
}

// recall shows the entry of the history that is back entries ago.
func (e *editor) recall() {
	text := e.history.entries[len(e.history.entries)-e.back]
	if countLines(text) > maxEntryLines {
		text = e.mark(text)
	}
	e.set(text)
}

// later is the way back from earlier.
func (e *editor) later() {
	if e.back == 0 {
		return
	}
	e.back--
	if e.back == 0 {
		e.set(e.draft)
		return
	}
	e.recall()
}

// atTop reports whether the cursor is in the first line; atEnd, whether it is in the last.
func (e *editor) atTop() bool {
	return e.area.Line() == 0 && e.area.LineInfo().RowOffset == 0
}

func (e *editor) atEnd() bool {
	return e.area.Line() == e.area.LineCount()-1 && e.area.LineInfo().RowOffset >= e.area.LineInfo().Height-1
}

// lines returns the editor's lines and where its cursor is in them.
func (e *editor) lines(columns int) ([]string, *tea.Cursor) { return areaLines(&e.area, columns) }

func areaLines(a *textarea.Model, columns int) ([]string, *tea.Cursor) {
	if a.Width() != columns-2 {
		a.SetWidth(columns)
		*a, _ = a.Update(nil)
	}
	lines := strings.Split(a.View(), "\n")
	for i, l := range lines { // what was pasted may be anything
		lines[i] = strings.TrimRight(screen.Clean(ansi.Strip(l)), " ")
	}
	return lines, a.Cursor()
}

// before returns the text of the line before the cursor, and whether it is the first line.
func (e *editor) before() (text string, first bool) {
	line := e.area.Line()
	lines := strings.Split(e.text(), "\n")
	if line >= len(lines) {
		return "", false
	}
	runes := []rune(lines[line])
	return string(runes[:min(e.area.Column(), len(runes))]), line == 0
}

// keep empties the editor; the history brings back what was there.
func (e *editor) keep() {
	if !e.empty() && e.back == 0 {
		e.history.entries = append(e.history.entries, e.whole())
	}
	e.clear()
}
