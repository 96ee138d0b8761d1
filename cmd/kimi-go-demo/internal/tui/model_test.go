package tui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/grant"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

var noGrants, _ = grant.Open("")

// stage is a model without a program. A test can read what it prints and shows.
type stage struct {
	*model
	printed []string
}

func newStage(t *testing.T, columns, rows int) *stage {
	m := newModel(Config{Colour: true, WorkDir: t.TempDir(), Grants: noGrants}, newFeed(noGrants))
	m.phase = working
	m.begun = time.Time{}
	m.print.busy = true // play takes the lines instead of a terminal
	s := &stage{model: m}
	s.Update(tea.WindowSizeMsg{Width: columns + 1, Height: rows})
	return s
}

// play gives items to the model, as the feed does.
func (s *stage) play(items ...any) {
	s.Update(batch(items))
	s.printed = append(s.printed, s.print.lines...)
	s.print.lines = nil
}

func (s *stage) keys(list ...string) {
	for _, k := range list {
		msg := tea.KeyPressMsg{Code: []rune(k)[0], Text: k}
		if code, ok := map[string]tea.Key{
			"enter": {Code: tea.KeyEnter}, "tab": {Code: tea.KeyTab}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "esc": {Code: tea.KeyEscape},
			"ctrl+j": {Code: 'j', Mod: tea.ModCtrl}, "alt+enter": {Code: tea.KeyEnter, Mod: tea.ModAlt}, "ctrl+left": {Code: tea.KeyLeft, Mod: tea.ModCtrl},
			"ctrl+o": {Code: 'o', Mod: tea.ModCtrl}, "space": {Code: ' ', Text: " "},
		}[k]; ok {
			msg = tea.KeyPressMsg(code)
		}
		s.Update(msg)
	}
}

func (s *stage) typed(text string) {
	for _, c := range text {
		s.Update(tea.KeyPressMsg{Code: c, Text: string(c)})
	}
}

// all returns what was printed and what is shown, without styles.
func (s *stage) all() string {
	lines, _ := s.model.screen()
	return ansi.Strip(strings.Join(append(append([]string{}, s.printed...), lines...), "\n"))
}

func (s *stage) shows(t *testing.T, want ...string) {
	t.Helper()
	rest := s.all()
	for _, w := range want {
		i := strings.Index(rest, w)
		if i < 0 {
			t.Fatalf("%q is not shown:\n%s", w, s.all())
		}
		rest = rest[i+len(w):]
	}
}

func ptr[T any](v T) *T { return &v }

func toolCall(id, name, args string) *wireproto.ToolCall {
	return &wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: name, Arguments: &args}}
}

func toolResult(id, output string, display ...wireproto.DisplayBlock) *wireproto.ToolResult {
	return &wireproto.ToolResult{ToolCallID: id, ReturnValue: wireproto.ToolReturnValue{Output: wireproto.Content{Text: output}, Display: display}}
}

func say(text string) *run { return &run{text: []byte(text)} }

// A finished block is printed at once. A growing block is shown until it is finished. Each block is printed once, in
// order.
func TestTranscript(t *testing.T) {
	s := newStage(t, 60, 30)
	s.play(&wireproto.StepBegin{N: 1}, &run{thinking, []byte("first\nsecond")})
	s.shows(t, "thinking, 0 s: second")
	s.play(say("One **pa"), say("ragraph**\n\ntwo"))
	if diff := cmp.Diff([]string{"✻ thought for 0.0 s: first …", "", "  One paragraph"}, strings.Split(ansi.Strip(strings.Join(s.printed, "\n")), "\n")); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	s.shows(t, "✻ thought for 0.0 s: first …\n\n  One paragraph\n\n  two\n")
	s.play(toolCall("1", "Shell", `{"command":"ls`), &wireproto.ToolCallPart{ArgumentsPart: ptr(` -l"}`)}, toolCall("2", "Shell", `{"command":"pwd"}`), &wireproto.StatusUpdate{})
	s.shows(t, "  two\n\n", " Shell ls -l", " Shell pwd")
	s.play(toolResult("2", "/work"))
	s.shows(t, "Shell ls -l", "✓ Shell pwd\n  └ /work\n")
	if n := len(s.printed); n != 5 {
		t.Errorf("%q is printed before what stands above it is finished", s.printed[n-1])
	}
	s.play(toolResult("1", strings.Repeat("x\n", 20)))
	s.shows(t, "✓ Shell ls -l\n  └ x\n    x\n    x\n    x\n    x\n    … 15 more lines (Ctrl-O shows all)\n✓ Shell pwd\n  └ /work")
	if s.model.log.open(s.view()) != nil {
		t.Errorf("something is left open: %q", s.model.log.open(s.view()))
	}
}

// A result is folded by the number of lines that it takes on the screen. That can be more or fewer lines than its text
// has.
func TestFold(t *testing.T) {
	for _, tt := range []struct{ name, output, want string }{
		{"short", "a\nb", "  └ a\n    b\n\n"},
		{"as many as there is room for", "1\n2\n3\n4\n5\n6", "    5\n    6\n\n"},
		{"one more", "1\n2\n3\n4\n5\n6\n7", "    5\n    … 2 more lines (Ctrl-O shows all)\n\n"},
		{"blank", "1" + strings.Repeat("\n", 30) + "2", "  └ 1\n    ⋮ 5 blank lines\n    … 25 more lines (Ctrl-O shows all)\n\n"},
		{"wide", strings.Repeat("x", 56*7), "    ↪ " + strings.Repeat("x", 54) + "\n    … 3 more lines (Ctrl-O shows all)\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, 60, 30)
			s.play(toolCall("1", "Shell", "{}"), toolResult("1", tt.output))
			s.shows(t, strings.TrimSuffix(tt.want, "\n"))
		})
	}
}

// A long command is shown in lines of its own.
func TestCommand(t *testing.T) {
	s := newStage(t, 60, 30)
	s.play(toolCall("1", "Shell", `{"command":"ls -l\npwd"}`), toolResult("1", "x"), toolCall("2", "Shell", `{"command":"`+strings.Repeat("word ", 20)+`"}`), toolResult("2", "y"))
	s.shows(t, "✓ Shell\n    $ ls -l\n      pwd\n  └ x\n", "✓ Shell\n    $ word", "\n    ↪ ", "  └ y\n")
}

