package acpbridge

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// update is what a session/update tells; only what is used is declared.
type update struct {
	Kind      string          `json:"sessionUpdate"`
	ID        string          `json:"toolCallId"`
	Title     string          `json:"title"`
	Status    string          `json:"status"`
	Content   json.RawMessage `json:"content"` // one block, or a list in a tool call
	RawInput  json.RawMessage `json:"rawInput"`
	RawOutput json.RawMessage `json:"rawOutput"`
	Locations []struct {
		Path string `json:"path"`
	} `json:"locations"`
	Entries []struct {
		Content string `json:"content"`
		Status  string `json:"status"`
	} `json:"entries"`
	Commands []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"availableCommands"`
	Used *int `json:"used"`
	Size *int `json:"size"`
}

// block is a piece of content.
type block struct {
	Type    string `json:"type"` // text, or in a tool call content and diff
	Text    string `json:"text"`
	Content *block `json:"content"`
	Path    string `json:"path"`
	OldText string `json:"oldText"`
	NewText string `json:"newText"`
}

// blocks returns the content as a list.
func (u *update) blocks() []block { return blocksOf(u.Content) }

func blocksOf(raw json.RawMessage) []block {
	var list []block
	if json.Unmarshal(raw, &list) != nil {
		var one block
		if json.Unmarshal(raw, &one) != nil {
			return nil
		}
		list = []block{one}
	}
	return list
}

// text returns the text of the content.
func (u *update) text() string { return textOf(u.blocks()) }

func textOf(list []block) string {
	var text strings.Builder
	for _, c := range list {
		if c.Content != nil {
			c = *c.Content
		}
		text.WriteString(c.Text)
	}
	return text.String()
}

// diffsOf returns the changes of files among the content.
func diffsOf(list []block) wireproto.DisplayBlocks {
	var diffs wireproto.DisplayBlocks
	for _, c := range list {
		if c.Type == "diff" {
			diffs = append(diffs, &wireproto.DiffDisplayBlock{Path: c.Path, OldText: c.OldText, NewText: c.NewText, OldStart: 1, NewStart: 1})
		}
	}
	return diffs
}

// result returns the result of a tool call.
func (u *update) result() wireproto.ToolReturnValue {
	v := wireproto.ToolReturnValue{IsError: u.Status == "failed"}
	var text string
	switch {
	case json.Unmarshal(u.RawOutput, &text) == nil && u.RawOutput != nil:
		v.Output.Text = text
	case u.RawOutput != nil && v.Output.UnmarshalJSON(wireParts(u.RawOutput)) == nil:
	default:
		v.Output = wireproto.Content{Text: u.text()}
	}
	return v
}

// wireParts returns content parts of Kimi Code with the names of Wire.
func wireParts(raw json.RawMessage) json.RawMessage {
	var parts []map[string]json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return raw
	}
	for _, p := range parts {
		for name, wire := range map[string]string{"imageUrl": "image_url", "audioUrl": "audio_url", "videoUrl": "video_url"} {
			if v, ok := p[name]; ok {
				p[wire] = v
				delete(p, name)
			}
		}
	}
	renamed, err := json.Marshal(parts)
	if err != nil {
		return raw
	}
	return renamed
}

// toolCallState is a tool call whose result has not come.
type toolCallState struct {
	name    string // as the model calls it
	n       int    // in the order of their beginnings
	args    string // as far as they have come
	path    string // of the file that it is about
	display wireproto.DisplayBlocks
	asked   bool // a Go tool: its request has been sent
}

// update handles a session/update.
func (b *Conn) update(u *update) {
	t := b.turn
	if b.history != nil {
		b.history.update(u)
		return
	}
	switch u.Kind {
	case "agent_message_chunk":
		b.text(u.text())
	case "agent_thought_chunk":
		b.say(&wireproto.ThinkPart{Think: u.text()})
	case "tool_call":
		b.toolCall(u)
	case "tool_call_update":
		b.toolUpdate(u)
	case "plan":
		b.todos(u)
	case "usage_update":
		if u.Used != nil && u.Size != nil && *u.Size > 0 {
			b.window, b.used = *u.Size, *u.Used
			if t == nil || t.reply == nil { // else with the turn's end
				b.status()
			}
		}
	case "available_commands_update":
		b.commands = []wireproto.SlashCommand{}
		for _, c := range u.Commands {
			b.commands = append(b.commands, wireproto.SlashCommand{Name: c.Name, Description: c.Description, Aliases: []string{}})
		}
	}
}

// say emits what the model says, behind the beginning of its step.
func (b *Conn) say(m wireproto.Message) {
	if b.turn != nil {
		if b.compact && b.turn.slash == "" { // has ended, else the model would not speak
			b.waitJournal(askedWait, func() bool { b.poll(); return !b.compact })
		}
		b.tellRetry(false)
		b.turn.begin(b)
		b.turn.output = time.Now()
	}
	b.emit(m)
}

// isCompactionNotice reports whether a text is what Kimi Code says of a compaction.
func isCompactionNotice(text string) bool {
	return strings.HasPrefix(text, "Compaction completed.\n- Messages compacted: ") || strings.HasPrefix(text, "Compacting conversation context") ||
		text == "Compaction cancelled." || text == "Compaction is blocked by the current turn; retry when the turn is idle."
}

// text emits text, unless it is a notice of a compaction, of which the journal tells.
func (b *Conn) text(text string) {
	if text == "" {
		return
	}
	if b.journal != nil && isCompactionNotice(text) {
		b.waitJournal(askedWait, func() bool { b.poll(); return b.compact || b.journal.compacted })
		if b.compact || b.journal.compacted {
			return
		}
	}
	b.say(&wireproto.TextPart{Text: text})
}

// status tells how full the context is and what the last model call has used, if either is new.
func (b *Conn) status() {
	m := &wireproto.StatusUpdate{}
	if b.turn != nil {
		m.TokenUsage, b.turn.usage = b.turn.usage, nil
	}
	if now := [2]int{b.used, b.window}; now != b.told && b.used > 0 {
		b.told = now
		m.ContextTokens = &now[0]
		if b.window > 0 {
			usage := float64(b.used) / float64(b.window)
			m.MaxContextTokens, m.ContextUsage = &now[1], &usage
		}
	}
	if *m != (wireproto.StatusUpdate{}) {
		b.emit(m)
	}
}

// toolCall begins a tool call. The first update alone has the tool's name as its title.
func (b *Conn) toolCall(u *update) {
	t := b.turn
	if t == nil {
		return
	}
	t.begun++
	c := &toolCallState{name: u.Title, n: t.begun}
	if len(u.RawInput) > 0 {
		c.args = jsonText(u.RawInput)
	} else {
		c.args = u.text()
	}
	c.notice(u)
	t.calls[u.ID] = c
	t.lastCall = u.ID
	args := c.args
	b.say(&wireproto.ToolCall{ID: u.ID, Function: wireproto.ToolCallFunction{Name: b.toolName(c.name), Arguments: &args}})
}

// notice keeps what an update tells about the call.
func (c *toolCallState) notice(u *update) {
	if diffs := diffsOf(u.blocks()); diffs != nil {
		c.display = diffs
	}
	if len(u.Locations) > 0 {
		c.path = u.Locations[0].Path
	}
}

// toolUpdate goes on with a tool call, or ends it.
func (b *Conn) toolUpdate(u *update) {
	t := b.turn
	if t == nil {
		return
	}
	c := t.calls[u.ID]
	if old := t.aborted[u.ID]; c == nil && old != nil && len(u.RawInput) > 0 { // kimi goes on with the call of the attempt before
		delete(t.aborted, u.ID)
		u.Title = old.name
		b.toolCall(u)
		return
	}
	switch {
	case c == nil:
	case u.Status == "completed" || u.Status == "failed":
		v := u.result()
		c.notice(u)
		v.Display = c.display
		if c.name == "Agent" {
			b.subagentEnd(u.ID)
		}
		delete(t.calls, u.ID) // not before: the next step begins behind the result
		b.emit(&wireproto.ToolResult{ToolCallID: u.ID, ReturnValue: v})
		t.ended(b)
	case len(u.RawInput) > 0: // complete, and about to run
		if c.args == "" {
			b.more(u.ID, c, jsonText(u.RawInput))
		}
		c.args = jsonText(u.RawInput)
		c.notice(u)
	case u.Status == "in_progress":
		b.more(u.ID, c, u.text())
	}
}

// more emits what has come of the arguments; text is all of them so far.
func (b *Conn) more(id string, c *toolCallState, text string) {
	rest, ok := strings.CutPrefix(text, c.args)
	if !ok || rest == "" || b.turn.lastCall != id { // a part belongs to the latest call
		return
	}
	c.args = text
	b.emit(&wireproto.ToolCallPart{ArgumentsPart: &rest})
}

// todos gives the todo list to the call that has set it.
func (b *Conn) todos(u *update) {
	list := &wireproto.TodoDisplayBlock{}
	for _, e := range u.Entries {
		status := e.Status
		if status == "completed" {
			status = "done"
		}
		list.Items = append(list.Items, wireproto.TodoItem{Title: e.Content, Status: status})
	}
	if b.turn == nil {
		return
	}
	for _, c := range b.turn.calls {
		if strings.HasPrefix(c.name, "Todo") {
			c.display = wireproto.DisplayBlocks{list}
		}
	}
}

// preview returns what there is to see of a call before it runs.
func (c *toolCallState) preview(workDir string) wireproto.DisplayBlocks {
	if c == nil {
		return nil
	}
	if c.display != nil {
		return c.display
	}
	var args struct {
		Command *string `json:"command"`
		Path    string  `json:"path"`
		Content *string `json:"content"`
		Mode    string  `json:"mode"`
	}
	if json.Unmarshal([]byte(c.args), &args) != nil {
		return nil
	}
	switch {
	case c.name == "Bash" && args.Command != nil:
		return wireproto.DisplayBlocks{&wireproto.ShellDisplayBlock{Language: "bash", Command: *args.Command}}
	case c.name == "Write" && args.Content != nil:
		path := c.path
		if path == "" {
			path = args.Path
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(workDir, path)
		}
		diff := &wireproto.DiffDisplayBlock{Path: path, OldText: contents(path), NewText: *args.Content, OldStart: 1, NewStart: 1}
		if args.Mode == "append" {
			diff.NewText = diff.OldText + diff.NewText
		}
		c.display = wireproto.DisplayBlocks{diff}
		return c.display
	}
	return nil
}

// contents returns a file as it stands, "" for one that is not there or is too long to show.
func contents(path string) string {
	data, err := regular.Read(path, 1<<20)
	if err != nil {
		return ""
	}
	return string(data)
}
