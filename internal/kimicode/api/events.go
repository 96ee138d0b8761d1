package api

import (
	"encoding/json"
	"strings"
)

// Event is a frame of the WebSocket that is about a session.
type Event struct {
	Type      string          `json:"type"`
	Seq       int64           `json:"seq"` // counts durable events; a volatile event has the number of the last durable one
	Epoch     string          `json:"epoch"`
	Volatile  bool            `json:"volatile"` // the server does not send it again after a lost connection
	Offset    *int            `json:"offset"`   // where a delta begins in the text of its step, in UTF-16 units; nil if the server does not say
	SessionID string          `json:"session_id"`
	Payload   json.RawMessage `json:"payload"` // nil if Delta is set
	Delta     *Delta          `json:"-"`       // the payload of a delta that DecodeDelta has read
}

// The types of the events that this module uses.
const (
	TypeTurnStarted       = "turn.started"
	TypeTurnEnded         = "turn.ended"
	TypeTurnSteer         = "turn.steer"
	TypePromptSteered     = "prompt.steered"
	TypeStepStarted       = "turn.step.started"
	TypeStepCompleted     = "turn.step.completed"
	TypeStepInterrupted   = "turn.step.interrupted"
	TypeStepRetrying      = "turn.step.retrying"
	TypeThinkingDelta     = "thinking.delta"
	TypeAssistantDelta    = "assistant.delta"
	TypeToolDelta         = "tool.call.delta"
	TypeToolStarted       = "tool.call.started"
	TypeToolResult        = "tool.result"
	TypeStatusUpdated     = "agent.status.updated"
	TypePromptCompleted   = "prompt.completed"
	TypePromptAborted     = "prompt.aborted"
	TypeApprovalRequested = "permission.approval.requested" // contains the whole input of the tool
	TypeApprovalTwin      = "event.approval.requested"      // sent for the same approval, without the input
	TypeApprovalResolved  = "permission.approval.resolved"
	TypeApprovalGone      = "event.approval.resolved" // the only event about an approval whose turn was aborted
	TypeQuestionRequested = "event.question.requested"
	TypeQuestionAnswered  = "event.question.answered"
	TypeQuestionDismissed = "event.question.dismissed"
	TypeCompactionStarted = "compaction.started"
	TypeCompactionDone    = "compaction.completed"
	TypeCompactionStopped = "compaction.cancelled"
	TypeCompactionBlocked = "compaction.blocked"
	TypeSubagentSpawned   = "subagent.spawned"
	TypeSubagentDone      = "subagent.completed"
	TypeSubagentFailed    = "subagent.failed"
	TypeSubagentStopped   = "subagent.cancelled"
	TypeTaskNotified      = "task.notified"
	TypeHookResult        = "hook.result"
)

// Known reports whether this module uses events of this type, or knows that it can ignore them. Any other event shows
// that Kimi Code has changed.
func Known(eventType string) bool {
	switch eventType {
	case TypeTurnStarted, TypeTurnEnded, TypeTurnSteer, TypePromptSteered, TypeStepStarted, TypeStepCompleted, TypeStepInterrupted, TypeStepRetrying,
		TypeThinkingDelta, TypeAssistantDelta, TypeToolDelta, TypeToolStarted, TypeToolResult, TypeStatusUpdated,
		TypePromptCompleted, TypePromptAborted, TypeApprovalRequested, TypeApprovalTwin, TypeApprovalResolved, TypeApprovalGone,
		TypeQuestionRequested, TypeQuestionAnswered, TypeQuestionDismissed,
		TypeCompactionStarted, TypeCompactionDone, TypeCompactionStopped, TypeCompactionBlocked,
		TypeSubagentSpawned, TypeSubagentDone, TypeSubagentFailed, TypeSubagentStopped, TypeTaskNotified, TypeHookResult:
		return true
	case "prompt.submitted", "prompt.queued", "prompt.started", "plan.revision", "context.spliced", "context.undone", "session.meta.updated",
		"agent.created", "agent.disposed", "subagent.started", "subagent.suspended", "error", "warning",
		"tool.progress", "tool.list.updated", "mcp.server.status", "interaction.request", "interaction.response",
		"cron.fired", "goal.updated", "skill.activated", "plugin_command.activated", "turn.step.delta":
		return true
	}
	for _, prefix := range []string{"event.session.", "event.workspace.", "event.config.", "event.capability.", "event.plugin.",
		"event.di.", "event.model_catalog.", "shell.", "task.", "background.task.", "file_history."} {
		if strings.HasPrefix(eventType, prefix) {
			return true
		}
	}
	return false
}