// A command of megabytes is laid out once for a width, not for each frame while it runs. A name of megabytes is not laid
// out at all.
func TestHugeCommand(t *testing.T) {
	s := newStage(t, 60, 30)
	s.play(toolCall("1", "Shell", `{"command":"`+strings.Repeat("word ", 400_000)+`"}`), &wireproto.StatusUpdate{})
	s.shows(t, " Shell  0 s\n    $ word", "\n    ↪ ", "more lines (Ctrl-O shows all)")
	c := s.model.log.running()
	for _, name := range []string{"Shell", strings.Repeat("Shell", 400_000)} {
		c.name = name
		v := s.view()
		c.lines(v)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			c.lines(v)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 64<<10 {
			t.Errorf("a frame takes %d bytes of memory", n)
		}
	}
	r := shellRequest()
	r.approval.Display = wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Command: strings.Repeat("word ", 400_000)}}
	s.decide.add(r)
	s.opens()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		s.model.screen()
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > 256<<10 {
		t.Errorf("a frame with a request takes %d bytes of memory", n)
	}
	v := s.view()
	v.columns = 50
	lines := c.lines(v)
	if len(lines) != maxResult+1 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if width(l) > v.columns {
			t.Errorf("too wide for %d columns: %q", v.columns, l)
		}
	}
}

// A subagent's work stands below the call that has started it: the latest part while it works, all of it at the end.
func TestTranscriptSubagent(t *testing.T) {
	s := newStage(t, 60, 30)
	sub := func(e wireproto.Message) *wireproto.SubagentEvent {
		return &wireproto.SubagentEvent{ParentToolCallID: ptr("a"), AgentID: ptr("sub1"), SubagentType: ptr("coder"), Event: e}
	}
	s.play(toolCall("a", "Agent", `{"description":"look"}`), &wireproto.StatusUpdate{})
	for i := range 9 {
		id := fmt.Sprint(i)
		s.play(sub(toolCall(id, "Read", `{"path":"f`+id+`"}`)), sub(toolResult(id, "")))
	}
	s.shows(t, "Agent look", "  │ … 13 lines before\n", "  │ ✓ Read f7", "  │ ✓ Read f8")
	s.play(toolResult("a", "found"))
	s.shows(t, "✓ Agent look\n  │ ✓ Read f0", "  │ ✓ Read f8", "  └ found")
}

// Every other event has its line, and the line above the editor says what the person waits for.
func TestNotices(t *testing.T) {
	s := newStage(t, 100, 30)
	s.status.begin("x", time.Now())
	s.shows(t, "the model · 0 s")
	s.play(&wireproto.StepRetry{N: 1, NextAttempt: 2, MaxAttempts: 3, WaitS: 4, StatusCode: ptr(429)})
	s.shows(t, "retry 1 of 2 in 4 s: 429 Too Many Requests\n", "retry 1 of 2 in 4 s: 429 Too Many Requests")
	s.play(&wireproto.CompactionBegin{})
	s.play(&wireproto.StepBegin{}, &wireproto.CompactionBegin{})
	s.shows(t, "compacting the context · 0 s")
	s.play(&wireproto.CompactionEnd{}, &wireproto.MCPLoadingBegin{})
	s.shows(t, "the context is compacted", "the MCP servers start")
	s.play(&wireproto.Notification{Title: "Task done", Body: "all\nof it", Severity: "success"}, &wireproto.PlanDisplay{Content: "# P\n1. do", FilePath: "plan.md"})
	s.shows(t, "◆ Task done: all", "plan plan.md\n  P\n\n  1. do")
	todo := &wireproto.TodoDisplayBlock{Items: []wireproto.TodoItem{{Title: "one", Status: "in_progress"}}}
	s.play(toolCall("t", "Todo", "{}"), toolResult("t", "", todo))
	s.shows(t, "[>] one")
	todo.Items[0].Status = "done"
	s.play(toolCall("u", "Todo", "{}"), toolResult("u", "", todo))
	s.shows(t, "[x] one")
	if n := strings.Count(s.all(), "] one"); n != 1 {
		t.Errorf("the todo list is shown %d times:\n%s", n, s.all())
	}
	servers := &wireproto.MCPStatus{Servers: []wireproto.MCPServer{{Name: "good", Status: "connected", Tools: []string{"a", "b"}}, {Name: "bad", Status: "failed"}}}
	s.play(&wireproto.StatusUpdate{MCPStatus: servers}, &wireproto.StatusUpdate{MCPStatus: servers})
	s.shows(t, "MCP server good: 2 tools\nMCP server bad: failed\n    [x] one") // once
	s.play(&wireproto.StatusUpdate{PlanMode: ptr(true), ContextUsage: ptr(0.25)})
	s.shows(t, "plan mode", "context 25%")
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Text that controls a terminal has no effect, whatever message it is in.
func TestHostile(t *testing.T) {
	const evil = "\x1b]52;c;eA\x07\u202e\u200b\r\x9b2J"
	s := newStage(t, 100, 60)
	s.status.begin(evil, time.Now())
	args, _ := json.Marshal(map[string]string{"command": evil, evil: evil})
	diff := &wireproto.DiffDisplayBlock{Path: evil, OldText: "a " + evil, NewText: "b " + evil}
	s.play(&run{thinking, []byte(evil + "\n" + evil)}, say(evil+"\n\n"+evil), toolCall("1", evil, string(args)), toolResult("1", evil, diff, &wireproto.TodoDisplayBlock{Items: []wireproto.TodoItem{{Title: evil}}}),
		toolCall("2", evil, evil), &wireproto.Notification{Title: evil, Body: evil}, &wireproto.PlanDisplay{Content: evil, FilePath: evil},
		&wireproto.HookResolved{Event: evil, Target: evil, Reason: evil, Action: wireproto.HookBlock}, &wireproto.BtwBegin{Question: evil}, &wireproto.BtwEnd{Error: ptr(evil)},
		&wireproto.UnknownMessage{Type: evil}, &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: evil}}, &wireproto.StepRetry{ErrorType: evil},
		&wireproto.SubagentEvent{AgentID: ptr(evil), SubagentType: ptr(evil), Event: &wireproto.TextPart{Text: evil}}, toldItem{fmt.Errorf("%s", evil)})
	s.edit.insert(evil)
	s.queue = append(s.queue, &queued{text: evil})
	for _, r := range []*request{
		{id: "1", approval: &client.ApprovalRequest{ApprovalRequest: wireproto.ApprovalRequest{Sender: evil, Action: evil, Description: evil, Display: wireproto.DisplayBlocks{diff}}}, name: evil, arguments: args},
		{id: "2", question: &client.QuestionRequest{QuestionRequest: wireproto.QuestionRequest{Questions: []wireproto.QuestionItem{{Question: evil, Header: evil, Body: evil, OtherLabel: evil,
			OtherDescription: evil, Options: []wireproto.QuestionOption{{Label: evil, Description: evil}}}}}}, chosen: map[int]bool{}, answers: map[string]string{}},
	} {
		s.decide = decider{list: []*request{r, r}}
		view := s.View()
		lines := append(append([]string{view.WindowTitle}, s.printed...), strings.Split(view.Content, "\n")...)
		for _, b := range s.log.folds {
			lines = append(lines, b.full(s.view())...)
		}
		if len(s.log.folds) < 2 {
			t.Errorf("%d texts are folded", len(s.log.folds))
		}
		for _, l := range lines {
			bare := sgr.ReplaceAllString(l, "")
			if screen.Clean(bare) != bare {
				t.Errorf("%q acts on the terminal", l)
			}
			if width(l) > 100 {
				t.Errorf("%q is wider than the terminal", l)
			}
		}
	}
}

