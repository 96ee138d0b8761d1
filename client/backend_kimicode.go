package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/wireproto"
)

// kimiCode is Kimi Code 2.x. A bridge speaks Wire in its place and drives its server.
type kimiCode struct{}

func (kimiCode) kind() Backend         { return BackendServer }
func (kimiCode) tested() string        { return "2.1.0" }
func (kimiCode) home(l *launch) string { return home.Path(l.env, l.workDir) }
func (kimiCode) newID() string         { return "" }
func (kimiCode) wholeCalls() bool      { return true }
func (kimiCode) ownTurns() bool        { return true }
func (kimiCode) endsSteps() bool       { return true }
func (kimiCode) subagentModels() bool  { return false }
func (kimiCode) keepsActions() bool    { return false }

// commanded returns before, because no command of Kimi Code changes which actions run without a question.
func (kimiCode) commanded(_ *Session, _ string, _ bool, before Approvals) Approvals { return before }

// mayResume allows every session, because the options apply at each start.
func (kimiCode) mayResume(*launch, string) (Approvals, error) { return Approvals{}, nil }

func (kimiCode) holdAgain(*Session) error { return nil }

// words returns c unchanged: the bridge never reads a text as a command unless the options say so.
func (kimiCode) words(c wireproto.Content) (wireproto.Content, bool) { return c, false }

