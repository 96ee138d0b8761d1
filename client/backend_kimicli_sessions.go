package client

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Limits for files of other programs, in bytes. They are far above what kimi writes there.
const (
	maxIndex = 16 << 20              // kimi.json
	maxState = 4 << 20               // state.json
	maxHead  = 2 * wireproto.MaxLine // the first part of a session's history; one prompt may fill a line of maximal length
)

func (b kimiCLI) folders(l *launch) []string {
	return []string{l.shareDir, filepath.Join(l.shareDir, "sessions"), b.sessionsDir(l), filepath.Join(l.shareDir, "logs")}
}

func (b kimiCLI) sessions(l *launch, which listing) ([]SessionInfo, error) {
	known, err := b.workDirs(l)
	if err != nil {
		return nil, err
	}
	if !which.everywhere {
		known = slices.DeleteFunc(known, func(dir string) bool { return dir != l.workDir })
	}
	var list []SessionInfo
	for _, workDir := range known {
		own, err := sessionsIn(b.sessionsOf(l, workDir), which)
		if err != nil {
			return nil, err
		}
		for _, info := range own {
			info.WorkDir = workDir
			list = append(list, info)
		}
	}
	return list, nil
}

// sessionsIn lists the sessions in a directory.
func sessionsIn(path string, which listing) ([]SessionInfo, error) {
	dir, err := regular.Root(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("client: sessions: %w", err)
	}
	defer dir.Close()
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("client: sessions: %w", err)
	}
	var list []SessionInfo
	for _, e := range entries {
		id := e.Name()
		if name, old := strings.CutSuffix(id, ".jsonl"); old && !e.IsDir() {
			if _, err := dir.Lstat(filepath.Join(name, "context.jsonl")); err == nil {
				continue // kimi has moved the session in the meantime
			}
			id = name
		}
		if info, ok := readSession(dir, id); ok {
			if which.turns {
				info.Turns = (&cliStored{id: id, root: dir}).turns()
			}
			if !slices.ContainsFunc(list, func(i SessionInfo) bool { return i.ID == id }) {
				list = append(list, info)
			}
		}
	}
	return list, nil
}

func (b kimiCLI) finds(l *launch, id string) (bool, error) {
	there := isFile(filepath.Join(b.sessionsDir(l), id, "context.jsonl")) || isFile(filepath.Join(b.sessionsDir(l), id+".jsonl"))
	if !there {
		return false, nil
	}
	known, err := b.knowsWorkDir(l)
	if err == nil && !known {
		err = fmt.Errorf("%w: the files of %q are there, but kimi.json in %s does not list the work dir %s, so that kimi would overwrite them; start any session in that work dir first",
			ErrSessionNotFound, id, l.shareDir, l.workDir)
	}
	return known, err
}

// sessionsDir is the folder in which kimi keeps the sessions of the work dir.
func (b kimiCLI) sessionsDir(l *launch) string { return b.sessionsOf(l, l.workDir) }

func (kimiCLI) sessionsOf(l *launch, workDir string) string {
	sum := md5.Sum([]byte(workDir))
	return filepath.Join(l.shareDir, "sessions", hex.EncodeToString(sum[:]))
}

// knowsWorkDir reports whether kimi.json lists the work dir. If it does not, kimi does not look for sessions of the
// work dir, and starts every session from nothing.
func (b kimiCLI) knowsWorkDir(l *launch) (bool, error) {
	known, err := b.workDirs(l)
	return slices.Contains(known, l.workDir), err
}

