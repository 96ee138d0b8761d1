package clienttest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// An agent in memory runs any number of turns, without a process and without waiting.
func ExampleNewAgent() {
	agent := clienttest.NewAgent(nil, // in a test, pass t
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
		Transport: clienttest.Replay(nil, "../../testdata/tour.jsonl"), // in a test, pass t
		Approve:   client.ApproveAll,
	})
	fmt.Println(answer, err)
	// Output: Done: greeting.txt now says "Hello, Go!". <nil>
}

// Any client of an OpenAI-style API can use a scripted model. KimiCode runs the real Kimi Code with one.
func ExampleNewModel() {
	model := clienttest.NewModel(nil, // in a test, pass t
		"text: Hello!\nusage: input_other=7 output=2",
		"error: 429 slow down")
	defer model.Close()
	for range 2 {
		resp, err := http.Post(model.URL()+"/chat/completions", "application/json", strings.NewReader(`{"model": "any"}`))
		if err != nil {
			log.Fatal(err)
		}
		var body struct {
			Choices []struct{ Message struct{ Content string } }
			Error   struct{ Message string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Printf("%d %v %q\n", resp.StatusCode, body.Choices, body.Error.Message)
	}
	fmt.Println(len(model.Requests()), "requests")
	// Output:
	// 200 [{{Hello!}}] ""
	// 429 [] "slow down"
	// 2 requests
}

// The real kimi runs if it is installed. This program is not a test.
func ExampleKimi() {
	err := clienttest.Run(func(t clienttest.TB) {
		opts := clienttest.Kimi(t,
			clienttest.Reply(clienttest.Text("I look.\n"), clienttest.ToolCall("c1", "Shell", map[string]string{"command": "ls"})),
			clienttest.Text("Done:\n\n    go.mod\n"))
		opts.Yolo = true
		recording, err := os.Create("testdata/ls.jsonl")
		if err != nil {
			t.Fatalf("%w", err)
		}
		defer recording.Close()
		opts.Record = recording // Replay can play this recording later
		answer, err := client.Ask(context.Background(), "What is here?", opts)
		fmt.Println(answer, err)
	})
	if err != nil {
		log.Fatal(err)
	}
}

// In a program that is not a test, Run returns an error where a test would fail.
func ExampleRun() {
	err := clienttest.Run(func(t clienttest.TB) {
		agent := clienttest.NewAgent(t,
			func(turn *clienttest.Turn) { turn.Say("Hello!") },
			func(turn *clienttest.Turn) { turn.Say("Hello again!") },
		)
		answer, err := client.Ask(context.Background(), "Say hello", &client.Options{Transport: agent, Yolo: true})
		fmt.Println(answer, err)
	})
	fmt.Println(err)
	// Output:
	// Hello! <nil>
	// clienttest: 1 of 2 turns were never prompted
}
