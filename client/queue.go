package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Queue starts a turn as [Session.Prompt] does, but never returns [ErrBusy]. It returns at once, and the turn begins
// when all earlier turns have ended, in the order of the calls. While turns wait, Prompt and Replay return ErrBusy. ctx
// limits the wait and the turn. If a turn is cancelled before it has begun, by ctx or by [Turn.Cancel], kimi does not
// get the prompt, and Result has no steps and the error [ErrCancelled]. Close, and the end of the agent, end all turns
// that wait.
//
// A turn begins even if no loop reads it or the turn before it. While another turn waits for its end, a turn without a
// reader continues: all its messages wait in memory, and a request that waits longer than Options.StopGrace for a
// reader is rejected. A turn with a reader is as fast as its loop, and its requests wait for the loop. If the loop over
// the running turn waits for a later turn, the rest of the running turn is dropped, as by its Result. A handler or a
// tool of the running turn must not wait for a later turn.
func (s *Session) Queue(ctx context.Context, text string, parts ...wireproto.ContentPart) (*Turn, error) {
	t, err := s.newPrompt(ctx, text, parts)
	if err != nil {
		return nil, err
	}
	if err := s.enqueue(t); err != nil {
		return nil, err
	}
	return t, nil
}

// enqueue adds a turn to the turns that wait.
func (s *Session) enqueue(t *Turn) (err error) {
	if _, err := encode(t.prompt); err != nil { // check now, so that Queue returns the error
		return fmt.Errorf("client: queue: %w", err)
	}
	s.mu.Lock()
	switch {
	case s.err != nil:
		err = s.err
	case s.closing:
		err = ErrClosed
	default:
		s.waiting = append(s.waiting, t)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	t.watch()
	s.advance()
	return nil
}

// advance begins the turn that has waited longest, if no turn runs. If a turn runs and others wait, advance makes sure
// that the turn can end without a reader.
func (s *Session) advance() {
	for {
		s.mu.Lock()
		free := s.turn == nil && s.replay == nil && s.changing == nil && !s.closing && s.err == nil
		if !free || len(s.waiting) == 0 {
			s.mu.Unlock()
			break
		}
		t := s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
		s.turn = t
		s.mu.Unlock()
		if err := t.begin(); err != nil {
			t.withdraw(err)
			s.mu.Lock()
			s.turn = nil
			s.mu.Unlock()
		}
	}
	s.relieve()
}

// relieve lets a turn without a reader continue if another turn waits for its end.
func (s *Session) relieve() {
	s.mu.Lock()
	t, replay, wanted := s.turn, s.replay, len(s.waiting) > 0
	s.mu.Unlock()
	if !wanted {
		return
	}
	if replay != nil {
		replay.queue.lift()
	}
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.consumer != nil || t.relieved != nil {
		return
	}
	t.queue.lift()
	t.relieved = time.AfterFunc(s.opts.StopGrace, t.rejectUnread)
}

// rejectUnread rejects the requests that have waited for a reader longer than Options.StopGrace.
func (t *Turn) rejectUnread() {
	s := t.s
	t.mu.Lock()
	if t.over || t.relieved == nil { // the turn now has a reader
		t.mu.Unlock()
		return
	}
	t.relieved.Reset(s.opts.StopGrace)
	s.mu.Lock()
	since := time.Now().Add(-s.opts.StopGrace)
	wanted := len(s.waiting) > 0
	s.mu.Unlock()
	t.mu.Unlock()
	if wanted {
		s.answerAll("no one reads the turn", func(r *request) bool {
			return r.turn == t && !r.background && !r.held && s.asksLoop(r.asked) && !r.at.After(since)
		})
	}
}

// asksLoop reports whether the loop must answer a request. Otherwise a handler answers it.
func (s *Session) asksLoop(m wireproto.Message) bool {
	switch m.(type) {
	case *wireproto.ApprovalRequest:
		return s.opts.Approve == nil
	case *wireproto.QuestionRequest:
		return s.opts.Answer == nil
	}
	return false
}

// withdraw ends a turn that has not begun yet.
func (t *Turn) withdraw(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && !t.begun {
		t.withdrawLocked(err)
	}
}

// withdrawLocked ends a turn that has not begun and is not over. The caller holds t.mu.
func (t *Turn) withdrawLocked(err error) {
	t.over, t.err, t.prompt = true, err, nil
	t.s.mu.Lock()
	t.s.waiting = slices.DeleteFunc(t.s.waiting, func(other *Turn) bool { return other == t })
	t.s.mu.Unlock()
	if t.unwatch != nil {
		t.unwatch()
	}
	t.stop(err)
	close(t.ended)
	close(t.done)
	t.queue.end()
}

// endWaiting ends the turns that wait. It is called when no more turns can be added.
func (s *Session) endWaiting(err error) {
	s.mu.Lock()
	waiting := slices.Clone(s.waiting)
	s.mu.Unlock()
	for _, t := range waiting {
		t.withdraw(err)
	}
}

// leaveOwnLoop reads the rest of the running turn if t waits for it and the caller is the loop that reads the running
// turn. No one else could read the rest.
func (t *Turn) leaveOwnLoop() {
	s := t.s
	s.mu.Lock()
	running := s.turn
	waits := running != nil && slices.Contains(s.waiting, t)
	s.mu.Unlock()
	if !waits {
		return
	}
	running.mu.Lock()
	c := running.consumer
	running.mu.Unlock()
	if c != nil && c.loop != 0 && c.loop == goroutineID() {
		running.drain()
	}
}
