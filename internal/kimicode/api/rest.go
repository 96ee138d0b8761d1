package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Envelope is the body of every answer of a known route. The HTTP status is 200 even for errors.
type Envelope struct {
	Code int             `json:"code"` // 0 for success
	Msg  string          `json:"msg"`
	Data json.RawMessage `json:"data"`
}

// The codes of errors that this module tells apart.
const (
	CodeBadField        = 40001 // also for an unknown model
	CodeUnauthorized    = 40101
	CodeNoSession       = 40401
	CodeNoPrompt        = 40402 // also for a prompt that has ended
	CodeNoApproval      = 40404
	CodeNoQuestion      = 40405
	CodeNoDirectory     = 40409
	CodeBusy            = 40901
	CodeResolved        = 40902
	CodeDismissed       = 40909 // the answer to a successful dismissal
	CodeCannotCompact   = 40910
	CodeCannotUndo      = 40911
	CodePromptIDInUse   = 40927
	CodeServerFailed    = 50001
	CodeRouteMissing    = -1 // set by this module: the server has no such route
	CodeConnectionError = -2 // set by this module: no answer came
)

// Error is an answer that reports a failure, or says that no answer came.
type Error struct {
	Method, Path string
	Code         int
	Msg          string
	Err          error // why no answer came; nil if an answer came
}

