package wireproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEncode(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	tests := []struct {
		in   *Frame
		want string // "" if Encode refuses the frame
	}{
		{&Frame{ID: "1", Method: "cancel"}, `{"jsonrpc":"2.0","method":"cancel","id":"1"}`},
		{&Frame{ID: "1", Method: "prompt", Params: raw(" {\n\"user_input\" : \"<&>\"}")}, `{"jsonrpc":"2.0","method":"prompt","id":"1","params":{"user_input":"<&>"}}`},
		{&Frame{ID: "1", Result: raw(`null`)}, `{"jsonrpc":"2.0","id":"1","result":null}`},
		{&Frame{ID: "1", Error: &RPCError{Method: "m", Code: -1, Message: "x"}}, `{"jsonrpc":"2.0","id":"1","error":{"code":-1,"message":"x","data":null}}`},
		{&Frame{Error: &RPCError{Code: -32700, Message: "x", Data: raw(`1`)}}, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x","data":1}}`},
		{&Frame{Method: MethodEvent, Message: &TextPart{"<b>\n"}}, `{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"<b>\n"}}}`},
		{&Frame{ID: "r", Method: MethodRequest, Message: &ToolCallRequest{ID: "r"}}, `{"jsonrpc":"2.0","method":"request","id":"r","params":{"type":"ToolCallRequest","payload":{"id":"r","name":"","arguments":null}}}`},
		{&Frame{ID: "\xff\"", Result: raw(`{}`)}, `{"jsonrpc":"2.0","id":"\ufffd\"","result":{}}`},

		{&Frame{}, ""},
		{&Frame{Method: "prompt"}, ""},
		{&Frame{Method: "cancel", Params: raw(`{}`)}, ""},
		{&Frame{Method: MethodRequest, Message: &ToolCallRequest{}}, ""},
		{&Frame{Method: MethodEvent}, ""},
		{&Frame{Method: MethodEvent, Message: (*TextPart)(nil)}, ""},
		{&Frame{Method: MethodEvent, Params: raw(`{}`)}, ""},
		{&Frame{Method: MethodEvent, Message: &SubagentEvent{}}, ""},
		{&Frame{Method: MethodEvent, Message: &UnknownMessage{"x", raw(`{`)}}, ""},
		{&Frame{Method: MethodEvent, Message: &UnknownPart{"x", raw(`nul`)}}, ""},
		{&Frame{ID: "1"}, ""},
		{&Frame{Result: raw(`{}`)}, ""},
		{&Frame{ID: "1", Result: raw(`{"a":1}}`)}, ""},
		{&Frame{ID: "1", Result: raw(``)}, ""},
		{&Frame{ID: "1", Method: "prompt", Params: raw("{}\n{}")}, ""},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		err := NewEncoder(&out).Encode(tt.in)
		if tt.want == "" {
			if err == nil || out.Len() > 0 {
				t.Errorf("%+v is not refused: %v, %s", tt.in, err, out.String())
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tt.in, err)
		} else if got := out.String(); got != tt.want+"\n" {
			t.Errorf("got  %swant %s", got, tt.want)
		}
	}
}

// writes counts the calls of Write.
type writes []int

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, len(p))
	return len(p), nil
}

func TestEncodeWritesLinesOnce(t *testing.T) {
	var w writes
	e := NewEncoder(&w)
	for range 2 {
		if err := e.Encode(&Frame{ID: "1", Result: json.RawMessage("0")}); err != nil {
			t.Fatal(err)
		}
	}
	n := len(`{"jsonrpc":"2.0","id":"1","result":0}` + "\n")
	if diff := cmp.Diff(writes{n, n}, w); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	pr, pw := io.Pipe()
	pr.Close()
	if err := NewEncoder(pw).Encode(&Frame{ID: "1", Result: json.RawMessage("0")}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe gives %v", err)
	}
}

