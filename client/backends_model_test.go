//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
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
		var unknown *client.OptionError
		if err := s.SetModel(ctx, "nope"); !errors.As(err, &unknown) || unknown.Option != "Model" || !strings.Contains(err.Error(), `"nope"; it has other, scripted`) {
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
		if st := s.Status(); st.MaxContextTokens != 200000 || st.ContextTokens == 0 || st.ContextUsage != float64(st.ContextTokens)/200000 {
			t.Errorf("the context of the other model: %+v", st)
		}
		if other := s.PID() != pid; other != b.restarts {
			t.Errorf("another process: %v, want %v", other, b.restarts)
		}
		e2eText(t, ctx, s, "the second question", "two")
		if st := s.Status(); st.MaxContextTokens != 200000 {
			t.Errorf("the context after a turn of the other model: %+v", st)
		}
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

// If the options have no model, a continued session of Kimi Code keeps its model. kimi-cli uses the default model.
func TestBackendsKeptModel(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := twoModels(t, b, "text: one", "text: two", "text: three", "text: four")
		s := e2eStart(t, ctx, opts)
		e2eText(t, ctx, s, "hello", "one")
		if err := s.SetModel(ctx, "other"); err != nil {
			t.Fatal(err)
		}
		e2eText(t, ctx, s, "hello", "two")
		closed(t, s)
		kept, asked := "other", "other-model"
		if b.restarts {
			kept, asked = "scripted", "scripted"
		}
		r := resumed(t, ctx, s.ID(), opts)
		e2eSame(t, "continued", kept, r.Model())
		e2eText(t, ctx, r, "hello", "three")
		e2eSame(t, "the model asked", asked, askedModel(t, model, 2))
		closed(t, r)
		opts.Model = "scripted"
		r = resumed(t, ctx, s.ID(), opts)
		e2eSame(t, "continued with a model", "scripted", r.Model())
		e2eText(t, ctx, r, "hello", "four")
		e2eSame(t, "the model asked", "scripted", askedModel(t, model, 3))
	})
}

// A continued session of Kimi Code keeps its model, its effort and its plan mode. The options and the environment come
// first. A model that Kimi Code no longer has is not kept.
func TestKimiCodeKept(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts, m := deepAndFlat(t, "high")
	m.Add("text: three", "text: four", "text: five", "text: six")
	addModel(t, opts, "third", "p")
	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "hello", "one")
	if _, err := s.SetPlanMode(ctx, true); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	continued := func(text, name, model, thinking string) *client.Session {
		t.Helper()
		n := len(m.Requests())
		r := resumed(t, ctx, s.ID(), opts)
		e2eSame(t, "Session.Model", name, r.Model())
		e2eText(t, ctx, r, "hello", text)
		if last := string(m.Requests()[n]); askedModel(t, m, n) != model || !strings.Contains(last, thinking) {
			t.Errorf("asked %q, want %q that thinks %s: %.2000s", askedModel(t, m, n), model, thinking, last)
		}
		return r
	}
	opts.Effort = ""
	r := continued("two", "deep", "model-1", `"high"`)
	if !r.Status().PlanMode {
		t.Error("plan mode is lost")
	}
	if err := r.SetModel(ctx, "third"); err != nil {
		t.Fatal(err)
	}
	closed(t, r)
	closed(t, continued("three", "third", "model-third", ""))

	env := opts.Env
	opts.Env = maps.Clone(env)
	maps.Copy(opts.Env, m.Env())
	closed(t, continued("four", m.Env()["KIMI_MODEL_NAME"], m.Env()["KIMI_MODEL_NAME"], ""))
	opts.Env = env
	r = continued("five", "deep", "model-1", "") // the last model came from the environment, which no longer has it
	if err := r.SetModel(ctx, "third"); err != nil {
		t.Fatal(err)
	}
	closed(t, r)
	path := filepath.Join(opts.ShareDir, "config.toml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(data), "models.third", "models.fourth", 1), 0o600)
	closed(t, continued("six", "deep", "model-1", ""))
}

// Options.Effort sets how much the model thinks, as far as the program and the model support that.
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
	e2eRefuses(t, "a model that does not think", s.SetModel(ctx, "flat"), "Effort", `"on": the model "flat" has off`)
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

// e2eRefuses checks that an error names the option, says what is wrong and does not contain a route of the server.
func e2eRefuses(t testing.TB, what string, err error, option, reason string) {
	t.Helper()
	var bad *client.OptionError
	if !errors.As(err, &bad) || bad.Option != option || !strings.Contains(bad.Reason, reason) || bad.Remedy == "" || strings.Contains(err.Error(), "/api/") {
		t.Errorf("%s: %v, want Options.%s: …%s…", what, err, option, reason)
	}
}

