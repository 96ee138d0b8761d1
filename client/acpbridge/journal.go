package acpbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// journal follows the files in which kimi records a session: agents/main/wire.jsonl, and
// one for each subagent.
type journal struct {
	home      string
	session   string
	main      *tail
	agents    []*agent
	asked     map[string]*asked // what agents have asked and the client has not been told
	running   json.Number       // the turn that runs, perhaps one that kimi has started itself; "" for none
	tasks     bool              // there have been background tasks, whose ends begin turns
	compacted bool              // a compaction has been told of in this turn
}

// display is what Kimi Code shows of an action.
type display struct {
	Kind      string `json:"kind"` // command, file_io, todo_list, …
	Command   string `json:"command"`
	Language  string `json:"language"`
	Operation string `json:"operation"`
	Path      string `json:"path"`
	Content   string `json:"content"`
	Before    string `json:"before"`
	After     string `json:"after"`
}

// blocks returns the display blocks of Wire.
func (d *display) blocks() wireproto.DisplayBlocks {
	switch {
	case d == nil:
	case d.Kind == "command":
		return wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Language: d.Language, Command: d.Command}}
	case d.Kind == "file_io" && d.Operation == "edit":
		return wireproto.DisplayBlocks{&wireproto.DiffDisplayBlock{Path: d.Path, OldText: d.Before, NewText: d.After, OldStart: 1, NewStart: 1}}
	case d.Kind == "file_io" && d.Operation == "write":
		return wireproto.DisplayBlocks{&wireproto.DiffDisplayBlock{Path: d.Path, OldText: contents(d.Path), NewText: d.Content, OldStart: 1, NewStart: 1}}
	}
	return nil
}

// record is one line of a journal; only what is used is declared.
type record struct {
	Type   string      `json:"type"`
	Time   int64       `json:"time"` // milliseconds since 1970
	Turn   json.Number `json:"turnId"`
	Step   int         `json:"step"`
	Origin struct {
		Kind string `json:"kind"`
	} `json:"origin"`
	Event  *loopEvent `json:"event"`
	Usage  *usage     `json:"usage"`
	Scope  string     `json:"usageScope"`
	Tokens *int       `json:"tokens"`

	// turn.step.retrying
	NextAttempt int     `json:"nextAttempt"`
	MaxAttempts int     `json:"maxAttempts"`
	DelayMS     float64 `json:"delayMs"`
	ErrorName   string  `json:"errorName"`
	StatusCode  *int    `json:"statusCode"`

	// interaction.request
	Kind       string `json:"kind"`
	ToolCallID string `json:"toolCallId"`
	Request    struct {
		Turn    json.Number `json:"turnId"`
		Action  string      `json:"action"`
		Display *display    `json:"display"`
	} `json:"request"`

	// subagent.spawned
	SubagentID   string `json:"subagentId"`
	SubagentName string `json:"subagentName"`
	ParentCall   string `json:"parentToolCallId"`
	ParentAgent  string `json:"parentAgentId"`
	Description  string `json:"description"`
	Background   bool   `json:"runInBackground"`

	// task.terminated
	Info *struct {
		TaskID      string `json:"taskId"`
		Kind        string `json:"kind"`
		Description string `json:"description"`
		Status      string `json:"status"`
		EndedAt     int64  `json:"endedAt"`
	} `json:"info"`
	OutputTail string `json:"outputTail"`

	// turn.ended
	ending
}

// turn returns kimi's number of the turn that the line is about, "" for none.
func (r *record) turn() json.Number {
	if r.Event != nil {
		return r.Event.Turn
	}
	return r.Turn
}

// readRecord reads a line, nil if it is none. A member of another type than is known is left out.
func readRecord(line []byte) *record {
	r := new(record)
	var other *json.UnmarshalTypeError
	if err := json.Unmarshal(line, r); err != nil && !errors.As(err, &other) {
		return nil
	}
	return r
}

// loopEvent is an event inside of a step.
type loopEvent struct {
	Type string      `json:"type"`
	UUID string      `json:"uuid"`
	Turn json.Number `json:"turnId"`
	Part *struct {
		Type  string `json:"type"`
		Text  string `json:"text"`
		Think string `json:"think"`
	} `json:"part"`
	ToolCallID string          `json:"toolCallId"`
	ParentUUID string          `json:"parentUuid"`
	Name       string          `json:"name"`
	Args       json.RawMessage `json:"args"`
	Result     *struct {
		Output  json.RawMessage `json:"output"`
		IsError bool            `json:"isError"`
	} `json:"result"`
	Finish string `json:"providerFinishReason"` // of step.end; "" when the stream broke off
}

