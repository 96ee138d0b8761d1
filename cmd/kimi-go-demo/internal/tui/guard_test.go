package tui

import (
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
)

// watcher stands for the program and the terminal of a guard.
type watcher struct {
	guard
	replies bool // the terminal says where its cursor is
	delay   time.Duration
	msgs    chan tea.Msg
}

func (w *watcher) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case tea.BatchMsg:
			for _, c := range msg {
				w.run(c)
			}
		case guardMsg:
			w.msgs <- msg
		default: // a fence
			if w.replies {
				time.Sleep(w.delay) // by the clock of the test
				w.msgs <- tea.CursorPositionMsg{}
			}
		}
	}()
}

// pass lets time go by, and passes on the messages of that time.
func (w *watcher) pass(d time.Duration) {
	end := time.After(d)
	for {
		select {
		case msg := <-w.msgs:
			if g, ok := msg.(guardMsg); ok {
				w.run(w.tick(g, time.Now()))
			} else {
				w.run(w.reply())
			}
		case <-end:
			synctest.Wait()
			return
		}
	}
}

func (w *watcher) is(t *testing.T, open bool) {
	t.Helper()
	if got := w.open(time.Now()); got != open {
		t.Errorf("a key answers: %v, want %v", got, open)
	}
}

// No key answers before the question is on the screen, however long that takes. After that a key answers, unless the
// person goes on typing.
func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		name           string
		replies        bool
		delay          time.Duration
		closed, opened time.Duration
	}{
		{"a terminal", true, 0, fenceWait - time.Millisecond, fenceWait + 10*time.Millisecond},
		{"a slow connection", true, 200 * time.Millisecond, fenceWait + 399*time.Millisecond, fenceWait + 410*time.Millisecond},
		{"a terminal that does not reply", false, 0, noReply - time.Millisecond, noReply + time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &watcher{replies: tt.replies, delay: tt.delay, msgs: make(chan tea.Msg, 10)}
				w.is(t, false)
				w.run(w.watch("a", time.Now()))
				w.is(t, false)
				w.pass(tt.closed)
				w.is(t, false)
				w.pass(tt.opened - tt.closed)
				w.is(t, true)
				w.run(w.watch("a", time.Now()))
				w.is(t, true)

				w.run(w.typed(time.Now()))
				w.is(t, false)
				w.pass(quiet - time.Millisecond)
				w.is(t, false)
				w.pass(time.Millisecond)
				w.is(t, true)

				w.run(w.watch("b", time.Now())) // another question: everything starts again
				w.is(t, false)
				w.pass(tt.closed)
				w.is(t, false)
				w.pass(tt.opened - tt.closed)
				w.is(t, true)
				w.run(w.watch("", time.Now()))
				w.is(t, false)
				w.pass(2 * noReply)
				w.is(t, false)
			})
		})
	}
}

// The terminal's reply to a fence of an old question does not open another question.
func TestGuardLateReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{replies: true, delay: 150 * time.Millisecond, msgs: make(chan tea.Msg, 10)}
		w.run(w.watch("a", time.Now()))
		w.pass(fenceWait + 10*time.Millisecond) // the first fence is out
		w.run(w.watch("b", time.Now()))
		w.pass(fenceWait + 149*time.Millisecond + 149*time.Millisecond)
		w.is(t, false)
		w.pass(10 * time.Millisecond)
		w.is(t, true)
		w.pass(2 * noReply) // all goroutines end
	})
}
