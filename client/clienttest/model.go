package clienttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// Model is a scripted model: a server on the loopback interface that answers OpenAI-style chat completions, streamed
// or not. Each request gets the next script. [KimiCode] runs Kimi Code with one. It also works with any other client
// of such an API.
type Model struct {
	t      TB
	server *httptest.Server
	closed chan struct{}
	close  func()
	open   sync.WaitGroup // counts the open answers; the server does not count those whose connection was cut

	mu       sync.Mutex
	scripts  []*script // the scripts that are left
	requests []json.RawMessage
}

// NewModel starts a model and closes it when the test ends. A nil t is for Examples, which must close the model
// themselves: instead of failing a test, the model panics. A program that is not a test gets a t from [Run]. The
// scripts are those of [Kimi], so the same scripts work with kimi-cli and Kimi Code. A script without usage: counts 100
// tokens in and 10 out. NewModel also knows these lines:
//
//	error: connection         the connection is cut before any answer (timeout is status 408)
//	drop:                     the connection is cut here, in the middle of the stream
//	end:                      a stream ends here cleanly, with no finish_reason and no [DONE]
//	hang:                     nothing more comes until the client goes away or the model is closed
//	wait: 200ms               a pause, of any duration
//	finish: length            the finish_reason; the default is stop, or tool_calls after a tool call
//	text_json: "one\ntwo"     text as a JSON string, as Text writes it; also think_json: and error_json:
//
// A script with an error: line anywhere is a failed call. Each text: and think: is one piece of the stream; thinking is
// sent as reasoning_content. The arguments of a tool_call: come in two pieces, and those of a tool_call_part: in one
// more. A script that cannot be read fails the test at once. After the last script, the model answers with status 400,
// which Kimi Code does not try again. Scripts that are left over do not fail the test.
//
// Kimi Code tries again after other failures, after an empty answer and after an answer of thinking only. It makes up
// to 10 calls for a step, with pauses of 0.5, 1, 2 seconds and so on, unless KIMI_LOOP_MAX_ATTEMPTS_PER_STEP in
// Options.Env sets another number. The calls of subagents and of /compact use scripts, too.
//
// To see what Kimi Code sends to a model, give it a model of your own:
//
//	model := clienttest.NewModel(t, "text: hello")
//	opts := clienttest.KimiCode(t)
//	maps.Copy(opts.Env, model.Env())
func NewModel(t TB, scripts ...string) *Model {
	m := &Model{t: report(t), closed: make(chan struct{})}
	m.t.Helper()
	m.Add(scripts...)
	m.server = httptest.NewServer(http.HandlerFunc(m.serve))
	m.close = sync.OnceFunc(func() {
		close(m.closed)                   // ends the answers that hang, so that the server does not wait for them
		m.server.CloseClientConnections() // ends the requests that have not arrived completely
		m.server.Close()
		m.open.Wait()
	})
	m.t.Cleanup(m.Close)
	return m
}

// URL returns the base URL, which ends in /v1.
func (m *Model) URL() string { return m.server.URL + "/v1" }

// Env returns the variables that make Kimi Code use this model, for Options.Env.
func (m *Model) Env() map[string]string {
	return map[string]string{
		"KIMI_MODEL_NAME":          "scripted",
		"KIMI_MODEL_API_KEY":       "scripted",
		"KIMI_MODEL_BASE_URL":      m.URL(),
		"KIMI_MODEL_PROVIDER_TYPE": "kimi",
	}
}

// Requests returns the bodies of the requests so far, in the order in which they got their scripts.
func (m *Model) Requests() []json.RawMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// Add appends scripts. A script that cannot be read fails the test.
func (m *Model) Add(scripts ...string) {
	m.t.Helper()
	for i, text := range scripts {
		s, err := parseScript(text)
		if err != nil {
			m.t.Fatalf("clienttest: script %d: %v", i+1, err)
		}
		m.mu.Lock()
		m.scripts = append(m.scripts, s)
		m.mu.Unlock()
	}
}

// Close ends the server and all open requests, and waits for them. A second call does nothing.
func (m *Model) Close() { m.close() }

// serve answers one request.
func (m *Model) serve(w http.ResponseWriter, r *http.Request) {
	m.open.Add(1)
	defer m.open.Done()
	if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
		fail(w, http.StatusNotFound, fmt.Sprintf("clienttest: a scripted model answers only POST /v1/chat/completions, not %s %s", r.Method, r.URL.Path))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has closed the connection
	}
	a := &answer{m: m, w: w, r: r}
	if err := json.Unmarshal(body, &a.request); err != nil {
		fail(w, http.StatusBadRequest, "clienttest: the request is not a chat completion: "+err.Error())
		return
	}
	s, err := m.next(body)
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
	case s.fail != nil && s.fail.status == 0:
		a.cut()
	case s.fail != nil:
		fail(w, s.fail.status, s.fail.message)
	default:
		a.play(s)
	}
}

