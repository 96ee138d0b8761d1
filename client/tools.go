package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Tool is a Go function that the agent may call. [NewTool] makes one.
type Tool struct {
	name        string
	description string
	schema      json.RawMessage
	run         func(*request, json.RawMessage) (wireproto.ToolReturnValue, error)
	owner       any               // the Answer that the tool belongs to; nil if there is none
	server      bridge.ToolServer // the server through which Kimi Code calls the tool
}

// Name returns the name by which the model calls the tool.
func (t Tool) Name() string { return t.name }

var toolName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$`)

// NewTool makes a tool of a function. The JSON Schema of the arguments comes from In, which must be a struct or a map.
// The json and jsonschema tags of a struct name and describe the arguments. The model's arguments are checked against
// the schema. Out is sent to the model: a string, a [wireproto.ContentPart] or a slice of parts as it is, a
// [wireproto.ToolReturnValue] as the whole result, and any other value as JSON. An error or a panic becomes an error
// result, which the model reads. Calls may run at the same time. ctx ends with the turn, with Close, and with the
// agent.
//
// kimi never asks for approval before it calls a Go tool, whatever Yolo and Approve are. If a call needs an approval,
// ask for it in fn, or block the tool with a PreToolUse hook.
func NewTool[In, Out any](name, description string, fn func(context.Context, In) (Out, error)) (Tool, error) {
	schema, err := jsonschema.For[In](nil)
	if err != nil {
		return Tool{}, fmt.Errorf("client: tool %.80s: %w", name, err)
	}
	tool, resolved, err := toolOf(name, description, schema)
	switch {
	case err != nil:
		return Tool{}, err
	case fn == nil:
		return Tool{}, fmt.Errorf("client: tool %s: nil function", name)
	case schema.Type != "object":
		return Tool{}, fmt.Errorf("client: tool %s: the arguments must be a struct or a map, not %T", name, *new(In))
	}
	tool.run = func(r *request, args json.RawMessage) (wireproto.ToolReturnValue, error) {
		var in In
		var instance any
		if err := json.Unmarshal(args, &instance); err != nil {
			return wireproto.ToolReturnValue{}, fmt.Errorf("the arguments are not JSON: %w", err)
		}
		if err := resolved.Validate(instance); err != nil {
			return wireproto.ToolReturnValue{}, fmt.Errorf("the arguments do not fit the schema: %w", err)
		}
		if err := json.Unmarshal(args, &in); err != nil {
			return wireproto.ToolReturnValue{}, fmt.Errorf("the arguments do not fit: %w", err)
		}
		out, err := fn(r.ctx, in)
		if err != nil {
			return wireproto.ToolReturnValue{}, err
		}
		return toolOutput(out)
	}
	return tool, nil
}

// toolOf makes a tool. The caller must set its run.
func toolOf(name, description string, schema *jsonschema.Schema) (Tool, *jsonschema.Resolved, error) {
	if !toolName.MatchString(name) {
		return Tool{}, nil, fmt.Errorf("client: tool: the name %.80q is not made of 1 to 64 letters, digits, dashes and underscores, with a letter first", name)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return Tool{}, nil, fmt.Errorf("client: tool %s: %w", name, err)
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		return Tool{}, nil, fmt.Errorf("client: tool %s: %w", name, err)
	}
	return Tool{name: name, description: description, schema: raw, server: bridge.ServeTools}, resolved, nil
}

func toolOutput(out any) (v wireproto.ToolReturnValue, err error) {
	switch out := out.(type) {
	case wireproto.ToolReturnValue:
		v = out
	case *wireproto.ToolReturnValue:
		if out != nil {
			v = *out
		}
	case string:
		v.Output.Text = out
	case []wireproto.ContentPart:
		v.Output.Parts = append([]wireproto.ContentPart{}, out...)
	case wireproto.ContentPart:
		v.Output.Parts = []wireproto.ContentPart{out}
	default:
		var raw []byte
		raw, err = json.Marshal(out)
		v.Output.Text = string(raw)
	}
	if err == nil {
		err = v.Output.Sendable()
	}
	return v, err
}

func (t Tool) declaration() wireproto.ExternalTool {
	return wireproto.ExternalTool{Name: t.name, Description: t.description, Parameters: t.schema}
}

// runTool calls a tool and sends its result as the answer, unless the turn has ended.
func (s *Session) runTool(r *request, call *wireproto.ToolCallRequest) {
	var value wireproto.ToolReturnValue
	s.guard(r.ctx, fmt.Sprintf("tool %.64s", call.Name), func() (err error) {
		for _, t := range s.opts.Tools {
			if t.name == call.Name {
				args := json.RawMessage("{}")
				if call.Arguments != nil && *call.Arguments != "" {
					args = json.RawMessage(*call.Arguments)
				}
				value, err = t.run(r, args)
				return err
			}
		}
		return fmt.Errorf("there is no tool %.80q", call.Name)
	}, func(err error) {
		if err != nil {
			value = toolError(err)
		}
		err = r.answer(&wireproto.ToolAnswer{ToolCallID: call.ID, ReturnValue: value})
		switch {
		case errors.Is(err, errCannotSend):
			s.opts.Logger.Error("client: the result of a tool cannot be sent", "tool", call.Name, "id", call.ID, "error", err)
		case err != nil:
			s.opts.Logger.Info("client: the result of a tool came too late", "tool", call.Name, "id", call.ID, "error", err)
		}
	})
}

func toolError(err error) wireproto.ToolReturnValue {
	return wireproto.ToolReturnValue{
		IsError: true,
		Message: err.Error(),
		Display: wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: "Error"}},
	}
}
