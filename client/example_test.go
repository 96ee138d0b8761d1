package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// The examples use an agent in memory, so that they run without a kimi. Without Options.Transport, they would use the
// real kimi.

func ExampleAsk() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) { t.Say("Hello, world!") })
	answer, err := client.Ask(context.Background(), "Say hello", &client.Options{Yolo: true, Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
	// Output: Hello, world!
}

func ExamplePrompt() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Say("I look.")
		t.Call("Shell", map[string]string{"command": "ls"}, "go.mod")
		t.Step()
		t.Say("There is a Go module.")
	})
	for msg, err := range client.Prompt(context.Background(), "What is here?", &client.Options{Yolo: true, Transport: agent}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", msg.Role, msg.Text())
	}
	// Output:
	// assistant: I look.
	// tool: go.mod
	// assistant: There is a Go module.
}

func ExampleNewSession() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Say("Listing. ")
		ls := wireproto.ApprovalRequest{Sender: "Shell", Action: "run command", Description: "Run command `ls`"}
		if t.Approval(ls, map[string]string{"command": "ls"}).Response == wireproto.Approve {
			t.Say("Done.")
		}
	})
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	turn, err := s.Prompt(ctx, "List files in current directory")
	if err != nil {
		log.Fatal(err)
	}
	for msg, err := range turn.Messages() {
		if err != nil {
			log.Fatal(err)
		}
		switch m := msg.(type) {
		case *wireproto.TextPart:
			fmt.Print(m.Text)
		case *client.ApprovalRequest:
			fmt.Printf("[%s?] ", m.Description)
			m.Approve()
		}
	}
	fmt.Println()
	// Output: Listing. [Run command `ls`?] Done.
}

func ExampleNewTool() {
	type input struct {
		City string `json:"city" jsonschema:"name of the city"`
	}
	weather, err := client.NewTool("weather", "Tells the weather of a city.", func(ctx context.Context, in input) (string, error) {
		return "sunny in " + in.City, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Say(t.Tool("weather", map[string]string{"city": "Beijing"}).Output.String())
	})
	answer, err := client.Ask(context.Background(), "How is the weather?",
		&client.Options{Yolo: true, Tools: []client.Tool{weather}, Transport: agent})
	fmt.Println(answer, err)
	// Output: sunny in Beijing <nil>
}

func ExampleHook() {
	noRm := client.Hook{ID: "no-rm", Event: "PreToolUse", Matcher: "Shell",
		Handle: func(ctx context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
			if strings.Contains(string(r.InputData["tool_input"]), "rm -rf") {
				return client.Block("not that"), nil
			}
			return client.Allow(), nil
		}}
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		decision := t.Hook("no-rm", "PreToolUse", "Shell", map[string]any{"tool_input": map[string]string{"command": "rm -rf /"}})
		t.Say(string(decision.Action) + ": " + decision.Reason)
	})
	answer, err := client.Ask(context.Background(), "Clean up", &client.Options{Yolo: true, Hooks: []client.Hook{noRm}, Transport: agent})
	fmt.Println(answer, err)
	// Output: block: not that <nil>
}

func ExampleTurn_Cancel() {
	agent := clienttest.NewAgent(nil,
		func(t *clienttest.Turn) { t.Say("one "); t.Hang() },
		func(t *clienttest.Turn) { t.Say("two") })
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	turn, err := s.Prompt(ctx, "Count")
	if err != nil {
		log.Fatal(err)
	}
	for msg, err := range turn.Messages() {
		if err != nil {
			fmt.Println("cancelled:", errors.Is(err, client.ErrCancelled))
			break
		}
		if text, ok := msg.(*wireproto.TextPart); ok {
			fmt.Print(text.Text)
			turn.Cancel(ctx)
		}
	}
	turn, err = s.Prompt(ctx, "Go on") // the session stays usable
	if err != nil {
		log.Fatal(err)
	}
	result, err := turn.Result()
	fmt.Println(result.Text, result.Status, err)
	// Output:
	// one cancelled: true
	// two finished <nil>
}

func ExampleMerge() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		for _, piece := range []string{"Text ", "comes ", "in ", "pieces."} {
			t.Say(piece)
		}
	})
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	turn, err := s.Prompt(ctx, "Talk")
	if err != nil {
		log.Fatal(err)
	}
	for msg, err := range client.Merge(turn.Messages()) {
		if err != nil {
			log.Fatal(err)
		}
		if text, ok := msg.(*wireproto.TextPart); ok {
			fmt.Println(text.Text)
		}
	}
	// Output: Text comes in pieces.
}

func ExampleOptions_Validate() {
	err := (&client.Options{Yolo: true, Approve: client.ApproveAll, SupportsPlanMode: true}).Validate()
	fmt.Println(err)
	// Output:
	// client: options: SupportsPlanMode needs Answer or SupportsQuestion: plan mode is entered and left by a question
	// client: options: Yolo and Approve together: nothing would be asked; unset one
}
