package tui

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/slash"
)

// own are the commands of the chat itself; the others are kimi's.
var own = []entry{
	{"/help", "show the keys and the commands"},
	{"/plan", "on, off: plan mode; without a word, switch it"},
	{"/model", "NAME: change the model; without a name, list the models"},
	{"/effort", "NAME: how much the model thinks; without a name, list what it offers"},
	{"/fork", "N: go on in a copy with the first N turns; without N, with all turns. A space after it lists them"},
	{"/undo", "N: take back the last N turns; without N, the last one"},
	{"/export", "FILE: write the conversation as Markdown"},
	{"/exit", "leave, as Ctrl-D does"},
}

// keys is the help of the key ?.
var keys = []entry{
	{"Enter", "send; Alt-Enter, Ctrl-J or Shift-Enter begin a new line"},
	{"Tab", "while the agent works: whether Enter queues what you type or steers the turn with it; completes / and @"},
	{"↑ ↓", "what you sent before; ↑ in an empty editor takes back what is queued"},
	{"@path", "names a file; if it is an image, it is sent. Dropping a file on the terminal does the same"},
	{"Ctrl-V", "adds the picture that is in the clipboard"},
	{"Shift-Tab", "plan mode on and off: the agent plans and asks before it changes anything"},
	{"Ctrl-O", "shows the last folded text in full: a result, a long prompt, or what the model thought. Again: the one before it"},
	{"Ctrl-C", "cancels the turn, twice leaves; Ctrl-Z goes to the background; Ctrl-D leaves"},
	{"y n e a", "when the agent asks: y allows once, n refuses, e refuses and says what to do instead, a allows more; you choose how much. m shows more of a long request, Tab the next request"},
	{"?", "in an empty editor: these keys; /help has the commands"},
}

// guide lists keys or commands and what they do.
type guide struct{ list []entry }

func (b *guide) lines(v view) []string {
	const wide = 12
	var list []string
	for _, e := range b.list {
		head := "  " + paint(screen.Bold, e.text)
		rest := strings.Repeat(" ", wide+2)
		lines := wrapWords(paint(screen.Plain, e.about), max(v.columns-wide-2, 10))
		if room := wide + 2 - width(head); room > 0 {
			list = append(list, under(lines, head+strings.Repeat(" ", room), rest)...)
		} else {
			list = append(append(list, cut(head, v.columns)), under(lines, rest, rest)...)
		}
	}
	return list
}
func (b *guide) done() bool         { return true }
func (b *guide) close(time.Time)    {}
func (b *guide) folded(view) bool   { return false }
func (b *guide) full(view) []string { return nil }
func (b *guide) tight() bool        { return false }

// commands returns the commands that / completes: those of the chat, then those of kimi.
func (m *model) commands() []entry {
	list := own
	if m.session != nil {
		for _, c := range m.session.Server().SlashCommands {
			if slices.ContainsFunc(own, func(e entry) bool { return e.text == "/"+c.Name }) {
				continue
			}
			about := strings.Join(strings.Fields(c.Description), " ")
			list = append(list[:len(list):len(list)], entry{"/" + screen.Line(screen.Clean(c.Name)), about})
		}
	}
	return list
}

// command runs a command of the chat itself. It returns false if the text is for kimi.
func (m *model) command(text string) bool {
	word, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
	arg = strings.TrimSpace(arg)
	switch {
	case word == "/exit" || word == "/quit":
		m.end(nil)
	case word == "/model":
		m.setModel(arg)
	case word == "/effort":
		m.setEffort(arg)
	case word == "/fork", word == "/undo":
		n, err := strconv.Atoi(arg)
		switch {
		case arg != "" && (err != nil || n < 1):
			m.wrong(word + " takes a number of turns, 1 or more")
		case word == "/undo":
			m.undo(max(n, 1))
		case arg == "":
			m.fork(-1)
		default:
			m.fork(n)
		}
	case word == "/export":
		m.export(arg)
	case word == "/help":
		m.echo()
		m.log.add(&guide{slices.Concat(keys, own)})
		if of := m.ofKimi(); len(of) > 0 {
			m.log.add(note(screen.Plain, "kimi's own commands, which / completes: "+strings.Join(of, " ")))
		}
	case word == "/plan":
		switch {
		case arg != "" && arg != "on" && arg != "off":
			m.wrong("/plan takes on or off")
		case m.session == nil || m.doing != "":
			m.notNow()
		default:
			m.setPlan(arg == "on" || arg == "" && !m.status.plan)
		}
	case m.session != nil:
		wrong := slash.Wrong(m.session, text)
		if wrong == "" {
			return false
		}
		m.wrong(wrong)
	default:
		return false
	}
	return true
}

// ofKimi returns the names of kimi's own commands.
func (m *model) ofKimi() []string {
	var list []string
	for _, e := range m.commands()[len(own):] {
		list = append(list, e.text)
	}
	return list
}

// wrong says what is wrong with a command. The history of the editor has its text.
func (m *model) wrong(what string) { m.hint = what + "; ↑ brings it back" }

// echo shows the command that was typed. What the command shows comes after it.
func (m *model) echo() { m.log.add(&said{rows: screen.Rows(screen.Dim, "> ", "  ", m.sent)}) }
