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

// Options says which agent to start and how. The zero value, and nil, start the kimi
// that is found on this machine as "kimi" in the current directory would: with the same
// configuration, credentials, tools, skills and MCP servers.
type Options struct {
	// Executable is the kimi to run, a path or a name on PATH. Default: KIMI_PATH, then kimi, kimi-cli
	// or kimi-agent on PATH, then kimi in ~/.local/bin and ~/.kimi-code/bin, and where these install programs, in
	// this order: uv, npm, pnpm, bun, volta, mise, asdf, nvm, fnm. Info.FoundBy tells. On Windows a .cmd of
	// npm or pnpm stands for the node and the script that it runs; any other batch file gives [*IncompatibleError].
	Executable string
	// ExtraArgs are added to kimi's arguments. Default: none.
	ExtraArgs []string
	// Env is laid over this program's environment; an empty value unsets. Default: none.
	Env map[string]string
	// ModifyCmd may change the command before it starts; its pipes and its process group are set
	// afterwards. Default: nil.
	ModifyCmd func(*exec.Cmd)
	// Transport replaces the child process. Default: nil, a child process.
	Transport Transport
	// Server is a server of Kimi Code 2.x that runs elsewhere. Nothing is started or stopped, no file of its machine is
	// read, and its configuration holds. WorkDir must be set and, as AddDirs, is an absolute path of that machine. Options
	// that need a program or files on this machine, Tools and Hooks give an [*OptionError] with [ErrUnsupported]. Close
	// cancels the turn that runs; what the agent has in the background goes on. A connection that is lost is made again for
	// 2 minutes. Default: nil, a kimi of this machine.
	Server *Server

	// WorkDir is the directory that the agent works in. Default: the current directory.
	WorkDir string
	// AddDirs are further directories that the agent may use. Default: none.
	AddDirs []string
	// ShareDir is where kimi keeps configuration, sessions and logs (KIMI_SHARE_DIR). Default:
	// the environment's, else ~/.kimi, or for Kimi Code 2.x KIMI_CODE_HOME, else ~/.kimi-code.
	ShareDir string
	// SessionID is the id of the session to start; one that exists is continued. Default: a new UUID.
	// Kimi Code 2.x makes ids of its own, which Session.ID returns; it continues a session by this one too.
	SessionID string

	// Config is the configuration as an object; kimi reads it from a temporary file. As in a file, for a
	// provider of type kimi the variables KIMI_BASE_URL, KIMI_API_KEY and KIMI_MODEL_NAME override it, which
	// is logged; set them to "" in Env to prevent that. Default: nil.
	Config *config.Config
	// ConfigFile is the configuration file, TOML, or JSON by its suffix. Default: config.toml in ShareDir.
	ConfigFile string
	// Model is the name of a model of the configuration. Default: its default_model.
	Model string
	// Thinking turns thinking on or off. Default: nil, the configuration's default_thinking.
	Thinking *bool
	// Effort is how hard the model thinks: "on", "off" or, on Kimi Code, what the model itself offers (Model.Efforts),
	// such as "high". What it does not offer is an error of the start. Default: "", Thinking decides.
	Effort string

	// Yolo approves whatever the agent wants to do. Without it, kimi-cli asks unless the user's configuration says
	// default_yolo, which Status.Approvals tells; a session that keeps a mode without questions is not continued
	// (ErrUnasked). Kimi Code 2.x asks nevertheless before some commands that it takes for dangerous. Default: false.
	Yolo bool
	// AFK tells kimi that no one is there: it approves everything and asks no questions. kimi-cli keeps this with the
	// session: it is continued with AFK, or Yolo, only. Default: false.
	AFK bool
	// SlashCommands lets a prompt that begins with a slash be a command of kimi, such as /compact. Some switch approvals
	// off for the session and for whoever resumes it (/yolo, /afk) or open directories (/add-dir): set it only if
	// whoever writes the prompts may do that. Default: false, such text goes to the model as words.
	SlashCommands bool
	// Plan starts a new session in plan mode. Default: false.
	Plan bool

	// Agent is a built-in agent, "default" or "okabe". Default: "default".
	Agent string
	// AgentFile is an agent specification: kimi-cli's YAML, for Kimi Code 2.x also its own Markdown. Kimi Code binds a session to
	// its agent with the first prompt: a session that is continued keeps the system prompt that it began with, and a prompt
	// fails where the file names other tools or subagents. Subagents go by their names, and a project's own agent file
	// of the same name comes before. Default: none.
	AgentFile string
	// MCPConfigFiles are files of MCP servers, instead of mcp.json in ShareDir. Default: none.
	MCPConfigFiles []string
	// MCPServers are MCP servers by name, besides those of the files. Default: none.
	MCPServers map[string]config.MCPServer
	// SkillsDirs are directories of skills, instead of those that kimi finds. Kimi Code 2.x uses those of the project and of
	// ~/.agents/skills nevertheless, and they come before. Default: none.
	SkillsDirs []string

	// MaxStepsPerTurn limits the steps of a turn. Default: 0, the configuration's (1000).
	MaxStepsPerTurn int
	// MaxRetriesPerStep limits the attempts of a step. Default: 0, the configuration's (3; 10 in Kimi Code
	// 2.x, which take minutes).
	MaxRetriesPerStep int
	// MaxRalphIterations lets the agent go on by itself after a turn, -1 for ever. Default: nil, the
	// configuration's (0).
	MaxRalphIterations *int

	// Approve answers approval requests, each in a goroutine of its own, by a method of the request;
	// returning without an answer rejects. ctx ends with the turn and with Close. It runs at the same time as the loop, which then sees
	// the request as a plain *wireproto.ApprovalRequest. Default: nil, the loop answers.
	Approve func(context.Context, *ApprovalRequest) error
	// Answer answers questions, as Approve does; returning without an answer dismisses. Default: nil,
	// the loop answers if SupportsQuestion is set.
	Answer func(context.Context, *QuestionRequest) error
	// SupportsQuestion tells the agent that the loop answers questions. Default: false; Answer implies it.
	SupportsQuestion bool
	// SupportsPlanMode lets the agent enter and leave plan mode, for which it asks questions. Default: false.
	SupportsPlanMode bool

	// Tools are Go functions that the agent may call; see NewTool. Default: none.
	Tools []Tool
	// Hooks decide about what the agent does; they fail closed. Default: none.
	Hooks []Hook
	// OnMessage receives, one at a time, what arrives while no turn runs, and what a background agent asks in
	// a turn that is being cancelled. A request comes live: left unanswered and not held when OnMessage
	// returns, it is rejected. While OnMessage is busy, 1 MiB waits for it; what comes then is dropped and
	// logged, requests are rejected. The session itself does not wait, so OnMessage may start turns.
	// Default: nil, requests are rejected.
	OnMessage func(wireproto.Message)

	// Observer is told of turns, steps, tool calls, approvals, retries and the process, with times and tokens. Default: nil.
	Observer Observer
	// Limits end a turn that has used up one of them. Default: none.
	Limits Limits
	// SessionLimits are those of all turns of the Session together. Default: none.
	SessionLimits Limits

	// Record receives a recording of everything that goes both ways, for clienttest.Replay: prompts, files
	// and outputs are in it. Known secrets of 8 bytes or more are replaced by ***, in whatever form they stand
	// there: those of the environment, of Config, MCPServers and ExtraArgs, of kimi's configuration, mcp.json and
	// logins, as they are when the session starts, found by their names and places. So is what looks like a
	// bearer token, an sk-… key or a private key. A part of a secret, and one that is changed in another way than by
	// JSON, URLs, base64 and line ends, is not recognised. Record is written by a goroutine of its own, and never
	// stalls the session: more than 128 MiB that wait for it end the recording. Close waits for it as long as
	// StopGrace allows, and returns its error, or that the recording is incomplete; nothing is written after
	// Close. Default: nil.
	Record io.Writer
	// Logger receives what is worth a look but no error; it must not block. Default: nil, silent.
	Logger *slog.Logger
	// Stderr receives the agent's standard error as it comes. Default: nil; its tail is kept for errors.
	Stderr io.Writer

	// Restart continues the session in a new process when kimi has ended by itself. The turn that ran ends with the error
	// nevertheless: no one knows how it ended, and it is not tried again. Turns that wait begin in the new process, and the
	// next turn's stream begins with a Notification of the Type [NotificationRestarted]; PID changes, Done and Err know of
	// one session only. What kimi ran in the background is gone. After three ends in a row without a turn that has finished,
	// and where the new process does not continue the session, it is over. Default: false.
	Restart bool

	// StartTimeout limits the time from the start to the handshake's end, and that of Inspect. kimi takes a second
	// or more of processor time to start, and many times that where several start at once. Default: 2 minutes.
	StartTimeout time.Duration
	// IdleTimeout ends a turn with ErrIdle when the agent has sent nothing for so long, while no
	// handler of this program ran and no request waited for its answer. Those of a turn that is being
	// cancelled do not count. Default: 0, no limit.
	IdleTimeout time.Duration
	// StopGrace limits how long Close, and a turn that is being cancelled, waits before the agent is
	// killed, and how long Close waits for handlers. Default: 5 s.
	StopGrace time.Duration
	// MaxLine is the longest line that is read from the agent, in bytes; a longer one is skipped and
	// logged. Default: 100 MiB.
	MaxLine int
}

