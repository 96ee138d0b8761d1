package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Undo takes back the last turns, so that the model does not see them any more. It does not undo changes of files. If a
// turn is running, the error is [ErrBusy]. Undo cannot take back turns from before a compaction. For kimi-cli, the
// error is [ErrUnsupported]; use [ForkSession] to keep the first turns instead.
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