// Encode writes a line of the greatest length that kimi reads. It refuses a line of one byte more, and writes nothing.
func TestEncodeTooLong(t *testing.T) {
	frame := &Frame{ID: "1", Result: json.RawMessage(`"` + strings.Repeat("x", 2<<20) + `"`)}
	exact := len(`{"jsonrpc":"2.0","id":"1","result":}`) + len(frame.Result)
	var w writes
	e := NewEncoder(&w)
	if e.limit != MaxLine {
		t.Errorf("the limit is %d", e.limit)
	}
	for _, e.limit = range []int{exact - 1, exact} {
		if err := e.Encode(frame); errors.Is(err, ErrLineTooLong) != (e.limit < exact) {
			t.Errorf("limit %d, line of %d bytes: %v", e.limit, exact, err)
		}
		if e.buf.Cap() > 1<<20 {
			t.Errorf("the encoder keeps %d bytes", e.buf.Cap())
		}
	}
	if diff := cmp.Diff(writes{exact + 1}, w); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

// Encode replaces unpaired surrogates, which only raw JSON can contain. A single one would make kimi stop answering.
func TestEncodeSurrogates(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"none", `"a\u0041\n"`, `"a\u0041\n"`},
		{"pair", `"\ud83d\ude00"`, `"\ud83d\ude00"`},
		{"pair in capitals", `"\uD83D\uDE00"`, `"\uD83D\uDE00"`},
		{"high", `"\ud800"`, `"\ufffd"`},
		{"high in capitals", `"x\uDBFFy"`, `"x\ufffdy"`},
		{"low", `"\udc00x"`, `"\ufffdx"`},
		{"wrong order", `"\ude00\ud83d"`, `"\ufffd\ufffd"`},
		{"two high", `"\ud83d\ud83d\ude00"`, `"\ufffd\ud83d\ude00"`},
		{"two low", `"\ud83d\ude00\ude00"`, `"\ud83d\ude00\ufffd"`},
		{"high before text", `"\ud83dude00"`, `"\ufffdude00"`},
		{"high before another escape", `"\ud83d\n\ude00"`, `"\ufffd\n\ufffd"`},
		{"high before a plain escape", `"\ud83d\u0041"`, `"\ufffd\u0041"`},
		{"high before a backslash", `"\ud83d\\ude00"`, `"\ufffd\\ude00"`},
		{"escaped backslash", `"\\ud800"`, `"\\ud800"`},
		{"two escaped backslashes", `"\\\\ud800"`, `"\\\\ud800"`},
		{"backslash and surrogate", `"\\\ud800"`, `"\\\ufffd"`},
		{"quote and surrogate", `"\"\ud800\""`, `"\"\ufffd\""`},
		{"edges", `"\ud7ff\ue000\ud800\udfff\udbff\udc00"`, `"\ud7ff\ue000\ud800\udfff\udbff\udc00"`},
		{"name of a member", `{"\ud800":1}`, `{"\ufffd":1}`},
		{"invalid UTF-8", "\"a\xff\xfe月\xed\xa0\x80\"", "\"a\ufffd\ufffd月\ufffd\ufffd\ufffd\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := NewEncoder(&out).Encode(&Frame{ID: "1", Result: json.RawMessage(tt.in)}); err != nil {
				t.Fatal(err)
			}
			if want := `{"jsonrpc":"2.0","id":"1","result":` + tt.want + "}\n"; out.String() != want {
				t.Errorf("got  %swant %s", out.String(), want)
			}
		})
	}
	// Encode also replaces invalid text in ids and in raw members of messages.
	var out bytes.Buffer
	f := &Frame{ID: "\xed\xa0\x80", Method: MethodEvent, Message: &UnknownMessage{"\xff", json.RawMessage(`"\uDFFF"`)}}
	if err := NewEncoder(&out).Encode(f); err != nil {
		t.Fatal(err)
	}
	if want := `{"jsonrpc":"2.0","method":"event","id":"\ufffd\ufffd\ufffd","params":{"type":"\ufffd","payload":"\ufffd"}}` + "\n"; out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}

// Messages that are made in Go, for example by a fake agent, are written as by the agent: lists and maps are never
// null, and a tool call has its type.
func TestEncodeZeroMessages(t *testing.T) {
	tests := []struct {
		in   any
		want string
	}{
		{&TurnBegin{}, `{"type":"TurnBegin","payload":{"user_input":""}}`},
		{&StatusUpdate{MCPStatus: &MCPStatus{}}, `{"type":"StatusUpdate","payload":{"context_usage":null,"context_tokens":null,"max_context_tokens":null,"token_usage":null,"message_id":null,"plan_mode":null,"mcp_status":{"loading":false,"connected":0,"total":0,"tools":0,"servers":[]}}}`},
		{MCPServer{}, `{"name":"","status":"","tools":[]}`},
		{&Notification{}, `{"type":"Notification","payload":{"id":"","category":"","type":"","source_kind":"","source_id":"","title":"","body":"","severity":"","created_at":0,"payload":{}}}`},
		{&ToolCall{}, `{"type":"ToolCall","payload":{"type":"function","id":"","function":{"name":"","arguments":null},"extras":null}}`},
		{&ToolResult{}, `{"type":"ToolResult","payload":{"tool_call_id":"","return_value":{"is_error":false,"output":"","message":"","display":[],"extras":null}}}`},
		{&QuestionRequest{}, `{"type":"QuestionRequest","payload":{"id":"","tool_call_id":"","questions":[]}}`},
		{QuestionItem{}, `{"question":"","header":"","options":[],"multi_select":false,"body":"","other_label":"","other_description":""}`},
		{&HookRequest{}, `{"type":"HookRequest","payload":{"id":"","subscription_id":"","event":"","target":"","input_data":{}}}`},
		{&TodoDisplayBlock{}, `{"type":"todo","items":[]}`},
		{&UnknownDisplayBlock{Type: "x"}, `{"type":"x"}`},
		{&UnknownPart{Type: "x"}, `{"type":"ContentPart","payload":{"type":"x"}}`},
		{&UnknownMessage{Type: "x"}, `{"type":"x"}`},
		{Content{Parts: []ContentPart{&TextPart{"<t>"}, &ThinkPart{}}}, `[{"type":"text","text":"<t>"},{"type":"think","think":"","encrypted":null}]`},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.in)
		if err != nil {
			t.Errorf("%T: %v", tt.in, err)
		} else if diff := diffJSON(t, tt.want, string(got)); diff != "" {
			t.Errorf("%T (-want +got):\n%s", tt.in, diff)
		}
	}
}

// A nil inside a message gives an error, not a panic or null.
func TestEncodeNil(t *testing.T) {
	for _, v := range []any{
		Content{Parts: []ContentPart{nil}},
		Content{Parts: []ContentPart{(*TextPart)(nil)}},
		DisplayBlocks{nil},
		DisplayBlocks{(*TodoDisplayBlock)(nil)},
		&SubagentEvent{},
		&SubagentEvent{Event: (*TurnEnd)(nil)},
		&TurnBegin{Content{Parts: []ContentPart{nil}}},
	} {
		if out, err := json.Marshal(v); err == nil {
			t.Errorf("%#v encodes to %s", v, out)
		}
	}
}
