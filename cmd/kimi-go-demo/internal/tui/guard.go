package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	quiet     = 300 * time.Millisecond // without a key, before one answers
	noReply   = time.Second            // after which a terminal is one that does not tell where its cursor is
	fenceWait = 2 * frame              // for a question to be on its way to the terminal
)

// guard keeps what was typed before a question was on the screen from answering it. When a question is there, the terminal is asked where its
// cursor is: its reply comes after all that was typed before it had that question, and twice, since the first one may overtake the frame.
// And whoever types when a question comes up goes on typing for a moment: a key answers only after a pause.
type guard struct {
	of      string // the question
	at      int    // grows with each question
	since   time.Time
	lastKey time.Time // that was not an answer
	sent    int       // fences
	passed  int       // replies
	want    int       // the number of the reply that counts; 0 before the first
	second  bool      // want is the second fence of the question
	shown   bool      // both have passed
}

// guardMsg is a look at the clock for the question with the number at.
type guardMsg struct {
	at    int
	fence bool // the question is on its way: send the first fence
}

func (g *guard) after(d time.Duration, fence bool) tea.Cmd {
	msg := guardMsg{g.at, fence}
	return tea.Tick(d, func(time.Time) tea.Msg { return msg })
}

// watch starts from the beginning if the question is another one; "" is none.
func (g *guard) watch(of string, now time.Time) tea.Cmd {
	if of == g.of {
		return nil
	}
	g.of, g.at, g.since, g.shown, g.want, g.second = of, g.at+1, now, false, 0, false
	if of == "" {
		return nil
	}
	return tea.Batch(g.after(fenceWait, true), g.after(noReply, false), g.after(quiet, false))
}

// fence asks the terminal where its cursor is.
func (g *guard) fence() tea.Cmd {
	g.sent++
	g.want = g.sent
	return tea.RequestCursorPosition
}

// tick takes a look at the clock.
func (g *guard) tick(m guardMsg, now time.Time) tea.Cmd {
	switch {
	case m.at != g.at:
		return nil
	case m.fence:
		return g.fence()
	case now.Sub(g.since) >= noReply:
		g.shown = true
	}
	return nil
}

// reply takes a reply of the terminal.
func (g *guard) reply() tea.Cmd {
	g.passed++
	switch {
	case g.want == 0 || g.passed < g.want:
		return nil
	case !g.second:
		g.second = true
		return g.fence()
	}
	g.shown = true
	return nil
}

// typed notes a key that is no answer.
func (g *guard) typed(now time.Time) tea.Cmd {
	g.lastKey = now
	if g.of == "" {
		return nil
	}
	return g.after(quiet, false)
}

// open reports whether a key is an answer.
func (g *guard) open(now time.Time) bool {
	return g.of != "" && g.shown && now.Sub(g.lastKey) >= quiet
}
