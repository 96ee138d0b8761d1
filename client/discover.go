package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/internal/spawn"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Info describes the kimi that would run.
type Info struct {
	Path          string  // the program
	Version       string  // such as "1.51.0"
	WireVersion   string  // such as "1.10"
	PythonVersion string  // "n/a" for the Rust kimi-agent, "" where unknown and for Kimi Code 2.x
	Backend       Backend // how it is driven
	ShareDir      string  // where it keeps configuration, logins and sessions: ~/.kimi or ~/.kimi-code, unless set otherwise
	FoundBy       string  // "Options.Executable", "KIMI_PATH", "PATH", a folder, or the tool that has installed it: "npm", "mise", …
}

// The newest versions that this package is tested with.
const (
	testedKimi     = "1.51.0"
	testedKimiCode = "2.1.0"
)

// Newer returns the newest version that this package is tested with if the program is newer, else "".
func (i *Info) Newer() string {
	tested := testedKimi
	if i.Backend == BackendServer {
		tested = testedKimiCode
	}
	if newer(i.Version, tested) || newer(i.WireVersion, wireproto.ProtocolVersion) {
		return tested
	}
	return ""
}

// newer reports whether version is after than; what is no version is not.
func newer(version, than string) bool {
	a, err := wireproto.ParseVersion(version)
	b, _ := wireproto.ParseVersion(than)
	return err == nil && a.Compare(b) > 0
}

// Backend says how a kimi is driven.
type Backend string

// The back ends.
const (
	BackendWire   Backend = "wire"   // kimi-cli and kimi-agent: kimi --wire
	BackendServer Backend = "server" // Kimi Code 2.x, which has no Wire mode: a bridge over the server of kimi web
)

// Inspect tells which kimi would run, asking it with "info --json" or "--version". Where that does not
// tell, a handshake does, in temporary folders: what NewSession can drive is no error. Its errors are those of
// NewSession, such as [*NotFoundError], [*IncompatibleError] and [*StartError]. Options.StartTimeout limits the time.
func Inspect(ctx context.Context, opts *Options) (*Info, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	program, err := l.find()
	if err != nil {
		return nil, err
	}
	l.use(program)
	ctx, stop := l.limit(ctx)
	defer stop()
	info, err := l.probe(ctx, program.path)
	if errors.As(err, new(*IncompatibleError)) {
		info, err = l.try(ctx, program.path)
	}
	if err != nil {
		return nil, err
	}
	info.FoundBy = program.by
	return info, nil
}

// limit bounds a start by Options.StartTimeout.
func (l *launch) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.opts.StartTimeout, startTimeout(l.opts.StartTimeout))
}

// startTimeout is the cause of a start's end by Options.StartTimeout.
type startTimeout time.Duration

func (d startTimeout) Error() string {
	return fmt.Sprintf("no answer within Options.StartTimeout (%v)", time.Duration(d))
}

func (d startTimeout) Unwrap() error { return context.DeadlineExceeded }

// program is a kimi that was found.
type program struct {
	path string
	by   string // as Info.FoundBy
}

// find returns the kimi to run.
func (l *launch) find() (program, error) {
	for _, named := range []struct{ by, name string }{{"Options.Executable", l.opts.Executable}, {"KIMI_PATH", l.getenv("KIMI_PATH")}} {
		if named.name == "" {
			continue
		}
		if path, ok := l.lookup(named.name); ok {
			return program{path, named.by}, nil
		}
		return program{}, &NotFoundError{Tried: []string{named.by + " " + named.name}}
	}
	var tried []string
	for _, name := range []string{"kimi", "kimi-cli", "kimi-agent"} {
		if path, ok := l.lookup(name); ok {
			return program{path, "PATH"}, nil
		}
		tried = append(tried, name+" on PATH")
	}
	var tools []string
	for _, place := range places(runtime.GOOS, l.getenv) {
		for _, dir := range place.dirs() {
			if path, ok := spawn.Find(filepath.Join(dir, "kimi")); ok {
				return program{path, cmp.Or(place.tool, place.dir)}, nil
			}
		}
		switch {
		case place.tool == "":
			tried = append(tried, filepath.Join(place.dir, "kimi"))
		case !slices.Contains(tools, place.tool):
			tools = append(tools, place.tool)
		}
	}
	if len(tools) > 0 {
		tried = append(tried, "the folders of "+strings.Join(tools, ", "))
	}
	return program{}, &NotFoundError{Tried: tried}
}

// use prepares the environment for the program. One that a version manager has put beside the Node.js that runs
// it finds that first on its PATH, as in the shells that the version manager sets up.
func (l *launch) use(p program) {
	l.path = p.path
	dir := filepath.Dir(p.path)
	if _, ok := spawn.Find(filepath.Join(dir, "node")); !ok || p.by == "Options.Executable" || p.by == "KIMI_PATH" || p.by == "PATH" {
		return
	}
	l.env = overlay(l.env, map[string]string{"PATH": strings.TrimSuffix(dir+string(filepath.ListSeparator)+l.getenv("PATH"), string(filepath.ListSeparator))})
}

