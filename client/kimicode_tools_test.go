//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Kimi Code calls Go tools through MCP, one at a time. Parts of a result that MCP cannot carry still arrive.
func TestKimiCodeTools(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}}
	brief := wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: "for people"}}
	tools := []client.Tool{
		mustTool(client.NewTool("shown", "", func(context.Context, noInput) (wireproto.ToolReturnValue, error) {
			return wireproto.ToolReturnValue{Output: wireproto.Content{Text: "for the model"}, Display: brief}, nil
		})),
		mustTool(client.NewTool("picture", "", func(context.Context, noInput) ([]wireproto.ContentPart, error) {
			return []wireproto.ContentPart{&wireproto.TextPart{Text: "see"}, image}, nil
		})),
		mustTool(client.NewTool("fails", "", func(context.Context, noInput) (string, error) { return "", errors.New("no such thing") })),
		mustTool(client.NewTool("panics", "", func(context.Context, noInput) (string, error) { panic("oh") })),
		mustTool(client.NewTool("odd", "", func(_ context.Context, in map[string]string) (string, error) { return in["say"], nil })),
	}
	const odd = "a\u2028b c\r\n\"q\" <&> 👩‍👧"
	m := clienttest.NewModel(t,
		say(codeTool("d", "shown", noInput{}), codeTool("i", "picture", noInput{}), codeTool("f", "fails", noInput{}),
			codeTool("x", "panics", noInput{}), codeTool("o", "odd", map[string]string{"say": odd})),
		say(codeTool("e-1", "odd", map[string]string{"say": "once"}), codeTool("e-2", "odd", map[string]string{"say": "once"})), // kimi runs only one of two equal calls
		codeTool("o", "odd", map[string]string{"say": "renamed"}),                                                               // kimi gives another id to a call with the id of an earlier call
		"text: done")
	opts := clienttest.KimiCode(t)
	maps.Copy(opts.Env, m.Env())
	opts.Env["KIMI_MODEL_CAPABILITIES"] = "image_in"
	opts.Tools = tools
	s := e2eStart(t, ctx, opts)
	msgs := e2eTurn(t, ctx, s, "call them all", nil)

	names := make(map[string]string)
	for _, c := range e2eOf[*wireproto.ToolCall](msgs) {
		if strings.HasPrefix(c.Function.Name, "mcp__") {
			t.Errorf("the program sees its tool as %q", c.Function.Name)
		}
		names[c.ID] = c.Function.Name
	}
	requests := e2eOf[*wireproto.ToolCallRequest](msgs)
	delete(names, "e-2")
	for _, r := range requests {
		if names[r.ID] != r.Name {
			t.Errorf("the request %s of %s has no call in the stream, of which are %v", r.ID, r.Name, names)
		}
		delete(names, r.ID)
	}
	if len(requests) != 7 || len(names) != 0 {
		t.Errorf("%d requests, calls without one %v", len(requests), names)
	}
	same := func(id string, want wireproto.ToolReturnValue) {
		t.Helper()
		e2eSame(t, id, want, resultOf(t, msgs, id))
	}
	text := func(s string) wireproto.Content { return wireproto.Content{Text: s} }
	same("d", wireproto.ToolReturnValue{Output: text("for the model"), Display: brief})
	if parts := resultOf(t, msgs, "i").Output.Parts; len(parts) < 2 { // kimi adds the path where it has saved the picture
		t.Errorf("picture: %+v", parts)
	} else {
		e2eSame(t, "i", []wireproto.ContentPart{&wireproto.TextPart{Text: "see"}, image}, parts[:2])
	}
	same("f", wireproto.ToolReturnValue{IsError: true, Output: text("no such thing"), Display: wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: "Error"}}})
	same("o", wireproto.ToolReturnValue{Output: text(odd)})
	if r := resultOf(t, msgs, "x"); !r.IsError || !strings.Contains(r.Output.String(), "panic: oh") {
		t.Errorf("panic: %+v", r)
	}
	for id, want := range map[string]string{"e-1": "once", "e-2": "once"} {
		same(id, wireproto.ToolReturnValue{Output: text(want)})
	}
	e2eSame(t, "renamed", "renamed", e2eOf[*wireproto.ToolResult](msgs)[7].ReturnValue.Output.Text)
	last := m.Requests()[len(m.Requests())-1]
	quoted, err := json.Marshal(image.ImageURL.URL)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(last), string(quoted)) {
		t.Error("the model does not get the picture")
	}
}

// If a turn is cancelled while a Go tool runs, the ctx of the tool ends.
func TestKimiCodeToolCancelled(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	started, ended := make(chan struct{}), make(chan error, 1)
	opts := clienttest.KimiCode(t, codeTool("w", "wait", noInput{}), "text: usable")
	opts.Tools = []client.Tool{mustTool(client.NewTool("wait", "", func(ctx context.Context, _ noInput) (string, error) {
		close(started)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return "too late", nil
	}))}
	s := e2eStart(t, ctx, opts)
	cancelTurn(t, ctx, s, "wait", "Cancel", func(m wireproto.Message) bool {
		_, ok := m.(*wireproto.ToolCallRequest)
		if ok { // a tool does not start in a turn that is being cancelled
			recv(t, ctx, "the tool", started)
		}
		return ok
	})
	e2eIs(t, "the tool's ctx", recv(t, ctx, "the tool's end", ended), client.ErrCancelled)
	e2eText(t, ctx, s, "go on", "usable")
}
