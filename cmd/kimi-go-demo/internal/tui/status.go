package tui

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/slash"
	"github.com/kimi-go/kimi-go/wireproto"
)

const waitsForModel = "waits for the model"

// status has what the lines around the editor show.
type status struct {
	title   string // of the conversation: the head of its first prompt
	since   time.Time
	waits   string // what is waited for while no tool runs
	retry   *wireproto.StepRetry
	retryAt time.Time
	todo    *wireproto.TodoDisplayBlock // of the turn that runs
	usage   wireproto.TokenUsage        // of the turn that runs
	context float64                     // used, 0 to 1
	plan    bool
	servers map[string]string // the last known state of each MCP server
}

// begin resets the state for a new turn.
func (s *status) begin(prompt string, now time.Time) {
	s.name(prompt)
	s.since, s.waits, s.usage, s.retry = now, waitsForModel, wireproto.TokenUsage{}, nil
}

// name gives the conversation its title, if it has none.
func (s *status) name(prompt string) {
	if s.title == "" {
		s.title, _, _ = strings.Cut(strings.TrimSpace(prompt), "\n")
	}
}

// mcp reports MCP servers that have started or failed.
func (s *status) mcp(st *wireproto.MCPStatus) []block {
	if st == nil {
		return nil
	}
	var list []block
	for _, server := range st.Servers {
		if s.servers[server.Name] == server.Status {
			continue
		}
		if s.servers == nil {
			s.servers = make(map[string]string)
		}
		s.servers[server.Name] = server.Status
		switch server.Status {
		case "connected":
			list = append(list, note(screen.Dim, "MCP server "+server.Name+": "+screen.Count(len(server.Tools), "tool")))
		case "failed", "unauthorized":
			list = append(list, note(screen.Yellow, "MCP server "+server.Name+": "+server.Status))
		}
	}
	return list
}

// heard notes that text of the model has come.
func (s *status) heard(kind runKind) {
	s.retry = nil
	switch kind {
	case saying:
		s.waits = "the model writes"
	case thinking:
		s.waits = "the model thinks"
	}
}

// message updates the state by an event.
func (s *status) message(e wireproto.Message, now time.Time) {
	switch e := e.(type) {
	case *wireproto.StepBegin:
		s.waits, s.retry = waitsForModel, nil
	case *wireproto.ToolCall:
		s.waits, s.retry = "the model writes a call of "+begin(e.Function.Name), nil
	case *wireproto.ToolResult:
		s.waits = waitsForModel
	case *wireproto.StepRetry:
		s.retry, s.retryAt = e, now.Add(time.Duration(e.WaitS*float64(time.Second)))
	case *wireproto.CompactionBegin:
		s.waits = "compacting the context"
	case *wireproto.CompactionEnd:
		s.waits = waitsForModel
	case *wireproto.MCPLoadingBegin:
		s.waits = "the MCP servers start"
	case *wireproto.MCPLoadingEnd:
		s.waits = waitsForModel
	case *wireproto.SubagentEvent:
		if u, ok := e.Event.(*wireproto.StatusUpdate); ok && u.TokenUsage != nil {
			s.usage.Add(*u.TokenUsage)
		}
	case *wireproto.StatusUpdate:
		if e.ContextUsage != nil {
			s.context = *e.ContextUsage
		}
		if e.TokenUsage != nil {
			s.usage.Add(*e.TokenUsage)
		}
		if e.PlanMode != nil {
			s.plan = *e.PlanMode
		}
	}
}

// end updates the state by the session's status after a turn.
func (s *status) end(st client.Status) {
	s.context, s.plan, s.retry = st.ContextUsage, st.PlanMode, nil
}

// activity says what the person waits for. It is "" if that is nothing.
func (m *model) activity() string {
	s := &m.status
	since := seconds(m.now.Sub(s.since))
	switch {
	case m.phase == starting && m.session == nil:
		return "starting kimi · " + since
	case m.doing != "":
		return m.doing + " · " + since
	case m.phase == starting:
		return "reading the history · " + since
	case m.phase == working && m.stopped:
		return "cancelling · " + since
	case len(m.decide.list) > 0:
		return "waits for you"
	case m.phase != working:
		return ""
	case s.retry != nil:
		return retryLine(s.retry, s.retryAt.Sub(m.now))
	}
	if c := m.log.running(); c != nil {
		return begin(c.name) + " runs " + seconds(m.now.Sub(c.begin)) + " · turn " + since
	}
	return s.waits + " · " + since
}

