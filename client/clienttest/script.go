package clienttest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// script is one call of a model, in the language that [Kimi] and [NewModel] describe.
type script struct {
	id     string
	fail   *failure // if it is set, the other fields are not used
	steps  []step
	finish string
	usage  usage
}

// failure is a call that gets no answer: an HTTP status, or 0 for a connection that is cut.
type failure struct {
	status  int
	message string
}

// step is one line of the kinds text, think, tool_call, drop, end, hang and wait.
type step struct {
	text, think     string
	call            *toolDelta
	drop, end, hang bool
	wait            time.Duration
}

// toolDelta begins a tool call or, without an id, continues one.
type toolDelta struct {
	index               int
	id, name, arguments string
}

// usage is the usage line, with the names that kimi uses.
type usage struct {
	Other    int `json:"input_other"`
	Output   int `json:"output"`
	Read     int `json:"input_cache_read"`
	Creation int `json:"input_cache_creation"`
}

// parseScript reads the language of kimi-cli's kosong/chat_provider/echo/dsl.py, and the lines that NewModel adds.
func parseScript(text string) (*script, error) {
	s := &script{id: "chatcmpl-scripted", finish: "stop", usage: usage{Other: 100, Output: 10}}
	var calls int
	var finish string
	for raw := range strings.FieldsFuncSeq(text, breaksLine) {
		line := strings.TrimSpace(raw)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "```") || strings.EqualFold(line, "echo") {
			continue
		}
		kind, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%.100q has no colon", line)
		}
		said := unquote(strings.TrimPrefix(value, " ")) // further blanks are part of the text
		value = strings.TrimSpace(value)
		what, message, _ := strings.Cut(value, " ")
		message = strings.TrimSpace(message)
		var err error
		kind = strings.ToLower(strings.TrimSpace(kind))
		if base, ok := strings.CutSuffix(kind, asJSON); ok {
			kind = base
			if base != "text" && base != "think" && base != "error" {
				err = fmt.Errorf("only text, think and error can be JSON strings")
			} else if err = json.Unmarshal([]byte(value), &said); err != nil {
				err = fmt.Errorf("the value is not a JSON string: %w", err)
			}
			what, message, _ = strings.Cut(said, " ")
		}
		if err != nil {
			return nil, fmt.Errorf("%.100q: %w", line, err)
		}
		switch kind {
		case "error":
			if s.fail == nil {
				s.fail, err = parseFailure(what, message)
			}
		case "id":
			s.id = unquote(value)
		case "usage":
			s.usage = usage{}
			err = parseMapping(value, &s.usage)
		case "text":
			s.steps = append(s.steps, step{text: said})
		case "think":
			s.steps = append(s.steps, step{think: said})
		case "tool_call":
			var call *toolDelta
			if call, err = parseCall(value); err == nil {
				call.index = calls
				calls++
				s.steps = append(s.steps, step{call: call})
				s.finish = "tool_calls"
			}
		case "tool_call_part":
			if calls == 0 {
				err = fmt.Errorf("there is no tool_call before it")
			}
			s.steps = append(s.steps, step{call: &toolDelta{index: calls - 1, arguments: parsePart(value)}})
		case "finish":
			finish = value
		case "wait":
			var wait time.Duration
			wait, err = time.ParseDuration(value)
			s.steps = append(s.steps, step{wait: wait})
		case "drop":
			s.steps = append(s.steps, step{drop: true})
		case "end":
			s.steps = append(s.steps, step{end: true})
		case "hang":
			s.steps = append(s.steps, step{hang: true})
		default:
			err = fmt.Errorf("a model cannot say that; see NewModel for what it can")
		}
		if err != nil {
			return nil, fmt.Errorf("%.100q: %w", line, err)
		}
	}
	if s.fail == nil && s.steps == nil && finish == "" {
		return nil, fmt.Errorf("it says nothing: add a line of text:, think:, tool_call: or error:, or finish: stop for an empty answer")
	}
	if finish != "" {
		s.finish = finish
	}
	return s, nil
}

func parseFailure(what, message string) (*failure, error) {
	f := &failure{message: message}
	switch strings.ToLower(what) {
	case "connection":
		return f, nil
	case "timeout":
		f.status = 408
	default:
		var err error
		if f.status, err = strconv.Atoi(what); err != nil || f.status < 400 || f.status > 599 {
			return nil, fmt.Errorf("an error is a status from 400 to 599, or one of the words connection and timeout")
		}
	}
	if f.message == "" {
		f.message = "Simulated " + what + " error"
	}
	return f, nil
}

func parseCall(value string) (*toolDelta, error) {
	type function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"` // JSON in a string
	}
	var call struct {
		ID string `json:"id"`
		function
		Function function `json:"function"`
	}
	if err := parseMapping(value, &call); err != nil {
		return nil, err
	}
	d := &toolDelta{id: call.ID, name: call.Name, arguments: call.Arguments}
	if d.name == "" {
		d.name = call.Function.Name
	}
	if d.arguments == "" {
		d.arguments = call.Function.Arguments
	}
	if d.id == "" || d.name == "" {
		return nil, fmt.Errorf("a tool call has an id and a name")
	}
	return d, nil
}

// parsePart returns the text of {"arguments_part": "text"} or "text". Any other value is returned as it is.
func parsePart(value string) string {
	var object struct {
		Part json.RawMessage `json:"arguments_part"`
	}
	if json.Unmarshal([]byte(value), &object) == nil {
		value = string(object.Part)
	}
	var text string
	if json.Unmarshal([]byte(value), &text) == nil { // null gives ""
		return text
	}
	return unquote(value)
}

// parseMapping reads a JSON object, or pairs like input_other=10.
func parseMapping(value string, into any) error {
	if !strings.HasPrefix(value, "{") {
		object := make(map[string]json.RawMessage)
		for word := range strings.FieldsSeq(strings.ReplaceAll(value, ",", " ")) {
			key, v, ok := strings.Cut(word, "=")
			if !ok {
				return fmt.Errorf("%.100q is neither key=value nor a JSON object", word)
			}
			object[key] = json.RawMessage(v)
			if !json.Valid(object[key]) {
				object[key], _ = json.Marshal(unquote(v))
			}
		}
		raw, err := json.Marshal(object)
		if err != nil {
			return err
		}
		value = string(raw)
	}
	return json.Unmarshal([]byte(value), into)
}

// message returns the whole message of a script as one object.
func (s *script) message() object {
	var content, reasoning strings.Builder
	var calls []toolDelta
	for _, st := range s.steps {
		content.WriteString(st.text)
		reasoning.WriteString(st.think)
		switch d := st.call; {
		case d == nil:
		case d.id != "":
			calls = append(calls, *d)
		default:
			calls[d.index].arguments += d.arguments
		}
	}
	m := object{"role": "assistant", "content": content.String()}
	if reasoning.Len() > 0 {
		m["reasoning_content"] = reasoning.String()
	}
	if calls != nil {
		var list []object
		for _, d := range calls {
			list = append(list, object{"id": d.id, "type": "function", "function": object{"name": d.name, "arguments": d.arguments}})
		}
		m["tool_calls"] = list
	}
	return m
}

func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}
