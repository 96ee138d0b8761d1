// Package render shows Wire messages to people, line by line. It writes each line at once and never changes it
// afterwards, so it works in a terminal, a pipe and a log. Other functions return the content of a message as words
// and rows, for other ways to show it. They do not clean the text.
package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Options says how to show messages.
type Options struct {
	Inputs bool // also show what the user said: for a history
	Quiet  bool // show the text of the agent alone
}

// Renderer writes messages to a writer. Only one goroutine at a time may use it.
type Renderer struct {
	w    *screen.Writer
	opts Options
	buf  []screen.Span // of one message
	err  error         // the first of w

	open  bool    // the cursor stands after something in its line
	last  *stream // who wrote the line
	main  *stream
	subs  map[string]*stream // of subagents, by their id
	calls map[string]*call   // tool calls without a result, by their id
	shown map[string]bool    // tool calls whose changes an approval has shown

	planMode bool
	servers  map[string]string // state of the MCP servers that are told about, by name
}

// stream is what one agent says: the main one or a subagent, several at a time.
type stream struct {
	indent string
	label  string // of a subagent
	kind   kind   // of what it wrote last
	call   *call  // whose line is not complete
	latest *call  // that arguments still come in for
	above  *call  // whose line is the stream's last
}

// kind says whether the next text continues what was written.
type kind int

const (
	block kind = iota // a whole line
	text
	thinking
	callHead // the name of a tool call, its arguments still to come
)

type call struct {
	name string
	args strings.Builder
}

// New returns a renderer that writes to w.
func New(w *screen.Writer, opts Options) *Renderer {
	return &Renderer{
		w: w, opts: opts, main: new(stream),
		subs: make(map[string]*stream), calls: make(map[string]*call), shown: make(map[string]bool), servers: make(map[string]string),
	}
}

// Message shows a message, and returns the first error of the writer.
func (r *Renderer) Message(m wireproto.Message) error {
	r.message(r.main, m)
	return r.flush()
}

// Line shows a line of the program about what was shown last.
func (r *Renderer) Line(format string, args ...any) error {
	above := r.main.above
	r.line(r.main, screen.Dim, fmt.Sprintf(format, args...))
	r.main.above = above
	return r.flush()
}

// Fresh ends an open line, so that another writer can begin.
func (r *Renderer) Fresh() error {
	r.settle(r.main)
	r.fresh(r.main)
	return r.flush()
}

func (r *Renderer) flush() error {
	if r.err == nil && len(r.buf) > 0 {
		r.err = r.w.Print(r.buf...)
	}
	r.buf = r.buf[:0]
	return r.err
}

func (r *Renderer) message(s *stream, m wireproto.Message) {
	r.collect(s, m)
	if r.opts.Quiet {
		r.quiet(s, m)
		return
	}
	if interrupts(m) {
		r.settle(s)
	}
	switch m := m.(type) {
	case *wireproto.TurnBegin:
		if r.opts.Inputs && s == r.main {
			r.lines(s, screen.Bold, "> ", "  ", Said(m.UserInput))
		}
	case *wireproto.SteerInput:
		r.lines(s, screen.Bold, "» ", "  ", Said(m.UserInput))
	case *wireproto.StepInterrupted:
		r.line(s, screen.Dim, "(the step was interrupted)")
	case *wireproto.StepRetry:
		r.line(s, screen.Yellow, retry(m))
	case *wireproto.TextPart:
		r.stream(s, text, screen.Plain, m.Text)
	case *wireproto.ThinkPart:
		r.stream(s, thinking, screen.Dim, m.Think)
	case wireproto.ContentPart:
		r.line(s, screen.Dim, Part(m))
	case *wireproto.ToolCall:
		r.toolCall(s, m)
	case *wireproto.ToolCallPart: // collected
	case *wireproto.ToolResult:
		r.toolResult(s, m)
		delete(r.calls, m.ToolCallID)
	case *wireproto.SubagentEvent:
		r.message(r.sub(s, m), m.Event)
	case *wireproto.ApprovalRequest:
		name, args := r.Call(m.ToolCallID)
		r.approval(s, m, screen.Layout(ApprovalRows(m, name, args), 0))
	case *wireproto.QuestionRequest:
		if len(m.Questions) > 0 {
			r.lines(s, screen.Yellow, "? ", "  ", m.Questions[0].Question)
		}
	default:
		r.notice(s, m)
	}
}

