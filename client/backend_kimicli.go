package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// kimiCLI is kimi-cli or kimi-agent. Such a program speaks Wire itself.
type kimiCLI struct{}

func (kimiCLI) kind() Backend         { return BackendWire }
func (kimiCLI) tested() string        { return "1.51.0" }
func (kimiCLI) home(l *launch) string { return l.shareDir }
func (kimiCLI) newID() string         { return newUUID() }
func (kimiCLI) wholeCalls() bool      { return false }
func (kimiCLI) ownTurns() bool        { return false }
func (kimiCLI) endsSteps() bool       { return false }
func (kimiCLI) subagentModels() bool  { return true }
func (kimiCLI) keepsActions() bool    { return true }

func (kimiCLI) model(l *launch) string { return l.configuredModel() }

func (kimiCLI) words(c wireproto.Content) (wireproto.Content, bool) { return asWords(c) }

func (kimiCLI) flags(o *Options) ([]string, error) {
	switch o.Effort {
	case "":
		return nil, nil
	case "on":
		return []string{"--thinking"}, nil
	case "off":
		return []string{"--no-thinking"}, nil
	}
	return nil, &OptionError{Option: "Effort", Reason: fmt.Sprintf("kimi-cli has no thinking effort %.40q", o.Effort), Remedy: `use "on" or "off", or Kimi Code`, Err: ErrUnsupported}
}

func (kimiCLI) owns(_ string, head []byte) bool {
	return bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(head, []byte("kimi_cli"))
}

// start does not start kimi-cli if kimi-cli would run actions without a question that the options do not allow, or if
// the session is already open.
func (b kimiCLI) start(ctx context.Context, l *launch, p *processTransport, id string) (*Session, error) {
	approvals, err := b.approvals(l, id)
	if err != nil {
		return nil, err
	}
	if l.held, err = holdSession(b.sessionDir(l, id), true); err != nil {
		return nil, err
	}
	defer func() { l.held.Close() }() // nil if the Session has taken the lock over; Close of a nil file is harmless
	kept, err := b.kept(l, id)
	if err != nil {
		return nil, err
	}
	s, err := l.connect(ctx, p, id, approvals)
	if err == nil && kept.Plan { // kimi reports plan mode only in the first turn
		s.mu.Lock()
		s.status.PlanMode = true
		s.mu.Unlock()
	}
	return s, err
}

// adopt locks the files of the session. It gives the lock of an existing session to s, and locks a new session.
func (b kimiCLI) adopt(s *Session) error {
	if s.launch.opts.Transport != nil {
		return nil
	}
	s.mu.Lock()
	there, over := s.launch.held != nil, s.err != nil
	if there && !over {
		s.held, s.launch.held = s.launch.held, nil
	}
	s.mu.Unlock()
	if there || over {
		return nil
	}
	return b.holdAgain(s) // a new session
}

// discard removes a session that the start has made, if it is certain that the session had no turn.
func (b kimiCLI) discard(s *Session) {
	l, id := s.launch, s.id
	held, err := holdSession(b.sessionDir(l, id), true)
	if err != nil {
		return
	}
	defer held.Close() // held is nil where files cannot be locked; Close of a nil file is harmless
	root, err := regular.Root(b.sessionsDir(l))
	if err != nil {
		return
	}
	defer root.Close()
	if info, err := root.Lstat(id); err != nil || !info.IsDir() || !certainlyUnused(root, id) {
		return
	}
	err = nil
	for _, name := range []string{"context.jsonl", "wire.jsonl", "state.json"} {
		if e := root.Remove(filepath.Join(id, name)); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err = errors.Join(err, root.Remove(id)); err != nil { // Remove fails if the folder has other files
		l.opts.Logger.Warn("client: the session that the failed start has made could not be removed", "session", id, "error", err)
	}
}

func (b kimiCLI) sessionDir(l *launch, id string) string { return filepath.Join(b.sessionsDir(l), id) }

// probe runs "kimi info --json".
func (b kimiCLI) probe(ctx context.Context, l *launch) (*Info, error) {
	stdout, end, err := l.run(ctx, "info", "--json")
	if err != nil {
		return nil, err
	}
	// The exit code tells nothing: the last kimi-cli answers every command with plain text and exits with 0.
	if told, ok := infoIn(stdout); ok {
		if _, err := wireproto.ParseVersion(told.Wire); err != nil {
			return nil, &IncompatibleError{Path: l.path, Found: "kimi-cli " + told.Kimi + ", which has no Wire mode", Want: wantKimi, Remedy: "install it with " + installCommand}
		}
		return &Info{Path: l.path, Version: told.Kimi, WireVersion: told.Wire, PythonVersion: told.Python, Backend: b.kind(), ShareDir: b.home(l)}, nil
	}
	if bad := tombstone(l.path, stdout); bad != nil {
		return nil, bad
	}
	if refusesFlags(end.Stderr) {
		return kimiCode{}.probe(ctx, l)
	}
	if bad := missing(l.path, end); bad != nil {
		return nil, bad
	}
	found := "not kimi: it does not answer \"info --json\""
	if tail := lastLines(end.Stderr, 2, 150); tail != "" {
		found += " (" + tail + ")"
	}
	return nil, &IncompatibleError{Path: l.path, Found: found, Want: wantKimi,
		Remedy: "install Kimi Code with " + installKimiCode + ", or kimi-cli with " + installCommand + ", and set KIMI_PATH or Options.Executable to it"}
}

func (b kimiCLI) explain(ctx context.Context, l *launch, f *failure) error {
	if f.answer != nil {
		return cmp.Or(l.obstacle(f.err), f.err)
	}
	if bad := tombstone(l.path, f.noise); bad != nil {
		return bad
	}
	if refusesFlags(f.exit.Stderr) {
		return &otherError{kimiCode{}}
	}
	if bad := l.configError(); bad != nil {
		return &StartError{Path: l.path, Reason: invalid(bad), Remedy: "fix the file", Err: errors.Join(bad, f.err)}
	}
	if bad := l.obstacle(f.err); bad != nil {
		return bad
	}
	switch info, bad := b.probe(ctx, l); {
	case errors.As(bad, new(*IncompatibleError)):
		return bad
	case bad == nil && info.Backend != b.kind():
		return &otherError{backendOf(info.Backend)}
	}
	return f.err // a program that does not answer in time may still be a kimi
}

// tombstone recognises the kimi-cli that follows the last usable version, by what it prints. Otherwise it returns nil.
func tombstone(path, stdout string) error {
	if !strings.Contains(stdout, "no longer maintained") {
		return nil
	}
	return &IncompatibleError{Path: path, Found: "kimi-cli 1.52 or later, which only prints that kimi-cli is no longer maintained", Want: wantKimi,
		Remedy: "install Kimi Code with " + installKimiCode + ", or the last kimi-cli that works with " + installCommand}
}

// refusesFlags recognises Kimi Code by its error about an argument of kimi-cli.
func refusesFlags(stderr string) bool {
	return strings.Contains(stderr, "unknown option '--wire'") || strings.Contains(stderr, "unknown option '--json'")
}

// told is the answer to "info --json" (kimi_cli/cli/info.py).
type told struct {
	Kimi   string `json:"kimi_cli_version"`
	Wire   string `json:"wire_protocol_version"`
	Python string `json:"python_version"`
}

// infoIn finds the answer in the output of a program. A version manager or a shell may have printed text around it.
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
