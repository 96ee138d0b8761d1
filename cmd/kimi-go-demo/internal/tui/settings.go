package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
)

// changedItem is the result of what [model.change] has begun.
type changedItem struct {
	session *client.Session // the session that the chat continues with; nil for the present one
	effort  string          // the effort of that session
	plan    bool            // that session is in plan mode
	model   string          // the model that was chosen; "" if it is still the same
	said    string          // a note for the person; "" for none
	lost    bool            // there is no session any more
	err     error
}

// modelsItem has the models that the session can use.
type modelsItem struct {
	models []client.Model
	err    error
	show   func(*model, []client.Model) // nil if they are for the menu only
}

// change runs a change of the session that must not happen while a turn runs.
func (m *model) change(what string, do func(context.Context, *client.Session) changedItem) {
	if m.session == nil || m.phase != idle {
		m.notNow()
		return
	}
	m.echo()
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

// notNow says that a command has to wait, and puts its text back into the editor.
func (m *model) notNow() {
	what := "not now: wait for kimi"
	if m.phase == working {
		what += ", or cancel the turn with Ctrl-C"
	}
	m.wrong(what)
}

// changed handles the result of a change.
func (m *model) changed(c changedItem) {
	m.doing, m.hint = "", ""
	if c.lost {
		m.end(c.err)
		return
	}
	m.phase = idle
	m.tell(c.err)
	if c.session != nil {
		m.attach(c.session)
		m.effort = c.effort
		m.status.plan = m.status.plan || c.plan
	}
	if c.model != "" {
		m.model = c.model
	}
	m.choices, m.listed = nil, false // another model has other efforts
	m.turnList, m.counted = nil, false
	if c.said != "" {
		m.log.add(note(screen.Dim, c.said))
	}
	m.sendNext()
}

// setModel changes the model. For "", it lists the models.
func (m *model) setModel(name string) {
	if name == "" {
		m.list((*model).listModels)
		return
	}
	m.change("changing the model", func(ctx context.Context, s *client.Session) changedItem {
		if err := s.SetModel(ctx, name); err != nil {
			return changedItem{err: err, lost: s.Err() != nil}
		}
		return changedItem{model: name, said: "the model is " + name}
	})
}

// list asks kimi for its models, and calls show with them.
func (m *model) list(show func(*model, []client.Model)) {
	if m.session == nil || m.doing != "" {
		m.notNow()
		return
	}
	m.echo()
	m.fetchModels(show)
}

func (m *model) fetchModels(show func(*model, []client.Model)) {
	s := m.session
	m.work.Go(func() {
		list, err := s.Models(m.ctx)
		m.feed.add(modelsItem{list, err, show})
	})
}

// gotModels keeps models for the menu, and shows what was asked for.
func (m *model) gotModels(item modelsItem) {
	if item.err != nil {
		if item.show != nil {
			m.tell(item.err)
		}
		return
	}
	m.choices = nil
	for _, model := range item.models {
		m.choices = append(m.choices, entry{"/model " + screen.Line(screen.Clean(model.Name)), aboutModel(model)})
		if model.Name == m.session.Model() {
			for _, effort := range m.efforts(model) {
				m.choices = append(m.choices, entry{text: "/effort " + screen.Line(screen.Clean(effort))})
			}
		}
	}
	m.suggest()
	if item.show != nil {
		item.show(m, item.models)
	}
}

func aboutModel(model client.Model) string {
	about := ""
	if model.MaxContextTokens > 0 {
		about = tokens(model.MaxContextTokens) + " context"
	}
	if len(model.Efforts) > 0 {
		about = strings.TrimPrefix(about+", effort "+strings.Join(model.Efforts, ", "), ", ")
	}
	return about
}

// efforts returns the values that [client.Options.Effort] can have with a model.
func (m *model) efforts(model client.Model) []string {
	if !m.perCall() { // kimi-cli takes both with every model
		return []string{"on", "off"}
	}
	var list []string
	always := slices.Contains(model.Capabilities, "always_thinking")
	if always || slices.Contains(model.Capabilities, "thinking") || len(model.Efforts) > 0 {
		list = append(list, "on")
	}
	if !always {
		list = append(list, "off")
	}
	return append(list, model.Efforts...)
}

// listModels shows the models, and marks the model in use.
func (m *model) listModels(list []client.Model) {
	var rows []screen.Row
	for _, model := range list {
		rows = append(rows, choiceRow(model.Name == m.session.Model(), model.Name, aboutModel(model)))
	}
	rows = append(rows, screen.Row{Style: screen.Dim, Mark: "  ", Text: "/model NAME changes it"})
	m.log.add(&said{rows: rows})
}

// listEfforts shows the efforts of the model in use.
func (m *model) listEfforts(list []client.Model) {
	var rows []screen.Row
	for _, model := range list {
		if model.Name != m.session.Model() {
			continue
		}
		for _, effort := range m.efforts(model) {
			rows = append(rows, choiceRow(effort == m.effort, effort, ""))
		}
	}
	rows = append(rows, screen.Row{Style: screen.Dim, Mark: "  ", Text: "/effort NAME changes it"})
	m.log.add(&said{rows: rows})
}

func choiceRow(current bool, name, about string) screen.Row {
	mark, style := "  ", screen.Plain
	if current {
		mark, style = "• ", screen.Bold
	}
	return screen.Row{Style: style, Mark: mark, Text: strings.TrimRight(name+"  "+about, " ")}
}

// move closes the session and opens the session id. If that fails, it opens the closed session again.
func (m *model) move(ctx context.Context, s *client.Session, id, model, effort, mode string, plan bool) changedItem {
	if err := s.Close(); err != nil {
		return changedItem{lost: true, err: err}
	}
	next, err := m.reopen(ctx, id, model, effort, mode, plan)
	if err == nil {
		return changedItem{session: next, effort: effort, plan: plan}
	}
	if next, again := m.reopen(ctx, s.ID(), model, m.cfg.Effort, mode, plan); again == nil {
		return changedItem{session: next, effort: m.cfg.Effort, plan: plan, err: err}
	}
	return changedItem{lost: true, err: err}
}

// reopen opens a session. If it is to be in plan mode, it is before the next prompt.
func (m *model) reopen(ctx context.Context, id, model, effort, mode string, plan bool) (*client.Session, error) {
	s, err := m.cfg.Reopen(ctx, id, model, effort, mode)
	if err == nil && plan && !s.Status().PlanMode {
		if _, err = s.SetPlanMode(ctx, true); err != nil {
			s.Close()
		}
	}
	return s, err
}

// fork continues in a copy of the session with its first turns; -1 keeps all.
func (m *model) fork(turns int) {
	model, effort, mode, plan := m.model, m.effort, m.mode(), m.status.plan
	m.change("copying the session", func(ctx context.Context, s *client.Session) changedItem {
		prompts, err := m.cfg.Prompts(s.ID())
		if err != nil {
			return changedItem{err: err}
		}
		if turns > len(prompts) {
			return changedItem{err: &client.TurnsError{Turns: turns, Available: len(prompts)}}
		}
		c := m.forked(ctx, s, turns, model, effort, mode, plan)
		if c.err == nil && turns > 0 {
			c.said = "kept up to " + quoted(prompts[turns-1]) + ": " + c.said
		}
		return c
	})
}

func (m *model) forked(ctx context.Context, s *client.Session, turns int, model, effort, mode string, plan bool) changedItem {
	id, err := m.cfg.Fork(ctx, s.ID(), turns)
	if err != nil {
		return changedItem{err: err}
	}
	c := m.move(ctx, s, id, model, effort, mode, plan)
	if c.err == nil {
		c.said = "this is session " + id + ", a copy; " + s.ID() + " stays as it was"
	}
	return c
}

// undo takes back the last turns. If kimi cannot do that, the chat continues in a copy without them.
func (m *model) undo(turns int) {
	model, effort, mode, plan := m.model, m.effort, m.mode(), m.status.plan
	m.change("taking back turns", func(ctx context.Context, s *client.Session) changedItem {
		prompts, err := m.cfg.Prompts(s.ID())
		if err != nil {
			return changedItem{err: err}
		}
		rest := len(prompts) - turns
		if rest < 0 {
			return changedItem{err: &client.TurnsError{Turns: turns, Available: len(prompts)}}
		}
		said := screen.Count(turns, "turn") + " taken back: " + quoted(prompts[rest])
		if turns > 1 {
			said += " and what came after it"
		}
		err = s.Undo(ctx, turns)
		if err == nil {
			_, err = s.SetPlanMode(ctx, plan) // Kimi Code sets it back to what it was before the turns
			return changedItem{said: said + "; what was done to files stays done", err: err}
		}
		if !errors.Is(err, client.ErrUnsupported) {
			return changedItem{err: err}
		}
		if rest == 0 {
			return changedItem{err: slip("this kimi cannot take back the first turn; begin a new chat instead")}
		}
		c := m.forked(ctx, s, rest, model, effort, mode, plan)
		if c.err == nil {
			c.said = said + "; " + c.said
		}
		return c
	})
}

// offered returns an error if the session's model does not have the effort.
func (m *model) offered(ctx context.Context, s *client.Session, effort string) error {
	list, err := s.Models(ctx)
	if err != nil || effort == "on" || effort == "off" {
		return err
	}
	i := slices.IndexFunc(list, func(m client.Model) bool { return m.Name == s.Model() })
	if i < 0 || slices.Contains(list[i].Efforts, effort) {
		return nil // kimi checks the effort when it starts
	}
	return slip(fmt.Sprintf("the model %q has no effort %q; it has %s", s.Model(), effort, strings.Join(m.efforts(list[i]), ", ")))
}

// slip is a mistake of the person. Its text already says what to do, so it needs no hint.
type slip string

func (s slip) Error() string { return string(s) }

// quoted returns the start of a prompt in quotation marks.
func quoted(prompt string) string {
	return "“" + cut(screen.Line(screen.Clean(strings.Join(strings.Fields(prompt), " "))), 60) + "”"
}

// setEffort continues the session with another effort of thinking. kimi has to start again for that.
func (m *model) setEffort(effort string) {
	if effort == "" {
		m.list((*model).listEfforts)
		return
	}
	model, mode, plan := m.model, m.mode(), m.status.plan
	m.change("starting kimi again", func(ctx context.Context, s *client.Session) changedItem {
		if err := m.offered(ctx, s, effort); err != nil {
			return changedItem{err: err}
		}
		c := m.move(ctx, s, s.ID(), model, effort, mode, plan)
		if c.err == nil {
			c.said = "the effort is " + effort
		}
		return c
	})
}
