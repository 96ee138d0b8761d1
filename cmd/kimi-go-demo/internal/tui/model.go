package tui

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/slash"
	"github.com/kimi-go/kimi-go/wireproto"
)

// phase is what the chat is doing.
type phase int

const (
	starting phase = iota // kimi starts, or tells its history
	idle                  // the chat waits for a prompt
	working               // a turn runs
	leaving               // what is left is printed, then the program ends
)

// model is the state of a chat.
type model struct {
	cfg   Config
	feed  *feed
	work  sync.WaitGroup  // goroutines of this chat
	ctx   context.Context // ends with the chat
	leave context.CancelFunc

	phase   phase
	session *client.Session
	missing string          // the id of the session that does not exist
	started *client.Session // the session to close at the end; goroutines of work set it, even if the person has left
	turns   int
	err     error // why the chat ends
	cancel  context.CancelFunc
	stopped bool   // the turn is being cancelled
	doing   string // what is changed about the session
	effort  string // the effort that the session was opened with
	model   string // the model that was chosen with /model; "" for none
	warned  bool   // Ctrl-C again leaves

	columns, rows int // the size of the layout
	window        int // how many rows the terminal has
	height        tallest
	colours       palette
	now, begun    time.Time
	ticking       bool
	spin          int

	log      *transcript
	print    printer
	edit     *editor
	choices  []entry  // the arguments that /model and /effort complete
	listed   bool     // kimi was asked for choices
	counted  bool     // the session was read for turnList
	files    []string // the files of the work dir, for @
	turnList []entry  // the arguments that /fork and /undo complete
	asked    bool     // the files of the work dir were asked for
	decide   decider
	guard    guard
	letter   string // the letter that has answered a request last
	letterAt time.Time
	pending  *letter // answers a request unless another letter follows; nil for none
	queue    []*queued
	sent     string // the text of the last Enter
	paused   bool   // the queue waits for the person
	steers   bool   // what is typed while the agent works steers it; otherwise it is queued
	status   status
	hint     string          // what a key has done or will do; the next key removes it
	tasks    map[string]bool // the commands and agents in the background that are not known to have ended, by id
	history  error           // why the history cannot be written, if the person was told
	shots    string          // folder for pictures from the clipboard, "" if there are none
}

func newModel(cfg Config, f *feed) *model {
	ctx, leave := context.WithCancel(context.Background())
	m := &model{
		ctx: ctx, leave: leave, cancel: leave, cfg: cfg, feed: f, columns: 79, rows: 24, window: 24, now: time.Now(),
		log: newTranscript(), edit: newEditor(loadHistory(cfg.History)),
	}
	m.log.replay, m.effort = cfg.Replay, cfg.Effort
	m.colours.none = !cfg.Colour
	m.status.since, m.begun = m.now, m.now
	return m
}

// Init starts kimi.
func (m *model) Init() tea.Cmd {
	ctx, cancel := context.WithCancel(m.ctx)
	m.cancel = cancel
	m.work.Go(func() { m.started = start(ctx, &m.cfg, m.feed) })
	if m.colours.none {
		return m.tick()
	}
	return tea.Batch(m.tick(), tea.RequestBackgroundColor) // nothing waits for the reply, because not every terminal sends one
}

// endMsg ends the chat from outside.
type endMsg struct{ err error }

type tickMsg struct{}

const tickTime = 100 * time.Millisecond

func (m *model) tick() tea.Cmd {
	if m.ticking {
		return nil
	}
	m.ticking = true
	return tea.Tick(tickTime, func(time.Time) tea.Msg { return tickMsg{} })
}

// Update takes a message and returns what is to be done next.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = time.Now()
	var cmds []tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		// The last column stays free, because bubbletea erases the last character of a line that fills it.
		m.columns, m.rows, m.window = max(msg.Width, 20)-1, max(msg.Height, 6), msg.Height
	case tea.ColorProfileMsg:
		m.colours.many = msg.String() == "TrueColor" || msg.String() == "ANSI256"
	case tea.BackgroundColorMsg:
		m.colours.light = !msg.IsDark()
	case tickMsg:
		m.ticking = false
		m.spin++
	case batch:
		for _, item := range msg {
			m.item(item)
		}
	case printedMsg:
		m.print.busy = false
	case tea.SuspendMsg: // it comes here when the chat is in the foreground again
		cmds = append(cmds, m.print.hold())
	case heldMsg:
		m.print.held = false
	case endMsg:
		m.end(msg.err)
	case tea.KeyPressMsg:
		cmds = append(cmds, m.key(msg))
	case tea.PasteMsg:
		m.paste(msg.Content)
		cmds = append(cmds, m.guard.typed(m.now))
	case *letter:
		if msg == m.pending {
			cmds = append(cmds, m.settle())
		}
	case guardMsg:
		cmds = append(cmds, m.guard.tick(msg, m.now))
	case tea.CursorPositionMsg:
		cmds = append(cmds, m.guard.reply())
	}
	if r := m.decide.now(); r != nil {
		if !r.open && m.guard.of == m.decide.key() && m.guard.open(m.now) {
			r.open = true
			if m.pending == nil {
				m.hint = "" // it says why keys did not answer
			}
		}
		m.screen() // counts how much of the request is shown
	}
	cmds = append(cmds, m.guard.watch(m.decide.key(), m.now))
	if m.busy() {
		cmds = append(cmds, m.tick())
	}
	cmds = append(cmds, m.flush())
	return m, tea.Batch(slices.DeleteFunc(cmds, func(c tea.Cmd) bool { return c == nil })...)
}

