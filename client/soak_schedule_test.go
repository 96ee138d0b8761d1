package client_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// schedule is everything that a seed decides: the actions of the agent and those of the program. soakRun only carries
// it out, and check judges the result.
type schedule struct {
	Seed    uint64
	Agent   agentPlan
	Program programPlan
}

// agentPlan is the plan of the agent's actions.
type agentPlan struct {
	Seed     uint64
	Start    string     // how it starts; "" is a correct start
	Stubborn bool       // it does not end at the end of its input or at an interrupt
	Calls    []callPlan // what it does with the first prompt or replay, with the second, and so on
}

// callPlan is what the agent does after it has read a prompt or a replay. It answers with "finished" after the last
// step, unless a step has answered.
type callPlan struct {
	Cancel string // the reaction to a cancellation: obey, refuse, ignore, finish or fail
	Steps  []step
}

// step is one action of the agent. N is a number whose meaning depends on Do.
type step struct {
	Do string
	N  int
	On string // the kind of a request, or the status of an answer
}

// programPlan is the plan of the program's actions.
type programPlan struct {
	Grace, Idle       time.Duration
	Approve, Answer   bool // whether these handlers exist; tools and hooks always exist
	OnMessage, Record bool
	Config            bool // the configuration comes by a temporary file
	Calls             []programCall
	Moves             []move // the moves of handlers and of OnMessage
	Patient           bool   // it closes the session only when the agent has nothing more to send
}

// programCall is a prompt or a replay that the program calls.
type programCall struct {
	Replay bool
	Read   string // how it is read: loop, result or leave
	Moves  []move
	Rescue string // what ends the call if the agent is stuck
}

// move is one action of the program at a place: at the Nth message of a loop, in the Nth handler, in the Nth OnMessage,
// or during a call, when the agent has done N things in it.
type move struct {
	At string
	N  int
	Do string
}

// longGrace is a StopGrace that no schedule may wait for. A call that waits for it by mistake fails the test.
const longGrace = time.Minute

