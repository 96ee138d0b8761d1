package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Undo takes back the last turns: the model does not see them any more. Changes of files stay. If a turn is running,
// the error is [ErrBusy]. Undo cannot go back to before a compaction. For kimi-cli, the error is [ErrUnsupported];
// use [ForkSession] at an earlier turn instead.
func (s *Session) Undo(ctx context.Context, turns int) error {
	switch {
	case ctx == nil:
		return errNilContext
	case turns < 1:
		return errors.New("client: undo: the number of turns must be at least 1; pass how many of the last turns to take back")
	case s.backend.kind() == BackendWire:
		return fmt.Errorf("%w: undo; keep the first turns with ForkSession", ErrUnsupported)
	}
	return s.conn.call(ctx, wireproto.MethodUndo, wireproto.UndoParams{Turns: turns}, nil)
}
