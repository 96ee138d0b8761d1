// Package trace writes the inputs of a translator down, and reads them again. It is for tests.
package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/wireproto"
)

// line is an input with its time.
type line struct {
	Kind string          `json:"kind"`
	At   int64           `json:"at"` // in nanoseconds
	In   json.RawMessage `json:"in"`
}

// failure is an error of an answer.
type failure struct {
	Text  string     `json:"text"`
	API   *api.Error `json:"api,omitempty"`
	Ended bool       `json:"ended,omitempty"`
}

func fail(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error(), Ended: errors.Is(err, translator.ErrEnded)}
	var e *api.Error
	if errors.As(err, &e) {
		f.API = &api.Error{Method: e.Method, Path: e.Path, Code: e.Code, Msg: e.Msg}
	}
	return f
}

func (f *failure) error() error {
	switch {
	case f == nil:
		return nil
	case f.Ended:
		return translator.ErrEnded
	case f.API != nil:
		return f.API
	}
	return errors.New(f.Text)
}

type answer struct {
	ID   int             `json:"id"`
	Data json.RawMessage `json:"data,omitempty"`
	Err  *failure        `json:"err,omitempty"`
}

type launched struct {
	translator.Launched
	Err *failure
}

// Encode returns an input as a line, without its end.
func Encode(in translator.Input, at time.Time) ([]byte, error) {
	kind, v := "", any(in)
	switch in := in.(type) {
	case translator.Frame:
		raw, err := wire(in.Frame)
		if err != nil {
			return nil, err
		}
		kind, v = "frame", raw
	case translator.ClientGone:
		kind = "client gone"
	case translator.Launched:
		kind, v = "launched", launched{in, fail(in.Err)}
	case translator.Answer:
		kind, v = "answer", answer{in.ID, in.Data, fail(in.Err)}
	case translator.Opened:
		kind, v = "opened", fail(in.Err)
	case translator.Event:
		e := *in.Event
		if e.Delta != nil {
			e.Payload, _ = json.Marshal(e.Delta)
		}
		kind, v = "event", e
	case translator.Gap:
		kind = "gap"
	case translator.Lost:
		kind = "lost"
	case translator.ToolCalled:
		kind = "tool called"
	case translator.ToolGone:
		kind = "tool gone"
	case translator.HookCalled:
		kind = "hook called"
	case translator.HookGone:
		kind = "hook gone"
	case translator.Timer:
		kind = "timer"
	default:
		return nil, fmt.Errorf("no such input: %T", in)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(line{kind, at.UnixNano(), raw})
}

// wire returns a frame as it is on the wire.
func wire(f *wireproto.Frame) (json.RawMessage, error) {
	var b bytes.Buffer
	err := wireproto.NewEncoder(&b).Encode(f)
	return bytes.TrimSpace(b.Bytes()), err
}

// Decode reads a line.
func Decode(raw []byte) (in translator.Input, at time.Time, err error) {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, at, err
	}
	at = time.Unix(0, l.At)
	switch l.Kind {
	case "frame":
		var f *wireproto.Frame
		f, err = wireproto.NewDecoder(bytes.NewReader(append(slices.Clone(l.In), '\n'))).Decode()
		in = translator.Frame{Frame: f}
	case "client gone":
		in = translator.ClientGone{}
	case "launched":
		var v launched
		err = json.Unmarshal(l.In, &v)
		v.Launched.Err = v.Err.error()
		in = v.Launched
	case "answer":
		var v answer
		err = json.Unmarshal(l.In, &v)
		in = translator.Answer{ID: v.ID, Data: v.Data, Err: v.Err.error()}
	case "opened":
		var v *failure
		err = json.Unmarshal(l.In, &v)
		in = translator.Opened{Err: v.error()}
	case "event":
		e := new(api.Event)
		err = json.Unmarshal(l.In, e)
		in = translator.Event{Event: e}
	case "gap":
		in, err = decode[translator.Gap](l.In)
	case "lost":
		in = translator.Lost{}
	case "tool called":
		in, err = decode[translator.ToolCalled](l.In)
	case "tool gone":
		in, err = decode[translator.ToolGone](l.In)
	case "hook called":
		in, err = decode[translator.HookCalled](l.In)
	case "hook gone":
		in, err = decode[translator.HookGone](l.In)
	case "timer":
		in, err = decode[translator.Timer](l.In)
	default:
		err = fmt.Errorf("no such input: %.40q", l.Kind)
	}
	if err != nil {
		return nil, at, err
	}
	return in, at, nil
}

func decode[T translator.Input](raw json.RawMessage) (translator.Input, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}

// Line writes an output down as a short line: what is sent to the client, and what is asked of others.
func Line(o translator.Output) string {
	name, v := fmt.Sprintf("%T", o)[len("translator."):], any(o)
	switch o := o.(type) {
	case translator.Send:
		raw, err := wire(o.Frame)
		if err != nil {
			return name + " " + err.Error()
		}
		v = raw
	case translator.Upload:
		v = map[string]any{"ID": o.ID, "Name": o.Name, "Bytes": len(o.Data)}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return name + " " + err.Error()
	}
	return name + " " + string(raw)
}
