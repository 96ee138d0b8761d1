package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Wire is a connection to an agent without a client. It sends lines exactly as they are.
type Wire struct {
	conn client.Conn
	dec  *wireproto.Decoder
	errs []error
}

// runRaw connects and calls run. It ends the agent by closing its input.
func runRaw(ctx context.Context, opts *client.Options, run func(*Wire)) error {
	conn, err := opts.Transport.Start(ctx, &client.Command{Dir: opts.WorkDir})
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	w := &Wire{conn: conn, dec: wireproto.NewDecoder(conn)}
	run(w)
	if err := conn.CloseWrite(); err != nil {
		w.fail("close: %v", err)
	}
	for w.next() != nil {
		// read to the end, because the last lines of the agent belong to the recording
	}
	var exit *client.ProcessError
	if err := conn.Wait(); errors.As(err, &exit) && exit.ExitCode != 0 {
		w.fail("the agent: %v", exit)
	}
	if ctx.Err() != nil {
		w.errs = append(w.errs, context.Cause(ctx))
	}
	return errors.Join(w.errs...)
}

func (w *Wire) fail(format string, args ...any) { w.errs = append(w.errs, fmt.Errorf(format, args...)) }

// send sends lines in a single write.
func (w *Wire) send(lines ...string) {
	if _, err := io.WriteString(w.conn, strings.Join(lines, "\n")+"\n"); err != nil {
		w.fail("write: %v", err)
	}
}

// next returns the next frame of the agent, or nil at the end.
func (w *Wire) next() *wireproto.Frame {
	for {
		f, err := w.dec.Decode()
		var bad *wireproto.LineError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return nil
		}
		return f
	}
}

// answer waits for the answer to the call id. For "", it waits for the next error that belongs to no call.
func (w *Wire) answer(id string) *wireproto.Frame {
	for f := w.next(); f != nil; f = w.next() {
		if f.Method == "" && f.ID == id {
			return f
		}
	}
	w.fail("the agent ended before it answered %q", id)
	return new(wireproto.Frame)
}

// refused waits for an error with this code, as the answer to the call id, or to no call for "".
func (w *Wire) refused(id string, code int) {
	if f := w.answer(id); f.Error == nil || f.Error.Code != code {
		w.fail("answer to %q: %+v, not %d", id, f.Error, code)
	}
}

// done waits for the result of a call. The result must contain piece.
func (w *Wire) done(id, piece string) {
	if f := w.answer(id); f.Error != nil || !strings.Contains(string(f.Result), piece) {
		w.fail("answer to %q: %s %v, not %q", id, f.Result, f.Error, piece)
	}
}

// request waits for a request of this type and returns its id.
func (w *Wire) request(kind string) string {
	return w.message(kind, func(f *wireproto.Frame) bool { return f.Method == wireproto.MethodRequest }).ID
}

// message waits for a message of this type for which match returns true.
func (w *Wire) message(kind string, match func(*wireproto.Frame) bool) *wireproto.Frame {
	for f := w.next(); f != nil; f = w.next() {
		if f.Message != nil && f.Message.MessageType() == kind && match(f) {
			return f
		}
	}
	w.fail("the agent ended before it sent %s", kind)
	return new(wireproto.Frame)
}

// result waits for a tool result that has piece in its output or message.
func (w *Wire) result(piece string) {
	w.message("ToolResult", func(f *wireproto.Frame) bool {
		r, ok := f.Message.(*wireproto.ToolResult)
		return ok && strings.Contains(r.ReturnValue.Output.String()+r.ReturnValue.Message, piece)
	})
}

// method returns the line of a call.
func method(id, name string, params any) string {
	if params == nil {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"id":%q}`, name, id)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"id":%q,"params":%s}`, name, id, toJSON(params))
}

func prompt(id, text string) string {
	return method(id, "prompt", map[string]string{"user_input": text})
}

func initialize(id string, more map[string]any) string {
	params := map[string]any{"protocol_version": "1.10", "client": map[string]string{"name": "raw"}}
	maps.Copy(params, more)
	return method(id, "initialize", params)
}

func result(id string, value any) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":%s}`, id, toJSON(value))
}

