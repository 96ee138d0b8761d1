package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

func ExampleSession_Queue() {
	agent := clienttest.NewAgent(nil,
		func(t *clienttest.Turn) { t.Say("It is a Go module.") },
		func(t *clienttest.Turn) { t.Say("It needs Go 1.25.") })
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	var turns []*client.Turn
	for _, text := range []string{"What is this?", "Which Go does it need?"} { // the user types faster than kimi answers
		turn, err := s.Queue(ctx, text)
		if err != nil {
			log.Fatal(err)
		}
		turns = append(turns, turn)
	}
	for _, turn := range turns {
		for msg, err := range turn.Messages() {
			if err != nil {
				log.Fatal(err)
			}
			if text, ok := msg.(*wireproto.TextPart); ok {
				fmt.Println(text.Text)
			}
		}
	}
	// Output:
	// It is a Go module.
	// It needs Go 1.25.
}
