//go:build unix

package clienttest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// acp is a session of the real Kimi Code over its Agent Client Protocol.
type acp struct {
	t       *testing.T
	in      io.WriteCloser
	out     *json.Decoder
	session string
	id      int
	text    string // the text of the agent
	thought string
	tools   string // the results of its tools
	asked   int
	used    int // how many tokens of the context are used
}

type acpMessage struct {
	ID     *int            `json:"id"`
	Method string          `json:"method"`
	Error  json.RawMessage `json:"error"`
	Params struct {
		Update struct {
			Kind    string          `json:"sessionUpdate"`
			Content json.RawMessage `json:"content"`
			Output  string          `json:"rawOutput"`
			Used    int             `json:"used"`
		} `json:"update"`
	} `json:"params"`
	Result struct {
		SessionID  string `json:"sessionId"`
		StopReason string `json:"stopReason"`
	} `json:"result"`
}

// startACP runs Kimi Code over ACP with a model.
func startACP(t *testing.T, m *clienttest.Model, env ...string) *acp {
	t.Helper()
	opts := clienttest.KimiCode(t)
	maps.Copy(opts.Env, m.Env())
	opts.Env["KIMI_CODE_HOME"] = opts.ShareDir // the client sets the same
	cmd := exec.Command(opts.Executable, "acp")
	cmd.Dir = opts.WorkDir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(environ(opts), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(time.Minute, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("kimi acp: %v\n%s", err, &stderr)
		}
		stop.Stop()
	})
	a := &acp{t: t, in: in, out: json.NewDecoder(out)}
	a.wait(a.call("initialize", map[string]any{"protocolVersion": 1, "clientCapabilities": struct{}{}}))
	created := a.wait(a.call("session/new", map[string]any{"cwd": opts.WorkDir, "mcpServers": []any{}}))
	a.session = created.Result.SessionID
	return a
}

func environ(opts *client.Options) (env []string) {
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		if _, set := opts.Env[key]; !set {
			env = append(env, entry)
		}
	}
	for key, value := range opts.Env {
		if value != "" {
			env = append(env, key+"="+value)
		}
	}
	return env
}

func (a *acp) write(v any) {
	if err := json.NewEncoder(a.in).Encode(v); err != nil {
		a.t.Fatal(err)
	}
}

func (a *acp) call(method string, params any) int {
	a.id++
	a.write(map[string]any{"jsonrpc": "2.0", "id": a.id, "method": method, "params": params})
	return a.id
}

// prompt sends a prompt and returns the id of the call. wait waits for the reply.
func (a *acp) prompt(text string) int {
	a.text, a.thought, a.tools = "", "", ""
	return a.call("session/prompt", map[string]any{"sessionId": a.session, "prompt": []any{map[string]string{"type": "text", "text": text}}})
}

// wait reads messages up to the reply to a call.
func (a *acp) wait(id int) acpMessage {
	a.t.Helper()
	return a.until(func(m acpMessage) bool { return m.Method == "" && m.ID != nil && *m.ID == id })
}

// until reads messages up to the wanted one, and approves every request.
func (a *acp) until(last func(acpMessage) bool) acpMessage {
	a.t.Helper()
	for {
		var m acpMessage
		if err := a.out.Decode(&m); err != nil {
			a.t.Fatalf("kimi acp: %v", err)
		}
		if m.Method == "session/request_permission" {
			a.asked++
			a.write(map[string]any{"jsonrpc": "2.0", "id": *m.ID, "result": map[string]any{
				"outcome": map[string]string{"outcome": "selected", "optionId": "approve_once"}}})
		}
		u := m.Params.Update
		var content struct{ Text string }
		json.Unmarshal(u.Content, &content)
		switch u.Kind {
		case "agent_message_chunk":
			a.text += content.Text
		case "agent_thought_chunk":
			a.thought += content.Text
		case "tool_call_update":
			a.tools += u.Output
		case "usage_update":
			a.used = u.Used
		}
		if last(m) {
			return m
		}
	}
}