func failure(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"error":{"code":-32601,"message":"not here"}}`, id)
}

func rawScenarios() []Scenario {
	const id = "00000000-0000-4000-8000-000000000002"
	return []Scenario{
		{
			Name: "raw-bad-lines", Shows: "lines that are not valid calls: errors -32700, -32600, -32601 and -32602, or no answer",
			Scripts: []string{"text: Still here."},
			Raw: func(w *Wire) {
				for _, line := range []string{"not JSON", "", "\ufeff{}", `{"jsonrpc":"2.0"`} {
					w.send(line)
					w.refused("", wireproto.CodeParseError)
				}
				for _, line := range []string{"[]", "7", `{"jsonrpc":"2.0","method":"prompt","id":1,"params":{"user_input":"a"}}`, `{"jsonrpc":"1.0","method":"cancel","id":"v"}`} {
					w.send(line)
					w.refused("", wireproto.CodeInvalidRequest)
				}
				w.send(`{}`, `{"jsonrpc":"2.0"}`, `{"jsonrpc":"2.0","id":"nobody","result":{}}`, `{"jsonrpc":"2.0","method":"cancel"}`, `{"jsonrpc":"2.0","method":"event","params":{}}`)
				w.send(method("m", "no_such_method", nil))
				w.refused("m", wireproto.CodeMethodNotFound)
				for i, name := range []string{"initialize", "prompt", "steer", "set_plan_mode"} {
					id := fmt.Sprint("p", i)
					w.send(method(id, name, map[string]int{"user_input": 7, "enabled": 7}))
					w.refused(id, wireproto.CodeInvalidParams)
				}
				w.send(initialize("i", nil), prompt("t", "Are you there?"))
				w.done("t", "finished")
			},
		},
		{
			Name: "raw-invalid-state", Shows: "error -32000 from every method that can return it, while no turn runs and while a turn runs",
			Scripts: []string{shell("s1", "echo 1")},
			Raw: func(w *Wire) {
				w.send(initialize("i", nil), method("c1", "cancel", nil))
				w.done("i", "1.51.0")
				w.refused("c1", wireproto.CodeInvalidState)
				w.send(method("s1", "steer", map[string]string{"user_input": "a"}))
				w.refused("s1", wireproto.CodeInvalidState)
				w.send(prompt("t", "Run"))
				w.request("ApprovalRequest")
				w.send(prompt("t2", "Another"))
				w.refused("t2", wireproto.CodeInvalidState)
				w.send(method("r2", "replay", nil))
				w.refused("r2", wireproto.CodeInvalidState)
				w.send(initialize("i2", nil))
				w.refused("i2", wireproto.CodeInvalidState)
				w.send(method("m2", "set_plan_mode", map[string]bool{"enabled": true}))
				w.done("m2", `"plan_mode":true`)
				w.send(method("c2", "cancel", nil))
				w.done("c2", "{}")
				w.done("t", "cancelled")
			},
		},
		{
			Name: "raw-pipelined", Shows: "initialize, two prompts and a cancel in one write: kimi refuses the second prompt and cancels the first",
			Scripts: []string{shell("s1", "echo 1"), "text: after"},
			Raw: func(w *Wire) {
				w.send(initialize("i", nil), prompt("a", "One"), prompt("b", "Two"), method("c", "cancel", nil))
				w.done("i", "1.51.0")
				w.refused("b", wireproto.CodeInvalidState)
				w.done("c", "{}")
				w.done("a", "cancelled")
			},
		},
		{
			Name: "raw-no-initialize", Shows: "a client that sends no initialize: text comes, but no request for approval",
			Scripts: []string{"text: Hello.", shell("s1", "echo 1")},
			Raw: func(w *Wire) {
				w.send(prompt("a", "Hello"))
				w.done("a", "finished")
				w.send(prompt("b", "Run"))
				w.message("ToolCall", func(*wireproto.Frame) bool { return true })
				w.send(method("c", "cancel", nil))
				w.done("b", "cancelled")
			},
		},
		{
			Name: "raw-initialize-again", Shows: "a second initialize: kimi adds its hooks to those of the first",
			Raw: func(w *Wire) {
				hooks := map[string]any{"hooks": []any{map[string]string{"id": "h", "event": "PreToolUse"}, map[string]string{"id": "u", "event": "NoSuchEvent"}}}
				w.send(initialize("i1", hooks))
				w.done("i1", `"PreToolUse":1`)
				w.send(initialize("i2", hooks))
				w.done("i2", `"PreToolUse":2`)
			},
		},
		{
			Name: "raw-bad-answers", Shows: "answers that kimi cannot read: Go tools fail, hooks allow, kimi dismisses questions and rejects requests for approval",
			Scripts: []string{call("e1", "ext", word{"a"}), call("e2", "ext", word{"b"}), ask("q1"), ask("q2"), shell("s1", "echo 1")},
			Raw: func(w *Wire) {
				w.send(initialize("i", map[string]any{
					"capabilities":   map[string]bool{"supports_question": true},
					"hooks":          []any{map[string]string{"id": "h", "event": "PreToolUse"}},
					"external_tools": []any{map[string]any{"name": "ext", "description": "d", "parameters": map[string]any{"type": "object", "properties": struct{}{}}}},
				}), prompt("t", "Go"))
				w.send(failure(w.request("HookRequest")))
				w.send(result(w.request("ToolCallRequest"), map[string]any{"tool_call_id": "e1", "return_value": map[string]any{"is_error": false, "output": "no message"}}))
				w.result("Invalid tool result payload")
				w.send(result(w.request("HookRequest"), "allow"))
				w.send(failure(w.request("ToolCallRequest")))
				w.result("not here")
				w.send(failure(w.request("HookRequest")))
				w.send(result(w.request("QuestionRequest"), []int{7}))
				w.result("dismissed")
				w.send(failure(w.request("HookRequest")))
				w.send(failure(w.request("QuestionRequest")))
				w.result("dismissed")
				w.send(failure(w.request("HookRequest")))
				id := w.request("ApprovalRequest")
				w.send(result(id, map[string]any{"request_id": id, "response": "approve", "feedback": nil}))
				w.done("t", "finished")
			},
		},
		{
			Name: "raw-replay-cancel", Shows: "a replay cancelled after its first events",
			Resume:  id,
			Scripts: []string{"text: one", "text: two", "text: three"},
			Prepare: func(ctx context.Context, r *Rig) error {
				return r.before(ctx, id, nil, func(p *Play) {
					for _, text := range []string{"first", "second", "third"} {
						p.Turn(text, nil)
					}
				})
			},
			Raw: func(w *Wire) {
				w.send(initialize("i", nil))
				w.done("i", "1.51.0")
				w.send(method("r", "replay", nil), method("c", "cancel", nil))
				w.done("c", "{}")
				w.done("r", `"cancelled"`)
			},
		},
		{
			Name: "tombstone", Shows: "kimi-cli 1.52.0, which only says that it is no longer maintained, and ends",
			Prepare: useTombstone,
			Raw: func(w *Wire) {
				line, err := io.ReadAll(w.conn)
				if err != nil || !json.Valid([]byte(`"`+strings.TrimSpace(string(line))+`"`)) || !strings.Contains(string(line), "no longer maintained") {
					w.fail("%q, %v", line, err)
				}
			},
		},
	}
}
