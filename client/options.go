package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Options say which agent to start and how. With the zero value, or nil, the session starts the kimi that is found on
// this machine. It runs in the current directory, with the configuration, credentials, tools, skills and MCP servers
// that "kimi" would have in a terminal there.
type Options struct {
	// Executable is the kimi to run: a path, or a name on PATH. Default: KIMI_PATH; then kimi, kimi-cli or kimi-agent
	// on PATH; then kimi in ~/.local/bin and ~/.kimi-code/bin, and in the folders of these tools, in this order: uv,
	// npm, pnpm, bun, volta, mise, asdf, nvm, fnm. Info.FoundBy says where it was found. On Windows, a .cmd file of
	// npm or pnpm is replaced by the node and the script that it runs. Any other batch file gives an
	// [*IncompatibleError].
	Executable string
	// ExtraArgs are added to kimi's arguments. Default: none.
	ExtraArgs []string
	// Env is added to this program's environment. It replaces variables of the same name; an empty value removes the
	// variable. Default: none.
	Env map[string]string
	// ModifyCmd may change the command before it starts. The library sets the pipes and the process group after that.
	// Default: nil.
	ModifyCmd func(*exec.Cmd)
	// Transport replaces the child process. Default: nil, which means a child process.
	Transport Transport
	// Server is a server of Kimi Code 2.x that runs elsewhere. The library starts and stops nothing there, and reads
	// no file of that machine. The server uses its own configuration. WorkDir must be set. WorkDir and AddDirs are
	// absolute paths of that machine. Tools, Hooks, and options that need a program or files on this machine give an
	// [*OptionError] with [ErrUnsupported]. Close cancels the running turn, but not background tasks of the agent. If
	// the connection is lost, the library tries to connect again for 2 minutes. Default: nil, which means a kimi of
	// this machine.
	Server *Server

	// WorkDir is the directory that the agent works in. Default: the current directory.
	WorkDir string
	// AddDirs are further directories that the agent may use. Default: none.
	AddDirs []string
	// ShareDir is the folder in which kimi keeps its configuration, sessions and logs. Default: KIMI_SHARE_DIR of the
	// environment, or ~/.kimi; for Kimi Code 2.x KIMI_SHARE_DIR, or KIMI_CODE_HOME, or ~/.kimi-code.
	ShareDir string
	// SessionID is the id of the session to start. If a session with this id exists, it is continued. Kimi Code 2.x
	// makes ids of its own, which [Session.ID] returns, but it also continues a session by this id. Default: a new
	// UUID.
	SessionID string

	// Config is the configuration as an object. kimi reads it from a temporary file. As with a file, the variables
	// KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME override it for a provider of type kimi, and the log says so. To
	// prevent that, set them to "" in Env. Default: nil.
	Config *config.Config
	// ConfigFile is the configuration file. It is TOML, or JSON if its name ends in .json. Default: config.toml in
	// ShareDir.
	ConfigFile string
	// Model is the name of a model of the configuration. Default: its default_model. A session of Kimi Code that is
	// continued keeps its last model instead, if the configuration still has it and no KIMI_MODEL_NAME is set.
	Model string
	// Thinking turns thinking on or off. Default: nil, the configuration's default_thinking. A session of Kimi Code that
	// is continued keeps its last effort instead.
	Thinking *bool
	// Effort is how much the model thinks: "on", "off" or, with Kimi Code, an effort that the model offers
	// (Model.Efforts), such as "high". If the model does not offer it, the start fails. Default: "", which means that
	// Thinking decides.
	Effort string

	// Yolo approves everything that the agent wants to do. Without Yolo, kimi-cli asks, unless the user's configuration
	// sets default_yolo; Status.Approvals shows that. If a session keeps a mode without questions, it is then not
	// continued ([ErrUnasked]). Even with Yolo, Kimi Code 2.x asks before some commands that it considers dangerous.
	// Default: false.
	Yolo bool
	// AFK tells kimi that no user is present: kimi then approves everything and asks no questions. kimi-cli stores this
	// with the session, which can then only be continued with AFK or Yolo. Default: false.
	AFK bool
	// SlashCommands lets a prompt that begins with a slash be a command of kimi, such as /compact. Some commands turn
	// approvals off for the session, also after a resume (/yolo, /afk), or give access to directories (/add-dir). Set
	// it only if the people who write the prompts may do that. Default: false, which means that such a prompt is text
	// for the model.
	SlashCommands bool
	// Plan starts a new session in plan mode. Default: false.
	Plan bool

	// Agent is a built-in agent, "default" or "okabe". Default: "default".
	Agent string
	// AgentFile is an agent specification: kimi-cli's YAML or, for Kimi Code 2.x, also its own Markdown. In Kimi
	// Code, the first prompt of a session sets the agent of the session. If you continue the session, it keeps the
	// system prompt, and a prompt fails if the file names other tools or subagents. Subagents are found by name; an
	// agent file of the project with the same name is used first. Default: none.
	AgentFile string
	// MCPConfigFiles are files of MCP servers. They replace mcp.json in ShareDir. Default: none.
	MCPConfigFiles []string
	// MCPServers are MCP servers by name, in addition to those of the files. Default: none.
	MCPServers map[string]config.MCPServer
	// SkillsDirs are directories of skills. They replace those that kimi finds. Kimi Code 2.x still uses the skills of
	// the project and of ~/.agents/skills, and uses these first. Default: none.
	SkillsDirs []string

	// MaxStepsPerTurn limits the steps of a turn. Default: 0, the limit of the configuration (1000).
	MaxStepsPerTurn int
	// MaxRetriesPerStep limits the attempts of a step. Default: 0, the limit of the configuration (3, or 10 in Kimi
	// Code 2.x; ten attempts take minutes).
	MaxRetriesPerStep int
	// MaxRalphIterations lets the agent continue by itself after a turn, this many times; -1 means without a limit.
	// Default: nil, which means the number in the configuration (0).
	MaxRalphIterations *int

	// Approve answers requests for approval by calling a method of the request. If it returns without an answer, the
	// request is rejected. Each call has its own goroutine. ctx ends with the turn and with Close. Approve runs at the
	// same time as the loop, which gets the request as a plain *wireproto.ApprovalRequest. Default: nil, which means
	// that the loop answers.
	Approve func(context.Context, *ApprovalRequest) error
	// Answer answers questions, as Approve does for approvals. If it returns without an answer, the question is
	// dismissed. Default: nil, which means that the loop answers if SupportsQuestion is set.
	Answer func(context.Context, *QuestionRequest) error
	// SupportsQuestion tells the agent that the loop answers questions. Default: false; Answer implies it.
	SupportsQuestion bool
	// SupportsPlanMode lets the agent enter and leave plan mode by itself. The agent asks a question before it does
	// so. Default: false.
	SupportsPlanMode bool

	// Tools are Go functions that the agent may call; see NewTool. Default: none.
	Tools []Tool
	// Hooks decide about actions of the agent. A hook that fails blocks the action. Default: none.
	Hooks []Hook
	// OnMessage receives the messages that arrive while no turn runs, one at a time. It also gets the requests of a
	// background agent that come while a turn is being cancelled. If it neither answers nor holds a request before it
	// returns, the request is rejected. While OnMessage is busy, up to 1 MiB of messages waits for it. Later messages
	// are dropped and logged, and requests among them are rejected. The session itself does not wait, so OnMessage may
	// start turns. Default: nil, which means that requests are rejected.
	OnMessage func(wireproto.Message)

	// Observer receives turns, steps, tool calls, approvals, retries, and the start and end of the process, with times
	// and tokens. Default: nil.
	Observer Observer
	// Limits cancel a turn when one of them is used up. Default: none.
	Limits Limits
	// SessionLimits are limits for all turns of the Session together. Default: none.
	SessionLimits Limits

	// Record receives a recording of both directions, for clienttest.Replay. It contains prompts, files and outputs.
	// Known secrets of 8 bytes or more are replaced by ***. Known are the secrets in the environment, in Config,
	// MCPServers and ExtraArgs, and in kimi's configuration, mcp.json and logins at the start of the session. They are
	// found by their names and places. Every text that looks like a bearer token, an sk-… key or a private key is
	// replaced, too. Parts of a secret are not found. A secret is found as it is, in JSON, in URLs, in base64 and in
	// wrapped lines, but in no other encoding.
	//
	// A separate goroutine writes to Record, so Record never slows down the session. If more than 128 MiB wait for it,
	// the recording ends. Close waits for the rest to be written, at most for StopGrace. Close returns the error of
	// Record, or says that the recording is incomplete. Nothing is written after Close. Default: nil.
	Record io.Writer
	// Logger receives warnings and notes that are not errors. It must not block. Default: nil, which means no log.
	Logger *slog.Logger
	// Stderr receives the agent's standard error as it comes. Default: nil. With and without Stderr, errors contain the
	// end of it.
	Stderr io.Writer

	// Restart continues the session in a new process if kimi has ended by itself. The turn that ran still ends with
	// the error. It is not tried again, because it is not known how far it came. Turns that wait begin in the new
	// process. The stream of the next turn begins with a Notification of the Type [NotificationRestarted]. PID
	// changes; Done and Err are not affected. Background tasks of kimi end. The library starts at most three new
	// processes in a row without a finished turn. If kimi then ends again, or if a new process does not continue the
	// session, the session is over. Default: false.
	Restart bool

	// StartTimeout limits the time from the start to the end of the handshake, and the time of Inspect. kimi needs a
	// second or more of processor time to start, and much longer if several start at once. Default: 2 minutes.
	StartTimeout time.Duration
	// IdleTimeout ends a turn with [ErrIdle] if the agent sends nothing for this time. The time does not run while a
	// handler of this program runs or a request waits for its answer. But in a turn that is being cancelled, it runs
	// always. Default: 0, which means no limit.
	IdleTimeout time.Duration
	// StopGrace limits three waits. Close waits this long before it kills the agent, and this long for handlers. A
	// turn that is being cancelled waits this long before the agent is killed. Default: 5 s.
	StopGrace time.Duration
	// MaxLine is the longest line that is read from the agent, in bytes. A longer line is skipped and logged.
	// Default: 100 MiB.
	MaxLine int
}

