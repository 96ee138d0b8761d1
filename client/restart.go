package client

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// NotificationRestarted is the Type of a Notification that this package makes. It says that kimi has ended and that a
// new process continues the session; see Options.Restart. It is the first message of the next turn.
const NotificationRestarted = "client.restarted"

// restartsMost is how many times in a row kimi may end without a finished turn in between.
const restartsMost = 3

// crashed continues the session in a new process. The old process has ended by itself, and all its output was read.
func (s *Session) crashed(exit error) {
	if err := s.restart(exit); err != nil {
		s.opts.Logger.Error("client: the session is not continued", "error", err)
		s.kill(err)
	}
}

func (s *Session) restart(exit error) error {
	if exit == nil {
		exit = errAgentEnded
	}
	select {
	case <-s.connected:
	default: // wait for the end of the start, which sets the launch and the id; a start that waits for an answer fails now
		s.conn.pause(exit)
		<-s.connected
	}
	s.mu.Lock()
	if s.closing || s.killed != nil {
		s.mu.Unlock()
		return ErrClosed
	}
	s.restarts++
	n := s.restarts
	s.restarted = &wireproto.Notification{
		ID: fmt.Sprintf("restart-%s", newUUID()), Category: "client", Type: NotificationRestarted, SourceKind: "client", SourceID: s.id,
		Title: "kimi has ended, and a new process continues the session", Body: howEnded(exit), Severity: "warning",
		CreatedAt: float64(time.Now().UnixMilli()) / 1000,
	}
	s.mu.Unlock()
	s.opts.Logger.Warn("client: kimi has ended; a new process continues the session", "session", s.id, "error", exit)
	s.closeRequests(errAgentEnded, func(*request) bool { return true })
	s.conn.pause(exit)
	s.mu.Lock()
	s.meter.exit = exit
	s.processGoneLocked(nil)
	s.mu.Unlock()
	if n > restartsMost {
		return fmt.Errorf("client: kimi has ended %d times in a row without a turn that has finished", n)
	}
	l := *s.launch
	o := *l.opts
	st := s.Status()
	s.mu.Lock()
	if s.chosen != "" {
		o.Model = s.chosen
	}
	s.mu.Unlock()
	o.follow(&st)
	l.opts, l.secrets = &o, secretDir{}
	var approvals Approvals
	if o.Transport == nil {
		if found, err := s.backend.finds(&l, s.id); err != nil || !found && st.ContextTokens > 0 {
			return errors.Join(fmt.Errorf("%w: %q", ErrSessionNotFound, s.id), err)
		}
		var err error
		if approvals, err = s.backend.mayResume(&l, s.id); err != nil {
			return err
		}
	}
	if err := s.succeed(&l); err != nil {
		return err
	}
	s.continued(approvals)
	s.conn.resume()
	s.peer.revived()
	return nil
}

// follow changes the options for a new process that continues a session with this status. kimi reports plan mode only
// in the first turn; before that, Options.Plan stays as it was.
func (o *Options) follow(st *Status) {
	o.Plan = st.PlanMode || o.Plan && st.ContextTokens == 0
	switch st.Approvals.All {
	case "":
		o.Yolo, o.AFK = false, false
	case commandYolo:
		o.Yolo, o.AFK = true, false
	case commandAFK:
		o.Yolo, o.AFK = false, true
	}
}

func howEnded(exit error) string {
	var p *ProcessError
	if errors.As(exit, &p) {
		return p.What()
	}
	return fmt.Sprint(exit)
}

// succeed starts the process that follows an ended one.
func (s *Session) succeed(l *launch) (err error) {
	defer func() {
		if cleanErr := l.secrets.remove(); err == nil {
			err = cleanErr
		}
	}()
	args, err := l.args(s.id)
	if err != nil {
		return err
	}
	ctx, stop := l.limit(s.ctx)
	defer stop()
	began := time.Now()
	next, err := l.transport.Start(ctx, &Command{Path: l.path, Args: args, Env: l.env, Dir: l.workDir})
	if err != nil {
		return byOption(err)
	}
	if err := s.peer.succeed(next); err != nil {
		return err
	}
	told, err := s.initialize(ctx)
	if err != nil {
		return err
	}
	if b := told.Bridge; b != nil && b.SessionID != s.id {
		return fmt.Errorf("%w: kimi started another session instead of %q", ErrSessionNotFound, s.id)
	}
	s.mu.Lock()
	s.processStartedLocked(began, cmp.Or(l.opts.Model, s.model))
	s.mu.Unlock()
	return s.backend.holdAgain(s)
}

// tellRestart puts the Notification about the restart at the start of a turn's stream.
func (s *Session) tellRestart(t *Turn) {
	s.mu.Lock()
	m := s.restarted
	s.restarted = nil
	s.mu.Unlock()
	if m != nil {
		t.queue.push(m, 0)
	}
}