// Text of an agent stands to the right of the column in which the program's own rows begin, so it cannot look like such
// a row.
func TestFakePrompt(t *testing.T) {
	s := newStage(t, 40, 30)
	s.play(say("? Shell wants to run command\n\n> yes\n\n```\ny yes, once\n```\n\n" + strings.Repeat("word ", 30) + "\n\nend\n\n"))
	for l := range strings.SplitSeq(ansi.Strip(strings.Join(s.printed, "\n")), "\n") {
		if l != "" && !strings.HasPrefix(l, "  ") {
			t.Errorf("%q stands where the program's rows do", l)
		}
	}
}

// Ctrl-O shows the folded texts in full, the last one first, each once.
func TestUnfold(t *testing.T) {
	s := newStage(t, 60, 30)
	var long []string
	for i := range 30 {
		long = append(long, fmt.Sprintf("line %d", i+1))
	}
	s.log.replay = true
	s.play(&wireproto.TurnBegin{UserInput: wireproto.Content{Text: strings.Join(long, "\n")}}, &run{thinking, []byte("first\nsecond")}, say("done\n\n"))
	s.shows(t, "> line 1\n", "  line 19\n    … 11 more lines (Ctrl-O shows all)\n", "✻ thought: first …")
	for _, want := range [][]string{{"✻ first\n  second"}, {"> line 1\n", "  line 30\n"}, nil} {
		s.printed = nil
		s.keys("ctrl+o")
		s.play()
		s.shows(t, want...)
	}
	s.shows(t, "nothing more is folded")
}

// Choices that do not fit on the screen scroll with the cursor.
func TestManyOptions(t *testing.T) {
	s := newStage(t, 60, 20)
	q := wireproto.QuestionItem{Question: "Which?"}
	for i := range 30 {
		q.Options = append(q.Options, wireproto.QuestionOption{Label: fmt.Sprintf("option %d.", i+1), Description: strings.Repeat("word ", 15)})
	}
	r := &request{id: "1", question: &client.QuestionRequest{QuestionRequest: wireproto.QuestionRequest{Questions: []wireproto.QuestionItem{q}}}, chosen: map[int]bool{}, answers: map[string]string{}}
	s.decide.add(r)
	for i := range 31 {
		want := fmt.Sprintf("❯ %d option %d.", i+1, i+1)
		if i == 30 {
			want = "❯ 31 Something else: type it"
		}
		s.shows(t, "? Which?", want, "Enter chooses")
		if lines, _ := s.model.screen(); len(lines) > 19 || s.decide.cut {
			t.Fatalf("%d lines on a screen of 20, cut: %v", len(lines), s.decide.cut)
		}
		s.decide.press(tea.KeyPressMsg{Code: tea.KeyDown})
	}
}

// asks adds a request with questions, and lets keys answer it.
func (s *stage) asks(items ...wireproto.QuestionItem) *request {
	r := &request{id: "q", question: &client.QuestionRequest{QuestionRequest: wireproto.QuestionRequest{Questions: items}}, chosen: map[int]bool{}, answers: map[string]string{}}
	s.decide.add(r)
	s.opens()
	return r
}

// opens lets keys answer the request, as if it had been on the screen for long enough.
func (s *stage) opens() {
	s.Update(tickMsg{})
	s.guard.shown, s.guard.lastKey = true, time.Time{}
	s.Update(tickMsg{})
}

// A person can skip a question, go back to the previous question, and add words to the marked options.
func TestQuestionsBack(t *testing.T) {
	s := newStage(t, 70, 24)
	options := []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}
	r := s.asks(wireproto.QuestionItem{Question: "First?", Options: options}, wireproto.QuestionItem{Question: "Second?", Options: options, MultiSelect: true},
		wireproto.QuestionItem{Question: "Third?", Options: options})
	s.shows(t, "? (1 of 3) First?", "3 Something else: type it", "Esc skips")
	s.keys("3")
	s.typed("mine")
	s.keys("enter")
	s.opens()
	s.shows(t, "? (2 of 3) Second?", "3 [ ] None of these", "4 Something else: type it", "← back")
	s.keys("x") // the begin of an answer
	s.shows(t, "Your answer", "› x")
	s.keys("esc")
	s.opens()
	s.Update(tea.KeyPressMsg{Code: tea.KeyDown})
	s.opens()
	s.keys("enter")
	s.shows(t, "❯ 1 [ ] one", "nothing is marked")
	s.keys("2", "4")
	s.shows(t, "› x")
	s.Update(tea.KeyPressMsg{Code: tea.KeyBackspace})
	s.typed("more")
	s.keys("enter")
	s.opens()
	s.shows(t, "? (3 of 3) Third?")
	if diff := cmp.Diff(map[string]string{"First?": "mine", "Second?": "two, more"}, r.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	s.Update(tea.KeyPressMsg{Code: tea.KeyLeft})
	s.opens()
	s.shows(t, "? (2 of 3) Second?", "[ ] one", "[x] two", "Something else: type it  “more”")
	s.Update(tea.KeyPressMsg{Code: tea.KeyLeft})
	s.opens()
	s.shows(t, "? (1 of 3) First?", "❯ 3 ✓ Something else: type it  “mine”")
	s.Update(tea.KeyPressMsg{Code: tea.KeyRight})
	s.opens()
	s.keys("2", "1", "enter") // marks another, and keeps the words
	s.opens()
	if got := r.answers["Second?"]; got != "one, more" {
		t.Errorf("the changed answer is %q", got)
	}
	s.Update(tea.KeyPressMsg{Code: tea.KeyLeft})
	s.opens()
	s.keys("esc")
	s.opens()
	s.shows(t, "? (3 of 3) Third?")
	if diff := cmp.Diff(map[string]string{"First?": "mine"}, r.answers); diff != "" {
		t.Errorf("answers after one is skipped (-want +got):\n%s", diff)
	}
}

