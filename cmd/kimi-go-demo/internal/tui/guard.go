package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	quiet     = 300 * time.Millisecond // the time without a key before a key answers
	noReply   = time.Second            // the time after which the terminal is known not to report its cursor
	fenceWait = 2 * frame              // the time for a question to reach the terminal
)

// guard makes sure that a key which was typed before a question appeared does not answer the question. When there is a
// question, guard sends a fence: it asks the terminal for the position of its cursor. The reply comes after every key
// that was typed before the fence reached the terminal. guard sends two fences, because the first one may reach the
// terminal before the frame with the question. A person who is typing when a question appears goes on for a moment, so
// a key answers only after a pause.
type guard struct {
	of      string // identifies the question; "" if there is none
	at      int    // grows with each question
	since   time.Time
	lastKey time.Time // when the last key came that was not an answer
	sent    int       // how many fences were sent
	passed  int       // how many replies have come
	want    int       // the number of the reply that the question waits for; 0 before its first fence
	second  bool      // want is the reply to the second fence of the question
	shown   bool      // both replies have come, or the terminal does not reply
}

// guardMsg says that the time has come to look at the question with the number at.
type guardMsg struct {
	at    int
	fence bool // the question is on its way: send the first fence
}

func (g *guard) after(d time.Duration, fence bool) tea.Cmd {
	msg := guardMsg{g.at, fence}
	return tea.Tick(d, func(time.Time) tea.Msg { return msg })
}

// watch starts from the beginning if of is another question. "" means that there is no question.
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

// fence sends a fence.
func (g *guard) fence() tea.Cmd {
	g.sent++
	g.want = g.sent
	return tea.RequestCursorPosition
}

// tick sends the first fence, or ends the wait for a terminal that does not reply.
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

// reply handles a reply of the terminal.
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

// typed notes that a key came that is not an answer.
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
