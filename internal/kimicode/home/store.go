// Package home works with the folder in which Kimi Code keeps its data (KIMI_CODE_HOME). It finds, changes and deletes
// sessions. If a session needs settings that only a home can have, the package makes a private home with links to the
// user's own. It follows Kimi Code 2.1.0.
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

// aliasFile is a file in a session's folder with the id by which a client knows the session. Earlier versions of this
// module wrote it. Now the id is in the session's own metadata.
const aliasFile = "wire-session-id"

// Session is a session in Kimi Code's files.
type Session struct {
	ID       string
	WorkDir  string
	Title    string
	Created  time.Time // zero if the time is not known
	Updated  time.Time
	Turns    int
	Archived bool
}

// Path returns the folder in which Kimi Code keeps its data: KIMI_SHARE_DIR, else KIMI_CODE_HOME, else ~/.kimi-code; ""
// if the user has no home. env and dir are the environment and the current directory of "kimi --wire".
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

// Sessions returns the sessions of a work dir, or of all work dirs for "", with the newest first. Sessions without a
// turn are left out. It reads files and starts no program. If count is true, it reads all journals and sets
// Session.Turns.
func Sessions(home, workDir string, count bool) ([]Session, error) {
	st, err := openStore(home)
	var list []Session
	for _, dir := range st.dirs {
		if s := st.read(dir); s != nil && (s.CWD == workDir || workDir == "") && s.used() {
			info := Session{ID: filepath.Base(dir), WorkDir: s.CWD, Title: s.Title, Created: s.CreatedAt.Time, Updated: s.UpdatedAt.Time, Archived: s.Archived}
			if count {
				info.Turns = st.turns(s)
			}
			list = append(list, info)
		}
	}
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(b.Updated.Compare(a.Updated), strings.Compare(a.ID, b.ID))
	})
	return list, err
}

// turns counts the turns of a session. If its journal cannot be read to the end, it counts those before.
func (st *store) turns(s *state) int {
	stored, err := st.open(s)
	if err != nil {
		return 0
	}
	defer stored.Close()
	n, _ := stored.Journal("main").Turns()
	return n
}