func (kimiCode) owns(path string, head []byte) bool {
	script := bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(head, []byte("@moonshot-ai/kimi-code"))
	shim := bytes.Contains(head, []byte(`@moonshot-ai\kimi-code\`)) // the start script that npm makes on Windows
	return script || shim || strings.Contains(path, "@moonshot-ai/kimi-code/")
}

func (kimiCode) flags(o *Options) (flags []string, err error) {
	if o.SlashCommands {
		flags = append(flags, bridge.SlashFlag)
	}
	if o.Effort != "" {
		flags = append(flags, bridge.EffortFlag, o.Effort)
	}
	return flags, nil
}

// model returns the model that the options or the environment name. Otherwise the server tells the model later.
func (kimiCode) model(l *launch) string {
	switch {
	case l.opts.Model != "":
		return l.opts.Model
	case l.opts.Config == nil && l.opts.ConfigFile == "":
		return l.getenv("KIMI_MODEL_NAME")
	}
	return l.configuredModel()
}

func (kimiCode) start(ctx context.Context, l *launch, p *processTransport, id string) (*Session, error) {
	t := &bridgeTransport{process: p, shared: l.shared}
	for _, tool := range l.opts.Tools {
		t.tools = tool.server
	}
	return l.connect(ctx, t, id, l.opts.byOptions())
}

func (kimiCode) discard(*Session) {} // the bridge removes it

func (kimiCode) adopt(s *Session) error {
	s.adoptTold()
	// Other programs may use the session, too, because the server allows it. But they may not delete the session.
	if s.launch.opts.Server != nil {
		return nil // its files are on the server's machine
	}
	dir := home.Dir(kimiCode{}.home(s.launch), s.id)
	if dir == "" {
		return nil
	}
	held, _ := holdSession(dir, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil { // the session has ended in the meantime
		held.Close() // held may be nil; Close of a nil file is harmless
	}
	s.held = held
	return nil
}

// adoptTold stores the id and the model that the server has sent.
func (s *Session) adoptTold() {
	told := s.server.Bridge
	if told == nil {
		return
	}
	if told.SessionID != "" {
		s.id = told.SessionID
	}
	if told.Model != "" && (s.model == "" || s.opts.Model == "" && s.launch.getenv("KIMI_MODEL_NAME") == "") {
		s.model = told.Model
	}
}

// probe runs "kimi --version".
func (b kimiCode) probe(ctx context.Context, l *launch) (*Info, error) {
	stdout, end, err := l.run(ctx, "--version")
	if err != nil {
		return nil, err
	}
	if bad := missing(l.path, end); bad != nil {
		return nil, bad
	}
	version := versionIn(stdout)
	if v, err := wireproto.ParseVersion(version); err != nil || v.Major < 2 {
		found := "Kimi Code, which does not print its version"
		if err == nil {
			found = "Kimi Code " + version
		} else if tail := lastLines(end.Stderr, 2, 150); tail != "" {
			found += " (" + tail + ")"
		}
		return nil, &IncompatibleError{Path: l.path, Found: found, Want: wantKimi, Remedy: "install it again with " + installKimiCode}
	}
	return &Info{Path: l.path, Version: version, WireVersion: wireproto.ProtocolVersion, Backend: b.kind(), ShareDir: b.home(l)}, nil
}

// versionLine matches a line that ends with a version.
var versionLine = regexp.MustCompile(`(?m)(?:^|[^\w.])v?(\d+\.\d+\.\d+(?:[-+][\w.+-]+)?)\s*$`)

// versionIn returns the last version that stands at the end of a line, "" if there is none.
func versionIn(stdout string) string {
	all := versionLine.FindAllStringSubmatch(stdout, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

func (b kimiCode) explain(ctx context.Context, l *launch, f *failure) error {
	if bad := l.obstacle(f.err); bad != nil {
		return bad
	}
	if f.answer != nil {
		var data map[string]*bridge.RoutesError
		if json.Unmarshal(f.answer.Data, &data) != nil || data[bridge.RoutesKey] == nil {
			return f.err
		}
		no := data[bridge.RoutesKey]
		return &IncompatibleError{Path: l.path, Want: wantKimi, Found: "Kimi Code " + no.Version + ", whose server lacks " + strings.Join(no.Missing, ", "),
			Remedy: "install the version that this package is tested with: " + installKimiCode + "@" + b.tested()}
	}
	found := "Kimi Code"
	if info, err := b.probe(ctx, l); err == nil {
		found += " " + info.Version
	}
	found += ", whose \"kimi web\" ended before it said where it listens"
	if tail := lastLines(f.exit.Stderr, 2, 200); tail != "" {
		found += " (" + tail + ")"
	}
	return &IncompatibleError{Path: l.path, Found: found, Want: wantKimi,
		Remedy: "run \"kimi web --no-open\" to see why, or install it again with " + installKimiCode}
}

func (b kimiCode) folders(l *launch) []string {
	home := b.home(l)
	return []string{home, filepath.Join(home, "sessions"), filepath.Join(home, "logs")}
}

func (b kimiCode) sessions(l *launch, which listing) ([]SessionInfo, error) {
	workDir := l.workDir
	if which.everywhere {
		workDir = ""
	}
	found, err := home.Sessions(b.home(l), workDir, which.turns)
	if err != nil {
		return nil, fmt.Errorf("client: sessions: %w", err)
	}
	var list []SessionInfo
	for _, s := range found {
		list = append(list, SessionInfo{ID: s.ID, WorkDir: s.WorkDir, Title: s.Title, Created: s.Created, Updated: s.Updated, Turns: s.Turns, Archived: s.Archived})
	}
	return list, nil
}

func (b kimiCode) finds(l *launch, id string) (bool, error) {
	return home.FindSession(b.home(l), l.workDir, id) != "", nil
}

// KimiCode returns the [Transport] that [NewSession] uses for Kimi Code 2.x: a bridge that speaks Wire and drives the
// server of "kimi web". It is for programs that offer Wire to other programs. The standard error of kimi goes to
// stderr. If stderr is nil, it is dropped.
func KimiCode(stderr io.Writer) Transport {
	return &bridgeTransport{process: &processTransport{stderr: stderr}, tools: bridge.ServeTools}
}

// byOption converts an error about a flag to an error about the option that the flag comes from.
func byOption(err error) error {
	var no *bridge.UnsupportedError
	if !errors.As(err, &no) {
		return err
	}
	flag, _, _ := strings.Cut(no.Option, " ")
	name := optionOf[flag]
	if name == "" {
		return err
	}
	return &OptionError{Option: name, Reason: "Kimi Code has no place for " + no.Option, Remedy: no.Why + ", or use kimi-cli " + kimiCLI{}.tested(), Err: err}
}

// optionOf has the options that belong to the arguments of the bridge. The bridge may refuse these arguments.
var optionOf = map[string]string{
	"--agent": "Agent", "--agent-file": "AgentFile", "--skills-dir": "SkillsDirs", "--max-ralph-iterations": "MaxRalphIterations",
	bridge.EffortFlag: "Effort", "--thinking": "Thinking", "--model": "Model", "--add-dir": "AddDirs", "--work-dir": "WorkDir",
}

// byArgument converts an answer of the bridge about an argument to an error about the option that the argument comes
// from. kind is the answer with its sentinel error; byArgument returns it if the answer is not about an argument.
func byArgument(rpc *wireproto.RPCError, kind error) error {
	var about struct{ Option, Remedy string }
	if rpc.Data == nil || json.Unmarshal(rpc.Data, &about) != nil || about.Remedy == "" || optionOf[about.Option] == "" {
		return kind
	}
	option := optionOf[about.Option]
	if option == "Effort" || option == "Thinking" {
		kind = fmt.Errorf("%w: %w", ErrUnsupported, rpc)
	}
	return &OptionError{Option: option, Reason: rpc.Message, Remedy: about.Remedy, Err: kind}
}

// bridgeTransport runs Kimi Code through the bridge.
type bridgeTransport struct {
	process *processTransport
	shared  *bridge.Shared    // nil for a server of its own
	tools   bridge.ToolServer // nil if the session has no Go tools
}

func (t *bridgeTransport) Start(ctx context.Context, c *Command) (Conn, error) {
	start := bridge.Start
	if t.shared != nil {
		start = t.shared.Start
	}
	conn, err := start(ctx, (*bridge.Command)(c), func(ctx context.Context, c *bridge.Command, about string, remove []string) (bridge.Child, error) {
		p, err := t.process.start(ctx, (*Command)(c), true, about, remove)
		if err != nil {
			return nil, err
		}
		return p, nil
	}, t.tools)
	var no *bridge.UnsupportedError
	var bad *bridge.ArgumentError
	switch {
	case errors.As(err, &no):
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case errors.As(err, &bad):
		return nil, rpcError(bad.RPC())
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	}
	return conn, nil
}
