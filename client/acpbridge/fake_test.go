package acpbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// fakeKimi is a "kimi acp" that does as it is told, for what the real one cannot be made to do.
type fakeKimi struct {
	t       *testing.T
	home    string
	in      *io.PipeReader // what the bridge writes
	toIn    *io.PipeWriter
	out     *io.PipeReader // what the bridge reads
	fromOut *io.PipeWriter
	ended   chan struct{}
	once    sync.Once

	answer func(m *message) any // to a call: a result, an *acpError, or nil for the usual

	mu    sync.Mutex
	calls []*message
}

const fakeID = "session_fake"

func newFake(t *testing.T) *fakeKimi {
	f := &fakeKimi{t: t, home: t.TempDir(), ended: make(chan struct{})}
	f.in, f.toIn = io.Pipe()
	f.out, f.fromOut = io.Pipe()
	return f
}

func (f *fakeKimi) Read(p []byte) (int, error)  { return f.out.Read(p) }
func (f *fakeKimi) Write(p []byte) (int, error) { return f.toIn.Write(p) }
func (f *fakeKimi) CloseWrite() error           { return f.toIn.Close() }
func (f *fakeKimi) Interrupt() error            { return nil }
func (f *fakeKimi) Close() error                { f.die(); return nil }
func (f *fakeKimi) Wait() error                 { <-f.ended; return nil }

// die ends it as a signal does.
func (f *fakeKimi) die() {
	f.once.Do(func() {
		f.in.Close()
		f.fromOut.Close()
		close(f.ended)
	})
}

// serve answers the bridge's calls.
func (f *fakeKimi) serve() {
	defer f.die()
	dec := json.NewDecoder(f.in)
	for {
		m := new(message)
		if dec.Decode(m) != nil {
			return
		}
		f.mu.Lock()
		f.calls = append(f.calls, m)
		f.mu.Unlock()
		if m.ID == nil || m.Method == "" {
			continue
		}
		var result any
		if f.answer != nil {
			result = f.answer(m)
		}
		switch {
		case result != nil:
		case m.Method == "initialize":
			result = map[string]any{"agentInfo": map[string]string{"name": "Fake", "version": "2.1.0"}}
		case m.Method == "session/new":
			os.MkdirAll(filepath.Dir(f.journal()), 0o700)
			os.WriteFile(f.journal(), []byte("{\"type\":\"metadata\"}\n"), 0o600)
			result = map[string]any{"sessionId": fakeID}
		case m.Method == "session/prompt":
			result = map[string]string{"stopReason": "end_turn"}
		default:
			result = struct{}{}
		}
		if e, ok := result.(*acpError); ok {
			f.say(outgoing{Version: "2.0", ID: m.ID, Error: e})
		} else {
			f.say(outgoing{Version: "2.0", ID: m.ID, Result: result})
		}
		if m.Method == "session/new" || m.Method == "session/resume" {
			f.update(map[string]any{"sessionUpdate": "available_commands_update", "availableCommands": []any{}})
		}
	}
}

func (f *fakeKimi) journal() string {
	return filepath.Join(f.home, "sessions", "wd_x", fakeID, "agents", "main", "wire.jsonl")
}

// record appends to the journal. $now is the time.
func (f *fakeKimi) record(lines ...string) {
	file, err := os.OpenFile(f.journal(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer file.Close()
	for _, line := range lines {
		line = strings.ReplaceAll(line, "$now", fmt.Sprint(time.Now().UnixMilli()))
		if _, err := io.WriteString(file, line); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *fakeKimi) say(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		f.t.Error(err)
	}
	f.fromOut.Write(append(line, '\n'))
}

func (f *fakeKimi) update(u map[string]any) {
	f.say(outgoing{Version: "2.0", Method: "session/update", Params: map[string]any{"sessionId": fakeID, "update": u}})
}

func (f *fakeKimi) text(s string) {
	f.update(map[string]any{"sessionUpdate": "agent_message_chunk", "content": map[string]string{"type": "text", "text": s}})
}

// called returns the params of the first call of a method.
func (f *fakeKimi) called(method string, params any) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.calls {
		if m.Method == method {
			if params != nil {
				if err := json.Unmarshal(m.Params, params); err != nil {
					f.t.Error(err)
				}
			}
			return true
		}
	}
	return false
}

// wire is a client of a bridge.
type wire struct {
	t    *testing.T
	conn *Conn
	enc  *wireproto.Encoder
	dec  *wireproto.Decoder
	seen []wireproto.Message // events and requests since the last call
}

// bridge starts a bridge over f. args are those of kimi --wire.
func (f *fakeKimi) bridge(args ...string) *wire {
	f.t.Helper()
	cmd := &Command{Path: "/kimi", Args: args, Env: []string{"KIMI_SHARE_DIR=" + f.home}, Dir: f.t.TempDir()}
	conn, err := Start(f.t.Context(), cmd, func(context.Context, *Command) (Child, error) { return f, nil })
	if err != nil {
		f.t.Fatal(err)
	}
	go f.serve()
	stop := time.AfterFunc(time.Minute, func() { conn.Close() }) // so that nothing hangs
	f.t.Cleanup(func() { stop.Stop(); conn.Close() })
	return &wire{t: f.t, conn: conn, enc: wireproto.NewEncoder(conn), dec: wireproto.NewDecoder(conn)}
}

// call makes a call and returns its answer; each sees what comes before that.
func (w *wire) call(method string, params any, each func(*wireproto.Frame)) *wireproto.Frame {
	w.t.Helper()
	raw, err := json.Marshal(params)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.enc.Encode(&wireproto.Frame{ID: "call", Method: method, Params: raw}); err != nil {
		w.t.Fatal(err)
	}
	w.seen = nil
	for {
		f, err := w.dec.Decode()
		if err != nil {
			w.t.Fatalf("%s: %v", method, err)
		}
		if f.Method == "" && f.ID == "call" {
			return f
		}
		if f.Message != nil {
			w.seen = append(w.seen, f.Message)
		}
		if each != nil {
			each(f)
		}
	}
}

// initialize makes the handshake, which must succeed.
func (w *wire) initialize(tools ...wireproto.ExternalTool) *wireproto.InitializeResult {
	w.t.Helper()
	f := w.call(wireproto.MethodInitialize, wireproto.InitializeParams{ProtocolVersion: wireproto.ProtocolVersion, ExternalTools: tools}, nil)
	result := new(wireproto.InitializeResult)
	if f.Error != nil || json.Unmarshal(f.Result, result) != nil {
		w.t.Fatalf("initialize: %+v", f)
	}
	return result
}

func (w *wire) prompt(text string, each func(*wireproto.Frame)) *wireproto.Frame {
	w.t.Helper()
	return w.call(wireproto.MethodPrompt, wireproto.PromptParams{UserInput: wireproto.Content{Text: text}}, each)
}

func (w *wire) text() (text string) {
	for _, m := range w.seen {
		if p, ok := m.(*wireproto.TextPart); ok {
			text += p.Text
		}
	}
	return text
}
