package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Undo takes back the last turns: the model does not see them any more. Changes of files stay. If a turn is running,
// the error is [ErrBusy]. If there are not so many turns, or a compaction is between them, it takes none back and the
// error is a [*TurnsError]. For kimi-cli, the error is [ErrUnsupported]; use [ForkSession] at an earlier turn instead.
func (s *Session) Undo(ctx context.Context, turns int) error {
	switch {
	case ctx == nil:
		return errNilContext
	case turns < 1:
		return errors.New("client: undo: the number of turns must be at least 1; pass how many of the last turns to take back")
	case s.backend.kind() == BackendWire:
		return fmt.Errorf("%w: undo; keep the first turns with ForkSession", ErrUnsupported)
	}
	err := s.conn.call(ctx, wireproto.MethodUndo, wireproto.UndoParams{Turns: turns}, nil)
	var rpc *wireproto.RPCError
	var data map[string]*int
	if errors.As(err, &rpc) && json.Unmarshal(rpc.Data, &data) == nil && data[bridge.UndoKey] != nil {
		return &TurnsError{Turns: turns, Available: *data[bridge.UndoKey]}
	}
	return err
}

// TurnsError says that a session does not have the number of turns that [Session.Undo] was to take back or
// [ForkSession] was to keep. Nothing has changed.
type TurnsError struct {
	Turns     int `json:"turns"`     // the number that was wanted
	Available int `json:"available"` // the number that there are; -1 if a compaction is in the way of Undo, so that the number is not known
}

// Error says how many turns there are, and what to do.
func (e *TurnsError) Error() string { return "client: " + e.What() + "; " + e.Hint() }

// What says how many turns there are, without what to do about it.
func (e *TurnsError) What() string {
	switch e.Available {
	case -1:
		return fmt.Sprintf("%d turns cannot be taken back: the conversation was compacted after some of them", e.Turns)
	case 0:
		return "the session has no turn yet"
	case 1:
		return fmt.Sprintf("the session has 1 turn, not %d", e.Turns)
	}
	return fmt.Sprintf("the session has %d turns, not %d", e.Available, e.Turns)
}

// Hint says what to do.
func (e *TurnsError) Hint() string {
	switch e.Available {
	case -1:
		return "take back only turns after the compaction"
	case 0:
		return "begin a turn first"
	}
	return fmt.Sprintf("use at most %d", e.Available)
}
