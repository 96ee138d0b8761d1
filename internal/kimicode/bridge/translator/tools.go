package translator

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// tools has the tools of the client.
type tools struct {
	own     map[string]string   // the client's names of its tools, by the model's names
	begun   int                 // how many calls of any tool there were so far
	waiting map[int]*toolCalled // the calls of the client's tools without a result, by key
}

// toolCalled is a call of one of the client's tools.
type toolCalled struct {
	ToolCalled
	since time.Time
	id    string // the id of the request to the client; "" before the request
}

const (
	timerTools = "tools"
	// toolWait is how much later than a call the event about the call may come.
	toolWait = 2 * time.Second
)

// toolName returns the name by which the client knows a tool.
func (t *Translator) toolName(name string) string {
	if own := t.tools.own[name]; own != "" {
		return own
	}
	return name
}

// toolCalled asks the client to run a tool. The call does not say which of the model's calls it is, so toolCalled waits
// for the event about the call.
func (t *Translator) toolCalled(in ToolCalled) {
	t.tools.waiting[in.Key] = &toolCalled{ToolCalled: in, since: t.now}
	t.askWaitingTools()
	if c := t.tools.waiting[in.Key]; c != nil && c.id == "" {
		t.do(SetTimer{timerTools, toolWait})
	}
}

// askWaitingTools asks the client to run the calls whose events have come.
func (t *Translator) askWaitingTools() {
	for {
		c := t.oldestWaiting()
		if c == nil {
			return
		}
		id, of := t.match(c)
		if of == nil {
			return
		}
		of.asked = true
		t.askTool(c, id, of)
	}
}

// oldestWaiting returns the oldest waiting call that matches an event, or nil if there is none.
func (t *Translator) oldestWaiting() *toolCalled {
	var oldest *toolCalled
	for _, c := range t.tools.waiting {
		if c.id != "" || oldest != nil && oldest.Key < c.Key {
			continue
		}
		if _, of := t.match(c); of != nil {
			oldest = c
		}
	}
	return oldest
}

// match returns the oldest call of the model that has the same tool and arguments as c, and that the client was not
// asked to run.
func (t *Translator) match(c *toolCalled) (id string, oldest *call) {
	for _, a := range t.agents {
		for callID, of := range a.calls {
			if of.whole != nil && !of.asked && t.toolName(of.name) == c.Name && sameJSON(string(of.whole), string(orEmpty(c.Args))) &&
				(oldest == nil || of.n < oldest.n) {
				id, oldest = callID, of
			}
		}
	}
	return id, oldest
}

func orEmpty(args json.RawMessage) json.RawMessage {
	if len(args) == 0 || string(args) == "null" {
		return json.RawMessage("{}")
	}
	return args
}

// askLateTools asks the client to run the calls whose events have not come in time.
func (t *Translator) askLateTools() {
	again := false
	for _, c := range t.tools.waiting {
		switch {
		case c.id != "":
		case t.now.Sub(c.since) >= toolWait:
			t.askTool(c, t.newID("tool"), nil)
		default:
			again = true
		}
	}
	if again {
		t.do(SetTimer{timerTools, toolWait})
	}
}

// askTool sends the request. Its id is the model's id of the call, unless a request with that id is open.
func (t *Translator) askTool(c *toolCalled, id string, of *call) {
	if t.requests.open[id] != nil {
		id = t.newID("tool")
	}
	c.id = id
	args := string(orEmpty(c.Args))
	give := func(v wireproto.ToolReturnValue) {
		delete(t.tools.waiting, c.Key)
		t.do(ToolReply{c.Key, v})
	}
	t.ask(id, "", &wireproto.ToolCallRequest{ID: id, Name: c.Name, Arguments: &args}, t.turn == nil, func(f *wireproto.Frame) {
		var a wireproto.ToolAnswer
		switch {
		case f.Error != nil:
			a.ReturnValue = wireproto.ToolReturnValue{IsError: true, Message: f.Error.Message}
		case json.Unmarshal(f.Result, &a) != nil:
			a.ReturnValue = wireproto.ToolReturnValue{IsError: true, Message: "the program's answer could not be read"}
		}
		if of != nil && a.ReturnValue.Display != nil {
			of.display = a.ReturnValue.Display
		}
		give(a.ReturnValue)
	}, func() {
		if t.turn == nil || !t.turn.cancelled { // otherwise Kimi Code gives up the call itself; with a result, it might go on for a moment
			give(wireproto.ToolReturnValue{IsError: true, Message: "the turn has ended"})
		}
	})
}

// toolGone forgets a call that Kimi Code does not wait for any more.
func (t *Translator) toolGone(key int) {
	if c := t.tools.waiting[key]; c != nil {
		delete(t.tools.waiting, key)
		delete(t.requests.open, c.id)
	}
}

func sameJSON(x, y string) bool {
	var a, b any
	return json.Unmarshal([]byte(x), &a) == nil && json.Unmarshal([]byte(y), &b) == nil && reflect.DeepEqual(a, b)
}
