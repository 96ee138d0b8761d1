package wireproto_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/wireproto"
)

// oneStep is a type for a reader that decodes each line by one call of encoding/json. Such a reader knows only one kind
// of message.
type oneStep struct {
	ID     *string `json:"id"`
	Method string  `json:"method"`
	Params struct {
		Type    string `json:"type"`
		Payload struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"payload"`
	} `json:"params"`
}

// repeat is a reader that yields the same line without end.
type repeat struct {
	line []byte
	rest []byte
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 {
			r.rest = r.line
		}
		c := copy(p[n:], r.rest)
		r.rest = r.rest[c:]
		n += c
	}
	return n, nil
}

func BenchmarkDecode(b *testing.B) {
	texts := []struct{ name, text string }{
		{"64B", strings.Repeat("Some text, 16 b ", 4)},
		{"64B-escapes", strings.Repeat("a\tsecond line.\n\"", 4)},
		{"64B-chinese", strings.Repeat("月之暗面", 5) + "1234"},
		{"64KiB", strings.Repeat("Some text, 16 b ", 4096)},
		{"64KiB-chinese", strings.Repeat("月之暗面", 5461) + "1234"},
	}
	for _, tt := range texts {
		quoted, err := json.Marshal(tt.text)
		if err != nil {
			b.Fatal(err)
		}
		line := fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":%s}}}`+"\n", quoted)
		b.Run(tt.name+"/wireproto", func(b *testing.B) {
			dec := wireproto.NewDecoder(&repeat{line: line})
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				f, err := dec.Decode()
				if err != nil {
					b.Fatal(err)
				}
				if part, ok := f.Message.(*wireproto.TextPart); !ok || len(part.Text) != len(tt.text) {
					b.Fatalf("decoded %#v", f.Message)
				}
			}
		})
		b.Run(tt.name+"/encoding-json", func(b *testing.B) {
			lines := wireproto.NewLineReader(&repeat{line: line})
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				raw, err := lines.ReadLine()
				if err != nil {
					b.Fatal(err)
				}
				var f oneStep
				if err := json.Unmarshal(raw, &f); err != nil {
					b.Fatal(err)
				}
				if len(f.Params.Payload.Text) != len(tt.text) {
					b.Fatalf("decoded %#v", f)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	params, err := json.Marshal(wireproto.PromptParams{UserInput: wireproto.Content{Text: strings.Repeat("Some text, 16 b ", 4)}})
	if err != nil {
		b.Fatal(err)
	}
	frames := map[string]*wireproto.Frame{
		"event":  {Method: wireproto.MethodEvent, Message: &wireproto.TextPart{Text: strings.Repeat("Some text, 16 b ", 4)}},
		"prompt": {Method: wireproto.MethodPrompt, ID: "1", Params: params},
	}
	for name, frame := range frames {
		b.Run(name, func(b *testing.B) {
			enc := wireproto.NewEncoder(io.Discard)
			b.ReportAllocs()
			for b.Loop() {
				if err := enc.Encode(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The benchmarks measure nothing useful unless repeat yields exactly the line, again and again.
func TestRepeat(t *testing.T) {
	got, err := io.ReadAll(io.LimitReader(&repeat{line: []byte("ab\n")}, 7))
	if err != nil || !bytes.Equal(got, []byte("ab\nab\na")) {
		t.Fatalf("read %q, %v", got, err)
	}
}
