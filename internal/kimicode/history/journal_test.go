package history

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/wireproto"
)

func source(lines ...string) Source {
	text := strings.Join(lines, "\n") + "\n"
	return Source{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		Media: func(name string) ([]byte, error) {
			if name != "known" {
				return nil, errors.New("missing")
			}
			return []byte("bytes"), nil
		},
	}
}

func user(id, text, origin string) string {
	return `{"type":"context.append_message","message":{"role":"user","id":"` + id + `","content":[{"type":"text","text":"` + text + `"}],"origin":` + origin + `},"time":` + id + `}`
}

func prompt(id, text string) string { return user(id, text, `{"kind":"user"}`) }

func answer(id, text string) string {
	return `{"type":"context.append_loop_event","event":{"type":"step.begin","uuid":"` + id + `"},"time":` + id + `}` + "\n" +
		`{"type":"context.append_loop_event","event":{"type":"content.part","stepUuid":"` + id + `","part":{"type":"text","text":"` + text + `"}},"time":` + id + `}` + "\n" +
		`{"type":"context.append_loop_event","event":{"type":"step.end","uuid":"` + id + `","finishReason":"end_turn"},"time":` + id + `}`
}

// tell returns the messages that a Teller makes of a journal, one line for each.
func tell(t *testing.T, s Source) (list []string) {
	t.Helper()
	var teller Teller
	for m, err := range s.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		teller.Tell(m, func(m wireproto.Message) bool {
			switch m := m.(type) {
			case *wireproto.TurnBegin:
				list = append(list, "> "+m.UserInput.String())
			case *wireproto.SteerInput:
				list = append(list, "+ "+m.UserInput.String())
			case *wireproto.TextPart:
				list = append(list, m.Text)
			}
			return true
		})
	}
	return list
}

const (
	undo      = `{"type":"context.undo","count":1}`
	cleared   = `{"type":"context.clear"}`
	compacted = `{"type":"context.apply_compaction","summary":"s","keptUserMessageCount":1}`
)

func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"turns", []string{prompt("1", "a"), user("2", "reminder", `{"kind":"injection"}`), answer("3", "A"), prompt("4", "b"), answer("5", "B")}, []string{"> a", "A", "> b", "B"}},
		{"steer", []string{prompt("1", "a"), answer("2", "A"), user("3", "s", `{"kind":"user","inTurn":true}`), answer("4", "B")}, []string{"> a", "A", "+ s", "B"}},
		{"skill", []string{user("1", "the text of the skill", `{"kind":"skill_activation","trigger":"user-slash","skillName":"greet","skillArgs":"me"}`), answer("2", "A")}, []string{"> /greet me", "A"}},
		{"skill of the model's", []string{prompt("1", "a"), user("2", "x", `{"kind":"skill_activation","trigger":"model-tool","skillName":"greet"}`), answer("3", "A")}, []string{"> a", "A"}},
		{"skill without a name", []string{user("1", "x", `{"kind":"skill_activation","trigger":"user-slash"}`), answer("2", "A")}, []string{"> x", "A"}},
		{"command of a plugin", []string{user("1", "the text of the command", `{"kind":"plugin_command","trigger":"user-slash","pluginId":"p","commandName":"greet","commandArgs":"me"}`), answer("2", "A")}, []string{"> /p:greet me", "A"}},
		{"undo of a command of a plugin", []string{prompt("1", "a"), answer("2", "A"), user("3", "x", `{"kind":"plugin_command","trigger":"user-slash","pluginId":"p","commandName":"greet"}`), answer("4", "B"), undo}, []string{"> a", "A"}},
		{"undo", []string{prompt("1", "a"), answer("2", "A"), prompt("3", "b"), user("4", "s", `{"kind":"user","inTurn":true}`), answer("5", "B"), undo, prompt("6", "c"), answer("7", "C")}, []string{"> a", "A", "> c", "C"}},
		{"undo twice", []string{prompt("1", "a"), answer("2", "A"), prompt("3", "b"), undo, undo, prompt("6", "c")}, []string{"> c"}},
		{"no undo beyond a compaction", []string{prompt("1", "a"), answer("2", "A"), compacted, prompt("3", "b"), `{"type":"context.undo","count":5}`, prompt("4", "c")}, []string{"> a", "A", "> c"}},
		{"no undo beyond a clear", []string{prompt("1", "a"), answer("2", "A"), cleared, prompt("3", "b"), `{"type":"context.undo","count":5}`, prompt("4", "c")}, []string{"> a", "A", "> c"}},
		{"undo of an open step", []string{prompt("1", "a"), strings.Split(answer("2", "A"), "\n")[0], undo, prompt("3", "b"), answer("4", "B")}, []string{"> b", "B"}},
	} {
		s := source(tt.lines...)
		if diff := cmp.Diff(tt.want, tell(t, s)); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
		turns, err := s.Turns()
		if n := strings.Count(strings.Join(tt.want, "\n"), "> "); turns != n || err != nil {
			t.Errorf("%s: %d turns, %v, want %d", tt.name, turns, err, n)
		}
	}
}

