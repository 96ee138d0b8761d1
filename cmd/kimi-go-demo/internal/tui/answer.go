package tui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// printable reports whether a key types text.
func printable(k tea.KeyPressMsg) bool { return k.Text != "" }

// alone is how long no other key must follow a letter that answers a request.
const alone = 500 * time.Millisecond

// letter is a letter that answers a request. It waits for a moment: if another letter follows, both begin a text.
type letter struct {
	key tea.KeyPressMsg
	of  string // what was asked, as by [decider.key]
}

// hasty is how long the same letter, pressed again, is not the begin of a text.
const hasty = 2 * time.Second

// again reports whether a key is the letter that the person has pressed last to answer a request.
func (m *model) again(key string) bool {
	if key != m.letter || m.now.Sub(m.letterAt) > hasty || m.decide.now() == nil || m.decide.words != nil || !m.edit.empty() {
		return false
	}
	m.letterAt = m.now
	return true
}

// settle gives the letter that waits to its request.
func (m *model) settle() tea.Cmd {
	p := m.pending
	m.pending, m.hint = nil, ""
	m.letter, m.letterAt = p.key.String(), m.now
	if !m.decide.open() || m.decide.key() != p.of {
		return nil // the request needs no answer any more
	}
	return m.answer(p.key)
}

// unsettle makes the letter that waits, if there is one, the begin of a text.
func (m *model) unsettle() {
	p := m.pending
	if p == nil {
		return
	}
	m.pending, m.hint = nil, ""
	if r := m.decide.now(); r != nil {
		r.taken = false
	}
	m.typed(p.key)
}

// answer gives a key to the request. A key that means nothing to the request is text for the editor.
func (m *model) answer(k tea.KeyPressMsg) tea.Cmd {
	m.hint = ""
	r := m.decide.now()
	if r.draft && m.decide.words != nil && k.String() == "esc" { // the answer is a draft again
		m.edit.set(strings.TrimSpace(m.decide.words.Value() + " " + m.edit.text()))
		m.decide.words, r.draft = nil, false
		return nil
	}
	index, choosing, typing := r.index, r.choosing, m.decide.words != nil
	m.decide.at = m.now
	v := m.decide.press(k)
	if v.done {
		m.decide.drop(r.id)
		kept := v.offer == nil || m.allow(r, &v)
		m.decided(v.call, v.text, v.err)
		if v.offer != nil && v.err == nil && kept {
			what := strings.TrimSpace(begin(r.name) + " " + render.Arguments(string(r.arguments)))
			m.log.add(note(screen.Dim, "always allowed, after "+what+": "+v.offer.Words))
		}
		return m.guard.typed(m.now)
	}
	if v.none && (printable(k) || k.String() == "up" && len(m.queue) > 0) {
		r.taken = false
		m.typed(k)
		return m.guard.typed(m.now)
	}
	m.hint = v.hint
	if v.none || r.index != index || r.choosing && !choosing || typing && m.decide.words == nil {
		return m.guard.typed(m.now) // the same key, pressed again, does not answer what is shown now
	}
	return nil
}

// noMessage reports whether a draft has only keys that answer requests. A person who is in a hurry may have typed it, so
// it is not sent as a message.
func (m *model) noMessage() bool {
	text := m.edit.text()
	return m.decide.now() != nil && text != "" && len(text) <= 3 && strings.Trim(text, "yneam0123456789") == ""
}

// dropKeys empties the editor of keys that are no message.
func (m *model) dropKeys() tea.Cmd {
	m.hint = "“" + m.edit.text() + "” is not sent as a message; a key answers the request"
	m.edit.clear()
	return m.guard.typed(m.now)
}

// drafting reports whether there is text in the editor, so that keys go there and not to the request.
func (m *model) drafting() bool {
	r := m.decide.now()
	return r != nil && !r.taken && m.decide.words == nil && !m.edit.empty()
}

// allow approves a request, and adds the rule that was chosen. That rule also answers the other requests that wait. kept
// is false if the rule should be in the file but could not be written.
func (m *model) allow(r *request, v *verdict) (kept bool) {
	if v.err = m.cfg.Grants.Approve(r.approval, *v.offer); v.err != nil {
		return true
	}
	err := m.cfg.Grants.Keep(*v.offer)
	m.tell(err)
	for _, other := range slices.Clone(m.decide.list) {
		if other.name == "" { // a question, or a call that is not known
			continue
		}
		if said, err := m.cfg.Grants.Answer(m.ctx, other.approval, other.name, other.arguments); said != "" {
			m.decide.drop(other.id)
			m.ruled(other.approval.ToolCallID, said, err)
		}
	}
	return err == nil
}
