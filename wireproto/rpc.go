package wireproto

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The methods that a client calls. The agent answers each call once, with a result or an error.
const (
	MethodInitialize  = "initialize"    // protocol 1.1
	MethodPrompt      = "prompt"        // protocol 1.0; its result ends the turn
	MethodCancel      = "cancel"        // protocol 1.0
	MethodReplay      = "replay"        // protocol 1.3
	MethodSteer       = "steer"         // protocol 1.4 in the protocol's text, but kimi-cli 1.14 with protocol 1.3 has it
	MethodSetPlanMode = "set_plan_mode" // protocol 1.4
	MethodUndo        = "undo"          // only in this module's bridge to Kimi Code; see [BridgeInfo]
)

// The methods that only the bridge to Kimi Code has. With the bridge, [InitializeResult] has a Bridge. kimi-cli answers
// [CodeMethodNotFound].
const (
	MethodModels   = "models"    // no parameters; the result is a [ModelsResult]
	MethodSetModel = "set_model" // takes [SetModelParams]; the result is a [SetModelResult]
)

// The methods that the agent calls.
const (
	MethodEvent   = "event"   // has no id and gets no answer
	MethodRequest = "request" // the client answers with a result or an error with the same id
)

// The error codes (kimi_cli/wire/jsonrpc.py). The meaning of CodeInvalidState depends on the method: a turn already
// runs (initialize, prompt, replay), no turn runs (cancel, steer), or the agent has no plan mode (set_plan_mode).
const (
	CodeParseError        = -32700
	CodeInvalidRequest    = -32600
	CodeMethodNotFound    = -32601
	CodeInvalidParams     = -32602
	CodeInternalError     = -32603
	CodeInvalidState      = -32000
	CodeLLMNotSet         = -32001 // no model is configured
	CodeLLMNotSupported   = -32002 // the model cannot do this, for example read an image
	CodeChatProviderError = -32003 // the provider of the model failed
	CodeAuthExpired       = -32004 // the login has expired: HTTP 401 in an OAuth session; not in the protocol's text
)

// RPCError is the error with which an agent answers a call.
type RPCError struct {
	Method  string          `json:"-"` // the method of the call; "" if it is not known
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"` // nil if there is none; kimi-cli always writes null
}

// Error returns the message, cut to 200 bytes, and the code.
func (e *RPCError) Error() string {
	msg := e.Message
	if len(msg) > 200 {
		msg = strings.ToValidUTF8(msg[:197], "") + "…"
	}
	if e.Method == "" {
		return fmt.Sprintf("%s (%d)", msg, e.Code)
	}
	return fmt.Sprintf("%s: %s (%d)", e.Method, msg, e.Code)
}

// InitializeParams are the parameters of initialize.
type InitializeParams struct {
	ProtocolVersion string              `json:"protocol_version"` // the agent does not check it
	Client          *ClientInfo         `json:"client,omitempty"`
	ExternalTools   []ExternalTool      `json:"external_tools,omitempty"`
	Hooks           []HookSubscription  `json:"hooks,omitempty"`
	Capabilities    *ClientCapabilities `json:"capabilities,omitempty"`
}

// ClientInfo names the client. kimi adds it to its User-Agent.
type ClientInfo struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// ExternalTool is a tool that the client runs.
type ExternalTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"` // JSON Schema
}

// HookSubscription asks for the HookRequests of one event. It exists since kimi-cli 1.28, like [HookTriggered].
type HookSubscription struct {
	ID      string `json:"id"`
	Event   string `json:"event"`
	Matcher string `json:"matcher,omitempty"` // a regular expression for the target; "" matches all
	Timeout int    `json:"timeout,omitempty"` // the time limit in seconds, 30 if 0; after it, kimi allows the action
}

// ClientCapabilities says which requests the client can answer. The protocol's text says version 1.4, but kimi-cli has
// it since 1.14, whose protocol is 1.3.
type ClientCapabilities struct {
	SupportsQuestion bool `json:"supports_question"`
	SupportsPlanMode bool `json:"supports_plan_mode"`
}

// InitializeResult is the result of initialize.
type InitializeResult struct {
	ProtocolVersion string              `json:"protocol_version"`
	Server          ServerInfo          `json:"server"`
	SlashCommands   []SlashCommand      `json:"slash_commands"`
	ExternalTools   *ExternalTools      `json:"external_tools,omitempty"` // nil if the client offered none
	Hooks           *HooksInfo          `json:"hooks,omitempty"`          // nil before kimi-cli 1.28
	Capabilities    *ServerCapabilities `json:"capabilities,omitempty"`   // nil before kimi-cli 1.14
	Bridge          *BridgeInfo         `json:"bridge,omitempty"`         // nil for kimi-cli
}

// ServerInfo names the agent.
type ServerInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// SlashCommand is a command that a prompt may contain, as "/name".
type SlashCommand struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Aliases     []string `json:"aliases"`
}

// ExternalTools says which tools of the client the agent accepted and rejected.
type ExternalTools struct {
	Accepted []string       `json:"accepted"`
	Rejected []RejectedTool `json:"rejected"`
}

// RejectedTool is a tool that the agent does not accept.
type RejectedTool struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// HooksInfo says which hook events the agent has and how many hooks are configured.
type HooksInfo struct {
	SupportedEvents []string       `json:"supported_events"`
	Configured      map[string]int `json:"configured"`
}