// What the person changes about a question is kept when they go to another question, as the screen shows it.
func TestQuestionsKept(t *testing.T) {
	s := newStage(t, 70, 24)
	options := []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}, {Label: "three"}}
	r := s.asks(wireproto.QuestionItem{Question: "First?", Options: options}, wireproto.QuestionItem{Question: "Second?", Options: options, MultiSelect: true},
		wireproto.QuestionItem{Question: "Third?", Options: options})
	press := func(keys ...rune) {
		t.Helper()
		for _, k := range keys {
			s.Update(tea.KeyPressMsg{Code: k})
			s.opens()
		}
	}
	s.keys("2", "enter")
	s.opens()
	s.keys("1", "enter")
	s.opens()
	press(tea.KeyLeft, tea.KeyLeft)
	s.keys("1")
	press(tea.KeyRight)
	s.keys("1", "3")
	s.shows(t, "[ ] one", "❯ 3 [x] three", "[ ] None of these")
	press(tea.KeyRight) // the third has no answer, and is left without one
	press(tea.KeyLeft, tea.KeyLeft)
	want := map[string]string{"First?": "one", "Second?": "three"}
	if diff := cmp.Diff(want, r.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	s.shows(t, "❯ 1 ✓ one")
	press(tea.KeyDown) // only looks
	s.shows(t, "1 ✓ one", "❯ 2 two")
	press(tea.KeyRight)
	s.keys("4")
	s.shows(t, "[ ] one", "[ ] three", "❯ 4 [x] None of these")
	want["Second?"] = "None of these"
	if diff := cmp.Diff(want, r.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	s.keys("4")
	s.shows(t, "[ ] one", "[x] three", "❯ 4 [ ] None of these")
	s.keys("4", "1")
	s.shows(t, "❯ 1 [x] one", "[ ] three", "4 [ ] None of these")
	s.keys("1", "3")
	want["Second?"] = "three"
	if diff := cmp.Diff(want, r.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	s.keys("9")
	s.shows(t, "there is no 9: choose from 1 to 5")
	press(tea.KeyLeft)
	s.typed("in my words")
	s.shows(t, "Your answer", "› in my words")
	s.keys("enter")
	s.opens()
	if want["First?"] = "in my words"; r.answers["First?"] != "in my words" || s.edit.text() != "" {
		t.Errorf("answers %v, the draft is %q", r.answers, s.edit.text())
	}
}

// A text that was begun before a question can become its answer.
func TestDraftAnswers(t *testing.T) {
	s := newStage(t, 70, 24)
	s.typed("in my words")
	r := s.asks(wireproto.QuestionItem{Question: "First?", Options: []wireproto.QuestionOption{{Label: "one"}}}, wireproto.QuestionItem{Question: "Second?"})
	s.shows(t, "> in my words", "Tab makes your text the answer")
	s.keys("tab")
	s.shows(t, "› in my words")
	s.keys("esc")
	s.shows(t, "> in my words", "Tab makes your text the answer")
	s.keys("tab", "enter")
	s.opens()
	if r.answers["First?"] != "in my words" || s.edit.text() != "" {
		t.Errorf("answers %v, the draft is %q", r.answers, s.edit.text())
	}
	s.Update(tea.PasteMsg{Content: strings.Repeat("x\n", 40)})
	s.opens()
	s.keys("tab")
	s.shows(t, "> [pasted 40 lines]", "cannot be the answer")
	s.edit.clear()
	s.Update(tea.KeyPressMsg{Code: tea.KeyLeft})
	s.opens()
	s.Update(tea.KeyPressMsg{Code: tea.KeyLeft})
	s.opens()
	s.edit.set("x")
	s.keys("tab")
	s.Update(tea.KeyPressMsg{Code: tea.KeyBackspace})
	s.keys("enter")
	s.opens()
	s.keys("esc") // of the question, not of the draft
	s.opens()
	if len(r.answers) > 0 || r.index != 1 {
		t.Errorf("question %d, answers %v", r.index, r.answers)
	}
}

// A key that is pressed twice answers only once, and what is typed while a question appears does not answer it.
func TestPressedTwice(t *testing.T) {
	options := []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}
	questions := []wireproto.QuestionItem{{Question: "First?", Options: options}, {Question: "Second?", Options: options}, {Question: "Third?"}, {Question: "Fourth?"}}
	s := newStage(t, 70, 24)
	r := s.asks(questions...)
	s.keys("enter")
	s.guard.shown = true // the next question is on the screen
	s.keys("enter")
	if diff := cmp.Diff(map[string]string{"First?": "one"}, r.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	s.opens()
	s.keys("2", "enter")
	s.opens()
	s.keys("1")
	s.keys("2", "m")
	s.shows(t, "? (3 of 4) Third?", "› 12m") // a question without options takes digits as text
	s.keys("esc", "esc")                     // the second Esc does not skip the question
	if r.index != 2 || r.typed != "12m" {
		t.Errorf("question %d, typed %q", r.index, r.typed)
	}
	s.opens()
	s.Update(tea.PasteMsg{Content: " and more"})
	s.keys("enter")
	if want := "12m and more"; r.answers["Third?"] != want {
		t.Errorf("the answer is %q, want %q", r.answers["Third?"], want)
	}
}

// A text may begin with a digit.
func TestDigitText(t *testing.T) {
	for _, several := range []bool{false, true} {
		s := newStage(t, 70, 24)
		r := s.asks(wireproto.QuestionItem{Question: "First?", Options: []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}, MultiSelect: several}, wireproto.QuestionItem{Question: "Second?"})
		s.typed("2-factor")
		s.shows(t, "› 2-factor")
		s.keys("enter")
		if got := r.answers["First?"]; got != "2-factor" {
			t.Errorf("several %v: the answer is %q", several, got)
		}
	}
}

// Own words can be taken back.
func TestWordsTakenBack(t *testing.T) {
	s := newStage(t, 70, 24)
	options := []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}
	r := s.asks(wireproto.QuestionItem{Question: "First?", Options: options, MultiSelect: true}, wireproto.QuestionItem{Question: "Second?"})
	s.keys("1")
	r.digit = nil // after a pause
	s.typed("mine")
	s.keys("enter")
	s.opens()
	s.Update(tea.KeyPressMsg{Code: tea.KeyLeft})
	s.opens()
	if got := r.answers["First?"]; got != "one, mine" {
		t.Errorf("the answer is %q", got)
	}
	s.keys("4")
	for range "mine" {
		s.Update(tea.KeyPressMsg{Code: tea.KeyBackspace})
	}
	s.keys("enter")
	if got := r.answers["First?"]; got != "one" || r.words != "" {
		t.Errorf("the answer is %q, the words %q", got, r.words)
	}
}

