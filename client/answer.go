package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	// maxAnswerTurns is how many turns the agent gets to call the tool of an Answer.
	maxAnswerTurns = 3
	// maxAnswerCalls is how many calls of an Ask may break the schema.
	maxAnswerCalls = 5
	// maxViolation limits the text of one violation, in bytes: it may quote what the agent has said.
	maxViolation = 300
)

// Answer lets an agent answer with a T instead of text. The agent calls a tool, and the arguments are checked against
// the JSON Schema of T. One Answer can serve any number of sessions and goroutines.
type Answer[T any] struct {
	tool       Tool
	wrapped    bool // T is not an object: it is the member "answer" of the arguments
	schema     *jsonschema.Resolved
	properties map[string]*jsonschema.Resolved
	required   []string

	mu    sync.Mutex
	asked map[*Turn]*said[T] // for each turn that must give an answer
}

// said is the answer that a turn has given so far. A later answer replaces an earlier one.
type said[T any] struct {
	value T
	call  uint64 // the number of the request that the value is from, 0 for none
}

// NewAnswer returns an answer that the agent gives by calling a tool with this name. T is a type that [NewTool] takes
// as In, or any other type with a JSON Schema, such as a slice or a bool. The description tells the model when to call
// the tool. If it is "", a default text tells the model to give its answer with the tool.
func NewAnswer[T any](name, description string) (*Answer[T], error) {
	if description == "" {
		description = "Gives your answer to the request. Call it with the whole answer; what you write as text is not read."
	}
	schema, err := jsonschema.For[T](nil)
	wrapped := err == nil && schema.Type != "object"
	if wrapped {
		schema, err = jsonschema.For[wrapper[T]](nil)
	}
	if err != nil {
		return nil, fmt.Errorf("client: answer %.80s: %w", name, err)
	}
	tool, resolved, err := toolOf(name, description, schema)
	if err != nil {
		return nil, err
	}
	a := &Answer[T]{
		tool: tool, wrapped: wrapped, schema: resolved, required: schema.Required,
		properties: make(map[string]*jsonschema.Resolved), asked: make(map[*Turn]*said[T]),
	}
	for name, s := range schema.Properties {
		if a.properties[name], err = s.CloneSchemas().Resolve(nil); err != nil {
			return nil, fmt.Errorf("client: answer %s: %w", tool.name, err)
		}
	}
	a.tool.run, a.tool.owner = a.take, a
	return a, nil
}

// wrapper is the arguments of the tool for an answer that is not an object.
type wrapper[T any] struct {
	Answer T `json:"answer"`
}

// Tool returns the tool through which the agent answers, for Options.Tools. kimi calls it without asking for approval.
// Outside of Ask, and for a subagent, a call gives an error that the model reads.
func (a *Answer[T]) Tool() Tool { return a.tool }

// Ask runs a turn of s after the turns that run or wait; see [Session.Queue]. It returns the answer that the main
// agent gives by calling the tool. If there are several valid calls, the last one counts. Text of the agent does not
// count. If a call does not fit T, the model reads an error and can call again. If the agent ends a turn without a
// valid call, Ask asks again in the same session, in up to three turns in all. After three turns, or after five calls
// that do not fit, the error is an [*AnswerError]. If a turn fails or is cancelled, Ask returns the error of that turn,
// even if the agent has already given an answer. ctx limits all turns together.
//
// Ask adds a line to the text that tells the model to answer by the tool. Options.Approve gets the requests for
// approval; without it, they are rejected.
func (a *Answer[T]) Ask(ctx context.Context, s *Session, text string, parts ...wireproto.ContentPart) (T, error) {
	var none T
	if ctx == nil {
		return none, errNilContext
	}
	if !slices.ContainsFunc(s.opts.Tools, func(t Tool) bool { return t.owner == any(a) }) {
		return none, fmt.Errorf("client: answer: the session has no tool %q of this Answer; add its Tool to Options.Tools", a.tool.name)
	}
	if _, err := userInput(text, parts); err != nil {
		return none, err
	}
	prompt := strings.TrimLeft(fmt.Sprintf("%s\n\nGive your answer by calling the tool %q.", text, a.tool.name), "\n")
	failed := &AnswerError{}
	misfits := 0
	for range maxAnswerTurns {
		value, ok, err := a.turn(ctx, s, prompt, parts, failed, &misfits)
		switch {
		case misfits >= maxAnswerCalls:
			return none, failed
		case err != nil:
			return none, err
		case ok:
			return value, nil
		}
		prompt, parts = fmt.Sprintf("You have not called the tool %q with an answer that fits. Call it now.", a.tool.name), nil
	}
	return none, failed
}