// retryLine says which attempt is next, when it begins, and why it is needed.
func retryLine(r *wireproto.StepRetry, left time.Duration) string {
	why := r.ErrorType
	if r.StatusCode != nil {
		why = strings.TrimSpace(fmt.Sprint(*r.StatusCode, " ", http.StatusText(*r.StatusCode)))
	}
	when := "now"
	if left > 0 {
		when = fmt.Sprintf("in %.0f s", math.Ceil(left.Seconds()))
	}
	return fmt.Sprintf("retry %d of %d %s: %s", r.NextAttempt-1, r.MaxAttempts-1, when, why) // the first attempt is no retry
}

// statusLine tells about the session.
func (m *model) statusLine() string {
	line := items{columns: m.columns}
	add := func(t string) { line.add(screen.Dim, t) }
	if m.session != nil {
		add(m.session.Model())
	}
	mode := m.mode()
	if mode != "" {
		mode += ": the agent does not ask"
	}
	if m.status.plan {
		line.add(screen.Yellow, "plan mode")
	}
	if mode != "" {
		line.add(screen.Yellow, mode)
	} else if m.status.plan {
		// The agent plans, and asks before it does more.
	} else if m.cfg.Answer != "" {
		line.add(screen.Yellow, "--answer "+m.cfg.Answer)
	} else {
		asks := "asks first"
		if m.session != nil {
			if actions := m.session.Status().Approvals.Actions; len(actions) > 0 {
				asks += ", except: " + strings.Join(actions, ", ")
			}
		}
		add(asks)
	}
	var st client.Status
	if m.session != nil {
		st = m.session.Status()
	}
	queued := 0
	for _, q := range m.queue {
		if !q.steer {
			queued++
		}
	}
	if queued > 0 {
		add(screen.Count(queued, "message") + " queued")
	}
	if tasks := m.inBackground(); tasks != "" {
		line.add(screen.Yellow, tasks)
	}
	if m.session != nil || m.status.context > 0 {
		context := fmt.Sprintf("context %.0f%%", 100*m.status.context)
		if st.MaxContextTokens > 0 && m.columns >= 60 {
			context += fmt.Sprintf(" of %s", tokens(st.MaxContextTokens))
		}
		add(context)
		if u := st.Usage; u.Total() > 0 {
			add(fmt.Sprintf("%s in, %s out", tokens(u.Total()-u.Output), tokens(u.Output)))
			if m.cfg.Cost != nil {
				add(m.cfg.Cost())
			}
		}
	}
	return line.String()
}

// mode names the mode in which the agent asks nothing. It is "" if the agent asks.
func (m *model) mode() string {
	if m.session == nil {
		return m.cfg.Mode
	}
	return slash.Mode(m.session)
}

// items are the parts of a line, with dots between them. Parts that do not fit are left out at the end.
type items struct {
	columns int
	list    []string
	full    bool
}

const dot = " · "

func (i *items) add(style screen.Style, text string) {
	text = paint(style, text)
	if text == "" || i.full {
		return
	}
	used := 0
	for _, t := range i.list {
		used += width(t) + width(dot)
	}
	if i.full = len(i.list) > 0 && used+width(text) > i.columns; !i.full {
		i.list = append(i.list, text)
	}
}

func (i *items) String() string { return strings.Join(i.list, paint(screen.Dim, dot)) }

// summary says how a turn ended.
func (s *status) summary(result *client.TurnResult, err error, now time.Time) string {
	how := "finished"
	switch {
	case errors.Is(err, client.ErrMaxSteps):
		how = "stopped at the limit of steps"
	case errors.Is(err, client.ErrCancelled), errors.Is(err, client.ErrClosed), isCancel(err):
		how = "cancelled"
	case err != nil:
		how = "failed"
	}
	text := how + " after " + took(now.Sub(s.since))
	if result == nil {
		return text
	}
	text += ": " + screen.Count(result.Steps, "step")
	if u := result.Usage; u.Total() > 0 {
		text += fmt.Sprintf(", %s tokens in, %s out", tokens(u.Total()-u.Output), tokens(u.Output))
	}
	return text
}

// todoRows shows a todo list.
func todoRows(t *wireproto.TodoDisplayBlock) []screen.Row { return render.BlockRows(t, 0) }

// saidText returns content as text.
func saidText(c wireproto.Content) string { return strings.TrimRight(render.Said(c), "\n") }
