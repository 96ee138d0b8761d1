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

// soakSlack is added to each promised limit, because the machine may be busy.
const soakSlack = 10 * time.Second

// checker checks the transcript of a schedule. It knows the promises of this package, but not its code.
type checker struct {
	plan *schedule
	log  []entry

	writes []posted  // in the order in which the agent wrote them
	calls  []*called // first those that the agent has read, in that order, then those that it has not read
	bad    []string
}

// posted is a numbered message that the agent has written.
type posted struct {
	key      string
	at       int  // the index of its entry
	complete bool // the whole message was written
	size     int
	resolved bool // the agent has withdrawn the request
	call     *called
}

// called is a prompt or a replay that the program has called.
type called struct {
	key      string
	place    string // the place of its loop
	replay   bool
	begun    int   // the index of the call
	ended    int   // the index of its end, or of the end of the transcript
	endLoop  int   // the index of the end of its loop; -1 without a loop
	err      error // the error with which it ended
	judged   bool  // err is known
	taken    bool  // the package has accepted it
	read     int   // the index at which the agent has read it; -1 if it never did
	answered int   // the index of the agent's answer, or of the end of the transcript
	status   string
	complete bool // the whole answer was written
	left     int  // the index at which the program left the loop; -1 if it did not
	ctx      int  // the index of the end of its ctx; -1 if it did not end
	cancels  bool
	shared   bool // it has a second reader
}

// check returns everything that is wrong in a transcript.
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

// find returns the index of the first entry from i on that fits. It returns -1 if there is none.
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

// replayed returns the replay that the agent has read at i. A replay has no key on the wire. It is the replay that got
// a message of it or, if none did, a replay that ran at that time.
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

// endedBefore compares by the clock, because the agent reports an action later than it does it.
func (c *checker) endedBefore(call *called, i int) bool {
	return call.ended < len(c.log) && c.log[call.ended].At.Before(c.log[i].At)
}

// wrote reports whether the line that begins at i was written to its end.
func (c *checker) wrote(i int) bool {
	for _, e := range c.log[i+1:] {
		if e.Who == "agent" && e.What == "wrote" && e.Key == c.log[i].Key {
			return true
		}
	}
	return false
}

func background(key string) bool { return strings.HasPrefix(key, "b") }

// live reports whether a request is live at any time: a request of a background agent, or a hook request in a replay.
// Other requests in a replay are history.
func (w posted) live() bool {
	return background(w.key) || w.key[0] == 'h' && w.call != nil && w.call.replay
}

// messages checks that each message of the agent arrived once, in the right place and in order.
func (c *checker) messages() {
	index := make(map[string]int)
	for i, w := range c.writes {
		index[w.key] = i
	}
	byPlace := make(map[string]*called)
	for _, call := range c.calls {
		byPlace[call.place] = call
	}
	seen := make(map[string]string) // the place where each message came, by its key
	last := make(map[string]int)    // the index of the last message of each place
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
		// A later message in the same stream shows that this message was lost.
		if w.call != nil {
			if l, ok := last[w.call.place]; !w.call.shared && w.call.endLoop >= 0 && (c.whole(w.call) || ok && l > i) {
				c.wrong("%s was lost in %s, after %v", w.key, w.call.place, c.lastSeen(last, w.call.place))
			}
			continue
		}
		next := c.next(w)
		if next != nil && next.taken && !c.whole(next) {
			continue // the message may have been part of that call itself
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

// next returns the call that the agent read next after a message, or a call that it never read.
func (c *checker) next(w posted) *called {
	for _, call := range c.calls {
		if call.taken && (call.read > w.at || call.read < 0) {
			return call
		}
	}
	return nil
}

// whole reports whether a loop must have got all messages that were sent in its call.
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
