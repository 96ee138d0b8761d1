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

// rig is a translator whose session is ready, with a server that answers as it is told.
type rig struct {
	t           testing.TB
	tr          *Translator
	now         time.Time
	sent        []*wireproto.Frame // frames to the client that the test has not looked at
	calls       []Call             // calls without an answer
	other       []Output
	transcripts bool // the test itself answers calls for transcripts
	seq         int64
	epoch       string
}

var began = time.Unix(1_700_000_000, 0)

func newRig(t testing.TB, set Settings, init wireproto.InitializeParams) *rig {
	t.Helper()
	if set.Permission == "" {
		set.Permission = api.Manual
	}
	set.WorkDir = "/work"
	r := &rig{t: t, tr: New(set), now: began, epoch: "e"}
	raw, err := json.Marshal(init)
	if err != nil {
		t.Fatal(err)
	}
	r.frame(&wireproto.Frame{ID: "init", Method: wireproto.MethodInitialize, Params: raw})
	launched := Launched{Version: "2.1.0"}
	for _, tool := range init.ExternalTools {
		if launched.OwnTools == nil {
			launched.OwnTools = make(map[string]string)
		}
		launched.OwnTools["mcp__program__"+tool.Name] = tool.Name
		launched.Accepted = append(launched.Accepted, tool.Name)
	}
	r.in(launched)
	if len(init.Hooks) > 0 {
		r.in(HookCalled{Key: -1, Event: "SessionStart"})
	}
	r.answer("POST /sessions", `{"id":"s1","workspace_id":"wd_x"}`)
	if set.Model == "" {
		r.answer("GET /config", `{"default_model":"m"}`)
	}
	r.in(Opened{})
	r.answer("POST /sessions/s1/profile", `{}`)
	r.answer("GET /sessions/s1/status", fmt.Sprintf(`{"permission":%q,"plan_mode":%t,"max_context_tokens":1000}`, set.Permission, set.Plan))
	r.answer("GET /sessions/s1/skills", `{"skills":[{"name":"review","description":"d"}]}`)
	if f := r.next(); f.ID != "init" || f.Error != nil {
		t.Fatalf("initialize: %+v", f)
	}
	return r
}

// in gives the translator an input.
func (r *rig) in(in Input) {
	r.now = r.now.Add(time.Millisecond)
	for _, o := range r.tr.Step(in, r.now) {
		switch o := o.(type) {
		case Send:
			r.sent = append(r.sent, o.Frame)
		case Call:
			if !r.transcripts && strings.Contains(o.Path, "/transcript") {
				defer r.in(Answer{ID: o.ID, Data: json.RawMessage(`{"items":[]}`)})
				continue
			}
			snapshot := slices.ContainsFunc(r.calls, func(c Call) bool { return strings.HasSuffix(c.Path, "/snapshot") })
			if r.tr.inbox.held && !snapshot && strings.HasSuffix(o.Path, "/status") { // no event of the tests says how full the context is
				defer r.in(Answer{ID: o.ID, Data: json.RawMessage(`{"context_tokens":1,"max_context_tokens":1000}`)})
				continue
			}
			r.calls = append(r.calls, o)
		case SetTimer:
			if o.Name != timerWatch {
				r.other = append(r.other, o)
			}
		default:
			r.other = append(r.other, o)
		}
	}
}

func (r *rig) frame(f *wireproto.Frame) { r.in(Frame{f}) }

// prompt sends a prompt of the client.
func (r *rig) prompt(id, text string) {
	raw, _ := json.Marshal(wireproto.PromptParams{UserInput: wireproto.Content{Text: text}})
	r.frame(&wireproto.Frame{ID: id, Method: wireproto.MethodPrompt, Params: raw})
}

// call removes and returns the oldest call of a route. The route is without its query.
func (r *rig) call(route string) Call {
	r.t.Helper()
	for i, c := range r.calls {
		path, _, _ := strings.Cut(c.Path, "?")
		if c.Method+" "+path == route {
			r.calls = slices.Delete(r.calls, i, i+1)
			return c
		}
	}
	var open []string
	for _, c := range r.calls {
		open = append(open, c.Method+" "+c.Path)
	}
	r.t.Fatalf("no call of %s; open: %q", route, open)
	panic("unreachable")
}

