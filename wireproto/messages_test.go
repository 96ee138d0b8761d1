package wireproto

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jsonLines returns the lines of a file in testdata.
func jsonLines(t testing.TB, name string) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < 10 {
		t.Fatalf("%s has %d lines", name, len(lines))
	}
	return lines
}

// diffJSON compares two JSON texts by value; an absent member is not a null one.
func diffJSON(t testing.TB, want, got string) string {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("want: %v in %s", err, want)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("got: %v in %s", err, got)
	}
	return cmp.Diff(w, g)
}

// unknowns returns the types of all unknown values in v, at any depth.
func unknowns(v reflect.Value) (names []string) {
	switch m := v.Interface().(type) {
	case *UnknownMessage:
		return []string{"message " + m.Type}
	case *UnknownPart:
		return []string{"part " + m.Type}
	case *UnknownDisplayBlock:
		return []string{"block " + m.Type}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			names = unknowns(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			names = append(names, unknowns(v.Field(i))...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			names = append(names, unknowns(v.Index(i))...)
		}
	}
	return names
}

// Every message that kimi's own classes write decodes to its type, and encodes to equal JSON.
func TestMessagesOfKimi(t *testing.T) {
	for _, line := range jsonLines(t, "messages.jsonl") {
		m, err := UnmarshalMessage([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		for _, u := range unknowns(reflect.ValueOf(m)) {
			if u != "block mything" {
				t.Errorf("unknown %s in %s", u, line)
			}
		}
		got, err := json.Marshal(m)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if diff := diffJSON(t, line, string(got)); diff != "" {
			t.Errorf("%s encodes to other JSON (-kimi +ours):\n%s", m.MessageType(), diff)
		}
	}
}

// Every line that the real agent wrote decodes and encodes to equal JSON.
func TestLinesOfAgent(t *testing.T) {
	for _, line := range jsonLines(t, "agent.jsonl") {
		f, err := DecodeLine([]byte(line))
		if err != nil {
			t.Error(err)
			continue
		}
		if f.Message != nil {
			for _, u := range unknowns(reflect.ValueOf(f.Message)) {
				if u != "block mything" {
					t.Errorf("unknown %s in %s", u, line)
				}
			}
		}
		var out bytes.Buffer
		if err := NewEncoder(&out).Encode(f); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if diff := diffJSON(t, line, out.String()); diff != "" {
			t.Errorf("other JSON (-kimi +ours):\n%s", diff)
		}
	}
}

// messages.jsonl contains every type of message, part and block.
func TestMessagesAreComplete(t *testing.T) {
	missing := maps.Clone(constructors)
	delete(missing, "ApprovalRequestResolved") // an old name, which is never written
	all := strings.Join(jsonLines(t, "messages.jsonl"), "\n")
	for line := range strings.SplitSeq(all, "\n") {
		m, err := UnmarshalMessage([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		delete(missing, m.MessageType())
	}
	if len(missing) > 0 {
		t.Errorf("no line of the types %v", slices.Sorted(maps.Keys(missing)))
	}
	inner := []string{
		"text", "think", "image_url", "audio_url", "video_url", // parts
		"brief", "diff", "todo", "shell", "background_task", // blocks
	}
	for _, name := range inner {
		if !strings.Contains(all, `{"type":"`+name+`"`) {
			t.Errorf("no line with a %s", name)
		}
	}
}

// The constructor for a name makes the type of this name.
func TestConstructors(t *testing.T) {
	for name, construct := range constructors {
		got := construct().MessageType()
		if name == "ApprovalRequestResolved" {
			name = "ApprovalResponse"
		}
		if got != name {
			t.Errorf("constructor of %s makes a %s", name, got)
		}
		_, request := construct().(Request)
		_, event := construct().(Event)
		if request == event || request != strings.HasSuffix(name, "Request") {
			t.Errorf("%s: Request %t, Event %t", name, request, event)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// The JSON of each type decodes to the right Go value. The tests above show that the values encode to the same JSON.
func TestDecodeMessages(t *testing.T) {
	blocks := DisplayBlocks{
		&BriefDisplayBlock{Text: "t"},
		&DiffDisplayBlock{Path: "p", OldText: "o", NewText: "n", OldStart: 7, NewStart: 8, IsSummary: true},
		&TodoDisplayBlock{Items: []TodoItem{{Title: "a", Status: "done"}}},
		&ShellDisplayBlock{Language: "bash", Command: "ls"},
		&BackgroundTaskDisplayBlock{TaskID: "b1", Kind: "bash", Status: "starting", Description: "d"},
		&UnknownDisplayBlock{Type: "mything", Raw: json.RawMessage(`{"type":"mything","data":{"foo":1}}`)},
	}
	blocksJSON := `[{"type":"brief","text":"t"},
		{"type":"diff","path":"p","old_text":"o","new_text":"n","old_start":7,"new_start":8,"is_summary":true},
		{"type":"todo","items":[{"title":"a","status":"done"}]},
		{"type":"shell","language":"bash","command":"ls"},
		{"type":"background_task","task_id":"b1","kind":"bash","status":"starting","description":"d"},
		{"type":"mything","data":{"foo":1}}]`
	parts := []ContentPart{
		&TextPart{Text: "t"},
		&ThinkPart{Think: "h"},
		&ThinkPart{Think: "h", Encrypted: ptr("e")},
		&ImageURLPart{ImageURL: MediaURL{URL: "u"}},
		&AudioURLPart{AudioURL: MediaURL{URL: "u", ID: ptr("a")}},
		&VideoURLPart{VideoURL: MediaURL{URL: "u", ID: ptr("v")}},
	}
	partsJSON := `[{"type":"text","text":"t"},
		{"type":"think","think":"h","encrypted":null},
		{"type":"think","think":"h","encrypted":"e"},
		{"type":"image_url","image_url":{"url":"u","id":null}},
		{"type":"audio_url","audio_url":{"url":"u","id":"a"}},
		{"type":"video_url","video_url":{"url":"u","id":"v"}}]`
	raw := func(name, value string) map[string]json.RawMessage {
		return map[string]json.RawMessage{name: json.RawMessage(value)}
	}
	tests := []struct {
		kind, payload string
		want          Message
	}{
		{"TurnBegin", `{"user_input":"hi"}`, &TurnBegin{Content{Text: "hi"}}},
		{"TurnBegin", `{"user_input":` + partsJSON + `}`, &TurnBegin{Content{Parts: parts}}},
		{"SteerInput", `{"user_input":[]}`, &SteerInput{Content{Parts: []ContentPart{}}}},
		{"TurnEnd", `{}`, &TurnEnd{}},
		{"StepBegin", `{"n":2}`, &StepBegin{2}},
		{"StepInterrupted", `{}`, &StepInterrupted{}},
		{"StepRetry", `{"n":1,"next_attempt":2,"max_attempts":3,"wait_s":0.35,"error_type":"E","status_code":429}`,
			&StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 3, WaitS: 0.35, ErrorType: "E", StatusCode: ptr(429)}},
		{"HookTriggered", `{"event":"Stop","target":"t","hook_count":0}`, &HookTriggered{"Stop", "t", 0}},
		{"HookResolved", `{"event":"Stop","target":"t","action":"block","reason":"r","duration_ms":5}`,
			&HookResolved{"Stop", "t", HookBlock, "r", 5}},
		{"CompactionBegin", `{}`, &CompactionBegin{}},
		{"CompactionEnd", `{}`, &CompactionEnd{}},
		{"MCPLoadingBegin", `{}`, &MCPLoadingBegin{}},
		{"MCPLoadingEnd", `{}`, &MCPLoadingEnd{}},
		{"StatusUpdate", `{"context_usage":0.5,"context_tokens":0,"max_context_tokens":9,"token_usage":{"input_other":1,"output":2,"input_cache_read":3,"input_cache_creation":4},"message_id":"m","plan_mode":false,"mcp_status":{"loading":true,"connected":1,"total":2,"tools":3,"servers":[{"name":"s","status":"failed","tools":["x"]}]}}`,
			&StatusUpdate{ptr(0.5), ptr(0), ptr(9), &TokenUsage{1, 2, 3, 4}, ptr("m"), ptr(false),
				&MCPStatus{true, 1, 2, 3, []MCPServer{{"s", "failed", []string{"x"}}}}}},
		{"Notification", `{"id":"n","category":"c","type":"t","source_kind":"k","source_id":"s","title":"ti","body":"b","severity":"info","created_at":1795499264.25,"payload":{"x":[1]}}`,
			&Notification{"n", "c", "t", "k", "s", "ti", "b", "info", 1795499264.25, raw("x", `[1]`)}},
		{"ContentPart", `{"type":"text","text":"a\u0000"}`, &TextPart{"a\x00"}},
		{"ContentPart", `{"type":"think","think":"h","encrypted":null}`, &ThinkPart{Think: "h"}},
		{"ToolCall", `{"type":"function","id":"t","function":{"name":"Shell","arguments":null},"extras":null}`,
			&ToolCall{Type: "function", ID: "t", Function: ToolCallFunction{Name: "Shell"}}},
		{"ToolCall", `{"type":"function","id":"t","function":{"name":"Shell","arguments":"{"},"extras":{"x":null}}`,
			&ToolCall{"function", "t", ToolCallFunction{"Shell", ptr("{")}, raw("x", `null`)}},
		{"ToolCallPart", `{"arguments_part":null}`, &ToolCallPart{}},
		{"ToolCallPart", `{"arguments_part":"\"}"}`, &ToolCallPart{ptr(`"}`)}},
		{"ToolResult", `{"tool_call_id":"t","return_value":{"is_error":true,"output":` + partsJSON + `,"message":"m","display":` + blocksJSON + `,"extras":{"x":1}}}`,
			&ToolResult{"t", ToolReturnValue{true, Content{Parts: parts}, "m", blocks, raw("x", `1`)}}},
		{"ApprovalResponse", `{"request_id":"r","response":"approve_for_session","feedback":"f"}`, &ApprovalResponse{"r", ApproveForSession, "f"}},
		{"SubagentEvent", `{"parent_tool_call_id":"p","agent_id":"a","subagent_type":"coder","event":{"type":"StepBegin","payload":{"n":1}}}`,
			&SubagentEvent{ptr("p"), ptr("a"), ptr("coder"), &StepBegin{1}}},
		{"PlanDisplay", `{"content":"c","file_path":"f"}`, &PlanDisplay{"c", "f"}},
		{"BtwBegin", `{"id":"b","question":"q"}`, &BtwBegin{"b", "q"}},
		{"BtwEnd", `{"id":"b","response":null,"error":"e"}`, &BtwEnd{ID: "b", Error: ptr("e")}},
		{"ApprovalRequest", `{"id":"r","tool_call_id":"t","sender":"Shell","action":"run command","description":"d","source_kind":"foreground_turn","source_id":"s","agent_id":"a","subagent_type":"coder","source_description":"sd","display":` + blocksJSON + `}`,
			&ApprovalRequest{"r", "t", "Shell", "run command", "d", ptr("foreground_turn"), ptr("s"), ptr("a"), ptr("coder"), ptr("sd"), blocks}},
		{"QuestionRequest", `{"id":"q","tool_call_id":"t","questions":[{"question":"Q","header":"h","options":[{"label":"l","description":"d"}],"multi_select":true,"body":"b","other_label":"ol","other_description":"od"}]}`,
			&QuestionRequest{"q", "t", []QuestionItem{{"Q", "h", []QuestionOption{{"l", "d"}}, true, "b", "ol", "od"}}}},
		{"ToolCallRequest", `{"id":"e","name":"ext","arguments":"{}"}`, &ToolCallRequest{"e", "ext", ptr("{}")}},
		{"HookRequest", `{"id":"h","subscription_id":"s","event":"PreToolUse","target":"Shell","input_data":{"x":null}}`,
			&HookRequest{"h", "s", "PreToolUse", "Shell", raw("x", `null`)}},
	}
	seen := map[string]bool{"ApprovalRequestResolved": true}
	for _, tt := range tests {
		seen[tt.kind] = true
		got, err := UnmarshalMessage([]byte(`{"type":"` + tt.kind + `","payload":` + tt.payload + `}`))
		if err != nil {
			t.Errorf("%s: %v", tt.kind, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.kind, diff)
		}
	}
	for name := range constructors {
		if !seen[name] {
			t.Errorf("no case of %s", name)
		}
	}
}
