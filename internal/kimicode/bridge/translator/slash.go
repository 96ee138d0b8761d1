package translator

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/wireproto"
)

// builtIn are the commands that are not skills.
var builtIn = []wireproto.SlashCommand{
	{Name: "compact", Description: "Compact the conversation", Aliases: []string{}},
	{Name: "btw", Description: "Ask a side question: the answer is not kept", Aliases: []string{}},
}

// slashCommand returns the command of an input and its arguments. name is "" if the input is not a command.
func slashCommand(input wireproto.Content) (name, args string) {
	text := input.Text
	if len(input.Parts) == 1 {
		if p, ok := input.Parts[0].(*wireproto.TextPart); ok {
			text = p.Text
		}
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "/")
	if !ok || len(input.Parts) > 1 {
		return "", ""
	}
	name, args, _ = strings.Cut(rest, " ")
	if name == "" || strings.ContainsAny(name, "/\n\t") {
		return "", ""
	}
	return name, strings.TrimSpace(args)
}

// slash runs a command as the turn of a prompt.
func (t *Translator) slash(u *turn, name, args string) {
	switch {
	case t.unbound():
		t.turn = nil
		t.refuse(u.id, wireproto.CodeInvalidState, "/%.40s: the first prompt starts the agent of the agent file; write it without a command", name)
	case name == "compact":
		u.compacts, u.sent, t.session.used = true, true, true
		t.tellBegin(u)
		t.call("POST", t.of(":compact"), struct{}{}, false, func(_ json.RawMessage, err error) {
			if err == nil || t.turn != u {
				return
			}
			no := &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: "compact: " + err.Error()}
			if e, ok := err.(*api.Error); ok && e.Code == api.CodeCannotCompact {
				no = &wireproto.RPCError{Code: wireproto.CodeInvalidParams, Message: "there is nothing to compact yet"}
			}
			t.finishTurn(u, "", no)
		})
	case name == "btw":
		t.tellBegin(u)
		t.askAside("", args)
	case slices.ContainsFunc(t.session.skills, func(s wireproto.SlashCommand) bool { return s.Name == name }):
		u.skill, u.sent, t.session.used = true, true, true
		t.call("POST", t.of("/skills/"+url.PathEscape(name)+":activate"), map[string]string{"args": args}, false, func(_ json.RawMessage, err error) {
			if err != nil && t.turn == u {
				t.finishTurn(u, "", &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: "/" + name + ": " + err.Error()})
			}
		})
	default:
		var known []string
		for _, c := range append(slices.Clone(builtIn), t.session.skills...) {
			known = append(known, "/"+c.Name)
		}
		t.turn = nil
		t.refuse(u.id, wireproto.CodeInvalidParams, "there is no command /%.40s; there are %s", name, strings.Join(known, ", "))
	}
}

// compacted ends the turn of /compact.
func (t *Translator) compacted(kind string) {
	u := t.turn
	if kind == api.TypeCompactionDone {
		t.finishTurn(u, wireproto.StatusFinished, nil)
		return
	}
	t.finishTurn(u, "", &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: "the context could not be compacted"})
}

// sideQuestion is a side question. A separate agent answers it from what the session's agent knows. Neither agent
// remembers it.
type sideQuestion struct {
	id     string
	agent  string // the id of its agent; "" until there is one
	prompt string // the id of its prompt
	text   strings.Builder
}

// hear notes what the side question's agent says.
func (s *sideQuestion) hear(m wireproto.Message) {
	if p, ok := m.(*wireproto.TextPart); ok {
		s.text.WriteString(p.Text)
	}
}

// askAside asks a side question. frame is the id of the client's steer, or "" if a prompt asks the question.
func (t *Translator) askAside(frame, question string) {
	fail := func(err error) {
		text := err.Error()
		t.endAside(nil, &text)
	}
	switch {
	case question == "" || t.side != nil:
		err := errors.New("write the question after /btw")
		if t.side != nil {
			err = errors.New("another side question is being answered")
		}
		if frame != "" {
			t.refuse(frame, wireproto.CodeInvalidParams, "%v", err)
		} else {
			u := t.turn
			t.finishTurn(u, "", &wireproto.RPCError{Code: wireproto.CodeInvalidParams, Message: err.Error()})
		}
		return
	case frame != "":
		t.reply(frame, wireproto.SteerResult{Status: wireproto.StatusSteered})
	}
	s := &sideQuestion{id: t.newID("btw"), prompt: t.promptID()}
	t.side = s
	t.emit(&wireproto.BtwBegin{ID: s.id, Question: question})
	t.call("POST", t.of(":btw"), struct{}{}, false, func(data json.RawMessage, err error) {
		var made api.SideQuestion
		if err == nil {
			err = json.Unmarshal(data, &made)
		}
		if err == nil && made.AgentID == "" {
			err = errors.New("the server made no agent for it")
		}
		if t.side != s {
			return
		}
		if err != nil {
			fail(err)
			return
		}
		s.agent = made.AgentID
		body := api.Prompt{Content: []api.Part{{Type: "text", Text: question}}, PromptID: s.prompt, AgentID: s.agent}
		t.call("POST", t.of("/prompts"), body, false, func(_ json.RawMessage, err error) {
			if err != nil && t.side == s {
				fail(err)
			}
		})
	})
}

// sideEnded ends a side question, because the turn of its agent has ended.
func (t *Translator) sideEnded(a *agent, p *api.TurnEnded) {
	if t.side == nil || t.side.agent != a.id {
		return
	}
	if p.Reason == "completed" {
		text := t.side.text.String()
		t.endAside(&text, nil)
		return
	}
	why := p.Reason
	if p.Error != nil {
		why = p.Error.Message
	}
	t.endAside(nil, &why)
}

// endAside sends the answer, and ends the turn if the prompt was the side question.
func (t *Translator) endAside(text, why *string) {
	s := t.side
	t.side = nil
	t.emit(&wireproto.BtwEnd{ID: s.id, Response: text, Error: why})
	if u := t.turn; u != nil && !u.sent {
		status := wireproto.StatusFinished
		if u.cancelled {
			status = wireproto.StatusCancelled
		}
		t.finishTurn(u, status, nil)
	}
}
