package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Errors to test for with [errors.Is].
var (
	ErrClosed          = errors.New("client: session is closed; start another, or continue it with ResumeSession")
	ErrBusy            = errors.New("client: a turn is running; read it to its end or cancel it first")
	ErrReading         = errors.New("client: another loop reads this turn; range over Messages in one place, and wait elsewhere with Result")
	ErrNoTurn          = errors.New("client: no turn is running")
	ErrNoApprover      = errors.New("client: no one can approve what the agent wants to do; set Options.Yolo or Options.Approve, or use NewSession and answer in the loop")
	ErrAnswered        = errors.New("client: the request has been answered already")
	ErrCancelled       = errors.New("client: the turn was cancelled")
	ErrMaxSteps        = errors.New("client: the turn reached the limit of steps; raise Options.MaxStepsPerTurn or prompt again to go on")
	ErrSessionNotFound = errors.New("client: no such session; ListSessions lists those of a work dir")
	ErrLLMNotSet       = errors.New("client: no model is set; " + howToSetModel)
	ErrLLMNotSupported = errors.New("client: the model cannot do this; choose a model that has the named capability")
	ErrProvider        = errors.New("client: the model's provider failed")
	ErrAuthExpired     = errors.New("client: the login has expired; run \"kimi login\"")
	ErrIdle            = errors.New("client: the agent has been silent for Options.IdleTimeout")
	ErrLimit           = errors.New("client: a limit of Options.Limits or Options.SessionLimits is used up")
	ErrInUse           = errors.New("client: the session is open elsewhere; close it there first")
	ErrUnasked         = errors.New("client: the session lets everything run without asking, but the options do not allow that")
	ErrUnsupported     = errors.New("client: this agent cannot do that")
	ErrOutcomeUnknown  = errors.New("client: the turn ended, and Kimi Code does not say how; look at what it has done before you go on")
)

const howToSetModel = `run "kimi login", name a default_model in the configuration, or set KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME together`

// ProcessError says how the agent's process ended. Unless Close was called, every end is an error, even with exit
// code 0.
type ProcessError struct {
	ExitCode int      `json:"exit_code"` // -1 if a signal ended the process
	Signal   string   `json:"signal"`    // such as "killed"; "" if the process exited by itself
	Stderr   string   `json:"stderr"`    // the last 64 KiB of its standard error
	Args     []string `json:"args"`      // the program and its arguments, without secrets
	// CPU is the processor time of the process and of the children that it has waited for.
	CPU time.Duration `json:"-"`
}

// Error says how the process ended, with the last lines of stderr, and what to do next.
func (e *ProcessError) Error() string {
	hint := e.Hint()
	switch {
	case e.Signal != "" || e.ExitCode == 0:
		hint = "continue with ResumeSession"
	case e.ExitCode == 2:
		hint = "check Options: kimi did not accept its arguments"
	}
	return "client: " + e.What() + "; " + hint
}

// What says how the process ended, with the last lines of stderr.
func (e *ProcessError) What() string {
	var b strings.Builder
	program := "kimi"
	if len(e.Args) > 0 {
		program = e.Args[0]
	}
	if e.Signal != "" {
		fmt.Fprintf(&b, "%s was ended by a signal (%s)", program, e.Signal)
	} else {
		fmt.Fprintf(&b, "%s ended with exit code %d", program, e.ExitCode)
	}
	if tail := lastLines(e.Stderr, 8, 1000); tail != "" {
		fmt.Fprintf(&b, "; the end of its output: %s", tail)
	}
	return b.String()
}

// Hint says what to do next.
func (e *ProcessError) Hint() string {
	switch {
	case e.Signal != "" || e.ExitCode == 0:
		return "go on with the session"
	case e.ExitCode == 2:
		return "kimi did not accept its arguments: it may be older than kimi-cli 1.51.0"
	}
	return "see logs/kimi.log in kimi's share dir"
}

// lastLines returns the last lines of s that are not blank: at most n lines and max bytes.
func lastLines(s string, n, max int) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	s = strings.Join(lines[len(lines)-min(len(lines), n):], "\n")
	if len(s) > max {
		s = "…" + strings.ToValidUTF8(s[len(s)-max:], "")
	}
	return s
}

// NotFoundError says that no kimi was found, and where this package has searched.
type NotFoundError struct {
	Tried []string `json:"tried"`
}

// Error names the places and says how to install kimi.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("client: kimi not found (tried %s); install it with %q or %q, add it to PATH, or set Options.Executable or KIMI_PATH",
		strings.Join(e.Tried, ", "), installKimiCode, installCommand)
}

