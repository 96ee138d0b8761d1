package tui

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

func isCancel(err error) bool { return errors.Is(err, context.Canceled) }

// key gives a key to the program itself, to the request that is open, or to the editor.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	hint := m.hint
	m.hint = ""
	s := k.String()
	if s != "ctrl+c" && s != "ctrl+d" {
		m.warned = false
	}
	if p := m.pending; p != nil {
		switch {
		case s == "ctrl+c":
			m.pending = nil
		case takesBack(s):
			m.pending = nil
			return m.guard.typed(m.now)
		case p.key.String() == "a" && len(s) == 1 && s >= "1" && s <= "9": // for the list, which is not on the screen yet
			return m.settle()
		case s == p.key.String(): // pressed twice
			m.hint = hint
			return nil
		case printable(k):
			m.unsettle()
			m.typed(k)
			return m.guard.typed(m.now)
		default:
			cmd := m.settle()
			if s == "enter" {
				return cmd
			}
			return tea.Batch(cmd, m.key(k))
		}
	}
	switch s {
	case "ctrl+c":
		m.interrupt()
		return nil
	case "ctrl+z":
		return tea.Suspend
	case "ctrl+o":
		m.unfold()
		return nil
	case "ctrl+l":
		return tea.ClearScreen
	}
	if m.again(s) && m.decide.now().choosing {
		return nil
	} else if m.again(s) && !m.decide.open() && !m.guard.open(m.now) {
		m.hint = "wait a moment before " + s + " answers the next request"
		return m.guard.typed(m.now)
	}
	if s == "ctrl+d" && (m.edit.empty() || m.decide.now() != nil) && m.decide.words == nil {
		m.leaveByKey()
		return nil
	}
	if m.decide.open() && m.drafting() { // the key belongs to the draft
		r := m.decide.now()
		switch {
		case s == "esc":
			r.taken = true
			return nil
		case s == "tab" && r.question != nil && !m.edit.menu.open() && m.guard.open(m.now): // the draft is the answer
			if m.edit.folded() != "" {
				m.hint = "a text with a long paste cannot be the answer; Enter queues it"
				return nil
			}
			r.cursor, r.draft = rows(r.question.Questions[r.index])-1, true
			m.decide.begin(m.edit.text())
			m.edit.clear()
			return nil
		case s == "enter" && m.noMessage():
			r.open = false
			return m.dropKeys()
		}
		m.typed(k)
		if m.edit.empty() { // what the person types next may be another text, so a key answers only after a pause
			r.open = false
			return m.guard.typed(m.now)
		}
		return nil
	}
	if m.guard.open(m.now) || m.decide.open() && m.decide.words != nil {
		if meaning := m.decide.letter(s); meaning != "" {
			m.hint = meaning
			p := &letter{k, m.decide.key()}
			m.pending = p
			return tea.Tick(alone, func(time.Time) tea.Msg { return p })
		}
		return m.answer(k)
	}
	if m.decide.open() {
		m.hint = hint
		return m.guard.typed(m.now) // the next page is not on the screen yet, so the key does nothing
	}
	if s == "enter" && m.noMessage() {
		return m.dropKeys()
	}
	m.typed(k)
	return m.guard.typed(m.now)
}

// takesBack reports whether a key takes back what was typed.
func takesBack(key string) bool {
	return slices.Contains([]string{"backspace", "ctrl+h", "delete", "esc", "ctrl+u", "ctrl+w", "alt+backspace"}, key)
}

// leaveByKey handles Ctrl-D: it leaves. If that ends something that runs, only a second Ctrl-D leaves.
func (m *model) leaveByKey() {
	var ends []string
	if m.phase == working {
		ends = append(ends, "cancels the turn")
	}
	if tasks := m.inBackground(); tasks != "" {
		ends = append(ends, "ends "+tasks)
	}
	if len(ends) > 0 && !m.warned {
		m.warned = true
		m.hint = "Ctrl-D again leaves and " + strings.Join(ends, " and ")
		return
	}
	m.end(nil)
}

const leaves = "Ctrl-C again leaves"