// busy reports whether a running time is shown.
func (m *model) busy() bool { return m.phase == starting || m.phase == working }

// flush prints what is finished, and ends the program when all is printed and the person has left.
func (m *model) flush() tea.Cmd {
	m.print.add(m.log.settle(m.view())...)
	if m.print.ready() {
		return m.print.next(m.roomAbove(), m.colours)
	}
	if m.phase == leaving && !m.print.busy && !m.print.held {
		return tea.Quit
	}
	return nil
}

// item handles an item of the feed.
func (m *model) item(item any) {
	switch item := item.(type) {
	case *run:
		m.status.heard(item.kind)
		m.log.text(item, m.now)
	case startedItem:
		m.attach(item.session)
		m.missing = item.missing
		if !m.cfg.Replay {
			m.ready()
		}
	case failedItem:
		m.end(item.err)
	case replayedItem:
		m.log.close(m.now)
		m.unpin()
		m.log.replay = false
		m.tell(item.err)
		m.ready()
	case overItem:
		if item.session == m.session && m.phase != leaving && m.doing == "" {
			m.end(m.session.Err())
		}
	case changedItem:
		m.changed(item)
	case promptsItem:
		m.turnList = turnChoices(item.prompts)
		m.suggest()
	case modelsItem:
		m.gotModels(item)
	case requestItem:
		m.request(item.request)
	case ruledItem:
		m.ruled(item.call, item.said, item.err)
	case resolvedItem:
		m.resolved(item.id)
	case turnItem:
		m.turnOver(item.result, item.err)
	case steeredItem:
		m.steered(item.what, item.err)
	case toldItem:
		m.tell(item.err)
	case exportedItem:
		m.log.add(note(screen.Dim, "the conversation is in "+item.path))
	case pictureItem:
		m.picture(item)
	case planItem:
		m.status.plan = item.on
	case filesItem:
		m.files = item.files
		m.suggest()
	case wireproto.Message:
		m.message(item)
	}
}

// attach makes s the session of the chat. When s is over, an item of the feed says so.
func (m *model) attach(s *client.Session) {
	m.session, m.tasks = s, nil // what ran in the background has ended with the session before
	m.status.plan = s.Status().PlanMode
	m.work.Go(func() {
		select {
		case <-s.Done():
			m.feed.add(overItem{s})
		case <-m.ctx.Done():
		}
	})
}

// unpin puts the todo list that stood above the editor into the transcript.
func (m *model) unpin() {
	if m.status.todo != nil {
		m.log.add(&said{rows: todoRows(m.status.todo)})
		m.status.todo = nil
	}
}

// ready says that the person can begin.
func (m *model) ready() {
	m.phase = idle
	model := m.session.Model()
	if model != "" {
		model = ", model " + model
	}
	id := m.session.ID()
	if m.missing != "" {
		m.log.add(note(screen.Yellow, "there is no session "+m.missing+": this is a new one"))
	}
	m.log.add(note(screen.Dim, "session "+id+model+"; /help tells more, Ctrl-D leaves"))
	m.sendNext()
}

// message handles an event of the agent.
func (m *model) message(e wireproto.Message) {
	switch e := e.(type) {
	case *wireproto.TurnBegin:
		if m.log.replay {
			m.status.name(saidText(e.UserInput))
			m.log.add(input("> ", e.UserInput))
		}
	case *wireproto.StatusUpdate:
		for _, n := range m.status.mcp(e.MCPStatus) {
			m.log.add(n)
		}
	case *wireproto.SteerInput:
		m.taken(e.UserInput.Text)
		m.log.add(input("» ", e.UserInput))
	case *wireproto.BtwBegin:
		m.queue = slices.DeleteFunc(m.queue, func(q *queued) bool { return q.sent && slash.Aside(q.whole) == e.Question })
	case *wireproto.ToolResult:
		m.background(e)
	case *wireproto.Notification:
		delete(m.tasks, e.SourceID)
	}
	m.status.message(e, m.now)
	if r, ok := e.(*wireproto.ToolResult); ok {
		for _, d := range r.ReturnValue.Display {
			if t, ok := d.(*wireproto.TodoDisplayBlock); ok {
				m.status.todo = t
			}
		}
	}
	m.log.message(e, m.now)
}

