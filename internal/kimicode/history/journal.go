package history

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Source gives access to a journal.
type Source struct {
	// Open opens the journal from its start. It is called twice if something in the journal was undone.
	Open func() (io.ReadCloser, error)
	// Media returns a picture or a video that is stored next to the journal. The journal names it.
	Media func(name string) ([]byte, error)
}

// Messages yields the messages of a conversation in the form of Kimi Code's server, the oldest first and without those
// that were undone. It keeps only one step of the agent in memory. It skips lines that it cannot read, as Kimi Code
// does: the last line may be incomplete because Kimi Code is writing it.
func (s Source) Messages() iter.Seq2[*api.Message, error] {
	return func(yield func(*api.Message, error) bool) {
		undone, err := s.undone()
		if err != nil {
			yield(nil, err)
			return
		}
		number := 0
		f := fold{put: func(m *message) bool {
			number++
			return undone[number] || yield(s.project(m), nil)
		}}
		err = s.read(func(r *record) bool { return f.add(r) })
		if err == nil && !f.stopped {
			f.flush()
		}
		if err != nil && !f.stopped {
			yield(nil, err)
		}
	}
}

// Turns counts the turns in Messages.
func (s Source) Turns() (n int, err error) {
	for m, err := range s.Messages() {
		if err != nil {
			return n, err
		}
		if _, ok := Prompt(m); ok {
			n++
		}
	}
	return n, nil
}

// undone returns the numbers of the undone messages, counted from 1. A journal without an undo needs no decoding.
func (s Source) undone() (map[int]bool, error) {
	found := false
	err := s.lines(func(line []byte, _ int) bool {
		found = bytes.Contains(line, []byte(`"context.undo"`))
		return !found
	})
	if err != nil || !found {
		return nil, err
	}
	type told struct {
		number                int
		anchor, summary, kept bool
	}
	var list []told
	floor, number := 0, 0
	undone := make(map[int]bool)
	f := fold{put: func(m *message) bool {
		number++
		o := m.Origin
		list = append(list, told{number, m.Role == "user" && o.Begins(), o.Kind == "compaction_summary", o.Kind == "injection"})
		return true
	}}
	err = s.read(func(r *record) bool {
		f.add(r)
		switch r.Type {
		case "context.clear":
			floor = len(list)
		case "context.undo":
			left := list[:floor:floor]
			rest := list[floor:]
			count := r.Count
			for len(rest) > 0 && count > 0 {
				last := rest[len(rest)-1]
				if last.summary {
					break
				}
				rest = rest[:len(rest)-1]
				if last.kept {
					left = append(left, last) // their order no longer matters
					continue
				}
				undone[last.number] = true
				if last.anchor {
					count--
				}
			}
			list = append(left, rest...)
		}
		return true
	})
	f.flush()
	return undone, err
}

// record holds the members of a journal line that are needed here.
type record struct {
	Type    string          `json:"type"`
	Message *message        `json:"message"`
	Event   *event          `json:"event"`
	Count   int             `json:"count"`
	Kept    *int            `json:"keptUserMessageCount"`
	Summary json.RawMessage `json:"summary"`
	Time    float64         `json:"time"` // in milliseconds
}

// at returns when the line was written, or zero if the line has no time.
func (r *record) at() time.Time {
	if r.Time <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(r.Time))
}

// message is a message of the engine.
type message struct {
	ID         string      `json:"id"`
	Role       string      `json:"role"`
	Content    []part      `json:"content"`
	ToolCalls  []toolCall  `json:"toolCalls"`
	ToolCallID string      `json:"toolCallId"`
	IsError    bool        `json:"isError"`
	Origin     *api.Origin `json:"origin"`

	at, ended time.Time // ended is the end of an agent's step
	usage     *api.Usage
}

// part is a content part of the engine.
type part struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Think  string `json:"think"`
	Hidden bool   `json:"hidden"`
	Sealed string `json:"encrypted"`
	Image  *media `json:"imageUrl"`
	Audio  *media `json:"audioUrl"`
	Video  *media `json:"videoUrl"`

	raw json.RawMessage
	at  time.Time
}

type media struct {
	URL string `json:"url"`
}

func (p *part) UnmarshalJSON(data []byte) error {
	type bare part
	if err := json.Unmarshal(data, (*bare)(p)); err != nil {
		return err
	}
	p.raw = bytes.Clone(data)
	return nil
}

// media returns where the part's picture, sound or video is, and its kind.
func (p *part) media() (*media, string) {
	switch {
	case p.Type == "image_url" && p.Image != nil:
		return p.Image, "image"
	case p.Type == "audio_url" && p.Audio != nil:
		return p.Audio, "audio"
	case p.Type == "video_url" && p.Video != nil:
		return p.Video, "video"
	}
	return nil, ""
}

// vacuous reports whether Kimi Code ignores the part.
func (p *part) vacuous() bool {
	switch p.Type {
	case "text":
		return strings.TrimSpace(p.Text) == ""
	case "think":
		return p.Sealed == "" && strings.TrimSpace(p.Think) == ""
	}
	return false
}