// lookup finds a program by path, or by name on the PATH of the agent's environment.
func (l *launch) lookup(name string) (string, bool) {
	if strings.ContainsRune(name, filepath.Separator) || strings.ContainsRune(name, '/') {
		return spawn.Find(absolute(name))
	}
	for _, dir := range filepath.SplitList(l.getenv("PATH")) {
		path := filepath.Join(dir, name)
		if found, ok := spawn.Find(path); ok && filepath.IsAbs(path) {
			return found, true
		}
	}
	return "", false
}

// errKimiCode is classify's answer for Kimi Code 2.x.
var errKimiCode = errors.New("client: this is Kimi Code 2.x, which has no Wire mode")

// classify recognises the two programs named kimi that have no Wire mode by what they say.
func (l *launch) classify(path, stdout, stderr string) error {
	if strings.Contains(stdout, "no longer maintained") {
		return &IncompatibleError{Path: path, Found: "kimi-cli 1.52 or later, which only tells that kimi-cli has ended", Want: wantKimi,
			Remedy: "install Kimi Code with " + installKimiCode + ", or the last kimi-cli that works with " + installCommand}
	}
	if strings.Contains(stderr, "unknown option '--wire'") || strings.Contains(stderr, "unknown option '--json'") || looksLike(path) == BackendServer {
		return errKimiCode
	}
	return nil
}

// looksLike tells the back end of a program from its files, "" where they do not tell.
func looksLike(path string) Backend {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	real = filepath.ToSlash(real)
	if strings.Contains(real, "@moonshot-ai/kimi-code/") {
		return BackendServer
	}
	f, err := regular.Open(real)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, _ := io.ReadFull(f, head)
	switch head = head[:n]; {
	case bytes.Contains(head, []byte(`@moonshot-ai\kimi-code\`)): // npm's shim on Windows
		return BackendServer
	case !bytes.HasPrefix(head, []byte("#!")):
	case bytes.Contains(head, []byte("@moonshot-ai/kimi-code")):
		return BackendServer
	case bytes.Contains(head, []byte("kimi_cli")):
		return BackendWire
	}
	return ""
}

// KimiCode returns the Transport that NewSession takes for Kimi Code 2.x: a bridge that speaks Wire,
// and drives the server of "kimi web". It is there for programs that offer Wire themselves. What kimi writes to its
// standard error goes to stderr, nil for nowhere.
func KimiCode(stderr io.Writer) Transport { return &bridgeTransport{&processTransport{stderr: stderr}} }

// byOption names the option in an error about the flag that the option became.
func byOption(err error) error {
	var no *bridge.UnsupportedError
	if !errors.As(err, &no) {
		return err
	}
	flag, _, _ := strings.Cut(no.Option, " ")
	name := map[string]string{
		"--agent": "Agent", "--agent-file": "AgentFile", "--skills-dir": "SkillsDirs", "--max-ralph-iterations": "MaxRalphIterations",
	}[flag]
	if name == "" {
		return err
	}
	return &OptionError{Option: name, Reason: "Kimi Code has no place for " + no.Option, Remedy: no.Why + ", or use kimi-cli " + testedKimi, Err: err}
}

// bridgeTransport runs Kimi Code behind the bridge.
type bridgeTransport struct{ process *processTransport }

func (t *bridgeTransport) Start(ctx context.Context, c *Command) (Conn, error) {
	conn, err := bridge.Start(ctx, (*bridge.Command)(c), func(ctx context.Context, c *bridge.Command, remove []string) (bridge.Child, error) {
		p, err := t.process.start(ctx, (*Command)(c), true, remove)
		if err != nil {
			return nil, err
		}
		return p, nil
	})
	var no *bridge.UnsupportedError
	switch {
	case errors.As(err, &no):
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	}
	return conn, nil
}

// configPath returns the configuration file that kimi reads, "" for an object.
func (l *launch) configPath() string {
	switch {
	case l.opts.Config != nil:
		return ""
	case l.opts.ConfigFile != "":
		return absolute(l.opts.ConfigFile)
	}
	return filepath.Join(l.shareDir, "config.toml")
}

// modelName returns the name of the model that the agent will use, as far as it can be
// told without asking it.
func (l *launch) modelName() string {
	if l.opts.Model != "" {
		return l.opts.Model
	}
	if l.kimiCode && l.opts.Config == nil && l.opts.ConfigFile == "" {
		return l.getenv("KIMI_MODEL_NAME")
	}
	cfg := l.opts.Config
	if path := l.configPath(); path != "" && isFile(path) {
		cfg, _ = config.Load(path)
	}
	effective := cfg.Effective("", l.getenv)
	for _, o := range effective.Overrides {
		if l.opts.Config != nil && o.Key != "" {
			l.opts.Logger.Warn("client: the environment beats Options.Config", "variable", o.Variable, "key", o.Key)
		}
	}
	for _, o := range effective.Overrides {
		if o.Variable == "KIMI_MODEL_NAME" {
			return effective.ModelName
		}
	}
	return effective.Model
}
