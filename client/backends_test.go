//go:build unix

package client_test

import (
	"context"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// backend is one of the two programs that the API drives. The TestBackends tests hold for both. The differences of the
// programs are in this type.
type backend struct {
	name    string
	options func(clienttest.TB, ...string) *client.Options // with a script for each call of the model
	at      func(t testing.TB, url string) *client.Options // with the model that an API has

	shell, write, edit, todo string // names of tools
	editArgs                 func(path, from, to string) any
	toolPrefix               string                           // of Go tools, as the model calls them
	mcpTool                  func(server, tool string) string // how the model calls the tool of an MCP server
	toolsAtOnce              int32                            // Go tools of one step that run at the same time

	answersFeedback bool   // a rejection's feedback reaches the model; else a Notification says that it is lost
	endsAtRejection bool   // a rejection without feedback ends the turn; else the model goes on
	freeAnswers     bool   // a question takes words that are no option's label
	tellsCalls      bool   // subagents' requests for approval show the whole call
	restarts        bool   // another model is another process
	keepsAFK        bool   // a session that was begun with AFK stays so
	sharesServer    bool   // the sessions of a pool are in one process
	slash, says     string // a command, and a part of what it says; "" if the model answers it
}

var backends = []*backend{
	{
		name:    "kimi-cli",
		options: clienttest.Kimi,
		at: func(t testing.TB, url string) *client.Options {
			opts := clienttest.Kimi(t)
			opts.Config = kimiConfig(url)
			return opts
		},
		shell: "Shell", write: "WriteFile", edit: "StrReplaceFile", todo: "SetTodoList",
		editArgs: func(path, from, to string) any {
			return map[string]any{"path": path, "edit": map[string]string{"old": from, "new": to}}
		},
		mcpTool:     func(_, tool string) string { return tool },
		toolsAtOnce: 2, answersFeedback: true, endsAtRejection: true, freeAnswers: true, tellsCalls: true, keepsAFK: true, restarts: true,
		slash: "clear", says: "The context has been cleared.",
	},
	{
		name:    "Kimi Code",
		options: clienttest.KimiCode,
		at: func(t testing.TB, url string) *client.Options {
			opts := clienttest.KimiCode(t)
			opts.Env["KIMI_MODEL_BASE_URL"] = url
			return opts
		},
		shell: "Bash", write: "Write", edit: "Edit", todo: "TodoList",
		editArgs: func(path, from, to string) any {
			return map[string]any{"path": path, "old_string": from, "new_string": to}
		},
		toolPrefix:  "mcp__program__",
		mcpTool:     func(server, tool string) string { return "mcp__" + server + "__" + tool },
		toolsAtOnce: 1, answersFeedback: true, freeAnswers: true, tellsCalls: true, sharesServer: true,
		slash: "compact",
	},
}

// kimiConfig is a configuration whose model is reached by an API of type kimi.
func kimiConfig(url string) *config.Config {
	return &config.Config{
		DefaultModel: "scripted",
		Providers:    map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: url, APIKey: "sk-test"}},
		Models: map[string]config.Model{"scripted": {
			Provider: "kimi", Model: "scripted", MaxContextSize: 100000, Capabilities: []config.Capability{config.CapabilityImageIn},
		}},
	}
}

// onBackends runs a test on both, at the same time as all others.
func onBackends(t *testing.T, test func(*testing.T, context.Context, *backend)) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, withinCtx(t), b)
		})
	}
}

// model returns options with a model that records its requests.
func (b *backend) model(t testing.TB, scripts ...string) (*client.Options, *clienttest.Model) {
	m := clienttest.NewModel(t, scripts...)
	return b.at(t, m.URL()), m
}

// run is the line of a call of the shell.
func (b *backend) run(id, command string) string {
	return clienttest.ToolCall(id, b.shell, map[string]string{"command": command})
}

// tool returns the name by which the model calls a Go tool.
func (b *backend) tool(name string) string { return b.toolPrefix + name }

// ifItGoesOn returns the scripts of the model's calls after a rejection without feedback: none where that ends the turn.
func (b *backend) ifItGoesOn(scripts ...string) []string {
	if b.endsAtRejection {
		return nil
	}
	return scripts
}

// inOtherWords is what the model reads of an answer that is no label of an option.
func (b *backend) inOtherWords(question, answer string) map[string]string {
	if !b.freeAnswers {
		return map[string]string{}
	}
	return map[string]string{question: answer}
}

// resultOf returns the result of a call.
func resultOf(t testing.TB, msgs []wireproto.Message, id string) wireproto.ToolReturnValue {
	t.Helper()
	for _, r := range e2eOf[*wireproto.ToolResult](msgs) {
		if callID(r.ToolCallID) == id {
			return r.ReturnValue
		}
	}
	t.Fatalf("no result of the call %s in %v", id, e2eTypes(msgs))
	panic("unreachable")
}

// decided is decisions by the model's ids.
func decided(msgs []wireproto.Message) map[string]string {
	byCall := make(map[string]string)
	for id, d := range decisions(msgs) {
		byCall[callID(id)] = d
	}
	return byCall
}
