package acpbridge

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Turns that kimi has of its own are not taken for the prompt's.
func TestOtherTurns(t *testing.T) {
	turn := func(n int, origin string) []string {
		return []string{
			fmt.Sprintf(`{"type":"turn.prompt","time":$now,"turnId":%d,"origin":{"kind":%q}}`, n, origin) + "\n",
			fmt.Sprintf(`{"type":"context.append_loop_event","event":{"type":"step.end","turnId":"%d","providerFinishReason":"stop"}}`, n) + "\n",
			fmt.Sprintf(`{"type":"turn.ended","turnId":%d,"reason":"completed"}`, n) + "\n",
		}
	}
	for name, play := range map[string]func(*fakeKimi){
		"a timer's, and kimi has queued the prompt":         func(f *fakeKimi) { f.record(turn(5, "cron_job")...) },
		"a background task's":                               func(f *fakeKimi) { f.record(turn(5, "task")...) },
		"the prompt's own, queued and run behind the reply": func(f *fakeKimi) { go later(300*time.Millisecond, func() { f.record(turn(6, "user")...) }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.answer = func(m *message) any {
					if m.Method == "session/prompt" {
						play(f)
					}
					return nil
				}
				w := f.bridge()
				w.initialize()
				if answer := w.prompt("hi", nil); answer.Error == nil || answer.Error.Code != wireproto.CodeOutcomeUnknown {
					t.Errorf("answer %s, error %+v", answer.Result, answer.Error)
				}
			})
		})
	}
}

// What the journal has lost of one turn does not hold up the next.
func TestLostEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		n := 0
		f.answer = func(m *message) any {
			if m.Method != "session/prompt" {
				return nil
			}
			if n++; n == 1 {
				f.record(`{"type":"agent.turn.started","turnId":0}`+"\n", begun) // and then the disk is full
			} else {
				f.record(`{"type":"turn.prompt","time":$now,"turnId":1,"origin":{"kind":"user"}}`+"\n", `{"type":"context.append_loop_event","event":{"type":"step.end","turnId":"1","providerFinishReason":"stop"}}`+"\n",
					`{"type":"turn.ended","turnId":1,"reason":"completed"}`+"\n")
			}
			return nil
		}
		w := f.bridge()
		w.initialize()
		if answer := w.prompt("one", nil); answer.Error == nil || answer.Error.Code != wireproto.CodeOutcomeUnknown {
			t.Errorf("the first: %s, %+v", answer.Result, answer.Error)
		}
		if answer := w.prompt("two", nil); answer.Error != nil {
			t.Errorf("the second: %+v", answer.Error)
		}
	})
}

// A session whose mode could not be set is not used: another mode may be in force in it.
func TestModeNotSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		opened := 0
		f.answer = func(m *message) any {
			switch m.Method {
			case "session/new":
				if opened++; opened == 1 {
					return &acpError{Code: codeAuthRequired, Message: "Authentication required"}
				}
			case "session/set_mode":
				return &acpError{Code: -32603, Message: "no"}
			case "session/prompt":
				f.record(begun, stepEnd, done)
			}
			return nil
		}
		w := f.bridge("--yolo")
		w.initialize()
		for range 2 {
			if answer := w.prompt("hi", nil); answer.Error == nil {
				t.Errorf("answer %s", answer.Result)
			}
		}
		if f.called("session/prompt", nil) {
			t.Error("the session was prompted")
		}
	})
}

// A request before there is a session is rejected.
func TestPermissionBeforeSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.answer = func(m *message) any {
			if m.Method == "session/new" {
				f.say(map[string]any{"jsonrpc": "2.0", "id": 7, "method": "session/request_permission", "params": map[string]any{
					"sessionId": fakeID, "options": []option{{"approve_once", "Approve", "allow_once"}, {"reject", "Reject", "reject_once"}},
					"toolCall": map[string]string{"toolCallId": "0:x", "title": "Bash"},
				}})
			}
			return nil
		}
		w := f.bridge()
		w.initialize()
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, m := range f.calls {
			if string(m.ID) == "7" && string(m.Result) == `{"outcome":{"outcome":"cancelled"}}` {
				return
			}
		}
		t.Errorf("no answer among %d messages", len(f.calls))
	})
}

// Flags take no value: "--yolo=false" must not switch anything on.
func TestFlagsTakeNoValue(t *testing.T) {
	for _, arg := range []string{"--yolo=false", "--afk=false", "--plan=0", "--thinking=no"} {
		if set, err := parse(&Command{Args: []string{arg}, Env: []string{"HOME=/h"}, Dir: "/dir"}); err == nil {
			t.Errorf("%s: %+v", arg, set)
		}
	}
}
