package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// At most ten sessions, two of which start before they are needed.
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
	defer s.Close() // which gives its place back
	turn, err := s.Prompt(ctx, "Say hello")
	if err != nil {
		log.Fatal(err)
	}
	result, err := turn.Result()
	fmt.Println(result.Text, err)
	// Output: Hello! <nil>
}
