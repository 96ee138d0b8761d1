package page

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/wireproto"
)

// model is the data of a page about a session.
type model struct {
	Title string
	Agent string
	Facts []fact
	Items []*item

	timed, folded, turnsOnly bool

	length float64 // the length of the time line, in milliseconds or in lines
	spans  [4][]*span
	usages []usage
}

type fact struct{ Name, Value string }

// item is one message, with the lines in which it came.
type item struct {
	ID, Kind  string
	Title     string
	Who, When string // the subagent; the time since the start
	Text      string
	HTML      template.HTML // used instead of Text
	Blocks    []block
	Raw       []string

	source strings.Builder // the text, if it comes in parts
	wait   string          // the key of the span that ends with the answer to the request
}

// RawTitle says how many lines the item shows when it is opened.
func (i *item) RawTitle() string { return screen.Count(len(i.Raw), "line") }

// block is a text in an item, or a change of a file.
type block struct {
	Title, Text string
	Diff        []diffLine
}

type diffLine struct{ Class, Text string }

// span is a bar of the time line.
type span struct {
	row      int
	from, to float64
	open     bool
	failed   bool
	tip, id  string
}

// The rows of the time line.
const (
	turnRow = iota
	stepRow
	toolRow
	waitRow
)

// usage has the tokens of a step.
type usage struct {
	tokens  wireproto.TokenUsage
	counted bool
	context float64 // from 0 to 1; -1 if it is not known
	id      string
}

// reader reads a recording.
type reader struct {
	*model
	now   float64
	when  string
	open  [4]map[string]*span     // the open spans of each row, by their keys
	calls map[string]*item        // the tool calls, by agent and id
	last  map[string]*item        // the item that the next part may continue, by agent
	asked map[string]*item        // the requests, by id
	sent  map[string]*item        // the calls of the client, by id
	turns []*item                 // the prompts whose turn has not begun yet
	count [4]int                  // the number of spans in each row
	bad   int                     // how many tool calls failed
	total wireproto.TokenUsage    // the tokens of all steps
	waits float64                 // the time of waiting for answers, in milliseconds
	args  map[*item]*bytes.Buffer // the arguments of tool calls
	under map[string]string       // the tool call that has started an agent, by agent
}

// maxRaw limits how many bytes of a line are shown, because an image in a line would slow the browser down.
const maxRaw = 64 << 10

// maxMS is the largest time that is accepted, in milliseconds: one year.
const maxMS = 365 * 24 * 3600 * 1000

func (s *Session) read() *model {
	rec := s.Recording
	r := &reader{model: &model{Title: screen.Line(screen.Clean(s.Title)), timed: s.Timed, folded: s.Folded, turnsOnly: s.TurnsOnly},
		calls: make(map[string]*item), last: make(map[string]*item), asked: make(map[string]*item), sent: make(map[string]*item), args: make(map[*item]*bytes.Buffer), under: make(map[string]string)}
	for i := range r.open {
		r.open[i] = make(map[string]*span)
	}
	r.Agent = screen.Line(screen.Clean(strings.TrimSpace(rec.Agent.Name + " " + rec.Agent.Version)))
	if rec.Wire != "" {
		r.Agent += ", Wire " + screen.Line(screen.Clean(rec.Wire))
	}
	for i, line := range rec.Records {
		if s.Timed {
			r.now = max(r.now, min(float64(line.MS), maxMS))
			r.when = duration(r.now)
		} else {
			r.now = float64(i)
		}
		r.record(line)
	}
	r.length = max(r.now, 1)
	r.finish()
	return r.model
}

func (r *reader) record(line fixture.Record) {
	if line.End != nil {
		text := fmt.Sprintf("exit code %d", line.End.ExitCode)
		if line.End.Signal != "" {
			text = "signal " + line.End.Signal
		}
		if line.End.Unasked {
			text += "; the client had not asked for it"
		}
		r.add("note", "", "The agent ended", "").Text = screen.Clean(text)
		return
	}
	frame, err := wireproto.DecodeLine([]byte(line.Line))
	switch {
	case err != nil:
		r.add("error", "", fmt.Sprintf("Not a line of the protocol, from the %s", line.From), line.Line)
	case line.From == fixture.Client && frame.Method != "":
		r.called(frame, line.Line)
	case line.From == fixture.Client:
		r.replied(frame, line.Line)
	case frame.Message != nil:
		r.message(frame, line.Line)
	case frame.Method != "":
		r.add("note", "", "The agent calls "+frame.Method, line.Line)
	default:
		r.answered(frame, line.Line)
	}
}