// String names what is set. Values of Env, of ExtraArgs and of the configuration that may be secret
// are ***, and so they are for every verb of fmt, in log/slog and in encoding/json.
func (o Options) String() string { return show(o) }

// Format implements [fmt.Formatter]: every verb prints [Options.String].
func (o Options) Format(f fmt.State, _ rune) { io.WriteString(f, o.String()) }

// MarshalText implements [encoding.TextMarshaler], and so covers encoding/json, with [Options.String].
func (o Options) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// LogValue implements [slog.LogValuer] with [Options.String].
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// ownedFlags are flags of kimi that this package sets itself or that would change what
// it talks to, each with what to use instead.
var ownedFlags = map[string]string{
	"--wire": "nothing, it is always set", "--print": "Prompt", "--quiet": "Prompt", "--acp": "nothing, the protocol is Wire",
	"--session": "Options.SessionID", "--resume": "ResumeSession", "-S": "Options.SessionID", "-r": "ResumeSession",
	"--continue": "ResumeSession", "-C": "ResumeSession", "--work-dir": "Options.WorkDir", "-w": "Options.WorkDir",
	"--yolo": "Options.Yolo", "--yes": "Options.Yolo", "-y": "Options.Yolo", "--auto-approve": "Options.Yolo", "--afk": "Options.AFK",
	"--prompt": "Session.Prompt", "-p": "Session.Prompt", "--command": "Session.Prompt", "-c": "Session.Prompt",
}

// Validate names every contradiction in o. nil is valid.
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
			flag = arg[:2] // -Svalue
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
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) // maps have no order
	return errors.Join(errs...)
}

// withDefaults returns a validated copy of o with the defaults of what needs no look
// at the machine.
func (o *Options) withDefaults() (*Options, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d := new(Options)
	if o != nil {
		*d = *o
	}
	d.Tools, d.Hooks = slices.Clone(d.Tools), slices.Clone(d.Hooks) // used as long as the session lives
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

// validSessionID refuses what kimi would use as a path unchecked.
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
