package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client/acpbridge"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/regular"
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
}

// Backend says how a kimi is driven.
type Backend string

// The back ends.
const (
	BackendWire Backend = "wire" // kimi-cli and kimi-agent: kimi --wire
	BackendACP  Backend = "acp"  // Kimi Code 2.x, which has no Wire mode: a bridge over kimi acp
)

// probeTimeout limits the second process that tells what a program is.
const probeTimeout = 10 * time.Second

// Inspect tells which kimi would run, asking it with "info --json" or "--version". Its errors are
// [*NotFoundError] and [*IncompatibleError].
func Inspect(ctx context.Context, opts *Options) (*Info, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	path, err := l.find()
	if err != nil {
		return nil, err
	}
	return l.probe(ctx, path)
}

// find returns the path of the kimi to run.
func (l *launch) find() (string, error) {
	var tried []string
	if named := l.opts.Executable; named != "" {
		if path, ok := l.lookup(named); ok {
			return path, nil
		}
		return "", &NotFoundError{Tried: []string{"Options.Executable " + named}}
	}
	if named := l.getenv("KIMI_PATH"); named != "" {
		if path, ok := l.lookup(named); ok {
			return path, nil
		}
		return "", &NotFoundError{Tried: []string{"KIMI_PATH " + named}}
	}
	for _, name := range []string{"kimi", "kimi-cli", "kimi-agent"} {
		if path, ok := l.lookup(name); ok {
			return path, nil
		}
		tried = append(tried, name+" on PATH")
	}
	home := l.getenv("HOME")
	if runtime.GOOS == "windows" {
		home = l.getenv("USERPROFILE")
	}
	if home != "" {
		uv := l.getenv("UV_TOOL_DIR")
		if uv == "" {
			uv = filepath.Join(home, ".local", "share", "uv", "tools")
		}
		for _, path := range []string{
			filepath.Join(home, ".local", "bin", "kimi"),
			filepath.Join(home, ".kimi-code", "bin", "kimi"),
			filepath.Join(uv, "kimi-cli", "bin", "kimi"),
		} {
			if runnable(path) {
				return path, nil
			}
			tried = append(tried, path)
		}
	}
	return "", &NotFoundError{Tried: tried}
}

// lookup finds a program by path, or by name on the PATH of the agent's environment.
func (l *launch) lookup(name string) (string, bool) {
	if strings.ContainsRune(name, filepath.Separator) || strings.ContainsRune(name, '/') {
		path := absolute(name)
		return path, runnable(path)
	}
	for _, dir := range filepath.SplitList(l.getenv("PATH")) {
		if path := filepath.Join(dir, name); filepath.IsAbs(path) && runnable(path) {
			return path, true
		}
	}
	return "", false
}

// runnable reports whether path, or on Windows path with an extension of programs, can run.
func runnable(path string) bool {
	_, err := exec.LookPath(path)
	return err == nil
}

// run runs a short command of the program and returns what it prints.
func (l *launch) run(ctx context.Context, path string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = l.env
	ownGroup(cmd)
	cmd.Cancel = func() error { killTree(cmd.Process); return nil }
	cmd.WaitDelay = time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limitedBuffer{buf: &out}, &limitedBuffer{buf: &errOut}
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// limitedBuffer keeps the first 64 KiB of what is written to it.
type limitedBuffer struct{ buf *bytes.Buffer }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.buf.Write(p[:min(len(p), max(0, 64<<10-l.buf.Len()))])
	return len(p), nil
}

// probe asks a program what it is.
func (l *launch) probe(ctx context.Context, path string) (*Info, error) {
	if looksLike(path) == BackendACP {
		return l.probeKimiCode(ctx, path)
	}
	stdout, stderr, err := l.run(ctx, path, "info", "--json")
	var info struct {
		Kimi   string `json:"kimi_cli_version"`
		Wire   string `json:"wire_protocol_version"`
		Python string `json:"python_version"`
	}
	// Not by the exit code: the last kimi-cli prints plain text to every command and exits 0.
	if json.Unmarshal([]byte(stdout), &info) == nil && info.Kimi != "" {
		if _, err := wireproto.ParseVersion(info.Wire); err != nil {
			return nil, &IncompatibleError{Path: path, Found: "kimi-cli " + info.Kimi + " without Wire mode", Want: wantKimi, Remedy: "install it with " + installCommand}
		}
		return &Info{Path: path, Version: info.Kimi, WireVersion: info.Wire, PythonVersion: info.Python, Backend: BackendWire, ShareDir: l.shareDir}, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("client: %s info --json: %w", path, context.Cause(ctx))
	}
	switch bad := l.classify(path, stdout, stderr); {
	case bad == errKimiCode:
		return l.probeKimiCode(ctx, path)
	case bad != nil:
		return nil, bad
	}
	found := "not kimi: it does not answer \"info --json\""
	if errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, context.DeadlineExceeded) {
		found = "not kimi, or hanging: it did not answer \"info --json\" in " + probeTimeout.String()
	} else if tail := lastLines(stderr, 2, 150); tail != "" {
		found += " (" + tail + ")"
	}
	return nil, &IncompatibleError{Path: path, Found: found, Want: wantKimi,
		Remedy: "install Kimi Code with " + installKimiCode + ", or kimi-cli with " + installCommand + ", and set KIMI_PATH or Options.Executable to it"}
}

