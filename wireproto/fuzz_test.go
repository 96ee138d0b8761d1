package wireproto

import (
	"bufio"
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// compareRaw compares raw JSON by its value, and treats values as equal if they have the same JSON.
var compareRaw = cmp.Options{
	cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().Type() != reflect.TypeFor[json.RawMessage]()
	}, cmpopts.EquateEmpty()), // a null list is written as []
	cmp.Transformer("Type", func(c *ToolCall) any { // "" is written as "function"
		if c == nil {
			return nil
		}
		return []any{stdcmp.Or(c.Type, "function"), c.ID, c.Function, c.Extras}
	}),
	cmp.Transformer("JSON", func(raw json.RawMessage) any {
		if raw == nil {
			return nil
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			return err.Error()
		}
		return v
	}),
}

// reference decodes a line with encoding/json alone. Its result is right if the line is valid JSON and the names of its
// members have no escapes.
func reference(line []byte) (id string, text *string) {
	members := func(raw json.RawMessage) (m map[string]json.RawMessage) {
		json.Unmarshal(raw, &m)
		return m
	}
	frame := members(line)
	json.Unmarshal(frame["id"], &id)
	params := members(frame["params"])
	payload := members(params["payload"])
	if string(frame["method"]) == `"event"` && string(params["type"]) == `"ContentPart"` && string(payload["type"]) == `"text"` {
		json.Unmarshal(payload["text"], &text)
	}
	return id, text
}

// A frame that decodes has the values that encoding/json reads. It encodes to one valid line, and this line decodes to
// an equal frame.
func FuzzDecode(f *testing.F) {
	for _, line := range jsonLines(f, "agent.jsonl") {
		f.Add([]byte(line))
	}
	for _, line := range jsonLines(f, "messages.jsonl") {
		f.Add([]byte(`{"jsonrpc":"2.0","method":"event","params":` + line + `}`))
	}
	for _, line := range []string{
		`{"id":"1","method":"prompt","params":{"user_input":"\ud800"}}`,
		`{"method":"event","params":{"type":"New","payload":{"a":[1e999,-0,"\udc00",true]}}}`,
		`{"method":"event","params":{"type":"SubagentEvent","payload":{"task_tool_call_id":"t","event":{"type":"SubagentEvent","payload":{}}}}}`,
		`{"method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"\u0000\ud83d\ude00\/"}}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := DecodeLine(line)
		if err != nil {
			if n := len(err.Error()); n > 320 {
				t.Fatalf("error of %d bytes", n)
			}
			return
		}
		for _, raw := range []json.RawMessage{first.Params, first.Result} {
			if raw != nil && !json.Valid(raw) {
				t.Fatalf("invalid JSON is kept: %q", raw)
			}
		}
		if json.Valid(line) && !bytes.Contains(line, []byte(`\u`)) && bytes.Count(line, []byte(`"text"`)) <= 2 {
			id, text := reference(line)
			if id != first.ID {
				t.Fatalf("id is %q, encoding/json reads %q", first.ID, id)
			}
			part, ok := first.Message.(*TextPart)
			if ok != (text != nil) || ok && part.Text != *text {
				t.Fatalf("message is %#v, encoding/json reads the text %v", first.Message, text)
			}
		}
		var out bytes.Buffer
		if err := NewEncoder(&out).Encode(first); err != nil {
			if first.ID == "" && (first.Method != MethodEvent) {
				return // a call or an answer without an id
			}
			t.Fatalf("%+v does not encode: %v", first, err)
		}
		text, ok := bytes.CutSuffix(out.Bytes(), []byte("\n"))
		if !ok || bytes.IndexByte(text, '\n') >= 0 || !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("not one valid line: %q", out.Bytes())
		}
		second, err := DecodeLine(text)
		if err != nil {
			t.Fatalf("%s does not decode again: %v", text, err)
		}
		if diff := cmp.Diff(first, second, compareRaw); diff != "" {
			t.Fatalf("decodes to something else (-first +second):\n%s", diff)
		}
	})
}

// chunks is a reader that yields the data of r in pieces of random sizes.
type chunks struct {
	r   io.Reader
	rnd *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	return c.r.Read(p[:min(len(p), 1+c.rnd.IntN(40))])
}

// The lines and frames do not depend on where the reader cuts the input.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("{\"id\":\"1\",\"result\":{}}\n\n\u2028\u0085\r\x00\nhalf"), uint16(10), uint64(1))
	f.Add([]byte(strings.Repeat("0123456789abcdef", 30)+"\nx\n"+strings.Repeat("y", 479)), uint16(479), uint64(2))
	f.Add([]byte(strings.Repeat("z", 1000)), uint16(200), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, limit uint16, seed uint64) {
		limit = max(limit, 1)
		want := splitLines(string(data), int(limit))
		rnd := rand.New(rand.NewPCG(seed, 0))
		readers := map[string]io.Reader{
			"whole":       bytes.NewReader(data),
			"single":      iotest.OneByteReader(bytes.NewReader(data)),
			"half":        iotest.HalfReader(bytes.NewReader(data)),
			"data at EOF": iotest.DataErrReader(bytes.NewReader(data)),
			"random":      &chunks{bytes.NewReader(data), rnd},
			"both":        iotest.DataErrReader(&chunks{bytes.NewReader(data), rnd}),
		}
		for name, r := range readers {
			// The buffer is small, so that short inputs run through all of the code.
			l := &LineReader{Limit: int(limit), r: bufio.NewReaderSize(r, 16)}
			if diff := cmp.Diff(want, readAll(t, l)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", name, diff)
			}
		}
		// The decoder returns the frames of the same lines.
		d := NewDecoder(&chunks{bytes.NewReader(data), rnd})
		d.SetMaxLine(int(limit))
		for i, r := range want {
			got, err := d.Decode()
			wantFrame, wantErr := DecodeLine([]byte(r.Line))
			if r.Size > 0 {
				wantFrame, wantErr = nil, ErrLineTooLong
			}
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("line %d gives %v, want %v", i, err, wantErr)
			}
			if diff := cmp.Diff(wantFrame, got, compareRaw); diff != "" {
				t.Fatalf("line %d (-want +got):\n%s", i, diff)
			}
		}
		if _, err := d.Decode(); err != io.EOF {
			t.Fatalf("the end gives %v", err)
		}
	})
}