func TestKimiCode(t *testing.T) {
	m := clienttest.NewModel(t,
		"think: I should look.\ntext: Let me\ntext:  look.\nusage: input_other=700 output=20 input_cache_read=300",
		"text: I run it.\n"+clienttest.ToolCall("c1", "Bash", map[string]string{"command": "echo $((40+2))"}),
		"text: It says 42.\nfinish: length")
	a := startACP(t, m)
	for _, test := range []struct {
		stop, text, thought, tools string
		asked, used, calls         int
	}{
		{stop: "end_turn", text: "Let me look.", thought: "I should look.", used: 1020, calls: 1},
		{stop: "end_turn", text: "I run it.It says 42.", tools: "42\n", asked: 1, used: 110, calls: 3},
	} {
		reply := a.wait(a.prompt("go on"))
		a.until(func(m acpMessage) bool { return m.Params.Update.Kind == "usage_update" })
		if reply.Result.StopReason != test.stop || a.text != test.text || a.thought != test.thought || !strings.HasSuffix(a.tools, test.tools) ||
			a.asked != test.asked || a.used != test.used || len(m.Requests()) != test.calls {
			t.Errorf("%+v: stop %q, text %q, thought %q, tools %q, asked %d, used %d, calls %d", test,
				reply.Result.StopReason, a.text, a.thought, a.tools, a.asked, a.used, len(m.Requests()))
		}
	}
	for _, want := range []string{`"reasoning_content":"I should look."`, `"content":"Let me look."`, `"tool_call_id":"c1"`, `42\n`} {
		if got := string(m.Requests()[2]); !strings.Contains(got, want) {
			t.Errorf("the third request has no %s: %s", want, got)
		}
	}
}

// These are the failures as Kimi Code shows them. Most of them it does not show. The number of calls of the model shows
// that it tries again.
func TestKimiCodeFailures(t *testing.T) {
	m := clienttest.NewModel(t)
	a := startACP(t, m)
	for _, test := range []struct {
		name       string
		scripts    []string
		stop, text string
		failed     string // a text in the error of the prompt, which then has no stop reason
		calls      int
	}{
		{"429, then fine", []string{"error: 429 slow down", "text: fine"}, "end_turn", "fine", "", 2},
		{"500, then fine", []string{"error: 500", "text: fine"}, "end_turn", "fine", "", 2},
		{"timeout, then fine", []string{"error: timeout", "text: fine"}, "end_turn", "fine", "", 2},
		{"cut, then fine", []string{"error: connection", "text: fine"}, "end_turn", "fine", "", 2},
		{"dropped, then fine", []string{"text: so\ndrop:", "text: fine"}, "end_turn", "sofine", "", 2},
		{"nothing said, then fine", []string{"finish: stop", "text: fine"}, "end_turn", "fine", "", 2},
		{"400", []string{"error: 400 what?"}, "end_turn", "", "", 1},
		{"no script left", nil, "end_turn", "", "", 1},
		{"content filter", []string{"text: no\nfinish: content_filter"}, "refusal", "no", "", 1},
		{"401", []string{"error: 401 no such key"}, "", "", "401 no such key", 1},
	} {
		before := len(m.Requests())
		m.Add(test.scripts...)
		reply := a.wait(a.prompt(test.name))
		calls := len(m.Requests()) - before
		if reply.Result.StopReason != test.stop || a.text != test.text || !strings.Contains(string(reply.Error), test.failed) || calls != test.calls {
			t.Errorf("%s: stop %q, text %q, error %s, calls %d", test.name, reply.Result.StopReason, a.text, reply.Error, calls)
		}
	}
}

func TestKimiCodeHang(t *testing.T) {
	m := clienttest.NewModel(t, "text: some\nhang:", "text: more")
	a := startACP(t, m)
	id := a.prompt("hang")
	a.until(func(acpMessage) bool { return a.text == "some" })
	a.write(map[string]any{"jsonrpc": "2.0", "method": "session/cancel", "params": map[string]string{"sessionId": a.session}})
	if reply := a.wait(id); reply.Result.StopReason != "cancelled" {
		t.Errorf("stop %q", reply.Result.StopReason)
	}
	if reply := a.wait(a.prompt("go on")); reply.Result.StopReason != "end_turn" || a.text != "more" {
		t.Errorf("stop %q, text %q", reply.Result.StopReason, a.text)
	}
}
