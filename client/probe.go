package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/spawn"
	"github.com/kimi-go/kimi-go/wireproto"
)

// run runs a short command of the program and returns what it prints. The error is one of the start, or the end of ctx.
func (l *launch) run(ctx context.Context, path string, args ...string) (stdout string, end *ProcessError, err error) {
	cmd, err := spawn.Command(ctx, path, l.env, args...)
	if err != nil {
		return "", nil, startError(path, err)
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
			return "", nil, l.gaveUp(ctx, path, nil, "")
		}
		return "", nil, startError(path, err)
	}
	end = &ProcessError{
		ExitCode: cmd.ProcessState.ExitCode(), Signal: signalName(cmd.ProcessState), Stderr: errOut.String(),
		Args: append([]string{path}, args...), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
	}
	if ctx.Err() != nil && !cmd.ProcessState.Success() {
		return "", nil, l.gaveUp(ctx, path, end, "")
	}
	return out.String(), end, nil
}

// probe asks a program what it is. An [*IncompatibleError] says that it has not told, or that it is none that
// has a Wire mode or a server.
func (l *launch) probe(ctx context.Context, path string) (*Info, error) {
	if looksLike(path) == BackendServer {
		return l.probeKimiCode(ctx, path)
	}
	stdout, end, err := l.run(ctx, path, "info", "--json")
	if err != nil {
		return nil, err
	}
	// Not by the exit code: the last kimi-cli prints plain text to every command and exits 0.
	if told, ok := infoIn(stdout); ok {
		if _, err := wireproto.ParseVersion(told.Wire); err != nil {
			return nil, &IncompatibleError{Path: path, Found: "kimi-cli " + told.Kimi + ", which tells of no Wire mode", Want: wantKimi, Remedy: "install it with " + installCommand}
		}
		return &Info{Path: path, Version: told.Kimi, WireVersion: told.Wire, PythonVersion: told.Python, Backend: BackendWire, ShareDir: l.shareDir}, nil
	}
	switch bad := l.classify(path, stdout, end.Stderr); {
	case bad == errKimiCode:
		return l.probeKimiCode(ctx, path)
	case bad != nil:
		return nil, bad
	}
	if bad := missing(path, end); bad != nil {
		return nil, bad
	}
	found := "not kimi: it does not answer \"info --json\""
	if tail := lastLines(end.Stderr, 2, 150); tail != "" {
		found += " (" + tail + ")"
	}
	return nil, &IncompatibleError{Path: path, Found: found, Want: wantKimi,
		Remedy: "install Kimi Code with " + installKimiCode + ", or kimi-cli with " + installCommand + ", and set KIMI_PATH or Options.Executable to it"}
}

// told is what "info --json" answers (kimi_cli/cli/info.py).
type told struct {
	Kimi   string `json:"kimi_cli_version"`
	Wire   string `json:"wire_protocol_version"`
	Python string `json:"python_version"`
}

// infoIn finds the answer in what a program has printed: around it may stand what a version manager or a shell says.
func infoIn(stdout string) (told, bool) {
	lines := strings.SplitAfter(stdout, "\n")
	for i := range slices.Backward(lines) {
		_, object, found := strings.Cut(lines[i], "{")
		var t told
		if found && json.NewDecoder(strings.NewReader("{"+object+strings.Join(lines[i+1:], ""))).Decode(&t) == nil && t.Kimi != "" {
			return t, true
		}
	}
	return told{}, false
}

// versionLine matches a line that ends with a version.
var versionLine = regexp.MustCompile(`(?m)(?:^|[^\w.])v?(\d+\.\d+\.\d+(?:[-+][\w.+-]+)?)\s*$`)

// versionIn finds the last version at the end of a line, "" if there is none.
func versionIn(stdout string) string {
	all := versionLine.FindAllStringSubmatch(stdout, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// probeKimiCode asks Kimi Code for its version.
func (l *launch) probeKimiCode(ctx context.Context, path string) (*Info, error) {
	stdout, end, err := l.run(ctx, path, "--version")
	if err != nil {
		return nil, err
	}
	if bad := missing(path, end); bad != nil {
		return nil, bad
	}
	version := versionIn(stdout)
	if v, err := wireproto.ParseVersion(version); err != nil || v.Major < 2 {
		found := "Kimi Code, and does not tell its version"
		if err == nil {
			found = "Kimi Code " + version
		} else if tail := lastLines(end.Stderr, 2, 150); tail != "" {
			found += " (" + tail + ")"
		}
		return nil, &IncompatibleError{Path: path, Found: found, Want: wantKimi, Remedy: "install it anew with " + installKimiCode}
	}
	return &Info{Path: path, Version: version, WireVersion: wireproto.ProtocolVersion, Backend: BackendServer, ShareDir: l.codeHome()}, nil
}

// try tells what a program is from a handshake, in a work dir and a share dir of its own.
func (l *launch) try(ctx context.Context, path string) (*Info, error) {
	dir, err := os.MkdirTemp("", "kimi-go-inspect-")
	if err != nil {
		return nil, fmt.Errorf("client: temporary files: %w; set TMPDIR to a directory that can be written", err)
	}
	defer os.RemoveAll(dir)
	s, err := NewSession(ctx, &Options{
		Executable: path, Env: l.opts.Env, WorkDir: dir, ShareDir: dir,
		StartTimeout: l.opts.StartTimeout, StopGrace: l.opts.StopGrace, Logger: l.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	info := s.info()
	info.ShareDir = l.shareDir
	if info.Backend == BackendServer {
		info.ShareDir = l.codeHome()
	}
	return info, nil
}

// info is what the handshake has told of the program.
func (s *Session) info() *Info {
	info := &Info{Path: s.launch.path, Version: s.server.Server.Version, WireVersion: s.server.ProtocolVersion, Backend: BackendWire}
	if s.server.Bridge != nil {
		info.Backend = BackendServer
	}
	return info
}
