package translator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// turn is the turn of the client's prompt, from the prompt on.
type turn struct {
	id          string // the id of the client's call
	prompt      string // the id of the prompt, which this package chooses
	input       wireproto.Content
	content     []api.Part
	number      int  // the server's number of the turn; -1 until it begins
	told        bool // TurnBegin was sent
	sent        bool // the prompt is on its way
	submitted   bool // the server has taken it
	cancelled   bool
	aborting    bool                         // an abort is on its way
	finish      string                       // why the last step ended
	cut         bool                         // the stream of the last step broke off
	compacts    bool                         // the prompt is /compact
	skill       bool                         // the prompt runs a skill; its turn does not have the prompt id of this package
	steers      map[string]wireproto.Content // input to add to the turn, by prompt id
	steeredNext bool                         // the next prompt.steered says which steers were added
}

// ownTurn is a turn of the main agent that no prompt of this client has begun.
type ownTurn struct {
	number   int
	unwanted bool // it comes from a steer that was too late
}

// promptID makes the id of a prompt. The id contains the time, so it differs from other ids in the same session: those
// of other programs, and earlier ones.
func (t *Translator) promptID() string { return t.newID(fmt.Sprintf("kimi-go-%x", t.now.UnixNano())) }

// prompt starts a turn.
func (t *Translator) prompt(f *wireproto.Frame) {
	if t.turn != nil || t.replay != nil {
		t.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	}
	var params wireproto.PromptParams
	if !t.params(f, &params) {
		return
	}
	if t.set.NoModel {
		t.refuse(f.ID, wireproto.CodeLLMNotSet, "the configuration names no model, or none with a key")
		return
	}
	u := &turn{id: f.ID, prompt: t.promptID(), input: params.UserInput, number: -1, steers: make(map[string]wireproto.Content)}
	if t.set.Slash {
		if name, args := slashCommand(params.UserInput); name != "" {
			t.turn = u
			t.slash(u, name, args)
			return
		}
	}
	t.turn = u
	t.convert(params.UserInput, func(parts []api.Part, err error) {
		if t.turn != u {
			return
		}
		if err != nil {
			t.turn = nil
			t.refuseInput(f.ID, "prompt", err)
			return
		}
		u.content = parts
		t.submit(u)
	})
}

func (t *Translator) refuseInput(id, method string, err error) {
	var no *UnsupportedError
	if errors.As(err, &no) {
		t.unsupported(id, no.Option+" in a prompt")
		return
	}
	t.refuse(id, wireproto.CodeInvalidParams, "%s: %v", method, err)
}

// submit sends the prompt. From then on, the session counts as used.
func (t *Translator) submit(u *turn) {
	if u.cancelled { // before anyone has heard of it
		t.finishTurn(u, wireproto.StatusCancelled, nil)
		return
	}
	u.sent, t.session.used = true, true
	t.watchTurn()
	body := api.Prompt{Content: u.content, PromptID: u.prompt}
	if t.unbound() {
		body.Profile, body.Model, body.Thinking = t.set.Profile, t.session.model, t.thinking()
	}
	u.content = nil
	t.call("POST", t.of("/prompts"), body, true, func(data json.RawMessage, err error) {
		if t.turn != u { // the turn has already ended by its events
			return
		}
		var e *api.Error
		if errors.As(err, &e) && e.Code == api.CodePromptIDInUse { // the prompt was sent twice, and the server has taken the first one
			err, data = nil, json.RawMessage(`{"status":"running"}`)
		}
		var s api.Submitted
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		if err != nil {
			if t.unbound() {
				err = profileError(err)
			}
			t.refused(err, t.session.model, func(err error) {
				if t.turn == u {
					t.finishTurn(u, "", promptError(err))
				}
			})
			return
		}
		u.submitted, t.session.bound = true, true
		switch s.Status {
		case api.PromptRunning, api.PromptQueued:
			if u.cancelled {
				t.abort(u)
			}
		case api.PromptBlocked: // no turn begins
			t.tellBegin(u)
			t.finishTurn(u, wireproto.StatusFinished, nil)
		default:
			t.finishTurn(u, "", outcomeUnknown(fmt.Sprintf("the server says %.40q about the prompt", s.Status)))
		}
	})
}

