package clienttest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

const (
	streamed = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`
	plain    = `{"model":"m","messages":[]}`
)

// post sends a request to a model over a new connection. On a new connection, the HTTP client does not repeat a request
// whose connection was cut.
func post(ctx context.Context, m *clienttest.Model, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL()+"/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Close = true
	return http.DefaultClient.Do(r)
}

// stream returns a line for each chunk of a stream, with the chunk's delta, finish_reason and usage if it has them.
func stream(t *testing.T, body io.Reader) (lines []string, err error) {
	t.Helper()
	scanner := bufio.NewScanner(body)
	for scanner.Scan() {
		data, ok := strings.CutPrefix(scanner.Text(), "data: ")
		if !ok {
			if scanner.Text() != "" {
				t.Errorf("line %q", scanner.Text())
			}
			continue
		}
		if data == "[DONE]" {
			lines = append(lines, data)
			continue
		}
		var chunk struct {
			ID, Object, Model string
			Choices           []struct {
				Delta  json.RawMessage
				Finish *string `json:"finish_reason"`
			}
			Usage json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if chunk.ID == "" || chunk.Object != "chat.completion.chunk" || chunk.Model != "m" {
			t.Errorf("chunk: %s", data)
		}
		line := string(chunk.Usage)
		if len(chunk.Choices) > 0 {
			c := chunk.Choices[0]
			line += string(c.Delta)
			if c.Finish != nil {
				line += " " + *c.Finish
			}
		}
		lines = append(lines, line)
	}
	return lines, scanner.Err()
}

func TestModel(t *testing.T) {
	const begin = `{"content":"","role":"assistant"}`
	const used = `{"completion_tokens":10,"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":0},"total_tokens":110}`
	for _, test := range []struct {
		name, script string
		status       int
		want         []string // the lines of the stream, or the message of the error
		message      string   // the whole answer without streaming
		cut          bool
	}{
		{name: "text", script: "# a comment\n\ntext: one\n text:  two \nTEXT: \"three \"\n",
			want:    []string{begin, `{"content":"one"}`, `{"content":" two"}`, `{"content":"three "}`, `{} stop`, used, "[DONE]"},
			message: `{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"one twothree ","role":"assistant"}}],"usage":` + used + `}`},
		{name: "think", script: "think: hm\ntext: yes\nusage: {\"input_other\": 3, \"output\": 2, \"input_cache_read\": 4, \"input_cache_creation\": 5}",
			want: []string{begin, `{"reasoning_content":"hm"}`, `{"content":"yes"}`, `{} stop`,
				`{"completion_tokens":2,"prompt_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"total_tokens":14}`, "[DONE]"},
			message: `{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"yes","reasoning_content":"hm","role":"assistant"}}],` +
				`"usage":{"completion_tokens":2,"prompt_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"total_tokens":14}}`},
		{name: "tool calls", script: clienttest.ToolCall("c1", "Bash", map[string]string{"command": "é"}) + "\n" +
			`tool_call: {"id": "c2", "function": {"name": "Read"}}` + "\n" +
			`tool_call_part: {"arguments_part": "{\"path\":"}` + "\ntool_call_part: \"\\\"a\\\"}\"\nusage: input_other=1, output=2",
			want: []string{begin,
				`{"tool_calls":[{"function":{"arguments":"","name":"Bash"},"id":"c1","index":0,"type":"function"}]}`,
				`{"tool_calls":[{"function":{"arguments":"{\"comman"},"index":0}]}`,
				`{"tool_calls":[{"function":{"arguments":"d\":\"é\"}"},"index":0}]}`,
				`{"tool_calls":[{"function":{"arguments":"","name":"Read"},"id":"c2","index":1,"type":"function"}]}`,
				`{"tool_calls":[{"function":{"arguments":"{\"path\":"},"index":1}]}`,
				`{"tool_calls":[{"function":{"arguments":"\"a\"}"},"index":1}]}`,
				`{} tool_calls`, `{"completion_tokens":2,"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":0},"total_tokens":3}`, "[DONE]"},
			message: `{"choices":[{"finish_reason":"tool_calls","index":0,"message":{"content":"","role":"assistant","tool_calls":[` +
				`{"function":{"arguments":"{\"command\":\"é\"}","name":"Bash"},"id":"c1","type":"function"},` +
				`{"function":{"arguments":"{\"path\":\"a\"}","name":"Read"},"id":"c2","type":"function"}]}}],` +
				`"usage":{"completion_tokens":2,"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":0},"total_tokens":3}}`},
		{name: "finish", script: "text: cut\nfinish: length", want: []string{begin, `{"content":"cut"}`, `{} length`, used, "[DONE]"},
			message: `{"choices":[{"finish_reason":"length","index":0,"message":{"content":"cut","role":"assistant"}}],"usage":` + used + `}`},
		{name: "401", script: "error: 401 no such key", status: 401, want: []string{"no such key"}},
		{name: "429", script: "text: never\nerror: 429", status: 429, want: []string{"Simulated 429 error"}},
		{name: "timeout", script: "error: timeout", status: 408, want: []string{"Simulated timeout error"}},
		{name: "connection", script: "error: connection", cut: true},
		{name: "drop", script: "text: some\ndrop:\ntext: never", want: []string{begin, `{"content":"some"}`}, cut: true},
		{name: "end", script: "text: some\nend:", want: []string{begin, `{"content":"some"}`},
			message: `{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"some","role":"assistant"}}],"usage":` + used + `}`},
		{name: "too many", status: 400, want: []string{"clienttest: no script is left for call 1 of the model: add one"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := clienttest.NewModel(t)
			if test.script != "" {
				m.Add(test.script, test.script)
			}
			resp, err := post(t.Context(), m, streamed)
			if err != nil {
				if !test.cut || test.want != nil {
					t.Fatal(err)
				}
				return
			}
			defer resp.Body.Close()
			if test.status != 0 {
				var body struct {
					Error struct{ Message, Type string }
				}
				if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != test.status || body.Error.Message != test.want[0] {
					t.Errorf("status %d, %+v, %v", resp.StatusCode, body, err)
				}
				return
			}
			if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
				t.Errorf("status %d, %s", resp.StatusCode, got)
			}
			got, err := stream(t, resp.Body)
			if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != test.cut {
				t.Errorf("error %v\n%s", err, diff)
			}

			resp, err = post(t.Context(), m, plain)
			if test.cut {
				if err == nil {
					t.Error("a call that is not streamed was not cut")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var whole map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&whole); err != nil || whole["object"] != "chat.completion" || whole["model"] != "m" {
				t.Errorf("%v: %v", err, whole)
			}
			for _, name := range []string{"id", "object", "model", "created"} {
				delete(whole, name)
			}
			if raw, err := json.Marshal(whole); err != nil || string(raw) != test.message {
				t.Errorf("%v\n%s", err, cmp.Diff(test.message, string(raw)))
			}
		})
	}
}

