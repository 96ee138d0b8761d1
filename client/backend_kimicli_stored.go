package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/internal/jsonfile"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// cliStored is a session in kimi-cli's files (kimi_cli/session.py and session_fork.py, 1.51.0):
//
//	ID/context.jsonl    what the model is sent. Old versions name it ID.jsonl; kimi moves it when it finds the session
//	ID/context_N.jsonl  what the model was sent before the context was compacted or cleared, the oldest first
//	ID/wire.jsonl       the messages of Wire
//	ID/state.json
type cliStored struct {
	id       string
	shareDir string
	in       string   // the folder of the work dir's sessions, below the share dir, with slashes
	root     *os.Root // the folder in
}

func (b kimiCLI) stored(l *launch, id string) (storedSession, error) {
	root, err := regular.Root(b.sessionsDir(l))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &cliStored{id: id, shareDir: l.shareDir, in: path.Join("sessions", filepath.Base(b.sessionsDir(l))), root: root}
	info, err := root.Stat(s.context())
	if err != nil || !info.Mode().IsRegular() {
		root.Close()
		return nil, nil
	}
	if _, err := b.finds(l, id); err != nil { // kimi would not find the session and start it from nothing
		root.Close()
		return nil, err
	}
	return s, nil
}

func (s *cliStored) title() string {
	info, _ := readSession(s.root, s.id)
	return info.Title
}

func (s *cliStored) Close() error { return s.root.Close() }

func (s *cliStored) file(name string) string { return path.Join(s.id, name) }

// context returns the name of the file with the context. A folder without that file is not a session.
func (s *cliStored) context() string {
	if _, err := s.root.Lstat(s.file("context.jsonl")); err != nil {
		return s.id + ".jsonl"
	}
	return s.file("context.jsonl")
}

// hold locks the session. It fails if another program has the session.
func (s *cliStored) hold() (*os.File, error) {
	return holdSession(filepath.Join(s.shareDir, filepath.FromSlash(s.in), s.id), true)
}

// own checks, before a change, that the session is in the share dir and not a link to another place.
func (s *cliStored) own() error {
	share, err := os.OpenRoot(s.shareDir)
	if err != nil {
		return err
	}
	defer share.Close()
	root, err := share.OpenRoot(s.in)
	if err != nil {
		return err
	}
	s.root.Close()
	s.root = root
	info, err := root.Lstat(s.id)
	switch {
	case errors.Is(err, fs.ErrNotExist): // a session of an old version has no folder
		return nil
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "change", Path: s.id, Err: errors.New("not a folder")}
	}
	return err
}

func (s *cliStored) rename(title string) error {
	err := s.own()
	if err == nil {
		err = s.root.MkdirAll(s.id, 0o700)
	}
	if err != nil {
		return err
	}
	return jsonfile.Set(s.root, s.file("state.json"), maxState, jsonfile.Member{Key: "custom_title", Value: title}, jsonfile.Member{Key: "title_generated", Value: true})
}

func (s *cliStored) remove() error {
	if err := s.own(); err != nil {
		return err
	}
	// Without its context it is no longer a session, even if the other files cannot be removed.
	for _, name := range []string{s.file("context.jsonl"), s.id + ".jsonl"} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.root.RemoveAll(s.id)
}

