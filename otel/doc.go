// Package otel tells OpenTelemetry what sessions of package client do, by the semantic conventions for generative AI (1.41.0).
// It is a module of its own, so that others do not get OpenTelemetry with the client.
//
//	opts := &client.Options{Observer: otel.Observer(tracerProvider, meterProvider), Env: otel.Env(ctx)}
//
// # Spans
//
// A turn is a span invoke_agent, a child of the span in the ctx of [client.Session.Prompt]. Each call of the model is a child of it, chat,
// which ends with the model's message, and each tool call a child of the call that asked for it, execute_tool. A subagent is a
// span invoke_agent below the tool call that started it, with its own calls below. Approvals and retries are events, named kimi.approval and
// kimi.retry. Times are those of the observations.
//
// # Metrics
//
// gen_ai.client.token.usage counts the tokens of each call of a model, gen_ai.client.operation.duration has the durations of turns, calls
// of models and tool calls, and gen_ai.client.operation.time_to_first_chunk the time until a model's first word.
//
// # Content
//
// What users, models and tools say, arguments of tools and texts of errors are left out. [WithContent] adds prompts, answers and texts of errors. Names of tools
// and of models, ids and token counts are always told.
package otel