// unbound reports whether the next prompt must send the agent's profile. Without a model, no prompt runs, so the session
// cannot be bound.
func (t *Translator) unbound() bool {
	return t.set.Profile != "" && !t.session.bound && t.session.model != ""
}

// profileError explains the server's errors about an agent that cannot be used. It returns any other error unchanged.
func profileError(err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeBadField {
		switch {
		case strings.Contains(e.Msg, "already bound"):
			return errors.New("the session keeps the agent that it began with, which has another name, other tools or other subagents: " +
				"continue it without an agent file, or begin a new session")
		case strings.Contains(e.Msg, "Unknown agent profile"):
			return errors.New("the agent file was not used by Kimi Code; its log says why")
		}
	}
	return err
}

// promptError says why a prompt was not taken.
func promptError(err error) *wireproto.RPCError {
	var e *api.Error
	var argument *ArgumentError
	switch {
	case errors.As(err, &argument):
		return argument.RPC()
	case errors.As(err, &e) && e.Code == api.CodeBusy:
		return &wireproto.RPCError{Code: wireproto.CodeInvalidState, Message: "Kimi Code is busy: " + e.Msg}
	case errors.As(err, &e) && e.Code == api.CodeConnectionError:
		return outcomeUnknown("the server did not answer whether it has taken the prompt")
	}
	return &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: err.Error()}
}

func outcomeUnknown(why string) *wireproto.RPCError {
	return &wireproto.RPCError{Code: wireproto.CodeOutcomeUnknown, Message: "it is not known whether the turn succeeded: " + why}
}

// tellBegin tells the client once that the turn has begun.
func (t *Translator) tellBegin(u *turn) {
	if !u.told {
		u.told = true
		t.emit(&wireproto.TurnBegin{UserInput: u.input})
	}
}

// turnStarted notes whose turn has begun: that of the client's prompt, that of a late steer, or another one.
func (t *Translator) turnStarted(p *api.TurnStarted) {
	a := t.agentOf(p.AgentID)
	a.number, a.retrying = 0, false
	if !a.main() {
		return
	}
	late := t.session.late[p.PromptID]
	switch u := t.turn; {
	case late != nil: // the server runs what a cancelled turn has not taken up
		t.own = &ownTurn{number: p.TurnID, unwanted: true}
		t.abortLate(p.PromptID)
		t.emit(&wireproto.SteerInput{UserInput: *late}) // the text is in the conversation, so the next turn has it
	case u != nil && u.number < 0 && (p.PromptID == u.prompt || u.skill && p.PromptID == "" && p.Origin.Kind != "task" && u.sent):
		u.number = p.TurnID
		t.tellBegin(u)
		if len(t.session.mcp) > 0 && t.mcp.polls == 0 {
			t.pollMCP()
		}
		if u.cancelled {
			t.abort(u)
		}
	default:
		t.own = &ownTurn{number: p.TurnID}
		title := "Kimi Code begins a turn by itself, for example after a background task"
		if p.PromptID != "" {
			title = "Another program has begun a turn in this session"
		}
		t.notify("own_turn", "info", title, "")
		t.emit(&wireproto.TurnBegin{UserInput: wireproto.Content{Text: p.Prompt}})
	}
}

// turnEnded ends the turn that the event names.
func (t *Translator) turnEnded(p *api.TurnEnded) {
	a := t.agentOf(p.AgentID)
	if !a.main() {
		a.step = nil
		clear(a.calls)
		t.sideEnded(a, p)
		return
	}
	if o := t.own; o != nil && o.number == p.TurnID {
		t.own = nil
		if !o.unwanted {
			t.closeTurn(a)
			t.emit(&wireproto.TurnEnd{})
		}
		return
	}
	u := t.turn
	if u == nil || u.number != p.TurnID {
		return
	}
	u.cut = u.cut || a.step != nil // the last step has not ended
	t.closeTurn(a)
	status, err := t.outcome(u, p)
	t.finishTurn(u, status, err)
}

// closeTurn forgets what belonged to the main agent's turn.
func (t *Translator) closeTurn(a *agent) {
	a.step, a.retrying = nil, false
	clear(a.calls)
}

