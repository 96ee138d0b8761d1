//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
)

// askedModel returns the name of the model in a request to the API.
func askedModel(t testing.TB, m *clienttest.Model, request int) string {
	t.Helper()
	all := m.Requests()
	if request >= len(all) {
		t.Fatalf("the model was called %d times, not %d", len(all), request+1)
	}
	var r struct{ Model string }
	if err := json.Unmarshal(all[request], &r); err != nil {
		t.Fatal(err)
	}
	return r.Model
}

// twoModels returns options with two models of one API, "scripted" and "other".
func twoModels(t testing.TB, b *backend, scripts ...string) (*client.Options, *clienttest.Model) {
	opts, m := b.model(t, scripts...)
	for key := range m.Env() {
		opts.Env[key] = ""
	}
	opts.Config = kimiConfig(m.URL())
	opts.Config.Models["other"] = config.Model{Provider: "kimi", Model: "other-model", MaxContextSize: 200000, Capabilities: []config.Capability{config.CapabilityThinking}}
	return opts, m
}

// SetModel lets another model continue the conversation in the same Session.
func TestBackendsSetModel(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := twoModels(t, b, "text: one", "text: two", "text: three", "text: four")
		adds := 0
		opts.Tools = []client.Tool{mustTool(client.NewTool("add", "", func(context.Context, noInput) (string, error) { adds++; return "", nil }))}
		s := e2eStart(t, ctx, opts)
		id, pid := s.ID(), s.PID()
		list, err := s.Models(ctx)
		if err != nil || len(list) != 2 || list[0].Name != "other" || list[0].MaxContextTokens != 200000 || list[1].Name != "scripted" {
			t.Errorf("models %+v, %v", list, err)
		}
		if err := s.SetModel(ctx, "nope"); err == nil || !strings.Contains(err.Error(), `"nope"; it has other, scripted`) {
			t.Errorf("an unknown model: %v", err)
		}
		turn, err := s.Prompt(ctx, "the first question")
		if err != nil {
			t.Fatal(err)
		}
		e2eIs(t, "in a turn", s.SetModel(ctx, "other"), client.ErrBusy)
		if _, err := turn.Result(); err != nil {
			t.Error(err)
		}
		if err := s.SetModel(ctx, "other"); err != nil {
			t.Fatal(err)
		}
		if s.Model() != "other" || s.ID() != id || s.Err() != nil {
			t.Errorf("model %q, id %q, %v", s.Model(), s.ID(), s.Err())
		}
		if other := s.PID() != pid; other != b.restarts {
			t.Errorf("another process: %v, want %v", other, b.restarts)
		}
		e2eText(t, ctx, s, "the second question", "two")
		if last := string(model.Requests()[1]); !strings.Contains(last, "the first question") || !strings.Contains(last, `"one"`) {
			t.Errorf("the conversation is lost: %.3000s", last)
		}
		if err := s.SetModel(ctx, "scripted"); err != nil {
			t.Fatal(err)
		}
		e2eText(t, ctx, s, "the third question", "three")
		for i, want := range []string{"scripted", "other-model", "scripted"} {
			if got := askedModel(t, model, i); got != want {
				t.Errorf("call %d is of the model %q, want %q", i, got, want)
			}
		}
		closed(t, s)
		r := resumed(t, ctx, id, opts)
		e2eText(t, ctx, r, "the fourth question", "four")
	})
}

// The model may change before the first turn. After that, the end of the new process is the end of the session.
func TestBackendsSetModelFirst(t *testing.T) {
	needProc(t)
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := twoModels(t, b, "text: one")
		s := e2eStart(t, ctx, opts)
		if err := s.SetModel(ctx, "other"); err != nil {
			t.Fatal(err)
		}
		e2eText(t, ctx, s, "hello", "one")
		if got := askedModel(t, model, 0); got != "other-model" {
			t.Errorf("the model asked is %q", got)
		}
		begun := make(chan struct{})
		given, cancel := context.WithCancelCause(ctx)
		left := errors.New("the user left")
		go func() {
			defer close(begun)
			cancel(left)
		}()
		if err := s.SetModel(given, "scripted"); err != nil {
			e2eIs(t, "given up", err, left)
		}
		<-begun
		closed(t, s)
		e2eIs(t, "after Close", s.SetModel(ctx, "other"), client.ErrClosed)
		if left := processesOf(root(opts)); len(left) > 0 {
			t.Errorf("left over: %q", left)
		}
	})
}

