package acpbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// peer is the ACP side: lines of JSON-RPC 2.0 over the pipes of "kimi acp".
type peer struct {
	child    Child
	messages chan *message // closed when kimi's output has ended
	lastID   int           // run's own

	mu     sync.Mutex
	queue  [][]byte
	noMore bool
	wake   chan struct{}
	end    chan struct{} // closed by stop
	once   sync.Once
}

// message is one line of ACP.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *acpError       `json:"error"`
	noise  []byte          // a line that is none
}

// acpError is an error that answers a call.
type acpError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	method  string
}

// The codes of ACP that have a meaning here.
const (
	codeAuthRequired = -32000
	codeBusy         = -32600
)

// deafWait is how long a kimi that has closed its input may take to end.
const deafWait = 2 * time.Second

func (e *acpError) Error() string {
	text := e.Message
	var data struct {
		Details string `json:"details"`
	}
	if json.Unmarshal(e.Data, &data) == nil && data.Details != "" {
		text += ": " + data.Details
	}
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return fmt.Sprintf("kimi acp: %s: %s", e.method, text) // the answer over Wire has a code of its own
}

var errEnded = errors.New("kimi acp has ended")

func newPeer(child Child) *peer {
	p := &peer{child: child, messages: make(chan *message), wake: make(chan struct{}, 1), end: make(chan struct{})}
	go p.read()
	go p.write()
	return p
}

// read hands each line on.
func (p *peer) read() {
	defer close(p.messages)
	lines := wireproto.NewLineReader(p.child)
	for {
		line, err := lines.ReadLine()
		var long *wireproto.LineError
		if err != nil && !errors.As(err, &long) && err != io.ErrUnexpectedEOF {
			return
		}
		m := new(message)
		if long != nil {
			m = &message{noise: []byte(long.Preview)}
		} else if json.Unmarshal(line, m) != nil || m.Method == "" && m.ID == nil {
			m = &message{noise: append([]byte{}, line...)}
		}
		select {
		case p.messages <- m:
		case <-p.end:
			return
		}
	}
}

// write writes the queued lines: kimi may be slow to read, and run must not wait for it.
func (p *peer) write() {
	for {
		p.mu.Lock()
		lines, last := p.queue, p.noMore
		p.queue = nil
		p.mu.Unlock()
		for _, line := range lines {
			if _, err := p.child.Write(line); err != nil { // it has ended, or hears nothing more
				time.AfterFunc(deafWait, func() { p.child.Close() })
				return
			}
		}
		if len(lines) > 0 {
			continue
		}
		if last {
			p.child.CloseWrite()
			return
		}
		select {
		case <-p.wake:
		case <-p.end:
			return
		}
	}
}

func (p *peer) stop() { p.once.Do(func() { close(p.end) }) }

func (p *peer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// closeWrite closes kimi's input behind what is queued.
func (p *peer) closeWrite() {
	p.mu.Lock()
	p.noMore = true
	p.mu.Unlock()
	p.signal()
}

func (p *peer) send(v any) {
	line, err := json.Marshal(v)
	if err != nil { // nothing that is sent can fail
		return
	}
	p.mu.Lock()
	p.queue = append(p.queue, append(line, '\n'))
	p.mu.Unlock()
	p.signal()
}

type outgoing struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   *acpError       `json:"error,omitempty"`
}

// begin sends a call and returns its id.
func (p *peer) begin(method string, params any) string {
	p.lastID++
	id := strconv.Itoa(p.lastID)
	p.send(outgoing{Version: "2.0", ID: json.RawMessage(id), Method: method, Params: params})
	return id
}

func (p *peer) notify(method string, params any) {
	p.send(outgoing{Version: "2.0", Method: method, Params: params})
}

func (p *peer) answer(id json.RawMessage, result any) {
	p.send(outgoing{Version: "2.0", ID: id, Result: result})
}

// call makes a call and waits for its answer. Meanwhile all else that kimi sends is handled,
// and nothing that the client sends.
func (b *Conn) call(method string, params, result any) error {
	id := b.acp.begin(method, params)
	for {
		select {
		case m, ok := <-b.acp.messages:
			switch {
			case !ok:
				return errEnded
			case m.Method != "" || string(m.ID) != id:
				b.message(m)
			case m.Error != nil:
				m.Error.method = method
				return m.Error
			case result == nil:
				return nil
			default:
				return json.Unmarshal(m.Result, result)
			}
		case <-b.stop:
			return errEnded
		}
	}
}

// message handles a line of kimi.
func (b *Conn) message(m *message) {
	switch {
	case m.noise != nil: // to the client, which knows what to do about noise
		b.output.Write(append(m.noise, '\n'))
	case m.Method == "session/update":
		var n struct {
			SessionID string `json:"sessionId"`
			Update    update `json:"update"`
		}
		if json.Unmarshal(m.Params, &n) == nil && (b.session == "" || n.SessionID == b.session) {
			b.update(&n.Update)
		}
	case m.Method == "session/request_permission":
		b.permission(m)
	case m.Method == "elicitation/create":
		b.elicitation(m)
	case m.Method != "" && m.ID != nil:
		b.acp.send(outgoing{Version: "2.0", ID: m.ID, Error: &acpError{Code: wireproto.CodeMethodNotFound, Message: "unknown method"}})
	case m.Method == "" && b.restoring != "" && string(m.ID) == b.restoring:
		b.restoring, b.modeSet = "", time.Now()
	case m.Method == "" && b.turn != nil && string(m.ID) == b.turn.call:
		b.turn.replied(m)
		b.settle()
	}
}