// String names the fields that are set. In values of Env, of ExtraArgs and of the configuration, everything that may be
// secret appears as ***. Every verb of fmt, log/slog and encoding/json shows the same text.
func (o Options) String() string { return show(o) }

// Format implements [fmt.Formatter]: every verb prints [Options.String].
func (o Options) Format(f fmt.State, _ rune) { io.WriteString(f, o.String()) }

// MarshalText implements [encoding.TextMarshaler] with [Options.String]. encoding/json uses it, too.
func (o Options) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// LogValue implements [slog.LogValuer] with [Options.String].
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// ownedFlags are flags of kimi that may not be in ExtraArgs, because this package sets them itself or because they
// change the program that it talks to. Each has a text that says what to use instead.
var ownedFlags = map[string]string{
	"--wire": "nothing, it is always set", "--print": "Prompt", "--quiet": "Prompt", "--acp": "nothing, the protocol is Wire",
	"--session": "Options.SessionID", "--resume": "ResumeSession", "-S": "Options.SessionID", "-r": "ResumeSession",
	"--continue": "ResumeSession", "-C": "ResumeSession", "--work-dir": "Options.WorkDir", "-w": "Options.WorkDir",
	"--yolo": "Options.Yolo", "--yes": "Options.Yolo", "-y": "Options.Yolo", "--auto-approve": "Options.Yolo", "--afk": "Options.AFK",
	"--prompt": "Session.Prompt", "-p": "Session.Prompt", "--command": "Session.Prompt", "-c": "Session.Prompt",
}