// interrupt handles Ctrl-C: it cancels the turn. If there is nothing to cancel, a second Ctrl-C leaves.
func (m *model) interrupt() {
	switch {
	case m.phase == working && !m.stopped:
		m.stopped, m.warned = true, true
		m.cancel()
		m.hint = leaves
	case m.phase == starting && m.doing == "", m.warned, m.phase == working:
		m.end(ErrInterrupted)
	default:
		m.warned = true
		m.hint = "Ctrl-C again, or Ctrl-D, leaves"
		if !m.edit.empty() {
			m.hint += " · ↑ brings back what you typed"
		}
		m.edit.keep()
	}
}

// unfold prints in full what is folded in the editor, or else what was folded last and has not been unfolded yet.
func (m *model) unfold() {
	if text := m.edit.folded(); text != "" {
		m.log.add(&said{rows: screen.Rows(screen.Dim, "pasted: ", "  ", text)})
		return
	}
	n := len(m.log.folds)
	if n == 0 {
		m.hint = "nothing more is folded"
		return
	}
	last := m.log.folds[n-1]
	m.log.folds = m.log.folds[:n-1]
	m.print.add(last.full(m.view())...)
	m.log.lastTidy = false
	if n > 1 {
		m.hint = "Ctrl-O again unfolds the text before it"
	}
}

// early is how long after the start keys may come that were pressed before it.
const early = 500 * time.Millisecond

// typed handles a key for the editor.
func (m *model) typed(k tea.KeyPressMsg) {
	e := m.edit
	s := k.String()
	if e.menu.open() {
		switch s {
		case "up", "ctrl+p":
			e.menu.move(-1)
			return
		case "down", "ctrl+n":
			e.menu.move(1)
			return
		case "tab":
			m.complete()
			return
		case "esc":
			e.menu = menu{}
			return
		case "enter":
			if e.menu.enters() {
				m.complete()
				return
			}
		}
	}
	if s == "ctrl+j" && m.now.Sub(m.begun) < early {
		s = "enter" // it was pressed before the chat had the terminal, which makes a line end of it
	}
	switch s {
	case "enter":
		m.submit()
		return
	case "ctrl+v":
		m.pastePicture()
		return
	case "tab":
		m.steers = !m.steers
		return
	case "shift+tab":
		m.togglePlan()
		return
	case "?":
		if e.text() == "" {
			m.log.add(&guide{keys})
			return
		}
	case "ctrl+d":
		if e.text() != "" && e.atEnd() {
			m.hint = "Ctrl-D leaves when the editor is empty"
			return
		}
	case "up", "ctrl+p":
		if e.text() == "" && m.takeBack() {
			return
		}
		if e.text() == "" && len(m.queue) > 0 {
			m.hint = "what steers the turn was sent, and cannot be taken back"
			return
		}
		if e.atTop() {
			e.earlier()
			return
		}
	case "down", "ctrl+n":
		if e.atEnd() {
			e.later()
			return
		}
	case "esc":
		if m.phase == working {
			m.hint = "Ctrl-C cancels the turn"
		}
		return
	}
	if e.key(k) {
		m.hint = "a pasted text is removed as a whole"
	}
	m.suggest()
}

// paste gives a paste to the editor, or to the field in which the person answers a request.
func (m *model) paste(text string) {
	m.hint, m.warned = "", false
	m.unsettle()
	if m.decide.words != nil && m.decide.open() {
		*m.decide.words, _ = m.decide.words.Update(tea.PasteMsg{Content: text})
		return
	}
	if r := m.decide.now(); r != nil && r.question != nil && m.edit.empty() && m.guard.open(m.now) && !isLong(text) { // an answer, as a text that is typed
		r.cursor = rows(r.question.Questions[r.index]) - 1
		m.decide.begin(cmp.Or(r.words, r.typed))
		*m.decide.words, _ = m.decide.words.Update(tea.PasteMsg{Content: text})
		return
	}
	m.edit.paste(text)
	m.suggest()
}

// suggest fills the menu for the word before the cursor.
func (m *model) suggest() {
	before, first := m.edit.before()
	if strings.HasPrefix(word(before), "@") && !m.asked {
		m.asked = true
		dir := m.cfg.WorkDir
		m.work.Go(func() { m.feed.add(filesItem{listFiles(dir)}) })
	}
	if first && chooses(before) && m.session != nil && m.doing == "" {
		switch {
		case !namesTurns(before) && !m.listed:
			m.listed = true
			m.fetchModels(nil)
		case namesTurns(before) && !m.counted:
			m.counted = true
			s := m.session
			m.work.Go(func() {
				prompts, err := m.cfg.Prompts(s.ID())
				if err == nil { // the command itself tells of an error
					m.feed.add(promptsItem{prompts})
				}
			})
		}
	}
	m.edit.menu = suggest(before, first, m.commands(), slices.Concat(m.choices, m.turnList), m.files)
}

