package otel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// Env returns the variables that tell a child process the span in ctx: TRACEPARENT and, if there is one, TRACESTATE,
// as in the Trace Context of the W3C. Without a span it returns none. Use them as Options.Env, or copy them into it.
// kimi then gets them, and so do the programs that kimi starts, such as the commands of its shell. They stay the same
// as long as the process lives, whichever turn runs.
func Env(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	env := make(map[string]string, len(carrier))
	for key, value := range carrier {
		env[strings.ToUpper(key)] = value
	}
	return env
}
