package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Feature is a part of the protocol that a recording can show.
type Feature struct {
	Kind string // its group, such as "event"
	Name string // such as "TurnBegin"
}

// String returns the kind and the name.
func (f Feature) String() string { return f.Kind + " " + f.Name }

// known lists, for each kind, everything that kimi-cli 1.51.0 has (kimi_cli/wire/types.py, jsonrpc.py and server.py,
// tools/display.py, hooks/config.py).
var known = map[string]string{
	"event": "TurnBegin SteerInput TurnEnd StepBegin StepInterrupted StepRetry HookTriggered HookResolved CompactionBegin CompactionEnd " +
		"MCPLoadingBegin MCPLoadingEnd StatusUpdate Notification ContentPart ToolCall ToolCallPart ToolResult ApprovalResponse SubagentEvent " +
		"PlanDisplay BtwBegin BtwEnd",
	"event in a subagent": "TurnBegin TurnEnd StepBegin ContentPart ToolCall ToolResult StatusUpdate",
	"request":             "ApprovalRequest QuestionRequest ToolCallRequest HookRequest",
	"answer": "ApprovalRequest:approve ApprovalRequest:approve_for_session ApprovalRequest:reject ApprovalRequest:reject-feedback " +
		"QuestionRequest:answers QuestionRequest:none ToolCallRequest:result ToolCallRequest:error HookRequest:allow HookRequest:block " +
		"HookRequest:unreadable ToolCallRequest:unreadable QuestionRequest:unreadable ApprovalRequest:unreadable",
	"approval resolved":        "approve approve_for_session reject",
	"approval of":              "foreground_turn background_agent subagent",
	"hook resolved":            "allow block",
	"part":                     "text think image_url audio_url video_url",
	"part of a prompt":         "text image_url audio_url video_url",
	"part of a tool result":    "text image_url audio_url",
	"display block":            "brief diff diff-summary todo shell background_task unknown",
	"method":                   "initialize prompt replay steer set_plan_mode cancel",
	"status of prompt":         "finished cancelled max_steps_reached",
	"status of steer":          "steered",
	"status of replay":         "finished cancelled",
	"status of set_plan_mode":  "ok",
	"error":                    "-32700 -32600 -32601 -32602 -32603 -32001 -32002 -32003 -32004",
	"error -32000 of":          "initialize prompt replay steer set_plan_mode cancel",
	"hook event":               "PreToolUse PostToolUse PostToolUseFailure UserPromptSubmit Stop StopFailure SessionStart SessionEnd SubagentStart SubagentStop PreCompact PostCompact Notification",
	"status of an MCP server":  "pending connecting connected failed unauthorized",
	"external tool":            "accepted rejected",
	"end of the agent":         "exit signal unasked",
	"line that is not a frame": "agent client",
	"notification":             "task.completed task.failed task.timed_out task.killed task.lost",
}

// unprovoked says for some features why no recording of the real kimi can show them.
var unprovoked = map[Feature]string{
	{"event", "BtwBegin"}:                       "only kimi's terminal interface sends it; over Wire, /btw is an unknown command (see slash-commands)",
	{"event", "BtwEnd"}:                         "the same as for BtwBegin",
	{"error -32000 of", "set_plan_mode"}:        "every agent that kimi serves over Wire has plan mode",
	{"hook event", "PostToolUseFailure"}:        "it needs a tool that raises an exception; kimi's own tools return an error instead, and PostToolUse runs",
	{"hook event", "SessionStart"}:              "it runs before kimi serves Wire",
	{"hook event", "SessionEnd"}:                "it runs after the connection has been closed",
	{"notification", "task.killed"}:             "the tool that stops a task needs its id, which no script of the model can know",
	{"notification", "task.lost"}:               "it needs the worker process of a task to die",
	{"status of an MCP server", "pending"}:      "kimi connects to all servers before it reports them",
	{"status of an MCP server", "unauthorized"}: "it needs a remote MCP server with an OAuth login",
}

// Seen returns the features that a recording shows.
func Seen(f *fixture.Fixture) map[Feature]bool {
	c := &collector{seen: make(map[Feature]bool), calls: make(map[string]string), requests: make(map[string]string)}
	for _, rec := range f.Records {
		if rec.End != nil {
			c.end(rec.End)
			continue
		}
		frame, err := wireproto.DecodeLine([]byte(rec.Line))
		switch {
		case err != nil:
			c.saw("line that is not a frame", string(rec.From))
		case rec.From == fixture.Client:
			c.client(frame)
		default:
			c.agent(frame)
		}
	}
	return c.seen
}

// collector collects the features of one recording.
type collector struct {
	seen     map[Feature]bool
	calls    map[string]string // the methods of calls, by the ids of the calls
	requests map[string]string // the types of requests, by the ids of the requests
}

func (c *collector) saw(kind, name string) { c.seen[Feature{kind, name}] = true }

func (c *collector) end(e *fixture.End) {
	name := "exit"
	switch {
	case e.Signal != "":
		name = "signal"
	case e.Unasked:
		name = "unasked"
	}
	c.saw("end of the agent", name)
}

func (c *collector) client(f *wireproto.Frame) {
	if f.Method != "" {
		if strings.Contains(known["method"], f.Method) {
			c.saw("method", f.Method)
		}
		c.calls[f.ID] = f.Method
		return
	}
	kind, asked := c.requests[f.ID]
	if !asked {
		return
	}
	delete(c.requests, f.ID)
	c.saw("answer", kind+":"+answerOf(kind, f))
}

