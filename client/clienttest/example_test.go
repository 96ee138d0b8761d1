package clienttest_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// Any number of turns, without a process and without time.
func ExampleNewAgent() {
	agent := clienttest.NewAgent(nil, // t in a test
		func(turn *clienttest.Turn) { turn.Say("Hello!") },
		func(turn *clienttest.Turn) { turn.Die(&client.ProcessError{ExitCode: -1, Signal: "killed"}) },
	)
	s, err := client.NewSession(context.Background(), &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		turn, err := s.Prompt(context.Background(), "Say hello")
		if err != nil {
			log.Fatal(err)
		}
		result, err := turn.Result()
		fmt.Printf("%q %v\n", result.Text, err != nil)
	}
	// Output:
	// "Hello!" false
	// "" true
}

// The recording was made with Options.Record, or with kimi-go-demo prompt --record.
func ExampleReplay() {
	answer, err := client.Ask(context.Background(), "Make greeting.txt greet Go programmers.", &client.Options{
		Transport: clienttest.Replay(nil, "../../testdata/tour.jsonl"), // t in a test
		Approve:   client.ApproveAll,
	})
	fmt.Println(answer, err)
	// Output: Done: greeting.txt now says "Hello, Go!". <nil>
}

// With the real kimi, where there is one.
func ExampleKimi() {
	opts := clienttest.Kimi(nil, // t in a test
		"text: I look.\n"+clienttest.ToolCall("c1", "Shell", map[string]string{"command": "ls"}),
		"text: Done.")
	opts.Yolo = true
	recording, err := os.Create("testdata/ls.jsonl")
	if err != nil {
		log.Fatal(err)
	}
	opts.Record = recording // to replay later
	answer, err := client.Ask(context.Background(), "What is here?", opts)
	fmt.Println(answer, err)
}
