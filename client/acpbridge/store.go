package acpbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/regular"
)

// aliasFile, in a session's directory, holds the id by which a client knows the session that
// makes ids of its own.
const aliasFile = "wire-session-id"

// Limits of what is read, in bytes.
const (
	maxState = 4 << 20
	maxAlias = 4 << 10
)

// Session is a session in Kimi Code's files.
type Session struct {
	ID        string
	WorkDir   string
	Title     string
	UpdatedAt time.Time
	Archived  bool
}

// Home returns the folder in which Kimi Code keeps its data, given the environment of
// "kimi --wire" and the directory in which it runs: KIMI_SHARE_DIR, KIMI_CODE_HOME or ~/.kimi-code; ""
// if there is no home.
func Home(env []string, dir string) string {
	for _, key := range []string{"KIMI_SHARE_DIR", "KIMI_CODE_HOME"} {
		if home := getenv(env, key); home != "" {
			if !filepath.IsAbs(home) {
				home = filepath.Join(dir, home)
			}
			return home
		}
	}
	home := getenv(env, "HOME")
	if runtime.GOOS == "windows" {
		home = getenv(env, "USERPROFILE")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".kimi-code")
}

// Sessions returns the sessions of a work dir that have had a turn, in no order. It reads
// files and starts nothing.
func Sessions(home, workDir string) ([]Session, error) {
	dirs, err := sessionDirs(home)
	var list []Session
	for _, dir := range dirs {
		if st := readState(dir); st != nil && st.CWD == workDir && st.LastPrompt != "" {
			list = append(list, Session{st.ID, st.CWD, st.Title, time.UnixMilli(st.UpdatedAt), st.Archived})
		}
	}
	return list, err
}

// state is a session's state.json; only what is used is declared.
type state struct {
	ID         string `json:"id"`
	CWD        string `json:"cwd"`
	UpdatedAt  int64  `json:"updatedAt"` // milliseconds
	Archived   bool   `json:"archived"`
	Title      string `json:"title"`
	LastPrompt string `json:"lastPrompt"`
}

// readState reads the state of the session in a directory, nil where it has none.
func readState(dir string) *state {
	data, err := regular.Read(filepath.Join(dir, "state.json"), maxState)
	st := new(state)
	if err != nil || json.Unmarshal(data, st) != nil || st.ID == "" {
		return nil
	}
	return st
}

// neverPrompted reports whether the files of a session say that nobody has prompted in it. Its journal says so at
// once, its state a little later.
func neverPrompted(dir string) bool {
	st := readState(dir)
	journal, err := regular.Read(filepath.Join(dir, "agents", "main", "wire.jsonl"), maxState)
	switch {
	case st != nil && st.LastPrompt != "", bytes.Contains(journal, []byte(`"turn.prompt"`)):
		return false
	case err == nil:
		return true // the state may be in the middle of being written
	}
	return st != nil && errors.Is(err, fs.ErrNotExist)
}

// FindSession returns Kimi Code's id of a session of the work dir: id itself, or that of the session which
// a Wire client knows as id; "" if there is none. One of another work dir is not found: Kimi Code
// would go on in that one.
func FindSession(home, workDir, id string) string {
	if id == "" || strings.ContainsAny(id, `/\`) {
		return ""
	}
	dirs, _ := sessionDirs(home)
	own := func(dir string) bool { return filepath.Base(dir) == id }
	alias := func(dir string) bool {
		name, err := regular.Read(filepath.Join(dir, aliasFile), maxAlias)
		return err == nil && string(name) == id
	}
	for _, is := range []func(string) bool{own, alias} {
		for _, dir := range dirs {
			if st := readState(dir); is(dir) && st != nil && st.CWD == workDir {
				return filepath.Base(dir)
			}
		}
	}
	return ""
}

// sessionDir returns the directory of a session, "" if there is none.
func sessionDir(home, id string) string {
	dirs, _ := sessionDirs(home)
	for _, dir := range dirs {
		if filepath.Base(dir) == id {
			return dir
		}
	}
	return ""
}

// sessionDirs returns the directories of all sessions: sessions/WORKSPACE/ID.
func sessionDirs(home string) ([]string, error) {
	root := filepath.Join(home, "sessions")
	workspaces, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var dirs []string
	for _, w := range workspaces {
		if !strings.HasPrefix(w.Name(), "wd_") {
			continue
		}
		sessions, _ := os.ReadDir(filepath.Join(root, w.Name()))
		for _, s := range sessions {
			if s.IsDir() {
				dirs = append(dirs, filepath.Join(root, w.Name(), s.Name()))
			}
		}
	}
	return dirs, err
}
