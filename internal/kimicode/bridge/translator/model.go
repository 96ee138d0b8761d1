package translator

import (
	"encoding/json"
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

// setModel changes the model and answers with the model that the server then reports. After an error it sets the old
// model again: the server keeps a new model also if it refuses the effort.
func (t *Translator) setModel(f *wireproto.Frame) {
	var params wireproto.SetModelParams
	if !t.params(f, &params) {
		return
	}
	switch {
	case t.turn != nil:
		t.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	case t.set.Profile != "": // a model without it would bind the session to the server's own agent
		t.unsupported(f.ID, "other model for a session with an agent file; start a new session")
		return
	}
	t.putModel(params.Model, func(st *api.Status, err error) {
		if err == nil {
			t.session.model, t.context.most = st.Model, st.MaxContextTokens
			t.reply(f.ID, wireproto.SetModelResult{Status: "ok", Model: st.Model})
			return
		}
		t.putModel(t.session.model, func(_ *api.Status, undo error) {
			if no, ok := err.(*EffortError); ok && undo == nil {
				t.fail(f.ID, no.rpc())
				return
			}
			if undo != nil {
				err = fmt.Errorf("%w; and it is not known which model is in force: %w", err, undo)
			}
			t.refuse(f.ID, wireproto.CodeInternalError, "set the model: %v", err)
		})
	})
}

// putModel has the server use a model, with the effort that was set, and checks that it does.
func (t *Translator) putModel(model string, then func(*api.Status, error)) {
	settings := &api.AgentConfig{Model: model, Thinking: t.set.Thinking}
	t.call("POST", t.of("/profile"), api.Profile{Config: settings}, true, func(_ json.RawMessage, err error) {
		if err != nil {
			then(nil, err)
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

// checkEffort reports an effort that the session's model does not offer. The server would silently use another one.
func (t *Translator) checkEffort(known []api.Model) error {
	effort := t.set.Effort
	i := slices.IndexFunc(known, func(m api.Model) bool { return m.Model == t.session.model })
	if effort == "" || effort == "on" || effort == "off" || i < 0 || len(known[i].Efforts) == 0 || slices.Contains(known[i].Efforts, effort) {
		return nil
	}
	return &EffortError{effort, fmt.Sprintf("the model %.80q has on, off, %.200s", t.session.model, strings.Join(known[i].Efforts, ", "))}
}

// otherEffort compares the effort that is in force with the one that was set.
func (t *Translator) otherEffort(st *api.Status) error {
	if effort := t.set.Effort; effort == "" || effort == st.Thinking || effort == "on" && st.Thinking != "off" {
		return nil
	}
	return &EffortError{t.set.Effort, fmt.Sprintf("the model %.80q thinks with %.40q instead", st.Model, st.Thinking)}
}

// EffortFlag is the argument that names the effort.
const EffortFlag = "--effort"

// EffortError says that the model does not offer the effort that was set.
type EffortError struct{ effort, why string }

// Error names the effort, and why it cannot be set.
func (e *EffortError) Error() string {
	return fmt.Sprintf("there is no thinking effort %.40q: %s", e.effort, e.why)
}

// rpc is the error for the client: its data names the argument.
func (e *EffortError) rpc() *wireproto.RPCError {
	return &wireproto.RPCError{Code: wireproto.CodeInvalidParams, Message: e.Error(), Data: json.RawMessage(`{"option":"` + EffortFlag + `"}`)}
}
