package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// Cut says what a fork keeps of a session's journals.
type Cut struct {
	Turns      int       // how many turns of the user are kept
	LastPrompt string    // the prompt of the last kept turn
	Last       time.Time // the time of the last kept record; later records of other agents are not kept

	keep map[int]bool // the numbers of the kept lines of the main agent's journal
}

// line holds the members of a journal line that a cut needs.
type line struct {
	Type     string      `json:"type"`
	Time     float64     `json:"time"`
	Created  float64     `json:"created_at"`
	Message  *cutMessage `json:"message"`
	Origin   *api.Origin `json:"origin"` // of a turn's input
	PromptID string      `json:"promptId"`
	SteerID  string      `json:"messageId"`
	Count    int         `json:"count"`
	Branch   string      `json:"branch"`
	Base     *struct {
		Branch string `json:"branch"`
		Line   int    `json:"line"`
	} `json:"base"`
	UndoLine int    `json:"legacyUndoLine"`
	Protocol string `json:"protocol_version"`

	number int
}

// cutMessage is a message without its content, except for what a prompt says.
type cutMessage struct {
	ID     string `json:"id"`
	Role   string `json:"role"`
	Origin struct {
		api.Origin
		Owner string `json:"ownerPromptId"`
	} `json:"origin"`
	Content json.RawMessage `json:"content"`
}