type toolCall struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	Arguments *string `json:"arguments"`
	Function  struct {
		Name      string  `json:"name"`
		Arguments *string `json:"arguments"`
	} `json:"function"` // in journals of version 1.0

	args json.RawMessage // from a record of the agent's loop
	at   time.Time
}

// event is a record of the agent's loop.
type event struct {
	Type   string          `json:"type"`
	UUID   string          `json:"uuid"`
	Step   string          `json:"stepUuid"`
	Finish string          `json:"finishReason"`
	Part   *part           `json:"part"`
	CallID string          `json:"toolCallId"`
	Name   string          `json:"name"`
	Args   json.RawMessage `json:"args"`
	Usage  *api.Usage      `json:"usage"`
	Result struct {
		Output  json.RawMessage `json:"output"`
		IsError bool            `json:"isError"`
	} `json:"result"`
}

// fold joins the records of the agent's loop to messages, as createLoopEventFold of Kimi Code does.
type fold struct {
	put     func(*message) bool
	stopped bool // put has returned false

	step     string     // the id of the open step, "" if none is open
	open     *message   // the message of the open step
	waiting  []*message // the open message and the messages after it
	pending  []string   // the ids of the calls that have no result yet
	deferred []*message // messages that have to follow the results
}

// add takes a line. It returns false if no more lines are needed.
func (f *fold) add(r *record) bool {
	switch r.Type {
	case "context.append_message":
		if m := r.Message; m != nil {
			if m.Origin == nil {
				m.Origin = &api.Origin{}
			}
			m.at = r.at()
			if len(f.pending) > 0 {
				f.deferred = append(f.deferred, m)
			} else {
				f.push(m)
			}
		}
	case "context.append_loop_event":
		if r.Event != nil {
			f.event(r.Event, r.at())
		}
	case "context.apply_compaction":
		if r.Kept != nil {
			f.settle()
			f.undefer()
		}
		f.reset()
		f.push(&message{Role: "user", Origin: &api.Origin{Kind: "compaction_summary"}})
	case "context.undo", "context.clear":
		f.reset()
	}
	return !f.stopped
}

func (f *fold) event(e *event, at time.Time) {
	switch e.Type {
	case "step.begin":
		f.settle()
		f.flush()
		f.open = &message{Role: "assistant", Origin: &api.Origin{}, at: at}
		f.step, f.waiting = e.UUID, append(f.waiting, f.open)
	case "step.end":
		if f.step != "" {
			f.open.ended = at
			if e.Usage != nil && *e.Usage != (api.Usage{}) { // Kimi Code writes zeros if the model has not reported its usage
				f.open.usage = e.Usage
			}
		}
		if e.Finish != "interrupted" && e.Finish != "error" {
			f.settle()
			f.undefer()
		}
	case "content.part":
		if f.step != "" && f.step == e.Step && e.Part != nil {
			e.Part.at = at
			f.open.Content = append(f.open.Content, *e.Part)
		}
	case "tool.call":
		if f.step != "" && f.step == e.Step {
			f.open.ToolCalls = append(f.open.ToolCalls, toolCall{ID: e.CallID, Name: e.Name, args: e.Args, at: at})
			f.pending = append(f.pending, e.CallID)
		}
	case "tool.result":
		for i, id := range f.pending {
			if id == e.CallID {
				f.pending = append(f.pending[:i], f.pending[i+1:]...)
				m := toolMessage(id, e.Result.Output, e.Result.IsError)
				m.at = at
				f.push(m)
				f.undefer()
				break
			}
		}
	}
}

// interrupted is the text that Kimi Code uses as the result of a call without a result.
const interrupted = "Tool execution was interrupted before its result was recorded. Do not assume the tool completed successfully."

// settle ends the open step. It drops a step that has neither content nor calls.
func (f *fold) settle() {
	if f.step == "" {
		return
	}
	for _, id := range f.pending {
		text, _ := json.Marshal(interrupted)
		f.push(toolMessage(id, text, true))
	}
	f.pending = nil
	f.undefer()
	empty := len(f.open.ToolCalls) == 0
	for i := range f.open.Content {
		empty = empty && f.open.Content[i].vacuous()
	}
	if empty {
		for i, m := range f.waiting {
			if m == f.open {
				f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
				break
			}
		}
	}
	f.step, f.open = "", nil
	f.flush()
}

// reset puts the waiting messages and forgets the open step.
func (f *fold) reset() {
	f.flush()
	f.step, f.open, f.pending, f.deferred = "", nil, nil, nil
}

func (f *fold) undefer() {
	if len(f.pending) > 0 {
		return
	}
	list := f.deferred
	f.deferred = nil
	for _, m := range list {
		f.push(m)
	}
}

// push adds a message after the open one.
func (f *fold) push(m *message) {
	f.waiting = append(f.waiting, m)
	if f.step == "" {
		f.flush()
	}
}

// flush gives the waiting messages to put.
func (f *fold) flush() {
	for _, m := range f.waiting {
		if f.stopped = f.stopped || !f.put(m); f.stopped {
			break
		}
	}
	f.waiting = f.waiting[:0]
}