// A step tells its tokens after what the model has said, and nothing if the model has not reported them.
func TestUsage(t *testing.T) {
	end := func(usage string) string {
		return `{"type":"context.append_loop_event","event":{"type":"step.end","uuid":"2","finishReason":"end_turn","usage":` + usage + `},"time":9}`
	}
	said := strings.Split(answer("2", "A"), "\n")[:2]
	call := `{"type":"context.append_loop_event","event":{"type":"tool.call","stepUuid":"2","toolCallId":"c","name":"Bash"},"time":3}`
	result := `{"type":"context.append_loop_event","event":{"type":"tool.result","toolCallId":"c","result":{"output":"ok"}},"time":8}`
	for usage, want := range map[string]*wireproto.TokenUsage{
		`{"inputOther":1,"output":2,"inputCacheRead":3,"inputCacheCreation":4}`: {InputOther: 1, Output: 2, InputCacheRead: 3, InputCacheCreation: 4},
		`{"inputOther":0,"output":0,"inputCacheRead":0,"inputCacheCreation":0}`: nil,
		`null`: nil,
	} {
		var list []string
		var got *wireproto.TokenUsage
		var teller Teller
		var last time.Time
		for m, err := range source(prompt("1", "a"), said[0], said[1], call, result, end(usage)).Messages() {
			if err != nil {
				t.Fatal(err)
			}
			teller.Tell(m, func(m wireproto.Message) bool {
				list = append(list, m.MessageType())
				if u, ok := m.(*wireproto.StatusUpdate); ok {
					got = u.TokenUsage
				}
				if teller.At.Before(last) {
					t.Errorf("%T has the time %v; the one before %v", m, teller.At, last)
				}
				last = teller.At
				return true
			})
		}
		order := []string{"TurnBegin", "StepBegin", "ContentPart", "ToolCall", "StatusUpdate", "ToolResult"}
		if want == nil {
			order = slices.Delete(order, 4, 5)
		}
		if diff := cmp.Diff(want, got) + cmp.Diff(order, list); diff != "" {
			t.Errorf("%s (-want +got):\n%s", usage, diff)
		}
	}
}

func TestMedia(t *testing.T) {
	image := func(url string) string { return `{"type":"image_url","imageUrl":{"url":"` + url + `"}}` }
	s := source(`{"type":"context.append_message","message":{"role":"user","content":[` + image("blobref:image/png;known") + `,` + image("blobref:image/png;gone") + `,` + image("https://x") + `]}}`)
	for m, err := range s.Messages() {
		var got []string
		for _, p := range m.Content {
			got = append(got, p.Source.String())
		}
		if diff := cmp.Diff([]string{"data:image/png;base64,Ynl0ZXM=", "[media missing]", "https://x"}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
}

func TestCut(t *testing.T) {
	input := func(id string) string {
		return `{"type":"turn.prompt","origin":{"kind":"user"},"promptId":"` + id + `","time":` + id + `}`
	}
	lines := []string{
		`{"type":"metadata","protocol_version":"1.5","created_at":1}`,
		input("2"), prompt("2", "a"), answer("3", "A"), // up to line 6
		input("7"), prompt("7", "b"), answer("8", "B"),
		`{"type":"agent.switched","branch":"b2","base":{"branch":"main","line":6},"legacyUndoLine":13,"time":20}`,
		undo, `{"type":"context.undone","time":20}`,
		input("21"), prompt("21", "c"), answer("22", "C"), `{"type":"file_history.saved","time":23}`, input("24"), prompt("24", "d"), answer("25", "D"),
	}
	s := source(strings.Split(strings.Join(lines, "\n"), "\n")...)
	for turns, want := range map[int][]string{1: {"> a", "A"}, 2: {"> a", "A", "> c", "C"}, 3: {"> a", "A", "> c", "C", "> d", "D"}, -1: {"> a", "A", "> c", "C", "> d", "D"}} {
		cut, err := s.Cut(turns)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := cut.Write(&b, s, time.UnixMilli(99)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tell(t, source(b.String()))); diff != "" {
			t.Errorf("%d turns:\n%s", turns, diff)
		}
		if n := strings.Count(b.String(), "turn.prompt"); n != cut.Turns || strings.Contains(b.String(), "file_history") || strings.Contains(b.String(), "switched") ||
			!strings.HasPrefix(b.String(), lines[0]+"\n") || !strings.HasSuffix(b.String(), `"type":"forked"}`+"\n") && !strings.Contains(b.String(), `"type":"forked"`) {
			t.Errorf("%d turns, %d inputs:\n%s", turns, n, b.String())
		}
		var agent strings.Builder
		kept, err := cut.WriteAgent(&agent, source(prompt("3", "for a"), prompt("22", "for c")), "agent-0", time.UnixMilli(99))
		if err != nil || !kept || strings.Contains(agent.String(), "for c") != (turns != 1) {
			t.Errorf("%d turns: an agent's journal: %v, %v\n%s", turns, kept, err, agent.String())
		}
	}
	if _, err := s.Cut(4); err == nil {
		t.Error("four turns of three")
	}
	for _, bad := range []string{`{"type":"metadata","protocol_version":"2.0"}`, `{"type":"agent.switched","branch":"b2","base":{"branch":"b2","line":1}}`} {
		if _, err := source(bad).Cut(-1); err == nil {
			t.Errorf("%s is cut", bad)
		}
	}
}
