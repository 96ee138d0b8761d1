package wireproto

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Message is one Wire message: an [Event] or a [Request]. The set is closed; what
// this version does not know is an [*UnknownMessage].
//
// json.Marshal of a Message gives its envelope, {"type":…,"payload":…};
// [UnmarshalMessage] reads one.
type Message interface {
	// MessageType returns the type name of the envelope, such as "TurnBegin".
	// Every content part has the name "ContentPart".
	MessageType() string
	isMessage()
}

// Event is a message that expects no answer.
type Event interface {
	Message
	isEvent()
}

// Request is a message that the agent waits to have answered.
type Request interface {
	Message
	isRequest()
}

// UnknownMessage is an event or a request whose type this version does not know,
// or whose payload does not have the shape that its type demands. It encodes back
// to the same JSON.
type UnknownMessage struct {
	Type    string          // type name of the envelope
	Payload json.RawMessage // nil when the envelope had none
}

func (m *UnknownMessage) MessageType() string { return m.Type }
func (*UnknownMessage) isMessage()            {}
func (*UnknownMessage) isEvent()              {}
func (*UnknownMessage) isRequest()            {}

// MarshalJSON returns the envelope.
func (m *UnknownMessage) MarshalJSON() ([]byte, error) {
	return marshalEnvelope(m.Type, m.Payload)
}

// constructors maps every type name but "ContentPart", whose payload decides, to an
// empty message. ApprovalRequestResolved is what protocol 1.1 called ApprovalResponse.
var constructors = map[string]func() Message{
	"TurnBegin":               func() Message { return new(TurnBegin) },
	"SteerInput":              func() Message { return new(SteerInput) },
	"TurnEnd":                 func() Message { return new(TurnEnd) },
	"StepBegin":               func() Message { return new(StepBegin) },
	"StepInterrupted":         func() Message { return new(StepInterrupted) },
	"StepRetry":               func() Message { return new(StepRetry) },
	"HookTriggered":           func() Message { return &HookTriggered{HookCount: 1} },
	"HookResolved":            func() Message { return &HookResolved{Action: HookAllow} },
	"CompactionBegin":         func() Message { return new(CompactionBegin) },
	"CompactionEnd":           func() Message { return new(CompactionEnd) },
	"MCPLoadingBegin":         func() Message { return new(MCPLoadingBegin) },
	"MCPLoadingEnd":           func() Message { return new(MCPLoadingEnd) },
	"StatusUpdate":            func() Message { return new(StatusUpdate) },
	"Notification":            func() Message { return new(Notification) },
	"ToolCall":                func() Message { return new(ToolCall) },
	"ToolCallPart":            func() Message { return new(ToolCallPart) },
	"ToolResult":              func() Message { return new(ToolResult) },
	"ApprovalResponse":        func() Message { return new(ApprovalResponse) },
	"ApprovalRequestResolved": func() Message { return new(ApprovalResponse) },
	"SubagentEvent":           func() Message { return new(SubagentEvent) },
	"PlanDisplay":             func() Message { return new(PlanDisplay) },
	"BtwBegin":                func() Message { return new(BtwBegin) },
	"BtwEnd":                  func() Message { return new(BtwEnd) },
	"ApprovalRequest":         func() Message { return new(ApprovalRequest) },
	"QuestionRequest":         func() Message { return new(QuestionRequest) },
	"ToolCallRequest":         func() Message { return new(ToolCallRequest) },
	"HookRequest":             func() Message { return new(HookRequest) },
}

// UnmarshalMessage reads the envelope of one message. An unknown type, or a payload
// that does not fit its type, gives an [*UnknownMessage] and no error; only what is
// not an envelope at all is an error.
func UnmarshalMessage(data []byte) (Message, error) {
	if !json.Valid(data) {
		return nil, fmt.Errorf("wireproto: message is not valid JSON: %s", preview(data))
	}
	return decodeEnvelope(data)
}

// decodeEnvelope reads an envelope of which only the outline has been checked.
func decodeEnvelope(data []byte) (Message, error) {
	var typeRaw, payload []byte
	err := eachMember(data, func(key, value []byte) {
		switch string(key) {
		case "type":
			typeRaw = value
		case "payload":
			payload = value
		}
	})
	if err != nil {
		return nil, err
	}
	if string(typeRaw) == `"ContentPart"` {
		if p := decodePart(payload); p != nil {
			return p, nil
		}
	}
	name, err := decodeString(typeRaw)
	if err != nil || name == "" {
		return nil, fmt.Errorf("wireproto: message has no type: %s", preview(data))
	}
	if construct := constructors[name]; construct != nil {
		m := construct()
		if decodePayload(payload, m) == nil {
			return m, nil
		}
	}
	if payload != nil && !json.Valid(payload) {
		return nil, fmt.Errorf("wireproto: payload of %.40q is not valid JSON: %s", name, preview(payload))
	}
	return &UnknownMessage{Type: name, Payload: bytes.Clone(payload)}, nil
}

// decodePayload fills m. The one kind that streams beside content parts has a path
// of its own; the others arrive a few times in a step.
func decodePayload(payload []byte, m Message) error {
	if part, ok := m.(*ToolCallPart); ok {
		return part.decode(payload)
	}
	if payload == nil || string(payload) == "null" {
		payload = []byte("{}")
	}
	return json.Unmarshal(payload, m)
}

// marshalEnvelope writes {"type":name,"payload":payload}. The payload is a json.RawMessage
// or a value whose type has no MarshalJSON of its own.
func marshalEnvelope(name string, payload any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"type":`)
	if err := encodeJSON(&b, name); err != nil {
		return nil, err
	}
	if raw, ok := payload.(json.RawMessage); !ok || raw != nil {
		b.WriteString(`,"payload":`)
		if err := encodeJSON(&b, payload); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encodeJSON appends v as the agent writes it: compact, <, > and & as they are.
func encodeJSON(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line end that Encode adds
	return nil
}

// preview quotes the head of data for an error text: at most 200 bytes.
func preview(data []byte) string {
	if len(data) > 150 {
		return fmt.Sprintf("%.180q… (%d bytes)", data[:150], len(data))
	}
	return fmt.Sprintf("%.190q", data)
}
