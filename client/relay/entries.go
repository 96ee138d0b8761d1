package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Entry is one entry of the log.
type Entry struct {
	ID   int64           // counts from 1, without gaps
	JSON json.RawMessage // {"type":…,"payload":…}, on one line; all readers share it, so do not change it
}

// Message decodes the entry. It returns a [wireproto.Message], or a pointer to one of the relay's own types, such as
// *[TurnEnded]. A message of a type that this version does not know is a *[wireproto.UnknownMessage].
func (e Entry) Message() (any, error) {
	m, err := wireproto.UnmarshalMessage(e.JSON)
	if err != nil {
		return nil, fmt.Errorf("relay: entry %d: %w", e.ID, err)
	}
	unknown, ok := m.(*wireproto.UnknownMessage)
	if !ok {
		return m, nil
	}
	var own any
	switch unknown.Type {
	case "relay.TurnQueued":
		own = new(TurnQueued)
	case "relay.TurnStarted":
		own = new(TurnStarted)
	case "relay.TurnEnded":
		own = new(TurnEnded)
	case "relay.Pending":
		own = new(Pending)
	case "relay.Settled":
		own = new(Settled)
	case "relay.SessionEnded":
		own = new(SessionEnded)
	default:
		return m, nil
	}
	if err := json.Unmarshal(unknown.Payload, own); err != nil {
		return nil, fmt.Errorf("relay: entry %d: %w", e.ID, err)
	}
	return own, nil
}

// TurnQueued says that the session has accepted a prompt. The turn begins at once, or after the earlier turns.
type TurnQueued struct {
	Turn      int64             `json:"turn"` // counts the turns of the relay, from 1
	UserInput wireproto.Content `json:"user_input"`
}

// TurnStarted comes before the first message of a turn. A turn that is cancelled before it begins has no TurnStarted.
type TurnStarted struct {
	Turn int64 `json:"turn"`
}

// TurnEnded comes after the last message of a turn.
type TurnEnded struct {
	Turn   int64              `json:"turn"`
	Result *client.TurnResult `json:"result"` // how far the turn came; never nil
	Error  *Error             `json:"error"`  // nil if the turn finished
}

// Pending is a request that waits for [Relay.Answer]. It comes after the message with the request, usually at once. If
// the relay must wait until the call is known, it comes within 5 s.
type Pending struct {
	ID      string          `json:"id"`
	Request json.RawMessage `json:"request"` // the envelope of an ApprovalRequest or QuestionRequest
	Call    *Call           `json:"call"`    // the call that an approval asks about; nil if it is not known (see client.ApprovalRequest.Call)
}

// Call is a tool call.
type Call struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// Settled says that a request no longer needs an answer.
type Settled struct {
	ID       string            `json:"id"`
	Outcome  Outcome           `json:"outcome"`
	Feedback string            `json:"feedback,omitempty"`
	Answers  map[string]string `json:"answers,omitempty"`
}

// Outcome says how a request was settled.
type Outcome string

// The outcomes of requests.
const (
	Approved           Outcome = "approve"
	ApprovedForSession Outcome = "approve_for_session"
	Rejected           Outcome = "reject"
	Answered           Outcome = "answer"
	Dismissed          Outcome = "dismiss"
	Gone               Outcome = "gone" // not answered by the relay: settled elsewhere, or ended with its turn or the session
)

// SessionEnded is the last entry of the log. There is none if the relay was closed before the session ended.
type SessionEnded struct {
	Error *Error `json:"error"`
}

// Error has the text of an error.
type Error struct {
	Message string `json:"message"`
}

// Error returns Message.
func (e *Error) Error() string { return e.Message }

func textOf(err error) *Error {
	if err == nil {
		return nil
	}
	return &Error{err.Error()}
}

// encode makes the JSON of an entry. If m cannot be encoded, the entry says so.
func encode(m any) json.RawMessage {
	name := ""
	switch m.(type) {
	case *TurnQueued:
		name = "TurnQueued"
	case *TurnStarted:
		name = "TurnStarted"
	case *TurnEnded:
		name = "TurnEnded"
	case *Pending:
		name = "Pending"
	case *Settled:
		name = "Settled"
	case *SessionEnded:
		name = "SessionEnded"
	}
	var raw []byte
	var err error
	if unknown, ok := m.(*wireproto.UnknownMessage); ok && strings.HasPrefix(unknown.Type, "relay.") {
		err = fmt.Errorf("the agent has sent a message of the type %.80q, which is the relay's own", unknown.Type)
	} else if name == "" {
		raw, err = json.Marshal(m)
	} else {
		raw, err = json.Marshal(envelope{"relay." + name, m})
	}
	if err != nil {
		raw, _ = json.Marshal(envelope{"relay.Unreadable", Error{fmt.Sprintf("relay: %T: %.200v", m, err)}})
	}
	return raw
}

type envelope struct {
	Type    string `json:"type"`
	Payload any    `json:"payload"`
}

// GapError says that entries which the reader needs were dropped. The loop continues with the entries that are kept.
type GapError struct {
	After  int64 `json:"after"`  // the last entry that the reader has
	Oldest int64 `json:"oldest"` // the next entry that the reader gets
	Err    error `json:"-"`      // why the file of Options.SpillDir does not have the entries; nil if there is no such error
}

// Error names the entries that are missing, and the options that would keep them.
func (e *GapError) Error() string {
	switch {
	case e.After >= e.Oldest:
		return fmt.Sprintf("relay: read: the log has no entry %d yet: you have read another log before; the entries of this one follow, from %d on", e.After, e.Oldest)
	case e.Err != nil:
		return fmt.Sprintf("relay: read: the entries %d to %d are dropped: %v; choose another Options.SpillDir", e.After+1, e.Oldest-1, e.Err)
	}
	return fmt.Sprintf("relay: read: the entries %d to %d are dropped; read faster, or set Options.Keep, KeepBytes or SpillDir", e.After+1, e.Oldest-1)
}

// Unwrap returns Err.
func (e *GapError) Unwrap() error { return e.Err }

// Errors to test for with [errors.Is]. Other errors are those of package client, such as [client.ErrAnswered].
var (
	ErrClosed    = errors.New("relay: closed; make another relay for the session")
	ErrNoRequest = errors.New("relay: no such request; see the Pending entries, or State")
)
