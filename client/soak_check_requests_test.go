package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

var requestKey = regexp.MustCompile(`^[aqthbu][0-9]+$`)

// requests checks that the agent got the decisions of the program, and no others.
func (c *checker) requests() {
	asked := make(map[string]posted)
	for _, w := range c.writes {
		asked[w.key] = w
	}
	closed := c.find(0, "", "return Close", "")
	answered := make(map[string]int) // how many answers of the program were accepted
	tried := make(map[string]int)
	for i, e := range c.log {
		what, isCall := strings.CutPrefix(e.What, "call ")
		if isCall && (what == "approve" || what == "reject") {
			tried[e.Key]++
			continue
		}
		what, isReturn := strings.CutPrefix(e.What, "return ")
		if !isReturn || what != "approve" && what != "reject" {
			continue
		}
		call := slices.IndexFunc(c.log, func(o entry) bool { return o.Who == e.Who && o.What == "call "+what && o.Key == e.Key })
		w := asked[e.Key]
		if e.Err == nil {
			answered[e.Key]++
			if answered[e.Key] > 1 {
				c.wrong("two answers to %s were taken", e.Key)
			}
			if c.before(closed, call) {
				c.wrong("an answer to %s was taken after Close", e.Key)
			}
			if w.call != nil && !background(e.Key) && w.call.ended < call {
				c.wrong("an answer to %s was taken after the end of %s", e.Key, w.call.key)
			}
		} else if d := decision(c.plan.Seed, e.Key); errors.Is(e.Err, client.ErrAnswered) && tried[e.Key] == 1 && !w.resolved && d != "hold" && d != "late" {
			c.wrong("%s of %s at %d: an answer was refused as the second one, but the program had given no first one", what, e.Key, i)
		}
	}
	got := make(map[string]bool)
	for i, e := range c.log {
		if e.Who == "agent" && e.What == "starved" && !c.before(c.find(0, "agent", "stuck", ""), i) {
			c.wrong("no one answered %s", e.Key)
		}
		if e.Who != "agent" || e.What != "read" || !requestKey.MatchString(e.Key) {
			continue
		}
		if got[e.Key] {
			c.wrong("the agent got two answers to %s", e.Key)
		}
		got[e.Key] = true
		if _, ok := asked[e.Key]; !ok {
			c.wrong("the agent got an answer to %s, which it has not asked", e.Key)
		}
		if why := c.allowed(e, answered[e.Key] > 0); why != "" {
			c.wrong("the agent got for %s: %.200s: %s", e.Key, e.Note, why)
		}
	}
}

// allowed returns why an answer cannot be one that the program gave. It returns "" if it can.
func (c *checker) allowed(e entry, answered bool) string {
	approved := c.find(0, "", "call approve", e.Key) >= 0
	switch e.Key[0] {
	case 'a', 'b':
		var a wireproto.ApprovalAnswer
		if json.Unmarshal([]byte(e.Note), &a) != nil || a.RequestID != e.Key {
			return "no answer to it"
		}
		d := decision(c.plan.Seed, e.Key)
		switch {
		case a.Response == wireproto.Reject && answered && (d == "approve" || d == "twice" || d == "for session" || d == "hold"):
			return "the program has approved"
		case a.Response == wireproto.Reject:
		case !approved:
			return "the program has not approved"
		case a.Response == wireproto.ApproveForSession && d != "for session":
			return "the program has not approved for the session"
		}
	case 'q':
		var a wireproto.QuestionAnswer
		if json.Unmarshal([]byte(e.Note), &a) != nil {
			return "no answer to it"
		}
		if len(a.Answers) > 0 && (!approved || a.Answers["?"] != e.Key) {
			return "the program has not answered so"
		}
	case 't':
		var a wireproto.ToolAnswer
		if json.Unmarshal([]byte(e.Note), &a) != nil || a.ToolCallID != e.Key {
			return "no answer to it"
		}
		if !a.ReturnValue.IsError && (a.ReturnValue.Output.Text != "did "+e.Key || c.find(0, "tool", "start", e.Key) < 0) {
			return "the tool has not returned this"
		}
	case 'h':
		var a wireproto.HookAnswer
		if json.Unmarshal([]byte(e.Note), &a) != nil || a.RequestID != e.Key {
			return "no answer to it"
		}
		if a.Action != wireproto.HookBlock && c.find(0, "hook", "allow", e.Key) < 0 {
			return "the hook has not allowed"
		}
	case 'u':
		if e.Note != fmt.Sprint("error ", wireproto.CodeMethodNotFound) {
			return "it is of an unknown type"
		}
	}
	return ""
}

var handlerPlaces = []string{"Approve", "Answer", "tool", "hook", "OnMessage"}

// handlers checks that no handler starts after Close has begun, and that none runs after Close has returned.
func (c *checker) handlers() {
	closed := c.find(0, "", "return Close", "")
	told := closed >= 0 && c.log[closed].Err != nil && strings.Contains(c.log[closed].Err.Error(), "still running")
	fromHandler := c.find(0, "handler", "call Close", "") >= 0 || c.find(0, "OnMessage", "call Close", "") >= 0
	eof := c.find(0, "agent", "EOF", "")
	late := make(map[string]bool) // requests that the agent sent after it knew that its input was closed
	for _, w := range c.writes {
		late[w.key] = c.before(eof, w.at) && c.find(0, "", "call Close", "") >= 0
	}
	running := 0
	for i, e := range c.log {
		if !slices.Contains(handlerPlaces, e.Who) {
			continue
		}
		switch e.What {
		case "start":
			running++
			if c.before(closed, i) {
				c.wrong("%s for %s started after Close", e.Who, e.Key)
			} else if late[e.Key] {
				c.wrong("%s for %s started although Close had begun", e.Who, e.Key)
			}
			if e.Who == "OnMessage" && c.overlaps(i) {
				c.wrong("two OnMessage at once, for %s", e.Key)
			}
			if w := slices.IndexFunc(c.writes, func(w posted) bool { return w.key == e.Key }); w < 0 && e.Key != "" {
				c.wrong("%s started for %s, which the agent did not send", e.Who, e.Key)
			} else if e.Who != "OnMessage" && c.find(0, e.Who, "start", e.Key) != i {
				c.wrong("%s started twice for %s", e.Who, e.Key)
			}
		case "end":
			running--
			if c.before(closed, i) && !fromHandler && !told && c.find(0, e.Who, "start", e.Key) < closed {
				c.wrong("%s for %s ran when Close had returned", e.Who, e.Key)
			}
		}
	}
	if running != 0 {
		c.wrong("%d handlers have not ended", running)
	}
}

// overlaps reports whether the OnMessage that starts at i starts while another OnMessage runs.
func (c *checker) overlaps(i int) bool {
	open := 0
	for _, e := range c.log[:i] {
		switch {
		case e.Who == "OnMessage" && e.What == "start":
			open++
		case e.Who == "OnMessage" && e.What == "end":
			open--
		}
	}
	return open > 0
}
