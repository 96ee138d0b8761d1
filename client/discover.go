package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/spawn"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Info describes the kimi that would run.
type Info struct {
	Path          string  `json:"path"`           // the program
	Version       string  `json:"version"`        // such as "1.51.0"
	WireVersion   string  `json:"wire_version"`   // such as "1.10"
	PythonVersion string  `json:"python_version"` // "n/a" for the Rust kimi-agent, "" if it is not known and for Kimi Code 2.x
	Backend       Backend `json:"backend"`        // how this package drives the program
	ShareDir      string  `json:"share_dir"`      // the folder with its configuration, logins and sessions; by default ~/.kimi or ~/.kimi-code
	FoundBy       string  `json:"found_by"`       // "Options.Executable", "KIMI_PATH", "PATH", the name of a folder, or the tool that installed it, such as "npm" or "mise"
}

// Newer returns "" unless the program is newer than all versions that this package was tested with. Then it returns the
// newest version that was tested.
func (i *Info) Newer() string {
	tested := backendOf(i.Backend).tested()
	if newer(i.Version, tested) || newer(i.WireVersion, wireproto.ProtocolVersion) {
		return tested
	}
	return ""
}

// newer reports whether version is later than the version than. A text that is not a version is not newer.
func newer(version, than string) bool {
	a, err := wireproto.ParseVersion(version)
	b, _ := wireproto.ParseVersion(than)
	return err == nil && a.Compare(b) > 0
}

// Backend says how this package drives a kimi.
type Backend string

// The back ends.
const (
	BackendWire   Backend = "wire"   // kimi-cli and kimi-agent, with kimi --wire
	BackendServer Backend = "server" // Kimi Code 2.x, which has no Wire mode; a bridge drives the server of kimi web
)

// backendOf returns the backend of a kind.
func backendOf(kind Backend) backend {
	for _, b := range backends {
		if b.kind() == kind {
			return b
		}
	}
	return backends[0]
}

// Inspect says which kimi would run. It runs the program with "info --json" or "--version". If the output does not say
// enough, it starts the program in temporary folders and makes a handshake. Its errors are those of [NewSession], such
// as [*NotFoundError], [*IncompatibleError] and [*StartError]. Options.StartTimeout limits the time.
func Inspect(ctx context.Context, opts *Options) (*Info, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	ctx, stop := l.limit(ctx)
	defer stop()
	if l.opts.Server != nil {
		return l.backend.probe(ctx, l)
	}
	program, err := l.find()
	if err != nil {
		return nil, err
	}
	l.use(program)
	info, err := recognise(program.path)[0].probe(ctx, l)
	if errors.As(err, new(*IncompatibleError)) {
		info, err = l.try(ctx)
	}
	if err != nil {
		return nil, err
	}
	info.FoundBy = program.by
	return info, nil
}

// limit returns a ctx that ends after Options.StartTimeout.
func (l *launch) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.opts.StartTimeout, startTimeout(l.opts.StartTimeout))
}

// startTimeout is the cause of a ctx that Options.StartTimeout has ended.
type startTimeout time.Duration

func (d startTimeout) Error() string {
	return fmt.Sprintf("no answer within Options.StartTimeout (%v)", time.Duration(d))
}

func (d startTimeout) Unwrap() error { return context.DeadlineExceeded }

// program is a kimi that was found.
type program struct {
	path string
	by   string // the value of Info.FoundBy
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

// use prepares the environment for the program. A version manager may have installed the program next to the Node.js
// that runs it. Then the folder of that Node.js comes first on the program's PATH, as in the shells that the version
// manager sets up.
func (l *launch) use(p program) {
	l.path = p.path
	dir := filepath.Dir(p.path)
	if _, ok := spawn.Find(filepath.Join(dir, "node")); !ok || p.by == "Options.Executable" || p.by == "KIMI_PATH" || p.by == "PATH" {
		return
	}
	l.env = overlay(l.env, map[string]string{"PATH": strings.TrimSuffix(dir+string(filepath.ListSeparator)+l.getenv("PATH"), string(filepath.ListSeparator))})
}

// lookup finds a program by its path, or by its name on the PATH of the agent's environment.
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

// run runs the program with args and returns what it prints. The error is one of the start, or the end of ctx.
func (l *launch) run(ctx context.Context, args ...string) (stdout string, end *ProcessError, err error) {
	cmd, err := spawn.Command(ctx, l.path, l.env, args...)
	if err != nil {
		return "", nil, startError(l.path, err)
	}
	var group spawn.Group
	cmd.Cancel = group.Kill
	cmd.WaitDelay = time.Second
	var out, errOut tailBuffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err = group.Start(cmd); err == nil {
		err = errors.Join(cmd.Wait(), group.End())
	}
	if cmd.ProcessState == nil {
		if ctx.Err() != nil {
			return "", nil, l.gaveUp(ctx, nil, "")
		}
		return "", nil, startError(l.path, err)
	}
	end = &ProcessError{
		ExitCode: cmd.ProcessState.ExitCode(), Signal: signalName(cmd.ProcessState), Stderr: errOut.String(),
		Args: append([]string{l.path}, args...), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
	}
	if ctx.Err() != nil && !cmd.ProcessState.Success() {
		return "", nil, l.gaveUp(ctx, end, "")
	}
	return out.String(), end, nil
}

// try finds out what a program is by a handshake, with a temporary work dir and share dir.
func (l *launch) try(ctx context.Context) (*Info, error) {
	dir, err := os.MkdirTemp("", "kimi-go-inspect-")
	if err != nil {
		return nil, fmt.Errorf("client: temporary files: %w; set TMPDIR to a directory that can be written", err)
	}
	defer os.RemoveAll(dir)
	s, err := NewSession(ctx, &Options{
		Executable: l.path, Env: l.opts.Env, WorkDir: dir, ShareDir: dir,
		StartTimeout: l.opts.StartTimeout, StopGrace: l.opts.StopGrace, Logger: l.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	info := s.info()
	info.ShareDir = s.backend.home(l)
	return info, nil
}

// info returns what the program has said about itself in the handshake.
func (s *Session) info() *Info {
	return &Info{Path: s.launch.path, Version: s.server.Server.Version, WireVersion: s.server.ProtocolVersion, Backend: s.backend.kind()}
}
