package tui

import (
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

func width(t string) int { return ansi.StringWidth(t) }

// transcript is what an agent does, as blocks in order. The agent is the main agent or a subagent. settle removes the
// blocks that are done.
type transcript struct {
	blocks   []shown
	calls    map[string]*call // the calls without a result, by id
	latest   *call            // the call whose arguments are coming in
	subs     map[string]*transcript
	folds    []block // the latest blocks that were not shown in full
	any      bool    // something has been settled
	lastTidy bool    // the block that was settled last was tight
	replay   bool    // it is history, which does not say how long things took
}

// maxFolds is how many folded blocks are kept, so that they can be shown in full.
const maxFolds = 100

// shown is a block and, once it is done, its last form on the screen.
type shown struct {
	block
	columns int
	cache   []string
}

func (s *shown) lines(v view) []string {
	if s.columns == v.columns {
		return s.cache
	}
	list := s.block.lines(v)
	if s.done() {
		s.columns, s.cache = v.columns, list
	}
	return list
}

func newTranscript() *transcript {
	return &transcript{calls: make(map[string]*call), subs: make(map[string]*transcript)}
}

func (t *transcript) add(b block) {
	t.endText(time.Time{})
	t.blocks = append(t.blocks, shown{block: b})
}

// last returns the block that was added last, or nil if there is none.
func (t *transcript) last() block {
	if len(t.blocks) == 0 {
		return nil
	}
	return t.blocks[len(t.blocks)-1].block
}

// endText closes an answer and a thought, because something else has come.
func (t *transcript) endText(now time.Time) {
	switch b := t.last().(type) {
	case *answer:
		b.close(now)
	case *thought:
		if now.IsZero() {
			now = time.Now()
		}
		b.close(now)
	}
}

// text adds text to the answer, the thought or the call that is growing, or begins a new answer or thought.
func (t *transcript) text(r *run, now time.Time) {
	if len(r.text) == 0 {
		return
	}
	if r.kind == arguments {
		if t.latest != nil {
			t.latest.arguments.Write(r.text)
		}
		return
	}
	if r.kind == thinking {
		b, ok := t.last().(*thought)
		if !ok || b.done() {
			t.add(&thought{begin: now, replayed: t.replay})
			b = t.last().(*thought)
		}
		b.text.Write(r.text)
		return
	}
	b, ok := t.last().(*answer)
	if !ok || b.done() {
		if strings.TrimSpace(string(r.text)) == "" {
			return
		}
		t.add(new(answer))
		b = t.last().(*answer)
	}
	b.open += strings.ReplaceAll(string(r.text), "\r\n", "\n")
}

// message handles an event of the agent.
func (t *transcript) message(m wireproto.Message, now time.Time) {
	switch m := m.(type) {
	case *wireproto.TextPart:
		t.text(&run{saying, []byte(m.Text)}, now)
	case *wireproto.ThinkPart:
		t.text(&run{thinking, []byte(m.Think)}, now)
	case wireproto.ContentPart:
		t.add(note(screen.Dim, "  "+render.Part(m)))
	case *wireproto.StepBegin, *wireproto.TurnEnd:
		t.endText(now)
		t.finishArguments()
	case *wireproto.StepInterrupted:
		if t.replay { // otherwise the end of the turn says more
			t.add(note(screen.Dim, "(the step was interrupted)"))
		}
	case *wireproto.StepRetry:
		t.add(note(screen.Yellow, retryLine(m, time.Duration(m.WaitS*float64(time.Second)))))
	case *wireproto.ToolCall:
		t.finishArguments()
		c := &call{id: m.ID, name: m.Function.Name, begin: now, replayed: t.replay}
		if m.Function.Arguments != nil {
			c.arguments.WriteString(*m.Function.Arguments)
		}
		t.latest, t.calls[m.ID] = c, c
		t.add(c)
	case *wireproto.ToolCallPart:
		if m.ArgumentsPart != nil {
			t.text(&run{arguments, []byte(*m.ArgumentsPart)}, now)
		}
	case *wireproto.StatusUpdate:
		t.finishArguments() // a StatusUpdate comes when the model has said all of a step
	case *wireproto.ToolResult:
		t.result(m, now)
	case *wireproto.SubagentEvent:
		t.sub(m).message(m.Event, now)
	default:
		t.notice(m)
	}
}

// finishArguments notes that all arguments of the latest call have come. The call runs now.
func (t *transcript) finishArguments() {
	if t.latest != nil {
		t.latest.complete = true
		t.latest = nil
	}
}

func (t *transcript) result(m *wireproto.ToolResult, now time.Time) {
	t.finishArguments()
	c := t.calls[m.ToolCallID]
	if c == nil {
		return
	}
	delete(t.calls, m.ToolCallID)
	if c.inner != nil {
		c.inner.close(now)
	}
	c.end, c.result, c.failed, c.asked = now, &m.ReturnValue, m.ReturnValue.IsError, false
	if answers, ok := render.Answers(c.name, &m.ReturnValue); ok && len(answers) == 0 {
		c.failed = true
	}
}

// notice shows an event that is not part of the conversation itself.
func (t *transcript) notice(m wireproto.Message) {
	switch m := m.(type) {
	case *wireproto.Notification:
		style := screen.Dim
		if m.Severity == "error" || m.Severity == "warning" {
			style = screen.Yellow
		}
		body, _, _ := strings.Cut(strings.TrimSpace(m.Body), "\n")
		if body != "" {
			body = ": " + body
		}
		t.add(note(style, "◆ "+m.Title+body))
	case *wireproto.PlanDisplay:
		t.endText(time.Time{})
		// The plan stands before the call that asks about it. So it can be read completely before that call is answered.
		i := slices.IndexFunc(t.blocks, func(b shown) bool { return !b.done() })
		if i < 0 {
			i = len(t.blocks)
		}
		t.blocks = slices.Insert(t.blocks, i, shown{block: &prose{strings.TrimSpace("plan " + m.FilePath), m.Content}})
	case *wireproto.CompactionEnd:
		t.add(note(screen.Dim, "the context is compacted"))
	case *wireproto.HookResolved:
		if m.Action == wireproto.HookBlock {
			t.add(note(screen.Yellow, strings.TrimSpace("hook "+m.Event+" "+m.Target)+" blocked: "+m.Reason))
		}
	case *wireproto.BtwBegin:
		t.add(note(screen.Dim, "btw: "+m.Question))
	case *wireproto.BtwEnd:
		if m.Response != nil {
			t.add(&prose{text: *m.Response})
		} else if m.Error != nil {
			t.add(note(screen.Red, "  "+*m.Error))
		}
	case *wireproto.UnknownMessage:
		t.add(note(screen.Dim, "("+m.Type+")"))
	}
}

// sub returns the transcript of a subagent, within the call that has started it.
func (t *transcript) sub(m *wireproto.SubagentEvent) *transcript {
	id, label := "", "subagent"
	if m.AgentID != nil {
		id = *m.AgentID
	} else if m.ParentToolCallID != nil {
		id = *m.ParentToolCallID
	}
	if m.SubagentType != nil {
		label = *m.SubagentType
	}
	s := t.subs[id]
	if s != nil {
		return s
	}
	s = newTranscript()
	s.replay = t.replay
	t.subs[id] = s
	var parent *call
	if m.ParentToolCallID != nil {
		parent = t.calls[*m.ParentToolCallID]
	}
	if parent != nil && parent == t.latest {
		t.finishArguments()
	}
	if parent == nil || parent.inner != nil { // the subagent is in the background, or it is one of several of a call
		parent = &call{id: id, name: strings.TrimSpace(label + " " + id), begin: time.Now(), complete: true, replayed: t.replay}
		t.add(parent)
	}
	parent.inner = s
	return s
}

// find returns a call that has no result yet, of this agent or of a subagent.
func (t *transcript) find(id string) *call {
	if c := t.calls[id]; c != nil {
		return c
	}
	for _, s := range t.subs {
		if c := s.find(id); c != nil {
			return c
		}
	}
	return nil
}

// running returns the call that has run for the longest time, or nil if none runs.
func (t *transcript) running() *call {
	for _, b := range t.blocks {
		if c, ok := b.block.(*call); ok && !c.done() && c.complete {
			return c
		}
	}
	return nil
}

// close ends all blocks that are not done.
func (t *transcript) close(now time.Time) {
	t.latest = nil
	for _, b := range t.blocks {
		b.close(now)
	}
	clear(t.calls)
}

// settle removes the blocks before the first one that is not done, and returns their lines. If that first one is an
// answer, settle also removes and returns the part of it that cannot change any more.
func (t *transcript) settle(v view) []string {
	var list []string
	for len(t.blocks) > 0 {
		b := &t.blocks[0]
		a, streams := b.block.(*answer)
		if !b.done() && !streams {
			break
		}
		var lines []string
		fresh := true
		if streams {
			fresh = !a.begun
			lines = a.settle(v)
		} else {
			lines = b.lines(v)
			if b.block.folded(v) {
				t.folds = append(t.folds[max(0, len(t.folds)-maxFolds+1):], b.block)
			}
		}
		if fresh && len(lines) > 0 {
			if t.any && !(b.tight() && t.lastTidy) {
				list = append(list, "")
			}
			t.any, t.lastTidy = true, b.tight()
		}
		list = append(list, lines...)
		if !b.done() {
			break
		}
		t.blocks = t.blocks[1:]
	}
	return list
}

// open returns the lines of the blocks that are not settled.
func (t *transcript) open(v view) []string {
	var list []string
	begun, tidy := t.any, t.lastTidy
	for i := range t.blocks {
		b := &t.blocks[i]
		lines := b.lines(v)
		if len(lines) == 0 {
			continue
		}
		a, streams := b.block.(*answer)
		if begun && !(b.tight() && tidy) && !(streams && a.begun) {
			list = append(list, "")
		}
		begun, tidy = true, b.tight()
		list = append(list, lines...)
	}
	return list
}
