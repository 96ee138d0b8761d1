package wireproto

import (
	"encoding/json"
	"errors"
)

// TurnBegin starts a turn. HookTriggered, HookRequest and HookResolved of
// UserPromptSubmit may come before it. Protocol 1.0.
type TurnBegin struct {
	UserInput Content `json:"user_input"`
}

// SteerInput says that steered input has reached the turn. Only this message shows that a steer was not merely
// queued. Protocol 1.5.
type SteerInput struct {
	UserInput Content `json:"user_input"`
}

// TurnEnd ends a turn's work. The result of the prompt, which may come after some
// more events, ends the turn itself. Protocol 1.2.
type TurnEnd struct{}

// StepBegin starts a step: one call of the model, and the tool calls that the model makes in it. Protocol 1.0.
type StepBegin struct {
	N int `json:"n"` // from 1; starts again at 1 after a Stop hook has blocked
}

// StepInterrupted says that an error ended the step. A cancelled turn has none. Protocol 1.0.
type StepInterrupted struct{}

// StepRetry says that a call of the model failed and is tried again. Protocol 1.10.
type StepRetry struct {
	N           int     `json:"n"`            // the step
	NextAttempt int     `json:"next_attempt"` // from 1
	MaxAttempts int     `json:"max_attempts"` // attempts, not retries
	WaitS       float64 `json:"wait_s"`       // seconds until the next attempt
	ErrorType   string  `json:"error_type"`   // the agent's exception class, such as "APIStatusError"
	StatusCode  *int    `json:"status_code"`  // HTTP status, nil if there was none
}

// HookTriggered says that hooks run. A HookResolved does not always follow. The text of the protocol says 1.7; kimi-cli has it
// since 1.28, which speaks 1.8.
type HookTriggered struct {
	Event     string `json:"event"`      // such as "PreToolUse"
	Target    string `json:"target"`     // tool or agent name, or ""
	HookCount int    `json:"hook_count"` // hooks that run in parallel
}

// HookResolved says what the hooks decided together. Since kimi-cli 1.28, as HookTriggered.
type HookResolved struct {
	Event      string     `json:"event"`
	Target     string     `json:"target"`
	Action     HookAction `json:"action"`
	Reason     string     `json:"reason"`      // "" when allowed
	DurationMS int        `json:"duration_ms"` // milliseconds
}

// HookAction is the decision of a hook. Unknown values are kept.
type HookAction string

// What a hook may decide.
const (
	HookAllow HookAction = "allow"
	HookBlock HookAction = "block"
)

// CompactionBegin says that the context is being compacted. After a failed
// compaction StepInterrupted comes instead of CompactionEnd. Protocol 1.0.
type CompactionBegin struct{}

// CompactionEnd says that the context has been compacted. Protocol 1.0.
type CompactionEnd struct{}

// MCPLoadingBegin says that MCP servers are starting. Sent since kimi-cli 1.17;
// not in the protocol's text.
type MCPLoadingBegin struct{}

// MCPLoadingEnd says that the MCP servers have started or failed. Since kimi-cli 1.17.
type MCPLoadingEnd struct{}

// StatusUpdate says what has changed; a nil field means no change. Protocol 1.0.
type StatusUpdate struct {
	ContextUsage     *float64    `json:"context_usage"` // 0 to 1
	ContextTokens    *int        `json:"context_tokens"`
	MaxContextTokens *int        `json:"max_context_tokens"`
	TokenUsage       *TokenUsage `json:"token_usage"` // of this step
	MessageID        *string     `json:"message_id"`
	PlanMode         *bool       `json:"plan_mode"`
	MCPStatus        *MCPStatus  `json:"mcp_status"`
}

// TokenUsage counts the tokens of one or more model calls.
type TokenUsage struct {
	InputOther         int `json:"input_other"` // input neither read from nor written to the cache
	Output             int `json:"output"`
	InputCacheRead     int `json:"input_cache_read"`
	InputCacheCreation int `json:"input_cache_creation"`
}

// Add adds o to u.
func (u *TokenUsage) Add(o TokenUsage) {
	u.InputOther += o.InputOther
	u.Output += o.Output
	u.InputCacheRead += o.InputCacheRead
	u.InputCacheCreation += o.InputCacheCreation
}

// Total returns the sum of all tokens, input and output.
func (u TokenUsage) Total() int {
	return u.InputOther + u.Output + u.InputCacheRead + u.InputCacheCreation
}

// MCPStatus is a snapshot of the MCP servers (MCPStatusSnapshot in kimi_cli/wire/types.py).
type MCPStatus struct {
	Loading   bool        `json:"loading"`
	Connected int         `json:"connected"` // servers
	Total     int         `json:"total"`     // servers
	Tools     int         `json:"tools"`
	Servers   []MCPServer `json:"servers"`
}

// MCPServer is the state of one MCP server (MCPServerSnapshot in kimi_cli/wire/types.py).
type MCPServer struct {
	Name   string   `json:"name"`
	Status string   `json:"status"` // pending, connecting, connected, failed, unauthorized
	Tools  []string `json:"tools"`
}

// MarshalJSON returns the snapshot, with [] for a nil list.
func (s MCPStatus) MarshalJSON() ([]byte, error) {
	type fields MCPStatus
	s.Servers = orEmpty(s.Servers)
	return marshalJSON(fields(s))
}

// MarshalJSON returns the state, with [] for a nil list.
func (s MCPServer) MarshalJSON() ([]byte, error) {
	type fields MCPServer
	s.Tools = orEmpty(s.Tools)
	return marshalJSON(fields(s))
}