// notice shows a line that does not belong to the conversation itself.
func (r *Renderer) notice(s *stream, m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.StatusUpdate:
		r.status(s, m)
	case *wireproto.Notification:
		style := screen.Dim
		if m.Severity == "error" || m.Severity == "warning" {
			style = screen.Yellow
		}
		body, _, _ := strings.Cut(strings.TrimSpace(m.Body), "\n")
		if body != "" {
			body = ": " + body
		}
		r.line(s, style, "◆ "+m.Title+body)
	case *wireproto.PlanDisplay:
		r.line(s, screen.Bold, "plan "+m.FilePath)
		r.rows(s, screen.Layout(screen.Rows(screen.Plain, "  ", "  ", strings.TrimRight(m.Content, "\n")), 0))
	case *wireproto.CompactionBegin:
		r.line(s, screen.Dim, "compacting the context …")
	case *wireproto.CompactionEnd:
		r.line(s, screen.Dim, "the context is compacted")
	case *wireproto.MCPLoadingBegin:
		r.line(s, screen.Dim, "starting the MCP servers …")
	case *wireproto.HookResolved:
		if m.Action == wireproto.HookBlock {
			r.line(s, screen.Yellow, strings.TrimSpace("hook "+m.Event+" "+m.Target)+" blocked: "+m.Reason)
		}
	case *wireproto.BtwBegin:
		r.line(s, screen.Dim, "btw: "+m.Question)
	case *wireproto.BtwEnd:
		if m.Response != nil {
			r.lines(s, screen.Dim, "  ", "  ", *m.Response)
		} else if m.Error != nil {
			r.lines(s, screen.Red, "  ", "  ", *m.Error)
		}
	case *wireproto.UnknownMessage:
		r.line(s, screen.Dim, "("+m.Type+")")
	}
}

// quiet shows text alone, a line break between two messages.
func (r *Renderer) quiet(s *stream, m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.TextPart:
		r.stream(s, text, screen.Plain, m.Text)
	case *wireproto.StepBegin, *wireproto.TurnEnd:
		r.fresh(s)
		s.kind = block
	}
}

// collect keeps the calls that have no result yet, shown or not.
func (r *Renderer) collect(s *stream, m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.ToolCall:
		s.latest = &call{name: m.Function.Name}
		if m.Function.Arguments != nil {
			s.latest.args.WriteString(*m.Function.Arguments)
		}
		r.calls[m.ID] = s.latest
	case *wireproto.ToolCallPart:
		if s.latest != nil && m.ArgumentsPart != nil {
			s.latest.args.WriteString(*m.ArgumentsPart)
		}
	case *wireproto.ToolResult:
		if r.opts.Quiet {
			delete(r.calls, m.ToolCallID)
		}
	case *wireproto.SubagentEvent:
		if r.opts.Quiet {
			r.collect(r.sub(s, m), m.Event)
		}
	}
}

// Call returns a call that has no result yet, by its id, with the arguments that have come; "" if there is none.
func (r *Renderer) Call(id string) (name string, arguments json.RawMessage) {
	c := r.calls[id]
	if c == nil {
		return "", nil
	}
	return c.name, json.RawMessage(c.args.String())
}

// interrupts reports whether m ends the arguments of a call before it. Messages about other parts of the agent may
// come in between.
func interrupts(m wireproto.Message) bool {
	switch m := m.(type) {
	case *wireproto.ToolCallPart, *wireproto.Notification, *wireproto.HookTriggered, *wireproto.HookResolved,
		*wireproto.MCPLoadingBegin, *wireproto.MCPLoadingEnd, *wireproto.SubagentEvent:
		return false
	case *wireproto.StatusUpdate:
		return m.MCPStatus == nil
	}
	return true
}

func retry(m *wireproto.StepRetry) string {
	why := m.ErrorType
	if m.StatusCode != nil {
		why = fmt.Sprint(*m.StatusCode)
	}
	return fmt.Sprintf("retry %d/%d in %.1f s (%s)", m.NextAttempt, m.MaxAttempts, m.WaitS, why)
}

// status tells of a change of the plan mode and of MCP servers that fail.
func (r *Renderer) status(s *stream, m *wireproto.StatusUpdate) {
	if m.PlanMode != nil && *m.PlanMode != r.planMode && s == r.main {
		r.planMode = *m.PlanMode
		r.line(s, screen.Dim, map[bool]string{true: "plan mode is on", false: "plan mode is off"}[r.planMode])
	}
	if m.MCPStatus == nil {
		return
	}
	for _, server := range m.MCPStatus.Servers {
		if old := r.servers[server.Name]; old == server.Status {
			continue
		}
		r.servers[server.Name] = server.Status
		switch server.Status {
		case "connected":
			r.line(s, screen.Dim, fmt.Sprintf("MCP server %s: %s", server.Name, screen.Count(len(server.Tools), "tool")))
		case "failed", "unauthorized":
			r.line(s, screen.Yellow, fmt.Sprintf("MCP server %s: %s", server.Name, server.Status))
		}
	}
}

// sub returns the stream of a subagent, which stands one step further in than its parent's.
func (r *Renderer) sub(parent *stream, m *wireproto.SubagentEvent) *stream {
	id, label := "", "subagent"
	if m.AgentID != nil {
		id = *m.AgentID
	} else if m.ParentToolCallID != nil {
		id = *m.ParentToolCallID
	}
	if m.SubagentType != nil {
		label = *m.SubagentType
	}
	s := r.subs[id]
	if s == nil {
		s = &stream{indent: parent.indent + "  │ ", label: strings.TrimSpace(label + " " + id)}
		r.subs[id] = s
	}
	return s
}