// A person may press Enter before the chat has the terminal.
func TestEarlyEnter(t *testing.T) {
	s := newStage(t, 70, 24)
	s.begun = time.Now().Add(time.Hour)
	s.typed("look")
	s.keys("ctrl+j")
	if len(s.queue) != 1 || s.queue[0].text != "look" {
		t.Errorf("the queue is %v, the draft %q", s.queue, s.edit.text())
	}
}

// The agent may get a steer after the turn for which it was meant. It is not sent again then.
func TestLateSteer(t *testing.T) {
	s := newStage(t, 70, 24)
	s.queue = []*queued{{text: "other", whole: "other"}, {text: "more", whole: "more", sent: true}}
	s.paused = true
	s.play(&wireproto.SteerInput{UserInput: wireproto.Content{Text: "more"}})
	s.shows(t, "» more", "⋯ queued: other\n")
	if len(s.queue) != 1 || !s.paused {
		t.Errorf("%d are queued, paused: %v", len(s.queue), s.paused)
	}
}

// What runs in the background is shown, and leaving says that it ends.
func TestBackground(t *testing.T) {
	s := newStage(t, 70, 24)
	s.play(toolCall("1", "Bash", `{"command":"sleep 9","run_in_background":true}`), &wireproto.ToolResult{ToolCallID: "1", ReturnValue: wireproto.ToolReturnValue{Output: wireproto.Content{Text: "task_id: bash-1\nstatus: running"}}})
	s.phase = idle
	s.shows(t, "1 background task")
	s.keys("ctrl+d")
	s.shows(t, "Ctrl-D again leaves and ends 1 background task")
	s.keys("x")
	s.play(&wireproto.Notification{Category: "task", SourceID: "bash-1", Title: "done"})
	s.Update(tea.KeyPressMsg{Code: tea.KeyBackspace})
	s.keys("ctrl+d")
	if s.phase != leaving {
		t.Error("it does not leave")
	}
}

// Letters that a person presses in a hurry become no message, and do not answer the next request.
func TestHasty(t *testing.T) {
	s := newStage(t, 70, 24)
	s.decide.add(shellRequest())
	s.opens()
	s.keys("a", "a")
	s.shows(t, "a: always")
	s.Update(s.pending)
	s.keys("a")
	s.shows(t, "What is always allowed?")
	s.decide.drop("1")
	s.play()
	s.decide.add(shellRequest())
	s.Update(tickMsg{})
	s.keys("a", "a")
	s.shows(t, "wait a moment before a answers the next request")
	if r := s.decide.now(); r.choosing || s.pending != nil || !s.edit.empty() {
		t.Errorf("the request is %+v, the draft %q", r, s.edit.text())
	}
	s.opens()
	s.typed("yn")
	s.shows(t, "> yn")
	s.keys("enter")
	s.shows(t, "“yn” is not sent as a message")
	if len(s.queue) > 0 || !s.edit.empty() {
		t.Errorf("the draft is %q, %d are queued", s.edit.text(), len(s.queue))
	}
	s.opens()
	s.keys("m")
	s.shows(t, "m: all of it is on the screen")
	s.Update(s.pending)
	if !s.edit.empty() {
		t.Errorf("the draft is %q", s.edit.text())
	}
}

// A letter that is taken back at once does not answer.
func TestTakenBack(t *testing.T) {
	for _, k := range []tea.KeyPressMsg{{Code: tea.KeyBackspace}, {Code: tea.KeyEscape}, {Code: 'u', Mod: tea.ModCtrl}, {Code: 'w', Mod: tea.ModCtrl}} {
		s := newStage(t, 70, 24)
		s.decide.add(shellRequest())
		s.opens()
		s.keys("a")
		s.Update(k)
		if r := s.decide.now(); r == nil || r.choosing || s.pending != nil {
			t.Errorf("%s gives the letter before it to the request", k)
		}
	}
}

func shellRequest() *request {
	return &request{id: "1", offers: []grant.Offer{{Words: "all"}}, approval: &client.ApprovalRequest{ApprovalRequest: wireproto.ApprovalRequest{
		Sender: "Shell", Action: "run command", ToolCallID: "c", Display: wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Command: "ls"}}}}}
}

// If a request is answered elsewhere, the reason that the person types stays, and the call runs.
func TestAnsweredElsewhere(t *testing.T) {
	s := newStage(t, 70, 24)
	s.phase = working
	s.play(&wireproto.ToolCall{ID: "c", Function: wireproto.ToolCallFunction{Name: "Shell"}}, requestItem{shellRequest()})
	s.opens()
	s.keys("e")
	s.typed("leave it, and ")
	s.play(resolvedItem{"1"})
	s.typed("list")
	if got := s.edit.text(); got != "leave it, and list" {
		t.Errorf("the editor has %q", got)
	}
	if c := s.log.find("c"); c == nil || c.asked {
		t.Errorf("the call is %+v", c)
	}
	s.log.close(s.now)
	s.play()
	s.shows(t, "✗ Shell", "no result")
}

