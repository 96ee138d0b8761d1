package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// changedItem ends what [model.change] has begun.
type changedItem struct {
	session *client.Session // the session that the chat continues with; nil for the present one
	effort  string          // of that session
	model   string          // that was chosen; "" if it is still the same
	said    string
	lost    bool // there is no session any more
	err     error
}

// modelsItem is the models that the session can use.
type modelsItem struct {
	models []client.Model
	err    error
}

// change runs a change of the session that must not happen while a turn runs.
func (m *model) change(what string, do func(context.Context, *client.Session) changedItem) {
	if m.session == nil || m.phase != idle {
		m.notNow()
		return
	}
	m.phase, m.doing = starting, what
	m.status.since = m.now
	s := m.session
	m.work.Go(func() {
		c := do(m.ctx, s)
		if c.session != nil {
			m.started = c.session
		}
		m.feed.add(c)
	})
}

// notNow says that a command has to wait. Its text is in the editor again.
func (m *model) notNow() {
	m.hint = "not now: wait for kimi, or cancel the turn by Ctrl-C"
	m.edit.set(m.sent)
}

// changed handles its result.
func (m *model) changed(c changedItem) {
	m.doing = ""
	if c.lost {
		m.end(c.err)
		return
	}
	m.phase = idle
	m.tell(c.err)
	if c.session != nil {
		m.attach(c.session)
		m.effort = c.effort
	}
	if c.model != "" {
		m.model = c.model
	}
	if c.said != "" {
		m.log.add(note(screen.Dim, c.said))
	}
	m.sendNext()
}

// setModel changes the model; "" lists those there are.
func (m *model) setModel(name string) {
	if name == "" {
		if m.session == nil || m.doing != "" {
			m.notNow()
			return
		}
		s := m.session
		m.work.Go(func() {
			list, err := s.Models(m.ctx)
			m.feed.add(modelsItem{list, err})
		})
		return
	}
	m.change("the model is changed", func(ctx context.Context, s *client.Session) changedItem {
		if err := s.SetModel(ctx, name); err != nil {
			return changedItem{err: err, lost: s.Err() != nil}
		}
		return changedItem{model: name, said: "the model is " + name}
	})
}

// listModels shows the models, the one in use marked.
func (m *model) listModels(list []client.Model) {
	m.models = nil
	var rows []screen.Row
	for _, model := range list {
		mark, style := "  ", screen.Plain
		if model.Name == m.session.Model() {
			mark, style = "❯ ", screen.Bold
		}
		text := model.Name
		about := ""
		if model.MaxContextTokens > 0 {
			about = tokens(model.MaxContextTokens) + " context"
		}
		if len(model.Efforts) > 0 {
			about = strings.TrimPrefix(about+", effort "+strings.Join(model.Efforts, ", "), ", ")
		}
		m.models = append(m.models, entry{"/model " + screen.Line(screen.Clean(model.Name)), about})
		if about != "" {
			text += "  " + about
		}
		rows = append(rows, screen.Row{Style: style, Mark: mark, Text: text})
	}
	rows = append(rows, screen.Row{Style: screen.Dim, Mark: "  ", Text: "/model NAME changes it"})
	m.log.add(&said{rows: rows})
}

// move closes the session and opens another one. If that fails, it opens the same one again.
func (m *model) move(ctx context.Context, s *client.Session, id, model, effort string) changedItem {
	if err := s.Close(); err != nil {
		return changedItem{lost: true, err: err}
	}
	next, err := m.cfg.Reopen(ctx, id, model, effort)
	if err == nil {
		return changedItem{session: next, effort: effort}
	}
	if next, again := m.cfg.Reopen(ctx, s.ID(), model, m.cfg.Effort); again == nil {
		return changedItem{session: next, effort: m.cfg.Effort, err: err}
	}
	return changedItem{lost: true, err: err}
}

// fork continues in a copy of the session with its first turns; -1 keeps all.
func (m *model) fork(turns int) {
	model, effort := m.model, m.effort
	m.change("the session is copied", func(ctx context.Context, s *client.Session) changedItem {
		return m.forked(ctx, s, turns, model, effort)
	})
}

func (m *model) forked(ctx context.Context, s *client.Session, turns int, model, effort string) changedItem {
	id, err := m.cfg.Fork(ctx, s.ID(), turns)
	if err != nil {
		return changedItem{err: err}
	}
	c := m.move(ctx, s, id, model, effort)
	if c.err == nil {
		c.said = "this is session " + id + ", a copy; " + s.ID() + " stays as it was"
	}
	return c
}

// undo takes back the last turns. If kimi cannot do that, the chat continues in a copy without them.
func (m *model) undo(turns int) {
	model, effort := m.model, m.effort
	m.change("turns are taken back", func(ctx context.Context, s *client.Session) changedItem {
		err := s.Undo(ctx, turns)
		if err == nil {
			return changedItem{said: screen.Count(turns, "turn") + " taken back; what was done to files stays done"}
		}
		if !errors.Is(err, client.ErrUnsupported) {
			return changedItem{err: err}
		}
		all, err := m.cfg.Turns(s.ID())
		if err != nil {
			return changedItem{err: err}
		}
		if turns > all {
			return changedItem{err: fmt.Errorf("there are %s to take back", screen.Count(all, "turn"))}
		}
		c := m.forked(ctx, s, all-turns, model, effort)
		if c.err == nil {
			c.said = screen.Count(turns, "turn") + " taken back; " + c.said
		}
		return c
	})
}

// setEffort continues the session with another effort of thinking, which only a start can change.
func (m *model) setEffort(effort string) {
	if effort == "" {
		m.hint = "/effort on, off, or what the model offers; /model lists it"
		return
	}
	model := m.model
	m.change("kimi starts again", func(ctx context.Context, s *client.Session) changedItem {
		c := m.move(ctx, s, s.ID(), model, effort)
		if c.err == nil {
			c.said = "the effort is " + effort
		}
		return c
	})
}
