package translator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

func completed(n, step int) string {
	return fmt.Sprintf(`{"agentId":"main","turnId":%d,"step":%d,"usage":{"inputOther":70,"output":10},"finishReason":"end_turn","providerFinishReason":"completed"}`, n, step)
}

func ended(n int, reason string) string {
	return fmt.Sprintf(`{"agentId":"main","turnId":%d,"reason":%q}`, n, reason)
}

func TestTurn(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	r.eventAt("~thinking.delta", `{"agentId":"main","turnId":0,"delta":"hm"}`, 0)
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"Hello "}`, 0)
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"world"}`, 6)
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.ended", ended(0, "completed"))
	r.event("prompt.completed", `{"agentId":"main","promptId":"x","reason":"completed"}`)
	r.want("think hm", "text Hello ", "text world", "StatusUpdate", "TurnEnd", `p0: {"status":"finished"}`)
}

// The client is told how a turn ended. Only a completed turn whose last step was whole is finished.
func TestOutcomes(t *testing.T) {
	fail := func(code string) string {
		return fmt.Sprintf(`{"agentId":"main","turnId":0,"reason":"failed","error":{"code":%q,"message":"boom","details":{"statusCode":500}}}`, code)
	}
	for _, test := range []struct{ name, step, end, want string }{
		{"completed", completed(0, 1), ended(0, "completed"), `p0: {"status":"finished"}`},
		{"cancelled", "", ended(0, "cancelled"), `p0: {"status":"cancelled"}`},
		{"cut off", `{"agentId":"main","turnId":0,"step":1,"finishReason":"end_turn"}`, ended(0, "completed"), "p0: error -32050"},
		{"another word", completed(0, 1), ended(0, "done"), "p0: error -32050"},
		{"no word", completed(0, 1), ended(0, ""), "p0: error -32050"},
		{"provider", "", fail("provider.api_error"), "p0: error -32003"},
		{"filter", "", fail("provider.filtered"), "p0: error -32003"},
		{"no model", "", fail("model.not_configured"), "p0: error -32001"},
		{"login", "", fail("auth.token_unauthorized"), "p0: error -32004"},
		{"steps", "", fail("loop.max_steps_exceeded"), `p0: {"status":"max_steps_reached","steps":1}`},
		{"other", "", fail("internal"), "p0: error -32603"},
		{"no reason", "", `{"agentId":"main","turnId":0,"reason":"failed"}`, "p0: error -32603"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Settings{}, wireproto.InitializeParams{})
			r.begin(0)
			if test.step != "" {
				r.event("turn.step.completed", test.step)
			}
			r.event("turn.ended", test.end)
			lines := r.told()
			if got := lines[len(lines)-1]; got != test.want || lines[len(lines)-2] != "TurnEnd" {
				t.Errorf("got %q, want %q", lines, test.want)
			}
		})
	}
}

// Only the event turn.ended of the client's own turn ends the turn.
func TestNotTheEnd(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	prompt := r.begin(3)
	r.event("turn.ended", ended(2, "completed"))
	r.event("turn.ended", `{"agentId":"agent-0","turnId":3,"reason":"completed"}`)
	r.event("prompt.completed", fmt.Sprintf(`{"agentId":"main","promptId":%q,"reason":"completed"}`, prompt))
	r.event("event.session.work_changed", `{"busy":false}`)
	r.want()
	r.event("turn.step.completed", completed(3, 1))
	r.event("turn.ended", ended(3, "completed"))
	r.want("StatusUpdate", "TurnEnd", `p3: {"status":"finished"}`)
}

// The answer to a prompt and the events of its turn come in any order.
func TestAnswerAfterEvents(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.prompt("p0", "hi")
	c := r.call("POST /sessions/s1/prompts")
	r.event("turn.started", fmt.Sprintf(`{"agentId":"main","turnId":0,"promptId":%q}`, c.Body.(api.Prompt).PromptID))
	r.event("turn.step.started", `{"agentId":"main","turnId":0,"step":1}`)
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.ended", ended(0, "completed"))
	r.in(Answer{ID: c.ID, Data: json.RawMessage(`{"status":"running"}`)})
	r.want("TurnBegin", "StepBegin 1", "StatusUpdate", "TurnEnd", `p0: {"status":"finished"}`)
}