// Validate returns an error that names every contradiction in o. nil is valid.
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("client: options: "+format, args...)) }
	both := func(a string, isA bool, b string, isB bool, why string) {
		if isA && isB {
			bad("%s and %s together: %s", a, b, why)
		}
	}
	both("Config", o.Config != nil, "ConfigFile", o.ConfigFile != "", "set one")
	both("Agent", o.Agent != "", "AgentFile", o.AgentFile != "", "set one")
	both("Effort", o.Effort != "", "Thinking", o.Thinking != nil, "set one")
	both("Yolo", o.Yolo, "Approve", o.Approve != nil, "nothing would be asked; unset one")
	both("AFK", o.AFK, "Approve", o.Approve != nil, "nothing would be asked; unset one")
	both("AFK", o.AFK, "Answer", o.Answer != nil, "no question would be asked; unset one")
	both("AFK", o.AFK, "SupportsQuestion", o.SupportsQuestion, "no question would be asked; unset one")
	both("Config.DefaultYolo", o.Config != nil && o.Config.DefaultYolo, "Approve", o.Approve != nil, "nothing would be asked; unset one")
	both("Transport", o.Transport != nil, "ModifyCmd", o.ModifyCmd != nil, "there is no command to modify; unset one")
	if o.Server != nil {
		errs = append(errs, o.validateServer()...)
	}
	if o.SupportsPlanMode && o.Answer == nil && !o.SupportsQuestion {
		bad("SupportsPlanMode needs Answer or SupportsQuestion: plan mode is entered and left by a question")
	}
	if o.Config != nil {
		if err := o.Config.Validate(); err != nil {
			bad("Config: %w", err)
		}
	}
	if o.SessionID != "" {
		if err := validSessionID(o.SessionID); err != nil {
			bad("SessionID: %w", err)
		}
	}
	if strings.HasPrefix(o.Model, "-") {
		bad("Model %.40q starts with a dash", o.Model)
	}
	if strings.HasPrefix(o.Effort, "-") || o.Effort != strings.TrimSpace(o.Effort) {
		bad("Effort %.40q starts with a dash or has spaces around it", o.Effort)
	}
	for key, value := range o.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.Contains(value, "\x00") {
			bad("Env: %.40q cannot be a variable", key)
		}
	}
	for _, arg := range o.ExtraArgs {
		flag, _, _ := strings.Cut(arg, "=")
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			flag = arg[:2] // a short flag with its value, such as -Svalue
		}
		if instead, owned := ownedFlags[flag]; owned {
			bad("ExtraArgs: %s cannot be used here; use %s", flag, instead)
		}
	}
	if err := config.ValidateMCP(o.MCPServers); err != nil {
		bad("MCPServers: %w", err)
	}
	names := make(map[string]bool)
	for i, t := range o.Tools {
		switch {
		case t.run == nil:
			bad("Tools[%d] was not made by NewTool", i)
		case names[t.name]:
			bad("Tools: two have the name %q", t.name)
		}
		names[t.name] = true
	}
	ids := make(map[string]bool)
	for i, h := range o.Hooks {
		switch {
		case h.Handle == nil:
			bad("Hooks[%d] has no Handle", i)
		case h.Event == "":
			bad("Hooks[%d] has no Event, such as PreToolUse", i)
		case h.Event == "SessionStart" || h.Event == "SessionEnd":
			bad("Hooks[%d]: kimi never sends %s over Wire; do it before NewSession or after Close", i, h.Event)
		case h.Timeout < 0:
			bad("Hooks[%d] has a negative Timeout", i)
		case ids[hookID(i, h)]:
			bad("Hooks: two have the ID %.40q", hookID(i, h))
		}
		ids[hookID(i, h)] = true
		if _, err := regexp.Compile(h.Matcher); err != nil {
			bad("Hooks[%d]: the Matcher %.80q is not a regular expression of Go: %w; \"\" matches all", i, h.Matcher, err)
		}
	}
	for name, n := range map[string]int64{
		"MaxStepsPerTurn": int64(o.MaxStepsPerTurn), "MaxRetriesPerStep": int64(o.MaxRetriesPerStep),
		"StartTimeout": int64(o.StartTimeout), "IdleTimeout": int64(o.IdleTimeout),
		"StopGrace": int64(o.StopGrace), "MaxLine": int64(o.MaxLine),
	} {
		if n < 0 {
			bad("%s is negative", name)
		}
	}
	errs = append(errs, o.Limits.validate("Limits"), o.SessionLimits.validate("SessionLimits"))
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if o.MaxRalphIterations != nil && *o.MaxRalphIterations < -1 {
		bad("MaxRalphIterations is below -1, which means no limit")
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // the order of maps is random
	return errors.Join(errs...)
}

