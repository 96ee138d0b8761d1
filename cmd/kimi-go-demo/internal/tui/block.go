package tui

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/markdown"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// view holds what a block needs for display.
type view struct {
	columns  int
	now      time.Time
	spin     string // the spinner's picture
	asks     bool   // the main agent waits for a permission, so other calls may wait, too
	oneByOne bool   // no call begins while another one waits for a permission, as in Kimi Code
}

// block is a part of the transcript. Once it is done, it is shown a last time and never changes.
type block interface {
	lines(v view) []string
	done() bool
	// close ends what is still growing, for example at the end of the turn.
	close(now time.Time)
	// folded reports whether lines leaves something out.
	folded(v view) bool
	// full returns the lines of the whole block. It is nil for a block that is never folded.
	full(v view) []string
	// tight reports whether the block follows another tight block without an empty line.
	tight() bool
}

// The most that is shown of a block until someone asks for all of it.
const (
	maxResult = 6  // lines of a result
	maxChange = 40 // lines of a change
	maxPrompt = 20 // lines of what the person said
	maxNested = 5  // lines of a subagent that still works
)

// said is text that is complete from the start.
type said struct {
	rows  []screen.Row
	most  int          // how many lines are shown; 0 means all
	whole []screen.Row // the full text, if rows show a shorter one; otherwise nil
}

func (b *said) lines(v view) []string { return foldRows(b.rows, b.most, v.columns) }
func (b *said) done() bool            { return true }
func (b *said) close(time.Time)       {}
func (b *said) folded(v view) bool {
	return b.whole != nil || b.most > 0 && len(rowLines(b.rows, v.columns)) > b.most
}
func (b *said) full(v view) []string {
	if b.whole != nil {
		return rowLines(b.whole, v.columns)
	}
	return rowLines(b.rows, v.columns)
}
func (b *said) tight() bool { return false }

// notice is a sentence that this program says.
type notice struct {
	style screen.Style
	text  string
	apart bool // an empty line stands before it
}

func note(style screen.Style, text string) *notice { return &notice{style: style, text: text} }

func (b *notice) lines(v view) []string {
	const hyphen = "\u2011" // a line does not break at it, so an id stays whole
	text := strings.ReplaceAll(paint(b.style, b.text), "-", hyphen)
	lines := wrapWords(text, v.columns-2)
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, hyphen, "-")
	}
	return under(lines, "", "  ")
}
func (b *notice) done() bool         { return true }
func (b *notice) close(time.Time)    {}
func (b *notice) folded(view) bool   { return false }
func (b *notice) full(view) []string { return nil }
func (b *notice) tight() bool        { return !b.apart }

// prose is Markdown that is complete from the start.
type prose struct{ head, text string }

func (b *prose) lines(v view) []string {
	list := under(markdown.Render(b.text, v.columns-2), "  ", "  ")
	if b.head != "" {
		list = append([]string{paint(screen.Bold, b.head)}, list...)
	}
	return list
}
func (b *prose) done() bool         { return true }
func (b *prose) close(time.Time)    {}
func (b *prose) folded(view) bool   { return false }
func (b *prose) full(view) []string { return nil }
func (b *prose) tight() bool        { return false }

// answer is what the agent says: Markdown that grows. All of it is indented by two columns. No row of this program
// begins in that column, so the text cannot look like such a row.
type answer struct {
	open  string // the blocks that may still change
	begun bool   // a part of it is printed and cannot change any more
	over  bool

	drawn   string   // the text that cache shows
	columns int      // the width for which cache was made
	cache   []string // lines
}

// settle removes the text that cannot change any more, and returns its lines.
func (b *answer) settle(v view) []string {
	done, rest := markdown.Split(b.open)
	if b.over {
		done, rest = b.open, ""
	}
	b.open, b.columns = rest, 0
	list := under(markdown.Render(done, v.columns-2), "  ", "  ")
	if len(list) > 0 && b.begun {
		list = append([]string{""}, list...)
	}
	b.begun = b.begun || len(list) > 0
	return list
}

func (b *answer) lines(v view) []string {
	if b.drawn != b.open || b.columns != v.columns {
		b.drawn, b.columns = b.open, v.columns
		b.cache = under(markdown.Render(b.open, v.columns-2), "  ", "  ")
		if len(b.cache) > 0 && b.begun {
			b.cache = append([]string{""}, b.cache...)
		}
	}
	return b.cache
}
func (b *answer) done() bool         { return b.over }
func (b *answer) close(time.Time)    { b.over = true }
func (b *answer) folded(view) bool   { return false }
func (b *answer) full(view) []string { return nil }
func (b *answer) tight() bool        { return false }

