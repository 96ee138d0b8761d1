package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

func ExampleSession_SetModel() {
	agent := clienttest.NewAgent(nil,
		func(t *clienttest.Turn) { t.Say("a quick answer") },
		func(t *clienttest.Turn) { t.Say("a deep answer") })
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent, Config: &config.Config{
		DefaultModel: "quick",
		Providers:    map[string]config.Provider{"local": {Type: config.ProviderOpenAILegacy}},
		Models: map[string]config.Model{
			"quick": {Provider: "local", Model: "small", MaxContextSize: 32_000},
			"deep":  {Provider: "local", Model: "large", MaxContextSize: 128_000},
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	models, err := s.Models(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range models {
		fmt.Println(m.Name, m.MaxContextTokens)
	}
	for _, name := range []string{"quick", "deep"} {
		if err := s.SetModel(ctx, name); err != nil {
			log.Fatal(err)
		}
		turn, err := s.Prompt(ctx, "Why is the sky blue?")
		if err != nil {
			log.Fatal(err)
		}
		result, err := turn.Result()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", s.Model(), result.Text)
	}
	// Output:
	// deep 128000
	// quick 32000
	// quick: a quick answer
	// deep: a deep answer
}

func ExampleSession_Request() {
	agent := clienttest.NewAgent(nil, func(t *clienttest.Turn) {
		t.Say(string(t.Approval(wireproto.ApprovalRequest{Action: "run command", Description: "Run command `ls`"}, nil).Response))
	})
	ctx := context.Background()
	s, err := client.NewSession(ctx, &client.Options{Transport: agent})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	turn, err := s.Prompt(ctx, "List the files")
	if err != nil {
		log.Fatal(err)
	}
	decide := func(raw []byte) { // this may run elsewhere, such as in a browser
		m, err := wireproto.UnmarshalMessage(raw)
		if err != nil {
			log.Fatal(err)
		}
		id := m.(*wireproto.ApprovalRequest).ID
		s.Request(id).(*client.ApprovalRequest).Approve()
	}
	for msg, err := range turn.Messages() {
		if err != nil {
			log.Fatal(err)
		}
		if m, ok := msg.(*client.ApprovalRequest); ok {
			m.Hold()
			raw, err := json.Marshal(m)
			if err != nil {
				log.Fatal(err)
			}
			go decide(raw)
		}
	}
	result, err := turn.Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Status, result.Text)
	// Output: finished approve
}
