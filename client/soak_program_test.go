package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// soakLimit is how long a schedule may take. A call that has not returned after that time hangs.
const soakLimit = 90 * time.Second

var errUser = errors.New("the user left")

// soakRun carries out a schedule.
type soakRun struct {
	plan     *schedule
	log      transcript
	session  atomic.Pointer[client.Session]
	beside   sync.WaitGroup
	handlers atomic.Int64 // how many handlers were called
	outside  atomic.Int64 // how many times OnMessage was called
	calls    atomic.Int64

	mu     sync.Mutex
	agent  net.Conn     // the agent's connection for reports and for the order to kill itself
	turn   *client.Turn // the last turn
	last   string       // the key of the last call
	endCtx func()       // ends the ctx of the last call
	late   []func()     // answers that are given after everything has ended
	ends   []func()
}

func (r *soakRun) note(who, what, key, note string, err error) {
	r.log.add(entry{At: time.Now(), Who: who, What: what, Key: key, Note: note, Err: err})
}

// call records a call of the package, and how it returned.
func (r *soakRun) call(who, what, key string, f func() error) (err error) {
	r.note(who, "call "+what, key, "", nil)
	err = f()
	r.note(who, "return "+what, key, "", err)
	return err
}

// run carries out the schedule and returns the transcript.
func (r *soakRun) run(workDir, token string) []entry {
	agent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.note("main", "violation", "", "", err)
		return r.log.entries
	}
	defer agent.Close()
	gone := make(chan struct{})
	go r.listen(agent, gone)

	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.main(agent.Addr().String(), workDir, token)
	}()
	if !waitFor(finished, soakLimit) {
		buf := make([]byte, 4<<20)
		r.note("main", "violation", "", "it hangs:\n"+ownGoroutines(string(buf[:runtime.Stack(buf, true)])), nil)
		r.kill("main")
		waitFor(finished, soakLimit)
	}
	agent.Close()
	if !waitFor(gone, 10*time.Second) {
		r.note("main", "violation", "", "the agent lives on", nil)
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.entries
}

func ownGoroutines(all string) string {
	var own []string
	for g := range strings.SplitSeq(all, "\n\n") {
		if strings.Contains(g, "soak") || strings.Contains(g, "kimi-go/client.") {
			own = append(own, g)
		}
	}
	return strings.Join(own, "\n\n")
}

// listen records the reports of the agent until the agent has ended.
func (r *soakRun) listen(l net.Listener, gone chan<- struct{}) {
	defer close(gone)
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	r.mu.Lock()
	r.agent = conn
	r.mu.Unlock()
	r.note("agent", "connected", "", "", nil)
	for dec := json.NewDecoder(conn); ; {
		var e entry
		if err := dec.Decode(&e); err != nil {
			r.note("agent", "gone", "", "", nil)
			return
		}
		r.log.add(e)
	}
}

