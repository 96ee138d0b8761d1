package wireproto

import "encoding/json"

// These methods make each type a message: its name, its kind and its envelope. MarshalJSON converts the message to a
// type without methods, because json.Marshal would call MarshalJSON again.

// MessageType returns "TurnBegin".
func (*TurnBegin) MessageType() string { return "TurnBegin" }

// MessageType returns "SteerInput".
func (*SteerInput) MessageType() string { return "SteerInput" }

// MessageType returns "TurnEnd".
func (*TurnEnd) MessageType() string { return "TurnEnd" }

// MessageType returns "StepBegin".
func (*StepBegin) MessageType() string { return "StepBegin" }

// MessageType returns "StepInterrupted".
func (*StepInterrupted) MessageType() string { return "StepInterrupted" }

// MessageType returns "StepRetry".
func (*StepRetry) MessageType() string { return "StepRetry" }

// MessageType returns "HookTriggered".
func (*HookTriggered) MessageType() string { return "HookTriggered" }

// MessageType returns "HookResolved".
func (*HookResolved) MessageType() string { return "HookResolved" }

// MessageType returns "CompactionBegin".
func (*CompactionBegin) MessageType() string { return "CompactionBegin" }

// MessageType returns "CompactionEnd".
func (*CompactionEnd) MessageType() string { return "CompactionEnd" }

// MessageType returns "MCPLoadingBegin".
func (*MCPLoadingBegin) MessageType() string { return "MCPLoadingBegin" }

// MessageType returns "MCPLoadingEnd".
func (*MCPLoadingEnd) MessageType() string { return "MCPLoadingEnd" }

// MessageType returns "StatusUpdate".
func (*StatusUpdate) MessageType() string { return "StatusUpdate" }

// MessageType returns "Notification".
func (*Notification) MessageType() string { return "Notification" }

// MessageType returns "ToolCall".
func (*ToolCall) MessageType() string { return "ToolCall" }

// MessageType returns "ToolCallPart".
func (*ToolCallPart) MessageType() string { return "ToolCallPart" }

// MessageType returns "ToolResult".
func (*ToolResult) MessageType() string { return "ToolResult" }

// MessageType returns "ApprovalResponse".
func (*ApprovalResponse) MessageType() string { return "ApprovalResponse" }

// MessageType returns "SubagentEvent".
func (*SubagentEvent) MessageType() string { return "SubagentEvent" }

// MessageType returns "PlanDisplay".
func (*PlanDisplay) MessageType() string { return "PlanDisplay" }

// MessageType returns "BtwBegin".
func (*BtwBegin) MessageType() string { return "BtwBegin" }

// MessageType returns "BtwEnd".
func (*BtwEnd) MessageType() string { return "BtwEnd" }

// MessageType returns "ApprovalRequest".
func (*ApprovalRequest) MessageType() string { return "ApprovalRequest" }

// MessageType returns "QuestionRequest".
func (*QuestionRequest) MessageType() string { return "QuestionRequest" }

// MessageType returns "ToolCallRequest".
func (*ToolCallRequest) MessageType() string { return "ToolCallRequest" }

// MessageType returns "HookRequest".
func (*HookRequest) MessageType() string { return "HookRequest" }

// MessageType returns "ContentPart".
func (*TextPart) MessageType() string { return "ContentPart" }

// MessageType returns "ContentPart".
func (*ThinkPart) MessageType() string { return "ContentPart" }

// MessageType returns "ContentPart".
func (*ImageURLPart) MessageType() string { return "ContentPart" }

// MessageType returns "ContentPart".
func (*AudioURLPart) MessageType() string { return "ContentPart" }

// MessageType returns "ContentPart".
func (*VideoURLPart) MessageType() string { return "ContentPart" }

// MessageType returns "ContentPart".
func (*UnknownPart) MessageType() string { return "ContentPart" }

func (*TurnBegin) isMessage()        {}
func (*SteerInput) isMessage()       {}
func (*TurnEnd) isMessage()          {}
func (*StepBegin) isMessage()        {}
func (*StepInterrupted) isMessage()  {}
func (*StepRetry) isMessage()        {}
func (*HookTriggered) isMessage()    {}
func (*HookResolved) isMessage()     {}
func (*CompactionBegin) isMessage()  {}
func (*CompactionEnd) isMessage()    {}
func (*MCPLoadingBegin) isMessage()  {}
func (*MCPLoadingEnd) isMessage()    {}
func (*StatusUpdate) isMessage()     {}
func (*Notification) isMessage()     {}
func (*ToolCall) isMessage()         {}
func (*ToolCallPart) isMessage()     {}
func (*ToolResult) isMessage()       {}
func (*ApprovalResponse) isMessage() {}
func (*SubagentEvent) isMessage()    {}
func (*PlanDisplay) isMessage()      {}
func (*BtwBegin) isMessage()         {}
func (*BtwEnd) isMessage()           {}
func (*TextPart) isMessage()         {}
func (*ThinkPart) isMessage()        {}
func (*ImageURLPart) isMessage()     {}
func (*AudioURLPart) isMessage()     {}
func (*VideoURLPart) isMessage()     {}
func (*UnknownPart) isMessage()      {}
func (*ApprovalRequest) isMessage()  {}
func (*QuestionRequest) isMessage()  {}
func (*ToolCallRequest) isMessage()  {}
func (*HookRequest) isMessage()      {}

