package wireproto

import "encoding/json"

// ApprovalRequest asks whether the agent may go on with an action. It is answered
// with an [ApprovalAnswer]. The agent sends none before the initialize handshake
// (kimi-cli 1.25 and later), and may send one while no turn runs. Protocol 1.0.
type ApprovalRequest struct {
	ID                string        `json:"id"`
	ToolCallID        string        `json:"tool_call_id"`
	Sender            string        `json:"sender"`      // the tool, such as "Shell"
	Action            string        `json:"action"`      // such as "run command"; what approve-for-session covers
	Description       string        `json:"description"` // for the user
	SourceKind        *string       `json:"source_kind"` // "foreground_turn" or "background_agent"
	SourceID          *string       `json:"source_id"`
	AgentID           *string       `json:"agent_id"`      // set when a subagent asks
	SubagentType      *string       `json:"subagent_type"` // set when a subagent asks
	SourceDescription *string       `json:"source_description"`
	Display           DisplayBlocks `json:"display"`
}

// QuestionRequest asks the user one to four questions. It is answered with a QuestionAnswer; an answer without
// answers dismisses it. The text of the protocol says 1.4; kimi-cli has it since 1.14, which speaks 1.3.
type QuestionRequest struct {
	ID         string         `json:"id"`
	ToolCallID string         `json:"tool_call_id"`
	Questions  []QuestionItem `json:"questions"`
}

// QuestionItem is one question.
type QuestionItem struct {
	Question         string           `json:"question"`
	Header           string           `json:"header"` // a short label
	Options          []QuestionOption `json:"options"`
	MultiSelect      bool             `json:"multi_select"`
	Body             string           `json:"body"`              // Markdown to show above the options
	OtherLabel       string           `json:"other_label"`       // label of the free-text option, "" for the default
	OtherDescription string           `json:"other_description"` // description of the free-text option
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

// ToolCallRequest asks the client to run one of its tools. It is answered with a ToolAnswer. The model makes the id:
// it may occur again in another turn, and even in the same step. Protocol 1.1.
type ToolCallRequest struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Arguments *string `json:"arguments"` // JSON text
}

// HookRequest asks the client for the decision of a hook. It is answered with a HookAnswer. Since kimi-cli 1.28, as
// HookTriggered.
type HookRequest struct {
	ID             string                     `json:"id"`
	SubscriptionID string                     `json:"subscription_id"`
	Event          string                     `json:"event"`  // such as "PreToolUse"
	Target         string                     `json:"target"` // tool or agent name, or ""
	InputData      map[string]json.RawMessage `json:"input_data"`
}
