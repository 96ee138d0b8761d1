package client_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A tool result that cannot be encoded becomes an error result, so the agent does not wait for it.
func TestToolResultUnsendable(t *testing.T) {
	var nilBlock *wireproto.TodoDisplayBlock
	for name, v := range map[string]wireproto.ToolReturnValue{
		"nil block":       {Display: wireproto.DisplayBlocks{nil}},
		"typed nil block": {Display: wireproto.DisplayBlocks{nilBlock}},
		"raw block":       {Display: wireproto.DisplayBlocks{&wireproto.UnknownDisplayBlock{Type: "x", Raw: json.RawMessage(`{"type":`)}}},
		"nil part":        {Output: wireproto.Content{Parts: []wireproto.ContentPart{nil}}},
		"unknown part":    {Output: wireproto.Content{Parts: []wireproto.ContentPart{&wireproto.UnknownPart{Type: "x", Raw: json.RawMessage(`{`)}}}},
		"extras":          {Extras: map[string]json.RawMessage{"a": json.RawMessage(`{`)}},
	} {
		t.Run(name, func(t *testing.T) {
			tool, err := client.NewTool("t", "", func(context.Context, struct{}) (wireproto.ToolReturnValue, error) { return v, nil })
			if err != nil {
				t.Fatal(err)
			}
			calls := func(a *agent) {
				a.result(a.call(wireproto.MethodInitialize).ID, strings.TrimSuffix(initialized, "}")+`,"external_tools":{"accepted":["t"],"rejected":[]}}`)
				a.begin()
				a.request("c1", &wireproto.ToolCallRequest{ID: "c1", Name: "t"})
				a.text(a.answer("c1"))
				a.finish("finished")
				a.serve()
			}
			bubble(t, calls, client.Options{Tools: []client.Tool{tool}, IdleTimeout: time.Minute}, func(t *testing.T, s *client.Session) {
				got, err := loop(prompt(t, t.Context(), s).Messages())
				if err != nil || len(got) != 5 {
					t.Errorf("%q, %v", got, err)
					return
				}
				var answer wireproto.ToolAnswer
				if err := json.Unmarshal([]byte(got[3]), &answer); err != nil || !answer.ReturnValue.IsError || answer.ReturnValue.Message == "" {
					t.Errorf("the answer is %s: %v", got[3], err)
				}
			})
		})
	}
}
