package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// The pool has at most ten sessions. It starts two of them before they are needed.
func ExamplePool() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) { t.Say("Hello!") })
	pool, err := client.NewPool(&client.Options{Yolo: true, Transport: agent}, client.PoolOptions{Max: 10, Warm: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	ctx := context.Background()
	s, err := pool.NewSession(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close() // Close returns the session's place to the pool
	turn, err := s.Prompt(ctx, "Say hello")
	if err != nil {
		log.Fatal(err)
	}
	result, err := turn.Result()
	fmt.Println(result.Text, err)
	// Output: Hello! <nil>
}
