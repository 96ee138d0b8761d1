package relay_test

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

func Example() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		answer := t.Approval(wireproto.ApprovalRequest{Action: "run command"}, map[string]string{"command": "ls"})
		t.Say("The answer was: " + string(answer.Response))
	})
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	r := relay.New(s, &relay.Options{Authorize: func(req *http.Request) error {
		token, err := req.Cookie("token")
		if err != nil || subtle.ConstantTimeCompare([]byte(token.Value), []byte("a secret of this server")) == 0 {
			return errors.New("open the page with its token")
		}
		return nil
	}})
	defer r.Close()
	http.Handle("/agent/", http.StripPrefix("/agent", r)) // browsers read this; the code below is another reader
	if _, err := r.Prompt(ctx, "List the files"); err != nil {
		log.Fatal(err)
	}
	for entry, err := range r.Read(ctx, 0) {
		if err != nil {
			log.Fatal(err)
		}
		msg, err := entry.Message()
		if err != nil {
			log.Fatal(err)
		}
		switch m := msg.(type) {
		case *relay.Pending:
			fmt.Printf("%s %s?\n", m.Call.Name, m.Call.Arguments)
			if err := r.Answer(m.ID, relay.Answer{Response: wireproto.Approve}); err != nil {
				log.Fatal(err)
			}
		case *relay.Settled:
			fmt.Println(m.Outcome)
		case *relay.TurnEnded:
			fmt.Println(m.Result.Text)
			return
		}
	}
	// Output:
	// Shell {"command":"ls"}?
	// approve
	// The answer was: approve
}
