package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// Errors to test for with [errors.Is].
var (
	ErrClosed          = errors.New("client: session is closed; start another, or continue it with ResumeSession")
	ErrBusy            = errors.New("client: a turn is running; read it to its end or cancel it first")
	ErrNoTurn          = errors.New("client: no turn is running")
	ErrNoApprover      = errors.New("client: nobody can approve what the agent wants to do; set Options.Yolo or Options.Approve, or use NewSession and answer in the loop")
	ErrAnswered        = errors.New("client: the request has been answered already")
	ErrCancelled       = errors.New("client: the turn was cancelled")
	ErrMaxSteps        = errors.New("client: the turn reached the limit of steps; raise Options.MaxStepsPerTurn or prompt again to go on")
	ErrSessionNotFound = errors.New("client: no such session; ListSessions tells which there are in a work dir")
	ErrLLMNotSet       = errors.New("client: no model is set; run \"kimi login\", name a default_model in the configuration, or set KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME together")
	ErrLLMNotSupported = errors.New("client: the model cannot do this; choose one with the capability that is named")
	ErrProvider        = errors.New("client: the model's provider failed")
	ErrAuthExpired     = errors.New("client: the login has expired; run \"kimi login\"")
	ErrIdle            = errors.New("client: the agent has been silent for Options.IdleTimeout")
	ErrInUse           = errors.New("client: the session is open in a program of this library; close it there first")
	ErrUnasked         = errors.New("client: everything would run unasked, which the options do not say")
	ErrUnsupported     = errors.New("client: this agent cannot do that")
	ErrOutcomeUnknown  = errors.New("client: the turn ended, and Kimi Code does not say how; look at what it has done before you go on")
)

// ProcessError says how the agent's process ended. Unless Close was called, any end
// is an error, also with exit code 0.
type ProcessError struct {
	ExitCode int      // -1 when a signal ended it
	Signal   string   // such as "killed", "" when it exited by itself
	Stderr   string   // the last 64 KiB of its standard error
	Args     []string // program and arguments, without secrets
}

// Error names the end, the last lines of stderr and what to do next.
func (e *ProcessError) Error() string {
	var b strings.Builder
	program := "kimi"
	if len(e.Args) > 0 {
		program = e.Args[0]
	}
	if e.Signal != "" {
		fmt.Fprintf(&b, "client: %s was ended by a signal (%s)", program, e.Signal)
	} else {
		fmt.Fprintf(&b, "client: %s ended with exit code %d", program, e.ExitCode)
	}
	if tail := lastLines(e.Stderr, 8, 1000); tail != "" {
		fmt.Fprintf(&b, "; its last words: %s", tail)
	}
	switch {
	case e.Signal != "":
		b.WriteString("; continue with ResumeSession")
	case e.ExitCode == 2:
		b.WriteString("; check Options, kimi did not take its arguments")
	case e.ExitCode != 0:
		b.WriteString("; run \"kimi-go-demo doctor\" or see logs/kimi.log in kimi's share dir")
	default:
		b.WriteString("; continue with ResumeSession")
	}
	return b.String()
}

// lastLines returns at most the last n lines and max bytes of s, blank lines left out.
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

// NotFoundError says that there is no kimi, and where it was looked for.
type NotFoundError struct {
	Tried []string
}

// Error names the places and tells how to install kimi.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("client: kimi not found (tried %s); install it with %q or %q, add it to PATH, or set Options.Executable or KIMI_PATH",
		strings.Join(e.Tried, ", "), installKimiCode, installCommand)
}

// IncompatibleError says that a program was found that this package cannot drive.
type IncompatibleError struct {
	Path   string
	Found  string // what the program is
	Want   string // what is needed
	Remedy string // what to do
	Err    error  // how its start failed, a [*ProcessError]; nil where it was only asked what it is
}

// Unwrap returns Err. The text does not repeat it.
func (e *IncompatibleError) Unwrap() error { return e.Err }

// Error tells what was found, what is needed and what to do.
func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("client: %s is %s, but this needs %s; %s", e.Path, e.Found, e.Want, e.Remedy)
}

const (
	installCommand  = "uv tool install kimi-cli==1.51.0"
	installKimiCode = "npm install -g @moonshot-ai/kimi-code"
	wantKimi        = "Kimi Code 2.x, or kimi-cli 1.0 to 1.51"
)

// rpcError puts the sentinel of an answer's code before it. Code -32000 means three
// different things, told apart by the method.
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
		return fmt.Errorf("client: %w", e)
	}
	return fmt.Errorf("%w: %w", kind, e)
}