// StartError says why a kimi that was found did not start. Err is how its process ended, the error with which kimi
// answered, or the cause of the ctx that ended the start.
type StartError struct {
	Path   string        `json:"path"`   // the path of the program
	Reason string        `json:"reason"` // what prevents the start
	Remedy string        `json:"remedy"` // what to do about it; "" if that is not known
	Limit  time.Duration `json:"-"`      // Options.StartTimeout if the start took longer, otherwise 0
	Err    error         `json:"-"`
}

// Error names the program, what went wrong and what to do.
func (e *StartError) Error() string {
	text := "client: start " + e.What()
	remedy := e.Remedy
	if e.Limit > 0 {
		remedy += fmt.Sprintf(", or raise Options.StartTimeout (%v)", e.Limit)
	}
	if remedy != "" {
		text += "; " + remedy
	}
	return text
}

// What names the program and what went wrong.
func (e *StartError) What() string {
	if e.Limit > 0 {
		return fmt.Sprintf("%s: no answer within %v: %s", e.Path, e.Limit, e.Reason)
	}
	return e.Path + ": " + e.Reason
}

// Hint returns Remedy.
func (e *StartError) Hint() string { return e.Remedy }

// Unwrap returns Err. The text of the StartError already has the important part of it.
func (e *StartError) Unwrap() error { return e.Err }

// OptionError says what is wrong with the value of a field of Options.
type OptionError struct {
	Option string `json:"option"` // the field, such as "WorkDir"
	Reason string `json:"reason"`
	Remedy string `json:"remedy"` // what to do about it
	Err    error  `json:"-"`      // the cause, such as an error of the system; may be nil
}

// Error names the field, what is wrong and what to do.
func (e *OptionError) Error() string {
	return "client: Options." + e.Option + ": " + e.Reason + "; " + e.Remedy
}

// Hint returns Remedy.
func (e *OptionError) Hint() string { return e.Remedy }

// Unwrap returns Err. The text of the OptionError already has its content.
func (e *OptionError) Unwrap() error { return e.Err }

// caused is an error with its cause, in one sentence. The package name appears once, at the start.
type caused struct{ error, cause error }

func because(err, cause error) error { return &caused{err, cause} }

func (e *caused) Error() string {
	return e.error.Error() + ": " + strings.TrimPrefix(e.cause.Error(), "client: ")
}

func (e *caused) Unwrap() []error { return []error{e.error, e.cause} }

// IncompatibleError says that this package cannot drive the program that was found.
type IncompatibleError struct {
	Path   string `json:"path"`
	Found  string `json:"found"`  // what the program is
	Want   string `json:"want"`   // what is needed
	Remedy string `json:"remedy"` // what to do
	Err    error  `json:"-"`      // how its start failed, a [*ProcessError]; nil if it was not started
}

// Unwrap returns Err. The text of the IncompatibleError does not have its content.
func (e *IncompatibleError) Unwrap() error { return e.Err }

// Hint returns Remedy.
func (e *IncompatibleError) Hint() string { return e.Remedy }

// Error says what was found, what is needed and what to do.
func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("client: %s is %s, but this needs %s; %s", e.Path, e.Found, e.Want, e.Remedy)
}

const (
	installCommand  = "uv tool install --python 3.13 kimi-cli==1.51.0"
	installKimiCode = "npm install -g @moonshot-ai/kimi-code"
	wantKimi        = "Kimi Code 2.x, or kimi-cli 1.0 to 1.51"
)

// rpcError returns an error answer together with the sentinel error of its code. Code -32000 has three meanings; the
// method says which one applies.
func rpcError(e *wireproto.RPCError) error {
	var kind error
	switch e.Code {
	case wireproto.CodeInvalidState:
		switch e.Method {
		case wireproto.MethodCancel, wireproto.MethodSteer:
			kind = ErrNoTurn
		case wireproto.MethodSetPlanMode:
			kind = ErrUnsupported
		default:
			kind = ErrBusy
		}
	case wireproto.CodeLLMNotSet:
		kind = ErrLLMNotSet
	case wireproto.CodeLLMNotSupported:
		kind = ErrLLMNotSupported
	case wireproto.CodeChatProviderError:
		kind = ErrProvider
	case wireproto.CodeAuthExpired:
		kind = ErrAuthExpired
	case wireproto.CodeMethodNotFound:
		kind = ErrUnsupported
	case wireproto.CodeOutcomeUnknown:
		kind = ErrOutcomeUnknown
	default:
		return byArgument(e, fmt.Errorf("client: %w", e))
	}
	return byArgument(e, fmt.Errorf("%w: %w", kind, e))
}
