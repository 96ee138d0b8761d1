package client

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// The values of a session have JSON forms with the names of the protocol, so that other programs can read them. Times
// are in RFC 3339. Durations are in seconds, and their names say so. An error has a member "message" with its text. All
// values can be read back. If an error has another error inside, only the text of the inner error is kept.

// MarshalJSON writes the message in the form in which kimi-cli stores messages: content parts, tool calls and their
// ids.
func (m Message) MarshalJSON() ([]byte, error) {
	out := messageJSON{Role: m.Role, Content: wireproto.Content{Parts: m.Content}, ToolCallID: m.ToolCallID}
	if m.Content == nil {
		out.Content.Parts = []wireproto.ContentPart{}
	}
	for _, call := range m.ToolCalls {
		if call.Type == "" {
			call.Type = "function"
		}
		out.ToolCalls = append(out.ToolCalls, toolCallJSON(call))
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Message) UnmarshalJSON(data []byte) error {
	var in messageJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*m = Message{Role: in.Role, Content: in.Content.Parts, ToolCallID: in.ToolCallID}
	if in.Content.Parts == nil && in.Content.Text != "" {
		m.Content = []wireproto.ContentPart{&wireproto.TextPart{Text: in.Content.Text}}
	}
	for _, call := range in.ToolCalls {
		m.ToolCalls = append(m.ToolCalls, wireproto.ToolCall(call))
	}
	return nil
}

type messageJSON struct {
	Role       Role              `json:"role"`
	Content    wireproto.Content `json:"content"`
	ToolCalls  []toolCallJSON    `json:"tool_calls,omitempty"`
	ToolCallID string            `json:"tool_call_id,omitempty"`
}

// toolCallJSON is a ToolCall without its envelope.
type toolCallJSON wireproto.ToolCall

// toldJSON holds the text of an error, and the text of the error inside it.
type toldJSON struct {
	Message string `json:"message"`
	Within  string `json:"error,omitempty"`
}

func tell(err, within error) toldJSON {
	t := toldJSON{Message: err.Error()}
	if within != nil {
		t.Within = within.Error()
	}
	return t
}

func (t toldJSON) within() error {
	if t.Within == "" {
		return nil
	}
	return errors.New(t.Within)
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond)
}

// MarshalJSON writes the fields, and the members cpu_seconds and message.
func (e ProcessError) MarshalJSON() ([]byte, error) {
	type fields ProcessError
	return json.Marshal(struct {
		fields
		CPU float64 `json:"cpu_seconds"`
		toldJSON
	}{fields(e), e.CPU.Seconds(), tell(&e, nil)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *ProcessError) UnmarshalJSON(data []byte) error {
	type fields ProcessError
	in := struct {
		*fields
		CPU float64 `json:"cpu_seconds"`
	}{fields: (*fields)(e)}
	err := json.Unmarshal(data, &in)
	e.CPU = duration(in.CPU)
	return err
}

// turnResultJSON has the times of a TurnResult in seconds.
type turnResultJSON struct {
	FirstToken float64 `json:"first_token_seconds,omitempty"`
	Duration   float64 `json:"duration_seconds,omitempty"`
	Waiting    float64 `json:"waiting_seconds,omitempty"`
	ModelTime  float64 `json:"model_seconds,omitempty"`
	ToolTime   float64 `json:"tool_seconds,omitempty"`
}

// MarshalJSON writes the fields, with durations in seconds.
func (r TurnResult) MarshalJSON() ([]byte, error) {
	type fields TurnResult
	return json.Marshal(struct {
		fields
		turnResultJSON
	}{fields(r), turnResultJSON{r.FirstToken.Seconds(), r.Duration.Seconds(), r.Waiting.Seconds(), r.ModelTime.Seconds(), r.ToolTime.Seconds()}})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *TurnResult) UnmarshalJSON(data []byte) error {
	type fields TurnResult
	in := struct {
		*fields
		turnResultJSON
	}{fields: (*fields)(r)}
	err := json.Unmarshal(data, &in)
	t := in.turnResultJSON
	r.FirstToken, r.Duration, r.Waiting = duration(t.FirstToken), duration(t.Duration), duration(t.Waiting)
	r.ModelTime, r.ToolTime = duration(t.ModelTime), duration(t.ToolTime)
	return err
}

// MarshalJSON writes the fields and the member message. For an infinite number it writes the largest number instead,
// because JSON has no infinite numbers.
func (e LimitError) MarshalJSON() ([]byte, error) {
	type fields LimitError
	out := fields(e)
	out.Used = min(out.Used, math.MaxFloat64)
	return json.Marshal(struct {
		fields
		toldJSON
	}{out, tell(&e, nil)})
}

// MarshalJSON writes the fields, and the members limit_seconds and message.
func (e StartError) MarshalJSON() ([]byte, error) {
	type fields StartError
	return json.Marshal(struct {
		fields
		Limit float64 `json:"limit_seconds,omitempty"`
		toldJSON
	}{fields(e), e.Limit.Seconds(), tell(&e, e.Err)})
}

// UnmarshalJSON reads what MarshalJSON writes. Err has only the text.
func (e *StartError) UnmarshalJSON(data []byte) error {
	type fields StartError
	in := struct {
		*fields
		Limit float64 `json:"limit_seconds"`
		toldJSON
	}{fields: (*fields)(e)}
	err := json.Unmarshal(data, &in)
	e.Limit, e.Err = duration(in.Limit), in.within()
	return err
}

// MarshalJSON writes the fields and the member message.
func (e OptionError) MarshalJSON() ([]byte, error) {
	type fields OptionError
	return json.Marshal(struct {
		fields
		toldJSON
	}{fields(e), tell(&e, e.Err)})
}

// UnmarshalJSON reads what MarshalJSON writes. Err has only the text.
func (e *OptionError) UnmarshalJSON(data []byte) error {
	type fields OptionError
	in := struct {
		*fields
		toldJSON
	}{fields: (*fields)(e)}
	err := json.Unmarshal(data, &in)
	e.Err = in.within()
	return err
}

// MarshalJSON writes the fields and the member message.
func (e IncompatibleError) MarshalJSON() ([]byte, error) {
	type fields IncompatibleError
	return json.Marshal(struct {
		fields
		toldJSON
	}{fields(e), tell(&e, e.Err)})
}

// UnmarshalJSON reads what MarshalJSON writes. Err has only the text.
func (e *IncompatibleError) UnmarshalJSON(data []byte) error {
	type fields IncompatibleError
	in := struct {
		*fields
		toldJSON
	}{fields: (*fields)(e)}
	err := json.Unmarshal(data, &in)
	e.Err = in.within()
	return err
}

// MarshalJSON writes the fields and the member message.
func (e TurnsError) MarshalJSON() ([]byte, error) {
	type fields TurnsError
	return json.Marshal(struct {
		fields
		toldJSON
	}{fields(e), tell(&e, nil)})
}

// MarshalJSON writes the fields and the member message.
func (e NotFoundError) MarshalJSON() ([]byte, error) {
	type fields NotFoundError
	return json.Marshal(struct {
		fields
		toldJSON
	}{fields(e), tell(&e, nil)})
}

// MarshalJSON writes the fields and the member message.
func (e AnswerError) MarshalJSON() ([]byte, error) {
	type fields AnswerError
	return json.Marshal(struct {
		fields
		toldJSON
	}{fields(e), tell(&e, nil)})
}
