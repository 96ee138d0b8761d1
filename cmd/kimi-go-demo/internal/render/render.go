// Package render shows Wire messages to people, line by line. It writes each line at once and never changes it
// afterwards, so it works in a terminal, a pipe and a log. Other functions return the content of a message as words and
// rows, for other ways to show it. These functions do not clean the text.
package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Options say how to show messages.
type Options struct {
	Inputs bool // also show the texts of the user, as in a history
	Quiet  bool // show only the text of the agent
}

// Renderer writes messages to a writer. Only one goroutine at a time may use it.
type Renderer struct {
	w    *screen.Writer
	opts Options
	buf  []screen.Span // the spans of one message
	err  error         // the first error of w

	open  bool    // the current line is not empty
	last  *stream // the stream that wrote the current line
	main  *stream
	subs  map[string]*stream // the streams of subagents, by their id
	calls map[string]*call   // the tool calls without a result, by their id
	shown map[string]bool    // the tool calls whose changes an approval has shown

	planMode bool
	servers  map[string]string // the status of each MCP server that was shown, by name
}

// stream is the text of one agent: of the main agent or of a subagent. There may be several at a time.
type stream struct {
	indent string
	label  string // the name of a subagent
	kind   kind   // the kind of the last text
	call   *call  // the call whose line is not complete
	latest *call  // the call whose arguments still come
	above  *call  // the call whose line is the last one of the stream
}

// kind says whether the next text continues the text before it.
type kind int

const (
	block kind = iota // a whole line
	text
	thinking
	callHead // the name of a tool call whose arguments have not come yet
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

// Line shows a line of the program about the message that was shown last.
func (r *Renderer) Line(format string, args ...any) error {
	above := r.main.above
	r.line(r.main, screen.Dim, fmt.Sprintf(format, args...))
	r.main.above = above
	return r.flush()
}

// Fresh ends an open line, so that another writer can begin a new one.
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
	case *wireproto.ToolCallPart: // collect has handled it
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

// notice shows a line that is not part of the conversation itself.
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

// quiet shows only text, with a line break between two messages.
func (r *Renderer) quiet(s *stream, m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.TextPart:
		r.stream(s, text, screen.Plain, m.Text)
	case *wireproto.StepBegin, *wireproto.TurnEnd:
		r.fresh(s)
		s.kind = block
	}
}

// collect stores the calls that have no result yet, with and without Quiet.
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

// Call returns a call that has no result yet, by its id, with the arguments that have come. It returns "" if there is
// none.
func (r *Renderer) Call(id string) (name string, arguments json.RawMessage) {
	c := r.calls[id]
	if c == nil {
		return "", nil
	}
	return c.name, json.RawMessage(c.args.String())
}

// interrupts reports whether m ends the arguments of the call before it. Messages about other parts of the agent may
// come between the arguments.
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

// status shows a change of plan mode, and MCP servers that fail.
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

// sub returns the stream of a subagent, which is indented by one step more than its parent's.
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
