package otel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// Env returns the variables by which a child process learns of the span in ctx: TRACEPARENT and, where there is one, TRACESTATE, as the
// W3C's Trace Context has them. It is empty without a span. Used as Options.Env, or copied into it, it gives them to kimi and to
// what kimi starts, such as the commands of its shell: for as long as the process lives, whatever turn runs.
func Env(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	env := make(map[string]string, len(carrier))
	for key, value := range carrier {
		env[strings.ToUpper(key)] = value
	}
	return env
}