// add appends an item. raw is its line, "" if there is none.
func (r *reader) add(kind, from, title, raw string) *item {
	i := &item{ID: fmt.Sprint("m", len(r.Items)+1), Kind: kind, Title: screen.Line(screen.Clean(short(title, 300))), When: r.when, Who: screen.Line(screen.Clean(short(from, 120)))}
	r.Items = append(r.Items, i)
	delete(r.last, from)
	i.keep(raw)
	return i
}

func (i *item) keep(raw string) {
	if raw == "" {
		return
	}
	i.Raw = append(i.Raw, screen.Clean(cut(raw, maxRaw)))
}

// begin begins a span. It ends an open span with the same key.
func (r *reader) begin(row int, key, tip, id string) *span {
	r.end(row, key, false)
	s := &span{row: row, from: r.now, to: r.now, open: true, tip: screen.Line(screen.Clean(short(tip, 200))), id: id}
	r.count[row]++
	r.spans[row] = append(r.spans[row], s)
	r.open[row][key] = s
	return s
}

func (r *reader) end(row int, key string, failed bool) {
	s := r.open[row][key]
	if s == nil {
		return
	}
	delete(r.open[row], key)
	s.to, s.open, s.failed = r.now, false, failed
	if row == waitRow {
		r.waits += s.to - s.from
	}
}

// endAll ends all open spans of a row whose keys begin with prefix.
func (r *reader) endAll(row int, prefix string, failed bool) {
	for key := range r.open[row] {
		if strings.HasPrefix(key, prefix) {
			r.end(row, key, failed)
		}
	}
}

// endTurn ends all spans of the main agent that end with its turn. Background agents continue.
func (r *reader) endTurn(failed bool) {
	r.end(stepRow, "", failed)
	r.endAll(toolRow, "\x00", failed)
	r.endAll(waitRow, "\x00", failed)
	r.end(turnRow, "", failed)
}

// called adds a call of the client.
func (r *reader) called(f *wireproto.Frame, raw string) {
	var params wireproto.PromptParams
	var i *item
	switch {
	case f.Method == wireproto.MethodPrompt && json.Unmarshal(f.Params, &params) == nil:
		i = r.add("user", "", "Prompt", raw)
		i.Text = content(params.UserInput)
		r.turns = append(r.turns, i)
	case f.Method == wireproto.MethodSteer && json.Unmarshal(f.Params, &params) == nil:
		i = r.add("user", "", "The client steers", raw)
		i.Text = content(params.UserInput)
	default:
		i = r.add("note", "", "The client calls "+f.Method, raw)
	}
	if f.ID != "" {
		r.sent[f.ID] = i
	}
}

// answered adds the answer to a call of the client.
func (r *reader) answered(f *wireproto.Frame, raw string) {
	call := r.sent[f.ID]
	if call == nil {
		i := r.add("error", "", "An answer without a call", raw)
		if f.Error != nil {
			i.Text = screen.Clean(f.Error.Message)
		}
		return
	}
	delete(r.sent, f.ID)
	of := "call"
	if call.Kind == "user" && call.Title == "Prompt" {
		of = "turn"
	}
	var result struct {
		Status wireproto.TurnStatus `json:"status"`
	}
	switch {
	case f.Error != nil:
		r.add("error", "", "The "+of+" failed", raw).Text = screen.Clean(fmt.Sprintf("%s (%d)", f.Error.Message, f.Error.Code))
	case json.Unmarshal(f.Result, &result) == nil && result.Status != "":
		r.add("note", "", "The "+of+" ended: "+string(result.Status), raw)
	default:
		call.keep(raw)
	}
	if of == "turn" {
		r.endTurn(f.Error != nil)
		r.turns = without(r.turns, call)
	}
}

