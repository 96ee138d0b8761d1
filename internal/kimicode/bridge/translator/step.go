package translator

import (
	"encoding/json"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/history"
	"github.com/kimi-go/kimi-go/wireproto"
)

// step is a call of the model and what follows from it.
type step struct {
	n        int  // the server's number of the step
	thought  int  // how many UTF-16 units of thinking the client has
	said     int  // how many UTF-16 units of text the client has
	doubtful bool // deltas may be missing
	snapped  bool // a snapshot has filled a gap, so the place of a delta without an offset is not known
	kept     bool // the server has kept the transcript of the step from the beginning
}

// trust counts the steps whose transcripts were compared with what the server has sent. A server of another version may
// send less than it writes into its transcripts. Such a server always does that. So after enough equal steps, only
// unusual steps are checked.
type trust struct {
	steps    int  // steps that were checked
	thinking int  // steps in which all thinking was sent
	text     int  // steps in which all text was sent
	lost     bool // a transcript had more than was sent
}

// asks reports whether the next step must be checked.
func (c *trust) asks() bool { return c.steps < 20 && (c.thinking < 3 || c.text < 3) }

func (t *Translator) stepEvent(e *api.Event, p *api.Step) {
	if t.ignored(p.Common) {
		return
	}
	a := t.agentOf(p.AgentID)
	switch e.Type {
	case api.TypeStepStarted:
		a.turn = p.TurnID
		a.step = &step{n: p.Step, doubtful: t.inbox.doubts(e), kept: t.inbox.kept}
		a.lastCall = ""
		if a.main() {
			t.context.heard = false
		}
		if a.retrying {
			a.retrying = false
			return
		}
		a.number++
		t.from(a, &wireproto.StepBegin{N: a.number})
	case api.TypeStepRetrying:
		if a.step != nil && a.step.doubtful {
			a.step.doubtful = false // what the failed attempt said does not count
		}
		a.retrying = true
		t.endBroken(a)
		t.from(a, &wireproto.StepRetry{
			N: max(a.number, 1), NextAttempt: p.NextAttempt, MaxAttempts: p.MaxAttempts,
			WaitS: p.DelayMS / 1000, ErrorType: p.ErrorName, StatusCode: p.StatusCode,
		})
	default:
		t.endStep(a, e.Type, p)
	}
}

// endBroken ends the calls of an attempt that has failed, because they will never run.
func (t *Translator) endBroken(a *agent) {
	var ids []string
	for id, c := range a.calls {
		if c.whole == nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y string) int { return a.calls[x].n - a.calls[y].n })
	for _, id := range ids {
		delete(a.calls, id)
		t.from(a, &wireproto.ToolResult{ToolCallID: id, ReturnValue: wireproto.ToolReturnValue{
			IsError: true, Message: "the model's answer broke off; the model is asked again",
		}})
	}
}

// endStep ends a step after the client has everything that the step has said.
func (t *Translator) endStep(a *agent, kind string, p *api.Step) {
	completed := kind == api.TypeStepCompleted
	switch {
	case a.step == nil:
		t.closeStep(a, kind, p)
		return
	case a.step.doubtful:
	// A step without output that ends the turn is checked, too.
	case completed && (a.step.said == 0 && p.FinishReason != "tool_use" || p.Usage == nil || t.checks(a, p)):
	default:
		if completed && !a.main() && len(a.unchecked) < maxUnchecked {
			a.unchecked = append(a.unchecked, unchecked{p.TurnID, p.Step, *a.step})
		}
		t.fillContext(a, kind, p)
		return
	}
	path := t.of("/transcript") + "?agent_id=" + a.id
	if !a.step.doubtful {
		path += "&page_size=2" // a turn after this one may have begun
	}
	t.fetch(path, func(data json.RawMessage, err error) {
		var transcript api.Transcript
		if err == nil {
			err = json.Unmarshal(data, &transcript)
		}
		t.compare(a, p, transcript.Step(p.TurnID, p.Step), err)
		t.compareEarlier(a, &transcript)
		if completed && p.Usage == nil {
			t.noteDrift(kind, "it does not say what the step has used")
		}
		t.fillContext(a, kind, p)
	})
}

// checks reports whether endStep reads the transcript of a step, to see if the server has sent everything in it. Kimi
// Code does not return the transcript of a subagent that is working, and all events would wait for the transcript. So
// the steps of a subagent are checked together, after the step that ends its work. If a step of a subagent was not
// whole, the later steps are checked one by one.
func (t *Translator) checks(a *agent, p *api.Step) bool {
	return t.trustIn(a).asks() && (a.main() || p.FinishReason != "tool_use" || t.trustSub.lost)
}

func (t *Translator) trustIn(a *agent) *trust {
	if a.main() {
		return &t.trust
	}
	return &t.trustSub
}