// newSchedule makes the schedule for a seed.
func newSchedule(seed uint64) *schedule {
	rng := rand.New(rand.NewPCG(seed, 0))
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }

	s := &schedule{Seed: seed}
	s.Agent.Seed = seed
	p := &s.Program
	p.Grace = 250 * time.Millisecond
	if chance(30) {
		p.Grace = longGrace
	}
	if p.Grace != longGrace && chance(20) { // such an agent needs a StopGrace to end
		p.Idle = 400 * time.Millisecond
	}
	p.Approve, p.Answer, p.OnMessage, p.Record, p.Config = chance(40), chance(50), chance(70), chance(20), chance(25)
	p.Patient = chance(50)
	s.Agent.Stubborn = p.Grace != longGrace && chance(12)
	if chance(6) {
		s.Agent.Start = pick("exit", "kill", "half", "mute", "noise", "slow", "close out")
	}

	ask := func() step {
		return step{Do: pick("ask", "ask", "ask", "ask and go on", "ask and resolve"), On: pick("approval", "approval", "approval", "question", "tool", "hook", "background", "unknown")}
	}
	calm := func() step { // a step after which the call can continue
		switch rng.IntN(17) {
		case 0, 1, 2:
			return step{Do: "text", N: 1 + rng.IntN(20)}
		case 3:
			return step{Do: "big", N: 1 << rng.IntN(9)}
		case 4:
			return step{Do: "split", N: 2 + rng.IntN(4)}
		case 5:
			return step{Do: "half"}
		case 6:
			return step{Do: "noise", N: rng.IntN(len(soakNoise))}
		case 7:
			return step{Do: "new type"}
		case 8:
			return step{Do: "stray", N: rng.IntN(4)}
		case 9:
			return step{Do: "stderr", N: 1 << rng.IntN(7)}
		case 10:
			return step{Do: "pause", N: rng.IntN(20)}
		}
		return ask()
	}
	fatal := func() step { // a step that ends the agent, or that continues until the agent is ended
		switch rng.IntN(14) {
		case 0, 1:
			return step{Do: "exit", N: rng.IntN(4)}
		case 2, 3:
			return step{Do: "kill"}
		case 4:
			return step{Do: "close out"}
		case 5:
			return step{Do: "close in"}
		case 6, 7:
			return step{Do: "mute"}
		case 8, 9:
			return step{Do: "deaf"}
		case 10, 11:
			return step{Do: "leave and exit", N: rng.IntN(4)}
		case 12:
			return step{Do: "half and exit"}
		}
		return step{Do: "babble"}
	}
	calls := 2 + rng.IntN(7)
	for range calls {
		c := callPlan{Cancel: pick("obey", "obey", "obey", "obey", "obey", "refuse", "ignore", "finish", "fail")}
		for range 1 + rng.IntN(7) {
			c.Steps = append(c.Steps, calm())
		}
		switch {
		case chance(13):
			c.Steps = append(c.Steps, fatal())
		case chance(4):
			c.Steps = append(c.Steps, step{Do: "flood", N: 3 + rng.IntN(9)})
		}
		c.Steps = append(c.Steps, step{Do: "answer", On: pick("finished", "finished", "finished", "finished", "cancelled", "max_steps_reached", "error", "nonsense")})
		if chance(10) {
			c.Steps = append(c.Steps, step{Do: "answer", On: pick("finished", "cancelled")})
		}
		for range rng.IntN(4) { // steps outside of calls
			c.Steps = append(c.Steps, calm())
		}
		if chance(3) {
			c.Steps = append(c.Steps, fatal())
		}
		s.Agent.Calls = append(s.Agent.Calls, c)
	}

	for range calls + rng.IntN(2) {
		c := programCall{
			Replay: chance(15),
			Read:   pick("loop", "loop", "loop", "loop", "loop", "loop", "loop", "loop", "loop", "loop", "result", "result", "leave"),
			Rescue: pick("end ctx", "end ctx", "cancel", "close", "kill"),
		}
		if p.Idle > 0 && !c.Replay && chance(60) {
			c.Rescue = "wait"
		}
		for range rng.IntN(4) {
			m := move{At: "loop", N: 1 + rng.IntN(12)}
			m.Do = pick("cancel", "go cancel", "end ctx", "go end ctx", "break", "break", "steer", "plan", "prompt", "replay", "result", "steer", "plan")
			if chance(50) {
				m.At, m.N = "beside", rng.IntN(30)
				m.Do = pick("cancel", "cancel", "end ctx", "end ctx", "steer", "plan", "prompt", "replay")
			}
			if chance(12) { // a move that ends the session
				m.Do = pick("close", "close", "go close", "kill")
			}
			c.Moves = append(c.Moves, m)
		}
		p.Calls = append(p.Calls, c)
	}
	for range rng.IntN(5) {
		m := move{At: pick("handler", "OnMessage"), N: 1 + rng.IntN(8)}
		m.Do = pick("cancel", "end ctx", "steer", "plan", "prompt", "replay", "panic", "goexit")
		if chance(15) {
			m.Do = pick("close", "close", "go close", "kill")
		}
		p.Moves = append(p.Moves, m)
	}
	return s
}

// decision returns what the program does with a request. It is the same wherever the program gets the request.
func decision(seed uint64, request string) string {
	h := fnv.New64a()
	fmt.Fprint(h, seed, request)
	all := []string{"approve", "approve", "approve", "for session", "reject", "end", "nothing", "hold", "hold", "twice", "late", "fail"}
	return all[h.Sum64()%uint64(len(all))]
}

// soakNoise are lines that are not messages, or are messages of unknown types.
var soakNoise = []string{
	"plain text\n", "\n\n", "{\"half\":\n", "[]\n", "\xff\xfe\n", "{}\n", "\ufeff{}\n", "null\n", "\x00\n",
	`{"jsonrpc":"2.0","method":"event"}` + "\n",
	`{"jsonrpc":"2.0","method":"surprise","params":{}}` + "\n",
	`{"jsonrpc":"2.0","method":"surprise","id":"s1","params":{}}` + "\n",
	`{"jsonrpc":"2.0","id":"999","result":{}}` + "\n",
	`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Invalid JSON"}}` + "\n",
}
