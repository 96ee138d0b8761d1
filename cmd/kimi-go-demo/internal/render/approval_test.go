package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Every argument of a call is shown, unless it was already shown word for word.
func TestApprovalRows(t *testing.T) {
	shell := &wireproto.ShellDisplayBlock{Command: "ls"}
	file := &wireproto.DiffDisplayBlock{Path: "/a", NewText: "x\ny", NewStart: 1}
	for _, tt := range []struct {
		name, call, args string
		display          wireproto.DisplayBlock
		want             string
	}{
		{"in order, twice, empty", "q", `{"b": 1.50, "a": "", "b": null, "c": true}`, nil, "      it|    • q|      b: 1.50|      a: \"\"|      b: null|      c: true"},
		{"several lines", "q", `{"sql": "SELECT 1 --\nDROP", "x": "y"}`, nil, "      it|    • q|      sql:|      │ SELECT 1 --|      │ DROP|      x: y"},
		{"nested", "q", `{"a": {"b": [{"c": "d\ne"}, "f", []]}}`, nil, "      it|    • q|      a:|        b:|          -|            c:|            │ d|            │ e|          - f|          - []"},
		{"deep", "q", strings.Repeat(`{"a":`, 9) + `"x\ny"` + strings.Repeat("}", 9), nil,
			"      it|    • q|      a:|        a:|          a:|            a:|              a:|" + `                a: {"a":{"a":{"a":"x\ny"}}}`},
		{"a list", "q", `["a"]`, nil, "      it|    • q|      - a"},
		{"a text", "q", `"a\nb"`, nil, "      it|    • q|      |      │ a|      │ b"},
		{"no JSON", "q", "{\"a\": 1\n", nil, "      it|    • q|      {\"a\": 1|    these arguments are not valid JSON"},
		{"no arguments", "q", "", nil, "      it|    • q, without arguments"},
		{"unknown", "", "", nil, "      it|    the call itself is not known here"},
		{"a key with a line end", "q", `{"a\n? b": 1}`, nil, "      it|    • q|      a⏎? b: 1"},
		{"command", "tool", `{"command": "ls"}`, shell, "    $ ls"},
		{"command and more", "tool", `{"command": "ls", "timeout": 9}`, shell, "    $ ls|    • tool|      timeout: 9"},
		{"another command", "tool", `{"command": "rm", "other": "ls"}`, shell, "    $ ls|    • tool|      command: rm|      other: ls"},
		{"command of another tool", "other", `{"command": "ls"}`, shell, "    $ ls|    • other"},
		{"new file", "tool", `{"path": "/a", "content": "x\ny\n"}`, file, "    /a:1  +2 -0|    + x|    + y"},
		{"not the content", "tool", `{"path": "/a", "content": "x"}`, file, "    /a:1  +2 -0|    + x|    + y|    • tool|      content: x"},
		{"summary", "tool", `{"path": "/a", "content": "(12000 lines)"}`, &wireproto.DiffDisplayBlock{Path: "/a", NewText: "(12000 lines)", IsSummary: true},
			"    /a:  → (12000 lines): too long for a diff, these are only the sizes|    • tool|      content: (12000 lines)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &wireproto.ApprovalRequest{Sender: "tool", Action: "act", Description: "it"}
			if tt.display != nil {
				m.Display = wireproto.DisplayBlocks{tt.display}
			}
			var got []string
			for _, r := range screen.Layout(ApprovalRows(m, tt.call, []byte(tt.args)), 0) {
				got = append(got, r.String())
			}
			if diff := cmp.Diff("? tool wants to act|"+tt.want, strings.Join(got, "|")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
