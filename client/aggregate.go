package client

import (
	"context"
	"iter"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Role says who a message is from.
type Role string

// The roles of the messages that [Aggregate] makes.
const (
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Message is what the model said in a step, or the result of a tool call.
type Message struct {
	Role       Role
	Content    []wireproto.ContentPart
	ToolCalls  []wireproto.ToolCall // of an assistant message; the arguments are complete
	ToolCallID string               // of a tool message
}

// Text returns the text parts of the content, joined. It leaves out thinking.
func (m *Message) Text() string {
	return wireproto.Content{Parts: append([]wireproto.ContentPart{}, m.Content...)}.String()
}

// Prompt runs one turn in a new session and yields its messages. It yields each message when the step of the message is
// complete. If there is an error, it comes last. Without Options.Yolo, AFK or Approve, the only value is
// (nil, [ErrNoApprover]). kimi keeps the session on disk; to continue it later, set Options.SessionID.
func Prompt(ctx context.Context, text string, opts *Options, parts ...wireproto.ContentPart) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		if opts == nil || !opts.Yolo && !opts.AFK && opts.Approve == nil {
			yield(nil, ErrNoApprover)
			return
		}
		if _, err := userInput(text, parts); err != nil { // check before a process starts
			yield(nil, err)
			return
		}
		s, err := NewSession(ctx, opts)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.Close()
		turn, err := s.Prompt(ctx, text, parts...)
		if err != nil {
			yield(nil, err)
			return
		}
		defer turn.killDeaf()
		Aggregate(turn.Messages())(yield)
	}
}

// Ask runs one turn, as [Prompt] does, and returns the text of the last assistant message. If there is an error, it
// returns the text of the last complete message with it.
func Ask(ctx context.Context, text string, opts *Options, parts ...wireproto.ContentPart) (string, error) {
	answer := ""
	for m, err := range Prompt(ctx, text, opts, parts...) {
		if err != nil {
			return answer, err
		}
		if m.Role == RoleAssistant {
			answer = m.Text()
		}
	}
	return answer, nil
}

// Aggregate turns a stream of messages into whole messages. Each step gives one assistant message, with its parts
// joined as by [Merge], and then one message for the result of each tool call. The messages of a step come at the end
// of the step, because results may arrive while the model still writes.
//
// Aggregate leaves out the events of subagents. It does not answer requests: without a handler, they are rejected. If
// kimi repeats a step, Aggregate drops what the failed attempt has sent. If the stream ends with an error, the messages
// of the incomplete step come first, and then the error.
func Aggregate(seq iter.Seq2[wireproto.Message, error]) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		assistant := &Message{Role: RoleAssistant}
		var results []*Message
		flush := func() bool {
			done := assistant
			assistant = &Message{Role: RoleAssistant}
			if (len(done.Content) > 0 || len(done.ToolCalls) > 0) && !yield(done, nil) {
				return false
			}
			tools := results
			results = nil
			for _, m := range tools {
				if !yield(m, nil) {
					return false
				}
			}
			return true
		}
		for msg, err := range Merge(seq) {
			if err != nil {
				if flush() {
					yield(nil, err)
				}
				return
			}
			switch m := msg.(type) {
			case *wireproto.StepBegin, *wireproto.TurnBegin, *wireproto.TurnEnd, *wireproto.SteerInput:
				if !flush() {
					return
				}
			case *wireproto.StepRetry: // the model begins the message again
				assistant, results = &Message{Role: RoleAssistant}, nil
			case wireproto.ContentPart:
				assistant.Content = append(assistant.Content, m)
			case *wireproto.ToolCall:
				assistant.ToolCalls = append(assistant.ToolCalls, *m)
			case *wireproto.ToolCallPart: // another message came between the call and its arguments
				if n := len(assistant.ToolCalls); n > 0 && m.ArgumentsPart != nil {
					f := &assistant.ToolCalls[n-1].Function
					f.Arguments = appended(f.Arguments, *m.ArgumentsPart)
				}
			case *wireproto.ToolResult:
				results = append(results, &Message{Role: RoleTool, Content: resultContent(m), ToolCallID: m.ToolCallID})
			}
		}
		flush()
	}
}

