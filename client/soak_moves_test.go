package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// handle is the code that every handler runs.
func (r *soakRun) handle(ctx context.Context, who, key string, answer func()) error {
	r.note(who, "start", key, "", nil)
	defer r.note(who, "end", key, "", nil)
	r.moves("handler", int(r.handlers.Add(1)))
	switch decision(r.plan.Seed, key) {
	case "late":
		select { // wait as long as the handler may
		case <-ctx.Done():
		case <-time.After(soakLimit):
		}
	case "fail":
		return errors.New("the handler failed")
	}
	answer()
	return nil
}

// moves makes the planned moves of a handler. It makes no call that waits for the agent while the agent may wait for
// the handler.
func (r *soakRun) moves(at string, n int) {
	for _, m := range r.plan.Program.Moves {
		switch {
		case m.At != at || m.N != n:
		case m.Do == "prompt" || m.Do == "replay":
			r.move(at, "go "+m.Do)
		default:
			r.move(at, m.Do)
		}
	}
}

// keyOf returns the key by which both sides know a message.
func keyOf(m wireproto.Message) string {
	switch m := m.(type) {
	case *wireproto.TextPart:
		key, _, _ := strings.Cut(m.Text, ":")
		return strings.Clone(key) // a copy, so that the rest of the text can be freed
	case *wireproto.UnknownMessage:
		var p struct{ Key string }
		json.Unmarshal(m.Payload, &p)
		return p.Key
	case *client.ApprovalRequest:
		return m.ID
	case *wireproto.ApprovalRequest:
		return m.ID
	case *client.QuestionRequest:
		return m.ID
	case *wireproto.QuestionRequest:
		return m.ID
	case *wireproto.ToolCallRequest:
		return m.ID
	case *wireproto.HookRequest:
		return m.ID
	}
	return ""
}

// answer decides about a live request. It ignores all other messages.
func (r *soakRun) answer(who string, m wireproto.Message) {
	var id string
	var yes, forever, no, end func() error
	var hold func()
	switch q := m.(type) {
	case *client.ApprovalRequest:
		id, yes, forever, hold = q.ID, q.Approve, q.ApproveForSession, q.Hold
		no = func() error { return q.Reject("no") }
		end = func() error { return q.Reject("") }
	case *client.QuestionRequest:
		id, no, end, hold = q.ID, q.Dismiss, q.Dismiss, q.Hold
		yes = func() error { return q.Answer(map[string]string{"?": q.ID}) }
		forever = yes
	default:
		return
	}
	give := func(what string, f func() error) { r.call(who, what, id, f) }
	switch decision(r.plan.Seed, id) {
	case "approve":
		give("approve", yes)
	case "for session":
		give("approve", forever)
	case "reject":
		give("reject", no)
	case "end":
		give("reject", end)
	case "twice":
		give("approve", yes)
		give("reject", no)
	case "hold":
		hold()
		r.beside.Go(func() {
			r.log.wait(10*time.Millisecond, nil, r.log.len(), things(1))
			give("approve", yes)
		})
	case "late":
		hold()
		r.note(who, "hold", id, "", nil)
		r.mu.Lock()
		r.late = append(r.late, func() { give("approve", yes) })
		r.mu.Unlock()
	}
}

// move does one thing with the session, or with its last turn.
func (r *soakRun) move(who, do string) {
	s := r.session.Load()
	if s == nil {
		return // the handler runs before NewSession has returned
	}
	r.mu.Lock()
	turn, last, endCtx := r.turn, r.last, r.endCtx
	r.mu.Unlock()
	if later, ok := strings.CutPrefix(do, "go "); ok {
		r.beside.Go(func() { r.move(who+"'s goroutine", later) })
		return
	}
	key := fmt.Sprint("x", r.calls.Add(1))
	within := func(what string, d time.Duration, f func(ctx context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		r.call(who, what, key, func() error { return f(ctx) })
	}
	switch do {
	case "close":
		r.close(who)
	case "kill":
		r.kill(who)
	case "steer":
		within("Steer", 500*time.Millisecond, func(ctx context.Context) error { return s.Steer(ctx, key) })
	case "plan":
		within("SetPlanMode", 500*time.Millisecond, func(ctx context.Context) error { _, err := s.SetPlanMode(ctx, true); return err })
	case "prompt":
		r.prompt(who, programCall{Read: "loop", Rescue: "close"})
	case "replay":
		r.replay(who, programCall{Read: "loop", Rescue: "close"})
	case "panic":
		panic("the handler panics")
	case "goexit":
		runtime.Goexit()
	case "end ctx":
		if endCtx != nil {
			endCtx()
		}
	case "cancel":
		if turn != nil {
			r.note(who, "cancels", last, "", nil)
			within("Cancel", 300*time.Millisecond, turn.Cancel)
		}
	case "result":
		if turn != nil {
			r.call(who, "Result", key, func() error { _, err := turn.Result(); return err })
		}
	default:
		panic("no such move: " + do)
	}
}

// kill asks the agent to kill itself. A kill by its process id could hit another process.
func (r *soakRun) kill(who string) {
	r.note(who, "kills the agent", "", "", nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.agent != nil {
		r.agent.Write([]byte("\n"))
	}
}

// close closes the session. If an agent that is stuck would use up a long StopGrace, the agent is killed, as a user
// would do.
func (r *soakRun) close(who string) {
	s := r.session.Load()
	key := fmt.Sprint("c", r.calls.Add(1))
	r.note(who, "call Close", key, "", nil)
	if r.plan.Program.Grace == longGrace {
		r.beside.Go(func() {
			if r.log.wait(soakLimit, s.Done(), 0, isStuck()) {
				r.kill(who)
			}
		})
	}
	r.note(who, "return Close", key, "", s.Close())
}
