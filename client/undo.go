package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Undo takes back the last turns, so that the model does not see them any more. It does not undo changes of files. If a
// turn is running, the error is [ErrBusy]. If the session does not have so many turns, or was compacted after one of
// them, Undo takes back no turn, and the error is a [*TurnsError]. For kimi-cli, the error is [ErrUnsupported]; use
// [ForkSession] to keep the first turns instead.
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

// TurnsError says that a session has fewer turns than [Session.Undo] should take back or [ForkSession] should keep.
// Nothing has changed.
type TurnsError struct {
	Turns int `json:"turns"` // how many turns were wanted
	// Available is how many turns there are. It is -1 if that is not known, because Undo cannot take back turns from
	// before a compaction.
	Available int `json:"available"`
}

// Error says how many turns there are, and what to do.
func (e *TurnsError) Error() string { return "client: " + e.What() + "; " + e.Hint() }

// What says how many turns there are.
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
		return "send a prompt first"
	}
	return fmt.Sprintf("use at most %d", e.Available)
}
