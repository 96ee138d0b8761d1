package client_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// entry is one action of the agent or of the program. An entry whose What begins with "call" is followed by one that
// begins with "return" and has the same key, unless the call never returned.
type entry struct {
	At   time.Time
	Who  string // the agent, or the place in the program
	What string
	Key  string `json:",omitempty"` // the key of the message, the request or the call
	Note string `json:",omitempty"`
	Err  error  `json:"-"`
}

func (e entry) String() string {
	s := fmt.Sprintf("%s %s: %s %s", e.At.Format("05.000000"), e.Who, e.What, e.Key)
	if e.Note != "" {
		s += fmt.Sprintf(" (%.200s)", e.Note)
	}
	if e.Err != nil {
		s += fmt.Sprintf(" = %.300v", e.Err)
	}
	return s
}

// transcript has the actions of both sides, in the order in which this process has learned of them.
type transcript struct {
	mu      sync.Mutex
	entries []entry
	changed chan struct{} // closed with the next entry
}

func (l *transcript) add(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// wait waits until seen returns true, at most for d, or until stop. seen gets each entry once, beginning with the entry
// number from.
func (l *transcript) wait(d time.Duration, stop <-chan struct{}, from int, seen func(entry) bool) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		l.mu.Lock()
		news := l.entries[from:]
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		from += len(news)
		for i, e := range news {
			if ok := seen(e); ok && i == len(news)-1 {
				return true
			}
		}
		select {
		case <-changed:
		case <-stop:
			return false
		case <-t.C:
			return false
		}
	}
}

func (l *transcript) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// things returns a condition that is true when the agent has done n things.
func things(n int) func(entry) bool {
	return func(e entry) bool {
		if e.Who == "agent" {
			n--
		}
		return n <= 0
	}
}

// isStuck returns a condition that is true when the agent will do nothing more by itself.
func isStuck() func(entry) bool {
	stuck := false
	return func(e entry) bool {
		if e.Who == "agent" {
			stuck = (stuck || e.What == "stuck") && e.What != "moves on"
		}
		return stuck
	}
}

// handlersEnded returns a condition that is true when no handler runs.
func handlersEnded() func(entry) bool {
	running := 0
	return func(e entry) bool {
		if slices.Contains(handlerPlaces, e.Who) {
			switch e.What {
			case "start":
				running++
			case "end":
				running--
			}
		}
		return running == 0
	}
}

// allSaid returns a condition that is true when the agent has nothing more to send and OnMessage has received
// everything that was sent outside of calls.
func allSaid(onMessage bool) func(entry) bool {
	idle, stuck, running := true, false, 0
	owed := make(map[string]bool) // the messages since the last answer that have not arrived
	seen := make(map[string]bool)
	return func(e entry) bool {
		switch {
		case e.Who == "agent" && e.What == "stuck":
			stuck = true
		case e.Who == "agent" && e.What == "idle":
			idle = true
		case e.Who == "agent" && e.What == "read" && (e.Note == wireproto.MethodPrompt || e.Note == wireproto.MethodReplay):
			idle = false
		case e.Who == "agent" && strings.HasPrefix(e.What, "answer "):
			clear(owed)
		case e.Who == "agent" && e.What == "write" && !seen[e.Key]:
			owed[e.Key] = true
		case e.Who == "OnMessage" && e.What == "start":
			running++
		case e.Who == "OnMessage" && e.What == "end":
			running--
		case e.What == "message":
			seen[e.Key] = true
			delete(owed, e.Key)
		}
		return stuck || idle && running == 0 && (!onMessage || len(owed) == 0)
	}
}

func waitFor(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}