// answerOf names the answer to a request, as kimi understands the answer.
func answerOf(kind string, f *wireproto.Frame) string {
	var a struct {
		Response wireproto.ApprovalDecision
		Feedback *string
		Answers  map[string]string
		Action   wireproto.HookAction
		Value    *struct {
			IsError bool    `json:"is_error"`
			Message *string `json:"message"`
		} `json:"return_value"`
	}
	if f.Error != nil || json.Unmarshal(f.Result, &a) != nil {
		return "unreadable"
	}
	switch kind {
	case "ApprovalRequest":
		switch {
		case strings.Contains(string(f.Result), `"feedback":null`):
			return "unreadable"
		case a.Feedback != nil && a.Response == wireproto.Reject:
			return "reject-feedback"
		}
		return string(a.Response)
	case "QuestionRequest":
		if len(a.Answers) == 0 {
			return "none"
		}
		return "answers"
	case "HookRequest":
		return string(a.Action)
	case "ToolCallRequest":
		switch {
		case a.Value == nil || a.Value.Message == nil:
			return "unreadable"
		case a.Value.IsError:
			return "error"
		}
		return "result"
	}
	return "of an unknown request"
}

func (c *collector) agent(f *wireproto.Frame) {
	switch {
	case f.Method == wireproto.MethodRequest:
		c.requests[f.ID] = f.Message.MessageType()
		c.saw("request", f.Message.MessageType())
		c.message(f.Message)
	case f.Method == wireproto.MethodEvent:
		c.saw("event", f.Message.MessageType())
		c.message(f.Message)
	case f.Error != nil && f.Error.Code == wireproto.CodeInvalidState:
		c.saw("error -32000 of", c.calls[f.ID])
	case f.Error != nil:
		c.saw("error", fmt.Sprint(f.Error.Code))
	default:
		c.result(c.calls[f.ID], f.Result)
	}
}

func (c *collector) result(method string, raw json.RawMessage) {
	var r struct {
		Status string
		Tools  *wireproto.ExternalTools `json:"external_tools"`
	}
	if json.Unmarshal(raw, &r) != nil {
		return
	}
	if r.Status != "" {
		c.saw("status of "+method, r.Status)
	}
	if r.Tools != nil && len(r.Tools.Accepted) > 0 {
		c.saw("external tool", "accepted")
	}
	if r.Tools != nil && len(r.Tools.Rejected) > 0 {
		c.saw("external tool", "rejected")
	}
}

func (c *collector) message(m wireproto.Message) {
	switch m := m.(type) {
	case wireproto.ContentPart:
		c.part("part", m)
	case *wireproto.TurnBegin:
		c.parts("part of a prompt", m.UserInput)
	case *wireproto.ToolResult:
		c.parts("part of a tool result", m.ReturnValue.Output)
		c.blocks(m.ReturnValue.Display)
	case *wireproto.ApprovalRequest:
		c.blocks(m.Display)
		if m.SourceKind != nil {
			c.saw("approval of", *m.SourceKind)
		}
		if m.AgentID != nil {
			c.saw("approval of", "subagent")
		}
	case *wireproto.ApprovalResponse:
		c.saw("approval resolved", string(m.Response))
	case *wireproto.HookTriggered:
		c.saw("hook event", m.Event)
	case *wireproto.HookResolved:
		c.saw("hook resolved", string(m.Action))
	case *wireproto.Notification:
		c.saw("notification", m.Type)
	case *wireproto.StatusUpdate:
		if m.MCPStatus != nil {
			for _, s := range m.MCPStatus.Servers {
				c.saw("status of an MCP server", s.Status)
			}
		}
	case *wireproto.SubagentEvent:
		if !strings.HasPrefix(m.Event.MessageType(), "Hook") {
			c.saw("event in a subagent", m.Event.MessageType())
		}
		c.message(m.Event)
	}
}

func (c *collector) parts(kind string, content wireproto.Content) {
	for _, p := range content.Parts {
		c.part(kind, p)
	}
}

func (c *collector) part(kind string, p wireproto.ContentPart) {
	switch p.(type) {
	case *wireproto.TextPart:
		c.saw(kind, "text")
	case *wireproto.ThinkPart:
		c.saw(kind, "think")
	case *wireproto.ImageURLPart:
		c.saw(kind, "image_url")
	case *wireproto.AudioURLPart:
		c.saw(kind, "audio_url")
	case *wireproto.VideoURLPart:
		c.saw(kind, "video_url")
	default:
		c.saw(kind, "unknown")
	}
}

func (c *collector) blocks(list wireproto.DisplayBlocks) {
	for _, b := range list {
		name := b.BlockType()
		switch b := b.(type) {
		case *wireproto.UnknownDisplayBlock:
			name = "unknown"
		case *wireproto.DiffDisplayBlock:
			if b.IsSummary {
				name = "diff-summary"
			}
		}
		c.saw("display block", name)
	}
}

// Missing compares the features in all recordings with the list of known features. It returns the differences.
func Missing(seen map[Feature]bool) (problems []string) {
	all := make(map[Feature]bool)
	for kind, names := range known {
		for name := range strings.FieldsSeq(names) {
			f := Feature{kind, name}
			all[f] = true
			switch why := unprovoked[f]; {
			case why == "" && !seen[f]:
				problems = append(problems, "no fixture shows: "+f.String())
			case why != "" && seen[f]:
				problems = append(problems, "a fixture shows, but unprovoked lists: "+f.String())
			}
		}
	}
	for f := range seen {
		if !all[f] {
			problems = append(problems, "a fixture shows, but known does not list: "+f.String())
		}
	}
	for f := range unprovoked {
		if !all[f] {
			problems = append(problems, "unprovoked lists, but known does not list: "+f.String())
		}
	}
	return problems
}
