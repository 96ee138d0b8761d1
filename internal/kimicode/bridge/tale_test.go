package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/wireproto"
)

// transport runs the bridge with a server that the test has started.
type transport struct {
	spawn func() bridge.Child
	watch func(translator.Settings, translator.Input, time.Time) // may be nil
}

func (t transport) Start(ctx context.Context, cmd *client.Command) (client.Conn, error) {
	spawn := func(context.Context, *bridge.Command, string, []string) (bridge.Child, error) { return t.spawn(), nil }
	if t.watch != nil {
		return bridge.StartWatched(ctx, (*bridge.Command)(cmd), spawn, t.watch)
	}
	return bridge.Start(ctx, (*bridge.Command)(cmd), spawn, bridge.ServeTools)
}

// tale is what a client gets of a turn. The parts of a text are joined.
type tale struct {
	Agents    map[string]*part // the key is "" for the session's own agent
	Begins    int              // how many turns began
	Ends      int              // how many turns ended
	Approvals []string         // commands that were asked about, with the agent
	Notes     []string         // types of notifications
	Status    string
	Types     map[string]string // types of subagents

	context int      // how many tokens are in the context at the end
	ids     []string // ids of subagents
	told    int      // how many messages came
}

var sameTale = cmpopts.IgnoreUnexported(tale{}, step{})

// part is what one agent did.
type part struct{ Steps []*step }

type step struct {
	Think, Text string
	Calls       []string // id, name and arguments
	Results     []string
	Interrupted bool
	Retries     int
	Used        int // tokens

	calls []*wireproto.ToolCall
	args  []*strings.Builder
}

func (t *tale) hear(agent string, m wireproto.Message) {
	a := t.Agents[agent]
	if a == nil {
		a = &part{Steps: []*step{{}}}
		t.Agents[agent] = a
	}
	s := a.Steps[len(a.Steps)-1]
	switch m := m.(type) {
	case *wireproto.SubagentEvent:
		name := t.name(*m.AgentID)
		if t.Types == nil {
			t.Types = make(map[string]string)
		}
		if m.SubagentType != nil {
			t.Types[name] = *m.SubagentType
		}
		t.hear(name, m.Event)
	case *wireproto.TurnBegin:
		t.Begins++
	case *wireproto.TurnEnd:
		t.Ends++
	case *wireproto.StepBegin:
		a.Steps = append(a.Steps, &step{})
	case *wireproto.StepInterrupted:
		s.Interrupted = true
	case *wireproto.StepRetry:
		s.Think, s.Text = "", ""
		s.Retries++
	case *wireproto.TextPart:
		s.Text += m.Text
	case *wireproto.ThinkPart:
		s.Think += m.Think
	case *wireproto.StatusUpdate:
		if m.TokenUsage != nil {
			s.Used += m.TokenUsage.InputOther + m.TokenUsage.Output
		}
		if m.ContextTokens != nil {
			t.context = *m.ContextTokens
		}
	case *wireproto.ToolCall:
		if i := slices.IndexFunc(s.calls, func(c *wireproto.ToolCall) bool { return c.ID == m.ID }); i >= 0 { // told again
			s.calls, s.args = slices.Delete(s.calls, i, i+1), slices.Delete(s.args, i, i+1)
		}
		s.calls, s.args = append(s.calls, m), append(s.args, new(strings.Builder))
		if m.Function.Arguments != nil {
			s.args[len(s.args)-1].WriteString(*m.Function.Arguments)
		}
	case *wireproto.ToolCallPart:
		if n := len(s.args); n > 0 && m.ArgumentsPart != nil {
			s.args[n-1].WriteString(*m.ArgumentsPart)
		} else {
			s.Calls = append(s.Calls, "arguments of no call")
		}
	case *wireproto.ToolResult:
		s.Results = append(s.Results, m.ToolCallID+" "+m.ReturnValue.Output.Text)
	case *wireproto.Notification:
		t.Notes = append(t.Notes, m.Type)
	}
}

// name returns a name of a subagent that has its number in the turn. The server's id has its number in all sessions.
func (t *tale) name(id string) string {
	for i, known := range t.ids {
		if known == id {
			return fmt.Sprint("sub ", i)
		}
	}
	t.ids = append(t.ids, id)
	return fmt.Sprint("sub ", len(t.ids)-1)
}

// finish fills Calls, and replaces ids of subagents in Results.
func (t *tale) finish() {
	for _, a := range t.Agents {
		for _, s := range a.Steps {
			for i, c := range s.calls {
				args := s.args[i].String()
				var v any
				if json.Unmarshal([]byte(args), &v) == nil {
					raw, _ := json.Marshal(v)
					args = string(raw)
				}
				s.Calls = append(s.Calls, c.ID+" "+c.Function.Name+" "+args)
			}
			s.calls, s.args = nil, nil
			for i, r := range s.Results {
				for _, id := range t.ids {
					r = strings.ReplaceAll(r, id, t.name(id))
				}
				s.Results[i] = r
			}
		}
	}
}

// hearTurn runs a turn and notes all its messages. approve decides about approvals.
func hearTurn(ctx context.Context, s *client.Session, text string, approve func(*client.ApprovalRequest) bool) *tale {
	t := &tale{Agents: make(map[string]*part)}
	turn, err := s.Prompt(ctx, text)
	if err != nil {
		t.Status = err.Error()
		return t
	}
	for m, loopErr := range turn.Messages() {
		t.told++
		if loopErr != nil {
			err = loopErr
			break
		}
		if r, ok := m.(*client.ApprovalRequest); ok {
			agent := ""
			if r.AgentID != nil {
				agent = t.name(*r.AgentID)
			}
			command := ""
			for _, b := range r.Display {
				if b, ok := b.(*wireproto.ShellDisplayBlock); ok {
					command = b.Command
				}
			}
			t.Approvals = append(t.Approvals, agent+": "+r.ToolCallID+" "+command)
			if approve(r) {
				r.Approve()
			} else {
				r.Reject("")
			}
		}
		t.hear("", m)
	}
	t.finish()
	t.Status = "finished"
	var rpc *wireproto.RPCError
	switch {
	case errors.As(err, &rpc):
		t.Status = fmt.Sprint("error ", rpc.Code, " ", rpc.Message)
	case err != nil:
		t.Status = err.Error()
	}
	return t
}

func always(*client.ApprovalRequest) bool { return true }

// within returns a ctx that limits how long a test waits.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