// compare sends what the transcript of a step has and the client does not have. kept is nil if there is no transcript.
func (t *Translator) compare(a *agent, p *api.Step, kept *api.TranscriptStep, err error) {
	if err != nil || kept == nil {
		if a.step.doubtful || err != nil {
			t.notify("text_lost", "warning", "Output may be missing", "The connection to Kimi Code was lost for a moment. What the model said in that time cannot be read.")
		}
		t.trustIn(a).steps++
		return
	}
	if p.Usage == nil {
		p.Usage = kept.Usage
	}
	thinking, text := kept.Said("thinking"), kept.Said("text")
	more := t.sayRest(a, thinking, text)
	switch trust := t.trustIn(a); {
	case a.step.doubtful: // text is missing because the connection was lost; this says nothing about the server
	case more:
		trust.lost = true
		t.noteDrift("lost text", "the server did not send everything in its transcript")
	case a.step.kept && (a.step.thought > units(thinking) || a.step.said > units(text)):
		t.noteDrift("doubled text", "the server has sent more than its transcript has")
	default:
		trust.steps++
		if a.step.thought > 0 {
			trust.thinking++
		}
		if a.step.said > 0 {
			trust.text++
		}
	}
}

// maxUnchecked is how many steps of a subagent are checked together with the step that ends its work.
const maxUnchecked = 20

// unchecked is a step of a subagent that has ended and was not checked.
type unchecked struct {
	turn, step int
	told       step // what the client has of it
}

// compareEarlier compares earlier steps of a subagent with their transcripts, and notes if the client has more or less.
func (t *Translator) compareEarlier(a *agent, transcript *api.Transcript) {
	for _, e := range a.unchecked {
		kept := transcript.Step(e.turn, e.step)
		if kept == nil {
			continue
		}
		thinking, text := units(kept.Said("thinking")), units(kept.Said("text"))
		switch {
		case e.told.thought < thinking || e.told.said < text:
			t.trustIn(a).lost = true
			t.noteDrift("lost text", "the server did not send everything in its transcript")
		case e.told.kept && (e.told.thought > thinking || e.told.said > text):
			t.noteDrift("doubled text", "the server has sent more than its transcript has")
		}
	}
	a.unchecked = nil
}

// fillContext ends a step. If no event of the step has said how full the context is, it asks the server first.
func (t *Translator) fillContext(a *agent, kind string, p *api.Step) {
	if !a.main() || kind != api.TypeStepCompleted || t.context.heard {
		t.closeStep(a, kind, p)
		return
	}
	t.fetch(t.of("/status"), func(data json.RawMessage, err error) {
		var st api.Status
		if err == nil && json.Unmarshal(data, &st) == nil && st.ContextTokens > 0 {
			t.context.tokens, t.context.most = st.ContextTokens, st.MaxContextTokens
		} else {
			t.noteDrift(api.TypeStatusUpdated, "it does not say how full the context is")
		}
		t.closeStep(a, kind, p)
	})
}

// closeStep ends a step and tells the client what the step has used.
func (t *Translator) closeStep(a *agent, kind string, p *api.Step) {
	a.retrying, a.step = false, nil
	switch {
	case kind == api.TypeStepInterrupted:
		if p.Reason != "aborted" { // kimi-cli reports nothing about a cancelled step
			t.from(a, &wireproto.StepInterrupted{})
		}
	case a.main():
		if t.turn != nil && t.turn.number == p.TurnID {
			t.turn.finish, t.turn.cut = p.FinishReason, p.ProviderReason == nil
		}
		t.status(p.Usage)
	case p.Usage != nil:
		t.from(a, &wireproto.StatusUpdate{TokenUsage: history.Tokens(p.Usage)})
	}
}

// sayRest sends the part of a step that the client has not received, and reports whether there was one.
func (t *Translator) sayRest(a *agent, thinking, text string) (more bool) {
	if rest := after(thinking, a.step.thought); rest != "" {
		more = true
		a.step.thought += units(rest)
		t.from(a, &wireproto.ThinkPart{Think: rest})
	}
	if rest := after(text, a.step.said); rest != "" {
		more = true
		a.step.said += units(rest)
		t.from(a, &wireproto.TextPart{Text: rest})
	}
	return more
}

// units returns the length of s as JavaScript counts it.
func units(s string) int {
	n := utf8.RuneCountInString(s)
	if n == len(s) { // ASCII
		return n
	}
	n = 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// after returns s without its first n UTF-16 units.
func after(s string, n int) string {
	for i, r := range s {
		if n <= 0 {
			return s[i:]
		}
		n -= utf16.RuneLen(r)
	}
	return ""
}

// delta sends what the model says, each part once. The offset of a delta says where its text begins.
func (t *Translator) delta(e *api.Event, p *api.Delta) {
	if t.ignored(p.Common) {
		return
	}
	if p.Delta == nil {
		t.noteDrift(e.Type, "it says nothing")
		return
	}
	a := t.agentOf(p.AgentID)
	if a.step == nil || a.turn != p.TurnID || *p.Delta == "" {
		return // the step of the delta has ended, and its transcript was read
	}
	told := &a.step.said
	if e.Type == api.TypeThinkingDelta {
		told = &a.step.thought
	}
	text := *p.Delta
	switch {
	case e.Offset != nil && *e.Offset > *told:
		a.step.doubtful = true
		return
	case e.Offset != nil:
		if text = after(text, *told-*e.Offset); text == "" {
			return
		}
	case a.step.doubtful:
		return
	case a.step.snapped:
		a.step.doubtful = true
		return
	}
	*told += units(text)
	if e.Type == api.TypeThinkingDelta {
		t.from(a, &wireproto.ThinkPart{Think: text})
	} else {
		t.from(a, &wireproto.TextPart{Text: text})
	}
}
