package tui

import (
	"context"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// These items go into the feed, in addition to messages of the agent.
type (
	startedItem struct {
		session *client.Session
		missing string // as [Config.Missing]
	}
	failedItem   struct{ err error } // no session has started
	replayedItem struct{ err error }
	overItem     struct{ session *client.Session } // the session is over
	requestItem  struct{ request *request }
	resolvedItem struct{ id string }
	ruledItem    struct { // a rule answered a request
		call, said string
		err        error
	}
	turnItem struct {
		result *client.TurnResult
		err    error
	}
	steeredItem struct {
		what *queued
		err  error
	}
	toldItem    struct{ err error } // the error of a command, which is shown; nothing is shown for nil
	filesItem   struct{ files []string }
	promptsItem struct{ prompts []string } // of the session's turns
)

// receive puts a message of the agent into the feed. It calls Hold on requests, because a person needs time to answer.
func receive(f *feed, m wireproto.Message) {
	switch m := m.(type) {
	case *client.ApprovalRequest:
		m.Hold()
		r := &request{id: "a" + m.ID, order: f.next(), approval: m}
		ask := func() {
			r.name, r.arguments = m.Call()
			if said, err := f.grants.Answer(context.Background(), m, r.name, r.arguments); said != "" {
				f.add(ruledItem{m.ToolCallID, said, err})
				return
			}
			f.add(requestItem{r})
		}
		later := m.AgentID != nil // the call of a subagent may come after its request
		if !later {
			ask()
		}
		go func() {
			if later {
				ask()
			}
			<-m.Done()
			f.add(resolvedItem{r.id})
		}()
	case *client.QuestionRequest:
		m.Hold()
		f.add(requestItem{&request{id: "q" + m.ID, order: f.next(), question: m, chosen: make(map[int]bool), answers: make(map[string]string)}})
		go func() {
			<-m.Done()
			f.add(resolvedItem{"q" + m.ID})
		}()
	default:
		f.add(m)
	}
}

// start starts the session, and shows its history if that is wanted.
func start(ctx context.Context, cfg *Config, f *feed) *client.Session {
	s, err := cfg.Start(ctx)
	if err != nil {
		f.add(failedItem{err})
		return nil
	}
	missing := ""
	if cfg.Missing != nil {
		missing = cfg.Missing(s)
	}
	f.add(startedItem{s, missing})
	if cfg.Replay {
		var failed error
		for m, err := range s.Replay(ctx) {
			if err != nil {
				failed = err
				break
			}
			f.add(m)
		}
		f.add(replayedItem{failed})
	}
	return s
}

// runTurn runs a turn to its end.
func runTurn(ctx context.Context, s *client.Session, f *feed, text string, parts []wireproto.ContentPart) {
	turn, err := s.Prompt(ctx, text, parts...)
	if err != nil {
		f.add(turnItem{nil, err})
		return
	}
	for m, err := range turn.Messages() {
		if err != nil {
			break // Result returns it too
		}
		receive(f, m)
	}
	result, err := turn.Result()
	f.add(turnItem{result, err})
}
