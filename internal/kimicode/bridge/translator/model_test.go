package translator

import (
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// If the server uses another effort with the new model than the one that was set, the old model is set again.
func TestSetModelPutBack(t *testing.T) {
	for _, tt := range []struct {
		back string // the status after the old model was set again
		want string // a part of the error
	}{
		{`{"model":"m","thinking_level":"high"}`, `the model "n" thinks with "low" instead`},
		{`{"model":"n","thinking_level":"low"}`, "it is not known which model is in force"},
	} {
		r := newRig(t, Settings{Model: "m"}, wireproto.InitializeParams{})
		r.tr.set.Effort, r.tr.set.Thinking = "high", "high"
		r.told()
		r.frame(&wireproto.Frame{ID: "1", Method: wireproto.MethodSetModel, Params: []byte(`{"model":"n"}`)})
		r.answer("POST /sessions/s1/profile", `{}`)
		r.answer("GET /sessions/s1/status", `{"model":"n","thinking_level":"low"}`)
		if got := *r.answer("POST /sessions/s1/profile", `{}`).Body.(api.Profile).Config; got.Model != "m" || got.Thinking != "high" {
			t.Errorf("put back: %+v", got)
		}
		r.answer("GET /sessions/s1/status", tt.back)
		if f := r.next(); f.ID != "1" || f.Error == nil || !strings.Contains(f.Error.Message, tt.want) {
			t.Errorf("answer %+v, want an error with %q", f, tt.want)
		}
		if r.tr.session.model != "m" || len(r.calls) > 0 {
			t.Errorf("model %q, calls %v", r.tr.session.model, r.calls)
		}
	}
}
