package acpbridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/wireproto"
)

// The lines of a journal.
const (
	begun   = `{"type":"turn.prompt","turnId":0,"origin":{"kind":"user"},"time":$now}` + "\n" + `{"type":"context.append_loop_event","event":{"type":"step.begin","turnId":"0","step":1}}` + "\n"
	stepEnd = `{"type":"context.append_loop_event","event":{"type":"step.end","turnId":"0","providerFinishReason":"stop"}}` + "\n"
	done    = `{"type":"turn.ended","turnId":0,"reason":"completed"}` + "\n"
)

func failure(code string) string {
	return fmt.Sprintf(`{"type":"turn.ended","turnId":0,"reason":"failed","error":{"code":%q,"message":"why","details":{"statusCode":418}}}`, code) + "\n"
}

// How a turn ends, by what ACP answers and what the journal says, and when.
func TestOutcome(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  []string // of the journal, before ACP's answer
		behind  []string // behind it, each a while after the one before
		acp     any      // nil for end_turn
		status  wireproto.TurnStatus
		code    int
		hasCode bool // the status of HTTP is in the error's data
	}{
		{name: "finished", before: []string{begun, stepEnd, done}, status: wireproto.StatusFinished},
		{name: "the end comes later", before: []string{begun, stepEnd}, behind: []string{done}, status: wireproto.StatusFinished},
		{name: "and in pieces", before: []string{begun, stepEnd[:20]}, behind: []string{stepEnd[20:] + done[:30], done[30:]}, status: wireproto.StatusFinished},
		{name: "among what is no JSON", before: []string{"\n{\"type\":\n", "[]\n", "{\"type\":7}\n", begun, "null\n", stepEnd, done}, status: wireproto.StatusFinished},
		{name: "kimi had put it behind a turn of its own", before: nil, behind: []string{begun, stepEnd + done}, code: wireproto.CodeOutcomeUnknown},
		{name: "an older prompt's end", before: []string{strings.Replace(begun, "$now", "1", 1), stepEnd, done}, code: wireproto.CodeOutcomeUnknown},
		{name: "the end of a turn of kimi's own", before: []string{strings.Replace(begun, `"user"`, `"task"`, 1), stepEnd, done}, code: wireproto.CodeOutcomeUnknown},
		{name: "the journal is silent", code: wireproto.CodeOutcomeUnknown},
		{name: "the journal does not tell the end", before: []string{begun, stepEnd}, code: wireproto.CodeOutcomeUnknown},
		{name: "its last line is not complete", before: []string{begun, stepEnd, done[:len(done)-1]}, code: wireproto.CodeOutcomeUnknown},
		{name: "another turn's end", before: []string{begun, stepEnd, `{"type":"turn.ended","turnId":1,"reason":"completed"}` + "\n"}, code: wireproto.CodeOutcomeUnknown},
		{name: "no finish_reason", before: []string{begun, done}, code: wireproto.CodeOutcomeUnknown},
		{name: "no finish_reason in the last step", before: []string{begun, stepEnd, `{"type":"context.append_loop_event","event":{"type":"step.begin","turnId":"0"}}` + "\n", done}, code: wireproto.CodeOutcomeUnknown},
		{name: "an end of another kind", before: []string{begun, stepEnd, `{"type":"turn.ended","turnId":0,"reason":"hibernated"}` + "\n"}, code: wireproto.CodeOutcomeUnknown},
		{name: "max steps", before: []string{begun, stepEnd, failure("loop.max_steps_exceeded")}, status: wireproto.StatusMaxSteps},
		{name: "provider", before: []string{begun}, behind: []string{failure("provider.api_error")}, code: wireproto.CodeChatProviderError, hasCode: true},
		{name: "filtered", before: []string{begun, failure("provider.filtered")}, acp: map[string]string{"stopReason": "refusal"}, code: wireproto.CodeChatProviderError, hasCode: true},
		{name: "login expired", before: []string{begun, failure("auth.token_unauthorized")}, code: wireproto.CodeAuthExpired, hasCode: true},
		{name: "no login", before: []string{begun, failure("auth.login_required")}, code: wireproto.CodeLLMNotSet, hasCode: true},
		{name: "another failure", before: []string{begun, failure("engine.boom")}, code: wireproto.CodeInternalError, hasCode: true},
		{name: "a failure without reason", before: []string{begun, `{"type":"turn.ended","turnId":0,"reason":"failed"}` + "\n"}, code: wireproto.CodeInternalError},
		{name: "cancelled by kimi", before: []string{begun, `{"type":"turn.ended","turnId":0,"reason":"cancelled"}` + "\n"}, status: wireproto.StatusCancelled},
		{name: "cancelled, by ACP alone", before: []string{begun}, acp: map[string]string{"stopReason": "cancelled"}, status: wireproto.StatusCancelled},
		{name: "refused, by ACP alone", before: []string{begun}, acp: map[string]string{"stopReason": "refusal"}, code: wireproto.CodeOutcomeUnknown},
		{name: "an answer that is none", before: []string{begun}, acp: map[string]any{}, code: wireproto.CodeOutcomeUnknown},
		{name: "no login, by ACP alone", acp: &acpError{Code: codeAuthRequired, Message: "Authentication required"}, code: wireproto.CodeLLMNotSet},
		{name: "busy", acp: &acpError{Code: codeBusy, Message: "busy"}, code: wireproto.CodeInvalidState},
		{name: "another error", acp: &acpError{Code: -1, Message: "boom"}, code: wireproto.CodeInternalError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.answer = func(m *message) any {
					if m.Method != "session/prompt" {
						return nil
					}
					f.text("said")
					f.record(tt.before...)
					pause := 100 * time.Millisecond
					for i, line := range tt.behind {
						time.AfterFunc(pause*time.Duration(i+1), func() { f.record(line) })
					}
					return tt.acp
				}
				w := f.bridge()
				w.initialize()
				begin := time.Now()
				answer := w.prompt("hi", nil)
				if took := time.Since(begin); took > 20*time.Second {
					t.Errorf("it took %v", took)
				}
				if w.text() != "said" {
					t.Errorf("text %q", w.text())
				}
				if tt.code != 0 {
					if answer.Error == nil || answer.Error.Code != tt.code {
						t.Fatalf("answer %s, error %+v, want the code %d", answer.Result, answer.Error, tt.code)
					}
					var data map[string]int
					json.Unmarshal(answer.Error.Data, &data)
					if diff := cmp.Diff(map[bool]int{true: 418}[tt.hasCode], data["status_code"]); diff != "" {
						t.Errorf("data %s", answer.Error.Data)
					}
					return
				}
				var result wireproto.PromptResult
				if answer.Error != nil || json.Unmarshal(answer.Result, &result) != nil || result.Status != tt.status {
					t.Errorf("answer %s, error %+v, want %s", answer.Result, answer.Error, tt.status)
				}
			})
		})
	}
}

