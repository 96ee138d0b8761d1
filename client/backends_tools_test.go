//go:build unix

package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// The agent calls Go functions and the tools of MCP servers.
func TestBackendsTools(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		var begun, running atomic.Int32
		all := make(chan struct{}) // closed when toolsAtOnce tools run at the same time
		type sum struct {
			A int `json:"a"`
			B int `json:"b"`
		}
		tools := []client.Tool{
			mustTool(client.NewTool("add", "adds", func(_ context.Context, in sum) (map[string]int, error) {
				return map[string]int{"sum": in.A + in.B}, nil
			})),
			mustTool(client.NewTool("fails", "", func(context.Context, noInput) (string, error) { return "", errors.New("no such \"thing\"") })),
			mustTool(client.NewTool("panics", "", func(context.Context, noInput) (string, error) { panic("oh no") })),
			mustTool(client.NewTool("meet", "", func(ctx context.Context, in struct {
				Name string `json:"name"`
			}) (string, error) {
				if n := running.Add(1); n > b.toolsAtOnce {
					t.Errorf("%d tools run at once, want %d at most", n, b.toolsAtOnce)
				}
				defer running.Add(-1)
				if begun.Add(1) == b.toolsAtOnce {
					close(all)
				}
				select {
				case <-all:
					return in.Name + " has met", nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			})),
		}
		call := func(id, tool string, args any) string { return clienttest.ToolCall(id, b.tool(tool), args) }
		opts, model := b.model(t,
			say(call("add", "add", sum{40, 2}), call("fails", "fails", noInput{}), call("panics", "panics", noInput{})),
			say(call("anna", "meet", map[string]string{"name": "Anna"}), call("otto", "meet", map[string]string{"name": "Otto"})), "text: done",
			say(clienttest.ToolCall("one", b.mcpTool("object", "reveal-1"), noInput{})),
			say(clienttest.ToolCall("two", b.mcpTool("file", "reveal-2"), noInput{})), "text: revealed",
		)
		opts.Tools = tools
		type secrets = map[string]config.Secret
		opts.MCPServers = map[string]config.MCPServer{"object": mcpProgram(t, secrets{"MCP_TOOL": "reveal-1", "MCP_SECRET": "1"})}
		data, err := config.MarshalMCP(map[string]config.MCPServer{"file": mcpProgram(t, secrets{"MCP_TOOL": "reveal-2", "MCP_SECRET": "2"})})
		if err != nil {
			t.Fatal(err)
		}
		opts.MCPConfigFiles = []string{write(t, filepath.Join(root(opts), "servers.json"), string(data), 0o600)}
		s := e2eStart(t, ctx, opts)
		e2eSame(t, "accepted", []string{"add", "fails", "panics", "meet"}, s.Server().ExternalTools.Accepted)

		msgs := e2eTurn(t, ctx, s, "call them", nil)
		if asked := e2eOf[*client.ApprovalRequest](msgs); len(asked) > 0 {
			t.Errorf("asked for %+v", asked[0].ApprovalRequest)
		}
		for id, want := range map[string]string{"add": `{"sum":42}`, "anna": "Anna has met", "otto": "Otto has met"} {
			if r := resultOf(t, msgs, id); r.IsError || r.Output.String() != want {
				t.Errorf("%s: %+v, want %s", id, r, want)
			}
		}
		for id, want := range map[string]string{"fails": `no such \"thing\"`, "panics": "oh no"} {
			if r := resultOf(t, msgs, id); !r.IsError {
				t.Errorf("%s: %+v, want an error", id, r)
			}
			if read := string(model.Requests()[1]); !strings.Contains(read, want) && !strings.Contains(read, strings.ReplaceAll(want, `\`, `\\\`)) {
				t.Errorf("the model does not read %q: %.3000s", want, read)
			}
		}
		var names []string
		for _, c := range e2eOf[*wireproto.ToolCall](msgs) {
			names = append(names, c.Function.Name)
		}
		e2eSame(t, "names", []string{"add", "fails", "panics", "meet", "meet"}, names)

		// MCP servers are not part of the program, so kimi asks before it calls their tools.
		var asked []string
		msgs = e2eTurn(t, ctx, s, "reveal", func(m wireproto.Message) {
			if r, ok := m.(*client.ApprovalRequest); ok {
				asked = append(asked, callID(r.ToolCallID))
				if err := r.Approve(); err != nil {
					t.Error(err)
				}
			}
		})
		e2eSame(t, "asked for", []string{"one", "two"}, asked)
		for id, want := range map[string]string{"one": "value: 1", "two": "value: 2"} {
			if r := resultOf(t, msgs, id); r.IsError || r.Output.String() != want {
				t.Errorf("%s: %+v, want %s", id, r, want)
			}
		}
	})
}