var errEnoughCalls = errors.New("client: answer: too many calls do not fit")

// turn runs one turn. In failed and misfits it stores what the agent gave instead of a valid answer.
func (a *Answer[T]) turn(ctx context.Context, s *Session, text string, parts []wireproto.ContentPart, failed *AnswerError, misfits *int) (value T, ok bool, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t, err := s.newPrompt(ctx, text, parts)
	if err != nil {
		return value, false, err
	}
	said := new(said[T])
	a.mu.Lock()
	a.asked[t] = said
	a.mu.Unlock()
	if err = s.enqueue(t); err == nil {
		// kimi itself refuses most arguments that do not fit. The tool never sees them, but the stream of the turn
		// does.
		for args := range a.misfits(t) {
			failed.Raw, failed.Violations = args, a.violations(args)
			if *misfits++; *misfits >= maxAnswerCalls {
				stop(errEnoughCalls)
				break
			}
		}
		var r *TurnResult
		r, err = t.Result()
		failed.Text = r.Text
	}
	a.mu.Lock()
	delete(a.asked, t) // calls after this do not count
	a.mu.Unlock()
	if err != nil || said.call <= t.foreign {
		return value, false, err
	}
	return said.value, true, nil
}

// misfits reads a turn. It yields the arguments of each call of the tool by the main agent that does not fit.
func (a *Answer[T]) misfits(t *Turn) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		calls := make(map[string]string)
		last := ""
		for m := range Merge(t.Messages()) {
			switch m := m.(type) {
			case *wireproto.ToolCall:
				last = ""
				if m.Function.Name == a.tool.name {
					last = m.ID
					calls[m.ID] = *appended(m.Function.Arguments, "")
				}
			case *wireproto.ToolCallPart:
				if last != "" && m.ArgumentsPart != nil {
					calls[last] += *m.ArgumentsPart
				}
			case *wireproto.ToolResult:
				args, ours := calls[m.ToolCallID]
				delete(calls, m.ToolCallID)
				if !ours || !m.ReturnValue.IsError {
					continue
				}
				raw := json.RawMessage(args)
				if !json.Valid(raw) {
					raw, _ = json.Marshal(args)
				}
				if len(a.violations(raw)) > 0 && !yield(raw) {
					return
				}
			}
		}
	}
}