// withDefaults validates o and returns a copy with the defaults that do not depend on the machine.
func (o *Options) withDefaults() (*Options, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d := new(Options)
	if o != nil {
		*d = *o
	}
	d.Tools, d.Hooks = slices.Clone(d.Tools), slices.Clone(d.Hooks) // copies, because the session uses them until its end
	if d.StartTimeout == 0 {
		d.StartTimeout = 2 * time.Minute
	}
	if d.StopGrace == 0 {
		d.StopGrace = 5 * time.Second
	}
	if d.MaxLine == 0 {
		d.MaxLine = wireproto.MaxLine
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d, nil
}

// validSessionID refuses an id that kimi would use in a path without checking it.
func validSessionID(id string) error {
	switch {
	case strings.TrimSpace(id) != id || id == "":
		return fmt.Errorf("session id %.40q is empty or has spaces around it", id)
	case len(id) > 128:
		return errors.New("session id is longer than 128 bytes")
	case strings.ContainsAny(id, `/\`) || strings.HasPrefix(id, ".") || strings.HasPrefix(id, "-") || id != filepath.Base(id):
		return fmt.Errorf("session id %.40q is not a plain name: no slashes, and no dot or dash at the start", id)
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return fmt.Errorf("session id %.40q has control characters", id)
	}
	return nil
}
