package otel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/otel"
)

// This agent runs in memory. Without Transport, the session uses the real agent. The output shows only the name and the
// status of each span.
func ExampleObserver() {
	var out bytes.Buffer // use os.Stdout to see everything
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(&out))
	if err != nil {
		log.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Say("I look. ")
		t.Call("Shell", map[string]string{"command": "ls"}, "go.mod")
		t.Step()
		t.Say("There is a Go module.")
	})
	ctx, request := provider.Tracer("example").Start(context.Background(), "request")
	answer, err := client.Ask(ctx, "What is here?", &client.Options{
		Yolo: true, Transport: agent, Env: otel.Env(ctx), Observer: otel.Observer(provider, nil),
	})
	if err != nil {
		log.Fatal(err)
	}
	request.End()
	fmt.Println(answer)
	for dec := json.NewDecoder(&out); dec.More(); {
		var span struct {
			Name   string
			Status struct{ Code string }
		}
		if err := dec.Decode(&span); err != nil {
			log.Fatal(err)
		}
		fmt.Println(span.Name, span.Status.Code)
	}
	// Output:
	// There is a Go module.
	// execute_tool Shell Unset
	// chat Unset
	// chat Unset
	// invoke_agent kimi Unset
	// request Unset
}
