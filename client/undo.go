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
// error is an [*UndoError]. For kimi-cli, the error is [ErrUnsupported]; use [ForkSession] at an earlier turn instead.
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
		return &UndoError{Turns: turns, Available: *data[bridge.UndoKey]}
	}
	return err
}

// UndoError says that [Session.Undo] was asked for more turns than can be taken back. It has taken none back.
type UndoError struct {
	Turns     int `json:"turns"`     // that were to be taken back
	Available int `json:"available"` // that can be; -1 if a compaction is in the way, so that the number is not known
}

// Error says how many turns there are, and what to do.
func (e *UndoError) Error() string { return "client: undo: " + e.What() + "; " + e.Hint() }

// What says how many turns can be taken back, without what to do about it.
func (e *UndoError) What() string {
	switch e.Available {
	case -1:
		return fmt.Sprintf("%d turns cannot be taken back: the conversation was compacted after some of them", e.Turns)
	case 0:
		return "there is no turn to take back"
	case 1:
		return fmt.Sprintf("%d turns cannot be taken back: there is 1", e.Turns)
	}
	return fmt.Sprintf("%d turns cannot be taken back: there are %d", e.Turns, e.Available)
}

// Hint says what to do.
func (e *UndoError) Hint() string {
	switch e.Available {
	case -1:
		return "take back only turns after the compaction"
	case 0:
		return "begin a turn first"
	case 1:
		return "take back 1"
	}
	return fmt.Sprintf("take back at most %d", e.Available)
}