func (s *cliStored) history(*launch) iter.Seq2[wireproto.SessionRecord, error] {
	return func(yield func(wireproto.SessionRecord, error) bool) {
		f, err := regular.OpenIn(s.root, s.file("wire.jsonl"))
		if errors.Is(err, fs.ErrNotExist) {
			s.tellContext(func(m wireproto.Message, err error) bool { return yield(wireproto.SessionRecord{Message: m}, err) })
			return
		}
		if err != nil {
			yield(wireproto.SessionRecord{}, err)
			return
		}
		defer f.Close()
		for rec, err := range wireproto.ReadSessionFile(f) {
			if err != nil && errors.As(err, new(*wireproto.LineError)) {
				continue
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// cliLine is a line of wire.jsonl or of a context. It has only the members that are needed.
type cliLine struct {
	// In wire.jsonl.
	Message struct {
		Type    string `json:"type"`
		Payload struct {
			UserInput json.RawMessage `json:"user_input"`
			Function  struct {
				Name string `json:"name"`
			} `json:"function"`
		} `json:"payload"`
	} `json:"message"`
	// In a context.
	Role      string               `json:"role"`
	Content   json.RawMessage      `json:"content"`
	ToolCalls []wireproto.ToolCall `json:"tool_calls"`
	CallID    string               `json:"tool_call_id"`
}

// lines yields the lines of a file that are valid JSON. raw is valid until the next line.
func (s *cliStored) lines(name string, each func(raw []byte, line *cliLine) bool) error {
	f, err := regular.OpenIn(s.root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := wireproto.NewLineReader(f)
	for {
		raw, err := lines.ReadLine()
		half := err == io.ErrUnexpectedEOF
		switch {
		case err == nil, half:
		case err == io.EOF:
			return nil
		case errors.As(err, new(*wireproto.LineError)):
			continue
		default:
			return err
		}
		line := new(cliLine)
		if json.Unmarshal(raw, line) == nil && !each(raw, line) || half {
			return nil
		}
	}
}

// asContent reads a text or a list of content parts. A list with one text part equals the text itself.
func asContent(raw json.RawMessage) wireproto.Content {
	var c wireproto.Content
	if json.Unmarshal(raw, &c) != nil {
		return wireproto.Content{}
	}
	if len(c.Parts) == 1 {
		if p, ok := c.Parts[0].(*wireproto.TextPart); ok {
			return wireproto.Content{Text: p.Text}
		}
	}
	return c
}

// tellContext makes messages from the context that was sent to the model. It is for a session that an old kimi has
// begun, which did not store messages of Wire.
func (s *cliStored) tellContext(yield func(wireproto.Message, error) bool) {
	turns, steps, going := 0, 0, true
	emit := func(m wireproto.Message) { going = going && yield(m, nil) }
	err := s.lines(s.context(), func(_ []byte, l *cliLine) bool {
		c := asContent(l.Content)
		switch l.Role {
		case "user":
			if strings.HasPrefix(c.String(), "<system") { // a text that kimi itself has added
				break
			}
			if turns > 0 {
				emit(&wireproto.TurnEnd{})
			}
			turns, steps = turns+1, 0
			emit(&wireproto.TurnBegin{UserInput: c})
		case "assistant":
			steps++
			emit(&wireproto.StepBegin{N: steps})
			if c.Text != "" {
				emit(&wireproto.TextPart{Text: c.Text})
			}
			for _, p := range c.Parts {
				emit(p)
			}
			for i := range l.ToolCalls {
				emit(&l.ToolCalls[i])
			}
		case "tool":
			emit(&wireproto.ToolResult{ToolCallID: l.CallID, ReturnValue: wireproto.ToolReturnValue{Output: c}})
		}
		return going
	})
	if turns > 0 && err == nil {
		emit(&wireproto.TurnEnd{})
	}
	if err != nil && going {
		yield(nil, err)
	}
}

// turns counts the turns of the session in the files that can be read.
func (s *cliStored) turns() (n int) {
	if _, err := s.root.Lstat(s.file("wire.jsonl")); err != nil {
		s.tellContext(func(m wireproto.Message, _ error) bool {
			if _, ok := m.(*wireproto.TurnBegin); ok {
				n++
			}
			return true
		})
		return n
	}
	f, err := regular.OpenIn(s.root, s.file("wire.jsonl"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := wireproto.NewLineReader(f); ; {
		raw, err := lines.ReadLine()
		if err != nil && !errors.As(err, new(*wireproto.LineError)) {
			return n
		}
		var line cliLine
		if bytes.Contains(raw, []byte(`"TurnBegin"`)) && json.Unmarshal(raw, &line) == nil && line.Message.Type == "TurnBegin" {
			n++
		}
	}
}

// rotated lists the names of the earlier contexts, the oldest first.
func (s *cliStored) rotated() (names []string) {
	entries, _ := fs.ReadDir(s.root.FS(), s.id)
	number := func(name string) int {
		name, before := strings.CutPrefix(name, "context_")
		name, after := strings.CutSuffix(name, ".jsonl")
		n, err := strconv.Atoi(name)
		if !before || !after || err != nil {
			return 0
		}
		return n
	}
	for _, e := range entries {
		if e.Type().IsRegular() && number(e.Name()) > 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return names
}

// cliCut is the part of a session that a fork keeps: lines of wire.jsonl, whole earlier contexts, and lines of the
// context that the model gets.
type cliCut struct {
	wire    int
	before  []string
	context string
	lines   int // -1 for all
}

// cut finds the end of the first turns; -1 means all turns. kimi's own fork counts the user's messages in the context.
// Such a count is wrong after a compaction, or if a turn was steered. So cut searches for each turn by its text.
func (s *cliStored) cut(turns int) (*cliCut, error) {
	contexts := append(s.rotated(), "context.jsonl")
	c := &cliCut{wire: -1, before: contexts[:len(contexts)-1], context: "context.jsonl", lines: -1}
	// told lists what wire.jsonl has: for each turn its text, and "" for each new context.
	var told []string
	count, wire, rotations, dmail := 0, 0, 0, false
	kept := -1 // how many entries of told the fork keeps
	err := s.lines(s.file("wire.jsonl"), func(_ []byte, l *cliLine) bool {
		switch l.Message.Type {
		case "TurnBegin":
			if count == turns && kept < 0 {
				c.wire, kept = wire, len(told)
			}
			count++
			key := contentKey(l.Message.Payload.UserInput)
			if words := strings.TrimSpace(asContent(l.Message.Payload.UserInput).String()); words == "/clear" || words == "/reset" {
				key = ""
				rotations++
			}
			told = append(told, key)
		case "CompactionEnd":
			told = append(told, "")
			rotations++
		case "ToolCall":
			dmail = dmail || l.Message.Payload.Function.Name == "SendDMail"
		}
		wire++
		return true
	})
	switch {
	case err != nil:
		return nil, err
	case turns > count:
		return nil, &TurnsError{Turns: turns, Available: count}
	case kept < 0: // all
		return c, nil
	case dmail || len(c.before) > rotations:
		return nil, fmt.Errorf("%w: the agent of the session has changed earlier turns; pass -1 to fork all of it", ErrUnsupported)
	}
	missing := rotations - len(c.before) // contexts that a fork by kimi itself has not copied
	at := -missing
	begins, err := s.begins(contexts, at)
	if err != nil {
		return nil, err
	}
	for i, key := range told {
		if key == "" {
			if i >= kept {
				break
			}
			at++
			if begins, err = s.begins(contexts, at); err != nil {
				return nil, err
			}
			continue
		}
		found := slices.IndexFunc(begins, func(b begin) bool { return b.key == key })
		if found < 0 {
			continue // a slash command, or a prompt that a hook has blocked: it is in no context
		}
		if i >= kept {
			c.lines = begins[found].line
			break
		}
		begins = begins[found+1:]
	}
	if at < 0 {
		return nil, fmt.Errorf("%w: kimi-cli has compacted the context after that turn, so the turns before it are no longer there; keep more turns", ErrUnsupported)
	}
	c.before, c.context = contexts[:at], contexts[at]
	return c, nil
}

// begin is the place in a context where a turn begins.
type begin struct {
	key  string
	line int // the line of the checkpoint before the turn
}

// begins lists the turns of a context. A turn begins with a message of the user directly after a checkpoint. There is
// no turn before the first context or after the last one.
func (s *cliStored) begins(contexts []string, at int) (list []begin, err error) {
	if at < 0 || at >= len(contexts) {
		return nil, nil
	}
	line, checkpoint := 0, -2
	err = s.lines(s.file(contexts[at]), func(_ []byte, l *cliLine) bool {
		switch {
		case l.Role == "_checkpoint":
			checkpoint = line
		case l.Role == "user" && checkpoint == line-1:
			list = append(list, begin{contentKey(l.Content), checkpoint})
		}
		line++
		return true
	})
	return list, err
}

// contentKey returns a text that is equal for equal contents, however their JSON is written.
func contentKey(raw json.RawMessage) string {
	key, _ := json.Marshal(asContent(raw))
	return string(key)
}

func (s *cliStored) fork(ctx context.Context, turns int, title string) (id string, err error) {
	if err := s.own(); err != nil {
		return "", err
	}
	if _, err := s.root.Lstat(s.file("context.jsonl")); err != nil {
		return "", fmt.Errorf("%w: an old kimi-cli wrote it; prompt it once, then fork it", ErrUnsupported)
	}
	cut, err := s.cut(turns)
	if err != nil {
		return "", err
	}
	id = newUUID()
	if err := s.root.Mkdir(id, 0o700); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.root.RemoveAll(id))
		}
	}()
	files := []struct {
		from, to string
		lines    int
	}{{"wire.jsonl", "wire.jsonl", cut.wire}}
	for _, name := range cut.before {
		files = append(files, struct {
			from, to string
			lines    int
		}{name, name, -1})
	}
	for _, f := range files {
		if err := s.copyLines(ctx, f.from, path.Join(id, f.to), f.lines); err != nil {
			return "", err
		}
	}
	if err := s.copyUploads(ctx, id); err != nil {
		return "", err
	}
	if err := jsonfile.Set(s.root, path.Join(id, "state.json"), maxState,
		jsonfile.Member{Key: "version", Value: 1}, jsonfile.Member{Key: "custom_title", Value: title}, jsonfile.Member{Key: "title_generated", Value: true}); err != nil {
		return "", err
	}
	// The context comes last: with it, the folder is a session.
	return id, s.copyLines(ctx, cut.context, path.Join(id, "context.jsonl"), cut.lines)
}

// copyLines copies the first lines of a file that are valid JSON; -1 means all.
func (s *cliStored) copyLines(ctx context.Context, from, to string, lines int) error {
	f, err := s.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	n := 0
	err = s.lines(s.file(from), func(raw []byte, _ *cliLine) bool {
		if n == lines || ctx.Err() != nil {
			return false
		}
		n++
		w.Write(raw)
		return w.WriteByte('\n') == nil
	})
	return errors.Join(err, context.Cause(ctx), w.Flush(), f.Close())
}

// copyUploads copies the uploaded files that kimi's web interface has stored and that the history names.
func (s *cliStored) copyUploads(ctx context.Context, id string) error {
	if info, err := s.root.Lstat(s.file("uploads")); err != nil || !info.IsDir() { // Lstat, because opening a named pipe could block
		return nil
	}
	entries, err := fs.ReadDir(s.root.FS(), s.file("uploads"))
	if err == nil {
		err = s.root.Mkdir(path.Join(id, "uploads"), 0o700)
	}
	for _, e := range entries {
		if err != nil {
			break
		}
		if err = context.Cause(ctx); err == nil && e.Type().IsRegular() {
			err = home.CopyFile(s.root, path.Join(s.id, "uploads", e.Name()), path.Join(id, "uploads", e.Name()))
		}
	}
	return err
}