func toolMessage(id string, output json.RawMessage, isError bool) *message {
	m := &message{Role: "tool", ToolCallID: id, IsError: isError, Origin: &api.Origin{}}
	var text string
	if json.Unmarshal(output, &text) == nil {
		m.Content = []part{{Type: "text", Text: text}}
	} else {
		json.Unmarshal(output, &m.Content) // an output that is no list of parts gives no content
	}
	return m
}

// project returns a message in the form in which the server sends it.
func (s Source) project(m *message) *api.Message {
	out := &api.Message{ID: m.ID, Role: m.Role, At: m.at, Ended: m.ended, Usage: m.usage}
	out.Metadata.Origin = *m.Origin
	if m.Role == "tool" && m.ToolCallID != "" {
		out.Content = []api.Part{{Type: "tool_result", ToolCallID: m.ToolCallID, Output: s.output(m.Content), IsError: m.IsError, At: m.at}}
		return out
	}
	for i := range m.Content {
		p := &m.Content[i]
		at, kind := p.media()
		switch {
		case p.Type == "text":
			out.Content = append(out.Content, api.Part{Type: "text", Text: p.Text, At: p.at})
		case p.Type == "think" && !p.Hidden:
			out.Content = append(out.Content, api.Part{Type: "thinking", Thinking: p.Think, At: p.at})
		case kind == "audio":
			out.Content = append(out.Content, api.Part{Type: "text", Text: "[audio:" + at.URL + "]"})
		case kind != "":
			out.Content = append(out.Content, api.Part{Type: kind, Source: s.at(at.URL)})
		}
	}
	if m.Role == "assistant" {
		for _, c := range m.ToolCalls {
			out.Content = append(out.Content, c.project())
		}
	}
	return out
}

func (c *toolCall) project() api.Part {
	p := api.Part{Type: "tool_use", ToolCallID: c.ID, ToolName: c.Name, Input: c.args, At: c.at}
	if p.ToolName == "" {
		p.ToolName = c.Function.Name
	}
	text := c.Arguments
	if text == nil {
		text = c.Function.Arguments
	}
	if text != nil {
		var b bytes.Buffer
		if json.Compact(&b, []byte(*text)) == nil {
			p.Input = b.Bytes()
		} else {
			p.Input, _ = json.Marshal(*text)
		}
	}
	return p
}

// output returns the text of a result, or its parts if some of them are not text.
func (s Source) output(parts []part) json.RawMessage {
	var text strings.Builder
	var list []json.RawMessage
	media := false
	for i := range parts {
		p := &parts[i]
		if p.Type == "think" && p.Hidden {
			continue
		}
		raw := p.raw
		if at, kind := p.media(); kind != "" {
			media = true
			if url := s.load(at.URL); url != at.URL {
				raw, _ = json.Marshal(map[string]any{"type": p.Type, kind + "Url": map[string]string{"url": url}})
			}
		}
		if p.Type == "text" {
			text.WriteString(p.Text)
		}
		if raw == nil {
			raw, _ = json.Marshal(map[string]string{"type": "text", "text": p.Text})
		}
		list = append(list, raw)
	}
	var raw json.RawMessage
	if media {
		raw, _ = json.Marshal(list)
	} else {
		raw, _ = json.Marshal(text.String())
	}
	return raw
}

// at returns where a picture or a video of a message is.
func (s Source) at(url string) *api.Source {
	if id, ok := strings.CutPrefix(url, "kimi-file://"); ok {
		id, _, _ = strings.Cut(id, "?")
		return &api.Source{Kind: "session_media", FileID: id}
	}
	return &api.Source{Kind: "url", URL: s.load(url)}
}

// load returns a data: URL for a file that is stored next to the journal. It returns any other URL unchanged.
func (s Source) load(url string) string {
	rest, ok := strings.CutPrefix(url, "blobref:")
	if !ok {
		return url
	}
	kind, name, ok := strings.Cut(rest, ";")
	if ok && name != "" && s.Media != nil {
		if data, err := s.Media(name); err == nil {
			return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data)
		}
	}
	return "[media missing]"
}

// read decodes the lines that are about the conversation.
func (s Source) read(each func(*record) bool) error {
	return s.lines(func(line []byte, _ int) bool {
		if !bytes.Contains(line, []byte(`"context.`)) {
			return true
		}
		r := new(record)
		return json.Unmarshal(line, r) != nil || each(r)
	})
}

// lines yields the lines of the journal with their numbers, counted from 1. It yields nil for a line that is too long,
// and skips an incomplete last line.
func (s Source) lines(each func(line []byte, number int) bool) error {
	file, err := s.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	lines := wireproto.NewLineReader(file)
	for number := 1; ; number++ {
		line, err := lines.ReadLine()
		switch {
		case err == nil:
		case err == io.EOF:
			return nil
		case err == io.ErrUnexpectedEOF:
			if json.Valid(line) {
				each(line, number)
			}
			return nil
		case errors.As(err, new(*wireproto.LineError)):
			line = nil
		default:
			return err
		}
		if !each(line, number) {
			return nil
		}
	}
}