// The mark of a paste is deleted as a whole, and the cursor never stands in it.
func TestPasteWhole(t *testing.T) {
	paste := strings.Repeat("x\n", 40)
	const mark = "[pasted 40 lines]"
	left, right := tea.KeyPressMsg{Code: tea.KeyLeft}, tea.KeyPressMsg{Code: tea.KeyRight}
	for _, tt := range []struct {
		name string
		keys []tea.KeyPressMsg
		want string
	}{
		{"Backspace after it", []tea.KeyPressMsg{left, left, left, left, {Code: tea.KeyBackspace}}, "go  now"},
		{"Delete before it", []tea.KeyPressMsg{left, left, left, left, left, {Code: tea.KeyDelete}}, "go  now"},
		{"the word before", []tea.KeyPressMsg{left, left, left, {Code: 'w', Mod: tea.ModCtrl}}, "go now"},
		{"over it and back", []tea.KeyPressMsg{left, left, left, left, left, left, right, right, {Code: 'z', Text: "z"}}, "go " + mark + "z now"},
		{"no other case", []tea.KeyPressMsg{{Code: tea.KeyLeft, Mod: tea.ModAlt}, {Code: tea.KeyLeft, Mod: tea.ModAlt}, {Code: 'u', Mod: tea.ModAlt}, {Code: 't', Mod: tea.ModCtrl}}, "go " + mark + " now"},
		{"a word back", []tea.KeyPressMsg{{Code: tea.KeyLeft, Mod: tea.ModAlt}, {Code: tea.KeyLeft, Mod: tea.ModAlt}, {Code: 'z', Text: "z"}}, "go z" + mark + " now"},
	} {
		s := newStage(t, 70, 24)
		s.typed("go ")
		s.Update(tea.PasteMsg{Content: paste})
		s.typed(" now")
		for _, k := range tt.keys {
			s.Update(k)
		}
		if got := s.edit.text(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	s := newStage(t, 70, 24)
	s.session, s.phase = nil, starting
	s.typed("go ")
	s.Update(tea.PasteMsg{Content: paste})
	s.typed(" now")
	s.keys("ctrl+o")
	s.play()
	s.shows(t, "pasted: x\n  x\n", "> go "+mark+" now")
	s.keys("enter", "up", "up")
	if got := s.edit.text(); got != "go "+mark+" now" {
		t.Errorf("the history has %q", got)
	}
	if got := s.edit.whole(); got != "go "+paste+" now" {
		t.Errorf("in full, it is %.40q", got)
	}
	s.edit.clear()
	s.warned = true
	s.Update(tea.PasteMsg{Content: mark + strings.Repeat("\ny", 50)}) // a paste with the mark of the other one
	if got := s.edit.whole(); !strings.HasPrefix(got, mark+"\ny") || s.warned {
		t.Errorf("in full, it is %.40q; the next Ctrl-C leaves: %v", got, s.warned)
	}
}

// A letter answers an approval only if no other letter follows at once: a person who types a text does not answer.
func TestLetters(t *testing.T) {
	for _, tt := range []struct {
		text    string
		pause   bool // after the first letter
		draft   string
		choose  bool // the list of "always" is open
		pending bool
	}{
		{"yes please", false, "yes please", false, false},
		{"also", false, "also", false, false},
		{"a", true, "", true, false},
		{"also", true, "lso", false, false}, // the list closes
		{"y", false, "", false, true},
		{"please", false, "please", false, false},
		{"7", false, "7", false, false},
	} {
		s := newStage(t, 70, 24)
		s.decide.add(&request{id: "1", offers: []grant.Offer{{Words: "all"}}, approval: &client.ApprovalRequest{ApprovalRequest: wireproto.ApprovalRequest{
			Sender: "Shell", Action: "run command", Display: wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Command: "ls"}}}}})
		s.opens()
		for i, c := range tt.text {
			s.Update(tea.KeyPressMsg{Code: c, Text: string(c)})
			if i == 0 && tt.pause {
				s.Update(s.pending) // as when the time has passed
				s.opens()
			}
		}
		r := s.decide.now()
		if r == nil {
			t.Fatalf("%q answers", tt.text)
		}
		if tt.pending { // a paste belongs to the text, too, and so does a letter after Esc
			s.Update(tea.PasteMsg{Content: "es, please"})
			if got := s.edit.text(); got != "yes, please" || s.pending != nil {
				t.Errorf("with a paste, the draft is %q", got)
			}
			s.keys("esc")
			s.opens()
			s.typed("ye")
			if got := s.edit.text(); got != "yes, pleaseye" || r.taken {
				t.Errorf("after Esc, the draft is %q; keys answer: %v", got, r.taken)
			}
			continue
		}
		if got := s.edit.text(); got != tt.draft || r.choosing != tt.choose || (s.pending != nil) != tt.pending {
			t.Errorf("%q: the draft is %q, the list is open: %v, a letter waits: %v", tt.text, got, r.choosing, s.pending != nil)
		}
	}
}

// While there is a draft, keys go to the draft, however slowly they come. After Esc, keys go to the request.
func TestDraftFirst(t *testing.T) {
	s := newStage(t, 70, 24)
	s.typed("please look")
	r := s.asks(wireproto.QuestionItem{Question: "Which?", Options: []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}})
	s.shows(t, "? Which?", "> please look", "Esc, then a key answers")
	for range 3 {
		s.opens()
		s.keys("1", "y")
	}
	if got := s.edit.text(); got != "please look1y1y1y" || len(r.answers) > 0 {
		t.Errorf("the draft is %q, the answers are %v", got, r.answers)
	}
	s.keys("esc", "2")
	s.shows(t, "❯ 2 ✓ two", "a key answers")
	if got := s.edit.text(); got != "please look1y1y1y" {
		t.Errorf("the draft is %q", got)
	}
}

// A picture that comes into the editor late does not take the keys away from an answer that is being typed.
func TestDraftLate(t *testing.T) {
	s := newStage(t, 70, 24)
	s.asks(wireproto.QuestionItem{Question: "Which?", Options: []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}})
	s.keys("3")
	s.typed("mi")
	s.edit.insert("@picture.png ")
	s.typed("ne")
	if got := s.decide.words.Value(); got != "mine" || s.edit.text() != "@picture.png " {
		t.Errorf("the answer is %q, the draft %q", got, s.edit.text())
	}
}

// When the draft is sent or erased, the person goes on typing for a moment. Those keys are for the next
// text and do not answer the request.
func TestDraftGone(t *testing.T) {
	for _, last := range []tea.KeyPressMsg{{Code: tea.KeyEnter}, {Code: tea.KeyBackspace}} {
		s := newStage(t, 70, 24)
		s.phase = working
		s.typed("x")
		r := s.asks(wireproto.QuestionItem{Question: "Which?", Options: []wireproto.QuestionOption{{Label: "one"}, {Label: "two"}}})
		s.Update(last)
		if !s.edit.empty() {
			t.Fatalf("%v leaves the draft %q", last, s.edit.text())
		}
		s.keys("2")
		if got := s.edit.text(); got != "2" || r.cursor != 0 {
			t.Errorf("after %v, the next key leaves the draft %q and the cursor at %d", last, got, r.cursor)
		}
		s.Update(tea.KeyPressMsg{Code: tea.KeyBackspace})
		s.opens()
		s.keys("2")
		if r.cursor != 1 || !s.edit.empty() {
			t.Errorf("after %v and a pause, a key is not for the request", last)
		}
	}
}

// A long entry of the history comes back into the editor as one folded text.
func TestRecall(t *testing.T) {
	s := newStage(t, 70, 24)
	long := strings.Repeat("line\n", 50)
	s.edit.history.entries = []string{"short\ntext", long}
	s.keys("up")
	if got := s.edit.text(); got != "[pasted 50 lines]" || s.edit.whole() != long {
		t.Errorf("recalled as %q", got)
	}
	s.keys("up")
	if got := s.edit.text(); got != "short\ntext" {
		t.Errorf("recalled as %q", got)
	}
}