// workDirs lists the work dirs in kimi.json.
func (kimiCLI) workDirs(l *launch) ([]string, error) {
	path := filepath.Join(l.shareDir, "kimi.json")
	data, err := regular.Read(path, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("client: sessions: %w; kimi will not start either: correct or remove it", err)
	}
	var meta struct {
		WorkDirs []struct {
			Path string `json:"path"`
			Kaos string `json:"kaos"`
		} `json:"work_dirs"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, fmt.Errorf("client: sessions: %s is damaged, kimi will not start either: %w; correct or remove it", path, err)
	}
	var list []string
	for _, wd := range meta.WorkDirs {
		if (wd.Kaos == "local" || wd.Kaos == "") && !slices.Contains(list, wd.Path) {
			list = append(list, wd.Path)
		}
	}
	return list, nil
}

// readSession reads the data of a SessionInfo from a session's directory. It returns false if the directory is not a
// session, or if the session has no turns.
func readSession(dir *os.Root, id string) (SessionInfo, bool) {
	if validSessionID(id) != nil {
		return SessionInfo{}, false
	}
	stored := &cliStored{id: id, root: dir}
	context, err := dir.Stat(stored.context())
	if err != nil || !context.Mode().IsRegular() {
		return SessionInfo{}, false
	}
	info := SessionInfo{ID: id, Updated: context.ModTime()}
	if data, err := regular.ReadIn(dir, filepath.Join(id, "state.json"), maxState); err == nil {
		var state struct {
			CustomTitle *string `json:"custom_title"`
			Archived    bool    `json:"archived"`
		}
		if json.Unmarshal(data, &state) == nil {
			info.Archived = state.Archived
			if state.CustomTitle != nil {
				info.Title = *state.CustomTitle
			}
		}
	}
	used := info.Title != ""
	if f, err := regular.OpenIn(dir, filepath.Join(id, "wire.jsonl")); err == nil {
		defer f.Close()
		for rec, err := range wireproto.ReadSessionFile(io.LimitReader(f, maxHead)) {
			used = true
			if err == nil && info.Created.IsZero() {
				info.Created = rec.Time
			}
			if begin, ok := rec.Message.(*wireproto.TurnBegin); err == nil && ok && info.Title == "" {
				info.Title = shorten(begin.UserInput.String(), 50)
			}
			if info.Title != "" && !info.Created.IsZero() {
				break
			}
		}
	}
	return info, used || context.Size() > 0 && stored.hasHistory()
}

// certainlyUnused reports whether the files of a session prove that it had no turn.
func certainlyUnused(dir *os.Root, id string) bool {
	// read returns the contents of a file. The file may be missing.
	read := func(name string) ([]byte, bool) {
		data, err := regular.ReadIn(dir, filepath.Join(id, name), maxState)
		return data, err == nil || errors.Is(err, fs.ErrNotExist)
	}
	wire, ok := read("wire.jsonl")
	for range wireproto.ReadSessionFile(bytes.NewReader(wire)) {
		ok = false // a record of the conversation, or a line that is not a record
	}
	context, readable := read("context.jsonl")
	for line := range bytes.Lines(context) {
		var rec struct {
			Role string `json:"role"`
		}
		if len(bytes.TrimSpace(line)) > 0 && (json.Unmarshal(line, &rec) != nil || !strings.HasPrefix(rec.Role, "_")) {
			return false
		}
	}
	return ok && readable
}

// hasHistory reports whether the context holds more than the records that kimi itself adds.
func (s *cliStored) hasHistory() bool {
	f, err := regular.OpenIn(s.root, s.context())
	if err != nil {
		return false
	}
	defer f.Close()
	lines := wireproto.NewLineReader(io.LimitReader(f, maxHead))
	for {
		line, err := lines.ReadLine()
		var rec struct {
			Role string `json:"role"`
		}
		if json.Unmarshal(line, &rec) == nil && rec.Role != "" && !strings.HasPrefix(rec.Role, "_") {
			return true
		}
		var long *wireproto.LineError
		if err != nil && !errors.As(err, &long) {
			return false
		}
	}
}

// shorten replaces each run of white space by one blank, and cuts s to at most n runes.
func shorten(s string, n int) string {
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > n {
		return strings.TrimSpace(string(runes[:n-1])) + "…"
	}
	return string(runes)
}

// approvals finds out which actions will run without a question in a session of kimi-cli. If the options want questions
// but the session would not ask, it returns an error. kimi adds what the session has stored to its flags, and no flag
// turns that off (kimi_cli/soul/agent.py, 1.51.0).
func (b kimiCLI) approvals(l *launch, id string) (Approvals, error) {
	o := l.opts
	kept, err := b.kept(l, id)
	if err != nil {
		return Approvals{}, err
	}
	a := o.byOptions()
	if a.Actions = kept.Actions; a.All == "" {
		a.All = b.defaultYolo(l)
	}
	refuse := func(mode, option, command string) (Approvals, error) {
		return Approvals{}, fmt.Errorf("%w: session %q keeps %s mode; set Options.%s if that is wanted, "+
			"or turn it off: continue the session with Options.%s and SlashCommands, and prompt %q", ErrUnasked, id, mode, option, option, command)
	}
	switch asks := o.Answer != nil || o.SupportsQuestion; {
	case kept.AFK && !o.AFK && (a.All == "" || asks):
		return refuse("afk", "AFK", "/afk")
	case kept.Yolo && a.All == "":
		return refuse("yolo", "Yolo", "/yolo")
	}
	return a, nil
}

// commanded reads which modes kimi-cli has stored. Modes of the command line are not stored, so commanded keeps such a
// mode unless the command has turned it off. If nothing is stored on this machine, a command that ran has changed its
// mode: kimi-cli stores no modes before 1.14.0, and a Transport may run it elsewhere.
func (b kimiCLI) commanded(s *Session, command string, ran bool, before Approvals) Approvals {
	if command != commandYolo && command != commandAFK {
		return before
	}
	kept, err := b.kept(s.launch, s.ID())
	if err != nil {
		s.opts.Logger.Warn("client: it is not known what the session stores about approvals", "error", err)
	}
	byOption := before.All != "" && before.All != commandYolo && before.All != commandAFK
	wasAFK := before.All == s.opts.byOptions().All && s.opts.AFK
	named := before.All == command || byOption && wasAFK == (command == commandAFK) // the command is for the mode in All
	switch {
	case kept.AFK:
		before.All = commandAFK
	case kept.Yolo:
		before.All = commandYolo
	case kept.stored && byOption && !(ran && named): // the mode is not stored, because it comes from the command line
	case kept.stored:
		before.All = ""
	case !ran || !s.hasCommand(command):
	case named:
		before.All, s.otherMode = s.otherMode, ""
	case before.All == "":
		before.All = command
	case s.otherMode == command:
		s.otherMode = ""
	default:
		s.otherMode = command
	}
	return before
}

// hasCommand reports whether kimi-cli has a command, such as /yolo. Every kimi-cli has /yolo.
func (s *Session) hasCommand(command string) bool {
	return command == commandYolo || slices.ContainsFunc(s.server.SlashCommands, func(c wireproto.SlashCommand) bool { return "/"+c.Name == command })
}

// kept is what a session of kimi-cli stores about modes and approvals (SessionState of kimi_cli/session_state.py,
// 1.51.0).
type kept struct {
	stored          bool // there is a state, and it says which modes are on
	Yolo, AFK, Plan bool
	Actions         []string
}

// kept reads the state of a session. It returns the zero value if there is no state, or if kimi cannot read the state
// and would start without it.
func (b kimiCLI) kept(l *launch, id string) (kept, error) {
	data, err := regular.Read(filepath.Join(b.sessionsDir(l), id, "state.json"), maxState)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // a file instead of a folder; kimi will not start either
		return kept{}, nil
	}
	if err != nil {
		return kept{}, fmt.Errorf("client: session %q: its approvals are not known: %w", id, err)
	}
	var state struct {
		Approval *struct {
			Yolo    any   `json:"yolo"` // kimi accepts 1 and "yes" as true, too
			AFK     any   `json:"afk"`
			Actions []any `json:"auto_approve_actions"`
		} `json:"approval"`
		Plan any `json:"plan_mode"`
	}
	if json.Unmarshal(data, &state) != nil {
		return kept{}, nil
	}
	on := func(v any) bool { return v != nil && v != false }
	k := kept{Plan: on(state.Plan)}
	if state.Approval == nil {
		return k, nil
	}
	k.stored, k.Yolo, k.AFK = true, on(state.Approval.Yolo), on(state.Approval.AFK)
	for _, v := range state.Approval.Actions {
		if action, ok := v.(string); ok {
			k.Actions = append(k.Actions, action)
		}
	}
	slices.Sort(k.Actions)
	return k, nil
}

// defaultYolo names the configuration that makes every action run without a question. It returns "" if there is none.
func (kimiCLI) defaultYolo(l *launch) string {
	cfg, name := l.opts.Config, "Options.Config"
	switch { // kimi itself reports an error in a file
	case cfg != nil:
	case l.opts.ConfigFile != "":
		name = l.opts.ConfigFile
		cfg, _ = config.Load(l.configPath())
	default:
		name = l.configPath()
		cfg, _ = config.LoadDir(l.shareDir)
	}
	if cfg == nil || !cfg.DefaultYolo {
		return ""
	}
	return "default_yolo of " + name
}
