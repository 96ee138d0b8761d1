package wireproto

import (
	"encoding/json"
	"errors"
)

// TurnBegin starts a turn. HookTriggered, HookRequest and HookResolved for UserPromptSubmit may come before it.
// Protocol 1.0.
type TurnBegin struct {
	UserInput Content `json:"user_input"`
}

// SteerInput says that steered input has become a part of the turn. The result of steer only says that the input is
// queued. Protocol 1.5.
type SteerInput struct {
	UserInput Content `json:"user_input"`
}

// TurnEnd ends the work of a turn. The turn itself ends with the result of the prompt. More events may come before
// that. Protocol 1.2.
type TurnEnd struct{}

// StepBegin starts a step: one call of the model, and the tool calls that the model asks for in it. Protocol 1.0.
type StepBegin struct {
	N int `json:"n"` // counted from 1; starts at 1 again after a Stop hook has blocked
}

// StepInterrupted says that an error ended the step. It does not come if the turn is cancelled. Protocol 1.0.
type StepInterrupted struct{}

// StepRetry says that a model call has failed and will be repeated. Protocol 1.10.
type StepRetry struct {
	N           int     `json:"n"`            // the number of the step
	NextAttempt int     `json:"next_attempt"` // counted from 1
	MaxAttempts int     `json:"max_attempts"` // how many attempts there are at most, the first one included
	WaitS       float64 `json:"wait_s"`       // seconds until the next attempt
	ErrorType   string  `json:"error_type"`   // the agent's exception class, such as "APIStatusError"
	StatusCode  *int    `json:"status_code"`  // the HTTP status; nil if there was none
}

// HookTriggered says that hooks start to run. HookResolved may not follow. The protocol's text says version 1.7, but
// kimi-cli has this message since 1.28, whose protocol is 1.8.
type HookTriggered struct {
	Event     string `json:"event"`      // such as "PreToolUse"
	Target    string `json:"target"`     // tool or agent name, or ""
	HookCount int    `json:"hook_count"` // how many hooks run in parallel
}

// HookResolved has the common decision of the hooks. It exists since kimi-cli 1.28, like HookTriggered.
type HookResolved struct {
	Event      string     `json:"event"`
	Target     string     `json:"target"`
	Action     HookAction `json:"action"`
	Reason     string     `json:"reason"`      // "" if the hooks allow the action
	DurationMS int        `json:"duration_ms"` // milliseconds
}

// HookAction is the decision of a hook. Unknown values are kept.
type HookAction string

// The decisions of a hook.
const (
	HookAllow HookAction = "allow"
	HookBlock HookAction = "block"
)

// CompactionBegin says that the agent begins to compact the context. If that fails, StepInterrupted comes instead of
// CompactionEnd. Protocol 1.0.
type CompactionBegin struct{}

// CompactionEnd says that the agent has compacted the context. Protocol 1.0.
type CompactionEnd struct{}

// MCPLoadingBegin says that MCP servers are starting. kimi-cli sends it since 1.17. The protocol's text does not have
// it.
type MCPLoadingBegin struct{}

// MCPLoadingEnd says that each MCP server has started or failed. kimi-cli sends it since 1.17.
type MCPLoadingEnd struct{}

// StatusUpdate reports changes. A nil field means no change. Protocol 1.0.
type StatusUpdate struct {
	ContextUsage     *float64    `json:"context_usage"` // the used part of the context, from 0 to 1
	ContextTokens    *int        `json:"context_tokens"`
	MaxContextTokens *int        `json:"max_context_tokens"`
	TokenUsage       *TokenUsage `json:"token_usage"` // the tokens of this step
	MessageID        *string     `json:"message_id"`
	PlanMode         *bool       `json:"plan_mode"`
	MCPStatus        *MCPStatus  `json:"mcp_status"`
}

// TokenUsage counts the tokens of one or more model calls.
type TokenUsage struct {
	InputOther         int `json:"input_other"` // input that was neither read from the cache nor written to it
	Output             int `json:"output"`
	InputCacheRead     int `json:"input_cache_read"`
	InputCacheCreation int `json:"input_cache_creation"`
}