// probeKimiCode asks Kimi Code for its version.
func (l *launch) probeKimiCode(ctx context.Context, path string) (*Info, error) {
	stdout, stderr, err := l.run(ctx, path, "--version")
	if ctx.Err() != nil {
		return nil, fmt.Errorf("client: %s --version: %w", path, context.Cause(ctx))
	}
	version := strings.TrimSpace(stdout)
	if v, parseErr := wireproto.ParseVersion(version); err != nil || parseErr != nil || v.Major < 2 {
		found := "Kimi Code, and does not tell its version"
		if parseErr == nil {
			found = "Kimi Code " + version
		} else if tail := lastLines(stderr, 2, 150); tail != "" {
			found += " (" + tail + ")"
		}
		return nil, &IncompatibleError{Path: path, Found: found, Want: wantKimi, Remedy: "install it anew with " + installKimiCode}
	}
	return &Info{Path: path, Version: version, WireVersion: wireproto.ProtocolVersion, Backend: BackendACP, ShareDir: l.codeHome()}, nil
}

// errKimiCode is classify's answer for Kimi Code 2.x.
var errKimiCode = errors.New("client: this is Kimi Code 2.x, which has no Wire mode")

// classify recognises the two programs named kimi that have no Wire mode by what they say.
func (l *launch) classify(path, stdout, stderr string) error {
	if strings.Contains(stdout, "no longer maintained") {
		return &IncompatibleError{Path: path, Found: "kimi-cli 1.52 or later, which only tells that kimi-cli has ended", Want: wantKimi,
			Remedy: "install Kimi Code with " + installKimiCode + ", or the last kimi-cli that works with " + installCommand}
	}
	if strings.Contains(stderr, "unknown option '--wire'") || strings.Contains(stderr, "unknown option '--json'") || looksLike(path) == BackendACP {
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
		return BackendACP
	}
	f, err := regular.Open(real)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, _ := io.ReadFull(f, head)
	switch head = head[:n]; {
	case !bytes.HasPrefix(head, []byte("#!")):
	case bytes.Contains(head, []byte("@moonshot-ai/kimi-code")):
		return BackendACP
	case bytes.Contains(head, []byte("kimi_cli")):
		return BackendWire
	}
	return ""
}

// KimiCode returns the Transport that NewSession takes for Kimi Code 2.x: a bridge that speaks Wire,
// and drives "kimi acp". It is there for programs that offer Wire themselves. What kimi writes to its
// standard error goes to stderr, nil for nowhere.
func KimiCode(stderr io.Writer) Transport { return &bridgeTransport{&processTransport{stderr: stderr}} }

// byOption puts the option's name before an error about the flag that the option became.
func byOption(err error) error {
	var no *acpbridge.UnsupportedError
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
	return fmt.Errorf("client: Options.%s: %w", name, err)
}

// bridgeTransport runs Kimi Code behind the bridge.
type bridgeTransport struct{ process *processTransport }

func (t *bridgeTransport) Start(ctx context.Context, c *Command) (Conn, error) {
	conn, err := acpbridge.Start(ctx, (*acpbridge.Command)(c), func(ctx context.Context, c *acpbridge.Command) (acpbridge.Child, error) {
		return t.process.Start(ctx, (*Command)(c))
	})
	var no *acpbridge.UnsupportedError
	switch {
	case errors.As(err, &no):
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case err != nil && !strings.HasPrefix(err.Error(), "client: "):
		return nil, fmt.Errorf("client: %w", err)
	case err != nil:
		return nil, err
	}
	return conn, nil
}

// diagnose explains a start that failed with err: noise is the first line the program
// printed that is no protocol, end how it ended in the end.
func (l *launch) diagnose(ctx context.Context, path, noise string, err, end error) error {
	if l.opts.Transport != nil {
		return err
	}
	var exit *ProcessError
	if !errors.As(err, &exit) { // given up: tell what it said meanwhile
		if errors.As(end, &exit) {
			noise = lastLines(noise+"\n"+exit.Stderr, 8, 1000)
		}
		if noise != "" {
			err = fmt.Errorf("%w; %s said: %s", err, path, noise)
		}
		return err
	}
	because := func(bad error) error {
		var incompatible *IncompatibleError
		if errors.As(bad, &incompatible) {
			incompatible.Err = err
			return incompatible
		}
		return fmt.Errorf("%w: %w", bad, err)
	}
	if l.kimiCode {
		found := "Kimi Code"
		if info, probeErr := l.probeKimiCode(ctx, path); probeErr == nil {
			found += " " + info.Version
		}
		return because(&IncompatibleError{Path: path, Found: found + ", whose \"kimi acp\" ended before it answered", Want: wantKimi,
			Remedy: "run \"kimi acp\" to see why, or install it anew with " + installKimiCode})
	}
	if bad := l.classify(path, noise, exit.Stderr); bad == errKimiCode {
		return bad
	} else if bad != nil {
		return because(bad)
	}
	if bad := l.configError(); bad != nil {
		return fmt.Errorf("%w: %w", bad, err)
	}
	switch info, bad := l.probe(ctx, path); {
	case bad != nil && ctx.Err() == nil:
		return because(bad)
	case bad == nil && info.Backend == BackendACP:
		return errKimiCode
	}
	return err
}

// configError names what is wrong with the configuration file.
func (l *launch) configError() error {
	path := l.configPath()
	if path == "" || !isFile(path) {
		return nil
	}
	if _, err := config.Load(path); err != nil {
		return fmt.Errorf("client: configuration: %w", err)
	}
	return nil
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
