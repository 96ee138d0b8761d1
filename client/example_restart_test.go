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

// A session continues after its agent has crashed. The outcome of the turn that ran is not known. The next turn reports
// the crash.
func ExampleOptions_restart() {
	var running client.Conn
	agent := clienttest.NewAgent(nil,
		func(*clienttest.Turn) { running.Close() }, // the agent crashes
		func(t *clienttest.Turn) { t.Say("Hello again!") })
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Restart: true, Transport: transportFunc(func(ctx context.Context, c *client.Command) (client.Conn, error) {
		conn, err := agent.Start(ctx, c)
		running = conn
		return conn, err
	})})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		turn, err := s.Prompt(ctx, "Hello?")
		if err != nil {
			log.Fatal(err)
		}
		for m, err := range turn.Messages() {
			var end *client.ProcessError
			if errors.As(err, &end) {
				fmt.Println("The agent has crashed.")
			}
			switch m := m.(type) {
			case *wireproto.Notification:
				if m.Type == client.NotificationRestarted {
					fmt.Println(m.Title)
				}
			case *wireproto.TextPart:
				fmt.Println(m.Text)
			}
		}
	}
	// Output:
	// The agent has crashed.
	// kimi has ended, and a new process continues the session
	// Hello again!
}
