// Package otel reports to OpenTelemetry what sessions of package client do. It follows the semantic conventions for
// generative AI (1.41.0). It is a separate module, so that the client does not depend on OpenTelemetry.
//
//	opts := &client.Options{Observer: otel.Observer(tracerProvider, meterProvider), Env: otel.Env(ctx)}
//
// # Spans
//
// A turn is a span invoke_agent, a child of the span in the ctx of [client.Session.Prompt]. Each call of the model is a
// child span chat, which ends when the message of the model is complete. Each tool call is a span execute_tool, a child of the call of
// the model that made it. A subagent is a span invoke_agent, a child of the tool call that started it, with its own calls
// as children. Approvals and retries are events with the names kimi.approval and kimi.retry. The times of the spans are
// the times of the observations.
//
// # Metrics
//
// gen_ai.client.token.usage counts the tokens of each call of a model. gen_ai.client.operation.duration has the durations
// of turns, calls of models and tool calls. gen_ai.client.operation.time_to_first_chunk has the time until the first text
// or thinking of a model.
//
// # Content
//
// Spans do not contain what users, models and tools say, arguments of tools, or texts of errors. [WithContent] adds
// prompts, answers and texts of errors. Names of tools and of models, ids and token counts are always included.
package otel
