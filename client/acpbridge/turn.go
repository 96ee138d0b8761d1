package acpbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	// pollEvery is how often the journal is read while a turn runs. kimi writes it every 50 ms.
	pollEvery = 20 * time.Millisecond
	// journalWait is how long the journal may be behind ACP's reply; some 6 ms were measured.
	journalWait = 2 * time.Second
	// launchWait is the same where there may have been no turn at all, as for a slash command.
	launchWait = 300 * time.Millisecond
	// askedWait is how long a subagent's question waits for the journal, which tells whose it is.
	askedWait = 250 * time.Millisecond
	// flushWait is more than the journal is behind kimi: it is written every 50 ms.
	flushWait = 100 * time.Millisecond
	// agentWait is how long the result of a subagent waits for the rest of its journal.
	agentWait = 300 * time.Millisecond
	// retryWait is how long what was said before a retry may be behind the journal, which tells of it.
	retryWait = 100 * time.Millisecond
)

// turn is the turn that runs.
type turn struct {
	id     string           // of the client's prompt
	call   string           // of session/prompt
	slash  string           // the slash command that the prompt is, "" for none
	input  []map[string]any // of session/prompt
	sent   bool             // session/prompt has been sent
	began  time.Time
	sentAt time.Time

	calls    map[string]*toolCallState // without a result, by id
	aborted  map[string]*toolCallState // of attempts that failed
	begun    int                       // tool calls
	lastCall string
	steps    int                  // that have been told to the client
	journal  int                  // that the journal has begun
	fresh    bool                 // the next output of the model begins a step
	output   time.Time            // of the model's last output
	retrying bool                 // the journal's next step is the same step again
	retry    *wireproto.StepRetry // not told yet
	retryAt  time.Time            // when it is

	usage     *wireproto.TokenUsage // of the last model call, not told yet
	cancelled bool
	reply     *message // to session/prompt
	repliedAt time.Time
	number    int     // kimi's own for the turn, -1 until the journal tells
	unseen    bool    // its turn began behind the reply
	failed    bool    // the compaction that it asked for has failed
	end       *ending // as the journal tells it
	finish    string  // why the model's last message ended, "" if nobody says
}

// ending is how a turn ended.
type ending struct {
	Reason string `json:"reason"`
	Error  *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Name    string `json:"name"`
		Details struct {
			StatusCode *int `json:"statusCode"`
		} `json:"details"`
	} `json:"error"`
}

// prompt starts a turn.
func (b *Conn) prompt(f *wireproto.Frame) {
	if b.turn != nil {
		b.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	}
	var params wireproto.PromptParams
	if err := json.Unmarshal(f.Params, &params); err != nil {
		b.refuse(f.ID, wireproto.CodeInvalidParams, "prompt: %v", err)
		return
	}
	blocks, err := promptBlocks(params.UserInput)
	var no *UnsupportedError
	switch {
	case errors.As(err, &no):
		b.unsupported(f.ID, no.Option+" in a prompt")
		return
	case err != nil:
		b.refuse(f.ID, wireproto.CodeInvalidParams, "prompt: %v", err)
		return
	}
	slash := ""
	if first, ok := blocks[0]["text"].(string); ok {
		slash = slashName(first)
	}
	if slash == "btw" {
		b.unsupported(f.ID, "side questions, such as /btw")
		return
	}
	if err := b.ensureSession(); err != nil {
		b.failStart(f.ID, err)
		return
	}
	t := &turn{id: f.ID, slash: slash, input: blocks, began: time.Now(), calls: make(map[string]*toolCallState), aborted: make(map[string]*toolCallState), fresh: true, number: -1}
	b.turn, b.unused, b.journal.compacted = t, false, b.compact
	b.emit(&wireproto.TurnBegin{UserInput: params.UserInput})
	if b.journal.main == nil { // it has not been there when the session was opened
		b.journal = newJournal(b.set.home, b.session)
	}
	b.poll() // what has happened since the last turn
	b.submit()
}

// submit sends the prompt. While a turn runs that kimi has started itself, as when a background task
// has ended, or a compaction, which no cancellation reaches, it waits: kimi would queue the prompt,
// answer as if it were done, and tell nothing of it.
func (b *Conn) submit() {
	t := b.turn
	if t == nil || t.sent || t.cancelled || b.journal.running != "" || b.compact {
		return
	}
	if b.journal.tasks && time.Since(t.began) < flushWait {
		return // one may have ended, and begun a turn, of which the journal has not told yet
	}
	t.sent, t.sentAt = true, time.Now()
	t.call = b.acp.begin("session/prompt", map[string]any{"sessionId": b.session, "prompt": t.input})
	t.input = nil
}

// promptBlocks turns a prompt into the blocks of ACP.
func promptBlocks(input wireproto.Content) ([]map[string]any, error) {
	if input.Parts == nil {
		if strings.TrimSpace(input.Text) == "" {
			return nil, errors.New("the prompt is empty") // kimi would call the model nevertheless
		}
		return []map[string]any{{"type": "text", "text": input.Text}}, nil
	}
	var blocks []map[string]any
	for _, p := range input.Parts {
		switch p := p.(type) {
		case *wireproto.TextPart:
			blocks = append(blocks, map[string]any{"type": "text", "text": p.Text})
		case *wireproto.ImageURLPart:
			kind, data, ok := dataURL(p.ImageURL.URL)
			if !ok {
				return nil, &UnsupportedError{"images by URL", "send them as data: URLs"}
			}
			blocks = append(blocks, map[string]any{"type": "image", "data": data, "mimeType": kind})
		case *wireproto.AudioURLPart:
			return nil, &UnsupportedError{"audio", ""}
		case *wireproto.VideoURLPart:
			return nil, &UnsupportedError{"video", ""}
		default:
			return nil, fmt.Errorf("a content part of an unknown type")
		}
	}
	if len(blocks) == 0 {
		return nil, errors.New("the prompt is empty")
	}
	return blocks, nil
}

