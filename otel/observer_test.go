package otel_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/otel"
	"github.com/kimi-go/kimi-go/wireproto"
)

// rig collects spans and metrics in memory.
type rig struct {
	spans    *tracetest.InMemoryExporter
	provider *sdktrace.TracerProvider
	reader   *sdkmetric.ManualReader
	meters   *sdkmetric.MeterProvider
}

func newRig() *rig {
	r := &rig{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	r.provider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
	r.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	return r
}

// tree returns the spans in the order in which they began, each with its ancestors.
func (r *rig) tree() []string {
	type told struct {
		begin time.Time
		path  []string
	}
	var tree []told
	all := r.spans.GetSpans()
	for _, s := range all {
		line := told{s.StartTime, []string{s.Name}}
		for s.Parent.IsValid() {
			i := slices.IndexFunc(all, func(p tracetest.SpanStub) bool { return p.SpanContext.SpanID() == s.Parent.SpanID() })
			if i < 0 {
				line.path = append(line.path, "?")
				break
			}
			s = all[i]
			line.path = append(line.path, s.Name)
		}
		slices.Reverse(line.path)
		tree = append(tree, line)
	}
	slices.SortStableFunc(tree, func(a, b told) int { return cmp.Or(a.begin.Compare(b.begin), len(a.path)-len(b.path)) })
	lines := make([]string, len(tree))
	for i, line := range tree {
		lines[i] = strings.Join(line.path, " > ")
	}
	return lines
}

func (r *rig) span(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	for _, s := range r.spans.GetSpans() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no span %q in %q", name, r.tree())
	panic("unreachable")
}

func attr(attributes []attribute.KeyValue, key string) string {
	for _, kv := range attributes {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// metrics returns a line for each data point: its name, attributes and counts.
func (r *rig) metrics(t *testing.T) (lines []string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s %s %s %s: %d, %d in all", m.Name, attr(p.Attributes.ToSlice(), "gen_ai.operation.name"),
						attr(p.Attributes.ToSlice(), "gen_ai.request.model"), attr(p.Attributes.ToSlice(), "gen_ai.token.type"), p.Count, p.Sum))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s: %d %s", m.Name, attr(p.Attributes.ToSlice(), "gen_ai.operation.name"),
						attr(p.Attributes.ToSlice(), "gen_ai.request.model"), p.Count, attr(p.Attributes.ToSlice(), "error.type"))))
					if p.Sum <= 0 {
						t.Errorf("%s: %v seconds", m.Name, p.Sum)
					}
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// On both back ends, a turn with a subagent gives the right spans and metrics, and the shell of the agent gets the
// caller's span.
func TestBackends(t *testing.T) {
	for _, b := range []struct {
		name    string
		options func(testing.TB, *clienttest.Model) *client.Options
		shell   string
	}{
		{"kimi-cli", func(t testing.TB, model *clienttest.Model) *client.Options {
			opts := clienttest.Kimi(t)
			opts.Config = &config.Config{
				DefaultModel: "scripted",
				Providers:    map[string]config.Provider{"p": {Type: config.ProviderKimi, BaseURL: model.URL(), APIKey: "sk-test"}},
				Models:       map[string]config.Model{"scripted": {Provider: "p", Model: "scripted", MaxContextSize: 100000}},
			}
			return opts
		}, "Shell"},
		{"Kimi Code", func(t testing.TB, model *clienttest.Model) *client.Options {
			opts := clienttest.KimiCode(t)
			opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
			return opts
		}, "Bash"},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			model := clienttest.NewModel(t,
				clienttest.Reply("text: SECRET", clienttest.ToolCall("ag", "Agent", map[string]any{"description": "SECRET", "prompt": "SECRET", "subagent_type": "coder"}), "usage: input_other=3 input_cache_read=4 output=1"),
				clienttest.Reply("text: SECRET", clienttest.ToolCall("sh", b.shell, map[string]string{"command": "echo SECRET-$TRACEPARENT"}), "usage: output=10"),
				clienttest.Reply("text: "+strings.Repeat("SECRET work is done. ", 20), "usage: output=100"),
				clienttest.Reply("text: SECRET is done", "usage: output=1000"),
			)
			opts := b.options(t, model)
			opts.Approve = client.ApproveAll
			r := newRig()
			ctx, caller := r.provider.Tracer("test").Start(t.Context(), "caller")
			maps.Copy(opts.Env, otel.Env(ctx))
			opts.Observer = otel.Observer(r.provider, r.meters)
			s, err := client.NewSession(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			turn, err := s.Prompt(ctx, "SECRET")
			if err != nil {
				t.Fatal(err)
			}
			var output strings.Builder
			for m, err := range turn.Messages() {
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := m.(*wireproto.SubagentEvent); ok {
					if result, ok := e.Event.(*wireproto.ToolResult); ok {
						output.WriteString(result.ReturnValue.Output.String())
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			caller.End()

			chat := "chat " + s.Model()
			want := []string{
				"caller",
				"caller > invoke_agent kimi",
				"caller > invoke_agent kimi > " + chat,
				"caller > invoke_agent kimi > " + chat + " > execute_tool Agent",
				"caller > invoke_agent kimi > " + chat + " > execute_tool Agent > invoke_agent coder",
				"caller > invoke_agent kimi > " + chat + " > execute_tool Agent > invoke_agent coder > " + chat,
				"caller > invoke_agent kimi > " + chat + " > execute_tool Agent > invoke_agent coder > " + chat + " > execute_tool " + b.shell,
				"caller > invoke_agent kimi > " + chat + " > execute_tool Agent > invoke_agent coder > " + chat,
				"caller > invoke_agent kimi > " + chat,
			}
			if diff := gocmp.Diff(want, r.tree()); diff != "" {
				t.Error(diff)
			}
			root := r.span(t, "invoke_agent kimi")
			for key, want := range map[string]string{
				"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "kimi", "gen_ai.conversation.id": s.ID(), "gen_ai.request.model": s.Model(),
				"gen_ai.usage.input_tokens": "7", "gen_ai.usage.cache_read.input_tokens": "4", "gen_ai.usage.output_tokens": "1111", "kimi.turn.tool_calls": "2", "error.type": "",
			} {
				if got := attr(root.Attributes, key); got != want {
					t.Errorf("%s: %q, want %q", key, got, want)
				}
			}
			approvals := 0
			for _, span := range r.spans.GetSpans() {
				if !span.EndTime.After(span.StartTime) || span.StartTime.Before(root.StartTime) && span.Name != "caller" || span.EndTime.After(root.EndTime) && span.Name != "caller" {
					t.Errorf("%s: %v to %v", span.Name, span.StartTime, span.EndTime)
				}
				for _, e := range span.Events {
					if e.Name == "kimi.approval" && attr(e.Attributes, "kimi.approval.decision") == "approve" {
						approvals++
					}
				}
				if text := fmt.Sprintf("%+v", span); strings.Contains(text, "SECRET") {
					t.Errorf("content in %s: %s", span.Name, text)
				}
			}
			if approvals != 1 {
				t.Errorf("%d approval events", approvals)
			}
			wantMetrics := []string{
				"gen_ai.client.operation.duration chat " + s.Model() + ": 4", "gen_ai.client.operation.duration execute_tool : 2",
				"gen_ai.client.operation.duration invoke_agent " + s.Model() + ": 1", "gen_ai.client.operation.time_to_first_chunk chat " + s.Model() + ": 4",
				"gen_ai.client.token.usage chat " + s.Model() + " input: 4, 7 in all", "gen_ai.client.token.usage chat " + s.Model() + " output: 4, 1111 in all",
			}
			if diff := gocmp.Diff(wantMetrics, r.metrics(t)); diff != "" {
				t.Error(diff)
			}
			traceparent := "00-" + caller.SpanContext().TraceID().String() + "-" + caller.SpanContext().SpanID().String() + "-01"
			if got := output.String(); !strings.Contains(got, "SECRET-"+traceparent) {
				t.Errorf("the child's shell says %q, want %s", got, traceparent)
			}
		})
	}
}

// Without a provider, Observer makes no spans or metrics. Without a span, Env returns no variables.
func TestNothing(t *testing.T) {
	agent := clienttest.NewAgent(t, func(t *clienttest.Turn) { t.Call("Shell", nil, "") })
	if _, err := client.Ask(t.Context(), "go", &client.Options{Yolo: true, Transport: agent, Observer: otel.Observer(nil, nil)}); err != nil {
		t.Error(err)
	}
	if env := otel.Env(t.Context()); len(env) != 0 {
		t.Errorf("%v", env)
	}
	state, err := trace.ParseTraceState("a=b")
	if err != nil {
		t.Fatal(err)
	}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceState: state}))
	want := map[string]string{"TRACEPARENT": "00-01000000000000000000000000000000-0200000000000000-00", "TRACESTATE": "a=b"}
	if diff := gocmp.Diff(want, otel.Env(ctx)); diff != "" {
		t.Error(diff)
	}
}

