package acpbridge

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// frame handles a frame of the client.
func (b *Conn) frame(f *wireproto.Frame) {
	switch f.Method {
	case "":
		if f.ID == "" { // a line that could not be read
			b.send(f)
			return
		}
		b.answered(f)
	case wireproto.MethodInitialize:
		b.initialize(f)
	case wireproto.MethodPrompt:
		b.prompt(f)
	case wireproto.MethodCancel:
		b.cancel(f)
	case wireproto.MethodReplay:
		b.replay(f)
	case wireproto.MethodSetPlanMode:
		b.setPlanMode(f)
	case wireproto.MethodSteer:
		b.unsupported(f.ID, "steer: what is said while a turn runs cannot reach it")
	default:
		b.refuse(f.ID, wireproto.CodeMethodNotFound, "unknown method %.40q", f.Method)
	}
}

// unsupported says that Kimi Code cannot do something. A client takes the code for an
// agent that does not know the method.
func (b *Conn) unsupported(id, feature string) {
	b.refuse(id, wireproto.CodeMethodNotFound, "%s has no %s", b.backend(), feature)
}

// backend names what runs behind the bridge.
func (b *Conn) backend() string { return strings.TrimSpace("Kimi Code "+b.version) + " over ACP" }

// initialize opens the session. Without a login there is none yet, and each prompt tries again.
func (b *Conn) initialize(f *wireproto.Frame) {
	switch {
	case b.turn != nil:
		b.refuse(f.ID, wireproto.CodeInvalidState, "a turn is running")
		return
	case b.init != nil:
		b.send(&wireproto.Frame{ID: f.ID, Result: b.init})
		return
	}
	var params wireproto.InitializeParams
	if err := json.Unmarshal(f.Params, &params); err != nil {
		b.refuse(f.ID, wireproto.CodeInvalidParams, "initialize: %v", err)
		return
	}
	if params.Capabilities != nil {
		b.caps = *params.Capabilities
	}
	result := wireproto.InitializeResult{
		ProtocolVersion: wireproto.ProtocolVersion,
		SlashCommands:   []wireproto.SlashCommand{},
		Hooks:           &wireproto.HooksInfo{SupportedEvents: []string{}, Configured: map[string]int{}},
		Capabilities:    &wireproto.ServerCapabilities{SupportsQuestion: true},
	}
	err := b.hello()
	if err == nil && len(params.ExternalTools) > 0 {
		result.ExternalTools, err = b.serveTools(params.ExternalTools)
	}
	if err == nil {
		err = b.ensureSession()
	}
	if e := new(acpError); err != nil && !(errors.As(err, &e) && e.Code == codeAuthRequired) {
		b.failStart(f.ID, err)
		return
	}
	result.Server = wireproto.ServerInfo{Name: b.name, Version: b.version}
	if b.commands != nil {
		result.SlashCommands = b.commands
	}
	result.Bridge = &wireproto.BridgeInfo{Backend: b.backend(), SessionID: b.session, Model: b.model()}
	b.init, err = json.Marshal(result)
	if err != nil {
		b.refuse(f.ID, wireproto.CodeInternalError, "%v", err)
		return
	}
	b.send(&wireproto.Frame{ID: f.ID, Result: b.init})
}

// failStart answers a call for which there is no session. That kimi has ended, its end tells.
func (b *Conn) failStart(id string, err error) {
	code := wireproto.CodeInternalError
	var e *acpError
	switch {
	case errors.Is(err, errEnded):
		return
	case errors.Is(err, errNoModel), errors.As(err, &e) && e.Code == codeAuthRequired:
		code = wireproto.CodeLLMNotSet
	}
	b.refuse(id, code, "%v", err)
}

// setPlanMode switches plan mode, also while a turn runs.
func (b *Conn) setPlanMode(f *wireproto.Frame) {
	var params wireproto.SetPlanModeParams
	if err := json.Unmarshal(f.Params, &params); err != nil {
		b.refuse(f.ID, wireproto.CodeInvalidParams, "set_plan_mode: %v", err)
		return
	}
	err := b.ensureSession()
	if err == nil {
		err = b.setMode(params.Enabled)
	}
	if err != nil {
		b.failStart(f.ID, err)
		return
	}
	b.reply(f.ID, wireproto.SetPlanModeResult{Status: "ok", PlanMode: b.plan})
}

// cancel asks kimi to end the turn. The prompt's reply tells when it has.
func (b *Conn) cancel(f *wireproto.Frame) {
	if b.turn == nil { // a replay is over before the next frame is read
		b.refuse(f.ID, wireproto.CodeInvalidState, "no turn is running")
		return
	}
	b.reply(f.ID, struct{}{})
	b.acp.notify("session/cancel", map[string]any{"sessionId": b.session})
	b.turn.cancelled = true
	for _, r := range b.openRequests() {
		if !r.background {
			r.drop()
		}
	}
	b.dropUnplaced()
	b.settle()
}