// take handles a call of the tool.
func (a *Answer[T]) take(r *request, args json.RawMessage) (wireproto.ToolReturnValue, error) {
	var none wireproto.ToolReturnValue
	a.mu.Lock()
	asked := a.asked[r.turn] != nil
	a.mu.Unlock()
	switch {
	case !asked:
		return none, errors.New("no one asks for this answer now; reply in text")
	case !r.main:
		return none, errors.New("only the main agent can give this answer; reply in text to the agent that called you")
	}
	value, violations := a.decode(args)
	if len(violations) > 0 {
		return none, fmt.Errorf("the answer does not fit: %s; call the tool again with one that does", strings.Join(violations, "; "))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	said := a.asked[r.turn]
	if said == nil {
		return none, errors.New("the turn has ended")
	}
	if r.n > said.call { // calls run in parallel; the last request counts
		said.value, said.call = value, r.n
	}
	var v wireproto.ToolReturnValue
	v.Output.Text = "The answer is taken."
	return v, nil
}

func (a *Answer[T]) violations(args json.RawMessage) []string {
	_, violations := a.decode(args)
	return violations
}

// decode converts the arguments to a T. If they do not fit, it returns what is wrong with them.
func (a *Answer[T]) decode(args json.RawMessage) (value T, violations []string) {
	var none T
	violate := func(format string, args ...any) {
		text := strings.Map(func(r rune) rune { // the text may quote anything that the agent has said
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, fmt.Sprintf(format, args...))
		text = strings.Join(strings.Fields(text), " ")
		if len(text) > maxViolation {
			text = strings.ToValidUTF8(text[:maxViolation], "") + "…"
		}
		violations = append(violations, text)
	}
	defer func() {
		if v := recover(); v != nil { // a panic in an UnmarshalJSON method of T
			value = none
			violate("the arguments cannot be read: %v", v)
		}
	}()
	var instance any
	if err := json.Unmarshal(args, &instance); err != nil {
		violate("the arguments are not JSON: %v", err)
		return none, violations
	}
	if err := a.schema.Validate(instance); err != nil {
		members, _ := instance.(map[string]any)
		for _, name := range a.required {
			if _, ok := members[name]; !ok && members != nil {
				violate("%s is missing", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if s := a.properties[name]; s == nil {
				violate("there is no %q", name)
			} else if err := s.Validate(members[name]); err != nil {
				violate("%s: %s", name, strings.TrimPrefix(err.Error(), "validating root: "))
			}
		}
		if len(violations) == 0 {
			violate("%s", strings.TrimPrefix(err.Error(), "validating root: "))
		}
		return none, violations
	}
	var err error
	if a.wrapped {
		var in wrapper[T]
		err = json.Unmarshal(args, &in)
		value = in.Answer
	} else {
		err = json.Unmarshal(args, &value)
	}
	if err != nil {
		violate("%v", err)
		return none, violations
	}
	return value, nil
}

// AskAs runs one turn in a new session, as [Ask] does, and returns the answer as a T. The rules of [Answer.Ask]
// apply: there may be up to three turns. Without Options.Yolo, AFK or Approve it returns [ErrNoApprover].
func AskAs[T any](ctx context.Context, text string, opts *Options, parts ...wireproto.ContentPart) (T, error) {
	var none T
	if opts == nil || !opts.Yolo && !opts.AFK && opts.Approve == nil {
		return none, ErrNoApprover
	}
	if _, err := userInput(text, parts); err != nil { // check before a process starts
		return none, err
	}
	name := "answer"
	for slices.ContainsFunc(opts.Tools, func(t Tool) bool { return t.name == name }) {
		name += "_"
	}
	a, err := NewAnswer[T](name, "")
	if err != nil {
		return none, err
	}
	o := *opts
	o.Tools = append(slices.Clone(opts.Tools), a.tool)
	s, err := NewSession(ctx, &o)
	if err != nil {
		return none, err
	}
	defer s.Close()
	defer s.killDeaf()
	return a.Ask(ctx, s, text, parts...)
}

// killDeaf kills the agent at once if it does not stop a turn that was given up.
func (s *Session) killDeaf() {
	s.mu.Lock()
	t := s.turn
	s.mu.Unlock()
	if t != nil {
		t.killDeaf()
	}
}

// AnswerError says that the agent has not given the requested answer, and what it gave instead.
type AnswerError struct {
	Text       string          `json:"text"`       // of the last assistant message of the last turn
	Raw        json.RawMessage `json:"raw"`        // the arguments of the last call that did not fit, as a JSON string if they are not JSON; nil if there was no such call
	Violations []string        `json:"violations"` // what is wrong with Raw
}

// Error returns [AnswerError.What] and [AnswerError.Hint] in one text.
func (e *AnswerError) Error() string { return "client: answer: " + e.What() + "; " + e.Hint() }

// What says what is wrong with the answer: the violations, or that there was no call.
func (e *AnswerError) What() string {
	if len(e.Violations) == 0 {
		return "the agent has not called the tool for it"
	}
	return fmt.Sprintf("what the agent gave does not fit: %.200s", strings.Join(e.Violations, "; "))
}

// Hint says what the program can do about the error.
func (e *AnswerError) Hint() string {
	return "look at Text and Raw, and ask in other words or for a simpler type"
}