// thought is what the model thinks, folded to one line.
type thought struct {
	text       strings.Builder
	begin, end time.Time
	replayed   bool // it is from the history, which does not say how long it took
}

func (b *thought) lines(v view) []string {
	text := strings.TrimSpace(b.text.String())
	if text == "" {
		return nil
	}
	if b.end.IsZero() { // the model still thinks: show the latest line
		if i := strings.LastIndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
		if n := len(text) - 4*v.columns; n > 0 {
			text = strings.ToValidUTF8(text[n:], "")
		}
		head := v.spin + " thinking, " + seconds(v.now.Sub(b.begin)) + ": "
		return []string{cut(paint(screen.Dim, head+text), v.columns)}
	}
	first, more, _ := strings.Cut(text, "\n")
	line := paint(screen.Dim, b.head()+first)
	if more != "" {
		line = cut(line, v.columns-2) + paint(screen.Dim, " …")
	}
	return []string{cut(line, v.columns)}
}

// head begins the line of a thought that is over.
func (b *thought) head() string {
	if b.replayed {
		return "✻ thought: "
	}
	return "✻ thought for " + took(b.end.Sub(b.begin)) + ": "
}
func (b *thought) done() bool { return !b.end.IsZero() }
func (b *thought) close(now time.Time) {
	if b.end.IsZero() {
		b.end = now
	}
}
func (b *thought) folded(v view) bool {
	text := strings.TrimSpace(b.text.String())
	return strings.Contains(text, "\n") || width(b.head()+text) > v.columns
}
func (b *thought) full(v view) []string {
	return under(wrapWords(paintLines(screen.Dim, strings.TrimSpace(b.text.String())), v.columns-2), "✻ ", "  ")
}
func (b *thought) tight() bool { return true }

// call is a call of a tool: its arguments, what a subagent does for it, and its result.
type call struct {
	id, name   string
	arguments  strings.Builder
	complete   bool   // all arguments have come
	sum        string // a summary of the arguments; set if summed is true
	summed     bool
	command    string   // the argument "command", which a shell has
	columns    int      // the width for which rows was made
	rows       []string // the command, folded; a command may be megabytes long, so it is not laid out for each frame
	begin, end time.Time
	asked      bool // someone is asked whether it may run
	failed     bool
	replayed   bool
	verdict    string                     // what was decided when someone was asked
	result     *wireproto.ToolReturnValue // nil if none has come
	inner      *transcript                // what a subagent does for the call; nil if there is no subagent
	cut        bool                       // lines has left something out
}

func (b *call) lines(v view) []string {
	mark, style := v.spin, screen.Cyan
	state := ""
	switch {
	case b.done() && b.failed:
		mark, style = "✗", screen.Red
	case b.done():
		mark, style = "✓", screen.Green
	case b.asked:
		mark, style, state = "?", screen.Yellow, "waits for you"
	}
	switch {
	case b.done() || b.asked:
	case v.asks && b.inner == nil && (b.verdict == "" || v.oneByOne):
		mark, style = "·", screen.Dim
	case !b.complete:
	default:
		state = seconds(v.now.Sub(b.begin))
	}
	if b.done() && !b.replayed && b.end.Sub(b.begin) >= 100*time.Millisecond {
		state = took(b.end.Sub(b.begin))
	}
	head := paint(style, mark) + " " + paint(screen.Bold, begin(b.name))
	if b.verdict != "" {
		state = strings.TrimSuffix(b.verdict+" · "+state, " · ")
	}
	if state != "" {
		state = "  " + paint(screen.Dim, state)
	}
	summary := paint(screen.Plain, b.summary())
	room := v.columns - width(head) - width(state) - 1
	var command []string // the lines of a long command; a short one is in the head
	if b.command != "" && (strings.Contains(b.command, "\n") || width(summary) > room) {
		if b.columns != v.columns {
			rows := screen.Rows(screen.Plain, "    $ ", "      ", strings.TrimRight(b.command, "\n"))
			b.rows, b.columns = b.fold(rows, maxResult, v.columns), v.columns
		}
		command = b.rows
	} else if summary != "" && room > 4 {
		b.cut = b.cut || width(summary) > room || strings.HasSuffix(b.sum, "…")
		head += " " + cut(summary, room)
	}
	list := append([]string{cut(head+state, v.columns)}, command...)
	list = append(list, b.nested(v)...)
	return append(list, b.results(v, maxResult, maxChange)...)
}