// A prompt that a hook has blocked begins no turn.
func TestBlocked(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.prompt("p0", "hi")
	r.answer("POST /sessions/s1/prompts", `{"status":"blocked"}`)
	r.want("TurnBegin", "TurnEnd", `p0: {"status":"finished"}`)
}

// The client gets each delta once, wherever the connection was lost.
func TestGap(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"ab😀"}`, 0)
	r.in(Gap{})
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"efgh"}`, 6)
	r.want("text ab😀")
	r.answer("GET /sessions/s1/snapshot", fmt.Sprintf(`{"as_of_seq":%d,"in_flight_turn":{"turn_id":0,"assistant_text":"ab😀cdef","thinking_text":""}}`, r.seq))
	r.answer("GET /sessions/s1/status", `{"permission":"manual","plan_mode":false}`)
	r.want("text cdef", "text gh")
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.ended", ended(0, "completed"))
	r.want("StatusUpdate", "TurnEnd", `p0: {"status":"finished"}`)
}

// A snapshot that knows events which have not come yet waits for them. What it says is of the step that they have begun.
func TestGapSnapshotAhead(t *testing.T) {
	for name, lost := range map[string]bool{"all events come": false, "one is lost": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Settings{}, wireproto.InitializeParams{})
			r.transcripts = true
			r.begin(0)
			r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"gone "}`, 0)
			r.in(Gap{From: r.seq, Until: r.seq})
			r.answer("GET /sessions/s1/snapshot", fmt.Sprintf(`{"as_of_seq":%d,"in_flight_turn":{"turn_id":0,"assistant_text":"all is","thinking_text":"well"}}`, r.seq+3))
			r.want("text gone ")
			r.event("turn.step.completed", completed(0, 1))
			r.answer("GET /sessions/s1/transcript", `{"items":[{"kind":"turn","turnId":"t0","steps":[{"ordinal":1,"frames":[{"kind":"text","text":"gone "}]}]}]}`)
			r.event("turn.step.started", `{"agentId":"main","turnId":0,"step":2}`)
			r.want("StatusUpdate", "StepBegin 2")
			if lost {
				r.seq++ // and a delta is lost with it
			} else {
				r.event("prompt.queued", `{"agentId":"main","promptId":"other"}`)
				r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":" done"}`, 6)
			}
			r.event("turn.step.completed", completed(0, 2))
			r.answer("GET /sessions/s1/transcript", `{"items":[{"kind":"turn","turnId":"t0","steps":[{"ordinal":2,"frames":[{"kind":"thinking","text":"well"},{"kind":"text","text":"all is done"}]}]}]}`)
			r.want("think well", "text all is", "text  done", "StatusUpdate")
		})
	}
}

