package client_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// soakSlack is added to each bound that is promised: the machine may be busy.
const soakSlack = 10 * time.Second

// checker checks the transcript of a schedule. It knows what this package promises, and nothing of its code.
type checker struct {
	plan *schedule
	log  []entry

	writes []posted  // in the order of the agent
	calls  []*called // in the order in which the agent has read them, then what it has not
	bad    []string
}

// posted is a numbered message of the agent.
type posted struct {
	key      string
	at       int  // index of its entry
	complete bool // all of it has been written
	size     int
	resolved bool // the agent has withdrawn the request
	call     *called
}

// called is a prompt or a replay of the program.
type called struct {
	key      string
	place    string // that of its loop
	replay   bool
	begun    int   // index of its call
	ended    int   // index of its end, or of the end of the transcript
	endLoop  int   // -1 without a loop
	err      error // how it ended
	judged   bool  // err tells
	taken    bool  // by the package: not refused
	read     int   // index at which the agent has read it, -1 if never
	answered int   // index of the agent's answer, or of the end of the transcript
	status   string
	complete bool // the answer has been written
	left     int  // index of a break, -1
	ctx      int  // index of the end of its ctx, -1
	cancels  bool
	shared   bool // a second reader
}

// check returns what is wrong.
func check(plan *schedule, log []entry) []string {
	c := &checker{plan: plan, log: log}
	for _, e := range log {
		if e.What == "violation" {
			c.wrong("%s %v", e.Note, e.Err)
		}
	}
	c.collect()
	c.messages()
	c.requests()
	c.handlers()
	c.ends()
	c.bounds()
	return c.bad
}

func (c *checker) wrong(format string, args ...any) {
	c.bad = append(c.bad, fmt.Sprintf(format, args...))
}

// find returns the index of the first entry from i on that fits, -1 for none.
func (c *checker) find(i int, who, what, key string) int {
	for ; i < len(c.log); i++ {
		if e := c.log[i]; (who == "" || e.Who == who) && e.What == what && (key == "" || e.Key == key) {
			return i
		}
	}
	return -1
}

func (c *checker) before(i, j int) bool { return i >= 0 && i < j }

// collect reads the transcript.
func (c *checker) collect() {
	byKey := make(map[string]*called)
	var all []*called
	for i, e := range c.log {
		switch e.What {
		case "call Prompt", "call Replay":
			if e.Key == "after the end" {
				continue
			}
			call := &called{key: e.Key, place: "loop " + e.Key, begun: i, ended: len(c.log), endLoop: -1, read: -1, answered: len(c.log), left: -1, ctx: -1, taken: true}
			if call.replay = e.What == "call Replay"; call.replay {
				call.place = "replay " + e.Key
			}
			byKey[e.Key] = call
			all = append(all, call)
		}
	}
	for i, e := range c.log {
		switch e.What {
		case "return Prompt":
			if call := byKey[e.Key]; call != nil && e.Err != nil {
				call.taken, call.ended, call.err = false, i, e.Err
			}
		case "end of loop":
			call := byKey[e.Key]
			call.endLoop, call.ended = i, i
			if call.left < 0 {
				call.err, call.judged = e.Err, true
			}
			call.taken = call.taken && !(call.replay && errors.Is(e.Err, client.ErrBusy))
		case "return Result":
			if call := byKey[e.Key]; call != nil && !call.judged {
				call.ended, call.err, call.judged = i, e.Err, true
			}
		case "call Result":
			for _, call := range all {
				if byKey[e.Key] == nil && call.ended > i && !call.replay {
					call.shared = true
				}
			}
		case "call break":
			byKey[e.Key].left = i
		case "end ctx":
			if call := byKey[e.Key]; call.ctx < 0 {
				call.ctx = i
			}
		case "cancels":
			byKey[e.Key].cancels = true
		}
	}
	var now *called
	for i, e := range c.log {
		if e.Who != "agent" {
			continue
		}
		status, isAnswer := strings.CutPrefix(e.What, "answer ")
		switch {
		case e.What == "read" && (e.Note == wireproto.MethodPrompt || e.Note == wireproto.MethodReplay):
			if now != nil {
				c.wrong("the agent got %s while %s ran", e.Key, now.key)
			}
			if e.Note == wireproto.MethodPrompt {
				now = byKey[e.Key]
			} else {
				now = c.replayed(i, all)
			}
			if now == nil || now.read >= 0 {
				c.wrong("the agent got a call that the program has not made, or twice: %v", e)
				return
			}
			now.read = i
			c.calls = append(c.calls, now)
		case isAnswer:
			if now == nil {
				panic("the agent answered no call")
			}
			now.answered, now.status, now.complete = i, status, c.wrote(i)
			now = nil
		case e.What == "write":
			size, _ := strconv.Atoi(e.Note)
			c.writes = append(c.writes, posted{key: e.Key, at: i, complete: c.wrote(i), size: size, call: now})
		case e.What == "resolve":
			for j := range c.writes {
				c.writes[j].resolved = c.writes[j].resolved || c.writes[j].key == e.Key
			}
		case e.What == "read" && e.Note == wireproto.MethodCancel && now != nil:
			if !now.cancels && now.ctx < 0 && now.left < 0 && c.plan.Program.Idle == 0 {
				c.wrong("%s was cancelled although the program did not ask for it", now.key)
			}
		}
	}
	for _, call := range all {
		if call.read < 0 {
			c.calls = append(c.calls, call)
		}
	}
}