func (l *line) time() time.Time {
	ms := l.Time
	if ms == 0 && l.Type == "metadata" {
		ms = l.Created
	}
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// begins reports whether the line begins a turn of the user.
func (l *line) begins() bool {
	return l.Type == "context.append_message" && l.Message != nil && l.Message.Role == "user" && l.Message.Origin.Begins()
}

// TurnsError says that a session has fewer turns than are to be kept.
type TurnsError struct{ Turns, Want int }

// Error names both numbers.
func (e *TurnsError) Error() string { return fmt.Sprintf("it has %d turns, not %d", e.Turns, e.Want) }

// Cut finds the first turns of the main agent's journal, -1 for all. If there are fewer, it returns a [*TurnsError].
func (s Source) Cut(turns int) (*Cut, error) {
	chain, err := s.chain()
	if err != nil {
		return nil, err
	}
	c := &Cut{keep: make(map[int]bool)}
	end := len(chain)
	for i, l := range chain {
		if !l.begins() {
			continue
		}
		if c.Turns == turns {
			end = i
			break
		}
		c.Turns++
		c.LastPrompt = l.prompt()
	}
	if c.Turns < turns {
		return nil, &TurnsError{c.Turns, turns}
	}
	chain = chain[:end]
	ids, last := make(map[string]bool), 0
	for _, l := range chain {
		if l.Type == "context.append_message" && l.Message != nil && l.Message.Role == "user" && l.Message.Origin.User() {
			ids[l.Message.ID], last = true, l.number
		}
	}
	for _, l := range chain {
		switch id := l.PromptID + l.SteerID; {
		case strings.HasPrefix(l.Type, "file_history."):
			continue
		case l.Type != "turn.prompt" && l.Type != "turn.steer" || l.Origin == nil || !l.Origin.User():
		case id != "" && !ids[id], id == "" && l.number > last: // the input of a turn that is not kept
			continue
		}
		c.keep[l.number] = true
		if at := l.time(); at.After(c.Last) {
			c.Last = at
		}
	}
	return c, nil
}

// prompt returns the text of the turn that the line begins, on one line.
func (l *line) prompt() string {
	m := &api.Message{Role: "user"}
	m.Metadata.Origin = l.Message.Origin.Origin
	var parts []part
	json.Unmarshal(l.Message.Content, &parts) // Content may be no list of parts; then there is no text
	for _, p := range parts {
		if p.Type == "text" {
			m.Content = append(m.Content, api.Part{Type: "text", Text: p.Text})
		}
	}
	input, _ := Prompt(m)
	return strings.Join(strings.Fields(input.String()), " ")
}

// Write writes the kept lines of the main agent's journal. now is the time of the fork.
func (c *Cut) Write(w io.Writer, s Source, now time.Time) error {
	return write(w, s, now, "main", func(number int) bool { return c.keep[number] })
}

// WriteAgent writes what another agent had recorded when the last kept turn ended. It returns false, and writes
// nothing, if the agent had recorded nothing.
func (c *Cut) WriteAgent(w io.Writer, s Source, agent string, now time.Time) (bool, error) {
	chain, err := s.chain()
	if err != nil {
		return false, err
	}
	end := slices.IndexFunc(chain, func(l *line) bool { return l.time().After(c.Last) })
	if end < 0 {
		end = len(chain)
	}
	if end == 0 {
		return false, nil
	}
	keep := make(map[int]bool)
	for _, l := range chain[:end] {
		keep[l.number] = true
	}
	return true, write(w, s, now, agent, func(number int) bool { return keep[number] })
}

func write(w io.Writer, s Source, now time.Time, agent string, keep func(int) bool) error {
	b := bufio.NewWriterSize(w, 64<<10)
	put := func(v any) {
		raw, _ := json.Marshal(v)
		b.Write(append(raw, '\n'))
	}
	first := true
	err := s.lines(func(text []byte, number int) bool {
		if !keep(number) {
			return true
		}
		if first {
			first = false
			var l line
			if json.Unmarshal(text, &l); l.Type != "metadata" {
				put(metadata(now))
			}
		}
		b.Write(text)
		return b.WriteByte('\n') == nil
	})
	if first {
		put(metadata(now))
	}
	put(map[string]any{"type": "forked", "agentId": agent, "time": now.UnixMilli()})
	if err != nil {
		return err
	}
	return b.Flush()
}

func metadata(now time.Time) any {
	return map[string]any{"type": "metadata", "protocol_version": protocol, "created_at": now.UnixMilli()}
}

// protocol is the version of the journal that Kimi Code 2.1.0 writes. Kimi Code also reads the earlier versions.
const protocol = "1.5"

// VersionError says that this module does not know the version of a journal.
type VersionError struct{ Version string }

// Error names the version of the journal and the newest known version.
func (e *VersionError) Error() string {
	return fmt.Sprintf("its journal has version %.20s, and this module knows versions up to %s", e.Version, protocol)
}

// chain returns the lines that are in force, without the branches that an undo has left. In Kimi Code, parseTree and
// restorableChain do this.
func (s Source) chain() ([]*line, error) {
	var all []*line
	err := s.lines(func(text []byte, number int) bool {
		l := &line{number: number}
		if json.Unmarshal(text, l) == nil && l.Type != "" {
			if !l.begins() && l.Message != nil {
				l.Message.Content = nil
			}
			all = append(all, l)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if l.Type == "metadata" && l.Protocol != "" && !strings.HasPrefix(l.Protocol, "1.") {
			return nil, &VersionError{l.Protocol}
		}
	}
	type segment struct {
		from, to int
		edge     *line
	}
	segments := make(map[string]segment)
	paired := make(map[int]bool)
	branch, from := "main", 1
	var opening *line
	for _, l := range all {
		if l.Type != "agent.switched" || l.Branch == "" || l.Base == nil {
			continue
		}
		if l.UndoLine > 0 {
			paired[l.UndoLine] = true
		}
		segments[branch] = segment{from, l.number, opening}
		branch, from, opening = l.Branch, l.number+1, l
	}
	last := from
	if n := len(all); n > 0 {
		last = max(last, all[n-1].number)
	}
	segments[branch] = segment{from, last, opening}

	in := make(map[int]bool)
	seen := make(map[string]bool)
	for name, upto := branch, last; ; {
		seg, known := segments[name]
		if !known || seen[name] {
			return nil, fmt.Errorf("the journal's branches do not lead back to its start; the break is at %.40q", name)
		}
		seen[name] = true
		for _, l := range all {
			if l.number >= seg.from && l.number <= min(upto, seg.to) && l.Type != "agent.switched" {
				in[l.number] = true
			}
		}
		if seg.edge == nil {
			break
		}
		name, upto = seg.edge.Base.Branch, seg.edge.Base.Line
	}
	prompts := make(map[string]bool)
	for _, l := range all {
		if in[l.number] && (l.Type == "context.undone" || l.Type == "context.undo" && paired[l.number]) {
			delete(in, l.number)
		}
		if in[l.number] && l.Type == "context.append_message" && l.Message != nil && l.Message.Role == "user" && l.Message.ID != "" {
			prompts[l.Message.ID] = true
		}
	}
	return slices.DeleteFunc(all, func(l *line) bool {
		if in[l.number] {
			return false
		}
		// A reminder stays in force, unless its prompt was undone.
		m := l.Message
		return l.Type != "context.append_message" || m == nil || m.Origin.Kind != "injection" || m.Origin.Owner != "" && !prompts[m.Origin.Owner]
	}), nil
}
