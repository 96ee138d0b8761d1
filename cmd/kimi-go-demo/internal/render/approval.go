package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Size is the size of the terminal in which a person decides. With the zero Size, everything is shown at once.
type Size struct{ Rows, Columns int }

// Pages is the part of an approval request that is not shown yet.
type Pages struct {
	r    *Renderer
	rows []screen.Row
	size int // the number of rows of a page
}

// Hidden returns how many lines are not shown yet.
func (p *Pages) Hidden() int { return len(p.rows) }

// More shows the next page.
func (p *Pages) More() error {
	n := len(p.rows)
	if p.size > 0 {
		n = min(n, p.size)
	}
	p.r.rows(p.r.main, p.rows[:n])
	p.rows = p.rows[n:]
	return p.r.flush()
}

// Approval shows a request and the whole call that it asks about, up to the size of a page. Pages has the rest.
func (r *Renderer) Approval(m *wireproto.ApprovalRequest, name string, arguments json.RawMessage, size Size) (*Pages, error) {
	r.settle(r.main)
	const others = 4 // rows for the question, and for lines that are printed in the meantime
	rows := screen.Layout(ApprovalRows(m, name, arguments), size.Columns)
	p := &Pages{r: r}
	if size.Rows > 0 {
		p.size = max(size.Rows-others, 5)
	}
	if p.size > 0 && len(rows) > p.size {
		rows, p.rows = rows[:p.size], rows[p.size:]
	}
	r.approval(r.main, m, rows)
	return p, r.flush()
}

func (r *Renderer) approval(s *stream, m *wireproto.ApprovalRequest, rows []screen.Row) {
	r.rows(s, rows)
	for _, b := range m.Display {
		if _, ok := b.(*wireproto.DiffDisplayBlock); ok {
			r.shown[m.ToolCallID] = true
		}
	}
	s.above = r.calls[m.ToolCallID]
}

// actions have kimi's actions that read as English only with an article.
var actions = map[string]string{
	"run command": "run a command", "run background command": "run a background command", "stop background task": "stop a background task",
	"edit file": "edit a file", "edit file outside of working directory": "edit a file outside of the working directory",
}

// Action returns the words for an action that follow "wants to".
func Action(action string) string { return cmp.Or(actions[action], action) }

// ApprovalRows returns everything that is to be approved: the agent's description, and the call itself.
func ApprovalRows(m *wireproto.ApprovalRequest, name string, arguments json.RawMessage) []screen.Row {
	who := m.Sender
	if m.SubagentType != nil {
		who += " of the subagent " + *m.SubagentType
	}
	if m.SourceKind != nil && *m.SourceKind == "background_agent" {
		who += ", in the background,"
	}
	what := Action(m.Action)
	if strings.HasPrefix(m.Sender, "Write") { // kimi has the same action for both
		what = strings.Replace(what, "edit a file", "write a file", 1)
	}
	list := []screen.Row{{Style: screen.Yellow, Mark: "? ", Text: who + " wants to " + what}}
	var seen []argument // shown already, word for word
	var changes []*wireproto.DiffDisplayBlock
	known := false
	for _, b := range m.Display {
		switch b := b.(type) {
		case *wireproto.DiffDisplayBlock:
			known = true
			seen = append(seen, argument{"path", b.Path})
			if !b.IsSummary && strings.HasSuffix(b.OldText, "\n") == strings.HasSuffix(b.NewText, "\n") {
				seen = append(seen, argument{"old_string", b.OldText}, argument{"new_string", b.NewText})
				changes = append(changes, b)
			}
			if b.OldText == "" && !b.IsSummary {
				seen = append(seen, argument{"content", b.NewText}, argument{"content", b.NewText + "\n"})
			}
		case *wireproto.ShellDisplayBlock:
			known = true
			seen = append(seen, argument{"command", b.Command})
		}
		list = append(list, BlockRows(b, 0)...)
	}
	if !known {
		list = append(list, screen.Rows(screen.Plain, "      ", "      ", m.Description)...)
	}
	rows, all := callRows(name, arguments, func(key string, value json.RawMessage) bool {
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text != "" && slices.ContainsFunc(seen, func(a argument) bool {
				return a == argument{key, text} || a.key == key && key == "path" && strings.HasSuffix(a.text, "/"+text)
			})
		}
		return key == "edit" && isOneOf(changes, value)
	})
	if all && name == m.Sender {
		return list
	}
	return append(list, rows...)
}