// Notification reports something outside the conversation, such as a background task that has ended. It only comes
// during a turn. Since kimi-cli 1.23; not in the protocol's text.
type Notification struct {
	ID         string                     `json:"id"`
	Category   string                     `json:"category"` // such as "task"
	Type       string                     `json:"type"`     // such as "task.completed"
	SourceKind string                     `json:"source_kind"`
	SourceID   string                     `json:"source_id"`
	Title      string                     `json:"title"`
	Body       string                     `json:"body"`
	Severity   string                     `json:"severity"`
	CreatedAt  float64                    `json:"created_at"` // seconds since 1970
	Payload    map[string]json.RawMessage `json:"payload"`
}

// ToolCall is a tool call of the model. Arguments may still be incomplete: the
// ToolCallParts that follow, up to the next ToolCall, continue them. Protocol 1.0.
type ToolCall struct {
	Type     string                     `json:"type"` // always "function"; written so when empty
	ID       string                     `json:"id"`
	Function ToolCallFunction           `json:"function"`
	Extras   map[string]json.RawMessage `json:"extras"`
}

// ToolCallFunction names the tool and holds its arguments.
type ToolCallFunction struct {
	Name      string  `json:"name"`
	Arguments *string `json:"arguments"` // JSON text, perhaps only its head; nil for none
}

// ToolCallPart continues the arguments of the latest ToolCall. Protocol 1.0.
type ToolCallPart struct {
	ArgumentsPart *string `json:"arguments_part"`
}

// ToolResult is the result of a tool call. Results come in the order of completion. The answer of a client to a
// ToolCallRequest has its payload, as a [ToolAnswer]. Protocol 1.0.
type ToolResult struct {
	ToolCallID  string          `json:"tool_call_id"`
	ReturnValue ToolReturnValue `json:"return_value"`
}

// ToolReturnValue is the value that a tool returned.
type ToolReturnValue struct {
	IsError bool                       `json:"is_error"`
	Output  Content                    `json:"output"`  // for the model
	Message string                     `json:"message"` // explains the output to the model
	Display DisplayBlocks              `json:"display"` // for the user
	Extras  map[string]json.RawMessage `json:"extras"`
}

// ApprovalResponse says how an approval request was resolved, by any client. Protocol 1.1; before it the name was
// ApprovalRequestResolved.
type ApprovalResponse struct {
	RequestID string           `json:"request_id"`
	Response  ApprovalDecision `json:"response"`
	Feedback  string           `json:"feedback"` // protocol 1.6
}

// ApprovalDecision is the answer to an approval request. Unknown values are kept.
type ApprovalDecision string

// What an approval request may be answered with.
const (
	Approve           ApprovalDecision = "approve"
	ApproveForSession ApprovalDecision = "approve_for_session" // this action, for the rest of the session
	Reject            ApprovalDecision = "reject"
)

// SubagentEvent wraps an event of a subagent. Requests of the subagent are not wrapped: they come at the top level.
// Protocol 1.0.
type SubagentEvent struct {
	ParentToolCallID *string // task_tool_call_id before protocol 1.6
	AgentID          *string // protocol 1.6
	SubagentType     *string // such as "coder"; protocol 1.6
	Event            Message // an [Event], which only the agent ensures
}

// PlanDisplay shows a plan. Protocol 1.7.
type PlanDisplay struct {
	Content  string `json:"content"` // Markdown
	FilePath string `json:"file_path"`
}

// BtwBegin starts a side question. kimi-cli 1.51.0 has it, and never sends it in
// Wire mode. Protocol 1.9.
type BtwBegin struct {
	ID       string `json:"id"`
	Question string `json:"question"`
}

// BtwEnd ends a side question. Protocol 1.9.
type BtwEnd struct {
	ID       string  `json:"id"`
	Response *string `json:"response"` // nil when it failed
	Error    *string `json:"error"`
}

// UnmarshalJSON reads the payload, also with the older member task_tool_call_id.
func (m *SubagentEvent) UnmarshalJSON(data []byte) error { return m.decode(data, 1) }

// decode reads the payload of the SubagentEvent that has depth-1 others around it.
func (m *SubagentEvent) decode(data []byte, depth int) error {
	if depth > maxNesting {
		return errors.New("wireproto: SubagentEvents are nested too deep")
	}
	var p struct {
		Parent  *string         `json:"parent_tool_call_id"`
		Task    *string         `json:"task_tool_call_id"`
		AgentID *string         `json:"agent_id"`
		Type    *string         `json:"subagent_type"`
		Event   json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	if p.Event == nil {
		return errNoEvent
	}
	event, err := decodeEnvelope(p.Event, depth)
	if err != nil {
		return err
	}
	if p.Parent == nil {
		p.Parent = p.Task
	}
	*m = SubagentEvent{p.Parent, p.AgentID, p.Type, event}
	return nil
}

// MarshalJSON returns the envelope.
func (m *SubagentEvent) MarshalJSON() ([]byte, error) {
	if isNil(m.Event) {
		return nil, errNoEvent
	}
	return marshalEnvelope("SubagentEvent", struct {
		Parent  *string `json:"parent_tool_call_id"`
		AgentID *string `json:"agent_id"`
		Type    *string `json:"subagent_type"`
		Event   Message `json:"event"`
	}{m.ParentToolCallID, m.AgentID, m.SubagentType, m.Event})
}

var errNoEvent = errors.New("wireproto: SubagentEvent has no event")

// decode reads {"arguments_part":…} without reflection: long arguments stream in
// thousands of these.
func (m *ToolCallPart) decode(payload []byte) error {
	var failed error
	err := eachMember(payload, func(key, value []byte) {
		if string(key) == "arguments_part" && string(value) != "null" {
			s, err := decodeString(value)
			m.ArgumentsPart, failed = &s, err
		}
	})
	if err != nil {
		return err
	}
	return failed
}