func TestModelRequests(t *testing.T) {
	m := clienttest.NewModel(t, "text: one", "text: two")
	for i, want := range []string{"one", "two", "no script is left", "four"} {
		body := plain
		if i == 3 {
			m.Add("text: four")
			body = streamed
		}
		resp, err := post(t.Context(), m, body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("call %d: %s %v", i+1, got, err)
		}
		resp.Body.Close()
	}
	if got := fmt.Sprintf("%s", m.Requests()); got != fmt.Sprintf("%s", []string{plain, plain, plain, streamed}) {
		t.Errorf("requests: %s", got)
	}
	resp, err := http.Get(m.URL() + "/models")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || len(m.Requests()) != 4 {
		t.Errorf("another path: status %d, %d requests", resp.StatusCode, len(m.Requests()))
	}
}

func TestModelWait(t *testing.T) {
	m := clienttest.NewModel(t, "text: one\nwait: 50ms\ntext: two")
	begun := time.Now()
	resp, err := post(t.Context(), m, streamed)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := stream(t, resp.Body); err != nil || len(got) != 6 || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("%q, %v after %v", got, err, time.Since(begun))
	}
}

// An answer that hangs ends when the model is closed or when the client goes away. No goroutine is left.
func TestModelHang(t *testing.T) {
	for _, body := range []string{streamed, plain} {
		m := clienttest.NewModel(t, "hang:", "text: some\nhang:", "wait: 1h")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		errs := make(chan error)
		for i := range 3 {
			ctx := ctx
			if i > 0 {
				ctx = t.Context()
			}
			go func() {
				resp, err := post(ctx, m, body)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				errs <- err
			}()
			for len(m.Requests()) < i+1 {
				runtime.Gosched()
			}
		}
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("first: %v", err)
		}
		m.Close()
		m.Close()
		for range 2 {
			if err := <-errs; err == nil {
				t.Error("a call that was cut short ended as if it were whole")
			}
		}
		if conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(m.URL(), "http://"), "/v1")); err == nil {
			conn.Close()
			t.Error("the port is still open")
		}
		stacks := make([]byte, 1<<20)
		if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("clienttest.(*answer)")) {
			t.Errorf("a request is still open:\n%s", stacks)
		}
	}
}

// A client that stops in the middle of its request does not block Close.
func TestModelHalfRequest(t *testing.T) {
	m := clienttest.NewModel(t)
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(m.URL(), "http://"), "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") { // the server now reads the body
		t.Fatalf("%q, %v", line, err)
	}
	m.Close()
}

// badT is a TB whose Fatalf panics with the text.
type badT struct {
	testing.TB
}

func (badT) Helper()                           {}
func (badT) Cleanup(func())                    {}
func (badT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func TestModelBadScripts(t *testing.T) {
	for script, want := range map[string]string{
		"":                             "it says nothing",
		"usage: {\"output\": 1}":       "it says nothing",
		"hello":                        `"hello" has no colon`,
		"image_url: x":                 "a model cannot say that",
		"error: soon":                  "an error is a status",
		"error: 200":                   "an error is a status",
		"wait: long":                   "invalid duration",
		"tool_call: {\"name\": \"x\"}": "an id and a name",
		"tool_call: x":                 "neither key=value",
		"tool_call_part: x":            "no tool_call before",
		"usage: {\"output\": \"x\"}":   "cannot unmarshal",
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "clienttest: script 2: ") || !strings.Contains(got, want) {
					t.Errorf("%q: %s", script, got)
				}
			}()
			clienttest.NewModel(badT{}, "text: fine", script)
		}()
	}
}