type argument struct{ key, text string }

// isOneOf reports whether an edit of kimi-cli, which replaces a text once, makes one of the changes.
func isOneOf(changes []*wireproto.DiffDisplayBlock, edit json.RawMessage) bool {
	var e struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	dec := json.NewDecoder(bytes.NewReader(edit))
	dec.DisallowUnknownFields() // such as replace_all
	if dec.Decode(&e) != nil || e.Old == "" {
		return false
	}
	return slices.ContainsFunc(changes, func(b *wireproto.DiffDisplayBlock) bool {
		return strings.Count(b.OldText, e.Old) == 1 && strings.Replace(b.OldText, e.Old, e.New, 1) == b.NewText
	})
}

// CallRows returns a whole call.
func CallRows(name string, arguments json.RawMessage) []screen.Row {
	rows, _ := callRows(name, arguments, func(string, json.RawMessage) bool { return false })
	return rows
}

// callRows returns a call, except for the arguments that have been seen; all says that these are all.
func callRows(name string, arguments json.RawMessage, seen func(key string, value json.RawMessage) bool) (rows []screen.Row, all bool) {
	if name == "" {
		return []screen.Row{{Style: screen.Yellow, Mark: "    ", Text: "the call itself is not known here"}}, false
	}
	rows = []screen.Row{{Style: screen.Cyan, Mark: "    • ", Text: name}}
	args := bytes.TrimSpace(arguments)
	if len(args) == 0 {
		args = []byte("{}")
	}
	if !json.Valid(args) {
		rows = append(rows, screen.Rows(screen.Plain, "      ", "      ", string(args))...)
		return append(rows, screen.Row{Style: screen.Yellow, Mark: "    ", Text: "these arguments are not valid JSON"}), false
	}
	fields, ok := members(args)
	if !ok {
		return append(rows, valueRows("", args, 0)...), false
	}
	if len(fields) == 0 {
		rows[0].Text += ", without arguments"
		return rows, false
	}
	all = true
	for _, f := range fields {
		if seen(f.key, f.value) {
			continue
		}
		all = false
		rows = append(rows, valueRows(f.label, f.value, 0)...)
	}
	return rows, all
}

// maxDepth is how deeply values are shown member by member. Deeper values are shown in one row.
const maxDepth = 5

// valueRows returns the rows of a JSON value after its label.
func valueRows(label string, value json.RawMessage, depth int) []screen.Row {
	mark := "      " + strings.Repeat("  ", depth)
	row := func(text string) []screen.Row {
		return []screen.Row{{Mark: mark, Text: strings.TrimRight(label+text, " ")}}
	}
	var text string
	if value[0] == '"' && json.Unmarshal(value, &text) == nil {
		switch {
		case text == "":
			return row(`""`)
		case !strings.Contains(text, "\n"):
			return row(text)
		}
		return append(row(""), screen.Rows(screen.Plain, mark+"│ ", mark+"│ ", text)...)
	}
	fields, ok := members(value)
	if !ok || len(fields) == 0 || depth == maxDepth {
		var b bytes.Buffer
		if json.Compact(&b, value) != nil {
			return row(string(value))
		}
		return row(b.String())
	}
	list := row("")
	for _, f := range fields {
		list = append(list, valueRows(f.label, f.value, depth+1)...)
	}
	return list
}

type member struct {
	key, label string
	value      json.RawMessage
}

// members returns the members of an object, also those that occur twice, or the elements of a list.
func members(value json.RawMessage) (list []member, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(value))
	open, err := dec.Token()
	if err != nil || open != json.Delim('{') && open != json.Delim('[') {
		return nil, false
	}
	for dec.More() {
		m := member{label: "- "}
		if open == json.Delim('{') {
			key, err := dec.Token()
			if err != nil {
				return nil, false
			}
			m.key, _ = key.(string)
			m.label = m.key + ": "
		}
		if dec.Decode(&m.value) != nil {
			return nil, false
		}
		list = append(list, m)
	}
	return list, true
}
