package wireproto

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The client's answers leave out empty members, because kimi cannot read "feedback":null and rejects the action.
func TestAnswers(t *testing.T) {
	tests := []struct {
		in   any
		want string
	}{
		{&ApprovalAnswer{RequestID: "r", Response: Approve}, `{"request_id":"r","response":"approve"}`},
		{ApprovalAnswer{RequestID: "r", Response: Reject, Feedback: "f"}, `{"request_id":"r","response":"reject","feedback":"f"}`},
		{QuestionAnswer{RequestID: "q"}, `{"request_id":"q","answers":{}}`},
		{&QuestionAnswer{RequestID: "q", Answers: map[string]string{"Q": "A, B"}}, `{"request_id":"q","answers":{"Q":"A, B"}}`},
		{HookAnswer{RequestID: "h", Action: HookAllow}, `{"request_id":"h","action":"allow"}`},
		{HookAnswer{RequestID: "h", Action: HookBlock, Reason: "r"}, `{"request_id":"h","action":"block","reason":"r"}`},
		{ToolAnswer{ToolCallID: "e"}, `{"tool_call_id":"e","return_value":{"is_error":false,"output":"","message":"","display":[]}}`},
		{&ToolAnswer{ToolCallID: "e", ReturnValue: ToolReturnValue{
			IsError: true,
			Output:  Content{Parts: []ContentPart{&TextPart{"t"}}},
			Message: "m",
			Display: DisplayBlocks{&BriefDisplayBlock{"b"}},
			Extras:  map[string]json.RawMessage{"x": json.RawMessage("1")},
		}}, `{"tool_call_id":"e","return_value":{"is_error":true,"output":[{"type":"text","text":"t"}],"message":"m","display":[{"type":"brief","text":"b"}],"extras":{"x":1}}}`},
		{InitializeParams{ProtocolVersion: ProtocolVersion}, `{"protocol_version":"1.10"}`},
		{InitializeParams{
			ProtocolVersion: ProtocolVersion,
			Client:          &ClientInfo{Name: "c"},
			ExternalTools:   []ExternalTool{{"t", "d", json.RawMessage(`{"type":"object"}`)}},
			Hooks:           []HookSubscription{{ID: "h", Event: "Stop"}},
			Capabilities:    &ClientCapabilities{SupportsQuestion: true},
		}, `{"protocol_version":"1.10","client":{"name":"c"},"external_tools":[{"name":"t","description":"d","parameters":{"type":"object"}}],"hooks":[{"id":"h","event":"Stop"}],"capabilities":{"supports_question":true,"supports_plan_mode":false}}`},
		{PromptParams{Content{Text: "hi"}}, `{"user_input":"hi"}`},
		{SteerParams{Content{Parts: []ContentPart{&ImageURLPart{MediaURL{URL: "u"}}}}}, `{"user_input":[{"type":"image_url","image_url":{"url":"u","id":null}}]}`},
		{SetPlanModeParams{false}, `{"enabled":false}`},
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

// The results that the real agent wrote decode to the right values.
func TestResults(t *testing.T) {
	results := make(map[string]json.RawMessage)
	for _, line := range jsonLines(t, "agent.jsonl") {
		if f, err := DecodeLine([]byte(line)); err == nil && f.Result != nil {
			results[f.ID] = f.Result
		}
	}
	tests := []struct {
		id   string
		into any
		want any
	}{
		{"p1", new(PromptResult), &PromptResult{Status: StatusFinished}},
		{"m", new(SetPlanModeResult), &SetPlanModeResult{Status: "ok", PlanMode: false}},
		{"st", new(SteerResult), &SteerResult{Status: StatusSteered}},
		{"rp", new(ReplayResult), &ReplayResult{Status: StatusFinished, Events: 88, Requests: 3}},
	}
	for _, tt := range tests {
		if err := json.Unmarshal(results[tt.id], tt.into); err != nil {
			t.Errorf("%s: %v", tt.id, err)
		} else if diff := cmp.Diff(tt.want, tt.into); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.id, diff)
		}
	}
	var init InitializeResult
	if err := json.Unmarshal(results["i"], &init); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(init)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffJSON(t, string(results["i"]), string(out)); diff != "" {
		t.Errorf("initialize (-kimi +ours):\n%s", diff)
	}
	if init.Server.Version != "1.51.0" || init.Hooks.Configured["PreToolUse"] != 1 || !slices.Equal(init.ExternalTools.Accepted, []string{"ext"}) {
		t.Errorf("initialize is %+v", init)
	}
}

func TestRPCError(t *testing.T) {
	tests := []struct {
		in   RPCError
		want string
	}{
		{RPCError{Code: -32001, Message: "LLM is not set"}, "LLM is not set (-32001)"},
		{RPCError{Method: "prompt", Code: -32003, Message: "bad"}, "prompt: bad (-32003)"},
		{RPCError{Code: 1, Message: strings.Repeat("x", 200)}, strings.Repeat("x", 200) + " (1)"},
		{RPCError{Code: 1, Message: strings.Repeat("x", 201)}, strings.Repeat("x", 197) + "… (1)"},
		{RPCError{Code: 1, Message: strings.Repeat("月", 67)}, strings.Repeat("月", 65) + "… (1)"},
	}
	for _, tt := range tests {
		if got := tt.in.Error(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