// ServerCapabilities says what the agent can do.
type ServerCapabilities struct {
	SupportsQuestion bool `json:"supports_question"`
}

// PromptParams are the parameters of prompt.
type PromptParams struct {
	UserInput Content `json:"user_input"`
}

// SteerParams are the parameters of steer.
type SteerParams struct {
	UserInput Content `json:"user_input"`
}

// SetPlanModeParams are the parameters of set_plan_mode.
type SetPlanModeParams struct {
	Enabled bool `json:"enabled"`
}

// SetModelParams are the parameters of set_model.
type SetModelParams struct {
	Model string `json:"model"` // the name of a model in ModelsResult
}

// SetModelResult is the result of set_model.
type SetModelResult struct {
	Status string `json:"status"` // "ok"
	Model  string `json:"model"`  // the name of the new model
}

// ModelsResult is the result of models.
type ModelsResult struct {
	Models []ModelInfo `json:"models"`
}

// ModelInfo is a model of the configuration.
type ModelInfo struct {
	Name             string   `json:"name"` // the name for set_model
	DisplayName      string   `json:"display_name"`
	Provider         string   `json:"provider"`
	MaxContextTokens int      `json:"max_context_tokens"`
	Capabilities     []string `json:"capabilities"`
	Efforts          []string `json:"efforts"` // the efforts of thinking that the model has, besides "on" and "off"
}

// PromptResult is the result of prompt.
type PromptResult struct {
	Status TurnStatus `json:"status"`
	Steps  int        `json:"steps,omitempty"` // the number of steps, only with StatusMaxSteps
}

// TurnStatus says how a turn, a steer or a replay ended. Unknown values are kept.
type TurnStatus string

// The statuses of a call.
const (
	StatusFinished  TurnStatus = "finished"
	StatusCancelled TurnStatus = "cancelled"
	StatusMaxSteps  TurnStatus = "max_steps_reached"
	StatusSteered   TurnStatus = "steered" // the result of steer: the input is queued; see [SteerInput]
)

// SteerResult is the result of steer.
type SteerResult struct {
	Status TurnStatus `json:"status"`
}

// ReplayResult is the result of replay.
type ReplayResult struct {
	Status   TurnStatus `json:"status"`
	Events   int        `json:"events"`
	Requests int        `json:"requests"`
}

// SetPlanModeResult is the result of set_plan_mode.
type SetPlanModeResult struct {
	Status   string `json:"status"` // "ok"
	PlanMode bool   `json:"plan_mode"`
}

// ApprovalAnswer answers an [ApprovalRequest]. If kimi cannot read the answer, it rejects the action.
type ApprovalAnswer struct {
	RequestID string           `json:"request_id"`
	Response  ApprovalDecision `json:"response"`
	Feedback  string           `json:"feedback,omitempty"` // a text for the model; left out if empty, never null; protocol 1.6
}

// QuestionAnswer answers a [QuestionRequest]. The keys are the texts of the questions. The values are the labels of the
// chosen options, joined by ", ", or a text in the user's own words. An empty map dismisses the request.
type QuestionAnswer struct {
	RequestID string            `json:"request_id"`
	Answers   map[string]string `json:"answers"`
}

// MarshalJSON returns the answer, with {} for a nil map.
func (a QuestionAnswer) MarshalJSON() ([]byte, error) {
	type fields QuestionAnswer
	if a.Answers == nil {
		a.Answers = map[string]string{}
	}
	return marshalJSON(fields(a))
}

// HookAnswer answers a [HookRequest]. If kimi cannot read the answer, it allows the action.
type HookAnswer struct {
	RequestID string     `json:"request_id"`
	Action    HookAction `json:"action"`
	Reason    string     `json:"reason,omitempty"`
}

// ToolAnswer answers a [ToolCallRequest]. It has the payload of a [ToolResult]. The extras may be left out.
type ToolAnswer ToolResult

// MarshalJSON returns the answer, without an envelope.
func (a ToolAnswer) MarshalJSON() ([]byte, error) {
	type value struct {
		IsError bool                       `json:"is_error"`
		Output  Content                    `json:"output"`
		Message string                     `json:"message"`
		Display DisplayBlocks              `json:"display"`
		Extras  map[string]json.RawMessage `json:"extras,omitempty"`
	}
	return marshalJSON(struct {
		ToolCallID  string `json:"tool_call_id"`
		ReturnValue value  `json:"return_value"`
	}{a.ToolCallID, value(a.ReturnValue)})
}

// CodeOutcomeUnknown answers a prompt if it is not known whether the turn has succeeded. kimi-cli never sends it. This
// module's bridge to Kimi Code 2.x sends it, for example when the model's answer breaks off.
const CodeOutcomeUnknown = -32050

// UndoParams are the parameters of [MethodUndo]. The result is empty.
type UndoParams struct {
	Turns int `json:"turns"` // how many of the last turns to undo, 1 or more
}

// BridgeInfo describes the program for which an agent translates the protocol. kimi-cli never sends it. This module's
// bridge to Kimi Code 2.x sends it.
type BridgeInfo struct {
	Backend   string `json:"backend"`    // such as "Kimi Code 2.1.0"
	SessionID string `json:"session_id"` // the program's id of the session; "" before there is one
	Model     string `json:"model"`      // the name of the model; "" if the bridge does not know it
}