type usage struct {
	InputOther         int `json:"inputOther"`
	Output             int `json:"output"`
	InputCacheRead     int `json:"inputCacheRead"`
	InputCacheCreation int `json:"inputCacheCreation"`
}

func (u usage) wire() *wireproto.TokenUsage {
	return &wireproto.TokenUsage{InputOther: u.InputOther, Output: u.Output, InputCacheRead: u.InputCacheRead, InputCacheCreation: u.InputCacheCreation}
}

// newJournal follows the journal of a session from where it ends now.
func newJournal(home, session string) *journal {
	j := &journal{home: home, session: session, asked: make(map[string]*asked)}
	if dir := j.sessionDir(); dir != "" {
		files, _ := os.ReadDir(filepath.Join(dir, "agents"))
		for _, f := range files {
			t := &tail{path: filepath.Join(dir, "agents", f.Name(), "wire.jsonl")}
			t.skip()
			if f.Name() == "main" {
				j.main = t
			} else {
				j.agents = append(j.agents, &agent{id: f.Name(), file: t, done: true, calls: make(map[string]string)})
			}
		}
	}
	return j
}

func (j *journal) sessionDir() string { return sessionDir(j.home, j.session) }

func (j *journal) close() {
	if j.main != nil {
		j.main.close()
	}
	for _, a := range j.agents {
		a.file.close()
	}
}