// answer answers the oldest call of a route.
func (r *rig) answer(route, data string) Call {
	r.t.Helper()
	c := r.call(route)
	r.in(Answer{ID: c.ID, Data: json.RawMessage(data)})
	return c
}

// event gives the translator an event. A kind that begins with ~ means a volatile event.
func (r *rig) event(kind, payload string) { r.eventAt(kind, payload, -1) }

// eventAt does what event does, with an offset unless that is negative.
func (r *rig) eventAt(kind, payload string, offset int) {
	e := &api.Event{Type: strings.TrimPrefix(kind, "~"), Volatile: strings.HasPrefix(kind, "~"), Epoch: r.epoch, SessionID: "s1", Payload: json.RawMessage(payload)}
	if !e.Volatile {
		r.seq++
	}
	e.Seq = r.seq
	if offset >= 0 {
		e.Offset = &offset
	}
	r.in(Event{e})
}

// next removes and returns the oldest frame to the client.
func (r *rig) next() *wireproto.Frame {
	r.t.Helper()
	if len(r.sent) == 0 {
		r.t.Fatal("nothing was sent to the client")
	}
	f := r.sent[0]
	r.sent = r.sent[1:]
	return f
}

// told removes all frames to the client, and returns each one as a short line.
func (r *rig) told() []string {
	var list []string
	for _, f := range r.sent {
		list = append(list, line(f))
	}
	r.sent = nil
	return list
}

func line(f *wireproto.Frame) string {
	switch {
	case f.Error != nil:
		return fmt.Sprintf("%s: error %d", f.ID, f.Error.Code)
	case f.Method == "":
		return fmt.Sprintf("%s: %s", f.ID, f.Result)
	}
	prefix, m := "", f.Message
	if s, ok := m.(*wireproto.SubagentEvent); ok {
		prefix, m = *s.AgentID+"< ", s.Event
	}
	if f.Method == wireproto.MethodRequest {
		prefix += "? "
	}
	switch m := m.(type) {
	case *wireproto.TextPart:
		return prefix + "text " + m.Text
	case *wireproto.ThinkPart:
		return prefix + "think " + m.Think
	case *wireproto.ToolCall:
		return prefix + "call " + m.ID + " " + m.Function.Name + " " + *m.Function.Arguments
	case *wireproto.ToolCallPart:
		return prefix + "part " + *m.ArgumentsPart
	case *wireproto.ToolResult:
		return prefix + "result " + m.ToolCallID + " " + m.ReturnValue.Output.Text
	case *wireproto.StepBegin:
		return fmt.Sprintf("%sStepBegin %d", prefix, m.N)
	case *wireproto.ApprovalRequest:
		agent := ""
		if m.AgentID != nil {
			agent = " of " + *m.AgentID
		}
		return prefix + "approve " + m.ID + " " + m.Sender + " " + m.ToolCallID + agent
	case *wireproto.ApprovalResponse:
		return prefix + "answered " + m.RequestID + " " + string(m.Response)
	case *wireproto.Notification:
		return prefix + "note " + m.Type
	case *wireproto.ToolCallRequest:
		return prefix + "tool " + m.ID + " " + m.Name + " " + *m.Arguments
	case *wireproto.HookRequest:
		return prefix + "hook " + m.SubscriptionID + " " + m.Event + " " + m.Target
	}
	return prefix + m.MessageType()
}

// begin sends a prompt and lets its turn begin. n is the number of the turn.
func (r *rig) begin(n int) (prompt string) {
	r.t.Helper()
	r.prompt(fmt.Sprintf("p%d", n), "hi")
	c := r.answer("POST /sessions/s1/prompts", `{"status":"running"}`)
	prompt = c.Body.(api.Prompt).PromptID
	r.event("turn.started", fmt.Sprintf(`{"agentId":"main","turnId":%d,"promptId":%q}`, n, prompt))
	r.event("turn.step.started", fmt.Sprintf(`{"agentId":"main","turnId":%d,"step":1}`, n))
	r.want("TurnBegin", "StepBegin 1")
	return prompt
}

// want checks what was sent to the client.
func (r *rig) want(lines ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, lines) {
		r.t.Errorf("sent to the client:\n got %q\nwant %q", got, lines)
	}
}

// reply answers a request of the translator.
func (r *rig) reply(id string, result any) {
	raw, err := json.Marshal(result)
	if err != nil {
		r.t.Fatal(err)
	}
	r.frame(&wireproto.Frame{ID: id, Result: raw})
}
