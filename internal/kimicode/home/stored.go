package home

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/internal/jsonfile"
	"github.com/kimi-go/kimi-go/internal/kimicode/history"
	"github.com/kimi-go/kimi-go/internal/regular"
)

// Stored is the folder of a session. Even through links, it reads and writes nothing outside the folder of all
// sessions.
type Stored struct {
	ID  string
	Dir string // the absolute path of the folder

	home string
	in   string   // the path of the folder inside the folder of all sessions, with slashes
	root *os.Root // the folder of all sessions
	meta state
}

// Find opens a session of a work dir, given Kimi Code's id or a client's id. It returns nil if there is none, and an
// error if several sessions have the client's id. The caller must call Close.
func Find(home, workDir, id string) (*Stored, error) {
	if id == "" || strings.ContainsAny(id, `/\`) {
		return nil, nil
	}
	st, _ := openStore(home)
	found := st.find(workDir, id)
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		id = found[0]
	default:
		return nil, fmt.Errorf("it matches several: %.300s; name one of them", strings.Join(found, ", "))
	}
	for _, dir := range st.dirs {
		if filepath.Base(dir) == id {
			if s := st.read(dir); s != nil && s.CWD == workDir {
				return st.open(s)
			}
		}
	}
	return nil, nil
}

func (st *store) open(s *state) (*Stored, error) {
	root, err := regular.Root(filepath.Join(st.home, "sessions"))
	if err != nil {
		return nil, err
	}
	workspace, id := filepath.Base(filepath.Dir(s.dir)), filepath.Base(s.dir)
	return &Stored{ID: id, Dir: s.dir, home: st.home, in: path.Join(workspace, id), root: root, meta: *s}, nil
}

// Close releases the folder.
func (s *Stored) Close() error { return s.root.Close() }

// Title returns the title of the session.
func (s *Stored) Title() string { return s.meta.Title }

// Journal returns the journal of an agent. The session's own agent is "main".
func (s *Stored) Journal(agent string) history.Source {
	dir := path.Join(s.in, "agents", agent)
	return history.Source{
		Open: func() (io.ReadCloser, error) {
			f, err := regular.OpenIn(s.root, path.Join(dir, "wire.jsonl"))
			if errors.Is(err, fs.ErrNotExist) {
				return io.NopCloser(strings.NewReader("")), nil
			}
			return f, err
		},
		Media: func(name string) ([]byte, error) {
			if strings.ContainsAny(name, `/\`) {
				return nil, fs.ErrNotExist
			}
			return regular.ReadIn(s.root, path.Join(dir, "blobs", name), mediaMost)
		},
	}
}

// mediaMost is how many bytes of a picture or a video are read at most.
const mediaMost = 256 << 20

// own checks that the session's folder is really in the home, and not a link to another place. Call it before a change.
func (s *Stored) own() error {
	root, err := os.OpenRoot(s.home)
	if err != nil {
		return err
	}
	defer root.Close()
	sessions, err := root.OpenRoot("sessions")
	if err != nil {
		return err
	}
	s.root.Close()
	s.root = sessions
	for _, name := range []string{path.Dir(s.in), s.in} {
		info, err := s.root.Lstat(name)
		if err == nil && !info.IsDir() {
			err = &fs.PathError{Op: "change", Path: filepath.Join(s.home, "sessions", name), Err: errors.New("not a folder")}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stateFile returns the path of the session's metadata.
func (s *Stored) stateFile() string {
	if name := path.Join(s.in, "state.json"); exists(s.root, name) {
		return name
	}
	return path.Join(s.in, "session-meta", "state.json")
}

func exists(root *os.Root, name string) bool {
	_, err := root.Lstat(name)
	return err == nil
}

// Rename gives the session a title. Kimi Code will not replace it by a generated one.
func (s *Stored) Rename(title string) error {
	if err := s.own(); err != nil {
		return err
	}
	err := jsonfile.Set(s.root, s.stateFile(), smallMost,
		jsonfile.Member{Key: "title", Value: title}, jsonfile.Member{Key: "titleKind", Value: "custom"}, jsonfile.Member{Key: "isCustomTitle", Value: true})
	if err != nil {
		return err
	}
	s.mark()
	return nil
}

// Delete removes the session's folder, the events that Kimi Code's server has stored for it, and its entry in the
// index.
func (s *Stored) Delete() error {
	if err := s.own(); err != nil {
		return err
	}
	// Remove the metadata first: without them the folder is no longer a session, even if the rest cannot be removed.
	if err := s.root.Remove(s.stateFile()); err != nil {
		return err
	}
	err := s.root.RemoveAll(s.in)
	s.mark()
	return errors.Join(err, s.unlist())
}

// unlist marks the session as deleted in the home's index, as Kimi Code does.
func (s *Stored) unlist() error {
	root, err := os.OpenRoot(s.home)
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.Remove(path.Join("server", "events", s.ID+".jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, index(root, map[string]any{"sessionId": s.ID, "deleted": true}))
}

// index adds an entry to the index of sessions, if the index exists.
func index(root *os.Root, entry any) error {
	const name = "session_index.jsonl"
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() { // a named pipe would block the program that opens it
		err = &fs.PathError{Op: "write", Path: name, Err: regular.ErrKind}
	}
	if err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	raw, _ := json.Marshal(entry)
	_, err = f.Write(append(raw, '\n'))
	return errors.Join(err, f.Close())
}

// mark makes running programs of Kimi Code read the session again at once. Without it, they do so later.
func (s *Stored) mark() {
	if f, err := s.root.Create(fmt.Sprintf(".index-dirty/%s.%d", s.ID, time.Now().UnixMilli())); err == nil {
		f.Close()
	}
}

// Fork makes a new session of the first turns, or of all for -1, as Kimi Code does. It returns the id of the new
// session.
func (s *Stored) Fork(ctx context.Context, turns int, title string) (id string, err error) {
	if err := s.own(); err != nil {
		return "", err
	}
	now := time.Now()
	cut, err := s.Journal("main").Cut(turns)
	if err != nil {
		return "", err
	}
	data, err := regular.ReadIn(s.root, s.stateFile(), smallMost)
	if err != nil {
		return "", err
	}
	var meta map[string]any
	if err := json.Unmarshal(data, &meta); err != nil {
		return "", fmt.Errorf("%s: %w", s.stateFile(), err)
	}
	id = "session_" + newUUID()
	into := path.Join(path.Dir(s.in), id)
	if err := s.root.Mkdir(into, 0o700); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.root.RemoveAll(into))
		}
	}()
	if err := s.copy(ctx, s.in, into, ""); err != nil {
		return "", err
	}
	agents, err := s.forkAgents(ctx, into, meta, cut, now)
	if err != nil {
		return "", err
	}
	custom, _ := meta["custom"].(map[string]any)
	for _, key := range []string{"goal", "kimi_go_id"} { // these belong to the old session
		delete(custom, key)
	}
	maps.Copy(meta, map[string]any{
		"id": id, "version": 2, "cwd": s.meta.CWD, "createdAt": now.UnixMilli(), "updatedAt": now.UnixMilli(), "archived": false,
		"agents": agents, "title": title, "titleKind": "custom", "isCustomTitle": true, "forkedFrom": s.ID,
	})
	delete(meta, "archivedAt")
	if turns >= 0 {
		meta["lastPrompt"] = cut.LastPrompt
	}
	if data, err = json.Marshal(meta); err != nil {
		return "", err
	}
	if err := jsonfile.Replace(s.root, path.Join(into, "state.json"), data, 0o600); err != nil { // from now on it is a session
		return "", err
	}
	root, err := os.OpenRoot(s.home)
	if err != nil {
		return "", err
	}
	defer root.Close()
	dir := filepath.Join(filepath.Dir(s.Dir), id)
	if err := index(root, map[string]string{"sessionId": id, "sessionDir": dir, "workDir": s.meta.CWD}); err != nil {
		return "", err
	}
	(&Stored{ID: id, root: s.root}).mark()
	return id, nil
}

// forkAgents writes the journals of the fork. It returns the part of its metadata that describes its agents.
func (s *Stored) forkAgents(ctx context.Context, into string, meta map[string]any, cut *history.Cut, now time.Time) (map[string]any, error) {
	of, _ := meta["agents"].(map[string]any)
	agents := make(map[string]any)
	names := []string{"main"}
	for name := range of {
		if name != "main" && name != "" && !strings.ContainsAny(name, `/\`) && name != "." && name != ".." {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		dir := path.Join(into, "agents", name)
		if err := s.root.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		f, err := s.root.OpenFile(path.Join(dir, "wire.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		kept := true
		if name == "main" {
			err = cut.Write(f, s.Journal(name), now)
		} else {
			kept, err = cut.WriteAgent(f, s.Journal(name), name, now)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if !kept {
			if err := s.root.RemoveAll(dir); err != nil {
				return nil, err
			}
			continue
		}
		agent, _ := of[name].(map[string]any)
		if agent == nil {
			agent = map[string]any{"type": "main"}
		}
		agent["homedir"] = filepath.Join(filepath.Dir(s.Dir), path.Base(into), "agents", name)
		agents[name] = agent
	}
	return agents, nil
}

// left are the entries of a session's folder that a fork does not copy, because it has its own or needs none.
var left = []string{"state.json", "session-meta", "logs", "upcoming-goals.json", aliasFile}

// copy copies the content of a folder of the session. in is the path of the folder inside the session. It leaves out
// journals, temporary files and, in the folder of an agent, its tasks, timers and backups of the user's files.
func (s *Stored) copy(ctx context.Context, from, to, in string) error {
	entries, err := fs.ReadDir(s.root.FS(), from)
	if err != nil {
		return err
	}
	agent := path.Dir(in) == "agents"
	for _, e := range entries {
		name := e.Name()
		switch {
		case in == "" && slices.Contains(left, name), name == "wire.jsonl", strings.Contains(name, ".tmp."):
			continue
		case agent && slices.Contains([]string{"tasks", "cron", "file-history"}, name):
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		switch a, b := path.Join(from, name), path.Join(to, name); {
		case e.IsDir():
			err := s.root.Mkdir(b, 0o700)
			if err == nil {
				err = s.copy(ctx, a, b, path.Join(in, name))
			}
			if err != nil {
				return err
			}
		case e.Type().IsRegular():
			if err := CopyFile(s.root, a, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// CopyFile copies a regular file within root. The target must not exist.
func CopyFile(root *os.Root, from, to string) error {
	in, err := regular.OpenIn(root, from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// newUUID returns a random UUID of version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
