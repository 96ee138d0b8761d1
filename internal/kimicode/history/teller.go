// Package history reads what Kimi Code stores of a conversation: the messages that its server sends, and the journal
// that contains them. It opens no files. It follows Kimi Code 2.1.0.
package history

import (
	"encoding/json"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Teller turns a conversation into Wire messages. Its zero value is ready for the first message.
type Teller struct {
	// ToolName returns the name under which the program knows a tool. If ToolName is nil, all names stay unchanged.
	ToolName func(name string) string
	// At is when the message that is being emitted was recorded, or zero if that is not known.
	At time.Time

	turns, steps int
	last         time.Time // the latest time of all messages so far
}

func (t *Teller) at(when time.Time) {
	t.At = when
	if when.After(t.last) {
		t.last = when
	}
}

// Tell emits the Wire messages for a message, until emit returns false. It returns true unless emit has returned false.
func (t *Teller) Tell(m *api.Message, emit func(wireproto.Message) bool) bool {
	switch m.Role {
	case "user":
		input, ok := Prompt(m)
		switch o := m.Metadata.Origin; {
		case ok:
		case o.User():
			t.at(m.At)
			return emit(&wireproto.SteerInput{UserInput: content(m.Content)})
		default:
			return true // a reminder that Kimi Code has inserted
		}
		if !t.End(emit) {
			return false
		}
		t.turns, t.steps = t.turns+1, 0
		t.at(m.At)
		return emit(&wireproto.TurnBegin{UserInput: input})
	case "assistant":
		t.steps++
		t.at(m.At)
		if !emit(&wireproto.StepBegin{N: t.steps}) {
			return false
		}
		for _, part := range m.Content {
			var told wireproto.Message
			switch part.Type {
			case "thinking":
				told = &wireproto.ThinkPart{Think: part.Thinking}
			case "text":
				told = &wireproto.TextPart{Text: part.Text}
			case "tool_use":
				told = &wireproto.ToolCall{Type: "function", ID: part.ToolCallID, Function: wireproto.ToolCallFunction{Name: t.toolName(part.ToolName), Arguments: arguments(part.Input)}}
			}
			t.at(part.At)
			if told != nil && !emit(told) {
				return false
			}
		}
		// As in kimi-cli, this comes before the results of the tools.
		if m.Usage != nil && !emit(&wireproto.StatusUpdate{TokenUsage: Tokens(m.Usage)}) {
			return false
		}
		t.at(m.Ended)
	case "tool":
		for _, part := range m.Content {
			t.at(part.At)
			if part.Type == "tool_result" && !emit(&wireproto.ToolResult{ToolCallID: part.ToolCallID, ReturnValue: Result(part.Output, part.IsError)}) {
				return false
			}
		}
	}
	return true
}

// End ends the turn of the last message.
func (t *Teller) End(emit func(wireproto.Message) bool) bool {
	t.At = t.last
	return t.turns == 0 || emit(&wireproto.TurnEnd{})
}

func (t *Teller) toolName(name string) string {
	if t.ToolName == nil {
		return name
	}
	return t.ToolName(name)
}

// Tokens returns what a step has used in Wire's form, or nil if that is not known.
func Tokens(u *api.Usage) *wireproto.TokenUsage {
	if u == nil {
		return nil
	}
	return &wireproto.TokenUsage{InputOther: u.InputOther, Output: u.Output, InputCacheRead: u.InputCacheRead, InputCacheCreation: u.InputCacheCreation}
}

// Prompt returns what the user has written, if the message begins a turn.
func Prompt(m *api.Message) (wireproto.Content, bool) {
	if m.Role != "user" || !m.Metadata.Origin.Begins() {
		return wireproto.Content{}, false
	}
	if called := m.Metadata.Origin.Called(); called != "" { // the message contains the text of the skill or the command
		return wireproto.Content{Text: called}, true
	}
	return content(m.Content), true
}

// content turns stored parts into the content of a Wire message. A stored picture is named by its place.
func content(parts []api.Part) wireproto.Content {
	if len(parts) == 1 && parts[0].Type == "text" {
		return wireproto.Content{Text: parts[0].Text}
	}
	var c wireproto.Content
	for _, p := range parts {
		switch p.Type {
		case "text":
			c.Parts = append(c.Parts, &wireproto.TextPart{Text: p.Text})
		case "image":
			c.Parts = append(c.Parts, &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: p.Source.String()}})
		case "video":
			c.Parts = append(c.Parts, &wireproto.VideoURLPart{VideoURL: wireproto.MediaURL{URL: p.Source.String()}})
		}
	}
	return c
}

// arguments returns the arguments of a call, or {} if there are none.
func arguments(input json.RawMessage) *string {
	args := string(input)
	if args == "" || args == "null" {
		args = "{}"
	}
	return &args
}

// Result returns the result of a tool in Wire's form. output is text, or content parts in Kimi Code's form.
func Result(output json.RawMessage, isError bool) wireproto.ToolReturnValue {
	v := wireproto.ToolReturnValue{IsError: isError}
	var text string
	switch {
	case len(output) == 0 || string(output) == "null":
	case json.Unmarshal(output, &text) == nil:
		v.Output.Text = text
	case v.Output.UnmarshalJSON(wireParts(output)) == nil:
	default:
		v.Output = wireproto.Content{Text: string(output)}
	}
	return v
}

// wireParts renames the members of Kimi Code's content parts as Wire does.
func wireParts(raw json.RawMessage) json.RawMessage {
	var parts []map[string]json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return raw
	}
	for _, p := range parts {
		for name, wire := range map[string]string{"imageUrl": "image_url", "audioUrl": "audio_url", "videoUrl": "video_url"} {
			if v, ok := p[name]; ok {
				p[wire] = v
				delete(p, name)
			}
		}
	}
	renamed, err := json.Marshal(parts)
	if err != nil {
		return raw
	}
	return renamed
}
