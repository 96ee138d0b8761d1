// Package tui is the chat at a terminal: an editor below what the agent says and does. Finished text scrolls into the
// terminal's own history. Below it are the running turn, the requests that wait, the queue, and the editor.
//
// The model has all state, and only the goroutine of the program uses it. Events from elsewhere reach it through its
// feed, in order. model.go handles messages, and view.go shows the state. Each part of the state has a file:
// transcript.go, decide.go and question.go, editor.go, status.go.
package tui

import (
	"context"
	"errors"
	"os"
	"sync"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/grant"
	"github.com/kimi-go/kimi-go/wireproto"
)

// ErrInterrupted says that the person left by Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Config says what to run, and how.
type Config struct {
	In, Out *os.File
	Colour  bool // false shows no styles
	WorkDir string
	History string // the file with the texts that were sent before; "" keeps none
	Mode    string // what runs without a question: "yolo", "afk", or ""
	Answer  string // the answer to every approval: y, a, n, or "" to ask
	Effort  string // the effort that the session is started with
	Replay  bool   // the session's history is shown first
	Grants  *grant.Book

	Start func(context.Context) (*client.Session, error)
	// Missing returns the id that was asked for if the session is a new one in its place, and "" otherwise.
	Missing func(*client.Session) string
	// Reopen continues a closed session. If model is "", it uses the model of the command line. mode is like Mode.
	Reopen  func(ctx context.Context, id, model, effort, mode string) (*client.Session, error)
	Fork    func(ctx context.Context, id string, turns int) (newID string, err error) // as [client.ForkSession]
	Prompts func(id string) ([]string, error)                                         // the prompts of a session's turns, the oldest first
	Cost    func() string                                                             // the cost of the session so far, "" if it is not known; may be nil
	Explain func(error) (line, hint string)
	Images  func(paths []string) ([]wireproto.ContentPart, error)
}

// Chat is a chat at a terminal.
type Chat struct {
	cfg  Config
	feed *feed
}

// New returns a chat that has not begun.
func New(cfg Config) *Chat { return &Chat{cfg: cfg, feed: newFeed(cfg.Grants)} }

// Outside takes what the agent sends while no turn runs. It is for [client.Options.OnMessage].
func (c *Chat) Outside(m wireproto.Message) { receive(c.feed, m) }

// Result says how a chat ended.
type Result struct {
	Session *client.Session // nil if none has started; the caller closes it
	Turns   int             // how many turns were begun
	Model   string          // the model that was chosen with /model, "" for none
	Err     error           // [ErrInterrupted], why there is no session any more, or nil
}

// Run shows the chat until the person leaves, the session is over, or ctx ends. It does not close the session.
func (c *Chat) Run(ctx context.Context) Result {
	m := newModel(c.cfg, c.feed)
	p := tea.NewProgram(m, tea.WithInput(c.cfg.In), tea.WithOutput(c.cfg.Out), tea.WithoutSignalHandler())
	var others sync.WaitGroup
	over, stop := context.WithCancel(context.Background())
	others.Go(func() { c.feed.pump(over, p.Send) })
	others.Go(func() {
		select {
		case <-ctx.Done():
			p.Send(endMsg{context.Cause(ctx)})
		case <-over.Done():
		}
	})
	_, err := p.Run()
	stop()
	m.leave()
	c.feed.close()
	others.Wait()
	m.work.Wait()
	if m.shots != "" {
		os.RemoveAll(m.shots)
	}
	r := Result{Session: m.started, Turns: m.turns, Model: m.model, Err: m.err}
	if r.Err == nil && err != nil {
		r.Err = err
	}
	return r
}
