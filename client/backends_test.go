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

// backend is one of the two programs that the API drives. The TestBackends tests run with both. The fields of this type
// hold the differences between the programs.
type backend struct {
	name    string
	options func(clienttest.TB, ...string) *client.Options // each string is the script of one call of the model
	at      func(t testing.TB, url string) *client.Options // the model is at the URL

	shell, write, edit, todo string // names of tools
	editArgs                 func(path, from, to string) any
	toolPrefix               string                           // the model calls a Go tool by this prefix and its name
	mcpTool                  func(server, tool string) string // the name by which the model calls a tool of an MCP server
	toolsAtOnce              int32                            // how many Go tools of one step run at the same time

	answersFeedback bool   // the feedback of a rejection reaches the model; otherwise a Notification says that it is lost
	endsAtRejection bool   // a rejection without feedback ends the turn; otherwise the model goes on
	freeAnswers     bool   // an answer may have words that are not the label of an option
	tellsCalls      bool   // a subagent's request for approval shows the whole call
	restarts        bool   // SetModel starts another process
	keepsAFK        bool   // a session keeps the AFK mode with which it began
	sharesServer    bool   // the sessions of a pool share one process
	slash, says     string // a slash command, and a part of its output; "" if the model answers the command
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

// kimiConfig returns a configuration with a model of an API of type kimi.
func kimiConfig(url string) *config.Config {
	return &config.Config{
		DefaultModel: "scripted",
		Providers:    map[string]config.Provider{"kimi": {Type: config.ProviderKimi, BaseURL: url, APIKey: "sk-test"}},
		Models: map[string]config.Model{"scripted": {
			Provider: "kimi", Model: "scripted", MaxContextSize: 100000, Capabilities: []config.Capability{config.CapabilityImageIn},
		}},
	}
}

// onBackends runs a test with both backends, in parallel with all other tests.
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

// run returns the script line of a call of the shell.
func (b *backend) run(id, command string) string {
	return clienttest.ToolCall(id, b.shell, map[string]string{"command": command})
}

// tool returns the name by which the model calls a Go tool.
func (b *backend) tool(name string) string { return b.toolPrefix + name }

// ifItGoesOn returns scripts for the calls of the model after a rejection without feedback. It returns none if such a
// rejection ends the turn.
func (b *backend) ifItGoesOn(scripts ...string) []string {
	if b.endsAtRejection {
		return nil
	}
	return scripts
}

// inOtherWords returns what the model reads of an answer that is not the label of an option.
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

// decided returns the decision about each call, by the id that the model gave to the call.
func decided(msgs []wireproto.Message) map[string]string {
	byCall := make(map[string]string)
	for id, d := range decisions(msgs) {
		byCall[callID(id)] = d
	}
	return byCall
}
