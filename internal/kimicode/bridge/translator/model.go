package translator

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// knownModels asks for the models that the server knows.
func (t *Translator) knownModels(then func([]api.Model, error)) {
	t.call("GET", "/models", nil, true, func(data json.RawMessage, err error) {
		var list api.Models
		if err == nil {
			err = json.Unmarshal(data, &list)
		}
		then(list.Items, err)
	})
}

// models lists the models for the client.
func (t *Translator) models(f *wireproto.Frame) {
	t.knownModels(func(known []api.Model, err error) {
		if err != nil {
			t.refuse(f.ID, wireproto.CodeInternalError, "models: %v", err)
			return
		}
		list := wireproto.ModelsResult{Models: []wireproto.ModelInfo{}}
		for _, m := range known {
			list.Models = append(list.Models, wireproto.ModelInfo{
				Name: m.Model, DisplayName: m.DisplayName, Provider: m.Provider, MaxContextTokens: m.MaxContextSize,
				Capabilities: m.Capabilities, Efforts: m.Efforts,
			})
		}
		t.reply(f.ID, list)
	})
}

// setModel changes the model and answers with the model that the server then reports. After an error, it sets the old
// model again, because the server keeps a new model even if it refuses the effort.
func (t *Translator) setModel(f *wireproto.Frame) {
	var params wireproto.SetModelParams
	if !t.params(f, &params) {
		return
	}
	switch {
	case t.turn != nil:
		t.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	case t.set.Profile != "": // a call with a model, but without the profile, would bind the session to the server's own agent
		t.unsupported(f.ID, "other model for a session with an agent file; start a new session")
		return
	}
	t.putModel(params.Model, func(st *api.Status, err error) {
		if err == nil {
			before := t.session.model
			t.session.model, t.context.most = st.Model, st.MaxContextTokens
			t.thinkAgain(before, st, func() { t.reply(f.ID, wireproto.SetModelResult{Status: "ok", Model: st.Model}) })
			return
		}
		t.putModel(t.session.model, func(_ *api.Status, undo error) {
			if no, ok := err.(*ArgumentError); ok && undo == nil {
				t.fail(f.ID, no.RPC())
				return
			}
			if undo != nil {
				err = fmt.Errorf("%w; and it is not known which model is in force: %w", err, undo)
			}
			t.refuse(f.ID, wireproto.CodeInternalError, "set the model: %v", err)
		})
	})
}

// thinkAgain turns thinking on again after a model that cannot think. For such a model, the server turns thinking off,
// and leaves it off for the next models. thinkAgain does not change an effort that was set. Thinking stays off in a
// continued session that had it off with a model that can think.
func (t *Translator) thinkAgain(before string, st *api.Status, then func()) {
	t.noteEffort(st)
	if st.Thinking != "off" || t.thinking() != "" {
		then()
		return
	}
	t.knownModels(func(known []api.Model, err error) {
		if err != nil || thinks(known, before) || !thinks(known, st.Model) || t.session.keptOff && thinks(known, t.session.kept) {
			then()
			return
		}
		t.call("GET", "/config", nil, true, func(data json.RawMessage, err error) {
			var c api.Thinking
			switch {
			case err != nil || json.Unmarshal(data, &c) != nil:
				then()
			case t.session.effort != "":
				t.tryEfforts([]string{t.session.effort, "on"}, then)
			case c.Default.Enabled != nil && !*c.Default.Enabled:
				then()
			case c.Default.Effort != "":
				t.tryEfforts([]string{c.Default.Effort, "on"}, then)
			default:
				t.tryEfforts([]string{"on"}, then)
			}
		})
	})
}

// tryEfforts sets the first of the efforts that the model accepts.
func (t *Translator) tryEfforts(efforts []string, then func()) {
	settings := &api.AgentConfig{Thinking: efforts[0]}
	t.call("POST", t.of("/profile"), api.Profile{Config: settings}, true, func(_ json.RawMessage, err error) {
		if err != nil && len(efforts) > 1 {
			t.tryEfforts(efforts[1:], then)
			return
		}
		then()
	})
}

// noteEffort notes with which effort the model thinks, unless thinking is off.
func (t *Translator) noteEffort(st *api.Status) {
	if st.Thinking != "off" {
		t.session.effort = st.Thinking
	}
}

// thinks reports whether a model can think.
func thinks(known []api.Model, model string) bool {
	return slices.ContainsFunc(known, func(m api.Model) bool {
		return m.Model == model && (slices.Contains(m.Capabilities, "thinking") || slices.Contains(m.Capabilities, "always_thinking"))
	})
}

// putModel sets the model on the server, with the effort that was set, and checks that the server uses both.
func (t *Translator) putModel(model string, then func(*api.Status, error)) {
	settings := &api.AgentConfig{Model: model, Thinking: t.thinking()}
	t.call("POST", t.of("/profile"), api.Profile{Config: settings}, true, func(_ json.RawMessage, err error) {
		if err != nil {
			t.refused(err, model, func(err error) { then(nil, err) })
			return
		}
		t.readBack(func(st *api.Status, err error) {
			if err == nil && st.Model != model {
				err = fmt.Errorf("the server says that the model is %.80q, not %.80q, which was set", st.Model, model)
			}
			if err == nil {
				err = t.otherEffort(st)
			}
			then(st, err)
		})
	})
}

