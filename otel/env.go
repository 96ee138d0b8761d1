package otel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// Env returns the environment variables that name the span in ctx for a child process: TRACEPARENT and, if there is a
// trace state, TRACESTATE, as in W3C Trace Context. If ctx has no span, the map is empty. Set Options.Env to the map,
// or copy the variables into it. kimi and the programs that it starts, such as shell commands, then get them. The
// variables stay the same in all turns of the process.
func Env(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	env := make(map[string]string, len(carrier))
	for key, value := range carrier {
		env[strings.ToUpper(key)] = value
	}
	return env
}
