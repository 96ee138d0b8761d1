package wireproto

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Values that this version does not know or cannot read encode to the JSON from which they were decoded.
func TestUnknownSurvives(t *testing.T) {
	tests := []struct{ name, in, unknown string }{
		{"type", `{"type":"Telepathy","payload":{"to":["a",{"b":null}],"n":1.50}}`, "message Telepathy"},
		{"type without payload", `{"type":"Telepathy"}`, "message Telepathy"},
		{"null payload of an unknown type", `{"type":"Telepathy","payload":null}`, "message Telepathy"},
		{"type in the member's place", `{"type":"TurnEnd ","payload":{}}`, "message TurnEnd "},
		{"part", `{"type":"ContentPart","payload":{"type":"smell","smell":{"of":"smoke"}}}`, "part smell"},
		{"part in a prompt", `{"type":"TurnBegin","payload":{"user_input":[{"type":"smell","x":[1]},{"type":"text","text":"t"}]}}`, "part smell"},
		{"part in a tool's output", `{"type":"ToolResult","payload":{"tool_call_id":"t","return_value":{"is_error":false,"output":[{"type":"smell"}],"message":"","display":[],"extras":null}}}`, "part smell"},
		{"block", `{"type":"ToolResult","payload":{"tool_call_id":"t","return_value":{"is_error":false,"output":"","message":"","display":[{"type":"map","at":[1,2]},{"type":"brief","text":"b"}],"extras":null}}}`, "block map"},
		{"event of a subagent", `{"type":"SubagentEvent","payload":{"parent_tool_call_id":null,"agent_id":null,"subagent_type":null,"event":{"type":"Telepathy","payload":{"x":1}}}}`, "message Telepathy"},

		{"payload of another shape", `{"type":"StepBegin","payload":{"n":"two"}}`, "message StepBegin"},
		{"number too large", `{"type":"StepBegin","payload":{"n":123456789012345678901234567890}}`, "message StepBegin"},
		{"payload is a list", `{"type":"TurnEnd","payload":[1,2]}`, "message TurnEnd"},
		{"payload is text", `{"type":"TurnEnd","payload":"end"}`, "message TurnEnd"},
		{"content is an object", `{"type":"TurnBegin","payload":{"user_input":{"text":"t"}}}`, "message TurnBegin"},
		{"content holds a number", `{"type":"TurnBegin","payload":{"user_input":[1]}}`, "message TurnBegin"},
		{"content holds null", `{"type":"TurnBegin","payload":{"user_input":[null]}}`, "message TurnBegin"},
		{"text is no string", `{"type":"ContentPart","payload":{"type":"text","text":5}}`, "part text"},
		{"text is null", `{"type":"ContentPart","payload":{"type":"text","text":null}}`, "part text"},
		{"text is absent", `{"type":"ContentPart","payload":{"type":"text"}}`, "part text"},
		{"encrypted is no string", `{"type":"ContentPart","payload":{"type":"think","think":"h","encrypted":1}}`, "part think"},
		{"image is null", `{"type":"ContentPart","payload":{"type":"image_url","image_url":null}}`, "part image_url"},
		{"image has no URL", `{"type":"ContentPart","payload":{"type":"image_url","image_url":{"id":"i"}}}`, "part image_url"},
		{"image is of another kind", `{"type":"ContentPart","payload":{"type":"image_url","audio_url":{"url":"u","id":null}}}`, "part image_url"},
		{"part has no type", `{"type":"ContentPart","payload":{"text":"t"}}`, "message ContentPart"},
		{"part is null", `{"type":"ContentPart","payload":null}`, "message ContentPart"},
		{"part is absent", `{"type":"ContentPart"}`, "message ContentPart"},
		{"arguments are an object", `{"type":"ToolCallPart","payload":{"arguments_part":{}}}`, "message ToolCallPart"},
		{"block of another shape", `{"type":"ApprovalRequest","payload":{"id":"r","tool_call_id":"t","sender":"s","action":"a","description":"d","source_kind":null,"source_id":null,"agent_id":null,"subagent_type":null,"source_description":null,"display":[{"type":"diff","path":1}]}}`, "block diff"},
		{"block is null", `{"type":"ApprovalRequest","payload":{"id":"r","display":[null]}}`, "message ApprovalRequest"},
		{"block has no type", `{"type":"ApprovalRequest","payload":{"id":"r","display":[{"x":1}]}}`, "message ApprovalRequest"},
		{"blocks are text", `{"type":"ApprovalRequest","payload":{"id":"r","display":"brief"}}`, "message ApprovalRequest"},
		{"subagent without event", `{"type":"SubagentEvent","payload":{"agent_id":"a"}}`, "message SubagentEvent"},
		{"subagent with a null event", `{"type":"SubagentEvent","payload":{"event":null}}`, "message SubagentEvent"},
		{"subagent with a nameless event", `{"type":"SubagentEvent","payload":{"event":{"payload":{}}}}`, "message SubagentEvent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := UnmarshalMessage([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.unknown}, unknowns(reflect.ValueOf(m))); diff != "" {
				t.Errorf("what is unknown (-want +got):\n%s", diff)
			}
			got, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffJSON(t, tt.in, string(got)); diff != "" {
				t.Errorf("(-in +out):\n%s", diff)
			}
		})
	}
}