// MainAgent is the id of a session's main agent, in contrast to its subagents.
const MainAgent = "main"

// Common holds the members that most payloads have.
type Common struct {
	AgentID string `json:"agentId"`
	TurnID  int    `json:"turnId"` // counted from 0 for each agent
}

// Of returns the members that most payloads have.
func (c *Common) Of() *Common { return c }

// Origin says who began a turn or wrote a message.
type Origin struct {
	Kind    string `json:"kind"` // user, injection, task, system_trigger, hook_result, …
	Name    string `json:"name"`
	TaskID  string `json:"taskId"`
	Variant string `json:"variant"`

	// These describe what the user has called: a skill, or a command of a plugin.
	Trigger     string `json:"trigger"` // user-slash
	SkillName   string `json:"skillName"`
	SkillArgs   string `json:"skillArgs"`
	PluginID    string `json:"pluginId"`
	CommandName string `json:"commandName"`
	CommandArgs string `json:"commandArgs"`

	InTurn bool `json:"inTurn"` // the message came while a turn ran
}

// Begins reports whether a message of this origin begins a turn of the user. An undo takes back the same turns
// (isUndoAnchor in Kimi Code 2.1.0).
func (o *Origin) Begins() bool { return o.User() && !o.InTurn }

// User reports whether the user has written a message of this origin.
func (o *Origin) User() bool {
	switch o.Kind {
	case "", "user":
		return true
	case "skill_activation", "plugin_command":
		return o.Trigger == "user-slash"
	}
	return false
}

// Called returns what the user has called, as it was typed. It returns "" if the user has called nothing.
func (o *Origin) Called() string {
	switch {
	case o.SkillName != "":
		return strings.TrimSpace("/" + o.SkillName + " " + o.SkillArgs)
	case o.CommandName != "":
		return strings.TrimSpace("/" + o.PluginID + ":" + o.CommandName + " " + o.CommandArgs)
	}
	return ""
}

// TurnStarted is the payload of [TypeTurnStarted].
type TurnStarted struct {
	Common
	PromptID string `json:"promptId"` // "" for a turn that Kimi Code began by itself
	Origin   Origin `json:"origin"`
	Prompt   string `json:"prompt"`
}

// TurnEnded is the payload of [TypeTurnEnded].
type TurnEnded struct {
	Common
	Reason    string     `json:"reason"` // completed, cancelled, failed
	Error     *TurnError `json:"error"`
	Interrupt string     `json:"interruptReason"`
}

// TurnError says why a turn failed.
type TurnError struct {
	Code    string `json:"code"` // such as provider.api_error
	Message string `json:"message"`
	Name    string `json:"name"`
	Details struct {
		StatusCode *int `json:"statusCode"`
	} `json:"details"`
}

// TurnSteer is the payload of [TypeTurnSteer]: input that was added to a turn.
type TurnSteer struct {
	Common
	PromptIDs []string        `json:"promptIds"`
	Input     json.RawMessage `json:"input"`
	Origin    Origin          `json:"origin"`
}

// PromptSteered is the payload of [TypePromptSteered]: queued prompts became a part of another prompt's turn.
type PromptSteered struct {
	Common
	ActiveID  string   `json:"activePromptId"`
	PromptIDs []string `json:"promptIds"`
}

// Step is the payload of the step events.
type Step struct {
	Common
	Step           int     `json:"step"`
	Usage          *Usage  `json:"usage"`                // of a completed step
	FinishReason   string  `json:"finishReason"`         // end_turn, tool_use, max_tokens, filtered
	ProviderReason *string `json:"providerFinishReason"` // nil if the model's stream broke off
	Reason         string  `json:"reason"`               // of an interrupted step: aborted or error
	NextAttempt    int     `json:"nextAttempt"`          // the number of the next attempt, of a retry
	MaxAttempts    int     `json:"maxAttempts"`
	DelayMS        float64 `json:"delayMs"`
	ErrorName      string  `json:"errorName"`
	StatusCode     *int    `json:"statusCode"`
}

// Usage counts tokens.
type Usage struct {
	InputOther         int `json:"inputOther"`
	Output             int `json:"output"`
	InputCacheRead     int `json:"inputCacheRead"`
	InputCacheCreation int `json:"inputCacheCreation"`
}

// Delta is the payload of the thinking and assistant deltas.
type Delta struct {
	Common
	Delta *string `json:"delta"`
}

// ToolDelta is the payload of [TypeToolDelta].
type ToolDelta struct {
	Common
	ToolCallID string `json:"toolCallId"`
	Name       string `json:"name"`
	Part       string `json:"argumentsPart"`
}