// If Kimi Code refuses the value of an option, the start ends with an error that names the option.
func TestKimiCodeRefusedOptions(t *testing.T) {
	t.Parallel()
	const agent = "---\nname: x\ndescription: d\n---\nhello\n"
	for _, tt := range []struct {
		name, option, reason string
		kind                 error
		set                  func(*testing.T, *client.Options)
	}{
		{"on", "Effort", `"on": the model "flat" has off`, client.ErrUnsupported, func(_ *testing.T, o *client.Options) { o.Model, o.Effort = "flat", "on" }},
		{"no effort", "Effort", `"nope": the model "flat" has off`, client.ErrUnsupported, func(_ *testing.T, o *client.Options) { o.Model, o.Effort = "flat", "nope" }},
		{"of no effort", "Effort", `"nope": the model "deep" has on, off, low, high`, client.ErrUnsupported, func(_ *testing.T, o *client.Options) { o.Effort = "nope" }},
		{"thinking", "Thinking", `"on": the model "flat" has off`, client.ErrUnsupported, func(_ *testing.T, o *client.Options) { o.Model, o.Thinking = "flat", ptr(true) }},
		{"model", "Model", `no model "nope"; it has deep, flat, orphan`, client.ErrLLMNotSet, func(_ *testing.T, o *client.Options) { o.Model = "nope" }},
		{"model of Config", "Model", `no model "nope"; it has scripted`, client.ErrLLMNotSet, func(_ *testing.T, o *client.Options) {
			o.Config, o.Model = kimiConfig("http://127.0.0.1:1/v1"), "nope"
		}},
		{"model without provider", "Model", `Provider "none" referenced by model "orphan" is not configured`, client.ErrLLMNotSet, func(_ *testing.T, o *client.Options) { o.Model = "orphan" }},
		{"model of an agent", "Model", `no model "nope"; it has deep`, client.ErrLLMNotSet, func(t *testing.T, o *client.Options) {
			o.AgentFile, o.Model = write(t, filepath.Join(root(o), "agent.md"), agent, 0o600), "nope"
		}},
		{"directory", "AddDirs", "directory /: must not be", nil, func(_ *testing.T, o *client.Options) { o.AddDirs = []string{"/"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			opts, _ := deepAndFlat(t, "")
			addModel(t, opts, "orphan", "none")
			tt.set(t, opts)
			s, err := client.NewSession(ctx, opts)
			if err == nil {
				s.Close()
			}
			e2eRefuses(t, "the start", err, tt.option, tt.reason)
			if tt.kind != nil {
				e2eIs(t, "the start", err, tt.kind)
			}
		})
	}
	t.Run("default model", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts, _ := deepAndFlat(t, "")
		path := filepath.Join(opts.ShareDir, "config.toml")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, strings.Replace(string(data), `"deep"`, `"ghost"`, 1), 0o600)
		s, err := client.NewSession(ctx, opts)
		if err == nil {
			s.Close()
		}
		e2eIs(t, "the start", err, client.ErrLLMNotSet)
		if text := fmt.Sprint(err); !strings.Contains(text, `default_model of the configuration cannot be used: Kimi Code has no model "ghost"; it has deep, flat`) || strings.Contains(text, "/api/") {
			t.Errorf("the start: %v", err)
		}
	})
	t.Run("turns", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts, _ := deepAndFlat(t, "on")
		opts.AgentFile, opts.Model, opts.SlashCommands = write(t, filepath.Join(root(opts), "agent.md"), agent, 0o600), "flat", true
		s := e2eStart(t, ctx, opts)
		_, _, err := playTurn(t, ctx, s, "hi")
		e2eRefuses(t, "the first prompt of an agent", err, "Effort", `"on": the model "flat" has off`)
	})
	t.Run("calls", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts, _ := deepAndFlat(t, "")
		addModel(t, opts, "orphan", "none")
		opts.SlashCommands = true
		s := e2eStart(t, ctx, opts)
		empty := &wireproto.ImageURLPart{}
		empty.ImageURL.URL = "data:image/png;base64,"
		for what, tt := range map[string]struct {
			do   func() error
			want string
		}{
			"a model without provider": {func() error { return s.SetModel(ctx, "orphan") }, `Provider "none" referenced by model "orphan" is not configured; correct it there`},
			"an empty image":           {func() error { _, _, err := playTurn(t, ctx, s, "look", empty); return err }, "the data: URL of the image is empty"},
			"nothing to compact":       {func() error { _, _, err := playTurn(t, ctx, s, "/compact"); return err }, "there is nothing to compact yet"},
		} {
			if err := tt.do(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "/api/") {
				t.Errorf("%s: %v, want %q", what, err, tt.want)
			}
		}
		if s.Model() != "deep" {
			t.Errorf("the model is %q", s.Model())
		}
		e2eText(t, ctx, s, "hello", "one")
	})
}