func TestNotAMessage(t *testing.T) {
	for _, in := range []string{
		``, `null`, `5`, `"TurnEnd"`, `[]`, `{}`, `{"payload":{}}`, `{"type":null}`, `{"type":""}`, `{"type":5}`,
		`{"type":"TurnEnd"`, `{"type":"TurnEnd","payload":}`, `{"type":"TurnEnd","payload":{}}}`, `{"type":"TurnEnd","payload":{}} x`,
		`{"type":"ContentPart","payload":{"type":"text","text":"` + "\x01" + `"}}`,
		`{"type":"X","payload":[}`,
	} {
		if m, err := UnmarshalMessage([]byte(in)); err == nil {
			t.Errorf("%s is taken for a %T", in, m)
		} else if !strings.HasPrefix(err.Error(), "wireproto: ") {
			t.Errorf("error of %s does not tell the package: %v", in, err)
		}
	}
}

// The number of SubagentEvents inside each other has a limit, because each level is read once more. A deeper one stays
// raw JSON.
func TestNestedSubagents(t *testing.T) {
	const head, tail = `{"type":"SubagentEvent","payload":{"parent_tool_call_id":null,"agent_id":null,"subagent_type":null,"event":`, `}}`
	for _, depth := range []int{1, maxNesting, maxNesting + 1, 4000} {
		in := strings.Repeat(head, depth) + `{"type":"TurnEnd","payload":{}}` + strings.Repeat(tail, depth)
		m, err := UnmarshalMessage([]byte(in))
		if err != nil {
			t.Fatalf("depth %d: %v", depth, err)
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("depth %d: %v", depth, err)
		}
		if diff := diffJSON(t, in, string(out)); diff != "" {
			t.Errorf("depth %d encodes to other JSON", depth)
		}
		typed := 0
		for {
			sub, ok := m.(*SubagentEvent)
			if !ok {
				break
			}
			typed, m = typed+1, sub.Event
		}
		if want := min(depth, maxNesting); typed != want {
			t.Errorf("depth %d: %d typed levels, want %d", depth, typed, want)
		}
	}
}

