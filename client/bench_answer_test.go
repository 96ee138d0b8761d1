package client_test

import (
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// BenchmarkAskAs measures what AskAs costs more than Ask. An agent in memory gives the same answer to both.
func BenchmarkAskAs(b *testing.B) {
	type answer struct {
		Text string `json:"text"`
	}
	options := func(turn func(*clienttest.Turn)) *client.Options {
		return &client.Options{Yolo: true, Transport: clienttest.NewAgent(nil, turn), WorkDir: b.TempDir(), ShareDir: b.TempDir()}
	}
	b.Run("Ask", func(b *testing.B) {
		for b.Loop() {
			got, err := client.Ask(b.Context(), "hello", options(func(t *clienttest.Turn) { t.Say("hello") }))
			if err != nil || got != "hello" {
				b.Fatal(got, err)
			}
		}
	})
	b.Run("AskAs", func(b *testing.B) {
		for b.Loop() {
			got, err := client.AskAs[answer](b.Context(), "hello", options(func(t *clienttest.Turn) { t.Tool("answer", answer{"hello"}) }))
			if err != nil || got.Text != "hello" {
				b.Fatal(got, err)
			}
		}
	})
}
