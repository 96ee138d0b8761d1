package otel

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/semconv/v1.41.0/genaiconv"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

const scope = "github.com/kimi-go/kimi-go/otel"

// Option is an option of [Observer].
type Option func(*observer)

// WithContent adds content that may be private: prompts, answers and texts of errors. Default: spans do not contain
// them.
func WithContent() Option { return func(o *observer) { o.content = true } }

// WithProvider sets the provider of the models, the attribute gen_ai.provider.name. Default: "kimi", because kimi does
// not report the provider.
func WithProvider(name string) Option { return func(o *observer) { o.provider = name } }

// Observer returns an observer that makes spans and metrics of the sessions' work. Any number of sessions may share it.
// If tp is nil, it makes no spans. If mp is nil, it makes no metrics.
func Observer(tp trace.TracerProvider, mp metric.MeterProvider, options ...Option) client.Observer {
	if tp == nil {
		tp = tracenoop.NewTracerProvider()
	}
	if mp == nil {
		mp = metricnoop.NewMeterProvider()
	}
	o := &observer{
		tracer:   tp.Tracer(scope, trace.WithInstrumentationVersion(client.Version), trace.WithSchemaURL(semconv.SchemaURL)),
		provider: "kimi", sessions: make(map[string]*session),
	}
	for _, option := range options {
		option(o)
	}
	meter := mp.Meter(scope, metric.WithInstrumentationVersion(client.Version), metric.WithSchemaURL(semconv.SchemaURL))
	var errs [3]error
	// These are the boundaries that the conventions recommend.
	o.tokens, errs[0] = genaiconv.NewClientTokenUsage(meter, metric.WithExplicitBucketBoundaries(
		1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864))
	o.duration, errs[1] = genaiconv.NewClientOperationDuration(meter, metric.WithExplicitBucketBoundaries(
		0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92))
	o.first, errs[2] = genaiconv.NewClientOperationTimeToFirstChunk(meter, metric.WithExplicitBucketBoundaries(
		0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92))
	if err := errors.Join(errs[:]...); err != nil {
		otel.Handle(err)
	}
	return o
}

type observer struct {
	tracer   trace.Tracer
	provider string
	content  bool
	tokens   genaiconv.ClientTokenUsage
	duration genaiconv.ClientOperationDuration
	first    genaiconv.ClientOperationTimeToFirstChunk

	mu       sync.Mutex
	sessions map[string]*session
}

// session holds the open spans of a session, and the spans that are parents of later ones.
type session struct {
	turn   *span
	agents map[string]*span // the spans of subagents, by their ids
	steps  map[string]*span // the spans of running steps, by the ids of their agents
	tools  []*tool
}

type span struct {
	trace.Span
	ctx   context.Context
	call  string // for a subagent: the id of the call that started it
	ended bool
}

type tool struct {
	*span
	agent, id string
}

// Observe implements [client.Observer].
func (o *observer) Observe(ob client.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch ob := ob.(type) {
	case *client.ProcessEnded:
		if s := o.sessions[ob.Session]; s != nil {
			s.end(ob.Start.Add(ob.Duration))
			delete(o.sessions, ob.Session)
		}
	case *client.TurnStarted:
		o.turnStarted(o.of(ob.Session), ob)
	case *client.TurnEnded:
		o.turnEnded(o.of(ob.Session), ob)
	case *client.StepStarted:
		s := o.of(ob.Session)
		s.steps[ob.Agent] = o.start(o.agent(s, ob.Scope, ob.Start), "chat", ob.Model, ob.Start, trace.SpanKindClient, ob.Scope, model(ob.Model)...)
	case *client.StepEnded:
		o.stepEnded(o.of(ob.Session), ob)
	case *client.ToolStarted:
		s := o.of(ob.Session)
		parent := o.agent(s, ob.Scope, ob.Start)
		if step := s.steps[ob.Agent]; step != nil {
			parent = step.ctx
		}
		s.tools = append(s.tools, &tool{agent: ob.Agent, id: ob.CallID, span: o.start(parent, "execute_tool", ob.Tool, ob.Start, trace.SpanKindInternal, ob.Scope,
			semconv.GenAIToolName(ob.Tool), semconv.GenAIToolCallID(ob.CallID))})
	case *client.ToolEnded:
		o.toolEnded(o.of(ob.Session), ob)
	case *client.ApprovalEnded:
		o.of(ob.Session).near(ob.Scope, ob.CallID).AddEvent("kimi.approval", trace.WithTimestamp(ob.Start.Add(ob.Duration)), trace.WithAttributes(
			semconv.GenAIToolName(ob.Tool), attribute.String("kimi.approval.decision", string(ob.Decision)),
			attribute.Float64("kimi.approval.waiting", ob.Duration.Seconds())))
	case *client.Retried:
		attributes := []attribute.KeyValue{
			attribute.Int("kimi.retry.attempt", ob.Attempt), attribute.Float64("kimi.retry.wait", ob.Wait.Seconds()), semconv.ErrorTypeKey.String(ob.ErrorType),
		}
		if ob.StatusCode != 0 {
			attributes = append(attributes, semconv.HTTPResponseStatusCode(ob.StatusCode))
		}
		o.of(ob.Session).near(ob.Scope, "").AddEvent("kimi.retry", trace.WithTimestamp(ob.At), trace.WithAttributes(attributes...))
	}
}