// What was said before a retry comes before it, though the journal is faster than ACP.
func TestRetryOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.answer = func(m *message) any {
			if m.Method == "session/prompt" {
				f.record(begun, `{"type":"turn.step.retrying","turnId":0,"step":1,"nextAttempt":2,"maxAttempts":3,"delayMs":600,"errorName":"E","statusCode":500}`+"\n")
				later(3*pollEvery, func() { f.text("half") })
				later(600*time.Millisecond, func() { f.text("whole") })
				f.record(stepEnd, done)
			}
			return nil
		}
		w := f.bridge()
		w.initialize()
		w.prompt("hi", nil)
		var got []string
		for _, m := range w.seen {
			switch m := m.(type) {
			case *wireproto.TextPart:
				got = append(got, m.Text)
			case *wireproto.StepRetry:
				got = append(got, fmt.Sprint("retry ", m.NextAttempt, *m.StatusCode))
			}
		}
		if diff := cmp.Diff([]string{"half", "retry 2 500", "whole"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// later does something after a while, and returns when it is done.
func later(wait time.Duration, do func()) {
	<-time.After(wait)
	do()
}

// The client's mistakes, and what there is no model for.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answer = func(m *message) any {
		if m.Method == "session/prompt" {
			f.record(begun, stepEnd, done)
		}
		return nil
	}
	w := f.bridge()
	w.initialize()
	for _, tt := range []struct {
		method string
		params any
		code   int
	}{
		{wireproto.MethodPrompt, "no object", wireproto.CodeInvalidParams},
		{wireproto.MethodPrompt, wireproto.PromptParams{UserInput: wireproto.Content{Text: " \n"}}, wireproto.CodeInvalidParams},
		{wireproto.MethodPrompt, map[string]any{"user_input": []any{}}, wireproto.CodeInvalidParams},
		{wireproto.MethodPrompt, map[string]any{"user_input": []any{map[string]string{"type": "odd"}}}, wireproto.CodeInvalidParams},
		{wireproto.MethodPrompt, map[string]any{"user_input": []any{map[string]any{"type": "image_url", "image_url": map[string]string{"url": "https://x/y.png"}}}}, wireproto.CodeMethodNotFound},
		{wireproto.MethodCancel, struct{}{}, wireproto.CodeInvalidState},
		{wireproto.MethodSteer, wireproto.PromptParams{UserInput: wireproto.Content{Text: "x"}}, wireproto.CodeMethodNotFound},
		{wireproto.MethodSetPlanMode, "no object", wireproto.CodeInvalidParams},
		{"nonesuch", struct{}{}, wireproto.CodeMethodNotFound},
	} {
		answer := w.call(tt.method, tt.params, nil)
		if answer.Error == nil || answer.Error.Code != tt.code || answer.Error.Message == "" {
			t.Errorf("%s %v: %s, error %+v, want the code %d", tt.method, tt.params, answer.Result, answer.Error, tt.code)
		}
		if len(w.seen) > 0 {
			t.Errorf("%s %v: events %+v", tt.method, tt.params, w.seen)
		}
	}
	if f.called("session/prompt", nil) {
		t.Error("a prompt that was refused has reached kimi")
	}
	if answer := w.prompt("hi", nil); answer.Error != nil {
		t.Errorf("the session is not usable: %+v", answer.Error)
	}

	f = newFake(t)
	w = f.bridge("--config", "# no model")
	if b := w.initialize().Bridge; b == nil || b.Backend != "Kimi Code 2.1.0 over ACP" || b.SessionID != "" {
		t.Errorf("bridge %+v", b)
	}
	for range 2 {
		if answer := w.prompt("hi", nil); answer.Error == nil || answer.Error.Code != wireproto.CodeLLMNotSet {
			t.Errorf("with no model: %s, %+v", answer.Result, answer.Error)
		}
	}
}
