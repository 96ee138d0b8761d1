package bridge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// read has the fields of the payload that the translator reads, for each type of event in the recorded turn.
var read = map[string][]string{
	"turn.started":                  {"agentId", "turnId", "promptId"},
	"turn.ended":                    {"agentId", "turnId", "reason"},
	"turn.step.started":             {"agentId", "turnId", "step"},
	"turn.step.completed":           {"agentId", "turnId", "step", "usage", "finishReason", "providerFinishReason"},
	"thinking.delta":                {"agentId", "turnId", "delta"},
	"assistant.delta":               {"agentId", "turnId", "delta"},
	"tool.call.delta":               {"agentId", "turnId", "toolCallId", "name", "argumentsPart"},
	"tool.call.started":             {"agentId", "turnId", "toolCallId", "name", "args", "display"},
	"tool.result":                   {"agentId", "turnId", "toolCallId", "output"},
	"agent.status.updated":          {"agentId", "contextTokens", "maxContextTokens"},
	"permission.approval.requested": {"agentId", "turnId", "id", "toolCallId", "toolName", "action", "display", "toolInput"},
	"permission.approval.resolved":  {"id", "decision"},
	"event.approval.requested":      {"approval_id", "agent_id"},
	"subagent.spawned":              {"subagentId", "subagentName", "parentToolCallId"},
}

// readOfAll are the fields of the frame that the translator or the stream reads of every event.
var readOfAll = []string{"type", "seq", "epoch", "session_id", "volatile", "offset", "payload"}

// renamed renames a member of an object. If to is "", it removes the member.
func renamed(t *testing.T, raw []byte, from, to string) []byte {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Error(err)
	}
	if value, ok := o[from]; ok {
		delete(o, from)
		if to != "" {
			o[to] = value
		}
	}
	out, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Another version of the server uses other names for its events and their members, or leaves them out. The client then
// gets the whole turn, or an error or a notification that something is wrong. A turn with missing parts never ends as
// finished without a notification, and nothing is approved that the client was not asked about.
func TestAnotherServer(t *testing.T) {
	want := told(t, webtest.Hooks{})
	kindOf := func(frame []byte) string {
		var f struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(frame, &f) != nil {
			return ""
		}
		return f.Type
	}
	payload := func(change func([]byte) []byte) func([]byte) []byte {
		return func(frame []byte) []byte {
			var o map[string]json.RawMessage
			if json.Unmarshal(frame, &o) != nil || o["payload"] == nil {
				return frame
			}
			o["payload"] = change(o["payload"])
			raw, _ := json.Marshal(o)
			return raw
		}
	}
	type drift struct {
		name   string
		kind   string // the type of the events that are changed; "" for all
		change func([]byte) []byte
		twice  bool // the changed events come twice
	}
	lose := func(text string) func([]byte) []byte {
		return func(f []byte) []byte {
			if bytes.Contains(f, []byte(`"delta":"`+text)) {
				return nil
			}
			return f
		}
	}
	same := func(f []byte) []byte { return f }
	placeless := func(f []byte) []byte { return renamed(t, f, "offset", "") }
	var all []drift
	var kinds []string
	for kind := range read {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		all = append(all,
			drift{name: "drop " + kind, kind: kind, change: func([]byte) []byte { return nil }},
			drift{name: "rename " + kind, kind: kind, change: func(f []byte) []byte {
				return bytes.ReplaceAll(f, []byte(`"`+kind+`"`), []byte(`"new.`+kind+`"`))
			}},
			drift{name: "unreadable " + kind, kind: kind, change: payload(func([]byte) []byte { return []byte(`["no object"]`) })},
		)
		for _, field := range read[kind] {
			all = append(all,
				drift{name: "without " + kind + " " + field, kind: kind, change: payload(func(p []byte) []byte { return renamed(t, p, field, "") })},
				drift{name: "rename " + kind + " " + field, kind: kind, change: payload(func(p []byte) []byte { return renamed(t, p, field, "new_"+field) })},
			)
		}
	}
	for _, field := range readOfAll {
		all = append(all, drift{name: "without " + field, change: func(f []byte) []byte { return renamed(t, f, field, "") }})
	}
	all = append(all,
		drift{name: "more members", change: payload(func(p []byte) []byte {
			return append([]byte(`{"new":{"type":"turn.ended","reason":"completed"},`), p[1:]...)
		})},
		drift{name: "no JSON", kind: "tool.result", change: func([]byte) []byte { return []byte(`{"type":`) }},
		drift{name: "the end of a tool-calling step's text is lost", kind: "assistant.delta", change: lose("to work")},
		drift{name: "the end of a subagent's text is lost", kind: "assistant.delta", change: lose("is done ")},
		drift{name: "the end of a step's thinking is lost", kind: "thinking.delta", change: lose("now")},
		drift{name: "twice thinking.delta", kind: "thinking.delta", change: same, twice: true},
		drift{name: "twice assistant.delta", kind: "assistant.delta", change: same, twice: true},
		drift{name: "twice tool.call.delta", kind: "tool.call.delta", change: same, twice: true},
		drift{name: "twice thinking.delta, without offset", kind: "thinking.delta", change: placeless, twice: true},
		drift{name: "twice assistant.delta, without offset", kind: "assistant.delta", change: placeless, twice: true},
		drift{name: "seq is text", change: func(f []byte) []byte { return bytes.Replace(f, []byte(`"seq":`), []byte(`"seq":"x","old":`), 1) }},
	)
	var running sync.WaitGroup
	atOnce := make(chan struct{}, 32) // most of them wait
	for _, d := range all {
		atOnce <- struct{}{}
		running.Go(func() {
			defer func() { <-atOnce }()
			f := webtest.NewFake(t)
			hooks := webtest.Hooks{Frame: func(frame []byte) ([][]byte, webtest.Cut) {
				kind := kindOf(frame)
				if kind == "server_hello" || kind == "ack" || d.kind != "" && kind != d.kind {
					return [][]byte{frame}, webtest.Keep
				}
				if frame = d.change(frame); frame == nil {
					return nil, webtest.Keep
				}
				if d.twice {
					return [][]byte{frame, frame}, webtest.Keep
				}
				return [][]byte{frame}, webtest.Keep
			}}
			s, err := overFake(t, f, hooks)
			if err != nil {
				t.Errorf("%s: %v", d.name, err)
				return
			}
			asked := make(map[string]bool)
			got := hearTurn(within(t, 30*time.Second), s, "go", func(r *client.ApprovalRequest) bool {
				asked[r.ID] = true
				return true
			})
			s.Close()
			for id, decision := range f.Decisions() {
				if decision == "approved" && !asked[id] {
					t.Errorf("%s: %s was approved unseen", d.name, id)
				}
			}
			if strings.Contains(got.Status, "deadline") && len(got.Notes) == 0 {
				t.Errorf("%s: it waits, and says nothing", d.name)
			}
			if got.Status == "finished" && len(got.Notes) == 0 && (!got.same(want) || got.context != want.context) {
				t.Errorf("%s: finished with less, silently: context of %d and %d tokens\n%s", d.name, want.context, got.context, cmp.Diff(want, got, sameTale))
			}
			if testing.Verbose() {
				t.Logf("%s: %s, notes %q, whole: %v", d.name, got.Status, slices.Compact(got.Notes), got.same(want))
			}
		})
	}
	running.Wait()
	if got := len(all); got < 100 {
		t.Error(fmt.Sprint("only ", got))
	}
}
