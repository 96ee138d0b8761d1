package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/grant"
	"github.com/kimi-go/kimi-go/wireproto"
)

// where has the flags for the work dir and the files of kimi.
type where struct {
	Kimi     string `placeholder:"PATH" help:"The kimi to run (default: KIMI_PATH, then PATH and the usual places)."`
	WorkDir  string `placeholder:"DIR" help:"Directory that the agent works in (default: the current one)."`
	ShareDir string `placeholder:"DIR" help:"Where kimi keeps configuration and sessions (default: KIMI_SHARE_DIR or ~/.kimi; for Kimi Code, KIMI_SHARE_DIR, KIMI_CODE_HOME or ~/.kimi-code)."`
}

// which has the flags for the kimi, its configuration and its model.
type which struct {
	where
	Config string `placeholder:"FILE" help:"Configuration file: JSON if its name ends in .json, otherwise TOML (default: config.toml in the share dir)."`
	Model  string `short:"m" placeholder:"NAME" help:"A model of the configuration (default: its default_model)."`
}

func (w *where) options() *client.Options {
	return &client.Options{Executable: w.Kimi, WorkDir: w.WorkDir, ShareDir: w.ShareDir}
}

func (w *which) options() *client.Options {
	o := w.where.options()
	o.ConfigFile, o.Model = w.Config, w.Model
	return o
}

// files has the flags for the files and folders of a session.
type files struct {
	AgentFile     string   `placeholder:"FILE" help:"File that describes the agent: YAML, or for Kimi Code also Markdown."`
	MCPConfigFile []string `name:"mcp-config-file" sep:"none" placeholder:"FILE" help:"File of MCP servers, instead of mcp.json in the share dir; may be repeated."`
	SkillsDir     []string `sep:"none" placeholder:"DIR" help:"Directory of skills, instead of those that kimi finds; may be repeated."`
}

// runFlags are the flags of every command that runs turns.
type runFlags struct {
	which
	plain       bool          // show plain lines even where a screen is possible
	Thinking    *bool         `negatable:"" help:"Turn thinking on or off (default: what the configuration says)."`
	Effort      string        `placeholder:"LEVEL" help:"How much the model thinks: on, off or, on Kimi Code, an effort that the model offers (default: what --thinking says)."`
	Yolo        bool          `short:"y" help:"Let kimi do everything without asking."`
	AFK         bool          `name:"afk" help:"Say that no person is there: kimi does everything without asking, and asks no questions."`
	Answer      string        `placeholder:"y|a|n" help:"Answer every approval request: y allows it once, a allows it for the session, n rejects it (default: ask at a terminal; without a terminal, n)."`
	Rules       string        `placeholder:"FILE" help:"Rules in TOML that allow, ask or refuse; docs/approvals.md describes them. If you always allow something, you can let the command add a rule to the file. Keep the file where the agent cannot write."`
	Price       string        `placeholder:"IN,OUT" help:"Prices of a million tokens of input and of output. A third number is the price of cached input. The command then shows the cost. kimi does not report prices."`
	Slash       bool          `help:"Let a prompt that begins with a slash be a command of kimi, such as /compact. In a chat at a terminal, this is always so."`
	Plan        bool          `help:"Start a new session in plan mode."`
	MaxSteps    int           `placeholder:"N" help:"Limit the steps of a turn (default: what the configuration says)."`
	IdleTimeout time.Duration `placeholder:"DURATION" help:"Give up when the agent is silent for this long, such as 5m (default: never)."`
	AddDir      []string      `sep:"none" placeholder:"DIR" help:"A further directory for the agent; may be repeated."`
	files
	Record string `placeholder:"FILE" help:"Write a recording of all messages, without keys and paths. The command replay shows it."`
	JSON   bool   `name:"json" xor:"output" help:"Write one Wire message on each line of standard output. The command answers requests as --answer says; without --answer, it rejects them."`
	Quiet  bool   `short:"q" xor:"output" help:"Write only the text of the agent."`

	cost *cost // nil if there is no --price
}

// options returns the options for the client. ask says whether a person can answer questions.
func (f *runFlags) options(ask bool) (*client.Options, error) {
	if !slices.Contains([]string{"", "y", "a", "n"}, f.Answer) {
		return nil, usage("--answer %q is not y, a or n", f.Answer)
	}
	if f.Answer != "" && (f.Yolo || f.AFK) {
		return nil, usage("--answer with --yolo or --afk: nothing would be asked; leave one out")
	}
	if f.MaxSteps < 0 {
		return nil, usage("--max-steps %d is negative", f.MaxSteps)
	}
	if f.IdleTimeout < 0 {
		return nil, usage("--idle-timeout %v is negative", f.IdleTimeout)
	}
	o := f.which.options()
	o.SlashCommands = f.Slash
	o.Effort = f.Effort
	o.Thinking, o.Yolo, o.AFK, o.Plan = f.Thinking, f.Yolo, f.AFK, f.Plan
	o.AddDirs, o.AgentFile, o.MCPConfigFiles, o.SkillsDirs = f.AddDir, f.AgentFile, f.MCPConfigFile, f.SkillsDir
	o.MaxStepsPerTurn, o.IdleTimeout = f.MaxSteps, f.IdleTimeout
	if err := f.prices(o); err != nil {
		return nil, err
	}
	o.SupportsQuestion = ask && !f.AFK
	o.SupportsPlanMode = o.SupportsQuestion
	return o, nil
}

