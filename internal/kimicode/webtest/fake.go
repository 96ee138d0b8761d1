package webtest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/gorilla/websocket"
)

//go:embed testdata/openapi.json
var openapi []byte

//go:embed testdata/turn.jsonl
var turn []byte

// Turn returns the events of a long turn of the real server, beginning with the prompt: thinking, text, tool calls, two
// approvals, a subagent, and several steps.
func Turn() [][]byte { return bytes.Split(bytes.TrimSpace(turn), []byte("\n")) }

// Fake is a server in this process that plays events. It keeps the same data as the real server: durable events by
// number, which it replays on request; volatile events for the open connections; the output of the running step; the
// transcript of the steps that have ended; and the approvals that wait.
type Fake struct {
	URL, Token string
	// Script returns the events of a prompt. Default: [Turn].
	Script func(prompt string) iter.Seq[[]byte]
	// Each, if not nil, is called before each event is sent.
	Each func()

	server *httptest.Server
	life   context.Context
	kill   context.CancelFunc
	all    sync.WaitGroup
	child  *Child

	mu       sync.Mutex
	sessions map[string]*fakeSession
	approved map[string]string // the keys are ids of approvals, the values decisions
}

type fakeSession struct {
	id, epoch string
	profile   struct {
		Permission string `json:"permission_mode"`
		Plan       bool   `json:"plan_mode"`
		Model      string `json:"model"`
	}
	seq     int64
	durable [][]byte // the event with number n is at index n-1
	heard   map[chan struct{}]*listener
	pending map[string]chan string // the approvals that wait, by id
	asked   []json.RawMessage
	running bool
	prompt  string
	abort   context.CancelFunc

	turn    int // the number of the main agent's turn
	context int // how many tokens are in the context of the main agent
	agents  map[string]*fakeAgent
}

// listener is a connection for events, with the frames that it has not sent yet.
type listener struct {
	frames [][]byte
	wake   chan struct{}
}

// said is the text or the thinking of a step so far, and its length in UTF-16 units.
type said struct {
	text  []byte
	units int
}

type fakeAgent struct {
	step           int
	thinking, text said
	done           []map[string]any
}

// NewFake returns a server that plays [Turn]. The server ends with the test.
func NewFake(t interface{ Cleanup(func()) }) *Fake {
	f := &Fake{
		Token: "fake", sessions: make(map[string]*fakeSession), approved: make(map[string]string),
		Script: func(string) iter.Seq[[]byte] {
			return func(yield func([]byte) bool) {
				for _, frame := range Turn() {
					if !yield(frame) {
						return
					}
				}
			}
		},
	}
	f.life, f.kill = context.WithCancel(context.Background())
	f.server = httptest.NewServer(f)
	f.URL = f.server.URL
	t.Cleanup(f.Close)
	return f
}

// Child returns a child that prints the address of the server. The call that asks the server to end also ends the
// child.
func (f *Fake) Child() *Child { return f.Use(NewChild(f.URL, f.Token)) }

// Use sets the child that ends with the server.
func (f *Fake) Use(c *Child) *Child {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.child = c
	return c
}

// Close ends the server and all its sessions.
func (f *Fake) Close() {
	f.kill()
	f.server.CloseClientConnections()
	f.server.Close()
	f.all.Wait()
}

// Kill ends the server without a goodbye, as a signal would.
func (f *Fake) Kill() {
	f.kill()
	f.server.Listener.Close()
	f.server.CloseClientConnections()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.child != nil {
		f.child.End(errors.New("signal: killed"))
	}
}

// Decisions returns the decisions about approvals, by the ids of the approvals.
func (f *Fake) Decisions() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := make(map[string]string)
	maps.Copy(d, f.approved)
	return d
}

func say(w http.ResponseWriter, code int, data any) {
	raw, err := json.Marshal(map[string]any{"code": code, "msg": fmt.Sprint("code ", code), "data": data, "request_id": "r"})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(raw)
}

