// Package home knows the folder in which Kimi Code keeps its data, KIMI_CODE_HOME: it finds
// sessions in it, and lays a private home over the user's own where a session needs settings
// that only a home can have.
//
// All facts are those of Kimi Code 2.1.0.
package home

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/regular"
)

// aliasFile, in a session's folder, holds the id by which a client knows the session. Earlier versions
// of this module wrote it; now the id is in the session's own metadata.
const aliasFile = "wire-session-id"

// Session is a session in Kimi Code's files.
type Session struct {
	ID        string
	WorkDir   string
	Title     string
	UpdatedAt time.Time
	Archived  bool
}

// Path returns the folder in which Kimi Code keeps its data, given the environment of
// "kimi --wire" and the directory in which it runs: KIMI_SHARE_DIR, KIMI_CODE_HOME or ~/.kimi-code; ""
// if there is no home.
func Path(env []string, dir string) string {
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

func getenv(env []string, key string) string {
	for _, entry := range slices.Backward(env) {
		if k, v, _ := strings.Cut(entry, "="); k == key || runtime.GOOS == "windows" && strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

// Sessions returns the sessions of a work dir that have had a turn, the newest first. It reads files
// and starts nothing.
func Sessions(home, workDir string) ([]Session, error) {
	dirs, err := sessionDirs(home)
	var list []Session
	for _, dir := range dirs {
		if st := readState(dir); st != nil && st.CWD == workDir && st.LastPrompt != "" {
			list = append(list, Session{st.ID, st.CWD, st.Title, time.UnixMilli(st.UpdatedAt), st.Archived})
		}
	}
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), strings.Compare(a.ID, b.ID))
	})
	return list, err
}

// FindSession returns Kimi Code's id of a session of the work dir: id itself, or that of the session
// which a client knows as id; "" if there is none. One of another work dir is not found: Kimi Code
// would go on in that one.
func FindSession(home, workDir, id string) string {
	if id == "" || strings.ContainsAny(id, `/\`) {
		return ""
	}
	dirs, _ := sessionDirs(home)
	own := func(dir string, _ *state) bool { return filepath.Base(dir) == id }
	alias := func(dir string, st *state) bool {
		if st.Custom.ID == id {
			return true
		}
		name, err := readSmall(filepath.Join(dir, aliasFile))
		return err == nil && string(name) == id
	}
	for _, is := range []func(string, *state) bool{own, alias} {
		for _, dir := range dirs {
			if st := readState(dir); st != nil && st.CWD == workDir && is(dir, st) {
				return filepath.Base(dir)
			}
		}
	}
	return ""
}

// Unused reports whether a session is certain to have had no turn, in whatever program.
func Unused(home, id string) bool {
	dirs, _ := sessionDirs(home)
	for _, dir := range dirs {
		if filepath.Base(dir) != id {
			continue
		}
		st := readState(dir)
		if st == nil || st.LastPrompt != "" {
			return false
		}
		journal, err := readSmall(filepath.Join(dir, "agents", "main", "wire.jsonl"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true
		case err != nil:
			return false
		}
		return !strings.Contains(string(journal), `"turn.prompt"`) && !strings.Contains(string(journal), `"context.append_message"`)
	}
	return false
}

// state is a session's state.json; only what is used is declared.
type state struct {
	ID         string `json:"id"`
	CWD        string `json:"cwd"`
	UpdatedAt  int64  `json:"updatedAt"` // milliseconds
	Archived   bool   `json:"archived"`
	Title      string `json:"title"`
	LastPrompt string `json:"lastPrompt"`
	Custom     struct {
		ID string `json:"kimi_go_id"`
	} `json:"custom"`
}

// readState reads the state of the session in a folder, nil where it has none.
func readState(dir string) *state {
	data, err := readSmall(filepath.Join(dir, "state.json"))
	st := new(state)
	if err != nil || json.Unmarshal(data, st) != nil || st.ID == "" {
		return nil
	}
	return st
}

// smallMost is the most that is read of a file that others have written, in bytes.
const smallMost = 4 << 20

func readSmall(path string) ([]byte, error) { return regular.Read(path, smallMost) }

// sessionDirs returns the folders of all sessions: sessions/WORKSPACE/ID.
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