// A call that waits for a person when the turn ends is shown as not run.
func TestNotRun(t *testing.T) {
	s := newStage(t, 70, 24)
	s.play(toolCall("1", "Shell", `{"command":"rm -r x"}`), &wireproto.StatusUpdate{})
	s.log.calls["1"].asked = true
	s.log.close(time.Now())
	s.play()
	s.shows(t, "✗ Shell rm -r x  not run\n")
	if strings.Contains(s.all(), "no result") {
		t.Errorf("it looks as if it had run:\n%s", s.all())
	}
}

// While the session changes, a command that needs the session does not run, and its text stays in the editor.
func TestChangeBusy(t *testing.T) {
	for _, command := range []string{"/model", "/model other", "/effort", "/effort high", "/plan", "/fork", "/undo"} {
		s := newStage(t, 60, 20)
		s.session, s.phase, s.doing = new(client.Session), starting, "the session is copied"
		s.typed(command)
		s.keys("esc", "enter")
		if s.edit.text() != "" || s.hint != "not now: wait for kimi; ↑ brings it back" {
			t.Errorf("%s: the editor has %q, the hint is %q", command, s.edit.text(), s.hint)
		}
		s.keys("up")
		if got := s.edit.text(); got != command {
			t.Errorf("%s comes back as %q", command, got)
		}
	}
}