func without(list []*item, i *item) []*item {
	for n, other := range list {
		if other == i {
			return append(list[:n:n], list[n+1:]...)
		}
	}
	return list
}

// replied adds the client's answer to a request.
func (r *reader) replied(f *wireproto.Frame, raw string) {
	request := r.asked[f.ID]
	if request == nil {
		r.add("note", "", "The client answers "+f.ID, raw)
		return
	}
	r.end(waitRow, request.wait, false)
	request.keep(raw)
	var answer struct {
		Response string            `json:"response"`
		Feedback string            `json:"feedback"`
		Answers  map[string]string `json:"answers"`
		Action   string            `json:"action"`
		Reason   string            `json:"reason"`
	}
	if f.Error != nil {
		request.Blocks = append(request.Blocks, block{Title: "Answered by an error", Text: screen.Clean(f.Error.Message)})
		return
	}
	json.Unmarshal(f.Result, &answer)
	var text strings.Builder
	text.WriteString(strings.Join(nonempty(answer.Feedback, answer.Reason), "\n"))
	for _, key := range sorted(answer.Answers) {
		text.WriteString(key + ": " + answer.Answers[key] + "\n")
	}
	r.resolve(request, cmp.Or(answer.Response, answer.Action, "answered"), text.String())
}

func (r *reader) resolve(request *item, how, text string) {
	b := block{Title: "Answer: " + screen.Line(screen.Clean(short(how, 100))), Text: screen.Clean(text)}
	if n := len(request.Blocks); n > 0 && request.Blocks[n-1].Title == b.Title {
		return // the agent repeats the answer of the client
	}
	request.Blocks = append(request.Blocks, b)
}

