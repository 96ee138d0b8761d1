package client

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/kimi-go/kimi-go/wireproto"
)

// A call may wait for the next agent. An answer of the old agent with the id of such a call is ignored: the caller
// waits for the answer of the next agent, or for the end.
func TestAnswerToHeldCall(t *testing.T) {
	held := func(t *testing.T) (c *conn, got *[]error, guessed *wireproto.Frame) {
		c, got = newConn(nil, 1, slog.New(slog.DiscardHandler), nil), new([]error)
		c.changes = true
		err := c.begin(wireproto.MethodPrompt, nil, func(_ json.RawMessage, err error) { *got = append(*got, err) })
		if err != nil {
			t.Fatal(err)
		}
		guessed = &wireproto.Frame{ID: c.held[0].id, Result: json.RawMessage(`{}`)}
		c.answer(guessed)
		c.pause(errors.New("the agent has ended"))
		if len(*got) != 0 {
			t.Errorf("answered before it was sent: %v", *got)
		}
		return c, got, guessed
	}
	t.Run("next agent", func(t *testing.T) {
		c, got, answer := held(t)
		c.resume()
		if len(c.out) != 1 {
			t.Errorf("for the next agent: %q", c.out)
		}
		c.answer(answer)
		if len(*got) != 1 || (*got)[0] != nil {
			t.Errorf("answered by the next agent: %v", *got)
		}
	})
	t.Run("end", func(t *testing.T) {
		c, got, _ := held(t)
		c.shut(ErrClosed)
		if len(*got) != 1 || !errors.Is((*got)[0], ErrClosed) {
			t.Errorf("at the end: %v", *got)
		}
	})
}