// begin tells of a new step, if the output that follows is the first of one. ACP has no such event, and
// the journal is some milliseconds late: behind the results of tools the model speaks in the next step.
func (t *turn) begin(b *Conn) {
	if t.fresh {
		t.fresh = false
		t.steps++
		b.emit(&wireproto.StepBegin{N: t.steps})
	}
}

// ended notes that a tool call has ended.
func (t *turn) ended(b *Conn) {
	if len(t.calls) > 0 {
		return
	}
	t.fresh = true
	if t.journal > t.steps {
		t.begin(b)
	}
}

func (t *turn) replied(m *message) {
	t.reply, t.repliedAt = m, time.Now()
}

// settle ends the turn once both ACP and the journal have told how.
func (b *Conn) settle() {
	b.placeLate()
	b.submit()
	b.tellRetry(false)
	t := b.turn
	switch {
	case t == nil:
		return
	case !t.sent && t.cancelled: // nobody has heard of it
		t.reply, t.sent = new(message), true
	case t.reply == nil:
		return
	}
	if b.compact && t.slash != "" && !t.cancelled {
		return // "/compact" is answered when it begins
	}
	if t.end == nil {
		wait := journalWait
		if t.number < 0 && (t.slash != "" || t.reply.Error != nil || t.cancelled) {
			wait = launchWait
		}
		if time.Since(t.repliedAt) < wait {
			return
		}
	} else if b.window == 0 && time.Since(t.repliedAt) < launchWait {
		return // the first turn's end tells how large the context is
	}
	b.tellRetry(true)
	b.status()
	if t.end == nil {
		b.journal.running = "" // what it has lost of this turn must not hold the next one up
	}
	b.turn = nil
	b.dropUnplaced()
	for _, r := range b.openRequests() {
		if !r.background {
			r.drop()
		}
	}
	status, err := t.outcome()
	b.emit(&wireproto.TurnEnd{})
	if err != nil {
		b.fail(t.id, err)
		return
	}
	result := wireproto.PromptResult{Status: status}
	if status == wireproto.StatusMaxSteps {
		result.Steps = t.steps
	}
	b.reply(t.id, result)
}

// outcome tells how the turn ended.
func (t *turn) outcome() (wireproto.TurnStatus, *wireproto.RPCError) {
	var reply struct {
		StopReason string `json:"stopReason"`
	}
	json.Unmarshal(t.reply.Result, &reply)
	switch {
	case reply.StopReason == "cancelled", t.cancelled && t.end == nil:
		return wireproto.StatusCancelled, nil
	case t.unseen:
		return "", unknown("kimi had a turn of its own, and has put the prompt behind it without a word")
	case t.failed:
		return "", &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: "the context could not be compacted"}
	case t.end != nil:
		return t.end.outcome(t.finish)
	case t.reply.Error != nil:
		return "", t.reply.Error.outcome()
	case t.slash != "" && t.number < 0:
		return wireproto.StatusFinished, nil
	}
	return "", unknown("the session's journal does not say how it ended")
}

func unknown(why string) *wireproto.RPCError {
	return &wireproto.RPCError{Code: wireproto.CodeOutcomeUnknown, Message: "nobody knows whether the turn succeeded: " + why}
}

// outcome maps an ending; finish tells why the model's last message ended.
func (e *ending) outcome(finish string) (wireproto.TurnStatus, *wireproto.RPCError) {
	switch e.Reason {
	case "completed":
		if finish == "" {
			return "", unknown("the model's last message broke off")
		}
		return wireproto.StatusFinished, nil
	case "cancelled":
		return wireproto.StatusCancelled, nil
	case "blocked": // by a hook on the prompt: kimi-cli ends such a turn so, too
		return wireproto.StatusFinished, nil
	case "failed":
	default:
		return "", unknown("its journal says " + preview(e.Reason))
	}
	if e.Error == nil {
		return "", &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: "the turn failed, and kimi does not say why"}
	}
	code := wireproto.CodeInternalError
	switch c := e.Error.Code; {
	case c == "loop.max_steps_exceeded":
		return wireproto.StatusMaxSteps, nil
	case strings.HasPrefix(c, "provider."):
		code = wireproto.CodeChatProviderError
	case c == "auth.token_unauthorized":
		code = wireproto.CodeAuthExpired
	case strings.HasPrefix(c, "auth."):
		code = wireproto.CodeLLMNotSet
	}
	err := &wireproto.RPCError{Code: code, Message: e.Error.Message}
	if status := e.Error.Details.StatusCode; status != nil {
		err.Data, _ = json.Marshal(map[string]int{"status_code": *status})
	}
	return "", err
}

// outcome maps an error with which ACP answered a prompt, where the journal is silent.
func (e *acpError) outcome() *wireproto.RPCError {
	code := wireproto.CodeInternalError
	switch {
	case e.Code == codeAuthRequired:
		code = wireproto.CodeLLMNotSet
	case e.Code == codeBusy:
		code = wireproto.CodeInvalidState
	}
	return &wireproto.RPCError{Code: code, Message: e.Message, Data: e.Data}
}

func preview(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// dataURL takes a data: URL apart into its media type and its data in base64.
func dataURL(url string) (kind, data string, ok bool) {
	head, data, based := strings.Cut(url, ";base64,")
	kind, isData := strings.CutPrefix(head, "data:")
	return kind, data, based && isData
}
