package acpbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// configOption is one of the settings of a session, such as its model.
type configOption struct {
	ID      string `json:"id"`
	Current string `json:"currentValue"`
	Options []struct {
		Value string `json:"value"`
		Name  string `json:"name"`
	} `json:"options"`
}

// model returns the name of the session's model, "" where none is set.
func (b *Conn) model() string {
	for _, o := range b.options {
		if o.ID == "model" {
			for _, v := range o.Options {
				if v.Value == o.Current {
					return v.Name
				}
			}
			return o.Current
		}
	}
	return ""
}

// opened is the answer to session/new, session/load and session/resume.
type opened struct {
	SessionID string         `json:"sessionId"`
	Options   []configOption `json:"configOptions"`
}

var errNoModel = errors.New("no such model in Kimi Code")

// commandsWait limits the wait for the slash commands, which follow the answer at once.
const commandsWait = time.Second

// hello makes ACP's handshake.
func (b *Conn) hello() error {
	if b.version != "" {
		return nil
	}
	var result struct {
		AgentInfo wireproto.ServerInfo `json:"agentInfo"`
	}
	err := b.call("initialize", map[string]any{
		"protocolVersion":    1,
		"clientInfo":         map[string]string{"name": "kimi-go", "version": "1"},
		"clientCapabilities": map[string]any{"elicitation": map[string]any{"form": struct{}{}}},
	}, &result)
	b.name, b.version = result.AgentInfo.Name, result.AgentInfo.Version
	return err
}

// ensureSession opens the session if it is not open yet.
func (b *Conn) ensureSession() error {
	if b.ready {
		return nil
	}
	if err := b.hello(); err != nil {
		return err
	}
	return b.open()
}

// open opens the session that the command line names, or a new one, and sets it up. What is
// open and not set up must not be used: a mode of old may be in force.
func (b *Conn) open() error {
	if b.session != "" {
		return b.setUp()
	}
	if b.set.noModel {
		return &acpError{Code: codeAuthRequired, method: "session/new", Message: "the configuration names no model, or none with a key"}
	}
	known, err := b.find()
	if err != nil {
		return err
	}
	servers := slices.Clone(b.set.servers)
	if b.tools != nil {
		servers = append(servers, b.tools.server())
	}
	if servers == nil {
		servers = []mcpServer{}
	}
	var o opened
	if known != "" {
		err = b.call("session/resume", map[string]any{"sessionId": known, "cwd": b.set.workDir, "mcpServers": servers}, &o)
		o.SessionID = known
	} else {
		params := map[string]any{"cwd": b.set.workDir, "mcpServers": servers}
		if len(b.set.addDirs) > 0 {
			params["additionalDirectories"] = b.set.addDirs
		}
		err = b.call("session/new", params, &o)
	}
	if err != nil {
		return err
	}
	b.session, b.options, b.unused = o.SessionID, o.Options, known == ""
	b.journal = newJournal(b.set.home, b.session)
	if dir := b.journal.sessionDir(); known == "" && dir != "" && b.set.id != "" {
		if err := os.WriteFile(filepath.Join(dir, aliasFile), []byte(b.set.id), 0o600); err != nil {
			return fmt.Errorf("keep the id %s for the session: %w", b.set.id, err)
		}
	}
	if err := b.setUp(); err != nil {
		return err
	}
	deadline := time.After(commandsWait)
	for b.commands == nil {
		select {
		case m, ok := <-b.acp.messages:
			if !ok {
				return errEnded
			}
			b.message(m)
		case <-deadline:
			return nil
		case <-b.stop:
			return errEnded
		}
	}
	return nil
}

// find returns Kimi Code's id of the session to continue, "" for none. As in kimi-cli, an
// id that is not known begins a session.
func (b *Conn) find() (string, error) {
	if b.set.newest {
		var list struct {
			Sessions []struct {
				ID        string `json:"sessionId"`
				CWD       string `json:"cwd"`
				UpdatedAt string `json:"updatedAt"`
			} `json:"sessions"`
		}
		if err := b.call("session/list", map[string]any{"cwd": b.set.workDir}, &list); err != nil {
			return "", err
		}
		id, at := "", ""
		for _, s := range list.Sessions {
			if s.CWD == b.set.workDir && s.UpdatedAt > at {
				id, at = s.ID, s.UpdatedAt
			}
		}
		if id == "" {
			return "", errors.New("no session to continue in " + b.set.workDir)
		}
		return id, nil
	}
	return FindSession(b.set.home, b.set.workDir, b.set.id), nil
}

// setUp sets model, thinking and mode. The mode is set always, since kimi tells "default" also of a session in which
// another is in force: one that is resumed, or a new one where the user's default_permission_mode says so.
func (b *Conn) setUp() error {
	option := func(id, value string) error {
		var now opened
		err := b.call("session/set_config_option", map[string]any{"sessionId": b.session, "configId": id, "value": value}, &now)
		if err == nil {
			b.options = now.Options
		}
		return err
	}
	if b.set.model != "" {
		var e *acpError
		switch err := option("model", b.set.model); {
		case errors.As(err, &e):
			return fmt.Errorf("%w: %.80q; name one of its config.toml, or set KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME instead", errNoModel, b.set.model)
		case err != nil:
			return err
		}
	}
	if b.set.thinking != nil {
		value := "off"
		if *b.set.thinking {
			value = "on"
		}
		for _, o := range b.options {
			if o.ID == "thinking" && o.Current != value {
				if err := option("thinking", value); err != nil && *b.set.thinking {
					return err // a model that always thinks cannot be stopped from it
				}
			}
		}
	}
	if err := b.setMode(b.set.plan); err != nil {
		return err
	}
	b.ready = true
	return nil
}

// setMode switches plan mode on or off and puts the mode of the command line in force.
func (b *Conn) setMode(plan bool) error {
	modes := []string{b.set.mode}
	if plan {
		modes = []string{"default", "plan"} // kimi refuses the plan mode that is on already
	}
	for _, mode := range modes {
		if err := b.call("session/set_mode", map[string]any{"sessionId": b.session, "modeId": mode}, nil); err != nil {
			return err
		}
	}
	b.modeSet = time.Now()
	b.suspended = plan && b.set.mode != "default"
	b.setPlan(plan)
	return nil
}

// setPlan notes that plan mode is on or off, and tells the client if it changed.
func (b *Conn) setPlan(on bool) {
	if b.plan != on {
		b.plan = on
		b.emit(&wireproto.StatusUpdate{PlanMode: &on})
	}
}

// slashName returns the name of the slash command that a prompt consists of, "" for none.
func slashName(text string) string {
	rest, ok := strings.CutPrefix(text, "/")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 || strings.Contains(fields[0], "/") {
		return ""
	}
	return fields[0]
}

// jsonText returns JSON as it was sent, "" for none.
func jsonText(raw json.RawMessage) string {
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}