// injected returns the texts in the session's history that kimi has put there in the user's name.
func (j *journal) injected() map[string]bool {
	texts := make(map[string]bool)
	if j.main == nil {
		return texts
	}
	f, err := regular.Open(j.main.path)
	if err != nil {
		return texts
	}
	defer f.Close()
	lines := wireproto.NewLineReader(f)
	for {
		line, err := lines.ReadLine()
		var rec struct {
			Type    string `json:"type"`
			Message struct {
				Role    string            `json:"role"`
				Content wireproto.Content `json:"content"`
				Origin  struct {
					Kind string `json:"kind"`
				} `json:"origin"`
			} `json:"message"`
		}
		if bytes.Contains(line, []byte(`"context.append_message"`)) && json.Unmarshal(line, &rec) == nil &&
			rec.Message.Role == "user" && rec.Message.Origin.Kind != "user" {
			for _, p := range rec.Message.Content.Parts {
				if t, ok := p.(*wireproto.TextPart); ok {
					texts[t.Text] = true
				}
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return texts
		}
	}
}

// poll hands on what has been written to the journal since.
func (b *Conn) poll() {
	j := b.journal
	if j == nil || j.main == nil {
		return
	}
	for _, line := range j.main.read() {
		if r := readRecord(line); r != nil {
			b.record(r)
		}
	}
	for _, a := range j.agents {
		b.pollAgent(a)
	}
}

// record handles a line of the main agent's journal.
func (b *Conn) record(r *record) {
	t := b.turn
	if t != nil && t.number >= 0 && r.turn() == json.Number(fmt.Sprint(t.number)) {
		b.turnRecord(t, r)
	}
	switch r.Type {
	case "turn.prompt":
		user := slices.Contains([]string{"user", "skill_activation", "plugin_command"}, r.Origin.Kind)
		if n, err := r.Turn.Int64(); user && err == nil && t != nil && t.sent && t.number < 0 && r.Time >= t.sentAt.UnixMilli() {
			t.number = int(n)
			t.unseen = t.reply != nil && r.Time > t.repliedAt.UnixMilli()
		}
	case "agent.turn.started":
		b.journal.running = r.Turn
	case "agent.turn.ended":
		if b.journal.running == r.Turn {
			b.journal.running = ""
		}
	case "usage.record":
		if r.Usage != nil && *r.Usage != (usage{}) && r.Scope == "turn" && t != nil && t.sent {
			if t.usage == nil {
				t.usage = new(wireproto.TokenUsage)
			}
			t.usage.Add(*r.Usage.wire())
		}
	case "token_counting.measured":
		if r.Tokens != nil && t != nil {
			b.used = *r.Tokens
			b.status()
		}
	case "interaction.request":
		if r.Kind == "approval" && b.journal.subagents() {
			b.journal.noteAsked(nil, r)
		}
	case "subagent.spawned":
		b.spawned(r)
	case "subagent.failed", "subagent.cancelled":
		for _, a := range b.journal.agents {
			if a.id == r.SubagentID {
				b.pollAgent(a)
				a.done = true
			}
		}
	case "task.started":
		b.journal.tasks = true
	case "task.terminated":
		b.taskEnded(r)
	default:
		b.modeRecord(r)
	}
}

// turnRecord handles what is said of the turn that runs, and of its steps. What the model
// says in them comes over ACP.
func (b *Conn) turnRecord(t *turn, r *record) {
	if r.Type != "turn.step.retrying" {
		b.tellRetry(true)
	}
	switch r.Type {
	case "turn.ended":
		e := r.ending
		t.end = &e
	case "turn.step.retrying":
		t.retrying = true
		b.abort(t)
		b.tellRetry(true)
		t.begin(b)
		t.retryAt = time.Now().Add(min(retryWait, time.Duration(r.DelayMS/2*float64(time.Millisecond))))
		t.retry = &wireproto.StepRetry{
			N: t.steps, NextAttempt: r.NextAttempt, MaxAttempts: r.MaxAttempts, WaitS: r.DelayMS / 1000,
			ErrorType: r.ErrorName, StatusCode: r.StatusCode,
		}
		b.tellRetry(false)
	case "turn.step.interrupted":
		if t.cancelled {
			return
		}
		if t.journal > t.steps {
			t.begin(b)
		}
		b.emit(&wireproto.StepInterrupted{})
	case "context.append_loop_event":
		switch r.Event.Type {
		case "step.begin":
			t.finish = ""
			if t.retrying {
				t.retrying = false
				return
			}
			t.journal++
			if len(t.calls) == 0 && t.journal > t.steps {
				t.fresh = true
				if time.UnixMilli(r.Time).After(t.output) { // else what has been said may be this step's
					t.begin(b)
				}
			}
		case "step.end":
			t.finish = r.Event.Finish
			b.status()
		}
	}
}

// modeRecord handles what is said of plan mode and of compactions.
func (b *Conn) modeRecord(r *record) {
	switch r.Type {
	case "plan_mode.enter":
		if r.Time > b.modeSet.UnixMilli() { // else it tells of what this side has done
			b.setPlan(true)
		}
	case "plan_mode.exit", "plan_mode.cancel":
		if r.Time > b.modeSet.UnixMilli() {
			b.planEnded()
		}
	case "full_compaction.begin":
		b.compact, b.journal.compacted = true, true
		b.emit(&wireproto.CompactionBegin{})
	case "full_compaction.complete":
		b.compact = false
		b.emit(&wireproto.CompactionEnd{})
	case "full_compaction.cancel":
		b.compact = false
		b.emit(&wireproto.StepInterrupted{})
		if t := b.turn; t != nil {
			t.failed = t.slash != "" && !t.cancelled
		}
	}
}

// tellRetry tells of the retry that the journal has told of, behind what was said before it.
func (b *Conn) tellRetry(now bool) {
	if t := b.turn; t != nil && t.retry != nil && (now || !time.Now().Before(t.retryAt)) {
		b.emit(t.retry)
		t.retry = nil
	}
}

// abort ends the tool calls of an attempt that has failed: they never run.
func (b *Conn) abort(t *turn) {
	for id, c := range t.calls {
		delete(t.calls, id)
		t.aborted[id] = c
		b.emit(&wireproto.ToolResult{ToolCallID: id, ReturnValue: wireproto.ToolReturnValue{IsError: true, Message: "the model's message broke off before the call was complete"}})
	}
}

// planEnded notes that plan mode is over. If it had suspended yolo or afk, they are put in force again.
func (b *Conn) planEnded() {
	if !b.plan {
		return
	}
	b.setPlan(false)
	if b.suspended {
		b.suspended = false
		b.restoring = b.acp.begin("session/set_mode", map[string]any{"sessionId": b.session, "modeId": b.set.mode})
	}
}

// taskEnded tells of a background task that has ended.
func (b *Conn) taskEnded(r *record) {
	if r.Info == nil {
		return
	}
	severity := "error"
	if r.Info.Status == "completed" {
		severity = "success"
	}
	b.emit(&wireproto.Notification{
		ID: "task:" + r.Info.TaskID + ":" + r.Info.Status, Category: "task", Type: "task." + r.Info.Status,
		SourceKind: "background_task", SourceID: r.Info.TaskID, Title: "Background task " + r.Info.Status + ": " + r.Info.Description,
		Body: r.OutputTail, Severity: severity, CreatedAt: float64(r.Info.EndedAt) / 1000, Payload: map[string]json.RawMessage{},
	})
}