// Agents before protocol 1.10 leave out members and use two other names.
func TestOlderPeers(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{
			"ApprovalRequestResolved, protocol 1",
			`{"type":"ApprovalRequestResolved","payload":{"request_id":"r","response":"approve"}}`,
			`{"type":"ApprovalResponse","payload":{"request_id":"r","response":"approve","feedback":""}}`,
		},
		{
			"task_tool_call_id, protocol 1.5",
			`{"type":"SubagentEvent","payload":{"task_tool_call_id":"t","event":{"type":"StepBegin","payload":{"n":1}}}}`,
			`{"type":"SubagentEvent","payload":{"parent_tool_call_id":"t","agent_id":null,"subagent_type":null,"event":{"type":"StepBegin","payload":{"n":1}}}}`,
		},
		{
			"StatusUpdate, protocol 1",
			`{"type":"StatusUpdate","payload":{"context_usage":0.25}}`,
			`{"type":"StatusUpdate","payload":{"context_usage":0.25,"context_tokens":null,"max_context_tokens":null,"token_usage":null,"message_id":null,"plan_mode":null,"mcp_status":null}}`,
		},
		{
			"ApprovalRequest, protocol 1.1",
			`{"type":"ApprovalRequest","payload":{"id":"r","tool_call_id":"t","sender":"s","action":"a","description":"d"}}`,
			`{"type":"ApprovalRequest","payload":{"id":"r","tool_call_id":"t","sender":"s","action":"a","description":"d","source_kind":null,"source_id":null,"agent_id":null,"subagent_type":null,"source_description":null,"display":[]}}`,
		},
		{
			"diff without lines",
			`{"type":"ToolResult","payload":{"tool_call_id":"t","return_value":{"is_error":false,"output":"","message":"","display":[{"type":"diff","path":"p","old_text":"o","new_text":"n"}]}}}`,
			`{"type":"ToolResult","payload":{"tool_call_id":"t","return_value":{"is_error":false,"output":"","message":"","display":[{"type":"diff","path":"p","old_text":"o","new_text":"n","old_start":1,"new_start":1,"is_summary":false}],"extras":null}}}`,
		},
		{
			"defaults of hooks",
			`{"type":"HookTriggered","payload":{"event":"Stop"}}`,
			`{"type":"HookTriggered","payload":{"event":"Stop","target":"","hook_count":1}}`,
		},
		{
			"defaults of hook results",
			`{"type":"HookResolved","payload":{"event":"Stop"}}`,
			`{"type":"HookResolved","payload":{"event":"Stop","target":"","action":"allow","reason":"","duration_ms":0}}`,
		},
		{
			"tool call without the type",
			`{"type":"ToolCall","payload":{"id":"t","function":{"name":"Shell"}}}`,
			`{"type":"ToolCall","payload":{"type":"function","id":"t","function":{"name":"Shell","arguments":null},"extras":null}}`,
		},
		{
			"no payload",
			`{"type":"TurnEnd"}`,
			`{"type":"TurnEnd","payload":{}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := UnmarshalMessage([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffJSON(t, tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// In a StatusUpdate, null means "no change". It never becomes false or 0, and these never become null.
func TestNullIsNoValue(t *testing.T) {
	const null = `{"type":"StatusUpdate","payload":{"context_usage":null,"context_tokens":null,"max_context_tokens":null,"token_usage":null,"message_id":null,"plan_mode":null,"mcp_status":null}}`
	const zero = `{"type":"StatusUpdate","payload":{"context_usage":0,"context_tokens":0,"max_context_tokens":0,"token_usage":{"input_other":0,"output":0,"input_cache_read":0,"input_cache_creation":0},"message_id":"","plan_mode":false,"mcp_status":{"loading":false,"connected":0,"total":0,"tools":0,"servers":[]}}}`
	for in, want := range map[string]Message{
		null: &StatusUpdate{},
		zero: &StatusUpdate{ptr(0.0), ptr(0), ptr(0), &TokenUsage{}, ptr(""), ptr(false), &MCPStatus{Servers: []MCPServer{}}},
	} {
		got, err := UnmarshalMessage([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		out, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffJSON(t, in, string(out)); diff != "" {
			t.Errorf("(-in +out):\n%s", diff)
		}
	}
}
