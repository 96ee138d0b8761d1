package wireproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// Message is one Wire message: an [Event] or a [Request]. The set of types is closed. A message that this version does
// not know is an [*UnknownMessage].
//
// json.Marshal of a Message returns the envelope, {"type":…,"payload":…}. [UnmarshalMessage] reads an envelope.
// json.Unmarshal into one of the types reads only the payload.
type Message interface {
	// MessageType returns the type name of the envelope, such as "TurnBegin". For every content part, it is
	// "ContentPart".
	MessageType() string
	isMessage()
}

// Event is a message without an answer.
type Event interface {
	Message
	isEvent()
}

// Request is a message that the client has to answer.
type Request interface {
	Message
	isRequest()
}

// UnknownMessage is an event or a request of a type that this version does not know, or with a payload that does not
// fit its type. It encodes to the same JSON.
type UnknownMessage struct {
	Type    string          // the type name of the envelope
	Payload json.RawMessage // nil if the envelope has none
}

// MessageType returns the type name that the agent wrote.
func (m *UnknownMessage) MessageType() string { return m.Type }

func (*UnknownMessage) isMessage() {}
func (*UnknownMessage) isEvent()   {}
func (*UnknownMessage) isRequest() {}

// MarshalJSON returns the envelope.
func (m *UnknownMessage) MarshalJSON() ([]byte, error) {
	return marshalEnvelope(m.Type, m.Payload)
}

// constructors makes an empty message with its defaults for each type name except "ContentPart", whose type depends on
// the payload. ApprovalRequestResolved was the name of ApprovalResponse before protocol 1.1.
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
	"ToolCall":                func() Message { return &ToolCall{Type: "function"} },
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

// maxNesting is how many SubagentEvents may be inside each other. In kimi-cli a subagent has no subagents. The limit
// exists because each level decodes everything inside it once more.
const maxNesting = 8

// UnmarshalMessage reads the envelope of one message. For an unknown type, or a payload that does not fit its type, it
// returns an [*UnknownMessage] and no error. It returns an error only if data is not an envelope.
func UnmarshalMessage(data []byte) (Message, error) {
	if !json.Valid(data) {
		return nil, fmt.Errorf("%w: %s", errSyntax, preview(data))
	}
	m, err := decodeEnvelope(data, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, preview(data))
	}
	return m, nil
}

// decodeEnvelope reads an envelope that is inside depth SubagentEvents. Only the outer structure of data is known to be
// valid JSON.
func decodeEnvelope(data []byte, depth int) (Message, error) {
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
		return nil, errNoEnvelope
	}
	if string(typeRaw) == `"ContentPart"` {
		if p := decodePart(payload); p != nil {
			return p, nil
		}
	}
	name, err := decodeString(typeRaw)
	if err != nil || name == "" {
		return nil, errNoEnvelope
	}
	if construct := constructors[name]; construct != nil {
		m := construct()
		if decodePayload(payload, m, depth) == nil {
			return m, nil
		}
	}
	if payload != nil && !json.Valid(payload) {
		return nil, errPayload
	}
	return &UnknownMessage{Type: name, Payload: bytes.Clone(payload)}, nil
}

var (
	errNoEnvelope = errors.New(`wireproto: not a message {"type":…,"payload":…}`)
	errPayload    = errors.New("wireproto: payload is not valid JSON")
)

// decodePayload fills m. ToolCallParts are decoded in a faster way, because there are many of them. All other messages
// except content parts come only a few times in a step.
func decodePayload(payload []byte, m Message, depth int) error {
	if payload == nil || string(payload) == "null" {
		payload = []byte("{}")
	}
	switch m := m.(type) {
	case *ToolCallPart:
		return m.decode(payload)
	case *SubagentEvent:
		return m.decode(payload, depth+1)
	}
	return json.Unmarshal(payload, m)
}

// marshalEnvelope writes {"type":name,"payload":payload}. The payload is a json.RawMessage, or a value whose type has
// no method MarshalJSON.
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

// encodeJSON appends v in the form of the agent: without spaces, and without escapes for <, > and &.
func encodeJSON(b *bytes.Buffer, v any) error {
	if raw, ok := v.(json.RawMessage); ok && raw != nil { // the same as below, but in one pass
		if err := json.Compact(b, raw); err != nil {
			return fmt.Errorf("%w: %w", errSyntax, err)
		}
		return nil
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // remove the line end that Encode adds
	return nil
}

func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	err := encodeJSON(&b, v)
	return b.Bytes(), err
}

// preview quotes the start of data for an error text. The result, with its quotes and escapes, has at most 200 bytes.
func preview[T string | []byte](data T) string {
	for n := min(len(data), 160); ; n = n * 3 / 4 {
		q := strconv.Quote(string(data[:n]))
		switch {
		case len(q) > 180:
		case n < len(data):
			return fmt.Sprintf("%s… (%d bytes)", q, len(data))
		default:
			return q
		}
	}
}

// orEmpty returns an empty list for nil, because kimi-cli never writes null for a list.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// isNil reports whether v is nil, or a nil pointer in an interface.
func isNil(v any) bool {
	p := reflect.ValueOf(v)
	return !p.IsValid() || p.Kind() == reflect.Pointer && p.IsNil()
}