func (*TurnBegin) isEvent()        {}
func (*SteerInput) isEvent()       {}
func (*TurnEnd) isEvent()          {}
func (*StepBegin) isEvent()        {}
func (*StepInterrupted) isEvent()  {}
func (*StepRetry) isEvent()        {}
func (*HookTriggered) isEvent()    {}
func (*HookResolved) isEvent()     {}
func (*CompactionBegin) isEvent()  {}
func (*CompactionEnd) isEvent()    {}
func (*MCPLoadingBegin) isEvent()  {}
func (*MCPLoadingEnd) isEvent()    {}
func (*StatusUpdate) isEvent()     {}
func (*Notification) isEvent()     {}
func (*ToolCall) isEvent()         {}
func (*ToolCallPart) isEvent()     {}
func (*ToolResult) isEvent()       {}
func (*ApprovalResponse) isEvent() {}
func (*SubagentEvent) isEvent()    {}
func (*PlanDisplay) isEvent()      {}
func (*BtwBegin) isEvent()         {}
func (*BtwEnd) isEvent()           {}
func (*TextPart) isEvent()         {}
func (*ThinkPart) isEvent()        {}
func (*ImageURLPart) isEvent()     {}
func (*AudioURLPart) isEvent()     {}
func (*VideoURLPart) isEvent()     {}
func (*UnknownPart) isEvent()      {}

func (*ApprovalRequest) isRequest() {}
func (*QuestionRequest) isRequest() {}
func (*ToolCallRequest) isRequest() {}
func (*HookRequest) isRequest()     {}

// MarshalJSON returns the envelope.
func (m *TurnBegin) MarshalJSON() ([]byte, error) {
	type payload TurnBegin
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *SteerInput) MarshalJSON() ([]byte, error) {
	type payload SteerInput
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *TurnEnd) MarshalJSON() ([]byte, error) {
	type payload TurnEnd
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *StepBegin) MarshalJSON() ([]byte, error) {
	type payload StepBegin
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *StepInterrupted) MarshalJSON() ([]byte, error) {
	type payload StepInterrupted
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *StepRetry) MarshalJSON() ([]byte, error) {
	type payload StepRetry
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *HookTriggered) MarshalJSON() ([]byte, error) {
	type payload HookTriggered
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *HookResolved) MarshalJSON() ([]byte, error) {
	type payload HookResolved
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *CompactionBegin) MarshalJSON() ([]byte, error) {
	type payload CompactionBegin
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *CompactionEnd) MarshalJSON() ([]byte, error) {
	type payload CompactionEnd
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *MCPLoadingBegin) MarshalJSON() ([]byte, error) {
	type payload MCPLoadingBegin
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *MCPLoadingEnd) MarshalJSON() ([]byte, error) {
	type payload MCPLoadingEnd
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *StatusUpdate) MarshalJSON() ([]byte, error) {
	type payload StatusUpdate
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *ToolCallPart) MarshalJSON() ([]byte, error) {
	type payload ToolCallPart
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *ToolResult) MarshalJSON() ([]byte, error) {
	type payload ToolResult
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *ApprovalResponse) MarshalJSON() ([]byte, error) {
	type payload ApprovalResponse
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *PlanDisplay) MarshalJSON() ([]byte, error) {
	type payload PlanDisplay
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *BtwBegin) MarshalJSON() ([]byte, error) {
	type payload BtwBegin
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *BtwEnd) MarshalJSON() ([]byte, error) {
	type payload BtwEnd
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *ApprovalRequest) MarshalJSON() ([]byte, error) {
	type payload ApprovalRequest
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *QuestionRequest) MarshalJSON() ([]byte, error) {
	type payload QuestionRequest
	p := payload(*m)
	p.Questions = orEmpty(p.Questions)
	return marshalEnvelope(m.MessageType(), &p)
}

// MarshalJSON returns the envelope.
func (m *ToolCallRequest) MarshalJSON() ([]byte, error) {
	type payload ToolCallRequest
	return marshalEnvelope(m.MessageType(), (*payload)(m))
}

// MarshalJSON returns the envelope.
func (m *ToolCall) MarshalJSON() ([]byte, error) {
	type payload ToolCall
	p := payload(*m)
	if p.Type == "" {
		p.Type = "function"
	}
	return marshalEnvelope(m.MessageType(), &p)
}

// MarshalJSON returns the envelope.
func (m *Notification) MarshalJSON() ([]byte, error) {
	type payload Notification
	p := payload(*m)
	if p.Payload == nil {
		p.Payload = map[string]json.RawMessage{}
	}
	return marshalEnvelope(m.MessageType(), &p)
}

// MarshalJSON returns the envelope.
func (m *HookRequest) MarshalJSON() ([]byte, error) {
	type payload HookRequest
	p := payload(*m)
	if p.InputData == nil {
		p.InputData = map[string]json.RawMessage{}
	}
	return marshalEnvelope(m.MessageType(), &p)
}

// MarshalJSON returns the envelope.
func (p *TextPart) MarshalJSON() ([]byte, error) { return marshalEnvelope("ContentPart", p.bare()) }

// MarshalJSON returns the envelope.
func (p *ThinkPart) MarshalJSON() ([]byte, error) { return marshalEnvelope("ContentPart", p.bare()) }

// MarshalJSON returns the envelope.
func (p *ImageURLPart) MarshalJSON() ([]byte, error) { return marshalEnvelope("ContentPart", p.bare()) }

// MarshalJSON returns the envelope.
func (p *AudioURLPart) MarshalJSON() ([]byte, error) { return marshalEnvelope("ContentPart", p.bare()) }

// MarshalJSON returns the envelope.
func (p *VideoURLPart) MarshalJSON() ([]byte, error) { return marshalEnvelope("ContentPart", p.bare()) }

// MarshalJSON returns the envelope.
func (p *UnknownPart) MarshalJSON() ([]byte, error) { return marshalEnvelope("ContentPart", p.bare()) }
