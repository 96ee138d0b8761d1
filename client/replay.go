package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// replay is a replay that runs. The session's mu guards its state.
type replay struct {
	queue   *stream
	err     error         // how the replay ended; set before the queue ends
	givenUp bool          // ctx has ended and the agent continues; the loop has already got its end
	grace   *time.Timer   // kills the agent; nil unless the replay is cancelled
	done    chan struct{} // closed when the agent has answered, even if the loop has not read everything
}

// Replay streams the history of the session as kimi stored it: with merged text, without approvals. Requests in it are
// plain values, and no handler runs for them. But requests of background agents and hooks that come during the replay
// are not history: their handler or OnMessage gets them. If a turn is running, the error is [ErrBusy].
//
// When ctx ends, the loop ends within a second, with the cause. If you leave the loop early, Replay waits until the
// agent has ended the replay, at most for Options.StopGrace.
func (s *Session) Replay(ctx context.Context) iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		if ctx == nil {
			yield(nil, errNilContext)
			return
		}
		r := &replay{queue: newStream(), done: make(chan struct{})}
		if err := s.occupy(ctx, "replay", func() { s.replay = r }); err != nil {
			yield(nil, err)
			return
		}
		finish := func(raw json.RawMessage, err error) { s.finishReplay(r, ctx, raw, err) }
		if err := s.conn.begin(wireproto.MethodReplay, nil, finish); err != nil {
			finish(nil, err)
			yield(nil, err)
			return
		}
		defer r.queue.cancel() // deferred, so that the reader can continue after a panic in the loop's body
		cancel := sync.OnceFunc(func() { s.cancelReplay(r) })
		stop := context.AfterFunc(ctx, func() {
			cancel()
			if !waitOr(r.done, s.opts.heldFor()) {
				s.giveUpReplay(r, context.Cause(ctx))
			}
		})
		defer stop()
		for {
			m, ok := r.queue.next()
			if !ok {
				break
			}
			if !yield(m, nil) {
				cancel()
				for ok {
					_, ok = r.queue.next()
				}
				return
			}
		}
		if r.err != nil {
			yield(nil, r.err)
		}
	}
}

// finishReplay ends a replay when the agent has answered.
func (s *Session) finishReplay(r *replay, ctx context.Context, raw json.RawMessage, err error) {
	var result wireproto.ReplayResult
	if err == nil {
		err = json.Unmarshal(raw, &result)
	}
	if err == nil && result.Status == wireproto.StatusCancelled {
		err = errors.Join(ErrCancelled, context.Cause(ctx))
	}
	s.mu.Lock()
	s.replay = nil
	if r.grace != nil {
		r.grace.Stop() // the timer keeps a reference to the session
	}
	if !r.givenUp {
		r.err = err
	}
	s.mu.Unlock()
	close(r.done)
	r.queue.end()
	s.advance()
}

// cancelReplay asks the agent to end a replay. If the agent does not, cancelReplay ends the agent.
func (s *Session) cancelReplay(r *replay) {
	r.queue.cancel()
	s.mu.Lock()
	if s.replay == r { // otherwise the replay has ended, and the cancel would end a later turn
		s.conn.begin(wireproto.MethodCancel, nil, func(json.RawMessage, error) {})
		r.grace = time.AfterFunc(s.opts.StopGrace, func() {
			select {
			case <-r.done:
			default:
				s.kill(fmt.Errorf("client: the agent did not end the replay within Options.StopGrace (%v) of its cancellation", s.opts.StopGrace))
			}
		})
	}
	s.mu.Unlock()
}

// giveUpReplay ends the loop over a replay that the agent has not ended yet.
func (s *Session) giveUpReplay(r *replay, cause error) {
	s.mu.Lock()
	if s.replay == r {
		r.givenUp, r.err = true, errors.Join(ErrCancelled, cause)
	}
	s.mu.Unlock()
	r.queue.end()
}