// Plan mode holds in the session that the chat goes on with, before anything is sent to it.
func TestMovePlans(t *testing.T) {
	open := func(ctx context.Context) (*client.Session, error) {
		return client.NewSession(ctx, &client.Options{Transport: clienttest.NewAgent(t), WorkDir: t.TempDir()})
	}
	s := newStage(t, 60, 20)
	s.cfg.Reopen = func(ctx context.Context, _, _, _, _ string) (*client.Session, error) { return open(ctx) }
	for _, plan := range []bool{true, false} {
		old, err := open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := s.move(t.Context(), old, "id", "", "", "", plan)
		if c.err != nil {
			t.Fatal(c.err)
		}
		if got := c.session.Status().PlanMode; got != plan || c.plan != plan {
			t.Errorf("plan mode is %v, told as %v, want %v", got, c.plan, plan)
		}
		if err := c.session.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The menu of /fork and /undo has the turns, the latest first.
func TestTurnMenu(t *testing.T) {
	s := newStage(t, 70, 20)
	s.session, s.phase = new(client.Session), idle
	s.cfg.Prompts = func(string) ([]string, error) { return []string{"alpha", "beta\nof two lines"}, nil }
	for _, tt := range []struct{ command, first, second string }{
		{"/fork ", "❯ /fork 2  keeps up to “beta of two lines”\n", "  /fork 1  keeps up to “alpha”\n"},
		{"/undo ", "❯ /undo 1  takes back from “beta of two lines” on\n", "  /undo 2  takes back from “alpha” on\n"},
	} {
		s.typed(tt.command)
		s.work.Wait()
		s.play(s.feed.take()...)
		s.shows(t, tt.first, tt.second, "Tab or Enter completes")
		for _, choice := range []struct {
			keys []string
			line string
		}{{[]string{"enter"}, tt.first[len("❯"):]}, {[]string{"down", "enter"}, tt.second}} {
			s.edit.clear()
			s.typed(tt.command)
			s.keys(choice.keys...)
			if got, want := s.edit.text(), strings.Join(strings.Fields(choice.line)[:2], " ")+" "; got != want {
				t.Errorf("%s completed to %q, want %q", choice.keys, got, want)
			}
		}
		s.edit.clear()
	}
}

// A frame stays on the screen until the next one comes, so its height counts however long ago that was.
func TestTallest(t *testing.T) {
	var height tallest
	now := time.Now()
	for _, tt := range []struct {
		after       time.Duration
		lines, want int
	}{{0, 12, 12}, {10 * time.Second, 5, 12}, {10 * time.Millisecond, 5, 12}, {150 * time.Millisecond, 5, 5}, {time.Second, 6, 6}, {time.Millisecond, 4, 6}} {
		now = now.Add(tt.after)
		height.note(tt.lines, now)
		if got := height.max(); got != tt.want {
			t.Errorf("%v later with %d lines: %d, want %d", tt.after, tt.lines, got, tt.want)
		}
	}
}

// A search that finds no session says so, and Enter chooses nothing.
func TestPickerEmpty(t *testing.T) {
	p := &picker{columns: 60, rows: 20, all: []entry{{text: "/about it abcd-1234"}, {text: "/other abcd-9999"}}}
	p.filter()
	for search, want := range map[string]int{"ab": 1, "1234": 1, "abcd": 2, "": 2} {
		p.search = []rune(search)
		if p.filter(); len(p.found) != want {
			t.Errorf("%q finds %v", search, p.found)
		}
	}
	for _, c := range "xyz" {
		p.Update(tea.KeyPressMsg{Code: c, Text: string(c)})
	}
	p.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	if text := ansi.Strip(p.View().Content); !strings.Contains(text, "no session has these letters") || p.over {
		t.Errorf("over: %v, it shows\n%s", p.over, text)
	}
}

func TestEditor(t *testing.T) {
	s := newStage(t, 40, 20)
	s.typed("one")
	s.keys("ctrl+j")
	s.typed("two 世界")
	s.keys("alt+enter", "x", "ctrl+left", "y")
	if got, want := s.edit.text(), "one\ntwo 世界\nyx"; got != want {
		t.Errorf("typed %q, want %q", got, want)
	}
	s.shows(t, "> one\n  two 世界\n  yx")
	s.edit.clear()
	long := strings.Repeat("line\n", 312)
	s.Update(tea.PasteMsg{Content: "short\npaste "})
	s.Update(tea.PasteMsg{Content: long})
	s.Update(tea.PasteMsg{Content: strings.Repeat("eine\n", 312)})
	s.shows(t, "> short\n  paste [pasted 312 lines][pasted 312\n", "  lines, 2]")
	if got, want := s.edit.whole(), "short\npaste "+long+strings.Repeat("eine\n", 312); got != want {
		t.Errorf("what is sent is %q", got)
	}
}

// An image file that is dropped on the terminal, or named, is sent. Terminals quote its path in several ways.
func TestImages(t *testing.T) {
	s := newStage(t, 200, 20)
	dir := s.cfg.WorkDir
	var paths []string
	for _, name := range []string{"a picture.png", "it's (1) & more.JPG", "plain.webp", "100%é.gif"} {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(paths[len(paths)-1], []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	escape := regexp.MustCompile(`[ '()&%]`)
	quoted := func(p string) string { return "'" + strings.ReplaceAll(p, "'", `'\''`) + "'" }
	var all, urls []string
	for _, p := range paths {
		all = append(all, quoted(p))
		urls = append(urls, (&url.URL{Scheme: "file", Path: p}).String())
		for _, text := range []string{p, " " + p + "\n", escape.ReplaceAllString(p, `\$0`), quoted(p), `"` + p + `"`, urls[len(urls)-1] + "\r\n"} {
			s.edit.clear()
			s.Update(tea.PasteMsg{Content: text})
			if got, want := s.edit.text(), "@"+quotePath(p)+" "; got != want {
				t.Errorf("pasted %q as %q, want %q", text, got, want)
			}
		}
	}
	for _, text := range []string{strings.Join(all, " "), strings.Join(urls, "\r\n")} {
		s.edit.clear()
		s.Update(tea.PasteMsg{Content: text})
		if diff := cmp.Diff(paths, mentions(s.edit.whole(), dir)); diff != "" {
			t.Errorf("pasted %q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{"plain.webp", paths[2] + " and words", quoted(paths[2]) + " '", dir + "/none.png", "http://host" + paths[2], dir, `\`} {
		s.edit.clear()
		s.Update(tea.PasteMsg{Content: text})
		if got := s.edit.text(); got != text {
			t.Errorf("pasted %q as %q", text, got)
		}
	}
	text := `see @plain.webp and @"a picture.png", @none.png, a@b.png @go.mod`
	if diff := cmp.Diff([]string{paths[2], paths[0]}, mentions(text, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestComplete(t *testing.T) {
	s := newStage(t, 60, 20)
	for _, name := range []string{"main.go", "main_test.go", "sub/other main.txt", ".git/main", "sub/e\x1bvil"} {
		path := filepath.Join(s.cfg.WorkDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.typed("look at @ma")
	s.play(filesItem{listFiles(s.cfg.WorkDir)})
	s.shows(t, "❯ @main.go\n", "  @main_test.go\n", `  @"sub/other main.txt"`, "Tab or Enter completes")
	s.keys("down", "down", "tab")
	if got, want := s.edit.text(), `look at @"sub/other main.txt" `; got != want {
		t.Errorf("completed to %q, want %q", got, want)
	}
	s.edit.clear()
	s.typed("/he")
	s.shows(t, "❯ /help")
	s.keys("tab")
	if got := s.edit.text(); got != "/help " {
		t.Errorf("completed to %q", got)
	}
	s.edit.clear()
	s.typed("not /he")
	if s.edit.menu.open() {
		t.Error("a command within a text is completed")
	}
}

// Only the user can read the file of the history, and the history comes back.
func TestHistory(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	path := HistoryFile("/some/where")
	if path == HistoryFile("/some/where/else") {
		t.Error("two work dirs share a history")
	}
	h := loadHistory(path)
	for _, text := range []string{"one", "two\nlines", "two\nlines", " "} {
		if err := h.add(text, text); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s := newStage(t, 60, 20)
	s.edit.history = loadHistory(path)
	s.typed("draft")
	for _, tt := range []struct{ key, want string }{{"up", "two\nlines"}, {"up", "two\nlines"}, {"up", "one"}, {"up", "one"}, {"down", "two\nlines"}, {"down", "draft"}, {"down", "draft"}} {
		s.keys(tt.key)
		if got := s.edit.text(); got != tt.want {
			t.Errorf("%s gives %q, want %q", tt.key, got, tt.want)
		}
	}
}

// Text that is typed while the agent works waits in the queue, and can be taken back.
func TestQueue(t *testing.T) {
	s := newStage(t, 60, 20)
	s.typed("first")
	s.keys("enter")
	s.typed("second")
	s.keys("enter")
	s.shows(t, "⋯ queued: first\n⋯ queued: second\n", "2 messages queued", "↑ takes back", "Tab: steer instead")
	s.typed("x")
	if strings.Contains(s.all(), "takes back") {
		t.Errorf("↑ does not take back while there is a draft:\n%s", s.all())
	}
	s.edit.clear()
	s.play(say("words of the agent"))
	s.shows(t, "  words of the agent\n", "⋯ queued: first\n")
	s.keys("up")
	if got := s.edit.text(); got != "second" {
		t.Errorf("taken back: %q", got)
	}
	s.shows(t, "⋯ queued: first\n", "> second")
	s.keys("tab")
	s.shows(t, "Enter steers the turn", "Tab: queue instead")
}

// In a terminal of any width, no line is too long, and the lines and the cursor are within the screen.
func TestWidths(t *testing.T) {
	for _, columns := range []int{40, 60, 80, 300} {
		s := newStage(t, columns, 20)
		s.status.begin("title 世界", time.Now())
		s.play(say(strings.Repeat("世界 word ", 50)+"\n\n|a|b|c|\n|-|-|-|\n|"+strings.Repeat("x", 80)+"|世界|3|\n\n"+strings.Repeat("x", 500)+"\n\nopen "+strings.Repeat("word ", 400)),
			toolCall("1", "Shell", `{"command":"`+strings.Repeat("ls ", 200)+`"}`), &wireproto.StatusUpdate{})
		s.typed(strings.Repeat("世", 200))
		s.decide.add(&request{id: "1", approval: &client.ApprovalRequest{ApprovalRequest: wireproto.ApprovalRequest{Sender: "Shell", Action: "run command", Display: wireproto.DisplayBlocks{
			&wireproto.ShellDisplayBlock{Command: strings.Repeat("世界\n", 100)}}}}})
		view := s.View()
		lines := strings.Split(view.Content, "\n")
		for _, l := range append(lines, s.printed...) {
			if width(l) > columns {
				t.Errorf("%d columns: %q", columns, l)
			}
		}
		if len(lines) > 19 {
			t.Errorf("%d columns: %d lines on a screen of 20", columns, len(lines))
		}
		if view.Cursor == nil || view.Cursor.Y >= len(lines) || view.Cursor.X > columns {
			t.Errorf("%d columns: the cursor is at %v", columns, view.Cursor)
		}
	}
}

// Changed lines are compared word by word, even if there are more new lines than old ones.
func TestChangedWords(t *testing.T) {
	row := func(style screen.Style, text string) screen.Row { return screen.Row{Style: style, Text: text} }
	got := rowLines([]screen.Row{row(screen.Red, "one two three"), row(screen.Green, "one two four"), row(screen.Green, "more of it"), row(screen.Plain, "end"), row(screen.Red, "gone")}, 80)
	want := []string{
		paint(screen.Red, "one two ") + paint(screen.Red+screen.Bold+underline, "three"), paint(screen.Green, "one two ") + paint(screen.Green+screen.Bold+underline, "four"),
		paint(screen.Green, "more of it"), "end", paint(screen.Red, "gone")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