func (r *soakRun) options(address, workDir, token string) *client.Options {
	p := r.plan.Program
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	plan, err := json.Marshal(r.plan.Agent)
	if err != nil {
		panic(err)
	}
	o := &client.Options{
		Executable: exe, WorkDir: workDir, ShareDir: workDir, StartTimeout: 2 * time.Minute, StopGrace: p.Grace, IdleTimeout: p.Idle,
		Env: map[string]string{
			programKey: "soak", soakPlanKey: string(plan), soakReportKey: address, tokenKey: token, "GORACE": "atexit_sleep_ms=0",
		},
		SupportsQuestion: true,
	}
	if start := r.plan.Agent.Start; start == "mute" || start == "close out" {
		o.StartTimeout = 3 * time.Second
	}
	if p.Config {
		o.Config = &config.Config{DefaultModel: "m", Providers: map[string]config.Provider{"p": {Type: config.ProviderKimi, BaseURL: "http://127.0.0.1:1", APIKey: "k"}},
			Models: map[string]config.Model{"m": {Provider: "p", Model: "m", MaxContextSize: 1000}}}
	}
	if p.Record {
		o.Record = io.Discard
	}
	if p.Approve {
		o.Approve = func(ctx context.Context, q *client.ApprovalRequest) error {
			return r.handle(ctx, "Approve", q.ID, func() { r.answer("Approve", q) })
		}
	}
	if p.Answer {
		o.Answer = func(ctx context.Context, q *client.QuestionRequest) error {
			return r.handle(ctx, "Answer", q.ID, func() { r.answer("Answer", q) })
		}
	}
	if p.OnMessage {
		o.OnMessage = func(m wireproto.Message) {
			key := keyOf(m)
			r.note("OnMessage", "start", key, "", nil)
			defer r.note("OnMessage", "end", key, "", nil)
			r.note("OnMessage", "message", key, "", nil)
			r.answer("OnMessage", m)
			r.moves("OnMessage", int(r.outside.Add(1)))
		}
	}
	tool, err := client.NewTool("do", "", func(ctx context.Context, in struct {
		Key string `json:"key"`
	}) (string, error) {
		err := r.handle(ctx, "tool", in.Key, func() {})
		return "did " + in.Key, err
	})
	if err != nil {
		panic(err)
	}
	o.Tools = []client.Tool{tool}
	o.Hooks = []client.Hook{{ID: "hook", Event: "PreToolUse", Timeout: time.Second, Handle: func(ctx context.Context, q *wireproto.HookRequest) (client.HookDecision, error) {
		err := r.handle(ctx, "hook", q.ID, func() {})
		if d := decision(r.plan.Seed, q.ID); d == "approve" || d == "for session" {
			r.note("hook", "allow", q.ID, "", nil)
			return client.Allow(), err
		}
		return client.Block("no"), err
	}}}
	return o
}

// unblock kills an agent that is stuck if a call of the package waits for it for a long time.
func (r *soakRun) unblock(who string, over <-chan struct{}) {
	if !waitFor(over, time.Second) && r.log.wait(soakLimit, over, 0, isStuck()) {
		r.kill(who)
	}
}

// watch ends a call whose agent is stuck: first in the planned way, and if that fails, by a kill.
func (r *soakRun) watch(who string, over <-chan struct{}, rescue string) {
	why := ""
	stuck := isStuck()
	if !r.log.wait(soakLimit, over, 0, func(e entry) bool {
		if e.What == "stuck" {
			why = e.Note
		}
		return stuck(e)
	}) {
		return
	}
	if rescue == "wait" && why == "babbles" { // such an agent is not silent, so IdleTimeout does not end the call
		rescue = "end ctx"
	}
	short := func() bool { return waitFor(over, 100*time.Millisecond) }
	if short() {
		return
	}
	r.note(who, "rescue", "", rescue, nil)
	switch rescue {
	case "wait": // wait for IdleTimeout
		if waitFor(over, soakSlack+3*time.Second) {
			return
		}
	case "end ctx":
		r.move(who, rescue)
		if waitFor(over, soakSlack+3*time.Second) {
			return
		}
	default:
		r.move(who, rescue)
	}
	if short() {
		return
	}
	r.kill(who)
}

// prompt starts a turn and reads it.
func (r *soakRun) prompt(who string, p programCall) {
	s := r.session.Load()
	key := fmt.Sprint("p", r.calls.Add(1))
	ctx, cancel := context.WithCancelCause(context.Background())
	over := make(chan struct{})
	endCtx := func() {
		r.note(who, "end ctx", key, "", nil)
		cancel(errUser)
	}
	var turn *client.Turn
	since := r.log.len()
	begun := make(chan struct{})
	r.beside.Go(func() { r.unblock(who, begun) })
	err := r.call(who, "Prompt", key, func() (err error) { turn, err = s.Prompt(ctx, key); return err })
	close(begun)
	if err != nil {
		cancel(nil)
		return
	}
	r.mu.Lock()
	r.turn, r.last, r.endCtx = turn, key, endCtx
	r.mu.Unlock()
	end := sync.OnceFunc(func() {
		r.call(who, "Result", key, func() error { _, err := turn.Result(); return err })
		close(over)
		cancel(nil)
	})
	r.accompany(who+" "+key, since, over, p)
	switch p.Read {
	case "loop":
		r.loop(who, "loop "+key, key, turn.Messages(), p)
		end()
	case "result":
		end()
	case "leave":
		r.mu.Lock()
		r.ends = append(r.ends, end)
		r.mu.Unlock()
		r.log.wait(time.Second, s.Done(), since, things(20))
	}
}