// After a restart of the server, its numbers begin again. A snapshot that is ahead of the events still waits.
func TestGapAfterRestart(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.seq = 5000
	r.begin(0)
	from := r.seq
	r.epoch, r.seq = "new", 3
	r.in(Gap{Resync: true, From: from, Until: r.seq})
	r.answer("GET /sessions/s1/snapshot", `{"as_of_seq":3,"in_flight_turn":{"turn_id":0,"assistant_text":"","thinking_text":""}}`)
	r.answer("GET /sessions/s1/status", `{"permission":"manual","plan_mode":false}`)
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.step.started", `{"agentId":"main","turnId":0,"step":2}`)
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"gone "}`, 0)
	r.told()
	r.in(Gap{From: r.seq, Until: r.seq})
	r.answer("GET /sessions/s1/snapshot", fmt.Sprintf(`{"as_of_seq":%d,"in_flight_turn":{"turn_id":0,"assistant_text":"all is well","thinking_text":""}}`, r.seq+2))
	r.want()
}

// If the snapshot no longer has a step, because it has ended, its transcript has it.
func TestGapBeforeStepEnds(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.transcripts = true
	r.begin(0)
	r.eventAt("~thinking.delta", `{"agentId":"main","turnId":0,"delta":"let"}`, 0)
	r.in(Gap{})
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.ended", ended(0, "completed"))
	r.answer("GET /sessions/s1/snapshot", `{"as_of_seq":99,"in_flight_turn":null}`)
	r.want("think let")
	r.answer("GET /sessions/s1/transcript", `{"items":[{"kind":"turn","turnId":"t0","steps":[{"ordinal":1,"frames":[
		{"kind":"thinking","text":"let me"},{"kind":"text","text":"Hello"}]}]}]}`)
	r.want("think  me", "text Hello", "StatusUpdate", "TurnEnd", `p0: {"status":"finished"}`)
}

// If parts of the arguments of a call are missing, the client gets them before it is asked about the call.
func TestGapInArguments(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	r.event("~tool.call.delta", `{"agentId":"main","turnId":0,"toolCallId":"c1","name":"Bash","argumentsPart":"{\"comm"}`)
	r.in(Gap{})
	r.event("~tool.call.delta", `{"agentId":"main","turnId":0,"toolCallId":"c1","name":"Bash","argumentsPart":"ls\"}"}`)
	r.event("permission.approval.requested", `{"id":"a1","agentId":"main","turnId":0,"toolCallId":"c1","toolName":"Bash","action":"Running: ls",
		"display":{"kind":"command","command":"ls"},"toolInput":{"command":"ls"}}`)
	r.answer("GET /sessions/s1/snapshot", fmt.Sprintf(`{"as_of_seq":%d,"in_flight_turn":{"turn_id":0}}`, r.seq))
	r.want(`call c1 Bash {"comm`, `part and":"ls"}`, "? approve a1 Bash c1")
}

// If two subagents ask at once with the same call id, there are two requests, each with its own agent.
func TestTwoSubagents(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	for _, a := range []string{"agent-0", "agent-1"} {
		r.event("subagent.spawned", fmt.Sprintf(`{"subagentId":%q,"subagentName":"coder","parentToolCallId":"p"}`, a))
		r.event("turn.step.started", fmt.Sprintf(`{"agentId":%q,"turnId":0,"step":1}`, a))
		r.event("permission.approval.requested", fmt.Sprintf(`{"id":"approval-%s","agentId":%q,"turnId":0,"toolCallId":"c1","toolName":"Bash",
			"display":{"kind":"command","command":"echo %s"},"toolInput":{"command":"echo %s"}}`, a, a, a, a))
	}
	r.want("agent-0< StepBegin 1", `agent-0< call c1 Bash {"command":"echo agent-0"}`, "? approve approval-agent-0 Bash c1 of agent-0",
		"agent-1< StepBegin 1", `agent-1< call c1 Bash {"command":"echo agent-1"}`, "? approve approval-agent-1 Bash c1 of agent-1")
	r.reply("approval-agent-1", wireproto.ApprovalAnswer{RequestID: "approval-agent-1", Response: wireproto.Approve})
	c := r.answer("POST /sessions/s1/approvals/approval-agent-1", `{}`)
	if got := c.Body.(api.ApprovalAnswer); got.Decision != api.Approved || got.Scope != "" {
		t.Errorf("decision %+v", got)
	}
	if len(r.calls) != 0 {
		t.Errorf("more was answered: %+v", r.calls)
	}
}

// Only an answer that clearly approves a call approves it.
func TestConsent(t *testing.T) {
	for _, test := range []struct {
		answer string
		want   api.ApprovalAnswer
	}{
		{`{"result":{"request_id":"a1","response":"approve"}}`, api.ApprovalAnswer{Decision: api.Approved}},
		{`{"result":{"request_id":"a1","response":"approve_for_session"}}`, api.ApprovalAnswer{Decision: api.Approved, Scope: "session"}},
		{`{"result":{"request_id":"a1","response":"reject","feedback":"use git mv"}}`, api.ApprovalAnswer{Decision: api.Rejected, Feedback: "use git mv"}},
		{`{"result":{"request_id":"a1","response":"Approve"}}`, api.ApprovalAnswer{Decision: api.Rejected}},
		{`{"result":{"request_id":"a1"}}`, api.ApprovalAnswer{Decision: api.Rejected}},
		{`{"result":[]}`, api.ApprovalAnswer{Decision: api.Rejected}},
		{`{"error":{"code":-1,"message":"x"}}`, api.ApprovalAnswer{Decision: api.Rejected}},
	} {
		r := newRig(t, Settings{}, wireproto.InitializeParams{})
		r.begin(0)
		r.event("permission.approval.requested", `{"id":"a1","agentId":"main","turnId":0,"toolCallId":"c1","toolName":"Bash","toolInput":{"command":"ls"}}`)
		var f struct {
			Result json.RawMessage
			Error  *wireproto.RPCError
		}
		if err := json.Unmarshal([]byte(test.answer), &f); err != nil {
			t.Fatal(err)
		}
		r.frame(&wireproto.Frame{ID: "a1", Result: f.Result, Error: f.Error})
		r.frame(&wireproto.Frame{ID: "a1", Result: json.RawMessage(`{"response":"approve"}`)}) // a second answer has no effect
		c := r.answer("POST /sessions/s1/approvals/a1", `{}`)
		if c.Body != test.want || len(r.calls) != 0 {
			t.Errorf("%s: %+v, and %d calls more", test.answer, c.Body, len(r.calls))
		}
	}
}

func TestSteer(t *testing.T) {
	steer := func(r *rig) string {
		raw, _ := json.Marshal(wireproto.SteerParams{UserInput: wireproto.Content{Text: "more"}})
		r.frame(&wireproto.Frame{ID: "s", Method: wireproto.MethodSteer, Params: raw})
		return ""
	}
	t.Run("taken", func(t *testing.T) {
		r := newRig(t, Settings{}, wireproto.InitializeParams{})
		r.begin(0)
		steer(r)
		c := r.answer("POST /sessions/s1/prompts", `{"status":"queued"}`)
		id := c.Body.(api.Prompt).PromptID
		r.answer("POST /sessions/s1/prompts/"+id+":steer", `{"steered":true}`)
		r.event("turn.steer", fmt.Sprintf(`{"agentId":"main","turnId":0,"promptIds":[%q]}`, id))
		r.want(`s: {"status":"steered"}`, "SteerInput")
	})
	t.Run("taken, before Kimi Code 2.0", func(t *testing.T) {
		r := newRig(t, Settings{}, wireproto.InitializeParams{})
		begun := r.begin(0)
		steer(r)
		c := r.answer("POST /sessions/s1/prompts", `{"status":"queued"}`)
		id := c.Body.(api.Prompt).PromptID
		r.event("turn.steer", `{"agentId":"main","input":[]}`)
		r.event("prompt.steered", fmt.Sprintf(`{"agentId":"main","activePromptId":"another","promptIds":[%q]}`, id))
		r.event("prompt.steered", fmt.Sprintf(`{"agentId":"main","activePromptId":%q,"promptIds":[%q]}`, begun, id))
		r.answer("POST /sessions/s1/prompts/"+id+":steer", `{"steered":true}`)
		r.want("SteerInput", `s: {"status":"steered"}`)
	})
	t.Run("too late", func(t *testing.T) {
		r := newRig(t, Settings{}, wireproto.InitializeParams{})
		r.begin(0)
		steer(r)
		c := r.call("POST /sessions/s1/prompts")
		id := c.Body.(api.Prompt).PromptID
		r.event("turn.step.completed", completed(0, 1))
		r.event("turn.ended", ended(0, "completed"))
		r.event("turn.started", fmt.Sprintf(`{"agentId":"main","turnId":1,"promptId":%q}`, id))
		r.event("turn.step.started", `{"agentId":"main","turnId":1,"step":1}`)
		r.eventAt("~assistant.delta", `{"agentId":"main","turnId":1,"delta":"unwanted"}`, 0)
		r.event("permission.approval.requested", `{"id":"a1","agentId":"main","turnId":1,"toolCallId":"c1","toolName":"Bash","toolInput":{}}`)
		r.in(Answer{ID: c.ID, Data: json.RawMessage(`{"status":"running"}`)})
		r.answer("POST /sessions/s1/prompts/"+id+":abort", `{}`)
		if c := r.answer("POST /sessions/s1/approvals/a1", `{}`); c.Body.(api.ApprovalAnswer).Decision != api.Rejected {
			t.Errorf("decided %+v", c.Body)
		}
		r.event("turn.ended", ended(1, "cancelled"))
		r.want("StatusUpdate", "TurnEnd", `p0: {"status":"finished"}`, "SteerInput", "s: error -32000")
	})
	t.Run("no turn", func(t *testing.T) {
		r := newRig(t, Settings{}, wireproto.InitializeParams{})
		steer(r)
		r.want("s: error -32000")
	})
}

// A turn that Kimi Code begins itself is reported, and the prompt that waits for its end is not lost.
func TestOwnTurn(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.event("turn.started", `{"agentId":"main","turnId":0,"origin":{"kind":"task","taskId":"t"}}`)
	r.event("turn.step.started", `{"agentId":"main","turnId":0,"step":1}`)
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":0,"delta":"own"}`, 0)
	r.prompt("p1", "hi")
	c := r.answer("POST /sessions/s1/prompts", `{"status":"queued"}`)
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.ended", ended(0, "completed"))
	r.want("note bridge.own_turn", "TurnBegin", "StepBegin 1", "text own", "StatusUpdate", "TurnEnd")
	r.event("turn.started", fmt.Sprintf(`{"agentId":"main","turnId":1,"promptId":%q}`, c.Body.(api.Prompt).PromptID))
	r.event("turn.step.started", `{"agentId":"main","turnId":1,"step":1}`)
	r.event("turn.step.completed", completed(1, 1))
	r.event("turn.ended", ended(1, "completed"))
	r.want("TurnBegin", "StepBegin 1", "StatusUpdate", "TurnEnd", `p1: {"status":"finished"}`)
}

