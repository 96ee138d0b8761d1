package client_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// ends checks that each call has ended in the right way.
func (c *checker) ends() {
	closing := c.find(0, "", "call Close", "")
	if i := c.find(0, "main", "return NewSession", ""); i >= 0 {
		if well := slices.Contains([]string{"", "noise", "slow"}, c.plan.Agent.Start); well != (c.log[i].Err == nil) {
			c.wrong("the start: %v", c.log[i].Err)
		}
	}
	for _, call := range c.calls {
		if !call.taken {
			c.refused(call)
			continue
		}
		if !call.judged {
			continue
		}
		aborted := call.ctx >= 0 && call.ctx < call.ended || call.left >= 0 || errors.Is(call.err, client.ErrIdle)
		shut := c.before(closing, call.ended)
		if call.complete && !aborted && !shut {
			if want, ok := c.fits(call); !ok {
				c.wrong("%s ended with %v instead of %s", call.key, call.err, want)
			}
			continue
		}
		if why := c.unjust(call, aborted, shut); why != "" {
			c.wrong("%s ended with %q (answer %q, complete %t): %s", call.key, fmt.Sprint(call.err), call.status, call.complete, why)
		}
	}
	for _, e := range c.log {
		if e.Key == "after the end" && strings.HasPrefix(e.What, "return ") && e.Err == nil && e.What != "return Close" {
			c.wrong("%s succeeds after Close", e.What)
		}
	}
}

// over reports whether the agent has ended for another reason than the package.
func (c *checker) over() bool {
	for i, e := range c.log {
		eof := i > 0 && c.log[i-1].What == "EOF"
		if e.Who == "agent" && (e.What == "exit" && !eof || e.What == "kill" || e.What == "close out" || e.What == "close in") || e.What == "kills the agent" {
			return true
		}
	}
	return false
}

// fits reports whether the end of a call agrees with the agent's answer.
func (c *checker) fits(call *called) (want string, ok bool) {
	switch err := call.err; call.status {
	case "finished":
		return "nil", err == nil
	case "cancelled":
		return "ErrCancelled", errors.Is(err, client.ErrCancelled)
	case "max_steps_reached":
		return "ErrMaxSteps", errors.Is(err, client.ErrMaxSteps) || call.replay && err == nil
	case "error":
		return "ErrProvider", errors.Is(err, client.ErrProvider)
	default:
		return "an unknown status", err != nil && strings.Contains(err.Error(), "unknown status") || call.replay && err == nil
	}
}

// unjust says why a call must not have ended without its answer.
func (c *checker) unjust(call *called, aborted, shut bool) string {
	err := call.err
	if call.status != "" {
		if _, ok := c.fits(call); ok {
			return ""
		}
	}
	var process *client.ProcessError
	if errors.As(err, &process) && !shut && !c.endangered(call) {
		if i := c.find(0, "agent", "exit", ""); i >= 0 && process.Signal == "" && strconv.Itoa(process.ExitCode) != c.log[i].Key {
			return "the agent exited with " + c.log[i].Key
		}
		if !c.over() {
			return "the agent was well"
		}
	}
	switch {
	case err == nil && !(call.replay && aborted):
		return "the agent has not finished it"
	case errors.Is(err, client.ErrIdle) && c.plan.Program.Idle == 0,
		errors.Is(err, client.ErrCancelled) && !aborted,
		errors.Is(err, client.ErrClosed) && !shut,
		errors.Is(err, client.ErrBusy), errors.Is(err, client.ErrMaxSteps), errors.Is(err, client.ErrProvider), errors.Is(err, client.ErrNoTurn):
		return "nothing of the kind has happened"
	case process == nil && !shut && !aborted && (err == nil || !strings.Contains(err.Error(), "the agent has ended")):
		return "it does not tell how the agent ended"
	}
	return ""
}

// endangered reports whether, before the end of a call, the program killed the agent or the package had a reason to
// kill it.
func (c *checker) endangered(call *called) bool {
	for _, other := range c.calls {
		if other.begun < call.ended && (other.ctx >= 0 || other.left >= 0) {
			return true
		}
	}
	return c.plan.Program.Idle > 0 || c.find(0, "", "kills the agent", "") >= 0
}

// refused checks the reason for which a prompt was refused.
func (c *checker) refused(call *called) {
	var process *client.ProcessError
	switch err := call.err; {
	case errors.Is(err, client.ErrBusy):
		for _, other := range c.calls {
			// The agent may still run a call whose loop was released.
			if other != call && other.taken && other.begun < call.ended && (other.ended > call.begun || other.ctx >= 0) {
				return
			}
		}
		c.wrong("%s was refused as busy while no other ran", call.key)
	case errors.Is(err, client.ErrClosed):
		if !c.before(c.find(0, "", "call Close", ""), call.ended) {
			c.wrong("%s was refused as closed", call.key)
		}
	case errors.As(err, &process):
	default:
		c.wrong("%s was refused: %v", call.key, err)
	}
}

// bounds checks that everything that must end in a limited time did so.
func (c *checker) bounds() {
	p := c.plan.Program
	// A kill helps the calls that would wait for a long StopGrace.
	limits := map[string]time.Duration{
		"NewSession": time.Minute, "Prompt": 0, "Steer": 500 * time.Millisecond, "SetPlanMode": 500 * time.Millisecond, "Cancel": 300 * time.Millisecond,
		"Close": 5 * time.Second, "approve": 0, "reject": 0, "Err": 0, "Replay": -1, "Result": -1, "break": -1,
	}
	for i, e := range c.log {
		what, isCall := strings.CutPrefix(e.What, "call ")
		if !isCall {
			continue
		}
		limit, known := limits[what]
		if !known {
			panic("no limit for " + what)
		}
		if limit < 0 {
			continue
		}
		end := c.find(i, e.Who, "return "+what, e.Key)
		if end < 0 {
			if c.find(0, "main", "through", "") >= 0 {
				c.wrong("%v has not returned", e)
			}
		} else if d := c.log[end].At.Sub(e.At); d > limit+soakSlack {
			c.wrong("%v took %v", e, d)
		}
	}
	gone := c.find(0, "agent", "gone", "")
	for _, call := range c.calls {
		if call.endLoop < 0 {
			continue
		}
		end := c.log[call.endLoop].At
		if call.ctx >= 0 && call.ctx < call.endLoop && call.left < 0 {
			if d := end.Sub(c.log[max(call.ctx, call.begun)].At); d > time.Second+soakSlack {
				c.wrong("the loop of %s was held for %v after the end of its ctx", call.key, d)
			}
		}
		if gone >= 0 && gone < call.endLoop && call.begun < gone {
			if d := end.Sub(c.log[gone].At); d > 5*time.Second+soakSlack {
				c.wrong("the loop of %s was held for %v after the end of the agent", call.key, d)
			}
		}
	}
	for i, e := range c.log {
		if e.What != "rescue" || e.Note != "wait" || p.Idle == 0 {
			continue
		}
		if kill := c.find(i, e.Who, "kills the agent", ""); kill >= 0 && !c.excused(i) {
			c.wrong("IdleTimeout did not end a call of %s", e.Who)
		}
	}
}

// excused reports whether the program itself stopped the time of IdleTimeout.
func (c *checker) excused(i int) bool {
	for _, e := range c.log[:i] {
		if requestKey.MatchString(e.Key) && decision(c.plan.Seed, e.Key) == "late" && c.find(0, "agent", "read", e.Key) < 0 {
			return true
		}
	}
	return false
}
