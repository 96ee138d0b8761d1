package client_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// The values of a session and all errors can be written as JSON with the names of the protocol, and can be read back.
func TestJSON(t *testing.T) {
	args := `{"command":"ls"}`
	usage := wireproto.TokenUsage{InputOther: 1, Output: 2}
	for _, test := range []struct {
		value any
		want  string
	}{
		{&client.TurnResult{Status: wireproto.StatusFinished, Steps: 2, Usage: usage, Text: "done"},
			`{"status":"finished","steps":2,"token_usage":{"input_other":1,"output":2,"input_cache_read":0,"input_cache_creation":0},"text":"done"}`},
		{&client.TurnResult{Usage: usage, UsageByModel: map[string]wireproto.TokenUsage{"m": usage}, ToolCalls: 3, Cost: 0.5, FirstToken: time.Second,
			Duration: 5 * time.Second, Waiting: 2500 * time.Millisecond, ModelTime: 3 * time.Second, ToolTime: 4 * time.Second},
			`{"status":"","steps":0,"token_usage":{"input_other":1,"output":2,"input_cache_read":0,"input_cache_creation":0},"text":"",` +
				`"usage_by_model":{"m":{"input_other":1,"output":2,"input_cache_read":0,"input_cache_creation":0}},"tool_calls":3,"cost":0.5,` +
				`"first_token_seconds":1,"duration_seconds":5,"waiting_seconds":2.5,"model_seconds":3,"tool_seconds":4}`},
		{&client.LimitError{Limit: "Limits.Tokens", Most: 10, Used: 11}, `{"limit":"Limits.Tokens","most":10,"used":11,"refused":false}`},
		{&client.Message{Role: client.RoleAssistant, Content: []wireproto.ContentPart{&wireproto.TextPart{Text: "I look."}},
			ToolCalls: []wireproto.ToolCall{{Type: "function", ID: "c1", Function: wireproto.ToolCallFunction{Name: "Shell", Arguments: &args}}}},
			`{"role":"assistant","content":[{"type":"text","text":"I look."}],"tool_calls":[{"type":"function","id":"c1","function":{"name":"Shell","arguments":"{\"command\":\"ls\"}"},"extras":null}]}`},
		{&client.Message{Role: client.RoleTool, Content: []wireproto.ContentPart{}, ToolCallID: "c1"}, `{"role":"tool","content":[],"tool_call_id":"c1"}`},
		{&client.SessionInfo{ID: "s1", WorkDir: "/w", Backend: client.BackendServer, Title: "t", Turns: 2, Updated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
			`{"id":"s1","work_dir":"/w","backend":"server","title":"t","updated_at":"2026-01-02T03:04:05Z","turns":2,"archived":false}`},
		{&client.Status{ContextUsage: 0.5, ContextTokens: 5, MaxContextTokens: 10, PlanMode: true, Usage: usage, Approvals: client.Approvals{Actions: []string{"run command"}}},
			`{"context_usage":0.5,"context_tokens":5,"max_context_tokens":10,"plan_mode":true,"mcp_status":null,` +
				`"token_usage":{"input_other":1,"output":2,"input_cache_read":0,"input_cache_creation":0},"approvals":{"all":"","actions":["run command"]}}`},
		{&client.Info{Path: "/kimi", Version: "1.51.0", WireVersion: "1.10", PythonVersion: "3.13.0", Backend: client.BackendWire, ShareDir: "/s", FoundBy: "PATH"},
			`{"path":"/kimi","version":"1.51.0","wire_version":"1.10","python_version":"3.13.0","backend":"` + string(client.BackendWire) + `","share_dir":"/s","found_by":"PATH"}`},
		{&client.Model{Name: "m", DisplayName: "M", Provider: "p", MaxContextTokens: 1, Capabilities: []string{"thinking"}, Efforts: []string{"low"}},
			`{"name":"m","display_name":"M","provider":"p","max_context_tokens":1,"capabilities":["thinking"],"efforts":["low"]}`},
		{&client.ProcessError{ExitCode: 3, Stderr: "oops", Args: []string{"kimi", "--wire"}, CPU: 1500 * time.Millisecond},
			`{"exit_code":3,"signal":"","stderr":"oops","args":["kimi","--wire"],"cpu_seconds":1.5}`},
		{&client.StartError{Path: "/kimi", Reason: "r", Remedy: "d", Limit: 2 * time.Second, Err: errors.New("within")},
			`{"path":"/kimi","reason":"r","remedy":"d","limit_seconds":2,"error":"within"}`},
		{&client.OptionError{Option: "WorkDir", Reason: "r", Remedy: "d", Err: errors.New("within")}, `{"option":"WorkDir","reason":"r","remedy":"d","error":"within"}`},
		{&client.IncompatibleError{Path: "/kimi", Found: "f", Want: "w", Remedy: "d"}, `{"path":"/kimi","found":"f","want":"w","remedy":"d"}`},
		{&client.TurnsError{Turns: 5, Available: 2}, `{"turns":5,"available":2}`},
		{&client.NotFoundError{Tried: []string{"PATH"}}, `{"tried":["PATH"]}`},
		{&client.AnswerError{Text: "t", Raw: json.RawMessage(`{"a":1}`), Violations: []string{"v"}}, `{"text":"t","raw":{"a":1},"violations":["v"]}`},
		{&client.AnswerError{}, `{"text":"","raw":null,"violations":null}`},
		{&wireproto.RPCError{Code: -32003, Message: "overloaded"}, `{"code":-32003,"message":"overloaded","data":null}`},
	} {
		got, err := json.Marshal(test.value)
		if err != nil {
			t.Errorf("%T: %v", test.value, err)
			continue
		}
		want := test.want
		if err, ok := test.value.(error); ok && !strings.Contains(want, `"message"`) {
			message, _ := json.Marshal(err.Error())
			want = strings.TrimSuffix(want, "}") + `,"message":` + string(message) + "}"
		}
		if diff := cmp.Diff(decoded(t, []byte(want)), decoded(t, got)); diff != "" {
			t.Errorf("%T (-want +got):\n%s", test.value, diff)
		}
		back := reflect.New(reflect.TypeOf(test.value).Elem())
		if err := json.Unmarshal(got, back.Interface()); err != nil {
			t.Errorf("%T: %v", test.value, err)
		}
		again, err := json.Marshal(back.Interface())
		if err != nil || string(again) != string(got) {
			t.Errorf("%T was written as %s and read as %s, %v", test.value, got, again, err)
		}
		byValue, err := json.Marshal(reflect.ValueOf(test.value).Elem().Interface())
		if _, rpc := test.value.(*wireproto.RPCError); err != nil || string(byValue) != string(got) && !rpc {
			t.Errorf("%T as a value: %s, %v, want %s", test.value, byValue, err, got)
		}
	}
}

// Every field has a name in the style of the protocol, and no time is in nanoseconds.
func TestJSONNames(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(_[a-z]+)*(,omit(empty|zero))?$`)
	for _, v := range []any{client.TurnResult{}, client.SessionInfo{}, client.TurnsError{}, client.Status{}, client.Approvals{}, client.Info{}, client.Model{},
		client.ProcessError{}, client.StartError{}, client.OptionError{}, client.IncompatibleError{}, client.NotFoundError{}, client.AnswerError{}, client.LimitError{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			tag := f.Tag.Get("json")
			_, lasts := reflect.Zero(f.Type).Interface().(time.Duration)
			if lasts || f.Type.Kind() == reflect.Interface {
				if tag != "-" {
					t.Errorf("%T.%s: %q, want \"-\": its MarshalJSON writes it", v, f.Name, tag)
				}
			} else if !name.MatchString(tag) {
				t.Errorf("%T.%s has the name %q", v, f.Name, tag)
			}
		}
	}
}