// message adds a message of the agent.
func (r *reader) message(f *wireproto.Frame, raw string) {
	m, from := f.Message, ""
	for {
		sub, ok := m.(*wireproto.SubagentEvent)
		if !ok {
			break
		}
		who := deref(sub.SubagentType, "subagent")
		if id := cmp.Or(deref(sub.AgentID, ""), deref(sub.ParentToolCallID, "")); id != "" {
			who += " " + id
		}
		from = strings.TrimPrefix(from+" / "+who, " / ")
		r.under[from] = deref(sub.ParentToolCallID, "")
		m = sub.Event
	}
	switch m := m.(type) {
	case *wireproto.TurnBegin:
		r.turnBegin(m, from, raw)
	case *wireproto.TurnEnd:
		r.add("note", from, "Work ended", raw)
		if from == "" {
			r.endTurn(false)
		}
	case *wireproto.SteerInput:
		r.add("user", from, "Steered", raw).Text = content(m.UserInput)
	case *wireproto.StepBegin:
		i := r.add("note", from, fmt.Sprint("Step ", m.N), raw)
		r.begin(stepRow, from, fmt.Sprintf("step %d %s", m.N, from), i.ID)
	case *wireproto.StepInterrupted:
		r.add("error", from, "The step was interrupted", raw)
		r.end(stepRow, from, true)
	case *wireproto.StepRetry:
		r.add("error", from, fmt.Sprintf("A call of the model failed: %s; attempt %d of %d follows after %.1f s", m.ErrorType, m.NextAttempt, m.MaxAttempts, m.WaitS), raw)
	case *wireproto.TextPart:
		r.part("text", from, "Agent", m.Text, raw)
	case *wireproto.ThinkPart:
		r.part("think", from, "Thinking", m.Think, raw)
	case wireproto.ContentPart:
		r.add("text", from, "Agent", raw).Text = content(wireproto.Content{Parts: []wireproto.ContentPart{m}})
	case *wireproto.PlanDisplay:
		i := r.add("plan", from, "Plan "+m.FilePath, raw)
		i.source.WriteString(m.Content)
	case *wireproto.ToolCall:
		i := r.tool(m.ID, from, m.Function.Name, raw)
		r.arguments(i, deref(m.Function.Arguments, ""))
		r.last[from] = i
	case *wireproto.ToolCallPart:
		if i := r.last[from]; i != nil && i.Kind == "tool" {
			i.keep(raw)
			r.arguments(i, deref(m.ArgumentsPart, ""))
		} else {
			r.add("note", from, "A part without a tool call", raw).Text = screen.Clean(deref(m.ArgumentsPart, ""))
		}
	case *wireproto.ToolCallRequest:
		i := r.calls[from+"\x00"+m.ID]
		if i == nil {
			i = r.tool(m.ID, from, m.Name, raw)
			r.arguments(i, deref(m.Arguments, ""))
		} else {
			i.keep(raw)
		}
		r.asked[f.ID] = i
	case *wireproto.ToolResult:
		r.result(m, from, raw)
	case *wireproto.ApprovalRequest:
		who := cmp.Or(from, deref(m.SubagentType, ""))
		i := r.add("request", who, fmt.Sprintf("%s wants to %s", m.Sender, m.Action), raw)
		i.Text = screen.Clean(m.Description)
		i.Blocks = blocks(m.Display)
		r.request(f.ID, m.ID, who+"\x00"+m.ToolCallID, i)
	case *wireproto.ApprovalResponse:
		if i := r.asked[m.RequestID]; i != nil {
			r.end(waitRow, i.wait, false)
			i.keep(raw)
			r.resolve(i, string(m.Response), m.Feedback)
		} else {
			r.add("note", from, "A request was resolved: "+string(m.Response), raw)
		}
	case *wireproto.QuestionRequest:
		i := r.add("request", from, "Question", raw)
		for _, q := range m.Questions {
			var b strings.Builder
			fmt.Fprintln(&b, strings.Join(nonempty(q.Question, q.Body), "\n"))
			for _, o := range q.Options {
				fmt.Fprintln(&b, "- "+strings.Join(nonempty(o.Label, o.Description), ": "))
			}
			i.Blocks = append(i.Blocks, block{Title: screen.Line(screen.Clean(short(q.Header, 100))), Text: screen.Clean(b.String())})
		}
		r.request(f.ID, m.ID, from+"\x00"+m.ToolCallID, i)
	case *wireproto.StatusUpdate:
		r.status(m, from, raw)
	case *wireproto.Notification:
		r.add("note", from, "Notification "+m.Type, raw).Text = screen.Clean(strings.Join(nonempty(m.Title, m.Body), "\n"))
	case *wireproto.HookTriggered:
		r.add("note", from, strings.TrimSpace(fmt.Sprintf("Hooks of %s %s", m.Event, m.Target)), raw)
	case *wireproto.HookResolved:
		i := r.add("note", from, strings.TrimSpace(fmt.Sprintf("Hooks of %s %s: %s", m.Event, m.Target, m.Action)), raw)
		i.Text = screen.Clean(m.Reason)
	case *wireproto.HookRequest:
		i := r.add("request", from, strings.TrimSpace(fmt.Sprintf("Hook %s %s", m.Event, m.Target)), raw)
		r.asked[f.ID] = i
	default:
		r.add("note", from, m.MessageType(), raw)
	}
}

// request registers a request that a person must answer, by the id of its line and by its own id. call is the key of
// the tool call that asks.
func (r *reader) request(frame, id, call string, i *item) {
	i.wait = call + "\x00" + i.ID
	r.asked[id] = i
	r.asked[cmp.Or(frame, id)] = i
	r.begin(waitRow, i.wait, "waiting: "+i.Title, i.ID)
}

func (r *reader) turnBegin(m *wireproto.TurnBegin, from, raw string) {
	if from != "" {
		r.add("note", from, "The subagent begins", raw).Text = content(m.UserInput)
		return
	}
	text := content(m.UserInput)
	var i *item
	if len(r.turns) > 0 {
		i, r.turns = r.turns[0], r.turns[1:]
		i.keep(raw)
		if i.Text != text {
			i.Blocks = append(i.Blocks, block{Title: "As the agent took it", Text: text})
		}
	} else {
		i = r.add("user", "", "Prompt", raw)
		i.Text = text
	}
	r.endTurn(false)
	r.begin(turnRow, "", fmt.Sprint("turn ", r.count[turnRow]+1), i.ID)
}