// addModel adds a model to Kimi Code's own configuration.
func addModel(t testing.TB, opts *client.Options, name, provider string) {
	t.Helper()
	addLines(t, opts, fmt.Sprintf("[models.%s]\nprovider = %q\nmodel = %q\nmax_context_size = 5000\n", name, provider, "model-"+name))
}

// addLines adds lines to Kimi Code's own configuration.
func addLines(t testing.TB, opts *client.Options, lines string) {
	t.Helper()
	path := filepath.Join(opts.ShareDir, "config.toml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data)+lines, 0o600)
}

// After a model that cannot think, the next model thinks again, unless thinking was off before.
func TestKimiCodeThinkAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		set    func(*testing.T, *client.Options)
		models []string
		want   string
	}{
		{"as before", func(*testing.T, *client.Options) {}, []string{"flat", "deep"}, `"type":"enabled"`},
		{"from the beginning", func(_ *testing.T, o *client.Options) { o.Model = "flat" }, []string{"deep"}, `"type":"enabled"`},
		{"off", func(_ *testing.T, o *client.Options) { o.Thinking = ptr(false) }, []string{"flat", "deep"}, `"type":"disabled"`},
		{"off by the configuration", func(t *testing.T, o *client.Options) {
			o.Model = "flat"
			addLines(t, o, "[thinking]\nenabled = false\n")
		}, []string{"deep"}, `"type":"disabled"`},
		{"as the configuration says", func(t *testing.T, o *client.Options) {
			o.Model = "flat"
			addLines(t, o, "[thinking]\neffort = \"low\"\n")
		}, []string{"deep"}, `"low"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			opts, m := deepAndFlat(t, "")
			tt.set(t, opts)
			s := e2eStart(t, ctx, opts)
			for _, model := range tt.models {
				if err := s.SetModel(ctx, model); err != nil {
					t.Fatal(err)
				}
			}
			e2eText(t, ctx, s, "hello", "one")
			if got := string(m.Requests()[0]); askedModel(t, m, 0) != "model-1" || !strings.Contains(got, tt.want) {
				t.Errorf("it does not think as %s: %.3000s", tt.want, got)
			}
		})
	}
}

// A continued session that was told not to think does not think after a model that cannot think.
func TestKimiCodeThinksNot(t *testing.T) {
	t.Parallel()
	for first, models := range map[string][]string{"": {"flat", "deep"}, "flat": {"deep"}} {
		t.Run("model "+first, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			opts, m := deepAndFlat(t, "off")
			s := e2eStart(t, ctx, opts)
			e2eText(t, ctx, s, "hello", "one")
			closed(t, s)
			opts.Effort, opts.Model = "", first
			s = resumed(t, ctx, s.ID(), opts)
			for _, model := range models {
				if err := s.SetModel(ctx, model); err != nil {
					t.Fatal(err)
				}
			}
			e2eText(t, ctx, s, "hello", "two")
			for i, r := range m.Requests() {
				if askedModel(t, m, i) != "model-1" || !strings.Contains(string(r), `"type":"disabled"`) {
					t.Errorf("request %d thinks: %.3000s", i, r)
				}
			}
		})
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

// If the configuration does not have the model, the error names that model and the models of the configuration.
func TestKimiUnknownModel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config *config.Config
		want   string
	}{
		"other models": {kimiConfig("http://127.0.0.1:1/v1"), `the configuration has no model "nope"; it has scripted; use one that it has`},
		"none":         {&config.Config{}, `the configuration has no model "nope"; it has none at all; run "kimi login"`},
		"no file":      {nil, `the configuration has no model "nope"; it has none at all; run "kimi login"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := e2eCtx(t)
			opts := clienttest.Kimi(t)
			opts.Config, opts.Model = tt.config, "nope"
			s := e2eStart(t, ctx, opts)
			turn, err := s.Prompt(ctx, "hello")
			if err != nil {
				t.Fatal(err)
			}
			_, err = turn.Result()
			e2eIs(t, "the turn", err, client.ErrLLMNotSet)
			var unknown *client.OptionError
			if !errors.As(err, &unknown) || unknown.Option != "Model" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}
