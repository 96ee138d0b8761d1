package acpbridge

import (
	"github.com/kimi-go/kimi-go/wireproto"
)

// replay loads the session again, by which kimi tells its history.
func (b *Conn) replay(f *wireproto.Frame) {
	if b.turn != nil {
		b.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	}
	if err := b.ensureSession(); err != nil {
		b.failStart(f.ID, err)
		return
	}
	h := &history{b: b, injected: b.journal.injected()}
	b.history = h
	servers := []mcpServer{}
	err := b.call("session/load", map[string]any{"sessionId": b.session, "cwd": b.set.workDir, "mcpServers": servers}, nil)
	h.end()
	b.history = nil
	if err == nil {
		err = b.setMode(b.plan)
	}
	if err != nil {
		b.failStart(f.ID, err)
		return
	}
	b.reply(f.ID, wireproto.ReplayResult{Status: wireproto.StatusFinished, Events: h.events})
}

// history turns what session/load tells into the events of Wire.
type history struct {
	b        *Conn
	injected map[string]bool // texts that no user has written
	events   int
	turns    int
	steps    int
	fresh    bool // the next output of the model begins a step
}

func (h *history) emit(m wireproto.Message) {
	h.events++
	h.b.emit(m)
}

func (h *history) end() {
	if h.turns > 0 {
		h.emit(&wireproto.TurnEnd{})
	}
}

func (h *history) update(u *update) {
	switch u.Kind {
	case "user_message_chunk":
		if text := u.text(); text != "" && !h.injected[text] {
			h.end()
			h.turns++
			h.steps, h.fresh = 0, true
			h.emit(&wireproto.TurnBegin{UserInput: wireproto.Content{Text: text}})
		}
	case "agent_message_chunk", "agent_thought_chunk", "tool_call":
		if h.fresh {
			h.fresh = false
			h.steps++
			h.emit(&wireproto.StepBegin{N: h.steps})
		}
		switch u.Kind {
		case "agent_message_chunk":
			h.emit(&wireproto.TextPart{Text: u.text()})
		case "agent_thought_chunk":
			h.emit(&wireproto.ThinkPart{Think: u.text()})
		default:
			args := string(u.RawInput)
			h.emit(&wireproto.ToolCall{ID: u.ID, Function: wireproto.ToolCallFunction{Name: h.b.toolName(u.Title), Arguments: &args}})
		}
	case "tool_call_update":
		h.fresh = true
		h.emit(&wireproto.ToolResult{ToolCallID: u.ID, ReturnValue: u.result()})
	}
}