// next records a request and returns its script.
func (m *Model) next(body []byte) (*script, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, body)
	if len(m.scripts) == 0 {
		return nil, fmt.Errorf("clienttest: no script is left for call %d of the model: add one", len(m.requests))
	}
	s := m.scripts[0]
	m.scripts = m.scripts[1:]
	return s, nil
}

type object map[string]any

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(object{"error": object{"message": message, "type": "scripted_error", "code": nil}})
}

// answer holds one request and writes the answer to it.
type answer struct {
	m       *Model
	w       http.ResponseWriter
	r       *http.Request
	id      string
	request struct {
		Model   string `json:"model"`
		Stream  bool   `json:"stream"`
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
}

// play plays a script to its end, or until the connection is cut. Without streaming, it sends everything at the end.
func (a *answer) play(s *script) {
	a.id = s.id
	if a.request.Stream {
		a.w.Header().Set("Content-Type", "text/event-stream")
	}
	a.delta(object{"role": "assistant", "content": ""})
	for _, st := range s.steps {
		switch {
		case st.drop:
			a.cut()
			return
		case st.end && a.request.Stream:
			return
		case st.hang:
			a.pause(nil)
			return
		case st.wait > 0:
			if !a.pause(time.After(st.wait)) {
				return
			}
		case st.call != nil:
			a.call(st.call)
		case st.think != "":
			a.delta(object{"reasoning_content": st.think})
		case st.text != "":
			a.delta(object{"content": st.text})
		}
	}
	in := s.usage.Other + s.usage.Read + s.usage.Creation
	used := object{
		"prompt_tokens": in, "completion_tokens": s.usage.Output, "total_tokens": in + s.usage.Output,
		"prompt_tokens_details": object{"cached_tokens": s.usage.Read},
	}
	if !a.request.Stream {
		a.w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(a.w).Encode(a.body("chat.completion", object{"message": s.message(), "finish_reason": s.finish}, used))
		return
	}
	a.chunk(a.body("chat.completion.chunk", object{"delta": object{}, "finish_reason": s.finish}, nil))
	if a.request.Options.Usage {
		a.chunk(a.body("chat.completion.chunk", nil, used))
	}
	io.WriteString(a.w, "data: [DONE]\n\n")
}

// call sends a tool call: first its name, then its arguments in two pieces. If d has no id, it sends more arguments of
// the last tool call.
func (a *answer) call(d *toolDelta) {
	tool := func(d object) { a.delta(object{"tool_calls": []object{d}}) }
	rest := d.arguments
	if d.id != "" {
		tool(object{"index": d.index, "id": d.id, "type": "function", "function": object{"name": d.name, "arguments": ""}})
		half := len(rest) / 2
		for half < len(rest) && !utf8.RuneStart(rest[half]) {
			half++
		}
		if half > 0 {
			tool(object{"index": d.index, "function": object{"arguments": rest[:half]}})
		}
		rest = rest[half:]
	}
	if rest != "" {
		tool(object{"index": d.index, "function": object{"arguments": rest}})
	}
}

// body returns a completion, or one chunk of a completion. If choice is nil, the list of choices is empty.
func (a *answer) body(kind string, choice, used object) object {
	b := object{"id": a.id, "object": kind, "created": time.Now().Unix(), "model": a.request.Model, "choices": []object{}}
	if choice != nil {
		choice["index"] = 0
		b["choices"] = []object{choice}
	}
	if used != nil {
		b["usage"] = used
	}
	return b
}

// delta sends a piece of the message if the answer is streamed.
func (a *answer) delta(d object) {
	if a.request.Stream {
		a.chunk(a.body("chat.completion.chunk", object{"delta": d, "finish_reason": nil}, nil))
	}
}

// chunk sends a line of the stream. It ignores errors, because pause finds out whether the client is gone.
func (a *answer) chunk(b object) {
	io.WriteString(a.w, "data: ")
	json.NewEncoder(a.w).Encode(b)
	io.WriteString(a.w, "\n")
	http.NewResponseController(a.w).Flush()
}

// pause waits for c. It returns false if the client has gone or the model was closed before that.
func (a *answer) pause(c <-chan time.Time) bool {
	select {
	case <-c:
		return true
	case <-a.r.Context().Done():
	case <-a.m.closed:
		a.cut() // otherwise the stream would end like a complete one
	}
	return false
}

// cut closes the connection.
func (a *answer) cut() {
	if conn, _, err := http.NewResponseController(a.w).Hijack(); err == nil {
		conn.Close()
	}
}