// ServeHTTP answers the routes that the bridge uses.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+f.Token {
		w.WriteHeader(http.StatusUnauthorized)
		say(w, 40101, nil)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v1")
	switch r.Method + " " + path {
	case "GET /openapi.json":
		w.Write(openapi)
		return
	case "GET /ws":
		f.stream(w, r)
		return
	case "GET /meta":
		say(w, 0, map[string]any{"server_version": "2.1.0", "backend": "v2", "capabilities": map[string]bool{"websocket": true, "file_upload": true}})
		return
	case "GET /config":
		say(w, 0, map[string]string{"default_model": "scripted"})
		return
	case "POST /shutdown":
		say(w, 0, map[string]bool{"ok": true})
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.child != nil {
			f.child.End(nil)
		}
		return
	case "POST /sessions":
		f.mu.Lock()
		defer f.mu.Unlock()
		s := &fakeSession{
			id: fmt.Sprint("session_fake_", len(f.sessions)+1), epoch: fmt.Sprint("ep_", len(f.sessions)+1), heard: make(map[chan struct{}]*listener),
			pending: make(map[string]chan string), agents: make(map[string]*fakeAgent), turn: -1,
		}
		f.sessions[s.id] = s
		say(w, 0, map[string]string{"id": s.id, "workspace_id": "wd_fake"})
		return
	}
	rest, ok := strings.CutPrefix(path, "/sessions/")
	id, route, _ := strings.Cut(rest, "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[id]
	if s == nil || !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	f.session(w, s, r.Method, route, r.URL.Query().Get("agent_id"), body)
}

