//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

// nodeSDK finds the official Node SDK and a Node.js next to the Kimi Code that install-kimi.sh has installed.
func nodeSDK(t *testing.T, kimi string) (node, sdk string) {
	t.Helper()
	modules := filepath.Join(filepath.Dir(filepath.Dir(kimi)), "node_modules")
	sdk = filepath.Join(modules, "@moonshot-ai", "kimi-agent-sdk", "dist", "index.mjs")
	nodes, _ := filepath.Glob(filepath.Join(modules, "node-*", "bin", "node"))
	if _, err := os.Stat(sdk); err != nil || len(nodes) == 0 {
		if os.Getenv(clienttest.RequireKimi) != "" {
			t.Fatalf("no Node SDK next to %s, and %s is set: %v", kimi, clienttest.RequireKimi, err)
		}
		t.Skipf("needs the Node SDK next to %s; scripts/install-kimi.sh --code installs it", kimi)
	}
	return nodes[0], sdk
}

type sdkTurn struct {
	Status  string   `json:"status"`
	Text    string   `json:"text"`
	Types   []string `json:"types"`
	Steered string   `json:"steered"`
	Error   string   `json:"error"`
}

// The official Node SDK does not know Kimi Code 2.x, but drives it through kimi-wire.
func TestWireUnderNodeSDK(t *testing.T) {
	t.Parallel()
	question := map[string]any{"questions": []any{map[string]any{
		"question": "Which?", "header": "W", "multi_select": false,
		"options": []any{map[string]string{"label": "A", "description": "a"}, map[string]string{"label": "B", "description": "b"}},
	}}}
	model := clienttest.NewModel(t,
		"text: Hello",
		clienttest.ToolCall("c1", "Bash", map[string]string{"command": "echo made > file"}), "text: made",
		clienttest.ToolCall("c2", "AskUserQuestion", question), "text: asked",
		clienttest.ToolCall("c3", "Bash", map[string]string{"command": "true"}), "text: in red",
		"text: hanging\nhang:",
		"text: alive",
		"text: resumed",
	)
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = model.URL()
	node, sdk := nodeSDK(t, opts.Executable)
	d := &demo{work: opts.WorkDir, share: opts.ShareDir}
	d.setenv(opts.Env)
	d.setenv(map[string]string{"KIMI_PATH": opts.Executable, "KIMI_SHARE_DIR": opts.ShareDir})
	kimiWire := d.link(t, wireProgram)
	script, err := filepath.Abs(filepath.Join("testdata", "sdk.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(turns string) (list []sdkTurn) {
		t.Helper()
		cmd := d.command(t, script, sdk, kimiWire, "0f6f5b0a-7d3c-4a52-9a39-6f0b6c1d2e3f")
		cmd.Path, cmd.Args[0] = node, node
		var stdout, stderr strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(turns), &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
		}
		for dec := json.NewDecoder(strings.NewReader(stdout.String())); ; {
			var turn sdkTurn
			if err := dec.Decode(&turn); errors.Is(err, io.EOF) {
				return list
			} else if err != nil {
				t.Fatal(err)
			}
			// The time of the token counts and the number of pieces of arguments depend on how busy the machine is.
			turn.Types = slices.DeleteFunc(turn.Types, func(s string) bool { return s == "StatusUpdate" || s == "ToolCallPart" })
			list = append(list, turn)
		}
	}
	types := func(s string) []string { return strings.Fields("TurnBegin StepBegin " + s + " TurnEnd") }
	want := []sdkTurn{
		{Status: "finished", Text: "Hello", Types: types("ContentPart")},
		{Status: "finished", Text: "made", Types: types("ToolCall ApprovalRequest ApprovalResponse ToolResult StepBegin ContentPart")},
		{Status: "finished", Text: "asked", Types: types("ToolCall QuestionRequest ToolResult StepBegin ContentPart")},
		{Status: "finished", Text: "in red", Types: types("ToolCall ApprovalRequest ApprovalResponse ToolResult SteerInput StepBegin ContentPart"), Steered: "make it red"},
		{Status: "cancelled", Text: "hanging", Types: types("ContentPart")},
		{Status: "finished", Text: "alive", Types: types("ContentPart")},
	}
	got := run(`[{"prompt":"hi"},{"prompt":"make","act":"approve"},{"prompt":"ask","act":"B"},{"prompt":"paint","act":"approve","steer":"make it red"},{"prompt":"hang","act":"interrupt"},{"prompt":"alive?"}]`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if requests := model.Requests(); len(requests) < 7 || !strings.Contains(string(requests[6]), "make it red") {
		t.Errorf("the model was asked %d times, or not told in that turn", len(requests))
	}
	if _, err := os.Stat(filepath.Join(d.work, "file")); err != nil {
		t.Error(err)
	}
	again := run(`[{"prompt":"do you remember?"}]`)
	if diff := cmp.Diff([]sdkTurn{{Status: "finished", Text: "resumed", Types: types("ContentPart")}}, again); diff != "" {
		t.Error(diff)
	}
}
