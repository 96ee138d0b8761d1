package client_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// schedule is everything that a seed decides: what the agent does and what the program does. The runner only carries
// it out, and check judges the result.
type schedule struct {
	Seed    uint64
	Agent   agentPlan
	Program programPlan
}

// agentPlan is what the agent does.
type agentPlan struct {
	Seed     uint64
	Start    string     // how it starts: "" is well
	Stubborn bool       // it ends neither at the end of its input nor when it is interrupted
	Calls    []callPlan // what it does with its first prompt or replay, with the second, …
}

// callPlan is what the agent does from a prompt or replay on. It answers with "finished" after the
// last step unless a step has answered.
type callPlan struct {
	Cancel string // what it does about a cancellation: obey, refuse, ignore, finish, fail
	Steps  []step
}

// step is one thing that the agent does. N counts what Do names.
type step struct {
	Do string
	N  int
	On string // of a request, its kind; of an answer, the status
}

// programPlan is what the program does.
type programPlan struct {
	Grace, Idle       time.Duration
	Approve, Answer   bool // handlers that there are; tools and hooks there are always
	OnMessage, Record bool
	Config            bool // by a temporary file
	Calls             []programCall
	Moves             []move // of handlers and OnMessage
	Patient           bool   // waits until the agent has nothing more to say before it closes
}

// programCall is a prompt or a replay of the program.
type programCall struct {
	Replay bool
	Read   string // loop, result, leave
	Moves  []move
	Rescue string // what ends the call when the agent is stuck
}

// move is a thing that the program does at a place: at the Nth message of a loop, in the Nth
// handler, in the Nth OnMessage, or during a call once the agent has done N things in it.
type move struct {
	At string
	N  int
	Do string
}

// longGrace is a StopGrace that no schedule waits for. If a call waits for it by mistake, the test sees that.
const longGrace = time.Minute

// newSchedule makes the schedule of a seed.
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
	if p.Grace != longGrace && chance(20) { // it needs StopGrace after it
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
	calm := func() step { // what a call survives
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
	fatal := func() step { // what ends the agent, or what it does until something ends it
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
		for range rng.IntN(4) { // outside of any call
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
			if chance(12) { // the end of the session
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

// decision is what the program does with a request: the same, wherever it is asked.
func decision(seed uint64, request string) string {
	h := fnv.New64a()
	fmt.Fprint(h, seed, request)
	all := []string{"approve", "approve", "approve", "for session", "reject", "end", "nothing", "hold", "hold", "twice", "late", "fail"}
	return all[h.Sum64()%uint64(len(all))]
}

// soakNoise is what is no message, or none that is known.
var soakNoise = []string{
	"plain text\n", "\n\n", "{\"half\":\n", "[]\n", "\xff\xfe\n", "{}\n", "\ufeff{}\n", "null\n", "\x00\n",
	`{"jsonrpc":"2.0","method":"event"}` + "\n",
	`{"jsonrpc":"2.0","method":"surprise","params":{}}` + "\n",
	`{"jsonrpc":"2.0","method":"surprise","id":"s1","params":{}}` + "\n",
	`{"jsonrpc":"2.0","id":"999","result":{}}` + "\n",
	`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Invalid JSON"}}` + "\n",
}
