package client

import "slices"

// Approvals says what the agent does without asking.
type Approvals struct {
	// All says why everything runs unasked: "Options.Yolo", "Options.AFK", the default_yolo of Options.Config or of the
	// user's configuration file, or "/yolo" or "/afk": with Options.SlashCommands, a prompt of kimi-cli can turn these
	// modes on and off. All shows that after the turn. It is "" if kimi asks about actions.
	All string `json:"all"`
	// Actions are the actions that run without a question because they were approved for the session. They have the
	// names of ApprovalRequest.Action, such as "run command". The program approved them with ApproveForSession in this
	// Session, or in an earlier one: kimi-cli keeps them in the session's state.json. It is nil for Kimi Code.
	Actions []string `json:"actions"`
}

// The commands of kimi-cli that turn on and off a mode in which everything runs unasked
// (kimi_cli/soul/slash.py, 1.51.0).
const (
	commandYolo = "/yolo"
	commandAFK  = "/afk"
)

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

// setApprovals stores which actions run without a question. It logs a warning about those that the options do not
// allow.
func (s *Session) setApprovals(a Approvals) {
	s.mu.Lock()
	s.status.Approvals = a
	s.mu.Unlock()
	if a.All != s.opts.byOptions().All {
		s.opts.Logger.Warn("client: the agent runs every action without asking", "because", a.All)
	}
	if len(a.Actions) > 0 {
		s.opts.Logger.Warn("client: the session keeps earlier approvals; these actions run unasked", "actions", a.Actions)
	}
}

// commanded notes what a turn with a command has changed. ran is false if the turn has failed.
func (s *Session) commanded(command string, ran bool) {
	if command == "" {
		return
	}
	before := s.Status().Approvals
	after := s.backend.commanded(s, command, ran, before)
	s.mu.Lock()
	s.status.Approvals.All = after.All
	s.mu.Unlock()
	if after.All != before.All {
		s.opts.Logger.Warn("client: a command has changed what runs unasked", "because", after.All)
	}
}

// continued notes that a new process of a session that asks does not ask: a command had turned off the mode of the
// configuration, which the new process reads again.
func (s *Session) continued(a Approvals) {
	s.mu.Lock()
	again := s.status.Approvals.All == "" && a.All != ""
	if again {
		s.status.Approvals.All = a.All
	}
	s.mu.Unlock()
	if again {
		s.opts.Logger.Warn("client: the agent runs every action without asking", "because", a.All)
	}
}

// approvedForSession notes an action that is not asked about again.
func (s *Session) approvedForSession(action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.status.Approvals.Actions; s.backend.keepsActions() && !slices.Contains(known, action) {
		s.status.Approvals.Actions = append(slices.Clip(known), action) // Clip, because Status has returned the old slice to callers
	}
}
