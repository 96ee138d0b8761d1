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

// The editor folds a paste or an entry of the history that is larger than this.
const (
	maxPasteLines = 5
	maxPasteBytes = 1000
	maxEntryLines = 20
)

// editor is where a prompt is typed.
type editor struct {
	area    textarea.Model
	pasted  map[string]string // the folded texts; each key is the mark that stands for the text
	history *history
	back    int    // how many entries back in the history the text is; 0 if it is not from the history
	draft   string // the text that was there before the person went back in the history
	menu    menu
}

func newEditor(h *history) *editor {
	return &editor{area: newArea("> "), pasted: make(map[string]string), history: h}
}

// newArea returns a field in which a person types. It uses the terminal's own cursor, and has mark before its first
// line.
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
	for _, b := range []*key.Binding{&k.UppercaseWordForward, &k.LowercaseWordForward, &k.CapitalizeWordForward, &k.TransposeCharacterBackward} {
		*b = key.NewBinding(key.WithDisabled()) // it would change the mark of a folded text
	}
	k.Paste = key.NewBinding(key.WithDisabled()) // the terminal itself pastes text; Ctrl-V pastes a picture
	a.Focus()
	return a
}

// key handles a key for the text. The mark of a folded text is like one character: the cursor never stands in it, and a
// key that deletes a part of it deletes all of it. removed reports that.
func (e *editor) key(msg tea.KeyPressMsg) (removed bool) {
	text, line, column := e.text(), e.area.Line(), e.area.Column()
	old := e.line()
	e.area, _ = e.area.Update(msg)
	now, at := e.line(), e.area.Column()
	if e.text() != text {
		e.back = 0
	}
	if e.text() == text {
		if from, to := e.markAt(now, at); from < at && at < to {
			if e.area.Line() == line && at > column {
				from = to
			}
			e.area.SetCursorColumn(from)
		}
		return false
	}
	if e.area.Line() != line || len(now) >= len(old) {
		return false
	}
	gone := len(old) - len(now) // the key has removed old[at:at+gone]
	if from, to := e.markAt(old, at); from < at && at < to {
		e.press(tea.KeyBackspace, at-from)
		removed = true
	}
	if from, to := e.markAt(old, at+gone); from < at+gone && at+gone < to {
		e.press(tea.KeyDelete, to-at-gone)
		removed = true
	}
	return removed
}

func (e *editor) press(key rune, n int) {
	for range n {
		e.area, _ = e.area.Update(tea.KeyPressMsg{Code: key})
	}
}

// line returns the line of the cursor.
func (e *editor) line() []rune {
	lines := strings.Split(e.text(), "\n")
	return []rune(lines[min(e.area.Line(), len(lines)-1)])
}

// markAt returns where the mark of a folded text begins and ends that has the column within it. Without one, from and to
// are the column.
func (e *editor) markAt(line []rune, column int) (from, to int) {
	for mark := range e.pasted {
		n := len([]rune(mark))
		for from := max(column-n+1, 0); from < column && from+n <= len(line); from++ {
			if string(line[from:from+n]) == mark {
				return from, from + n
			}
		}
	}
	return column, column
}

// folded returns the first folded text in the editor in full, or "".
func (e *editor) folded() string {
	first, at := "", -1
	for mark, paste := range e.pasted {
		if i := strings.Index(e.text(), mark); i >= 0 && (at < 0 || i < at) {
			first, at = paste, i
		}
	}
	return first
}

// paste inserts a paste. It inserts paths of images as @path, and folds a long text.
func (e *editor) paste(text string) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	e.back = 0
	if paths := pastedImages(text); paths != nil {
		for _, path := range paths {
			e.insert("@" + quotePath(path) + " ")
		}
		return
	}
	if isLong(text) {
		text = e.mark(text)
	}
	e.insert(text)
}

// isLong reports whether the editor folds a paste.
func isLong(text string) bool { return countLines(text) > maxPasteLines || len(text) > maxPasteBytes }

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

// text returns the text as the editor shows it.
func (e *editor) text() string { return e.area.Value() }

// whole returns the text with the folded texts in full.
func (e *editor) whole() string {
	var list []string
	for mark, paste := range e.pasted {
		list = append(list, mark, paste)
	}
	return strings.NewReplacer(list...).Replace(e.text()) // a paste may have the mark of another one
}

func (e *editor) empty() bool { return strings.TrimSpace(e.text()) == "" }

// set replaces the text, and moves the cursor to its end.
func (e *editor) set(text string) {
	e.area.SetValue(text)
	e.area.MoveToEnd()
	e.area, _ = e.area.Update(nil)
}

// clear empties the editor. It keeps the folded texts, because a text with their marks can come back from the queue.
func (e *editor) clear() {
	e.set("")
	e.back, e.draft, e.menu = 0, "", menu{}
}

// earlier goes back one entry in the history.
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

// later goes forward one entry in the history. After the newest entry, it shows the draft again.
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

// atTop reports whether the cursor is in the first line.
func (e *editor) atTop() bool {
	return e.area.Line() == 0 && e.area.LineInfo().RowOffset == 0
}

// atEnd reports whether the cursor is in the last line.
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
	for i, l := range lines { // a paste can contain control characters
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

// keep empties the editor, and adds its text to the history.
func (e *editor) keep() {
	if !e.empty() && e.back == 0 {
		e.history.entries = append(e.history.entries, e.text())
	}
	e.clear()
}