// complete replaces the word by the current entry of the menu.
func (m *model) complete() {
	e := m.edit
	c := e.menu.entries[e.menu.current]
	for range []rune(e.menu.word) {
		e.key(tea.KeyPressMsg{Code: tea.KeyBackspace})
	}
	e.insert(c.text + " ")
	e.menu = menu{}
}

// togglePlan turns plan mode on or off.
func (m *model) togglePlan() {
	if m.session == nil || m.doing != "" {
		m.hint = "not now: wait for kimi"
		return
	}
	m.setPlan(!m.status.plan)
}

func (m *model) setPlan(on bool) {
	s := m.session
	m.work.Go(func() {
		_, err := s.SetPlanMode(m.ctx, on)
		m.feed.add(toldItem{err})
		if err == nil {
			m.feed.add(planItem{on})
		}
	})
}

type planItem struct{ on bool }

// hints returns the keys that work now, the most useful first, or the hint about the last key.
func (m *model) hints() []string {
	switch {
	case m.hint != "":
		return wrapWords(paint(screen.Yellow, m.hint), m.columns)
	case m.decide.cut:
		return []string{paint(screen.Yellow, "too few rows to show what is asked: make the window larger")}
	}
	plan := "Shift-Tab plan mode"
	if m.status.plan {
		plan = "Shift-Tab ends plan mode"
	}
	var list []string
	switch {
	case m.phase == starting && m.session != nil:
		list = []string{"you can type a message now: it is sent when kimi is ready", "Ctrl-D leaves"}
	case m.phase == starting:
		list = []string{"you can type a message now: it is sent when kimi has started", "Ctrl-C leaves"}
	case m.decide.words != nil && m.decide.open():
		list = []string{"Enter sends it", "Esc goes back", "Ctrl-C cancels the turn"}
	case m.decide.open() && m.drafting():
		list = []string{"Esc, then a key answers", "Enter " + map[bool]string{true: "steers", false: "queues"}[m.steers] + " your text", "Ctrl-C cancels the turn"}
		if m.decide.now().question != nil {
			list = append([]string{"Tab makes your text the answer"}, list...)
		}
	case m.guard.open(m.now):
		list = []string{"a key answers", "Ctrl-C cancels the turn"}
	case len(m.decide.list) > 0:
		list = []string{"Ctrl-C cancels the turn"}
	case m.edit.menu.open():
		list = []string{"Tab or Enter completes", "↑ ↓ choose", "Esc closes"}
	case m.phase == working && m.steers:
		list = []string{"Enter steers the turn", "Tab: queue instead", "Ctrl-C cancels", "? keys", plan, "Ctrl-O unfolds"}
	case m.phase == working:
		list = []string{"Enter queues", "Tab: steer instead", "Ctrl-C cancels", "? keys", plan, "Ctrl-O unfolds"}
	case m.paused && !m.edit.empty():
		list = []string{"Enter sends what is queued, then your text"}
	case m.paused:
		list = []string{"Enter sends what is queued", "↑ takes it back", "Ctrl-D leaves"}
	default:
		list = []string{"Enter sends", "/ commands", "? keys", "@ files", "Ctrl-D leaves", plan, "Alt-Enter new line", "↑ earlier", "Ctrl-O unfolds"}
	}
	if m.phase == working && len(m.decide.list) == 0 && m.edit.text() == "" && slices.ContainsFunc(m.queue, func(q *queued) bool { return !q.steer }) {
		list = append([]string{"↑ takes back"}, list...)
	}
	line := items{columns: m.columns}
	var lines []string
	for _, t := range list {
		line.add(screen.Dim, t)
		if line.full && len(lines) == 0 && m.columns < narrow { // one line would leave out what matters
			lines = append(lines, line.String())
			line = items{columns: m.columns}
			line.add(screen.Dim, t)
		}
	}
	return append(lines, line.String())
}

// narrow is the width below which the keys take two lines.
const narrow = 60
