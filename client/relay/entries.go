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
	ID   int64           // from 1, without gaps
	JSON json.RawMessage // {"type":…,"payload":…}, on one line; shared by all readers, not to be changed
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

// TurnQueued says that the session has accepted a prompt. Its turn begins at once, or after the earlier turns.
type TurnQueued struct {
	Turn      int64             `json:"turn"` // counts the turns of the relay, from 1
	UserInput wireproto.Content `json:"user_input"`
}

// TurnStarted comes before the first message of a turn. If a turn is cancelled before it begins, it has no
// TurnStarted.
type TurnStarted struct {
	Turn int64 `json:"turn"`
}

// TurnEnded comes after the last message of a turn.
type TurnEnded struct {
	Turn   int64              `json:"turn"`
	Result *client.TurnResult `json:"result"` // how far it came; never nil
	Error  *Error             `json:"error"`  // nil if it finished
}

// Pending is a request that waits for [Relay.Answer]. It follows the request's own message, usually at once. If the
// relay must wait for the call, it follows within 5 s.
type Pending struct {
	ID      string          `json:"id"`
	Request json.RawMessage `json:"request"` // the envelope of an ApprovalRequest or QuestionRequest
	Call    *Call           `json:"call"`    // what an approval is about, see client.ApprovalRequest.Call; nil if no one knows
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
	Gone               Outcome = "gone" // settled elsewhere, or gone with its turn or the session: not answered by the relay
)

// SessionEnded is the last entry of the log. There is none if the relay was closed before the session ended.
type SessionEnded struct {
	Error *Error `json:"error"`
}

// Error is the text of an error.
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

// encode makes the JSON of an entry. What cannot be encoded is told of.
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

// GapError tells a reader that entries which it has not read were dropped. The loop goes on with the entries that are
// kept.
type GapError struct {
	After  int64 `json:"after"`  // the last entry that the reader has
	Oldest int64 `json:"oldest"` // the entry that follows now
	Err    error `json:"-"`      // why the file of Options.SpillDir does not have them; nil without one
}

// Error names the entries and says what would keep them.
func (e *GapError) Error() string {
	switch {
	case e.After >= e.Oldest:
		return fmt.Sprintf("relay: read: the log has no entry %d yet: this is another log than the one that you read; its entries follow, from %d on", e.After, e.Oldest)
	case e.Err != nil:
		return fmt.Sprintf("relay: read: the entries %d to %d are dropped: %v; choose another Options.SpillDir", e.After+1, e.Oldest-1, e.Err)
	}
	return fmt.Sprintf("relay: read: the entries %d to %d are dropped; read faster, or set Options.Keep, KeepBytes or SpillDir", e.After+1, e.Oldest-1)
}

// Unwrap returns Err.
func (e *GapError) Unwrap() error { return e.Err }

// Errors to test for with [errors.Is]. Others are those of package client, such as [client.ErrAnswered].
var (
	ErrClosed    = errors.New("relay: closed; make another for the session")
	ErrNoRequest = errors.New("relay: no such request; see the Pending entries, or State")
)