// ToolStarted is the payload of [TypeToolStarted]. This event comes after the approval of the call.
type ToolStarted struct {
	Common
	ToolCallID string          `json:"toolCallId"`
	Name       string          `json:"name"`
	Args       json.RawMessage `json:"args"`
	Display    json.RawMessage `json:"display"`
}

// ToolResult is the payload of [TypeToolResult].
type ToolResult struct {
	Common
	ToolCallID string          `json:"toolCallId"`
	Output     json.RawMessage `json:"output"`
	IsError    bool            `json:"isError"`
}

// AgentStatus is the payload of [TypeStatusUpdated]. Its member "phase" is not declared, because it may be about
// another session.
type AgentStatus struct {
	Common
	ContextTokens    *int  `json:"contextTokens"`
	MaxContextTokens *int  `json:"maxContextTokens"`
	PlanMode         *bool `json:"planMode"`
}

// PromptEnded is the payload of [TypePromptCompleted] and [TypePromptAborted].
type PromptEnded struct {
	Common
	PromptID string `json:"promptId"`
	Reason   string `json:"reason"`
}

// Approval is the payload of [TypeApprovalRequested] and [TypeApprovalResolved].
type Approval struct {
	Common
	ID         string          `json:"id"`
	ToolCallID string          `json:"toolCallId"`
	ToolName   string          `json:"toolName"`
	Action     string          `json:"action"`
	Display    json.RawMessage `json:"display"`
	Input      json.RawMessage `json:"toolInput"`
	Decision   Decision        `json:"decision"`
	Feedback   string          `json:"feedback"`
}

// ApprovalGone is the payload of [TypeApprovalGone].
type ApprovalGone struct {
	ID       string   `json:"approval_id"`
	Decision Decision `json:"decision"` // "" if the turn was aborted
}

// PendingApproval is an item of GET /sessions/{id}/approvals.
type PendingApproval struct {
	ID         string          `json:"approval_id"`
	AgentID    string          `json:"agent_id"`
	TurnID     int             `json:"turn_id"`
	ToolCallID string          `json:"tool_call_id"`
	ToolName   string          `json:"tool_name"`
	Action     string          `json:"action"`
	Display    json.RawMessage `json:"tool_input_display"`
}

// Question is the payload of [TypeQuestionRequested] and an item of GET /sessions/{id}/questions.
type Question struct {
	ID         string         `json:"question_id"`
	AgentID    string         `json:"agent_id"`
	TurnID     int            `json:"turn_id"`
	ToolCallID string         `json:"tool_call_id"`
	Questions  []QuestionItem `json:"questions"`
}

// QuestionItem is one of the questions that are asked together.
type QuestionItem struct {
	ID       string `json:"id"`
	Question string `json:"question"`
	Header   string `json:"header"`
	Body     string `json:"body"`
	Options  []struct {
		ID          string `json:"id"`
		Label       string `json:"label"`
		Description string `json:"description"`
	} `json:"options"`
	MultiSelect bool `json:"multi_select"`
	AllowOther  bool `json:"allow_other"`
}

// QuestionGone is the payload of [TypeQuestionAnswered] and [TypeQuestionDismissed].
type QuestionGone struct {
	ID string `json:"question_id"`
}

// Subagent is the payload of the subagent events.
type Subagent struct {
	ID          string `json:"subagentId"`
	Name        string `json:"subagentName"` // the type of the subagent, such as coder
	ParentCall  string `json:"parentToolCallId"`
	ParentAgent string `json:"parentAgentId"`
	Description string `json:"description"`
	Background  bool   `json:"runInBackground"`
}

// TaskNotified is the payload of [TypeTaskNotified].
type TaskNotified struct {
	Common
	Type       string `json:"notificationType"`
	Title      string `json:"title"`
	Body       string `json:"body"`
	Severity   string `json:"severity"`
	SourceKind string `json:"sourceKind"`
	SourceID   string `json:"sourceId"`
}

// Display is what Kimi Code shows of a tool call. Its kind says which members it has.
type Display struct {
	Kind      string  `json:"kind"` // command, file_io, todo_list, plan_review, agent_call, …
	Command   string  `json:"command"`
	Language  string  `json:"language"`
	Operation string  `json:"operation"` // of file_io: read, write, edit, …
	Path      string  `json:"path"`
	Content   *string `json:"content"`
	Before    *string `json:"before"`
	After     *string `json:"after"`
	Items     []struct {
		Title  string `json:"title"`
		Status string `json:"status"` // pending, in_progress, done
	} `json:"items"`
	Plan    string `json:"plan"`
	Options []struct {
		Label       string `json:"label"`
		Description string `json:"description"`
	} `json:"options"`
}
