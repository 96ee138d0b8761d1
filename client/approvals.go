package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/regular"
)

// Approvals tells what the agent does without asking. A slash command that Options.SlashCommands lets
// through can change that, which is not seen here.
type Approvals struct {
	// All says why everything runs unasked: "Options.Yolo", "Options.AFK", the default_yolo of Options.Config or of
	// the user's configuration file. "" where actions are asked about.
	All string
	// Actions are those approved for the session, as ApprovalRequest.Action names them ("run command"): before it was
	// resumed, which kimi-cli keeps in the session's state.json, or by ApproveForSession since. nil for Kimi Code.
	Actions []string
}

// byOptions is what the options say.
func (o *Options) byOptions() (a Approvals) {
	switch {
	case o.AFK:
		a.All = "Options.AFK"
	case o.Yolo:
		a.All = "Options.Yolo"
	}
	return a
}

// approvals finds out what will run unasked in a session of kimi-cli, and refuses to continue one that
// would not ask although the options say so. kimi adds what the session keeps to its flags, and no flag takes
// it back (kimi_cli/soul/agent.py, 1.51.0).
func (l *launch) approvals(id string) (Approvals, error) {
	o := l.opts
	kept, err := l.keptApprovals(id)
	if err != nil {
		return Approvals{}, err
	}
	a := o.byOptions()
	if a.Actions = kept.Actions; a.All == "" {
		a.All = l.defaultYolo()
	}
	refuse := func(mode, option, command string) (Approvals, error) {
		return Approvals{}, fmt.Errorf("%w: session %q keeps %s mode; set Options.%s if that is wanted, "+
			"or turn it off: continue the session with Options.%s and SlashCommands, and prompt %q", ErrUnasked, id, mode, option, option, command)
	}
	switch asks := o.Answer != nil || o.SupportsQuestion; {
	case kept.AFK && !o.AFK && (a.All == "" || asks):
		return refuse("afk", "AFK", "/afk")
	case kept.Yolo && a.All == "":
		return refuse("yolo", "Yolo", "/yolo")
	}
	return a, nil
}

// kept is what a session of kimi-cli keeps (ApprovalStateData of kimi_cli/session_state.py, 1.51.0).
type kept struct {
	Yolo, AFK bool
	Actions   []string
}

// keptApprovals reads the state of a session; the zero value stands for one that is not there, or that kimi
// cannot read and starts without.
func (l *launch) keptApprovals(id string) (kept, error) {
	data, err := regular.Read(filepath.Join(l.sessionsDir(), id, "state.json"), maxState)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // a file in the way: kimi will not start either
		return kept{}, nil
	}
	if err != nil {
		return kept{}, fmt.Errorf("client: session %q: its approvals are not known: %w", id, err)
	}
	var state struct {
		Approval struct {
			Yolo    any   `json:"yolo"` // kimi takes 1 and "yes" for true, too
			AFK     any   `json:"afk"`
			Actions []any `json:"auto_approve_actions"`
		} `json:"approval"`
	}
	if json.Unmarshal(data, &state) != nil {
		return kept{}, nil
	}
	on := func(v any) bool { return v != nil && v != false }
	k := kept{Yolo: on(state.Approval.Yolo), AFK: on(state.Approval.AFK)}
	for _, v := range state.Approval.Actions {
		if action, ok := v.(string); ok {
			k.Actions = append(k.Actions, action)
		}
	}
	slices.Sort(k.Actions)
	return k, nil
}

// defaultYolo names the configuration that lets everything run unasked, "" for none.
func (l *launch) defaultYolo() string {
	cfg, name := l.opts.Config, "Options.Config"
	switch { // what is wrong with a file, kimi tells
	case cfg != nil:
	case l.opts.ConfigFile != "":
		name = l.opts.ConfigFile
		cfg, _ = config.Load(l.configPath())
	default:
		name = l.configPath()
		cfg, _ = config.LoadDir(l.shareDir)
	}
	if cfg == nil || !cfg.DefaultYolo {
		return ""
	}
	return "default_yolo of " + name
}

// setApprovals notes what runs unasked, and logs what the options do not say.
func (s *Session) setApprovals(a Approvals) {
	s.mu.Lock()
	s.status.Approvals = a
	s.mu.Unlock()
	if a.All != s.opts.byOptions().All {
		s.opts.Logger.Warn("client: the agent asks for nothing", "because", a.All)
	}
	if len(a.Actions) > 0 {
		s.opts.Logger.Warn("client: the session keeps approvals of before; these actions run unasked", "actions", a.Actions)
	}
}

// approvedForSession notes an action that kimi-cli asks about no more.
func (s *Session) approvedForSession(action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.status.Approvals.Actions; s.server.Bridge == nil && !slices.Contains(known, action) {
		s.status.Approvals.Actions = append(slices.Clip(known), action) // Status has given the slice out
	}
}