// promptEnded ends the client's turn if its prompt ended without one.
func (t *Translator) promptEnded(p *api.PromptEnded, aborted bool) {
	delete(t.session.late, p.PromptID)
	u := t.turn
	if u == nil || p.PromptID != u.prompt || u.number >= 0 {
		return // for a prompt with a turn, turn.ended comes
	}
	switch {
	case aborted:
		t.finishTurn(u, wireproto.StatusCancelled, nil)
	case p.Reason == "blocked":
		t.tellBegin(u)
		t.finishTurn(u, wireproto.StatusFinished, nil)
	default:
		t.finishTurn(u, "", outcomeUnknown("the prompt ended without a turn"))
	}
}

// outcome returns the status or the error with which the client's turn ended.
func (t *Translator) outcome(u *turn, p *api.TurnEnded) (wireproto.TurnStatus, *wireproto.RPCError) {
	switch p.Reason {
	case "completed":
		if u.cut {
			return "", outcomeUnknown("the model's last message broke off")
		}
		return wireproto.StatusFinished, nil
	case "cancelled":
		return wireproto.StatusCancelled, nil
	case "failed":
	default:
		return "", outcomeUnknown(fmt.Sprintf("the server says %.40q", p.Reason))
	}
	e := p.Error
	if e == nil {
		return "", &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: "the turn failed, and Kimi Code does not say why"}
	}
	code := wireproto.CodeInternalError
	switch c := e.Code; {
	case c == "loop.max_steps_exceeded":
		return wireproto.StatusMaxSteps, nil
	case strings.HasPrefix(c, "provider."):
		code = wireproto.CodeChatProviderError
	case c == "auth.token_unauthorized":
		code = wireproto.CodeAuthExpired
	case strings.HasPrefix(c, "auth."), c == "model.not_configured":
		code = wireproto.CodeLLMNotSet
	}
	err := &wireproto.RPCError{Code: code, Message: e.Message}
	if e.Details.StatusCode != nil {
		err.Data, _ = json.Marshal(map[string]int{"status_code": *e.Details.StatusCode})
	}
	return "", err
}

// finishTurn answers the client's prompt.
func (t *Translator) finishTurn(u *turn, status wireproto.TurnStatus, err *wireproto.RPCError) {
	t.turn = nil
	t.dropRequests(false)
	if u.told {
		t.emit(&wireproto.TurnEnd{})
	}
	if err != nil {
		t.fail(u.id, err)
		return
	}
	result := wireproto.PromptResult{Status: status}
	if status == wireproto.StatusMaxSteps {
		result.Steps = t.agentOf(api.MainAgent).number
	}
	t.reply(u.id, result)
}

// cancel asks the server to end the turn. The event turn.ended comes when the turn has ended.
func (t *Translator) cancel(f *wireproto.Frame) {
	switch {
	case t.replay != nil:
		t.reply(f.ID, struct{}{})
		t.replay.cancelled = true
		return
	case t.turn == nil:
		t.refuse(f.ID, wireproto.CodeInvalidState, "no turn is running")
		return
	}
	t.reply(f.ID, struct{}{})
	u := t.turn
	u.cancelled = true
	t.dropRequests(false)
	switch {
	case u.compacts: // a compaction cannot be cancelled; the next prompt waits for its end
		t.finishTurn(u, wireproto.StatusCancelled, nil)
	case u.sent:
		t.abort(u)
	}
}

// abort ends the client's prompt on the server. If the server does not know the prompt yet, abort is called again when
// the server answers the prompt, or when the turn begins.
func (t *Translator) abort(u *turn) {
	if u.aborting {
		return
	}
	u.aborting = true
	path := t.of("/prompts/" + url.PathEscape(u.prompt) + ":abort")
	if u.skill {
		path = t.of(":abort")
	}
	t.call("POST", path, struct{}{}, true, func(_ json.RawMessage, err error) {
		u.aborting = false
		var e *api.Error
		if t.turn == u && errors.As(err, &e) && e.Code != api.CodeNoPrompt {
			t.notify("cancel_failed", "warning", "Kimi Code does not end the turn", e.Error())
		}
	})
}

