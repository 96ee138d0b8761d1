package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// review is the Go type of an answer.
type review struct {
	Verdict string   `json:"verdict" jsonschema:"accept or change"`
	Remarks []string `json:"remarks,omitempty"`
}

func ExampleAskAs() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Tool("answer", review{Verdict: "change", Remarks: []string{"close the file"}})
		t.Say("I have told you.")
	})
	r, err := client.AskAs[review](context.Background(), "Review the last commit", &client.Options{Yolo: true, Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Verdict, r.Remarks)
	// Output: change [close the file]
}

func ExampleAnswer() {
	answer, err := client.NewAnswer[review]("review", "Gives the review that was asked for.")
	if err != nil {
		log.Fatal(err)
	}
	agent := clienttest.NewAgent(nil,
		func(t *clienttest.Turn) {
			r := t.Tool("review", map[string]any{"remarks": "none"}) // the agent reads why this does not fit
			fmt.Println(r.Message)
			t.Tool("review", review{Verdict: "accept"})
		})
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent, Tools: []client.Tool{answer.Tool()}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	r, err := answer.Ask(ctx, s, "Review the last commit")
	fmt.Println(r.Verdict, err)
	// Output:
	// the answer does not fit: verdict is missing; remarks: type: none has type "string", want one of "null, array"; call the tool again with one that does
	// accept <nil>
}