// Options.Effort sets how much the model thinks, as far as the program and the model support it.
func TestBackendsEffort(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := twoModels(t, b, "text: one")
		opts.Model, opts.Effort = "other", "on"
		s := e2eStart(t, ctx, opts)
		e2eText(t, ctx, s, "hello", "one")
		if got := string(model.Requests()[0]); !strings.Contains(got, `"thinking":{"type":"enabled"`) {
			t.Errorf("it does not think: %.3000s", got)
		}
		opts.Effort = "enormous"
		if b.restarts {
			_, err := client.NewSession(ctx, opts)
			var bad *client.OptionError
			if e2eIs(t, "an effort", err, client.ErrUnsupported); !errors.As(err, &bad) || bad.Option != "Effort" {
				t.Errorf("an effort that kimi-cli has not: %#v", err)
			}
		}
	})
}

// deepAndFlat returns options with a model that thinks, and one that does not.
func deepAndFlat(t *testing.T, effort string) (*client.Options, *clienttest.Model) {
	m := clienttest.NewModel(t, "text: one", "text: two")
	opts := clienttest.KimiCode(t)
	for key := range m.Env() {
		opts.Env[key] = ""
	}
	write(t, filepath.Join(opts.ShareDir, "config.toml"), fmt.Sprintf(`
default_model = "deep"
[providers.p]
type = "kimi"
base_url = %q
api_key = "sk-own"
[models.deep]
provider = "p"
model = "model-1"
max_context_size = 100000
capabilities = ["thinking"]
support_efforts = ["low", "high"]
[models.flat]
provider = "p"
model = "model-2"
max_context_size = 200000
`, m.URL()), 0o600)
	opts.Effort = effort
	return opts, m
}

// If the server refuses an effort, the session keeps the model that it had.
func TestKimiCodeEffortKept(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts, m := deepAndFlat(t, "on")
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "hello", "one")
	if err := s.SetModel(ctx, "flat"); err == nil || !strings.Contains(err.Error(), `"on" is not supported by model "flat"`) {
		t.Errorf("a model that does not think: %v", err)
	}
	if got := s.Model(); got != "deep" {
		t.Errorf("the model is %q", got)
	}
	e2eText(t, ctx, s, "hello again", "two")
	if got := askedModel(t, m, 1); got != "model-1" || !strings.Contains(string(m.Requests()[1]), `"thinking":{"type":"enabled"`) {
		t.Errorf("an error, and the model asked is %q: %.3000s", got, m.Requests()[1])
	}
	if st := s.Status(); st.MaxContextTokens != 100000 {
		t.Errorf("status %+v", st)
	}
}

func TestKimiCodeEfforts(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	start := func(effort string) (*client.Session, *clienttest.Model, error) {
		opts, m := deepAndFlat(t, effort)
		s, err := client.NewSession(ctx, opts)
		if err == nil {
			t.Cleanup(func() { shut(t, s) })
		}
		return s, m, err
	}
	s, m, err := start("high")
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Models(ctx)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	e2eSame(t, "efforts", []string{"low", "high"}, list[0].Efforts)
	e2eText(t, ctx, s, "hello", "one")
	if got := string(m.Requests()[0]); !strings.Contains(got, `"high"`) {
		t.Errorf("it does not think so hard: %.3000s", got)
	}
	var bad *client.OptionError
	if err := s.SetModel(ctx, "flat"); !errors.As(err, &bad) || bad.Option != "Effort" {
		t.Errorf("a model without the effort: %#v", err)
	}
	bad = nil
	_, _, err = start("enormous")
	if e2eIs(t, "an effort that the model has not", err, client.ErrUnsupported); !errors.As(err, &bad) || bad.Option != "Effort" || !strings.Contains(err.Error(), "low, high") {
		t.Errorf("%v", err)
	}
}
