package client_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// readsNoMore reads the first part of a line and then nothing. The process that follows it reads every line, and
// accepts no half line.
var readsNoMore = script("reads no more", func(a *agent) {
	a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+`,"external_tools":{"accepted":["big"],"rejected":[]}}`)
	first, err := os.OpenFile(a.arg, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		a.serve()
	}
	first.Close()
	a.request("big", &wireproto.ToolCallRequest{ID: "big", Name: "big"})
	os.Stdin.Read(make([]byte, 1))
	a.text("half")
	a.hang()
})

// If the old process has read only a part of a line, the new process does not get the rest of it.
func TestSetModelHalfLine(t *testing.T) {
	opts := spawn(t, readsNoMore, t.TempDir()+"/first")
	opts.StopGrace = time.Second
	opts.Config = &config.Config{
		DefaultModel: "first",
		Providers:    map[string]config.Provider{"p": {Type: config.ProviderKimi}},
		Models:       map[string]config.Model{"first": {Provider: "p", Model: "m1", MaxContextSize: 1}, "other": {Provider: "p", Model: "m2", MaxContextSize: 2}},
	}
	opts.Env["KIMI_MODEL_NAME"] = ""
	opts.Tools = []client.Tool{mustTool(client.NewTool("big", "", func(context.Context, noInput) (string, error) { return strings.Repeat("x", 4<<20), nil }))}
	half := make(chan struct{}, 1)
	opts.OnMessage = func(m wireproto.Message) {
		if _, ok := m.(*wireproto.TextPart); ok {
			half <- struct{}{}
		}
	}
	s := start(t, opts)
	within(t, limit, "the head of the line", func() { <-half })
	if err := s.SetModel(limited(t), "other"); err != nil {
		t.Fatal(err)
	}
	works(t, s)
}