// part adds text that the next part of the same kind may continue.
func (r *reader) part(kind, from, title, text, raw string) {
	i := r.last[from]
	if i == nil || i.Kind != kind {
		i = r.add(kind, from, title, raw)
		r.last[from] = i
	} else {
		i.keep(raw)
	}
	i.source.WriteString(text)
}

// tool adds a tool call.
func (r *reader) tool(id, from, name, raw string) *item {
	i := r.add("tool", from, "Tool "+name, raw)
	r.calls[from+"\x00"+id] = i
	r.args[i] = new(bytes.Buffer)
	r.begin(toolRow, from+"\x00"+id, name, i.ID)
	return i
}

func (r *reader) arguments(i *item, more string) { r.args[i].WriteString(more) }

func (r *reader) result(m *wireproto.ToolResult, from, raw string) {
	key := from + "\x00" + m.ToolCallID
	r.end(toolRow, key, m.ReturnValue.IsError)
	r.endAll(waitRow, key+"\x00", false) // the files of kimi-cli do not have the answers to questions
	for agent, call := range r.under {
		if call == m.ToolCallID && call != "" {
			r.end(stepRow, agent, false)
		}
	}
	i := r.calls[key]
	if i == nil {
		i = r.add("tool", from, "Result of an unknown call", raw)
	} else {
		i.keep(raw)
		delete(r.last, from)
	}
	title := "Result"
	if m.ReturnValue.IsError {
		title = "Failed"
		r.bad++
	}
	text := strings.Join(nonempty(m.ReturnValue.Message, content(m.ReturnValue.Output)), "\n")
	i.Blocks = append(i.Blocks, block{Title: title, Text: screen.Clean(text)})
	i.Blocks = append(i.Blocks, blocks(m.ReturnValue.Display)...)
}

func (r *reader) status(m *wireproto.StatusUpdate, from, raw string) {
	var words []string
	u := usage{context: -1}
	if m.TokenUsage != nil {
		u.tokens, u.counted = *m.TokenUsage, true
		r.total.InputOther = sum(r.total.InputOther, m.TokenUsage.InputOther)
		r.total.Output = sum(r.total.Output, m.TokenUsage.Output)
		r.total.InputCacheRead = sum(r.total.InputCacheRead, m.TokenUsage.InputCacheRead)
		r.total.InputCacheCreation = sum(r.total.InputCacheCreation, m.TokenUsage.InputCacheCreation)
		words = append(words, fmt.Sprintf("%s tokens in, %s out", screen.Number(input(u.tokens)), screen.Number(atLeast(u.tokens.Output))))
	}
	if m.ContextUsage != nil && from == "" {
		u.context = min(max(*m.ContextUsage, 0), 1)
		words = append(words, fmt.Sprintf("context %.1f%% full", 100*u.context))
	}
	if m.PlanMode != nil {
		words = append(words, fmt.Sprint("plan mode: ", *m.PlanMode))
	}
	i := r.add("note", from, strings.Join(append([]string{"Status"}, words...), ", "), raw)
	u.id = i.ID
	if u.counted || u.context >= 0 {
		r.usages = append(r.usages, u)
	}
}

// finish ends the spans that are still open at the end of the recording, and renders the texts that came in parts.
func (r *reader) finish() {
	for row := range r.open {
		for _, s := range r.spans[row] {
			if s.open {
				s.to = r.now
				s.tip += " (no end in this recording)"
				if row == waitRow {
					r.waits += s.to - s.from
				}
			}
		}
	}
	for _, i := range r.Items {
		if b := r.args[i]; b != nil {
			i.Text = arguments(b.String())
		}
		if i.source.Len() == 0 {
			continue
		}
		i.Text = screen.Clean(i.source.String())
		if i.Kind != "think" {
			i.HTML = markdown(i.source.String())
		}
	}
	facts := func(name, value string) { r.Facts = append(r.Facts, fact{name, value}) }
	facts("Turns", screen.Number(r.count[turnRow]))
	facts("Steps", screen.Number(r.count[stepRow]))
	calls := screen.Number(r.count[toolRow])
	if r.bad > 0 {
		calls += fmt.Sprintf(" (%s failed)", screen.Number(r.bad))
	}
	facts("Tool calls", calls)
	requests, waits := screen.Number(r.count[waitRow]), duration(r.waits)
	if r.turnsOnly {
		requests, waits = notKnown, notKnown
		facts("Subagents", "not counted")
	}
	facts("Requests", requests)
	if r.timed {
		what := "Duration"
		if r.folded {
			what = "Duration, without the pauses between turns"
		}
		facts(what, duration(r.now))
		facts("Waiting for answers", waits)
	}
	in, out := notKnown, notKnown
	if r.total != (wireproto.TokenUsage{}) {
		in, out = screen.Number(input(r.total)), screen.Number(atLeast(r.total.Output))
	}
	facts("Tokens in", in)
	facts("Tokens out", out)
}