// steer adds input to the running turn: it queues a prompt, and then adds the prompt to the turn. The server has no
// single call for both, so the turn may end in between.
func (t *Translator) steer(f *wireproto.Frame) {
	u := t.turn
	if u == nil || u.cancelled || u.compacts {
		t.refuse(f.ID, wireproto.CodeInvalidState, "no turn is running")
		return
	}
	var params wireproto.SteerParams
	if !t.params(f, &params) {
		return
	}
	if t.set.Slash {
		if name, args := slashCommand(params.UserInput); name == "btw" {
			t.askAside(f.ID, args)
			return
		}
	}
	id := t.promptID()
	gone := func() { t.refuse(f.ID, wireproto.CodeInvalidState, "the turn has ended") }
	t.convert(params.UserInput, func(parts []api.Part, err error) {
		if err != nil {
			t.refuseInput(f.ID, "steer", err)
			return
		}
		if t.turn != u {
			gone()
			return
		}
		u.steers[id] = params.UserInput
		t.late(id, params.UserInput) // until the prompt is known to be a part of the turn
		t.call("POST", t.of("/prompts"), api.Prompt{Content: parts, PromptID: id}, false, func(data json.RawMessage, err error) {
			var s api.Submitted
			if err == nil {
				err = json.Unmarshal(data, &s)
			}
			switch {
			case err != nil:
				t.refuse(f.ID, wireproto.CodeInternalError, "steer: %v", err)
			case s.Status == api.PromptBlocked:
				t.refuse(f.ID, wireproto.CodeInvalidParams, "steer: a hook has blocked the input")
			case s.Status != api.PromptQueued:
				t.abortLate(id)
				gone()
			default:
				t.addToTurn(f.ID, id)
			}
		})
	})
}

// addToTurn makes a queued prompt a part of the turn that runs.
func (t *Translator) addToTurn(frame, id string) {
	t.call("POST", t.of("/prompts/"+url.PathEscape(id)+":steer"), struct{}{}, false, func(_ json.RawMessage, err error) {
		if err != nil {
			t.abortLate(id)
			t.refuse(frame, wireproto.CodeInvalidState, "the turn has ended")
			return
		}
		t.reply(frame, wireproto.SteerResult{Status: wireproto.StatusSteered})
	})
}

// late notes that a prompt must not become a turn of its own.
func (t *Translator) late(id string, input wireproto.Content) {
	if t.session.late == nil {
		t.session.late = make(map[string]*wireproto.Content)
	}
	t.session.late[id] = &input
}

// abortLate aborts the prompt of a steer that was not added to the turn.
func (t *Translator) abortLate(id string) {
	t.call("POST", t.of("/prompts/"+url.PathEscape(id)+":abort"), struct{}{}, true, func(json.RawMessage, error) {})
}

// steered handles the event that input was added to the turn. Before Kimi Code 2.0, this event names neither the turn
// nor the prompts. The next event, prompt.steered, names them.
func (t *Translator) steered(p *api.TurnSteer) {
	u := t.turn
	switch {
	case u == nil || p.AgentID != api.MainAgent:
	case p.TurnID < 0:
		u.steeredNext = true
	case u.number == p.TurnID:
		t.addSteers(u, p.PromptIDs)
	}
}

// promptSteered handles the event that names the added prompts, if turn.steer did not name them.
func (t *Translator) promptSteered(p *api.PromptSteered) {
	if u := t.turn; u != nil && u.steeredNext && u.prompt == p.ActiveID {
		u.steeredNext = false
		t.addSteers(u, p.PromptIDs)
	}
}

func (t *Translator) addSteers(u *turn, prompts []string) {
	for _, id := range prompts {
		delete(t.session.late, id)
		if input, ok := u.steers[id]; ok {
			delete(u.steers, id)
			t.emit(&wireproto.SteerInput{UserInput: input})
		}
	}
}

// resync repairs what it can after a gap in which durable events were lost, too. A turn that still runs goes on. If the
// turn has ended, nothing says how.
func (t *Translator) resync(running *inFlight) {
	u := t.turn
	t.askPending()
	if u == nil || !u.sent {
		return
	}
	if running != nil && (running.TurnID == u.number || u.number < 0) {
		u.number = running.TurnID
		t.tellBegin(u)
		a := t.agentOf(api.MainAgent)
		a.turn = running.TurnID
		if a.step == nil {
			a.step = &step{}
		}
		return
	}
	t.finishTurn(u, "", outcomeUnknown("events of its end were lost with the connection"))
}