// FindSession returns Kimi Code's id of a session of the work dir: id itself, or the id of the session that a client
// knows as id. It returns "" if there is none. It ignores sessions of other work dirs, because Kimi Code would work in
// their directories.
func FindSession(home, workDir, id string) string {
	if id == "" || strings.ContainsAny(id, `/\`) {
		return ""
	}
	st, _ := openStore(home)
	if found := st.find(workDir, id); len(found) > 0 {
		return found[0]
	}
	return ""
}

// find returns the session of the work dir with this id, or else all sessions that a client knows by this id. There may
// be several, because Kimi Code copies the client's id when it copies a session.
func (st *store) find(workDir, id string) (found []string) {
	for _, dir := range st.dirs {
		if s := st.read(dir); s != nil && s.CWD == workDir && filepath.Base(dir) == id {
			return []string{id}
		}
	}
	for _, dir := range st.dirs {
		s := st.read(dir)
		if s == nil || s.CWD != workDir {
			continue
		}
		name, err := readSmall(filepath.Join(dir, aliasFile))
		if s.Custom.ID == id || err == nil && string(name) == id {
			found = append(found, filepath.Base(dir))
		}
	}
	return found
}

// Dir returns the folder of a session, given Kimi Code's id. It returns "" if there is none.
func Dir(home, id string) string {
	st, _ := openStore(home)
	for _, dir := range st.dirs {
		if filepath.Base(dir) == id {
			return dir
		}
	}
	return ""
}

// Unused reports whether it is certain that a session has had no turn, in any program.
func Unused(home, id string) bool {
	st, _ := openStore(home)
	for _, dir := range st.dirs {
		if filepath.Base(dir) == id {
			s := st.read(dir)
			return s != nil && !s.used()
		}
	}
	return false
}

// Discard removes a session of the work dir if it is certain that it has had no turn. Its server must have ended. For
// the id "", Discard does nothing.
func Discard(home, workDir, id string) {
	if id == "" || !Unused(home, id) {
		return
	}
	if s, err := Find(home, workDir, id); s != nil && err == nil {
		s.Delete() // Delete first removes state.json, and then the rest no longer counts as a session
		s.Close()
	}
}

// state is the state.json of a session, with the members that are used. It has these forms:
//
//	version 2 (0.43)   cwd; times in milliseconds; no lastPrompt if "kimi -p" made the session
//	0.30               workDir; times in RFC 3339
//	0.10               neither cwd nor workDir; session_index.jsonl in the home has the work dir
type state struct {
	CWD            string `json:"cwd"`
	WorkDir        string `json:"workDir"`
	CreatedAt      moment `json:"createdAt"`
	UpdatedAt      moment `json:"updatedAt"`
	Archived       bool   `json:"archived"`
	Title          string `json:"title"`
	LastPrompt     string `json:"lastPrompt"`
	LastTurnReason string `json:"lastTurnReason"`
	Custom         struct {
		ID  string `json:"kimi_go_id"`
		CWD string `json:"cwd"`
	} `json:"custom"`

	dir string
}

// moment is a time in milliseconds or in RFC 3339.
type moment struct{ time.Time }

// UnmarshalJSON reads both forms. As in Kimi Code, any other value becomes the start of 1970.
func (m *moment) UnmarshalJSON(data []byte) error {
	var ms float64
	var text string
	switch {
	case json.Unmarshal(data, &ms) == nil:
		m.Time = time.UnixMilli(int64(ms))
	case json.Unmarshal(data, &text) == nil:
		m.Time, _ = time.Parse(time.RFC3339, text)
	}
	if m.IsZero() {
		m.Time = time.UnixMilli(0)
	}
	return nil
}

// used reports whether a session has had a turn, or may have had one.
func (s *state) used() bool {
	if s.LastPrompt != "" || s.LastTurnReason != "" {
		return true
	}
	journal, err := regular.Read(filepath.Join(s.dir, "agents", "main", "wire.jsonl"), indexMost)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		return true
	}
	return strings.Contains(string(journal), `"turn.prompt"`) || strings.Contains(string(journal), `"context.append_message"`)
}

// store gives access to the sessions in a home.
type store struct {
	home     string
	dirs     []string          // folders of the sessions: sessions/WORKSPACE/ID
	workDirs map[string]string // from session_index.jsonl; the keys are ids of sessions; nil until it is needed
}

func openStore(home string) (*store, error) {
	st := &store{home: home}
	root := filepath.Join(home, "sessions")
	workspaces, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	for _, w := range workspaces {
		if strings.HasPrefix(w.Name(), ".") { // an index that Kimi Code keeps for itself
			continue
		}
		sessions, _ := os.ReadDir(filepath.Join(root, w.Name()))
		for _, s := range sessions {
			if s.IsDir() {
				st.dirs = append(st.dirs, filepath.Join(root, w.Name(), s.Name()))
			}
		}
	}
	return st, err
}

// read reads the state of the session in a folder. It returns nil if there is none.
func (st *store) read(dir string) *state {
	data, err := readSmall(filepath.Join(dir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		data, err = readSmall(filepath.Join(dir, "session-meta", "state.json"))
	}
	s := &state{dir: dir}
	if err != nil || json.Unmarshal(data, s) != nil {
		return nil
	}
	if s.CWD = cmp.Or(s.CWD, s.WorkDir, s.Custom.CWD); s.CWD == "" {
		s.CWD = st.indexed(filepath.Base(dir))
	}
	return s
}

// indexed returns the work dir of a session of an old version, or "" if it is not known.
func (st *store) indexed(id string) string {
	if st.workDirs == nil {
		st.workDirs = make(map[string]string)
		data, _ := regular.Read(filepath.Join(st.home, "session_index.jsonl"), indexMost)
		for line := range strings.Lines(string(data)) {
			var entry struct {
				ID      string `json:"sessionId"`
				WorkDir string `json:"workDir"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.ID != "" {
				st.workDirs[entry.ID] = entry.WorkDir
			}
		}
	}
	return st.workDirs[id]
}

// How many bytes are read at most of a file that another program has written.
const (
	smallMost = 4 << 20
	indexMost = 64 << 20 // of a file that grows with the number of sessions or of turns
)

func readSmall(path string) ([]byte, error) { return regular.Read(path, smallMost) }