// Spans contain the types of errors, and their texts only with WithContent. Open spans end with the process.
func TestErrors(t *testing.T) {
	for name, options := range map[string][]otel.Option{"plain": nil, "with content": {otel.WithContent(), otel.WithProvider("moonshot")}} {
		t.Run(name, func(t *testing.T) {
			content := options != nil
			r := newRig()
			agent := clienttest.NewAgent(t, func(t *clienttest.Turn) {
				t.Say("an answer")
				t.Fail(wireproto.CodeChatProviderError, "the words of the provider")
			})
			s, err := client.NewSession(t.Context(), &client.Options{Transport: agent, Observer: otel.Observer(r.provider, r.meters, options...)})
			if err != nil {
				t.Fatal(err)
			}
			turn, err := s.Prompt(t.Context(), "a question")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := turn.Result(); !errors.Is(err, client.ErrProvider) {
				t.Error(err)
			}
			s.Close()
			root := r.span(t, "invoke_agent kimi")
			if root.Status.Code != codes.Error || attr(root.Attributes, "error.type") != "provider" {
				t.Errorf("%+v", root)
			}
			for _, told := range []string{root.Status.Description, attr(root.Attributes, "gen_ai.input.messages"), attr(root.Attributes, "gen_ai.output.messages")} {
				if (told != "") != content {
					t.Errorf("content: %q", told)
				}
			}
			if content {
				want := `[{"parts":[{"type":"text","content":"a question"}],"role":"user"}]`
				if got := attr(root.Attributes, "gen_ai.input.messages"); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			if want := cmp.Or(map[bool]string{true: "moonshot"}[content], "kimi"); attr(root.Attributes, "gen_ai.provider.name") != want {
				t.Errorf("provider of %+v", root.Attributes)
			}
		})
	}
	r := newRig()
	o := otel.Observer(r.provider, r.meters)
	began := time.Now()
	scope := client.Scope{Session: "s"}
	o.Observe(&client.TurnStarted{Scope: scope, Start: began, Context: context.Background()})
	o.Observe(&client.StepStarted{Scope: scope, Start: began})
	o.Observe(&client.ToolStarted{Scope: scope, Start: began, Tool: "Shell"})
	o.Observe(&client.StepStarted{Scope: client.Scope{Session: "s", Agent: "a", AgentType: "coder"}, Start: began})
	o.Observe(&client.ProcessEnded{Session: "s", Start: began, Duration: time.Second})
	if n := len(r.spans.GetSpans()); n != 5 {
		t.Errorf("%q", r.tree())
	}
}