// grants reads the rules and adds their hooks to the options.
func (f *runFlags) grants(e *env, o *client.Options) (*grant.Book, error) {
	b, err := grant.Open(f.Rules)
	if err != nil {
		hint := "a rule is a table that names a tool, a command or a path, such as\n[[allow]]\ncommand = \"go test *\""
		if errors.As(err, new(*fs.PathError)) {
			hint = "check the path"
		}
		return nil, hinted{usage("--rules: %w", err), hint}
	}
	if b.Missing() {
		e.note("there are no rules yet: " + f.Rules + " does not exist; a rule that you keep creates it")
	}
	o.Hooks = append(o.Hooks, b.Hooks()...)
	return b, nil
}

// resumeCommand returns the command line that continues a session. It has the same rules, --plain if that was given, and
// the option for a mode that a command such as /yolo has turned on.
func (f *runFlags) resumeCommand(s *client.Session) string {
	mode, byCommand := strings.CutPrefix(s.Status().Approvals.All, "/")
	if !byCommand {
		mode = ""
	}
	return f.resumeIn(mode, s.ID())
}

// resumeIn is resumeCommand for a session in a mode, such as yolo.
func (f *runFlags) resumeIn(mode, id string) string {
	var flags []string
	if mode != "" {
		flags = append(flags, "--"+mode)
	}
	if f.plain {
		flags = append(flags, "--plain")
	}
	return f.which.resume(id, f.Rules, flags...)
}

// leave says how to continue a session. The command has a line of its own, from which it can be copied.
func (f *runFlags) leave(e *env, s *client.Session) {
	e.note("session " + s.ID() + "; go on with:")
	e.note("  " + f.resumeCommand(s))
}

// resumeCommand returns the command line that continues a session.
func (w *which) resumeCommand(id string) string { return w.resume(id, "") }

func (w *which) resume(id, rules string, flags ...string) string {
	words := append([]string{program, "resume"}, flags...)
	flag := func(name, value string, path bool) {
		if value == "" {
			return
		}
		if abs, err := filepath.Abs(value); err == nil && path {
			value = abs
		}
		words = append(words, name, shellQuote(value))
	}
	flag("--work-dir", w.WorkDir, true)
	flag("--share-dir", w.ShareDir, true)
	flag("--config", w.Config, true)
	flag("--kimi", w.Kimi, strings.ContainsRune(w.Kimi, filepath.Separator))
	flag("--model", w.Model, false)
	flag("--rules", rules, true)
	return strings.Join(append(words, shellQuote(id)), " ")
}

// words joins the words of a prompt. The single word "-" means standard input.
func (e *env) words(list []string) (string, error) {
	text := strings.Join(list, " ")
	if text == "-" {
		data, err := io.ReadAll(e.stdin)
		if err != nil {
			return "", fmt.Errorf("standard input: %w", err)
		}
		text = strings.TrimRight(string(data), "\r\n")
	}
	if strings.TrimSpace(text) == "" {
		return "", usage("the prompt is empty")
	}
	return text, nil
}

// kimi gets all images in one line, and reads at most 100 MiB in a line. base64 adds a third to the size.
const (
	maxImage  = 20 << 20
	maxImages = 60 << 20
)

// images reads image files as content parts.
func images(paths []string) ([]wireproto.ContentPart, error) {
	var parts []wireproto.ContentPart
	total := 0
	for _, path := range paths {
		data, err := readImage(path)
		if err != nil {
			return nil, err
		}
		if total += len(data); total > maxImages {
			return nil, hinted{fmt.Errorf("the images have more than %d MB together", maxImages>>20), "send fewer or smaller ones"}
		}
		kind := http.DetectContentType(data)
		if !strings.HasPrefix(kind, "image/") {
			return nil, hinted{fmt.Errorf("--image %s is not an image but %s", path, kind), "PNG, JPEG, GIF and WebP work with most models"}
		}
		url := "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data)
		parts = append(parts, &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: url}})
	}
	return parts, nil
}

func readImage(path string) ([]byte, error) {
	f, err := os.Open(path)
	var perr *os.PathError
	if errors.As(err, &perr) {
		return nil, hinted{fmt.Errorf("--image %s: %w", path, perr.Err), "check the path"}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, hinted{fmt.Errorf("--image %s is a directory", path), "repeat --image for each file"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxImage+1))
	if err != nil {
		return nil, fmt.Errorf("--image %s: %w", path, err)
	}
	if len(data) > maxImage {
		return nil, hinted{fmt.Errorf("--image %s has more than %d MB", path, maxImage>>20), "make it smaller first"}
	}
	if len(data) == 0 {
		return nil, hinted{fmt.Errorf("--image %s is empty", path), "check the path"}
	}
	return data, nil
}