// resultContent returns what the model reads of a result: its explanation and its output.
func resultContent(r *wireproto.ToolResult) []wireproto.ContentPart {
	var parts []wireproto.ContentPart
	if v := r.ReturnValue; v.Output.Parts != nil {
		parts = append(parts, v.Output.Parts...)
	} else if v.Output.Text != "" {
		parts = append(parts, &wireproto.TextPart{Text: v.Output.Text})
	}
	if len(parts) == 0 && r.ReturnValue.Message != "" {
		parts = append(parts, &wireproto.TextPart{Text: r.ReturnValue.Message})
	}
	return parts
}

// Merge joins the pieces in which the model streams: consecutive text parts, consecutive think parts, and a tool call
// with the argument parts after it. Every other message passes at once, after the joined parts before it. So a text
// comes when another message follows, not while the model writes it. A handler may therefore get a request before the
// loop gets the text that explains the request. To get both in order, answer the request in the loop. Merge does not
// change the values of seq.
func Merge(seq iter.Seq2[wireproto.Message, error]) iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		var held joiner
		flush := func() bool {
			m := held.take()
			return m == nil || yield(m, nil)
		}
		for msg, err := range seq {
			if err == nil && held.join(msg) {
				continue
			}
			if !flush() || (err != nil || !held.hold(msg)) && !yield(msg, err) {
				return
			}
		}
		flush()
	}
}

// joiner holds a message that later messages may continue.
type joiner struct {
	first wireproto.Message
	more  strings.Builder // the text of the continuations
	sign  *string         // the encrypted thinking, which ends a think part; nil if there is none yet
}

// hold takes m if it can be continued.
func (j *joiner) hold(m wireproto.Message) bool {
	switch m := m.(type) {
	case *wireproto.TextPart, *wireproto.ToolCall, *wireproto.ToolCallPart:
		j.first = m
	case *wireproto.ThinkPart:
		j.first, j.sign = m, m.Encrypted
	default:
		return false
	}
	return true
}

// join adds m if m continues the message that is held.
func (j *joiner) join(m wireproto.Message) bool {
	switch m := m.(type) {
	case *wireproto.TextPart:
		if _, ok := j.first.(*wireproto.TextPart); ok {
			j.more.WriteString(m.Text)
			return true
		}
	case *wireproto.ThinkPart:
		if _, ok := j.first.(*wireproto.ThinkPart); ok && j.sign == nil {
			j.more.WriteString(m.Think)
			j.sign = m.Encrypted
			return true
		}
	case *wireproto.ToolCallPart:
		switch j.first.(type) {
		case *wireproto.ToolCall, *wireproto.ToolCallPart:
			if m.ArgumentsPart != nil {
				j.more.WriteString(*m.ArgumentsPart)
			}
			return true
		}
	}
	return false
}

// take returns the joined parts that are held, and then holds nothing.
func (j *joiner) take() wireproto.Message {
	m, more, sign := j.first, j.more.String(), j.sign
	*j = joiner{}
	switch first := m.(type) {
	case *wireproto.TextPart:
		if more != "" {
			return &wireproto.TextPart{Text: first.Text + more}
		}
	case *wireproto.ThinkPart:
		if more != "" || sign != first.Encrypted {
			return &wireproto.ThinkPart{Think: first.Think + more, Encrypted: sign}
		}
	case *wireproto.ToolCall:
		if more != "" {
			joined := *first
			joined.Function.Arguments = appended(first.Function.Arguments, more)
			return &joined
		}
	case *wireproto.ToolCallPart:
		if more != "" {
			return &wireproto.ToolCallPart{ArgumentsPart: appended(first.ArgumentsPart, more)}
		}
	}
	return m
}

func appended(head *string, tail string) *string {
	if head != nil {
		tail = *head + tail
	}
	return &tail
}