// Error has the server's words first: they may say what a person can do. The code and the route follow.
func (e *Error) Error() string {
	msg := e.Msg
	if len(msg) > 200 {
		msg = msg[:200] + "…"
	}
	return fmt.Sprintf("%s (%d from %s %s)", strings.TrimSuffix(msg, "."), e.Code, e.Method, e.Path)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Meta is the answer of GET /meta.
type Meta struct {
	ServerVersion string `json:"server_version"`
	Backend       string `json:"backend"`
	Capabilities  struct {
		WebSocket  bool `json:"websocket"`
		FileUpload bool `json:"file_upload"`
	} `json:"capabilities"`
}

// Auth is the answer of GET /auth.
type Auth struct {
	ModelsReady bool `json:"models_ready"`
}

// Config is the answer of GET /config.
type Config struct {
	DefaultModel string `json:"default_model"`
}

// Thinking is the answer of GET /config, too, as far as it is about how much a model thinks by default.
type Thinking struct {
	Default struct {
		Enabled *bool  `json:"enabled"`
		Effort  string `json:"effort"`
	} `json:"thinking"`
}

// Models is the answer of GET /models.
type Models struct {
	Items []Model `json:"items"`
}

// Model is a model that the server knows.
type Model struct {
	Model          string   `json:"model"` // its name in the configuration
	Provider       string   `json:"provider"`
	DisplayName    string   `json:"display_name"`
	MaxContextSize int      `json:"max_context_size"`
	Capabilities   []string `json:"capabilities"`
	Efforts        []string `json:"support_efforts"`
}

// NewSession is the body of POST /sessions.
type NewSession struct {
	Title    string          `json:"title,omitempty"`
	Metadata SessionMetadata `json:"metadata"`
}

// SessionMetadata is the metadata of a new session.
type SessionMetadata struct {
	CWD string `json:"cwd"`
	ID  string `json:"kimi_go_id,omitempty"` // the id that a client has given to the session
}

// SessionList is the answer of GET /sessions.
type SessionList struct {
	Items   []Session `json:"items"`
	HasMore bool      `json:"has_more"`
}

// Session describes a session.
type Session struct {
	ID          string          `json:"id"`
	WorkspaceID string          `json:"workspace_id"`
	Title       string          `json:"title"`
	CreatedAt   string          `json:"created_at"` // RFC 3339
	UpdatedAt   string          `json:"updated_at"`
	Archived    bool            `json:"archived"`
	LastPrompt  string          `json:"last_prompt"` // "" before the first turn
	Metadata    SessionMetadata `json:"metadata"`
}

// Profile is the body of POST /sessions/{id}/profile.
type Profile struct {
	Title  string       `json:"title,omitempty"`
	Config *AgentConfig `json:"agent_config,omitempty"`
}

// AgentConfig holds settings to change. Empty members stay unchanged.
type AgentConfig struct {
	Model      string     `json:"model,omitempty"`
	Thinking   string     `json:"thinking,omitempty"` // an effort, "on" or "off"; the server accepts unknown values
	Permission Permission `json:"permission_mode,omitempty"`
	PlanMode   *bool      `json:"plan_mode,omitempty"`
}

// Permission says which actions need an approval.
type Permission string

// The permissions.
const (
	Manual Permission = "manual"
	Yolo   Permission = "yolo"
	Auto   Permission = "auto" // asks for no approval, and refuses questions of the model
)

// Status is the answer of GET /sessions/{id}/status. It has the settings that are in force, even after a restart.
type Status struct {
	Busy             bool       `json:"busy"`
	Model            string     `json:"model"`
	Thinking         string     `json:"thinking_level"`
	Permission       Permission `json:"permission"`
	PlanMode         bool       `json:"plan_mode"`
	ContextTokens    int        `json:"context_tokens"`
	MaxContextTokens int        `json:"max_context_tokens"`
}

// Prompt is the body of POST /sessions/{id}/prompts.
type Prompt struct {
	Content  []Part `json:"content"`
	PromptID string `json:"prompt_id"`
	AgentID  string `json:"agent_id,omitempty"` // the agent of a side question; the main agent by default
	// Profile is the name of an agent file. The first prompt that names a profile binds the agent to it; it must also
	// name the model. The agent keeps its profile: further prompts may name the same one, and another one is an error.
	// Without an effort, the default applies.
	Profile  string `json:"profile,omitempty"`
	Model    string `json:"model,omitempty"`
	Thinking string `json:"thinking,omitempty"`
}

// Submitted is the answer to a [Prompt].
type Submitted struct {
	PromptID string       `json:"prompt_id"`
	Status   PromptStatus `json:"status"`
}

// PromptStatus says what became of a prompt.
type PromptStatus string

// The states of a prompt.
const (
	PromptRunning PromptStatus = "running"
	PromptQueued  PromptStatus = "queued"
	PromptBlocked PromptStatus = "blocked" // a hook has blocked it: no turn begins
)

// Steered is the answer of POST /sessions/{id}/prompts/{prompt}:steer.
type Steered struct {
	Steered bool `json:"steered"`
}

// ApprovalAnswer is the body of POST /sessions/{id}/approvals/{approval}.
type ApprovalAnswer struct {
	Decision      Decision `json:"decision"`
	Scope         string   `json:"scope,omitempty"` // "session", or "" for this call alone
	Feedback      string   `json:"feedback,omitempty"`
	SelectedLabel string   `json:"selected_label,omitempty"` // the option of a plan that the user has selected
}

// Decision answers an approval.
type Decision string

// The decisions.
const (
	Approved  Decision = "approved"
	Rejected  Decision = "rejected"
	Cancelled Decision = "cancelled"
)

// QuestionAnswers is the body of POST /sessions/{id}/questions/{question}.
type QuestionAnswers struct {
	Answers map[string]QuestionAnswer `json:"answers"` // the keys are the ids of the questions
}

// QuestionAnswer answers one question.
type QuestionAnswer struct {
	Kind      string   `json:"kind"` // single, multi, other, multi_with_other
	OptionID  string   `json:"option_id,omitempty"`
	OptionIDs []string `json:"option_ids,omitempty"`
	Text      string   `json:"text,omitempty"`
	OtherText string   `json:"other_text,omitempty"`
}

// Part is a part of a prompt or of a stored message.
type Part struct {
	Type       string          `json:"type"` // text, image, video; in messages also thinking, tool_use, tool_result
	Text       string          `json:"text,omitempty"`
	Thinking   string          `json:"thinking,omitempty"`
	Source     *Source         `json:"source,omitempty"`
	ToolCallID string          `json:"tool_call_id,omitempty"`
	ToolName   string          `json:"tool_name,omitempty"`
	Input      json.RawMessage `json:"input,omitempty"`
	Output     json.RawMessage `json:"output,omitempty"` // text, or content parts of the engine
	IsError    bool            `json:"is_error,omitempty"`

	At time.Time `json:"-"` // when it was recorded; only a journal says that, not the server
}

// Source is where the bytes of a picture or a video are.
type Source struct {
	Kind      string `json:"kind"` // url, base64, file, session_media, path
	URL       string `json:"url,omitempty"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	FileID    string `json:"file_id,omitempty"`
	Path      string `json:"path,omitempty"`
}

// Messages is the answer of GET /sessions/{id}/messages, the newest message first.
type Messages struct {
	Items   []Message `json:"items"`
	HasMore bool      `json:"has_more"`
}

// Message is a message of the history.
type Message struct {
	ID       string `json:"id"`
	Role     string `json:"role"` // user, assistant, tool
	Content  []Part `json:"content"`
	Metadata struct {
		Origin Origin `json:"origin"`
	} `json:"metadata"`

	// Only a journal says these, not the server.
	At, Ended time.Time `json:"-"` // when it was recorded, and when its step ended
	Usage     *Usage    `json:"-"` // what the step has used; nil if that is not known
}

// Transcript is the answer of GET /sessions/{id}/transcript.
type Transcript struct {
	Items []TranscriptItem `json:"items"`
}

// TranscriptItem is a turn, or a mark of another kind.
type TranscriptItem struct {
	Kind  string           `json:"kind"`   // "turn"
	ID    string           `json:"turnId"` // "t0" for turn 0
	Steps []TranscriptStep `json:"steps"`
}

// TranscriptStep is a step of a turn.
type TranscriptStep struct {
	Ordinal int     `json:"ordinal"` // the step's number
	State   string  `json:"state"`   // unreliable while the step runs
	Usage   *Usage  `json:"usage"`
	Frames  []Frame `json:"frames"` // empty while the step runs
}

// Step returns a step of a turn, or nil if the transcript does not have it.
func (t *Transcript) Step(turn, step int) *TranscriptStep {
	for _, item := range t.Items {
		if item.Kind != "turn" || item.ID != fmt.Sprintf("t%d", turn) {
			continue
		}
		for i, s := range item.Steps {
			if s.Ordinal == step {
				return &item.Steps[i]
			}
		}
	}
	return nil
}

// Said returns what the model said in the frames of a kind, thinking or text. Text of the user, which a step has if it
// was steered, is left out.
func (s *TranscriptStep) Said(kind string) string {
	var b strings.Builder
	for _, f := range s.Frames {
		if f.Kind == kind && (f.Role == "" || f.Role == "assistant") {
			b.WriteString(f.Text)
		}
	}
	return b.String()
}

// Frame is a piece of a step's output.
type Frame struct {
	Kind       string          `json:"kind"` // thinking, text, tool
	Role       string          `json:"role"` // of text: assistant, or user
	Text       string          `json:"text"`
	ToolCallID string          `json:"toolCallId"`
	Name       string          `json:"name"`
	Input      json.RawMessage `json:"input"`
}

// Pending is the answer of GET /sessions/{id}/approvals?status=pending and of the same route for questions.
type Pending[T any] struct {
	Items []T `json:"items"`
}

// MCPServers is the answer of GET /mcp/servers. It describes only the newest session.
type MCPServers struct {
	Servers []struct {
		Name      string `json:"name"`
		Status    string `json:"status"` // connected, error, disabled, …
		LastError string `json:"last_error"`
	} `json:"servers"`
}

// Skills is the answer of GET /sessions/{id}/skills.
type Skills struct {
	Skills []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"skills"`
}

// SideQuestion is the answer of POST /sessions/{id}:btw.
type SideQuestion struct {
	AgentID string `json:"agent_id"`
}

// String returns the URL of the source, or "" if it has none.
func (s *Source) String() string {
	switch {
	case s == nil:
		return ""
	case s.Kind == "base64":
		return "data:" + s.MediaType + ";base64," + s.Data
	case s.Path != "":
		return "file://" + s.Path
	}
	return s.URL
}