// replayed returns the replay that the agent has read at i: the program gives it no name. It is the
// one that got a message of it, or else one that ran at that time.
func (c *checker) replayed(i int, all []*called) *called {
	places := make(map[string]string)
	for _, e := range c.log {
		if e.What == "message" && strings.HasPrefix(e.Who, "replay ") {
			places[e.Key] = e.Who
		}
	}
	place := ""
	for _, e := range c.log[i+1:] {
		if e.Who == "agent" && (e.What == "read" && e.Note == wireproto.MethodPrompt || strings.HasPrefix(e.What, "answer ") || place != "") {
			break
		}
		if e.Who == "agent" && e.What == "write" {
			place = places[e.Key]
		}
	}
	var other *called
	for _, call := range all {
		switch {
		case !call.replay || call.read >= 0:
		case call.place == place:
			return call
		case place == "" && call.taken && c.log[call.begun].At.Before(c.log[i].At) && (other == nil || c.endedBefore(other, i)):
			other = call
		}
	}
	return other
}

// endedBefore compares by the clock: the agent reports later than it does.
func (c *checker) endedBefore(call *called, i int) bool {
	return call.ended < len(c.log) && c.log[call.ended].At.Before(c.log[i].At)
}

// wrote reports whether the line begun at i has been written.
func (c *checker) wrote(i int) bool {
	for _, e := range c.log[i+1:] {
		if e.Who == "agent" && e.What == "wrote" && e.Key == c.log[i].Key {
			return true
		}
	}
	return false
}

func background(key string) bool { return strings.HasPrefix(key, "b") }

// live reports whether a request is live at any time: one of a background agent, or of a hook in a replay. Other
// requests in a replay are history.
func (w posted) live() bool {
	return background(w.key) || w.key[0] == 'h' && w.call != nil && w.call.replay
}

// messages checks that what the agent has sent arrived where it belongs, in order and once.
func (c *checker) messages() {
	index := make(map[string]int)
	for i, w := range c.writes {
		index[w.key] = i
	}
	byPlace := make(map[string]*called)
	for _, call := range c.calls {
		byPlace[call.place] = call
	}
	seen := make(map[string]string) // place by key
	last := make(map[string]int)    // index of the last message of a place
	for _, e := range c.log {
		if e.What != "message" || e.Key == "" {
			continue
		}
		i, known := index[e.Key]
		switch place, again := seen[e.Key]; {
		case !known:
			c.wrong("%s got %s, which the agent did not send", e.Who, e.Key)
			continue
		case again:
			c.wrong("%s came twice: in %s and in %s", e.Key, place, e.Who)
		}
		seen[e.Key] = e.Who
		w := c.writes[i]
		if w.live() && (e.Who == "OnMessage" || byPlace[e.Who] == w.call) {
			continue
		}
		if l, ok := last[e.Who]; ok && i < l {
			c.wrong("%s got %s after %s", e.Who, e.Key, c.writes[l].key)
		}
		last[e.Who] = i
		if w.call != nil {
			if e.Who != w.call.place {
				c.wrong("%s of %s came in %s", e.Key, w.call.place, e.Who)
			}
		} else if e.Who != "OnMessage" && byPlace[e.Who] != c.next(w) {
			c.wrong("%s, sent outside of calls, came in %s", e.Key, e.Who)
		}
	}
	for i, w := range c.writes {
		if _, ok := seen[w.key]; ok || !w.complete || w.live() {
			continue
		}
		// What came later in the same stream shows that this was lost.
		if w.call != nil {
			if l, ok := last[w.call.place]; !w.call.shared && w.call.endLoop >= 0 && (c.whole(w.call) || ok && l > i) {
				c.wrong("%s was lost in %s, after %v", w.key, w.call.place, c.lastSeen(last, w.call.place))
			}
			continue
		}
		next := c.next(w)
		if next != nil && next.taken && !c.whole(next) {
			continue // it can have been its own
		}
		if l, ok := last["OnMessage"]; c.plan.Program.OnMessage && ok && l > i {
			c.wrong("%s was lost outside of calls: OnMessage got %s", w.key, c.writes[l].key)
		}
	}
}

func (c *checker) lastSeen(last map[string]int, place string) string {
	if i, ok := last[place]; ok {
		return c.writes[i].key
	}
	return "nothing"
}

// next returns the call that the agent got next after a message, or that it never got.
func (c *checker) next(w posted) *called {
	for _, call := range c.calls {
		if call.taken && (call.read > w.at || call.read < 0) {
			return call
		}
	}
	return nil
}

// whole reports whether a loop must have seen all that was sent in its call.
func (c *checker) whole(call *called) bool {
	if call.endLoop < 0 || call.left >= 0 || call.shared || call.ctx >= 0 || errors.Is(call.err, client.ErrIdle) || c.before(c.find(0, "", "call Close", ""), call.endLoop) {
		return false
	}
	size := 0
	for _, w := range c.writes {
		if w.call == call {
			size += w.size
		}
	}
	return !call.cancels || size < 7<<20
}
