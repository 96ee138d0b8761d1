package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/page"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/fixture"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

type viewCmd struct {
	where
	Output   string `short:"o" required:"" placeholder:"FILE" help:"The file to write; it must not exist."`
	Markdown bool   `help:"Write Markdown to paste into an issue, instead of an HTML page."`
	Session  string `arg:"" name:"recording|id" help:"A recording, such as prompt --record makes, or the id of a session of the work dir; - means the newest session."`
}

// Run writes a page of a recording or of a stored session.
func (v *viewCmd) Run(e *env) error {
	s, err := v.session()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if v.Markdown {
		err = s.Markdown(&b)
	} else {
		err = s.HTML(&b)
	}
	if err == nil {
		err = writeNew(v.Output, b.Bytes())
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "%s: %s is written\n", program, v.Output)
	return nil
}

// writeNew writes a new file that only this user may read. It returns an error if the file exists.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return hinted{fmt.Errorf("--output %s already exists", path), "name another file, or remove that one first"}
	}
	if err != nil {
		return hinted{fmt.Errorf("--output: %w", err), "name a file in a directory that can be written"}
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return hinted{fmt.Errorf("--output: %w", err), "make room, or name a file elsewhere"}
	}
	return nil
}

// session reads the recording or the session to show: a file with that name, or a session with that id.
func (v *viewCmd) session() (*page.Session, error) {
	if v.Session == "-" {
		id, err := newest(v.options())
		if err != nil {
			return nil, err
		}
		return v.stored(id)
	}
	info, err := os.Stat(v.Session)
	if err != nil || info.IsDir() {
		return v.stored(v.Session)
	}
	f, err := regular.Open(v.Session)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec, err := fixture.Read(f)
	if err != nil {
		return nil, hinted{err, "a recording is made by prompt --record FILE"}
	}
	return &page.Session{Title: filepath.Base(v.Session), Recording: rec, Timed: true}, nil
}

// storedLimit limits the time for reading a stored session, counted from the last message.
const storedLimit = time.Minute

// stored makes a recording of a stored session. As in every recording, keys and paths are left out.
func (v *viewCmd) stored(id string) (*page.Session, error) {
	opts := v.options()
	list, err := client.ListSessions(opts)
	if err != nil {
		return nil, err
	}
	s := &page.Session{Title: id}
	server := wireproto.ServerInfo{Name: "kimi"}
	var b bytes.Buffer
	var info client.SessionInfo
	if i := slices.IndexFunc(list, func(i client.SessionInfo) bool { return i.ID == id }); i >= 0 {
		info = list[i]
	}
	machine := v.machine(info.Backend)
	if info.Title != "" {
		s.Title = machine.Redactor().Line(info.Title) + " (" + info.ID + ")"
	}
	if info.Backend == client.BackendServer {
		server.Name = "Kimi Code"
	}
	w := fixture.NewWriter(&b, machine.Redactor())
	lines := wireproto.NewEncoder(agentLines{w})
	hello, err := json.Marshal(wireproto.InitializeResult{ProtocolVersion: wireproto.ProtocolVersion, Server: server})
	if err == nil {
		err = lines.Encode(&wireproto.Frame{ID: "stored", Result: hello})
	}
	if err != nil {
		return nil, err
	}
	n := 0
	var clock storedClock
	for rec, err := range client.HistoryRecords(id, opts) {
		if err != nil {
			return nil, err
		}
		m := rec.Message
		n++
		clock.add(rec)
		frame := &wireproto.Frame{Method: wireproto.MethodEvent, Message: m}
		if _, ok := m.(wireproto.Request); ok {
			frame.Method, frame.ID = wireproto.MethodRequest, fmt.Sprint("stored-", n)
		}
		if err := lines.Encode(frame); err != nil {
			return nil, fmt.Errorf("message %d of the session: %w", n, err)
		}
	}
	if err := w.Wait(storedLimit); err != nil {
		return nil, hinted{fmt.Errorf("session %s: %w", id, err), "it is too long for a page; record the turns that matter"}
	}
	s.Recording, err = fixture.Read(&b)
	if err == nil && len(s.Recording.Records) > 0 {
		s.Recording.Records = s.Recording.Records[1:] // without the handshake, which this program has made
	}
	if err == nil && clock.known && len(clock.ms) == len(s.Recording.Records) {
		s.Timed, s.Folded = true, true
		for i, ms := range clock.ms {
			s.Recording.Records[i].MS = ms
		}
	}
	// An old kimi-cli has stored neither times nor requests.
	s.TurnsOnly = info.Backend == client.BackendServer || !s.Timed
	return s, err
}

// storedClock gives the times of the messages of a stored session, since the first one and without the pauses between
// turns.
type storedClock struct {
	known bool // all times so far are known
	turn  bool // a turn has begun and not ended
	last  time.Time
	now   time.Duration
	ms    []int64
}

func (c *storedClock) add(rec wireproto.SessionRecord) {
	c.known = (c.known || len(c.ms) == 0) && !rec.Time.IsZero()
	_, begins := rec.Message.(*wireproto.TurnBegin)
	if c.turn && !begins { // the end of a turn may be missing
		c.now += max(rec.Time.Sub(c.last), 0) // not negative, even if the user has set the clock back
	}
	_, ends := rec.Message.(*wireproto.TurnEnd)
	c.turn = begins || c.turn && !ends
	c.last = rec.Time
	c.ms = append(c.ms, c.now.Milliseconds())
}

// machine has the paths and secrets that a page of a session must not show.
func (v *viewCmd) machine(kind client.Backend) *fixture.Machine {
	share := v.ShareDir
	if share == "" && kind == client.BackendServer {
		share = home.Path(os.Environ(), v.WorkDir)
	} else if share == "" {
		share = config.ShareDir()
	}
	work, _ := filepath.Abs(v.WorkDir)
	real, _ := filepath.EvalSymlinks(work)
	return &fixture.Machine{ConfigFiles: []string{filepath.Join(share, "config.toml")}, Env: os.Environ(), WorkDirs: []string{work, real}, ShareDir: share}
}

// agentLines writes to a recording as the agent.
type agentLines struct{ w *fixture.Writer }

func (a agentLines) Write(p []byte) (int, error) {
	a.w.Write(fixture.Agent, p)
	return len(p), nil
}