func (o *observer) of(id string) *session {
	s := o.sessions[id]
	if s == nil {
		s = &session{agents: make(map[string]*span), steps: make(map[string]*span)}
		o.sessions[id] = s
	}
	return s
}

// start starts a span. on is what the operation works on: a model, a tool or an agent.
func (o *observer) start(parent context.Context, operation, on string, at time.Time, kind trace.SpanKind, scope client.Scope, attributes ...attribute.KeyValue) *span {
	attributes = append(attributes, semconv.GenAIOperationNameKey.String(operation), semconv.GenAIProviderNameKey.String(o.provider), semconv.GenAIConversationID(scope.Session))
	if scope.Agent != "" {
		attributes = append(attributes, semconv.GenAIAgentID(scope.Agent), semconv.GenAIAgentName(scope.AgentType))
	}
	ctx, s := o.tracer.Start(parent, strings.TrimSpace(operation+" "+on), trace.WithTimestamp(at), trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	return &span{Span: s, ctx: ctx}
}

func (s *span) end(at time.Time) {
	if !s.ended {
		s.ended = true
		s.End(trace.WithTimestamp(at))
	}
}

func model(name string) []attribute.KeyValue {
	if name == "" {
		return nil
	}
	return []attribute.KeyValue{semconv.GenAIRequestModel(name)}
}

func (o *observer) turnStarted(s *session, ob *client.TurnStarted) {
	attributes := append(model(ob.Model), semconv.GenAIAgentName("kimi"))
	if o.content {
		attributes = append(attributes, semconv.GenAIInputMessagesKey.String(said("user", ob.Prompt.String())))
	}
	s.turn = o.start(ob.Context, "invoke_agent", "kimi", ob.Start, trace.SpanKindInternal, ob.Scope, attributes...)
}

// said returns a message in the form of the conventions.
func said(role, text string) string {
	type part struct {
		Type    string `json:"type"`
		Content string `json:"content"`
	}
	data, _ := json.Marshal([]any{map[string]any{"role": role, "parts": []part{{"text", text}}}}) // strings can always be encoded
	return string(data)
}

func (o *observer) turnEnded(s *session, ob *client.TurnEnded) {
	end := ob.Start.Add(ob.Duration)
	for id, a := range s.agents { // a background agent continues; its later spans still have this one as parent
		a.end(end)
		if s.steps[id] == nil {
			delete(s.agents, id)
		}
	}
	if s.turn == nil {
		return
	}
	s.turn.SetAttributes(usage(ob.Result.Usage)...)
	s.turn.SetAttributes(attribute.Int("kimi.turn.steps", ob.Result.Steps), attribute.Int("kimi.turn.tool_calls", ob.Result.ToolCalls),
		attribute.Float64("kimi.turn.waiting", ob.Result.Waiting.Seconds()))
	if o.content {
		s.turn.SetAttributes(semconv.GenAIOutputMessagesKey.String(said("assistant", ob.Text())))
	}
	o.finish(s.turn, end, ob.Duration, genaiconv.OperationNameInvokeAgent, ob.Model, errorType(ob.Outcome, ob.Err), ob.Err)
	s.turn = nil
}

func (o *observer) stepEnded(s *session, ob *client.StepEnded) {
	step := s.steps[ob.Agent]
	if step == nil {
		return
	}
	delete(s.steps, ob.Agent)
	step.SetAttributes(usage(ob.Usage)...)
	if ob.FirstToken > 0 {
		step.SetAttributes(semconv.GenAIResponseTimeToFirstChunk(ob.FirstToken.Seconds()))
		o.first.Record(step.ctx, ob.FirstToken.Seconds(), genaiconv.OperationNameChat, genaiconv.ProviderNameAttr(o.provider), model(ob.Model)...)
	}
	u := ob.Usage
	for kind, n := range map[genaiconv.TokenTypeAttr]int{
		genaiconv.TokenTypeInput: u.InputOther + u.InputCacheRead + u.InputCacheCreation, genaiconv.TokenTypeOutput: u.Output,
	} {
		if u != (wireproto.TokenUsage{}) {
			o.tokens.Record(step.ctx, int64(n), genaiconv.OperationNameChat, genaiconv.ProviderNameAttr(o.provider), kind, model(ob.Model)...)
		}
	}
	o.finish(step, ob.Start.Add(ob.Answer), ob.Answer, genaiconv.OperationNameChat, ob.Model, errorType(ob.Outcome, nil), nil)
}

func (o *observer) toolEnded(s *session, ob *client.ToolEnded) {
	end := ob.Start.Add(ob.Duration)
	for i, t := range s.tools {
		if t.agent != ob.Agent || t.id != ob.CallID {
			continue
		}
		s.tools = slices.Delete(s.tools, i, i+1)
		for _, a := range s.agents {
			if a.call == ob.CallID {
				a.end(end)
			}
		}
		o.finish(t.span, end, ob.Duration, genaiconv.OperationNameExecuteTool, "", errorType(ob.Outcome, nil), nil)
		return
	}
}

// finish ends a span and records its duration.
func (o *observer) finish(s *span, end time.Time, took time.Duration, operation genaiconv.OperationNameAttr, on, kind string, err error) {
	attributes := model(on)
	if kind != "" {
		attributes = append(attributes, semconv.ErrorTypeKey.String(kind))
		s.SetAttributes(semconv.ErrorTypeKey.String(kind))
		text := ""
		if o.content && err != nil {
			text = err.Error()
		}
		s.SetStatus(codes.Error, text)
	}
	o.duration.Record(s.ctx, took.Seconds(), operation, genaiconv.ProviderNameAttr(o.provider), attributes...)
	s.end(end)
}

// agent returns the context of the parent for an agent's steps: the turn, or the span of the subagent.
func (o *observer) agent(s *session, scope client.Scope, at time.Time) context.Context {
	turn := context.Background()
	if s.turn != nil {
		turn = s.turn.ctx
	}
	if scope.Agent == "" {
		return turn
	}
	a := s.agents[scope.Agent]
	// An ended span with the same call belongs to a background agent that continues.
	if a == nil || a.ended && a.call != scope.ParentCall {
		parent := turn
		for _, t := range s.tools {
			if t.id == scope.ParentCall {
				parent = t.ctx
			}
		}
		a = o.start(parent, "invoke_agent", scope.AgentType, at, trace.SpanKindInternal, scope)
		a.call = scope.ParentCall
		s.agents[scope.Agent] = a
	}
	return a.ctx
}

// near returns the span of a call. If the call has not begun, it returns the span of the step, the agent or the turn.
func (s *session) near(scope client.Scope, call string) trace.Span {
	for _, t := range s.tools {
		if call != "" && t.agent == scope.Agent && t.id == call {
			return t
		}
	}
	for _, span := range [...]*span{s.steps[scope.Agent], s.agents[scope.Agent], s.turn} {
		if span != nil {
			return span
		}
	}
	return tracenoop.Span{}
}

// end ends all open spans of a session.
func (s *session) end(at time.Time) {
	for _, t := range s.tools {
		t.end(at)
	}
	for _, step := range s.steps {
		step.end(at)
	}
	for _, a := range s.agents {
		a.end(at)
	}
	if s.turn != nil {
		s.turn.end(at)
	}
}

// usage returns token counts as the conventions define them: cached input counts as input, too.
func usage(u wireproto.TokenUsage) []attribute.KeyValue {
	if u == (wireproto.TokenUsage{}) {
		return nil
	}
	return []attribute.KeyValue{
		semconv.GenAIUsageInputTokens(u.InputOther + u.InputCacheRead + u.InputCacheCreation), semconv.GenAIUsageOutputTokens(u.Output),
		semconv.GenAIUsageCacheReadInputTokens(u.InputCacheRead), semconv.GenAIUsageCacheCreationInputTokens(u.InputCacheCreation),
	}
}

// errorType returns the value of error.type for an outcome, one of a small set. It returns "" for a success.
func errorType(outcome client.Outcome, err error) string {
	if outcome == client.OutcomeOK {
		return ""
	}
	for _, kind := range []struct {
		name string
		err  error
	}{
		{"limit", client.ErrLimit}, {"idle", client.ErrIdle}, {"cancelled", client.ErrCancelled}, {"max_steps", client.ErrMaxSteps},
		{"auth_expired", client.ErrAuthExpired}, {"llm_not_set", client.ErrLLMNotSet}, {"provider", client.ErrProvider}, {"closed", client.ErrClosed},
	} {
		if errors.Is(err, kind.err) {
			return kind.name
		}
	}
	var exit *client.ProcessError
	switch {
	case errors.As(err, &exit):
		return "process"
	case outcome == client.OutcomeError:
		return semconv.ErrorTypeOther.Value.AsString()
	}
	return string(outcome)
}
