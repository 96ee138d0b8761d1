package clienttest_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// oneLine are texts that kimi-cli's own model can say.
var oneLine = []string{
	"plain", "  blanks at both ends  ", "\ttab\t", `"quoted"`, `'single'`, `"`, `half "`, `back\slash \n`, `# no comment`, "```", "echo",
	"text: in text", `{"a": 1}`, "<b>&amp;</b>", "größe 日本語 🎉 e\u0301 \u200b\u202e", "\x1b[31mred\x1b[0m",
}

// lines are texts that kimi-cli's own model cannot say.
var lines = []string{
	"# Title\n\nA *paragraph*\nof two lines.\n\n```go\n\tfunc main() {}\n```\n\n    code\n- one\n  - two\n",
	"{\n  \"path\": \"a\\nb\",\n  \"list\": [\n    1,\n    \"\\\"x\\\"\"\n  ]\n}", "\n", "\n\n lead", "trail \n ", "cr\rlf\r\n", "a\u0085b\u2028c\u2029d\ve\ff\x1cg",
	"\"one\ntwo\"", "wait: 1h\nhang:",
}

// NewModel reads from the line of each function the value that the function was given.
func TestSay(t *testing.T) {
	for _, text := range slices.Concat(oneLine, lines, []string{""}) {
		m := clienttest.NewModel(t,
			clienttest.Reply(clienttest.Think(text), clienttest.Text(text), clienttest.ToolCall("c", "Shell", map[string]string{"command": text}), "usage: input_other=7 output=2"),
			clienttest.Error(418, text))
		resp, err := post(t.Context(), m, plain)
		if err != nil {
			t.Fatal(err)
		}
		var whole struct {
			Choices []struct {
				Message struct {
					Content   string
					Reasoning string                                          `json:"reasoning_content"`
					Calls     []struct{ Function struct{ Arguments string } } `json:"tool_calls"`
				}
			}
			Usage struct {
				In int `json:"prompt_tokens"`
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&whole); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(whole.Choices) != 1 || len(whole.Choices[0].Message.Calls) != 1 || whole.Usage.In != 7 {
			t.Fatalf("%q: %+v", text, whole)
		}
		said := whole.Choices[0].Message
		var args struct{ Command string }
		if err := json.Unmarshal([]byte(said.Calls[0].Function.Arguments), &args); err != nil {
			t.Error(err)
		}
		for what, got := range map[string]string{"text": said.Content, "thinking": said.Reasoning, "arguments": args.Command} {
			if got != text {
				t.Errorf("%s: %q arrives as %q", what, text, got)
			}
		}
		if resp, err = post(t.Context(), m, plain); err != nil {
			t.Fatal(err)
		}
		var failed struct{ Error struct{ Message string } }
		if err := json.NewDecoder(resp.Body).Decode(&failed); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := text
		if text == "" {
			want = "Simulated 418 error"
		}
		if resp.StatusCode != 418 || failed.Error.Message != want {
			t.Errorf("error: %q arrives as %d %q", want, resp.StatusCode, failed.Error.Message)
		}
	}
}

// kimi-cli and NewModel read a line that was written by hand in the same way: the same characters end it.
func TestLinesOfKimi(t *testing.T) {
	m := clienttest.NewModel(t, "text: one\u2028text: two\rtext: three")
	resp, err := post(t.Context(), m, plain)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(got), `"onetwothree"`) {
		t.Errorf("%s, %v", got, err)
	}
}

// Any text, and the arguments of any tool call, arrive unchanged from the scripts of both real kimis.
func TestAnyText(t *testing.T) {
	type options = func(clienttest.TB, ...string) *client.Options
	for _, test := range []struct {
		name  string
		kimi  options
		shell string
		texts []string
	}{
		{"kimi-cli's own model", clienttest.Kimi, "Shell", oneLine},
		{"kimi-cli", clienttest.Kimi, "Shell", slices.Concat(lines, oneLine)},
		{"Kimi Code", clienttest.KimiCode, "Bash", slices.Concat(lines, oneLine)},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			all := strings.Join(test.texts, "|")
			scripts := []string{clienttest.Reply(clienttest.Text("I look."), clienttest.ToolCall("c1", test.shell, map[string]string{"command": "true", "description": all})), clienttest.Text("done")}
			for _, text := range test.texts {
				scripts = append(scripts, clienttest.Reply(clienttest.Think(text), clienttest.Text("·"+text), clienttest.Text(text)))
			}
			opts := test.kimi(t, scripts...)
			opts.Yolo, opts.StartTimeout = true, 2*time.Minute // the machine may be busy
			s, err := client.NewSession(ctx, opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			said := func() (text, think, args string) {
				turn, err := s.Prompt(ctx, "go on")
				if err != nil {
					t.Fatal(err)
				}
				for m, err := range client.Merge(turn.Messages()) {
					if err != nil {
						t.Fatal(err)
					}
					switch m := m.(type) {
					case *wireproto.TextPart:
						text += m.Text
					case *wireproto.ThinkPart:
						think += m.Think
					case *wireproto.ToolCall:
						args = *m.Function.Arguments
					}
				}
				return text, think, args
			}
			var args struct{ Description string }
			if _, _, raw := said(); json.Unmarshal([]byte(raw), &args) != nil || args.Description != all {
				t.Errorf("arguments: %s", cmp.Diff(all, args.Description))
			}
			for _, want := range test.texts {
				text, think, _ := said()
				if text != "·"+want+want || think != want {
					t.Errorf("%q arrives as text %q, thinking %q", want, text, think)
				}
			}
		})
	}
}
