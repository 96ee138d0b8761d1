package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// printer is an Observer that prints what a session does.
type printer struct{}

func (printer) Observe(o client.Observation) {
	switch o := o.(type) {
	case *client.StepEnded:
		fmt.Printf("step %d: %d tokens\n", o.Step, o.Usage.Total())
	case *client.ToolEnded:
		fmt.Printf("tool %s: %s\n", o.Tool, o.Outcome)
	case *client.TurnEnded:
		fmt.Printf("turn %d: %s, %d tool calls\n", o.Turn, o.Outcome, o.Result.ToolCalls)
	}
}

func ExampleObserver() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Call("Shell", map[string]string{"command": "ls"}, "go.mod")
		t.Send(&wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{InputOther: 100, Output: 20}})
		t.Step()
		t.Say("There is a Go module.")
		t.Send(&wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{InputOther: 150, Output: 10}})
	})
	_, err := client.Ask(context.Background(), "What is here?", &client.Options{Yolo: true, Observer: printer{}, Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// tool Shell: ok
	// step 1: 120 tokens
	// step 2: 160 tokens
	// turn 1: ok, 1 tool calls
}

func ExampleLimits() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		for range 1000 {
			t.Call("Shell", map[string]string{"command": "make"}, "it does not compile")
			t.Send(&wireproto.StatusUpdate{TokenUsage: &wireproto.TokenUsage{InputOther: 400, Output: 100}})
			t.Step()
		}
	})
	perToken := map[string]float64{"": 2e-6} // dollars for each token, by the name of the model; "" is a model without a known name
	_, err := client.Ask(context.Background(), "Make it compile", &client.Options{Yolo: true, Transport: agent, Limits: client.Limits{
		Tokens: 1_000_000, Cost: 0.01,
		CostOf: func(model string, u wireproto.TokenUsage) float64 { return float64(u.Total()) * perToken[model] },
	}})
	fmt.Println(err)
	fmt.Println(errors.Is(err, client.ErrLimit))
	// Output:
	// client: limit: Options.Limits.Cost is used up (0.01 of 0.01): the turn was cancelled; prompt again to go on, or raise the limit
	// true
}