// session answers a route of a session. f.mu is held.
func (f *Fake) session(w http.ResponseWriter, s *fakeSession, method, route, agent string, body []byte) {
	switch name, rest, _ := strings.Cut(route, "/"); method + " " + name {
	case "POST profile":
		var p struct {
			Config json.RawMessage `json:"agent_config"`
		}
		if json.Unmarshal(body, &p) == nil && p.Config != nil {
			json.Unmarshal(p.Config, &s.profile)
		}
		say(w, 0, map[string]string{"id": s.id})
	case "GET status":
		say(w, 0, map[string]any{
			"busy": s.running, "model": s.profile.Model, "permission": s.profile.Permission, "plan_mode": s.profile.Plan,
			"context_tokens": s.context, "max_context_tokens": 1000,
		})
	case "GET skills":
		say(w, 0, map[string]any{"skills": []string{}})
	case "GET snapshot":
		var running any
		if s.running && s.turn >= 0 {
			a := s.agents["main"]
			running = map[string]any{"turn_id": s.turn, "assistant_text": string(a.text.text), "thinking_text": string(a.thinking.text), "current_prompt_id": s.prompt}
		}
		say(w, 0, map[string]any{"as_of_seq": s.seq, "epoch": s.epoch, "in_flight_turn": running})
	case "GET transcript":
		steps := []map[string]any{}
		if a := s.agents[agent]; a != nil {
			steps = a.done
		}
		say(w, 0, map[string]any{"items": []any{map[string]any{"kind": "turn", "turnId": "t0", "steps": steps}}})
	case "GET approvals":
		say(w, 0, map[string]any{"items": s.asked})
	case "GET questions":
		say(w, 0, map[string]any{"items": []any{}})
	case "POST approvals":
		var a struct {
			Decision string `json:"decision"`
		}
		json.Unmarshal(body, &a)
		c := s.pending[rest]
		if c == nil {
			say(w, 40404, nil)
			return
		}
		delete(s.pending, rest)
		s.asked = nil
		f.approved[rest] = a.Decision
		c <- a.Decision
		say(w, 0, map[string]bool{"resolved": true})
	case "POST prompts":
		if id, ok := strings.CutSuffix(rest, ":abort"); ok {
			if !s.running || s.prompt != id {
				say(w, 40402, nil)
				return
			}
			s.abort()
			say(w, 0, map[string]bool{"aborted": true})
			return
		}
		var p struct {
			ID      string `json:"prompt_id"`
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		}
		if json.Unmarshal(body, &p) != nil || len(p.Content) == 0 {
			say(w, 40001, nil)
			return
		}
		if p.ID == s.prompt {
			say(w, 40927, nil)
			return
		}
		s.prompt, s.running = p.ID, true
		ctx, cancel := context.WithCancel(f.life)
		s.abort = cancel
		f.all.Go(func() { f.play(ctx, s, p.ID, f.Script(p.Content[0].Text)) })
		say(w, 0, map[string]string{"prompt_id": p.ID, "status": "running"})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// recorded holds the ids in a recording that a session replaces by its own.
type recorded struct {
	Type      string `json:"type"`
	SessionID string `json:"session_id"`
	Epoch     string `json:"epoch"`
	Volatile  bool   `json:"volatile"`
	Payload   struct {
		PromptID string `json:"promptId"`
		AgentID  string `json:"agentId"`
		ID       string `json:"id"`
		Approval string `json:"approval_id"`
		TurnID   int    `json:"turnId"`
		Step     int    `json:"step"`
		Delta    string `json:"delta"`
		Context  int    `json:"contextTokens"`
	} `json:"payload"`
}

// play sends the events of a turn. At an approval it waits for the decision.
func (f *Fake) play(ctx context.Context, s *fakeSession, prompt string, script iter.Seq[[]byte]) {
	recordedPrompt := ""
	ended := false
	waiting := make(map[string]chan string)
	for frame := range script {
		if f.Each != nil {
			f.Each()
		}
		var r recorded
		if err := json.Unmarshal(frame, &r); err != nil {
			panic(err)
		}
		if r.Type == "turn.started" && r.Payload.AgentID == "main" {
			recordedPrompt = r.Payload.PromptID
		}
		if c := waiting[r.Payload.Approval+r.Payload.ID]; c != nil && strings.HasSuffix(r.Type, ".resolved") {
			delete(waiting, r.Payload.Approval+r.Payload.ID)
			select {
			case <-c:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		if r.Type == "permission.approval.requested" {
			c := make(chan string, 1)
			waiting[r.Payload.ID] = c
			f.mu.Lock()
			s.pending[r.Payload.ID] = c
			f.mu.Unlock()
		}
		ended = ended || r.Type == "turn.ended" && r.Payload.AgentID == "main"
		f.send(s, frame, &r, recordedPrompt, prompt)
	}
	if !ended && f.life.Err() == nil {
		turn := fmt.Sprintf(`{"type":"turn.ended","payload":{"agentId":"main","turnId":%d,"reason":"cancelled"}}`, s.turn)
		f.send(s, []byte(turn), &recorded{Type: "turn.ended"}, "", "")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.running = false
}

// send gives an event its number and sends it to all connections.
func (f *Fake) send(s *fakeSession, frame []byte, r *recorded, recordedPrompt, prompt string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.Volatile {
		s.seq++
	}
	if recordedPrompt != "" {
		frame = bytes.ReplaceAll(frame, []byte(recordedPrompt), []byte(prompt))
	}
	if r.SessionID != "" {
		frame = bytes.ReplaceAll(frame, []byte(r.SessionID), []byte(s.id))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(frame, &fields); err != nil {
		panic(err)
	}
	fields["seq"] = fmt.Append(nil, s.seq)
	fields["epoch"] = fmt.Appendf(nil, "%q", s.epoch)
	fields["session_id"] = fmt.Appendf(nil, "%q", s.id)
	s.note(r, fields)
	frame, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	if !r.Volatile {
		s.durable = append(s.durable, frame)
	}
	for _, l := range s.heard {
		l.add(frame)
	}
}

func (l *listener) add(frame []byte) {
	l.frames = append(l.frames, frame)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// note keeps the data of an event that snapshots and transcripts contain.
func (s *fakeSession) note(r *recorded, fields map[string]json.RawMessage) {
	agent := r.Payload.AgentID
	a := s.agents[agent]
	if a == nil {
		a = new(fakeAgent)
		s.agents[agent] = a
	}
	switch r.Type {
	case "turn.started":
		if agent == "main" {
			s.turn = r.Payload.TurnID
		}
	case "turn.step.started":
		a.step, a.thinking, a.text = r.Payload.Step, said{}, said{}
	case "thinking.delta", "assistant.delta":
		to := &a.text
		if r.Type == "thinking.delta" {
			to = &a.thinking
		}
		if fields["offset"] != nil {
			fields["offset"] = fmt.Append(nil, to.units)
		}
		to.text = append(to.text, r.Payload.Delta...)
		to.units += len(utf16.Encode([]rune(r.Payload.Delta)))
	case "agent.status.updated":
		if agent == "main" && r.Payload.Context > 0 {
			s.context = r.Payload.Context
		}
	case "turn.step.completed":
		a.done = append(a.done, map[string]any{"ordinal": a.step, "state": "completed", "frames": []map[string]string{
			{"kind": "thinking", "text": string(a.thinking.text)}, {"kind": "text", "text": string(a.text.text)},
		}})
	case "permission.approval.requested":
		s.asked = []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"approval_id":%q,"agent_id":%q}`, r.Payload.ID, agent))}
	}
}

// stream serves a connection for events.
func (f *Fake) stream(w http.ResponseWriter, r *http.Request) {
	conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	f.all.Add(1)
	defer f.all.Done()
	defer conn.Close()
	ctx, cancel := context.WithCancel(f.life)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	write := func(frame []byte) bool { return conn.WriteMessage(websocket.TextMessage, frame) == nil }
	if !write([]byte(`{"type":"server_hello","payload":{"protocol_version":2,"heartbeat_ms":10000}}`)) {
		return
	}
	var subscribe struct {
		ID      string `json:"id"`
		Payload struct {
			Sessions []string `json:"session_ids"`
			Cursors  map[string]struct {
				Seq   int64  `json:"seq"`
				Epoch string `json:"epoch"`
			} `json:"cursors"`
		} `json:"payload"`
	}
	_, data, err := conn.ReadMessage()
	if err != nil || json.Unmarshal(data, &subscribe) != nil || len(subscribe.Payload.Sessions) != 1 {
		return
	}
	id := subscribe.Payload.Sessions[0]
	f.mu.Lock()
	s := f.sessions[id]
	if s == nil {
		f.mu.Unlock()
		write(fmt.Appendf(nil, `{"type":"ack","id":%q,"code":0,"payload":{"accepted":[],"not_found":[%q]}}`, subscribe.ID, id))
		return
	}
	l := &listener{wake: make(chan struct{}, 1)}
	resync := "[]"
	if cursor, ok := subscribe.Payload.Cursors[id]; ok && cursor.Epoch == s.epoch && cursor.Seq <= s.seq {
		l.frames = append(l.frames, s.durable[cursor.Seq:]...)
	} else if ok {
		resync = fmt.Sprintf(`[%q]`, id)
	}
	l.add(fmt.Appendf(nil, `{"type":"ack","id":%q,"code":0,"payload":{"accepted":[%q],"not_found":[],"resync_required":%s,"cursors":{%q:{"seq":%d,"epoch":%q}}}}`,
		subscribe.ID, id, resync, id, s.seq, s.epoch))
	s.heard[l.wake] = l
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(s.heard, l.wake)
	}()
	go func() { // read pongs and other messages
		defer cancel()
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	ping := time.NewTicker(10 * time.Second)
	defer ping.Stop()
	for {
		select {
		case <-l.wake:
		case <-ping.C:
			if !write([]byte(`{"type":"ping","payload":{}}`)) {
				return
			}
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		frames := l.frames
		l.frames = nil
		f.mu.Unlock()
		for _, frame := range frames {
			if !write(frame) {
				return
			}
		}
	}
}

// Renew gives all sessions another epoch, as a server does that has lost its journal.
func (f *Fake) Renew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		s.epoch += "'"
	}
}
