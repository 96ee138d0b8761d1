package client

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/wireproto"
)

type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("oops") }

// If an answer cannot be encoded, the request is refused, once. The agent does not wait, and the caller gets the error.
func TestAnswerDeclines(t *testing.T) {
	for _, result := range map[string]any{"fails": make(chan int), "panics": panicking{}} {
		for _, test := range []struct {
			asked wireproto.Message
			want  string
		}{
			{&wireproto.ApprovalRequest{}, `"result":{"request_id":"r1","response":"reject"}`},
			{&wireproto.QuestionRequest{}, `"result":{"request_id":"r1","answers":{}}`},
			{&wireproto.ToolCallRequest{}, `"is_error":true`},
			{&wireproto.HookRequest{}, `"action":"block"`},
		} {
			s := &Session{opts: &Options{Logger: slog.New(slog.DiscardHandler)}, requests: make(map[*request]struct{}), ctx: context.Background()}
			s.conn = newConn(nil, 1, s.opts.Logger, s)
			r := s.open("r1", test.asked, false)
			if err := r.answer(result); !errors.Is(err, errCannotSend) {
				t.Errorf("%s: answer: %v", test.asked.MessageType(), err)
			}
			if err := r.answer(r.decline("")); err != ErrAnswered {
				t.Errorf("%s: second answer: %v", test.asked.MessageType(), err)
			}
			if len(s.conn.out) != 1 || !strings.Contains(string(s.conn.out[0]), test.want) {
				t.Errorf("%s: sent %q", test.asked.MessageType(), s.conn.out)
			}
		}
	}
}
