package client

import (
	"cmp"
	"encoding/json"
	"testing"

	"github.com/kimi-go/kimi-go/wireproto"
)

func TestWholeCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		parts []string
		want  string // "" for a call that is not complete
	}{
		{[]string{`{"command": "ls"}`}, `{"command": "ls"}`},
		{[]string{`{"comm`, ``, `and": "ls`, `"}`}, `{"command": "ls"}`},
		{nil, `{}`},
		{[]string{""}, `{}`},
		{[]string{`{"command": "ls`}, ""},
		{[]string{`{"command": "ls"}`, `{"command": "rm"}`}, ""},
		{[]string{"{\"command\": \"a\nb\t\\n\\\"\n\"}"}, `{"command": "a\u000ab\u0009\n\"\u000a"}`}, // Python accepts control characters in strings
		{[]string{"{\n\"a\": 1}"}, "{\n\"a\": 1}"},
		{[]string{"{\"a\": \"\\\n\"}"}, ""},
	} {
		name, args := (&toolCall{name: "Shell", args: tt.parts}).whole()
		if string(args) != tt.want || (name == "Shell") != (tt.want != "") {
			t.Errorf("%q: %q %q, want %q", tt.parts, name, args, tt.want)
		}
		if args != nil && !json.Valid(args) {
			t.Errorf("%q: not JSON: %q", tt.parts, args)
		}
	}
}

// A request is bound to the only call that it can ask about, in any order of the messages. If there are several such
// calls, it is bound to none.
func TestBindCall(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	call := func(id, name, args string) wireproto.Message {
		return &wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: name, Arguments: &args}}
	}
	shell := func(id, command string) wireproto.Message { return call(id, "Shell", `{"command":"`+command+`"}`) }
	part := func(s string) wireproto.Message { return &wireproto.ToolCallPart{ArgumentsPart: &s} }
	in := func(agent string, m wireproto.Message) wireproto.Message {
		return &wireproto.SubagentEvent{ParentToolCallID: text("p"), AgentID: &agent, Event: m}
	}
	ask := func(id, agent string) wireproto.Message {
		r := &wireproto.ApprovalRequest{ID: "r", ToolCallID: id, Sender: "Shell"}
		if agent != "" {
			r.AgentID = &agent
		}
		return r
	}
	step, status := &wireproto.StepBegin{N: 1}, &wireproto.StatusUpdate{}
	result := func(id string) wireproto.Message { return &wireproto.ToolResult{ToolCallID: id} }
	type messages = []wireproto.Message
	for name, tt := range map[string]struct {
		came messages // the test looks at the last request
		want string   // the arguments of its call, "" for no call
		by   backend  // nil for kimi-cli
	}{
		"a call":                        {came: messages{shell("a", "ls"), ask("a", "")}, want: `{"command":"ls"}`},
		"in parts":                      {came: messages{call("a", "Shell", ""), part(`{"command":`), part(`"ls"}`), ask("a", "")}, want: `{"command":"ls"}`},
		"parts belong to the latest":    {came: messages{shell("a", "ls"), call("b", "Shell", `{"command":`), part(`"rm"}`), ask("a", "")}, want: `{"command":"ls"}`},
		"unknown":                       {came: messages{shell("b", "ls"), ask("a", "")}},
		"not complete":                  {came: messages{call("a", "Shell", `{"command":`), ask("a", "")}},
		"one id twice in a step":        {came: messages{shell("a", "ls"), shell("a", "rm"), ask("a", "")}},
		"one id twice, one has ended":   {came: messages{shell("a", "ls"), shell("a", "rm"), result("a"), ask("a", "")}},
		"one id twice, one after other": {came: messages{shell("a", "ls"), ask("a", ""), result("a"), shell("a", "rm"), ask("a", "")}, want: `{"command":"rm"}`},
		"a second request for a call":   {came: messages{shell("a", "ls"), ask("a", ""), ask("a", "")}},
		"one id in two steps":           {came: messages{step, shell("a", "ls"), step, shell("a", "rm"), ask("a", "")}, want: `{"command":"rm"}`},
		"of the step before":            {came: messages{step, shell("a", "ls"), step, ask("a", "")}},
		"said again":                    {came: messages{shell("a", "ls"), &wireproto.StepRetry{N: 1}, shell("a", "rm"), ask("a", "")}, want: `{"command":"rm"}`},
		"another tool":                  {came: messages{call("a", "Agent", `{}`), ask("a", "")}},
		"no id":                         {came: messages{shell("", "ls"), ask("", "")}},
		"a subagent's":                  {came: messages{in("x", shell("a", "ls")), in("x", status), ask("a", "x")}, want: `{"command":"ls"}`},
		"a subagent's, later":           {came: messages{ask("a", "x"), in("x", shell("a", "ls")), in("x", status)}, want: `{"command":"ls"}`},
		"a subagent's, not told yet":    {came: messages{in("x", shell("a", "ls")), ask("a", "x")}},
		"a subagent's, one id twice":    {came: messages{ask("a", "x"), in("x", shell("a", "ls")), in("x", shell("a", "rm")), in("x", status)}},
		"another subagent's":            {came: messages{in("y", shell("a", "ls")), in("y", status), ask("a", "x")}},
		"the main agent's, same id":     {came: messages{shell("a", "ls"), in("x", shell("a", "rm")), in("x", status), ask("a", "x")}, want: `{"command":"rm"}`},
		"a subagent's, asked by main":   {came: messages{in("x", shell("a", "ls")), in("x", status), ask("a", "")}},
		"a subagent's subagent's":       {came: messages{in("x", in("z", shell("a", "ls"))), in("x", in("z", status)), ask("a", "z")}, want: `{"command":"ls"}`},
		"an event of no agent":          {came: messages{&wireproto.SubagentEvent{ParentToolCallID: text("p"), Event: shell("a", "ls")}, ask("a", "")}},
		"a turn before":                 {came: messages{in("x", shell("a", "ls")), in("x", status), &wireproto.TurnBegin{}, ask("a", "x")}},
		"Kimi Code's":                   {came: messages{shell("a", "ls"), ask("a", "")}, want: `{"command":"ls"}`, by: kimiCode{}},
		"Kimi Code's subagent":          {came: messages{in("x", shell("a", "ls")), in("x", status), ask("a", "x")}, want: `{"command":"ls"}`, by: kimiCode{}},
	} {
		s := &Session{requests: make(map[*request]struct{}), backend: cmp.Or[backend](tt.by, kimiCLI{})}
		var last *request
		for _, m := range tt.came {
			if _, ok := m.(*wireproto.ApprovalRequest); !ok {
				s.noteCallLocked(m)
				continue
			}
			last = &request{s: s, id: "r", asked: m}
			s.requests[last] = struct{}{}
			s.bindCallLocked(last)
		}
		got := ""
		if last.tool != nil {
			_, args := last.tool.whole()
			got = string(args)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if name, args := new(ApprovalRequest).Call(); name != "" || args != nil {
		t.Errorf("of no live request: %q, %q", name, args)
	}
}
