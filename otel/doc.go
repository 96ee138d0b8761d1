// Package otel reports the work of the sessions of package client to OpenTelemetry. It follows the semantic conventions
// for generative AI (version 1.41.0). It is a separate module, so that package client does not depend on OpenTelemetry.
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
// gen_ai.client.token.usage counts the tokens of each model call. gen_ai.client.operation.duration is the duration in
// seconds of a turn, a model call or a tool call. gen_ai.client.operation.time_to_first_chunk is the time in seconds
// until a model's first text or thinking.
//
// # Content
//
// Spans contain no prompts, no answers, no arguments or results of tools, and no texts of errors. [WithContent] adds
// the prompts, the answers and the texts of errors. Spans always contain the names of tools and models, ids and token
// counts.
package otel
