package client

import (
	"cmp"
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
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Limits of what is read of other programs' files, in bytes, far beyond what kimi writes there.
const (
	maxIndex = 16 << 20              // kimi.json
	maxState = 4 << 20               // state.json
	maxHead  = 2 * wireproto.MaxLine // the head of a session's history: a prompt may fill a line
)

// SessionInfo describes a session that can be continued.
type SessionInfo struct {
	ID        string
	WorkDir   string
	Title     string    // its own, or the head of the first prompt; "" where there is neither
	UpdatedAt time.Time // of the last change of its context
	Archived  bool
}

// ListSessions lists the sessions of the work dir, newest first, from the files of the kimi that
// would run: kimi-cli's (kimi_cli/session.py, 1.51.0) or Kimi Code's (sessions/ in its home), or both
// where its own files do not tell which it is. It starts nothing. A work dir without any gives an empty list.
// As in kimi, a session belongs to its work dir by the spelling of the path.
func ListSessions(opts *Options) ([]SessionInfo, error) {
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	return l.listSessions()
}

func (l *launch) listSessions() ([]SessionInfo, error) {
	backend := l.backend()
	var list []SessionInfo
	var err error
	if backend != BackendServer {
		if list, err = l.listWire(); err != nil {
			return nil, err
		}
	}
	if backend != BackendWire {
		code, err := home.Sessions(l.codeHome(), l.workDir)
		if err != nil {
			return nil, fmt.Errorf("client: sessions: %w", err)
		}
		for _, s := range code {
			list = append(list, SessionInfo(s))
		}
	}
	for i := range list {
		list[i].Title = unmarked(list[i].Title)
	}
	slices.SortFunc(list, func(a, b SessionInfo) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// backend tells which kimi would run, "" where its files do not tell.
func (l *launch) backend() Backend {
	if l.opts.Transport != nil {
		return BackendWire
	}
	program, err := l.find()
	if err != nil {
		return ""
	}
	return looksLike(program.path)
}

// codeHome is where Kimi Code keeps its sessions.
func (l *launch) codeHome() string { return home.Path(l.env, l.workDir) }

// listWire lists kimi-cli's sessions.
func (l *launch) listWire() ([]SessionInfo, error) {
	known, err := l.knowsWorkDir()
	if err != nil || !known {
		return nil, err
	}
	dir, err := regular.Root(l.sessionsDir())
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
		if info, ok := readSession(dir, e.Name()); ok {
			info.WorkDir = l.workDir
			list = append(list, info)
		}
	}
	return list, nil
}

// sessionsDir is where kimi keeps the sessions of the work dir.
func (l *launch) sessionsDir() string {
	sum := md5.Sum([]byte(l.workDir))
	return filepath.Join(l.shareDir, "sessions", hex.EncodeToString(sum[:]))
}

// knowsWorkDir reports whether kimi.json lists the work dir. kimi looks for no session of
// one that it does not list, and begins each anew.
func (l *launch) knowsWorkDir() (bool, error) {
	path := filepath.Join(l.shareDir, "kimi.json")
	data, err := regular.Read(path, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("client: sessions: %w; kimi will not start either: mend or remove it", err)
	}
	var meta struct {
		WorkDirs []struct {
			Path string `json:"path"`
			Kaos string `json:"kaos"`
		} `json:"work_dirs"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return false, fmt.Errorf("client: sessions: %s is damaged, kimi will not start either: %w; mend or remove it", path, err)
	}
	for _, wd := range meta.WorkDirs {
		if wd.Path == l.workDir && (wd.Kaos == "local" || wd.Kaos == "") {
			return true, nil
		}
	}
	return false, nil
}

// readSession reads what is needed of a session's directory; false if it is none, or one
// without any turn.
func readSession(dir *os.Root, id string) (SessionInfo, bool) {
	if validSessionID(id) != nil {
		return SessionInfo{}, false
	}
	context, err := dir.Stat(filepath.Join(id, "context.jsonl"))
	if err != nil || !context.Mode().IsRegular() {
		return SessionInfo{}, false
	}
	info := SessionInfo{ID: id, UpdatedAt: context.ModTime()}
	if data, err := regular.ReadIn(dir, filepath.Join(id, "state.json"), maxState); err == nil {
		var state struct {
			CustomTitle *string `json:"custom_title"`
			Archived    bool    `json:"archived"`
		}
		if json.Unmarshal(data, &state) == nil {
			info.Archived = state.Archived
			if state.CustomTitle != nil && *state.CustomTitle != "" {
				info.Title = *state.CustomTitle
				return info, true
			}
		}
	}
	used := false
	if f, err := regular.OpenIn(dir, filepath.Join(id, "wire.jsonl")); err == nil {
		defer f.Close()
		for rec, err := range wireproto.ReadSessionFile(io.LimitReader(f, maxHead)) {
			used = true
			if begin, ok := rec.Message.(*wireproto.TurnBegin); err == nil && ok {
				info.Title = shorten(begin.UserInput.String(), 50)
				break
			}
		}
	}
	return info, used || context.Size() > 0 && hasHistory(dir, id)
}

// hasHistory reports whether the context holds more than kimi's own records.
func hasHistory(dir *os.Root, id string) bool {
	f, err := regular.OpenIn(dir, filepath.Join(id, "context.jsonl"))
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

// shorten folds white space and cuts s to at most n runes.
func shorten(s string, n int) string {
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > n {
		return strings.TrimSpace(string(runes[:n-1])) + "…"
	}
	return string(runes)
}

// findSession checks that kimi will find the session, since it would begin one that it
// does not find anew, over its files. "" stands for the newest.
func (l *launch) findSession(id string) (string, error) {
	if id == "" {
		list, err := l.listSessions()
		if err != nil {
			return "", err
		}
		if len(list) == 0 {
			return "", fmt.Errorf("%w: %s has none", ErrSessionNotFound, l.workDir)
		}
		id = list[0].ID
	}
	if err := validSessionID(id); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSessionNotFound, err)
	}
	found, err := l.finds(id)
	if err == nil && !found {
		share := l.shareDir
		if l.backend() == BackendServer {
			share = l.codeHome()
		}
		err = fmt.Errorf("%w: %q in the work dir %s (share dir %s)", ErrSessionNotFound, id, l.workDir, share)
	}
	return id, err
}

// finds reports whether kimi will find the session. It is an error if the files are there
// nevertheless.
func (l *launch) finds(id string) (bool, error) {
	if l.backend() != BackendWire && home.FindSession(l.codeHome(), l.workDir, id) != "" {
		l.codeID = true
		return true, nil
	}
	files, err := os.Stat(filepath.Join(l.sessionsDir(), id, "context.jsonl"))
	if err != nil || !files.Mode().IsRegular() {
		return false, nil
	}
	known, err := l.knowsWorkDir()
	if err == nil && !known {
		err = fmt.Errorf("%w: the files of %q are there, but kimi.json in %s does not list the work dir %s, so that kimi would overwrite them; start any session in that work dir first",
			ErrSessionNotFound, id, l.shareDir, l.workDir)
	}
	return known, err
}
