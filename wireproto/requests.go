package wireproto

import "encoding/json"

// ApprovalRequest asks whether the agent may do something. Answer it with an [ApprovalAnswer]. Since kimi-cli 1.25, the
// agent sends none before the initialize handshake. It may also send one while no turn runs. Protocol 1.0.
type ApprovalRequest struct {
	ID                string        `json:"id"`
	ToolCallID        string        `json:"tool_call_id"`
	Sender            string        `json:"sender"`      // the name of the tool, such as "Shell"
	Action            string        `json:"action"`      // such as "run command"; [ApproveForSession] allows all requests with the same action
	Description       string        `json:"description"` // a text for the user
	SourceKind        *string       `json:"source_kind"` // "foreground_turn" or "background_agent"
	SourceID          *string       `json:"source_id"`
	AgentID           *string       `json:"agent_id"`      // set if a subagent asks
	SubagentType      *string       `json:"subagent_type"` // set if a subagent asks
	SourceDescription *string       `json:"source_description"`
	Display           DisplayBlocks `json:"display"`
}

// QuestionRequest asks the user one to four questions. Answer it with a [QuestionAnswer]; one without answers dismisses
// the questions. The protocol's text says version 1.4, but kimi-cli has this message since 1.14, whose protocol is 1.3.
type QuestionRequest struct {
	ID         string         `json:"id"`
	ToolCallID string         `json:"tool_call_id"`
	Questions  []QuestionItem `json:"questions"`
}

// QuestionItem is one question.
type QuestionItem struct {
	Question         string           `json:"question"`
	Header           string           `json:"header"` // a short title
	Options          []QuestionOption `json:"options"`
	MultiSelect      bool             `json:"multi_select"`
	Body             string           `json:"body"`              // Markdown to show above the options
	OtherLabel       string           `json:"other_label"`       // the label of the option for free text; "" for the default
	OtherDescription string           `json:"other_description"` // the description of the option for free text
}

// MarshalJSON returns the question, with [] for a nil list.
func (q QuestionItem) MarshalJSON() ([]byte, error) {
	type fields QuestionItem
	q.Options = orEmpty(q.Options)
	return marshalJSON(fields(q))
}

// QuestionOption is one choice of a question.
type QuestionOption struct {
	Label       string `json:"label"`
	Description string `json:"description"`
}

// ToolCallRequest asks the client to run one of its tools. Answer it with a [ToolAnswer]. The id comes from the model.
// It may occur again in another turn, and even in the same step. Protocol 1.1.
type ToolCallRequest struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Arguments *string `json:"arguments"` // JSON text
}

// HookRequest asks the client for the decision of a hook. Answer it with a [HookAnswer]. It exists since kimi-cli 1.28,
// like [HookTriggered].
type HookRequest struct {
	ID             string                     `json:"id"`
	SubscriptionID string                     `json:"subscription_id"`
	Event          string                     `json:"event"`  // such as "PreToolUse"
	Target         string                     `json:"target"` // tool or agent name, or ""
	InputData      map[string]json.RawMessage `json:"input_data"`
}