// refused calls then with an error that names the argument which caused err, an error about the settings of a session.
// If no argument did, it calls then with err.
func (t *Translator) refused(err error, model string, then func(error)) {
	var e *api.Error
	switch {
	case !errors.As(err, &e):
	case t.set.Thinking != "" && strings.HasPrefix(e.Msg, effortRefused):
		instead := "has other efforts"
		if _, list, ok := strings.Cut(e.Msg, "Supported efforts: "); ok {
			instead = "has " + strings.TrimSuffix(list, ".")
		}
		err = t.noEffort(model, instead)
	case e.Code == api.CodeBadField && strings.Contains(e.Msg, fmt.Sprintf("%q", model)):
		t.knownModels(func(known []api.Model, listErr error) {
			if listErr != nil {
				then(err)
				return
			}
			then(t.noModel(model, known, e.Msg))
		})
		return
	}
	then(err)
}

// effortRefused is the start of the server's error when it refuses an effort.
const effortRefused = "Thinking effort "

// checkEffort returns an error if the session's model does not offer the effort. The server would silently use another
// effort.
func (t *Translator) checkEffort(known []api.Model) error {
	effort := t.set.Effort
	i := slices.IndexFunc(known, func(m api.Model) bool { return m.Model == t.session.model })
	if effort == "" || effort == "on" || effort == "off" || i < 0 || len(known[i].Efforts) == 0 || slices.Contains(known[i].Efforts, effort) {
		return nil
	}
	return t.noEffort(t.session.model, "has on, off, "+strings.Join(known[i].Efforts, ", "))
}

// otherEffort returns an error if the effort in force is not the one that was set.
func (t *Translator) otherEffort(st *api.Status) error {
	if effort := t.set.Effort; effort == "" || effort == st.Thinking || effort == "on" && st.Thinking != "off" {
		return nil
	}
	return t.noEffort(st.Model, fmt.Sprintf("thinks with %.40q instead", st.Thinking))
}

// noEffort returns the error that the model does not offer the effort that was set. instead says what the model does.
func (t *Translator) noEffort(model, instead string) error {
	argument, remedy := EffortFlag, "use one that the model offers, or another model"
	if t.set.Effort == "" {
		argument, remedy = "--thinking", "turn it off, or use another model"
	}
	return &ArgumentError{
		Argument: argument, Why: fmt.Sprintf("there is no thinking effort %.40q: the model %.80q %.200s", t.set.Thinking, model, instead),
		Remedy: remedy, Code: wireproto.CodeInvalidParams,
	}
}

// noModel returns the error that a model cannot be used. why is what the server says about the model; it may be "".
func (t *Translator) noModel(model string, known []api.Model, why string) error {
	remedy := "correct it there, or use another model"
	if !slices.ContainsFunc(known, func(m api.Model) bool { return m.Model == model }) {
		why, remedy = fmt.Sprintf("Kimi Code has no model %.80q; it has none at all", model), "run \"kimi login\", or set KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME"
		if len(known) > 0 {
			names := make([]string, len(known))
			for i, m := range known {
				names[i] = m.Model
			}
			why, remedy = fmt.Sprintf("Kimi Code has no model %.80q; it has %.200s", model, strings.Join(names, ", ")), "use one that it has"
		}
	}
	e := &ArgumentError{Why: fmt.Sprintf("%.400s", strings.TrimSuffix(why, ".")), Remedy: remedy, Code: wireproto.CodeLLMNotSet}
	switch {
	case t.session.state == ready:
		e.Code = wireproto.CodeInvalidParams
	case t.set.KeepModel && model == t.session.kept:
		e.Why = "the model that the session had cannot be used: " + e.Why
	case t.set.Model != "" && !t.set.KeepModel:
		e.Argument = "--model"
	default:
		e.Why = "the default_model of the configuration cannot be used: " + e.Why
	}
	return e
}

// EffortFlag is the argument that names the effort.
const EffortFlag = "--effort"

// ArgumentError says why the value of an argument cannot be used.
type ArgumentError struct {
	Argument string // such as EffortFlag; "" if no argument is to blame
	Why      string
	Remedy   string
	Code     int // the code of the error answer
}

// Error says why, and what to do.
func (e *ArgumentError) Error() string { return e.Why + "; " + e.Remedy }

// RPC is the error for the client: its data names the argument.
func (e *ArgumentError) RPC() *wireproto.RPCError {
	if e.Argument == "" {
		return &wireproto.RPCError{Code: e.Code, Message: e.Error()}
	}
	data, _ := json.Marshal(map[string]string{"option": e.Argument, "remedy": e.Remedy})
	return &wireproto.RPCError{Code: e.Code, Message: e.Why, Data: data}
}
