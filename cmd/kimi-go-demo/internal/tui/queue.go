package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/slash"
	"github.com/kimi-go/kimi-go/wireproto"
)

// queued is text that was typed while the agent worked and is not part of a turn yet. It stays here until the running
// turn is over. The person can take it back, and after a turn that has failed it waits. [client.Session.Queue] does not
// allow that: its turns begin in any case.
type queued struct {
	text  string // as the editor showed it
	whole string // with the folded texts in full
	steer bool   // it was sent to the turn that runs, which has not taken it up yet
	sent  bool   // it was sent to a turn
}

// line returns the line that shows q above the editor.
func (q *queued) line(columns int) string {
	mark := "⋯ queued: "
	if q.steer {
		mark = "» steers: "
	}
	return cut(paint(screen.Dim, mark)+paint(screen.Plain, q.text), columns)
}

// submit sends the text of the editor: as a prompt, or to the queue or the running turn.
func (m *model) submit() {
	text, whole := m.edit.text(), m.edit.whole()
	if strings.TrimSpace(whole) == "" {
		if m.paused && m.phase == idle {
			m.paused = false
			m.sendNext()
		}
		return
	}
	if err := m.edit.history.add(text, whole); err != nil && m.history == nil {
		m.history = err
		m.tell(fmt.Errorf("what you type is not kept for later: %w", err))
	}
	m.edit.clear()
	m.sent = text
	if m.command(text) {
		return
	}
	m.enqueue(text, whole)
}

// enqueue sends a text: as the next turn, or to the running turn. A command of kimi would be only text for a running turn.
func (m *model) enqueue(text, whole string) {
	q := &queued{text: text, whole: whole}
	if m.phase == working && m.steers && !slash.Waits(m.session, whole) {
		q.steer, q.sent = true, true
		m.steer(q)
	}
	m.queue = append(m.queue, q)
	if m.phase == idle {
		m.paused = false
		m.sendNext()
	}
}

// steer sends q to the turn that runs.
func (m *model) steer(q *queued) {
	parts, err := m.images(q.whole)
	if err != nil {
		m.tell(err)
		q.steer = false
		return
	}
	s := m.session
	m.work.Go(func() { m.feed.add(steeredItem{q, s.Steer(m.ctx, q.whole, parts...)}) })
}

// steered handles kimi's answer to a steer. If err is nil, the text still waits: only a SteerInput shows that the turn
// has it.
func (m *model) steered(q *queued, err error) {
	if err == nil || !slices.Contains(m.queue, q) {
		return
	}
	q.steer = false
	if errors.Is(err, client.ErrUnsupported) {
		m.hint = "this kimi takes no input while it works: it is queued"
	}
	if m.phase == idle {
		m.sendNext()
	}
}

// sendNext begins the next turn, if something is queued.
func (m *model) sendNext() {
	if len(m.queue) == 0 || m.paused || m.phase != idle {
		return
	}
	q := m.queue[0]
	m.queue = m.queue[1:]
	if wrong := slash.Wrong(m.session, q.whole); wrong != "" { // it was typed before the session began
		m.wrong(wrong)
		m.sendNext()
		return
	}
	send, needless := slash.Send(m.session, q.whole)
	if needless != "" {
		m.hint = needless
		m.sendNext()
		return
	}
	if send != q.whole {
		q.text, q.whole = send, send
	}
	parts, err := m.images(q.whole)
	if err != nil {
		m.tell(err)
		if m.edit.empty() {
			m.edit.set(q.text)
		} else {
			m.edit.history.add(q.text, q.whole)
			m.hint = "↑ brings it back"
		}
		m.paused = len(m.queue) > 0
		return
	}
	prompt := input("> ", wireproto.Content{Text: q.text})
	if q.whole != q.text {
		prompt.whole = input("> ", wireproto.Content{Text: q.whole}).rows
	}
	m.log.add(prompt)
	ctx, cancel := context.WithCancel(m.ctx)
	m.cancel()
	m.cancel, m.stopped, m.warned = cancel, false, false
	m.phase = working
	m.turns++
	m.status.begin(q.text, m.now)
	s := m.session
	m.work.Go(func() { runTurn(ctx, s, m.feed, q.whole, parts) })
}

// taken removes from the queue what the agent has got as a steer. If the turn has ended before, that may come later.
func (m *model) taken(text string) {
	i := slices.IndexFunc(m.queue, func(q *queued) bool { return q.sent && q.whole == text })
	if i < 0 {
		i = slices.IndexFunc(m.queue, func(q *queued) bool { return q.steer })
	}
	if i < 0 {
		return
	}
	m.queue = slices.Delete(m.queue, i, i+1)
	if m.paused && len(m.queue) == 0 {
		m.paused = false
		if m.hint != "" && m.warned {
			m.hint = leaves
		}
	}
}

func (m *model) images(text string) ([]wireproto.ContentPart, error) {
	list := mentions(text, m.cfg.WorkDir)
	if len(list) == 0 || m.cfg.Images == nil {
		return nil, nil
	}
	return m.cfg.Images(list)
}

// turnOver ends a turn.
func (m *model) turnOver(result *client.TurnResult, err error) {
	m.phase, m.steers = idle, false
	if m.warned = m.warned && m.stopped; !m.warned {
		m.hint = ""
	}
	m.turnList, m.counted = nil, false
	m.log.close(m.now)
	m.unpin()
	m.status.end(m.session.Status())
	m.log.add(&notice{style: screen.Dim, text: m.status.summary(result, err, m.now), apart: true})
	if err != nil && !errors.Is(err, client.ErrCancelled) && !m.stopped {
		m.tell(err)
	}
	for _, q := range m.queue {
		q.steer = false // the turn has not taken it up
	}
	if err != nil {
		if m.paused = len(m.queue) > 0; m.paused && m.warned {
			m.hint += " · Enter sends what is queued · ↑ takes it back"
		}
		return
	}
	m.sendNext()
}

// takeBack moves the last queued text back into the editor. It reports whether there was one.
func (m *model) takeBack() bool {
	for i := len(m.queue) - 1; i >= 0; i-- {
		if q := m.queue[i]; !q.steer {
			m.queue = append(m.queue[:i:i], m.queue[i+1:]...)
			m.edit.set(q.text)
			m.paused = m.paused && len(m.queue) > 0
			return true
		}
	}
	return false
}
