package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"sync"

	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

// typed converts lines through the types of wireproto.
type typed struct {
	mu      sync.Mutex
	methods map[string]string // the methods of the client's calls, by id
	asked   map[string]string // the types of the agent's requests, by id
}

func newTyped() *typed {
	return &typed{methods: make(map[string]string), asked: make(map[string]string)}
}

// line returns a line, without its end, as the types encode it. If the result would not mean the same, for example
// because no type can hold the line, the line is returned unchanged.
func (t *typed) line(from fixture.Side, line []byte) []byte {
	out, ok := t.convert(from, line)
	if !ok || !sameJSON(line, out) {
		return line
	}
	return out
}

func (t *typed) convert(from fixture.Side, line []byte) ([]byte, bool) {
	f, err := wireproto.DecodeLine(line)
	if err != nil {
		return nil, false
	}
	t.mu.Lock()
	var value any
	switch {
	case f.Message != nil:
		if f.Method == wireproto.MethodRequest {
			t.asked[f.ID] = f.Message.MessageType()
		}
	case f.Method != "":
		t.methods[f.ID] = f.Method
		value = paramsType(f.Method)
	case from == fixture.Agent:
		value = resultType(t.methods[f.ID])
	default:
		value = answerType(t.asked[f.ID])
	}
	t.mu.Unlock()
	raw := &f.Result
	if f.Method != "" {
		raw = &f.Params
	}
	if value != nil && *raw != nil {
		if err := json.Unmarshal(*raw, value); err != nil {
			return nil, false
		}
		if *raw, err = json.Marshal(value); err != nil {
			return nil, false
		}
	}
	var b bytes.Buffer
	if err := wireproto.NewEncoder(&b).Encode(f); err != nil {
		return nil, false
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), true
}

func paramsType(method string) any {
	switch method {
	case wireproto.MethodInitialize:
		return new(wireproto.InitializeParams)
	case wireproto.MethodPrompt:
		return new(wireproto.PromptParams)
	case wireproto.MethodSteer:
		return new(wireproto.SteerParams)
	case wireproto.MethodSetPlanMode:
		return new(wireproto.SetPlanModeParams)
	}
	return nil
}

func resultType(method string) any {
	switch method {
	case wireproto.MethodInitialize:
		return new(wireproto.InitializeResult)
	case wireproto.MethodPrompt:
		return new(wireproto.PromptResult)
	case wireproto.MethodSteer:
		return new(wireproto.SteerResult)
	case wireproto.MethodReplay:
		return new(wireproto.ReplayResult)
	case wireproto.MethodSetPlanMode:
		return new(wireproto.SetPlanModeResult)
	}
	return nil
}

func answerType(request string) any {
	switch request {
	case "ApprovalRequest":
		return new(wireproto.ApprovalAnswer)
	case "QuestionRequest":
		return new(wireproto.QuestionAnswer)
	case "ToolCallRequest":
		return new(wireproto.ToolAnswer)
	case "HookRequest":
		return new(wireproto.HookAnswer)
	}
	return nil
}

// sameJSON reports whether two texts have the same JSON. A missing member and null count as equal.
func sameJSON(a, b []byte) bool {
	x, okX := parseJSON(a)
	y, okY := parseJSON(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

func parseJSON(data []byte) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	return plain(v), true
}

// plain leaves out nulls, and writes equal numbers in the same way.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if v[k] = plain(e); e == nil {
				delete(v, k)
			}
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case json.Number:
		const exact = 1 << 53 // larger integers cannot be compared as floats
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil && (n > exact || n < -exact) {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
	}
	return v
}