// notKnown is the value of a fact that the recording does not have.
const notKnown = "not known"

// arguments writes JSON on several lines. It returns any other text as it is.
func arguments(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") == nil {
		text = b.String()
	}
	return screen.Clean(text)
}

// content returns the text of a prompt or a result, with a word for each image, audio or video.
func content(c wireproto.Content) string {
	if c.Parts == nil {
		return screen.Clean(c.Text)
	}
	var list []string
	for _, p := range c.Parts {
		switch p := p.(type) {
		case *wireproto.TextPart:
			list = append(list, p.Text)
		case *wireproto.ThinkPart:
			list = append(list, p.Think)
		case *wireproto.ImageURLPart:
			list = append(list, medium("image", p.ImageURL))
		case *wireproto.AudioURLPart:
			list = append(list, medium("audio", p.AudioURL))
		case *wireproto.VideoURLPart:
			list = append(list, medium("video", p.VideoURL))
		case *wireproto.UnknownPart:
			list = append(list, "["+p.Type+"]")
		}
	}
	return screen.Clean(strings.Join(list, "\n"))
}

func medium(kind string, m wireproto.MediaURL) string {
	if head, data, ok := strings.Cut(m.URL, ","); ok && strings.HasPrefix(head, "data:") {
		return fmt.Sprintf("[%s: %s, %s characters]", kind, short(strings.TrimPrefix(head, "data:"), 60), screen.Number(len(data)))
	}
	return fmt.Sprintf("[%s: %s]", kind, short(m.URL, 300))
}

// blocks returns the display blocks of an agent.
func blocks(display wireproto.DisplayBlocks) []block {
	var list []block
	add := func(title, text string) {
		list = append(list, block{Title: screen.Line(screen.Clean(short(title, 300))), Text: screen.Clean(text)})
	}
	for _, b := range display {
		switch b := b.(type) {
		case *wireproto.DiffDisplayBlock:
			if b.IsSummary {
				add(b.Path+": too long for a diff, these are the sizes", b.OldText+" → "+b.NewText)
				continue
			}
			d := block{Title: screen.Line(screen.Clean(fmt.Sprintf("%s:%d", short(b.Path, 300), b.NewStart)))}
			for _, l := range render.Diff(b.OldText, b.NewText) {
				class := map[byte]string{'+': "added", '-': "removed", ' ': "same"}[l.Op]
				d.Diff = append(d.Diff, diffLine{class, string(l.Op) + " " + screen.Line(screen.Clean(l.Text))})
			}
			list = append(list, d)
		case *wireproto.ShellDisplayBlock:
			add(b.Language, "$ "+b.Command)
		case *wireproto.TodoDisplayBlock:
			var text strings.Builder
			for _, t := range b.Items {
				fmt.Fprintf(&text, "[%s] %s\n", t.Status, t.Title)
			}
			add("Todo", text.String())
		case *wireproto.BriefDisplayBlock:
			add("", b.Text)
		case *wireproto.BackgroundTaskDisplayBlock:
			add(fmt.Sprintf("Background task %s: %s", b.TaskID, b.Status), b.Description)
		default:
			add("["+b.BlockType()+"]", "")
		}
	}
	return list
}

func duration(ms float64) string {
	d := time.Duration(ms) * time.Millisecond
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}
