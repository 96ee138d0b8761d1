package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/ask"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

const program = "kimi-go-demo"

// description is the end of the text of --help. Its lines fit a terminal.
const description = `The flags of a command: ` + program + ` <command> --help. The first Ctrl-C
cancels the turn. A second one closes the session at once.

Exit status: 0 the turn finished, 1 an error, 2 the command line is wrong, 3 the
turn reached the limit of steps, 4 the turn finished, but a request was rejected
because no one was there to ask, 130 Ctrl-C, 143 SIGTERM.`

// cli has the commands. A new command is a field with a Run method.
type cli struct {
	Version    kong.VersionFlag `help:"Print the versions of the command and of the Wire protocol, and exit."`
	Prompt     promptCmd        `cmd:"" help:"Run one turn."`
	Chat       chatCmd          `cmd:"" help:"Talk with the agent, turn after turn."`
	Sessions   sessionsCmd      `cmd:"" help:"List the sessions of the work dir."`
	Resume     resumeCmd        `cmd:"" help:"Continue a session, or show its history."`
	Replay     replayCmd        `cmd:"" help:"Show a recording, as prompt shows a turn."`
	View       viewCmd          `cmd:"" help:"Write a page that shows a recording or a session."`
	Proxy      proxyCmd         `cmd:"" help:"Start kimi for a Wire client, and pass on the messages."`
	Wire       wireCmd          `cmd:"" passthrough:"" help:"Speak the protocol of kimi --wire, with Kimi Code 2.x."`
	Shell      shellCmd         `cmd:"" help:"Open a session in kimi's own user interface."`
	Login      loginCmd         `cmd:"" help:"Run kimi's own login."`
	Doctor     doctorCmd        `cmd:"" help:"Say which kimi is used, how it is configured, and what is wrong."`
	Completion completionCmd    `cmd:"" help:"Write a script that completes commands in a shell."`
}

// env has everything outside of the program that the commands use.
type env struct {
	stdin          *os.File
	stdout, stderr *screen.Writer // all output to the terminal goes through these, because text of the agent must not control it
	input          *ask.Input
	signals        *signals

	inTerminal, outTerminal, errTerminal bool
}

func main() {
	if name, args := wireArgs(os.Args); name != "" {
		w := &wire{name: name, args: args, stdin: os.Stdin, stdout: output(os.Stdout), stderr: output(os.Stderr)}
		os.Exit(w.run())
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	e := &env{
		stdin: os.Stdin, stdout: output(os.Stdout), stderr: output(os.Stderr),
		inTerminal: isTerminal(os.Stdin), outTerminal: isTerminal(os.Stdout), errTerminal: isTerminal(os.Stderr),
	}
	e.signals = catchSignals()
	e.input = ask.NewInput(os.Stdin, e.inTerminal)

	exit := -1 // the exit status that --help and --version set
	parser, err := kong.New(new(cli), kong.Name(program), kong.Help(help), kong.Bind(e),
		kong.Vars{"version": fmt.Sprintf("%s %s (Wire protocol %s)", program, client.Version, wireproto.ProtocolVersion)},
		kong.Writers(e.stdout, e.stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.PostBuild(func(k *kong.Kong) error { k.Model.HelpFlag.Help = "Show this help."; return nil }),
		kong.Exit(func(code int) {
			if exit < 0 {
				exit = code
			}
		}))
	if err != nil {
		return report(e, err) // a bad struct tag; every test of the command would fail
	}
	if len(args) == 0 {
		overview(e.stderr, parser.Model)
		return 2
	}
	for _, arg := range args {
		if !utf8.ValidString(arg) { // kong would change such an argument
			return report(e, usage("the argument %.150q is not UTF-8", arg))
		}
	}
	ctx, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	var wrong *kong.ParseError
	switch {
	case errors.As(err, &wrong):
		ctx, err = wrong.Context, usage("%s", err)
	case err != nil:
		return report(e, usage("%s", err))
	default:
		err = ctx.Run()
	}
	if command := ctx.Selected(); command != nil && errors.As(err, new(usageError)) && !errors.As(err, new(hinted)) {
		err = hinted{err, program + " " + command.Name + " --help"}
	}
	return report(e, err)
}

// interactive reports whether there is a person to ask.
func (e *env) interactive() bool { return e.inTerminal && (e.outTerminal || e.errTerminal) }

// asking returns the writer for questions: standard output if a person can see it, otherwise standard error.
func (e *env) asking() *screen.Writer {
	if e.outTerminal {
		return e.stdout
	}
	return e.stderr
}

// size returns the size of the terminal for an approval.
func (e *env) size() render.Size {
	f := os.Stderr
	if e.outTerminal {
		f = os.Stdout
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 20 || rows < 1 {
		return render.Size{Rows: 24, Columns: 80}
	}
	return render.Size{Rows: rows, Columns: columns}
}

// output returns the writer to f. It writes ANSI styles if f supports them.
func output(f *os.File) *screen.Writer {
	colour := isTerminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" {
		colour = false
	}
	return screen.NewWriter(f, colour)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// usageError is an error in the command line.
type usageError struct{ error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errUnasked is the error of a command whose turns have finished, but in which a request was rejected because there was
// no one to ask. A message has said so at that time.
var errUnasked = errors.New("a request was rejected, because there was no one to ask")

// toldError is an error that was already reported. It only sets the exit status.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }

// hinted is an error with a hint of its own.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// flagged is an error of a command with these flags. A hint can name them.
type flagged struct {
	error
	flags *runFlags
}

func (e flagged) Unwrap() error { return e.error }

// report prints an error and its hint, and returns the exit status.
func report(e *env, err error) int {
	var bad usageError
	var kimi statusError
	code := 1
	switch {
	case e.signals.stopped() != 0 && err != nil:
		code = e.signals.stopped() // no message, because the sender of the signal knows the reason
		if errors.Is(err, errInterrupted) || errors.Is(err, client.ErrCancelled) || errors.Is(err, client.ErrClosed) {
			return code
		}
	case err == nil:
		return 0
	case errors.As(err, &kimi):
		return int(kimi)
	case errors.Is(err, errNotUsable):
		return 1
	case errors.Is(err, errUnasked):
		return 4
	case errors.As(err, &bad):
		code = 2
	case errors.Is(err, client.ErrMaxSteps):
		code = 3
	}
	if errors.As(err, new(toldError)) {
		return code
	}
	line, hint := explain(err)
	fmt.Fprintf(e.stderr, "%s: %s\n", program, screen.Line(line))
	if hint != "" {
		fmt.Fprintf(e.stderr, "hint: %s\n", strings.ReplaceAll(hint, "\n", "\n      "))
	}
	return code
}

// oneLine joins the lines of an error.
func oneLine(s string) string {
	var lines []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "; ")
}
