package client

import "slices"

// Approvals says what the agent does without asking.
type Approvals struct {
	// All says why every action runs without a question: "Options.Yolo", "Options.AFK", the default_yolo of
	// Options.Config or of the user's configuration file, "/yolo" or "/afk". It is "" if kimi asks about actions. With
	// Options.SlashCommands, the prompts /yolo and /afk turn these modes of kimi-cli on and off. All changes after such
	// a turn.
	All string `json:"all"`
	// Actions are the actions that run without a question because they were approved for the session. They have the
	// names of ApprovalRequest.Action, such as "run command". The program approved them with ApproveForSession in this
	// Session, or in an earlier one: kimi-cli keeps them in the session's state.json. It is nil for Kimi Code.
	Actions []string `json:"actions"`
}

// These commands of kimi-cli turn a mode on and off in which every action runs without a question
// (kimi_cli/soul/slash.py, 1.51.0).
const (
	commandYolo = "/yolo"
	commandAFK  = "/afk"
)

// byOptions returns the approvals that the options alone give.
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

// commanded updates the approvals after a turn whose prompt was a command. If command is "", the prompt was not one. ran is
// false if the turn has failed.
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

// continued updates the approvals for a new process of the session. A command may have turned off the mode of the
// configuration; the new process reads the configuration again, so it runs every action without asking.
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

// approvedForSession stores an action that kimi does not ask about again.
func (s *Session) approvedForSession(action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.status.Approvals.Actions; s.backend.keepsActions() && !slices.Contains(known, action) {
		s.status.Approvals.Actions = append(slices.Clip(known), action) // Clip, because Status has returned the old slice to callers
	}
}