var taskID = regexp.MustCompile(`(?m)^task_id: (\S+)$`)

// background notes that a call has started something in the background, which ends with the session.
func (m *model) background(r *wireproto.ToolResult) {
	c := m.log.find(r.ToolCallID)
	if c == nil || r.ReturnValue.IsError || m.log.replay {
		return
	}
	var args struct {
		Background bool `json:"run_in_background"`
	}
	id := taskID.FindStringSubmatch(render.Said(r.ReturnValue.Output))
	if json.Unmarshal([]byte(c.arguments.String()), &args) != nil || !args.Background || id == nil {
		return
	}
	if m.tasks == nil {
		m.tasks = make(map[string]bool)
	}
	m.tasks[id[1]] = true
}

// inBackground says what may still run in the background, "" for nothing.
func (m *model) inBackground() string {
	if len(m.tasks) == 0 {
		return ""
	}
	return screen.Count(len(m.tasks), "background task")
}

// request asks the person, or answers as the command line says.
func (m *model) request(r *request) {
	if r.approval != nil && m.cfg.Answer != "" {
		var err error
		text := "allowed by --answer"
		switch m.cfg.Answer {
		case "y":
			err = r.approval.Approve()
		case "a":
			err = r.approval.ApproveForSession()
		default:
			text, err = "refused by --answer", r.approval.Reject("")
		}
		m.decided(r.approval.ToolCallID, text, err)
		return
	}
	if r.question != nil && len(r.question.Questions) == 0 {
		r.question.Dismiss()
		return
	}
	if r.approval != nil {
		r.offers = m.cfg.Grants.Offers(r.approval, r.name, r.arguments, m.perCall())
		r.ends = !m.perCall() && r.approval.AgentID == nil
	}
	m.decide.add(r)
	if m.pending == nil {
		m.hint = "" // about something that was before
	}
	if c := m.log.find(r.call()); c != nil {
		c.asked, c.complete = true, true
	}
}

// resolved removes a request that needs no answer any more, because another program or kimi itself has answered it.
func (m *model) resolved(id string) {
	r := m.decide.find(id)
	if r == nil {
		return
	}
	if w := m.decide.words; w != nil && r == m.decide.now() { // the person goes on typing, in the editor
		m.edit.paste(w.Value())
	}
	shown := m.guard.shown
	asked := m.decide.drop(id)
	if m.phase != working || m.stopped {
		return
	}
	if c := m.log.find(r.call()); c != nil {
		c.asked, c.begin = false, m.now
	}
	if asked && shown {
		m.log.add(note(screen.Dim, "  (no answer is needed now)"))
	}
}

// ruled shows the answer of a rule. It leaves out the rule itself, because there is only one line.
func (m *model) ruled(call, said string, err error) {
	short, _, _ := strings.Cut(said, ": ")
	m.decided(call, short, err)
}

// decided says how a request ended.
func (m *model) decided(id, text string, err error) {
	if errors.Is(err, client.ErrAnswered) {
		text = "no answer was needed any more"
	} else if err != nil {
		m.tell(err)
		return
	}
	if c := m.log.find(id); c != nil {
		c.asked, c.verdict, c.begin = false, text, m.now
		return
	}
	m.log.add(note(screen.Dim, "  "+text))
}

// tell shows an error.
func (m *model) tell(err error) {
	if err == nil {
		return
	}
	line, hint := err.Error(), ""
	if _, own := err.(slip); !own && m.cfg.Explain != nil {
		line, hint = m.cfg.Explain(err)
	}
	m.log.add(note(screen.Red, "✗ "+line))
	if hint != "" {
		m.log.add(note(screen.Dim, "  hint: "+hint))
	}
}

// end leaves the chat. err says why; it is nil if the person wants to leave.
func (m *model) end(err error) {
	if m.phase == leaving {
		return
	}
	m.phase, m.err = leaving, err
	m.log.close(m.now)
	if tasks := m.inBackground(); tasks != "" {
		m.log.add(note(screen.Yellow, "leaving ends what still runs: "+tasks))
	}
	for _, q := range m.queue {
		m.log.add(note(screen.Dim, "not sent: "+q.text))
	}
	if t := m.edit.whole(); strings.TrimSpace(t) != "" {
		m.edit.history.add(t, t) // one key brings it back the next time
	}
	m.queue = nil
}

// input shows what the person has said.
func input(mark string, c wireproto.Content) *said {
	return &said{rows: screen.Rows(screen.Bold, mark, "  ", saidText(c)), most: maxPrompt}
}