// A hook that fails blocks, and all hooks that match must allow.
func TestHooks(t *testing.T) {
	hooks := []wireproto.HookSubscription{{ID: "a", Event: "PreToolUse", Matcher: "Bash|Write"}, {ID: "b", Event: "PreToolUse"}}
	data := map[string]json.RawMessage{"tool_name": json.RawMessage(`"Bash"`)}
	for _, test := range []struct {
		name    string
		answers []string
		want    HookReply
	}{
		{"both allow", []string{`{"action":"allow"}`, `{"action":"allow"}`}, HookReply{Key: 1}},
		{"one blocks", []string{`{"action":"allow"}`, `{"action":"block","reason":"no"}`}, HookReply{1, true, "no"}},
		{"another word", []string{`{"action":"Allow"}`}, HookReply{1, true, "blocked by a hook of the program"}},
		{"no JSON", []string{`[]`}, HookReply{1, true, "the program's hook failed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Settings{}, wireproto.InitializeParams{Hooks: hooks})
			r.other = nil
			r.begin(0)
			r.in(HookCalled{Key: 1, Event: "PreToolUse", Data: data})
			var ids []string
			for _, f := range r.sent {
				if f.Method == wireproto.MethodRequest {
					ids = append(ids, f.ID)
				}
			}
			for i, a := range test.answers {
				r.frame(&wireproto.Frame{ID: ids[i], Result: json.RawMessage(a)})
			}
			if len(r.other) != 1 || r.other[0] != test.want {
				t.Errorf("got %+v, want %+v", r.other, test.want)
			}
		})
	}
	r := newRig(t, Settings{}, wireproto.InitializeParams{Hooks: hooks[:1]})
	r.other = nil
	r.in(HookCalled{Key: 2, Event: "PreToolUse", Data: map[string]json.RawMessage{"tool_name": json.RawMessage(`"Read"`)}})
	if len(r.other) != 1 || r.other[0] != (HookReply{Key: 2}) {
		t.Errorf("a tool that does not match: %+v", r.other)
	}
}