// accompany starts the moves that are planned for the time of a call.
func (r *soakRun) accompany(who string, since int, over <-chan struct{}, p programCall) {
	r.beside.Go(func() { r.watch(who+"'s watch", over, p.Rescue) })
	for _, m := range p.Moves {
		if m.At == "beside" {
			r.beside.Go(func() {
				if r.log.wait(soakLimit, over, since, things(m.N)) {
					r.move("beside "+who, m.Do)
				}
			})
		}
	}
}

// loop reads a stream.
func (r *soakRun) loop(who, place, key string, messages iter.Seq2[wireproto.Message, error], p programCall) {
	n := 0
	var last error
	for m, err := range messages {
		if err != nil {
			last = err
			continue
		}
		n++
		r.note(place, "message", keyOf(m), "", nil)
		r.answer(place, m)
		left := false
		for _, move := range p.Moves {
			switch {
			case move.At != "loop" || move.N != n:
			case move.Do == "break":
				left = true
			default:
				r.move(place, move.Do)
			}
		}
		if left {
			r.note(place, "call break", key, "", nil)
			break
		}
	}
	r.note(place, "end of loop", key, "", last)
}

// replay reads the history.
func (r *soakRun) replay(who string, p programCall) {
	s := r.session.Load()
	key := fmt.Sprint("r", r.calls.Add(1))
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	over := make(chan struct{})
	defer close(over)
	since := r.log.len()
	r.mu.Lock()
	r.turn, r.last = nil, key
	r.endCtx = func() {
		r.note(who, "end ctx", key, "", nil)
		cancel(errUser)
	}
	r.mu.Unlock()
	r.accompany(who+" "+key, since, over, p)
	r.note(who, "call Replay", key, "", nil)
	r.loop(who, "replay "+key, key, s.Replay(ctx), p)
}

// main is the program of the schedule.
func (r *soakRun) main(address, workDir, token string) {
	p := r.plan.Program
	var s *client.Session
	err := r.call("main", "NewSession", "", func() (err error) {
		s, err = client.NewSession(context.Background(), r.options(address, workDir, token))
		return err
	})
	if err != nil {
		return
	}
	r.session.Store(s)
	for _, c := range p.Calls {
		if c.Replay {
			r.replay("main", c)
		} else {
			r.prompt("main", c)
		}
	}
	// A turn that no one reads blocks the agent.
	if p.Patient && len(r.ends) == 0 && !r.log.wait(soakPatience+5*time.Second, s.Done(), 0, allSaid(p.OnMessage)) && s.Err() == nil {
		r.note("main", "violation", "", "what the agent has said outside of calls does not arrive", nil)
	}
	r.close("main")
	for _, end := range r.ends {
		end()
	}
	// After Close, all handlers have ended, except a handler that has called Close itself, which ends soon.
	r.log.wait(soakSlack, nil, 0, handlersEnded())
	r.beside.Wait()
	r.mu.Lock()
	late := r.late
	r.mu.Unlock()
	for _, answer := range late {
		answer()
	}
	for _, what := range []string{"Prompt", "Steer", "SetPlanMode", "Replay", "Err", "Close"} {
		r.call("main", what, "after the end", func() error {
			ctx := context.Background()
			var err error
			switch what {
			case "Prompt":
				_, err = s.Prompt(ctx, "hello")
			case "Steer":
				err = s.Steer(ctx, "hello")
			case "SetPlanMode":
				_, err = s.SetPlanMode(ctx, true)
			case "Replay":
				for _, err = range s.Replay(ctx) {
				}
			case "Err":
				err = s.Err()
			case "Close":
				err = s.Close()
			}
			return err
		})
	}
	r.note("main", "through", "", "", nil)
}
