package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Replay streams the history of the session as kimi stored it: merged text, no approvals.
// Requests in it are plain values; no handler runs. No turn may run meanwhile ([ErrBusy]).
func (s *Session) Replay(ctx context.Context) iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		if ctx == nil {
			yield(nil, errNilContext)
			return
		}
		q := newStream()
		s.mu.Lock()
		err := s.err
		switch {
		case err != nil:
		case s.closing:
			err = ErrClosed
		case s.turn != nil || s.replay != nil:
			err = ErrBusy
		default:
			s.replay = q
		}
		s.mu.Unlock()
		if err != nil {
			yield(nil, err)
			return
		}
		var end error
		ended := make(chan struct{}) // closed with the agent's answer, however slow the loop is
		finish := func(raw json.RawMessage, err error) {
			var result wireproto.ReplayResult
			if err == nil {
				err = json.Unmarshal(raw, &result)
			}
			if end = err; err == nil && result.Status == wireproto.StatusCancelled {
				end = errors.Join(ErrCancelled, context.Cause(ctx))
			}
			s.mu.Lock()
			s.replay = nil
			s.mu.Unlock()
			close(ended)
			q.end()
		}
		if err := s.conn.begin(wireproto.MethodReplay, nil, finish); err != nil {
			finish(nil, err)
			yield(nil, err)
			return
		}
		defer q.cancel() // also where the loop's body panics: the reader must get past q
		abort := func() {
			q.cancel()
			s.mu.Lock()
			if s.replay == q { // else it has ended, and what follows must not be hit
				s.conn.begin(wireproto.MethodCancel, nil, func(json.RawMessage, error) {})
			}
			s.mu.Unlock()
			if !waitOr(ended, s.opts.StopGrace) {
				s.kill(fmt.Errorf("client: the agent did not end the replay within %v of its cancellation", s.opts.StopGrace))
			}
		}
		stop := context.AfterFunc(ctx, abort)
		defer stop()
		for {
			m, ok := q.next()
			if !ok {
				break
			}
			if !yield(m, nil) {
				if stop() {
					go abort()
				}
				for ok {
					_, ok = q.next()
				}
				return
			}
		}
		if end != nil {
			yield(nil, end)
		}
	}
}