// Without the hook at the session's start there are no hooks at all, and no session.
func TestHooksOff(t *testing.T) {
	tr := New(Settings{Permission: api.Manual, Model: "m"})
	raw, _ := json.Marshal(wireproto.InitializeParams{Hooks: []wireproto.HookSubscription{{ID: "a", Event: "PreToolUse"}}})
	tr.Step(Frame{&wireproto.Frame{ID: "init", Method: wireproto.MethodInitialize, Params: raw}}, began)
	out := tr.Step(Launched{Version: "2.1.0", HooksOn: true}, began)
	out = tr.Step(Answer{ID: out[0].(Call).ID, Data: json.RawMessage(`{"id":"s1"}`)}, began)
	if f, ok := out[0].(Send); !ok || f.ID != "init" || f.Error == nil {
		t.Errorf("got %+v, want an error", out)
	}
}

// An event that this version does not know is reported once for its type, and is never taken for another event.
func TestDrift(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	r.event("turn.finished", ended(0, "completed"))
	r.event("turn.finished", ended(0, "completed"))
	r.event("turn.ended", `{"agentId":"main","turnId":"zero","reason":"completed"}`)
	r.want("note bridge.unknown_event", "note bridge.unknown_event")
}

// The agent of an agent file is bound by the first prompt that the server takes, and by no other call.
func TestProfile(t *testing.T) {
	r := newRig(t, Settings{Profile: "mine", Thinking: "off", Slash: true}, wireproto.InitializeParams{})
	body := func(route string) string {
		raw, err := json.Marshal(r.call(route).Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	const route = "POST /sessions/s1/prompts"
	r.prompt("c", "/compact")
	r.want("c: error -32000")
	for id, tt := range map[string]struct{ msg, want string }{
		"p0": {`agent is already bound to profile "agent"; cannot switch to "mine" in this session`, "keeps the agent that it began with"},
		"p1": {`Unknown agent profile: "mine". Available profiles: agent`, "the agent file was not used"},
	} {
		r.prompt(id, "hi")
		c := r.call(route)
		raw, err := json.Marshal(c.Body)
		if want := `"profile":"mine","model":"m","thinking":"off"`; err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %s, %v, want %s", id, raw, err, want)
		}
		r.in(Answer{ID: c.ID, Err: &api.Error{Method: "POST", Path: c.Path, Code: api.CodeBadField, Msg: tt.msg}})
		if f := r.next(); f.ID != id || f.Error == nil || !strings.Contains(f.Error.Message, tt.want) {
			t.Errorf("%s: %+v", id, f)
		}
	}
	r.begin(0)
	r.event("turn.step.completed", completed(0, 1))
	r.event("turn.ended", ended(0, "completed"))
	r.told()
	r.prompt("again", "hi")
	if got := body(route); strings.Contains(got, "profile") || strings.Contains(got, "model") {
		t.Errorf("a prompt of the bound agent: %s", got)
	}
}

// A turn does not wait without limit for an end that was lost. It ends when the server was found idle twice.
func TestEndThatDoesNotCome(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	look := func(status string) {
		r.in(Timer{timerWatch})
		r.answer("GET /sessions/s1/status", status)
	}
	r.in(Timer{timerWatch}) // events have come in the meantime, so the server is not asked
	look(`{"busy":true}`)
	r.answer("GET /sessions/s1/approvals", `{"items":[]}`)
	look(`{"busy":false}`)
	r.want()
	look(`{"busy":false}`)
	r.want("TurnEnd", "p0: error -32050")
}

// If the event of an approval was lost, the client is still asked, once. An approval that does not say what is to be
// approved is rejected.
func TestApprovalWithoutEvent(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.begin(0)
	r.in(Timer{timerWatch})
	r.in(Timer{timerWatch})
	r.answer("GET /sessions/s1/status", `{"busy":true}`)
	r.answer("GET /sessions/s1/approvals", `{"items":[
		{"approval_id":"a1","agent_id":"main","tool_call_id":"c1","tool_name":"Bash","action":"Running: ls","tool_input_display":{"kind":"command","command":"ls"}},
		{"approval_id":"a2","agent_id":"main","tool_call_id":"c2","tool_name":"Bash"}]}`)
	r.event("event.approval.requested", `{"approval_id":"a1","agent_id":"main","tool_call_id":"c1","tool_name":"Bash","tool_input_display":{"kind":"command","command":"ls"}}`)
	r.want("? approve a1 Bash c1", "note bridge.unknown_event")
	if c := r.answer("POST /sessions/s1/approvals/a2", `{}`); c.Body.(api.ApprovalAnswer).Decision != api.Rejected || len(r.calls) != 0 {
		t.Errorf("%+v, and %+v", c, r.calls)
	}
}

// Text of a subagent has no offsets. If its step begins where the connection was lost, the transcript has the text.
func TestGapBeforeSubagentsStep(t *testing.T) {
	r := newRig(t, Settings{}, wireproto.InitializeParams{})
	r.transcripts = true
	r.begin(0)
	r.in(Gap{Until: r.seq + 1})
	r.now = r.now.Add(time.Minute)
	r.event("turn.step.started", `{"agentId":"agent-0","turnId":0,"step":1}`)
	r.event("~assistant.delta", `{"agentId":"agent-0","turnId":0,"delta":"world"}`)
	r.event("turn.step.completed", `{"agentId":"agent-0","turnId":0,"step":1,"usage":{},"finishReason":"tool_use","providerFinishReason":"stop"}`)
	r.answer("GET /sessions/s1/snapshot", `{"as_of_seq":99,"in_flight_turn":null}`)
	r.answer("GET /sessions/s1/transcript", `{"items":[{"kind":"turn","turnId":"t0","steps":[{"ordinal":1,"frames":[{"kind":"text","text":"hello world"}]}]}]}`)
	r.want("agent-0< StepBegin 1", "agent-0< text hello world", "agent-0< StatusUpdate")
}

// If Kimi Code does not list the server of the client's tools, the start fails and does not wait for ever. This happens
// if Kimi Code uses no server of its mcp.json.
func TestToolServerNotListed(t *testing.T) {
	r := &rig{t: t, tr: New(Settings{Model: "m", Permission: api.Manual, WorkDir: "/work"}), now: began, epoch: "e"}
	r.frame(&wireproto.Frame{ID: "init", Method: wireproto.MethodInitialize, Params: json.RawMessage(`{"protocol_version":"1.10","external_tools":[{"name":"echo","description":"","parameters":{}}]}`)})
	r.in(Launched{Version: "2.1.0", ToolHost: "program", Accepted: []string{"echo"}})
	r.answer("POST /sessions", `{"id":"s1","workspace_id":"wd_x"}`)
	r.in(Opened{})
	r.answer("POST /sessions/s1/profile", `{}`)
	r.answer("GET /sessions/s1/status", `{"permission":"manual"}`)
	r.answer("GET /sessions/s1/skills", `{}`)
	for n := 0; ; n++ {
		r.answer("GET /mcp/servers", `{"servers":[{"name":"other","status":"connected"}]}`)
		if len(r.sent) > 0 {
			break
		}
		if n > 1000 {
			t.Fatal("it waits for ever")
		}
		r.in(Timer{Name: timerHost})
	}
	if f := r.next(); f.ID != "init" || f.Error == nil || !strings.Contains(f.Error.Message, "does not list the program's tool server") {
		t.Errorf("%+v", f)
	}
}

// The error of a start that fails because of an option differs from that of an agent without the method initialize.
func TestUnsupportedStart(t *testing.T) {
	tr := New(Settings{Permission: api.Manual, Model: "m"})
	tr.Step(Frame{&wireproto.Frame{ID: "init", Method: wireproto.MethodInitialize, Params: json.RawMessage(`{}`)}}, began)
	out := tr.Step(Launched{Err: &UnsupportedError{Option: "hooks", Why: "it has none"}}, began)
	f, ok := out[0].(Send)
	if !ok || f.ID != "init" || f.Error == nil || f.Error.Code != wireproto.CodeMethodNotFound || string(f.Error.Data) != `{"option":"hooks"}` {
		t.Errorf("got %+v", out)
	}
}

// The turn that Kimi Code makes of a steer that a cancelled turn has not taken up is not the turn of a skill that the
// client has prompted after it.
func TestLateSteerSkill(t *testing.T) {
	r := newRig(t, Settings{Slash: true}, wireproto.InitializeParams{})
	prompt := r.begin(0)
	raw, _ := json.Marshal(wireproto.SteerParams{UserInput: wireproto.Content{Text: "more"}})
	r.frame(&wireproto.Frame{ID: "s", Method: wireproto.MethodSteer, Params: raw})
	c := r.answer("POST /sessions/s1/prompts", `{"status":"queued"}`)
	id := c.Body.(api.Prompt).PromptID
	r.answer("POST /sessions/s1/prompts/"+id+":steer", `{"steered":true}`)
	r.frame(&wireproto.Frame{ID: "c", Method: wireproto.MethodCancel})
	r.answer("POST /sessions/s1/prompts/"+prompt+":abort", `{}`)
	r.event("turn.ended", ended(0, "cancelled"))
	r.told()
	r.prompt("p1", "/review this")
	r.event("turn.started", fmt.Sprintf(`{"agentId":"main","turnId":1,"promptId":%q}`, id))
	r.event("turn.step.started", `{"agentId":"main","turnId":1,"step":1}`)
	r.eventAt("~assistant.delta", `{"agentId":"main","turnId":1,"delta":"unwanted"}`, 0)
	r.event("turn.step.completed", completed(1, 1))
	r.event("turn.ended", ended(1, "completed"))
	told := r.told()
	if slices.Contains(told, `p1: {"status":"finished"}`) || slices.Contains(told, "text unwanted") {
		t.Errorf("the turn of the steer is told as that of the skill: %q", told)
	}
}