// Add adds the counts of o to u.
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
	Connected int         `json:"connected"` // how many servers are connected
	Total     int         `json:"total"`     // how many servers there are
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

// Notification reports something outside the conversation, for example the end of a background task. It comes only
// during a turn. kimi-cli sends it since 1.23. The protocol's text does not have it.
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

// ToolCall is a tool call of the model. Its arguments may be incomplete. Then the next ToolCallParts, until another
// ToolCall comes, continue them. Protocol 1.0.
type ToolCall struct {
	Type     string                     `json:"type"` // always "function"; "" is written as "function"
	ID       string                     `json:"id"`
	Function ToolCallFunction           `json:"function"`
	Extras   map[string]json.RawMessage `json:"extras"`
}

// ToolCallFunction has the name of the tool and the arguments.
type ToolCallFunction struct {
	Name      string  `json:"name"`
	Arguments *string `json:"arguments"` // JSON text, or only its start; nil if there are no arguments
}

// ToolCallPart continues the arguments of the latest ToolCall. Protocol 1.0.
type ToolCallPart struct {
	ArgumentsPart *string `json:"arguments_part"`
}

// ToolResult is the result of a tool call. Results come in the order in which the calls end. A client answers a
// ToolCallRequest with the same payload, as a [ToolAnswer]. Protocol 1.0.
type ToolResult struct {
	ToolCallID  string          `json:"tool_call_id"`
	ReturnValue ToolReturnValue `json:"return_value"`
}

// ToolReturnValue is the value that a tool returned.
type ToolReturnValue struct {
	IsError bool                       `json:"is_error"`
	Output  Content                    `json:"output"`  // shown to the model
	Message string                     `json:"message"` // tells the model about the output
	Display DisplayBlocks              `json:"display"` // shown to the user
	Extras  map[string]json.RawMessage `json:"extras"`
}

// ApprovalResponse says how a client has answered an approval request. Protocol 1.1. Its name was
// ApprovalRequestResolved before.
type ApprovalResponse struct {
	RequestID string           `json:"request_id"`
	Response  ApprovalDecision `json:"response"`
	Feedback  string           `json:"feedback"` // protocol 1.6
}

// ApprovalDecision is the answer to an approval request. Unknown values are kept.
type ApprovalDecision string

// The answers to an approval request.
const (
	Approve           ApprovalDecision = "approve"
	ApproveForSession ApprovalDecision = "approve_for_session" // also allows the same action for the rest of the session
	Reject            ApprovalDecision = "reject"
)

// SubagentEvent wraps an event of a subagent. Requests of the subagent are not wrapped: they come at the top level.
// Protocol 1.0.
type SubagentEvent struct {
	ParentToolCallID *string // task_tool_call_id before protocol 1.6
	AgentID          *string // protocol 1.6
	SubagentType     *string // such as "coder"; protocol 1.6
	Event            Message // always an [Event], but this package does not check that
}

// PlanDisplay shows a plan. Protocol 1.7.
type PlanDisplay struct {
	Content  string `json:"content"` // Markdown
	FilePath string `json:"file_path"`
}

// BtwBegin starts a side question. kimi-cli 1.51.0 has this message, but never sends it in Wire mode. Protocol 1.9.
type BtwBegin struct {
	ID       string `json:"id"`
	Question string `json:"question"`
}

// BtwEnd ends a side question. Protocol 1.9.
type BtwEnd struct {
	ID       string  `json:"id"`
	Response *string `json:"response"` // nil if the question failed
	Error    *string `json:"error"`
}

// UnmarshalJSON reads the payload. It also accepts the older member task_tool_call_id.
func (m *SubagentEvent) UnmarshalJSON(data []byte) error { return m.decode(data, 1) }

// decode reads the payload of a SubagentEvent that is inside depth-1 others.
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

// decode reads {"arguments_part":…} without reflection, because long arguments come in thousands of these messages.
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
