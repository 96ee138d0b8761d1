package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Model is a model in kimi's configuration.
type Model struct {
	Name             string   `json:"name"`               // for SetModel and Options.Model
	DisplayName      string   `json:"display_name"`       // for people; "" if the configuration has none
	Provider         string   `json:"provider"`           // the name of its provider in the configuration
	MaxContextTokens int      `json:"max_context_tokens"` // the size of the context in tokens
	Capabilities     []string `json:"capabilities"`       // such as "thinking" and "image_in"
	Efforts          []string `json:"efforts"`            // values for Options.Effort in addition to "on" and "off"; nil for kimi-cli
}

// Models lists the models that the session can use, sorted by name. For kimi-cli, these are the models of the
// configuration.
func (s *Session) Models(ctx context.Context) ([]Model, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	list, err := s.backend.models(ctx, s)
	slices.SortFunc(list, func(a, b Model) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// SetModel changes the model of the following turns. name is the Name of one of [Session.Models]. The conversation
// stays the same. After the change, Status has the size of the new model's context.
//
// If a turn runs or waits, the error is [ErrBusy]. If there is no model with this name, or the model does not offer
// Options.Effort, the error is an [*OptionError] for Model or Effort. If ctx ends before the model has changed, the
// change continues, and turns return ErrBusy until it is complete; [Session.Model] then returns the new name.
//
// Kimi Code changes the model in the session and confirms it. If it refuses, the old model stays. A session of Kimi Code
// with Options.AgentFile keeps its model ([ErrUnsupported]).
//
// kimi-cli 1.51 cannot change the model while it runs, so a new process continues the session with the same options.
// This takes as long as a start. [Session.PID] then returns another id; Done and Err are not affected. Background tasks
// of kimi-cli, and calls that it has not answered, end with the old process. If the new process does not start, the
// session ends with that error.
func (s *Session) SetModel(ctx context.Context, name string) error {
	list, err := s.Models(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(m Model) bool { return m.Name == name })
	if i < 0 {
		all := make([]string, len(list))
		for i, m := range list {
			all[i] = m.Name
		}
		return noModel(name, all, nil)
	}
	if effort := s.opts.Effort; effort != "" && effort != "on" && effort != "off" && !slices.Contains(list[i].Efforts, effort) {
		return &OptionError{Option: "Effort", Reason: fmt.Sprintf("the model %.80q does not offer %.40q", name, effort),
			Remedy: "use on, off or what the model offers; Session.Models lists it", Err: ErrUnsupported}
	}
	over := make(chan struct{})
	if err := s.occupy(ctx, "set model", func() { s.changing = over }); err != nil {
		return err
	}
	done := make(chan error, 1)
	s.backend.setModel(s, name, func(err error) {
		s.mu.Lock()
		s.changing = nil
		if err == nil {
			s.model, s.chosen = name, name
			s.status.resize(list[i].MaxContextTokens)
		}
		s.mu.Unlock()
		done <- err
		close(over)
		s.advance()
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("client: set model: %w", context.Cause(ctx))
	}
}

// noModel returns the error for a model that the configuration does not have. has lists the models that it has.
func noModel(name string, has []string, err error) error {
	names, remedy := "none at all", howToSetModel
	if len(has) > 0 {
		names, remedy = strings.Join(has, ", "), "use one that it has"
	}
	return &OptionError{Option: "Model", Reason: fmt.Sprintf("the configuration has no model %.80q; it has %.200s", name, names), Remedy: remedy, Err: err}
}

// byModel explains an error of a prompt. kimi-cli says that no model is set, also if the configuration does not have
// Options.Model. In this case, byModel returns an error that names the model. It returns any other error unchanged.
func (s *Session) byModel(err error) error {
	name := s.opts.Model
	if !errors.Is(err, ErrLLMNotSet) || name == "" || name != s.Model() || s.opts.Transport != nil || s.backend.kind() != BackendWire {
		return err
	}
	cfg, cfgErr := s.launch.config()
	if cfgErr != nil {
		return err
	}
	var has []string
	if cfg != nil {
		has = slices.Sorted(maps.Keys(cfg.Models))
	}
	if slices.Contains(has, name) {
		return err
	}
	return noModel(name, has, err)
}

func (kimiCode) models(ctx context.Context, s *Session) ([]Model, error) {
	var result wireproto.ModelsResult
	if err := s.conn.call(ctx, wireproto.MethodModels, nil, &result); err != nil {
		return nil, err
	}
	list := make([]Model, len(result.Models))
	for i, m := range result.Models {
		list[i] = Model(m)
	}
	return list, nil
}

func (kimiCode) setModel(s *Session, name string, done func(error)) {
	err := s.conn.begin(wireproto.MethodSetModel, wireproto.SetModelParams{Model: name}, func(_ json.RawMessage, err error) { done(err) })
	if err != nil {
		done(err)
	}
}

func (kimiCLI) models(_ context.Context, s *Session) ([]Model, error) {
	cfg, err := s.launch.config()
	if err != nil {
		return nil, fmt.Errorf("client: models: %w", err)
	}
	var list []Model
	if cfg == nil {
		return nil, nil
	}
	for name, m := range cfg.Models {
		model := Model{Name: name, DisplayName: m.DisplayName, Provider: m.Provider, MaxContextTokens: m.MaxContextSize}
		for _, c := range m.Capabilities {
			model.Capabilities = append(model.Capabilities, string(c))
		}
		list = append(list, model)
	}
	return list, nil
}

func (b kimiCLI) setModel(s *Session, name string, done func(error)) {
	go func() { done(b.restart(s, name)) }()
}

// restart continues the session in a new process with another model.
func (b kimiCLI) restart(s *Session, name string) error {
	l := *s.launch
	o := *l.opts
	st := s.Status()
	o.Model = name
	o.follow(&st)
	l.opts, l.secrets = &o, secretDir{}
	cfg, err := l.config()
	if err != nil {
		return fmt.Errorf("client: set model: %w", err)
	}
	for _, over := range cfg.Effective(name, l.getenv).Overrides {
		if over.Variable == "KIMI_MODEL_NAME" {
			return errors.New("client: set model: KIMI_MODEL_NAME in the environment overrides the model; unset the variable in Options.Env")
		}
	}
	var approvals Approvals
	if o.Transport == nil {
		if approvals, err = b.mayResume(&l, s.id); err != nil {
			return err
		}
	}
	going, err := s.peer.end(o.StopGrace, func() { s.conn.change(o.StopGrace / 3) })
	if !going {
		<-s.Done()
		return s.Err()
	}
	if err != nil {
		o.Logger.Error("client: set model: end the earlier process", "error", err)
	}
	s.closeRequests(errAgentEnded, func(*request) bool { return true })
	s.conn.pause(errChanged)
	s.mu.Lock()
	s.processGoneLocked(nil)
	s.mu.Unlock()
	if err := s.succeed(&l); err != nil {
		s.kill(err)
		<-s.Done()
		return s.Err()
	}
	s.continued(approvals)
	s.conn.resume()
	return nil
}

// errChanged is the error of calls that the old process has not answered.
var errChanged = errors.New("client: the process ended before it answered, because the model changes; it may or may not have done what was asked; make the call again")

// mayResume refuses a session that keeps a mode in which everything runs without a question, unless the options have
// that mode, too.
func (b kimiCLI) mayResume(l *launch, id string) (Approvals, error) { return b.approvals(l, id) }

// holdAgain locks the session's directory. The directory may be a new one, because kimi-cli deletes the directory of a
// session without turns.
func (b kimiCLI) holdAgain(s *Session) error {
	if s.launch.opts.Transport != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil { // the session has ended in the meantime
		return s.err
	}
	s.held.Close() // held may be nil; Close of a nil file is harmless
	held, err := holdSession(b.sessionDir(s.launch, s.id), true)
	s.held = held
	return err
}