// summary returns a summary of the arguments. While they come in, it is a summary of their start.
func (b *call) summary() string {
	t := b.arguments.String()
	if !b.complete {
		return render.Arguments(begin(t))
	}
	if !b.summed {
		b.summed, b.sum = true, render.Arguments(t)
		var args map[string]json.RawMessage
		if json.Unmarshal([]byte(t), &args) == nil {
			json.Unmarshal(args["command"], &b.command)
		}
	}
	return b.sum
}

// begin returns the first 400 bytes of a text that is shown in one line. The rest would have no room.
func begin(t string) string {
	if len(t) <= 400 {
		return t
	}
	return strings.ToValidUTF8(t[:400], "")
}

// nested returns the lines of a subagent. While the call runs, these are only the latest ones.
func (b *call) nested(v view) []string {
	if b.inner == nil {
		return nil
	}
	bar := paint(screen.Dim, "  │ ")
	inside := v
	inside.columns = max(v.columns-4, 10)
	list := b.inner.open(inside)
	if hidden := len(list) - maxNested; !b.done() && hidden > 0 {
		list = append([]string{paint(screen.Dim, "… "+screen.Count(hidden, "line")+" before")}, list[hidden:]...)
	}
	return under(list, bar, bar)
}

// results returns the result in at most the given number of lines, and each change in at most change lines. 0 means no
// limit.
func (b *call) results(v view, lines, change int) []string {
	if b.result == nil {
		if b.done() && b.failed && b.verdict != "not run" {
			return []string{paint(screen.Red, "  └ no result")}
		}
		return nil
	}
	style := screen.Dim
	if b.result.IsError {
		style = screen.Red
	}
	var rows []screen.Row
	mark := "  └ "
	text := render.ResultLines(b.name, b.arguments.String(), b.result)
	whole := strings.Trim(cmp.Or(render.Said(b.result.Output), b.result.Message), "\n")
	b.cut = b.cut || !strings.Contains(strings.Join(text, "\n"), whole)
	if lines == 0 {
		text = render.FullResult(b.name, b.arguments.String(), b.result)
	}
	for _, l := range text {
		rows = append(rows, screen.Row{Style: style, Mark: mark, Text: l})
		mark = "    "
	}
	list := b.fold(rows, lines, v.columns)
	for _, d := range b.result.Display {
		switch d.(type) {
		case *wireproto.TodoDisplayBlock, *wireproto.ShellDisplayBlock: // they are shown elsewhere
		default:
			list = append(list, b.fold(render.BlockRows(d, 0), change, v.columns)...)
		}
	}
	return list
}

// foldRows returns rows as at most n lines. If n is 0, it returns all lines.
func foldRows(rows []screen.Row, n, columns int) []string {
	list, _ := folded(rows, n, columns)
	return list
}

// folded is like foldRows, and also reports whether something was left out.
func folded(rows []screen.Row, n, columns int) ([]string, bool) {
	rest := 0
	if n > 0 && len(rows) > n {
		rest = len(rows) - n
		rows = rows[:n]
	}
	lines := rowLines(rows, columns) // there can be fewer lines than rows, because blank ones are folded
	if n == 0 || rest == 0 && len(lines) <= n {
		return lines, false
	}
	shown := min(len(lines), n-1)
	rest += len(lines) - shown
	return append(lines[:shown:shown], paint(screen.Dim, "    … "+screen.Count(rest, "more line")+" (Ctrl-O shows all)")), true
}

// fold is like foldRows. It notes in b.cut that something was left out.
func (b *call) fold(rows []screen.Row, n, columns int) []string {
	list, cut := folded(rows, n, columns)
	b.cut = b.cut || cut
	return list
}

func (b *call) done() bool { return !b.end.IsZero() }

func (b *call) close(now time.Time) {
	if b.inner != nil {
		b.inner.close(now)
	}
	if b.done() {
		return
	}
	if b.asked {
		b.verdict, b.begin = "not run", now
	}
	b.end, b.failed, b.asked = now, true, false
}

func (b *call) folded(view) bool { return b.cut }

func (b *call) full(v view) []string {
	list := []string{paint(screen.Bold, b.name)}
	if args := b.arguments.String(); json.Valid([]byte(args)) {
		list = append(list, rowLines(render.CallRows(b.name, json.RawMessage(args)), v.columns)[1:]...)
	}
	return append(list, b.results(v, 0, 0)...)
}
func (b *call) tight() bool { return true }
