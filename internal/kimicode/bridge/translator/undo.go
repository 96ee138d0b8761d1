package translator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// UndoKey is the member of an error's data that says how many turns can be taken back. The number is -1 if that is not known.
const UndoKey = "undo_available"

// tooMany returns the error for more turns than can be taken back. why is what the server says.
func tooMany(turns int, why string) *wireproto.RPCError {
	e := &wireproto.RPCError{Code: wireproto.CodeInvalidParams}
	available := 0
	var asked int
	switch n, _ := fmt.Sscanf(why, "Nothing to undo: only %d of %d requested turn(s) available", &available, &asked); {
	case n > 0:
		e.Message = fmt.Sprintf("%d turns cannot be taken back: there are %d", turns, available)
	case strings.Contains(why, "no user message"):
		e.Message = "there is no turn to take back"
	default:
		available = -1
		e.Message = fmt.Sprintf("%d turns cannot be taken back: %.200s", turns, strings.TrimPrefix(why, "Nothing to undo: "))
	}
	e.Data, _ = json.Marshal(map[string]int{UndoKey: available})
	return e
}

// undo takes back the last turns. The call is not repeated: after a lost answer, it is not known whether the turns are
// gone.
func (t *Translator) undo(f *wireproto.Frame) {
	var params wireproto.UndoParams
	switch {
	case !t.params(f, &params):
		return
	case params.Turns < 1:
		t.refuse(f.ID, wireproto.CodeInvalidParams, "undo: the number of turns must be at least 1")
		return
	case t.turn != nil || t.replay != nil || t.side != nil:
		t.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	}
	t.call("POST", t.of(":undo"), map[string]int{"count": params.Turns}, false, func(_ json.RawMessage, err error) {
		var e *api.Error
		switch errors.As(err, &e); {
		case err == nil:
			t.reply(f.ID, struct{}{})
		case e != nil && e.Code == api.CodeBusy:
			t.refuse(f.ID, wireproto.CodeInvalidState, "undo: %s", e.Msg)
		case e != nil && e.Code == api.CodeCannotUndo:
			t.fail(f.ID, tooMany(params.Turns, e.Msg))
		case e != nil && e.Code == api.CodeBadField:
			t.refuse(f.ID, wireproto.CodeInvalidParams, "undo: %s", e.Msg)
		case e != nil && e.Code == api.CodeConnectionError:
			t.refuse(f.ID, wireproto.CodeInternalError, "undo: it is not known whether the turns are gone: the server did not answer; see the history")
		default:
			t.refuse(f.ID, wireproto.CodeInternalError, "undo: %v", err)
		}
	})
}
