package client_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kimi-go/kimi-go/client"
)

// unmeasured ignores the fields of a result that TestBackendsObserver and similar tests check.
var unmeasured = cmpopts.IgnoreFields(client.TurnResult{}, "UsageByModel", "ToolCalls", "FirstToken", "Duration", "Waiting", "ModelTime", "ToolTime")

// witness is an Observer that keeps its observations and records errors in them.
type witness struct {
	mu    sync.Mutex
	busy  bool
	seen  []client.Observation
	wrong []string
}

func (w *witness) Observe(o client.Observation) {
	w.mu.Lock()
	if w.busy {
		w.wrong = append(w.wrong, fmt.Sprintf("%T while another is observed", o))
	}
	w.busy = true
	w.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen, w.busy = append(w.seen, o), false
}

func (w *witness) all(t testing.TB) []client.Observation {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wrong := range w.wrong {
		t.Error(wrong)
	}
	return slices.Clone(w.seen)
}

// tale lists the observations, one on each line, without the times. Subagents are named by their type.
func tale(all []client.Observation) (lines []string) {
	who := func(s client.Scope) string {
		if s.Agent == "" {
			return fmt.Sprintf("%d ", s.Turn)
		}
		return fmt.Sprintf("%d %s of %s ", s.Turn, s.AgentType, callID(s.ParentCall))
	}
	for _, o := range all {
		switch o := o.(type) {
		case *client.TurnStarted:
			lines = append(lines, who(o.Scope)+"turn starts: "+o.Model+" "+o.Prompt.String())
		case *client.TurnEnded:
			lines = append(lines, fmt.Sprintf("%sturn ends: %s %d steps, %d tokens", who(o.Scope), o.Outcome, o.Result.Steps, o.Result.Usage.Total()))
		case *client.StepStarted:
			lines = append(lines, fmt.Sprintf("%sstep %d starts: %s", who(o.Scope), o.Step, o.Model))
		case *client.StepEnded:
			lines = append(lines, fmt.Sprintf("%sstep %d ends: %s %s %d tokens", who(o.Scope), o.Step, o.Model, o.Outcome, o.Usage.Total()))
		case *client.ToolStarted:
			lines = append(lines, fmt.Sprintf("%stool starts: %s %s of step %d", who(o.Scope), o.Tool, callID(o.CallID), o.Step))
		case *client.ToolEnded:
			lines = append(lines, fmt.Sprintf("%stool ends: %s %s of step %d %s", who(o.Scope), o.Tool, callID(o.CallID), o.Step, o.Outcome))
		case *client.ApprovalEnded:
			lines = append(lines, fmt.Sprintf("%sapproval ends: %s %s %s", who(o.Scope), o.Tool, callID(o.CallID), o.Decision))
		case *client.Retried:
			lines = append(lines, fmt.Sprintf("%sretry: step %d attempt %d of %d, %d", who(o.Scope), o.Step, o.Attempt, o.MaxAttempts, o.StatusCode))
		case *client.ProcessStarted:
			lines = append(lines, "process starts: "+o.Model)
		case *client.ProcessEnded:
			lines = append(lines, "process ends")
		default:
			lines = append(lines, fmt.Sprintf("%T", o))
		}
	}
	return lines
}

// observed returns the observations of a type.
func observed[O client.Observation](all []client.Observation) (found []O) {
	for _, o := range all {
		if o, ok := o.(O); ok {
			found = append(found, o)
		}
	}
	return found
}

// callID returns the model's id of a call. Kimi Code adds a number and a colon before it.
func callID(id string) string { return id[strings.LastIndex(id, ":")+1:] }
