package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Undo takes back the last turns: the model does not see them any more. What they have done to files stays done. It needs a
// session without a running turn ([ErrBusy]), and cannot go back to before a compaction. kimi-cli gives [ErrUnsupported]: fork
// the session at an earlier turn instead, with [ForkSession].
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
