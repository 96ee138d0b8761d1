//go:build unix

package client_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// told returns all messages that History yields.
func told(t testing.TB, id string, opts *client.Options) []wireproto.Message {
	t.Helper()
	var list []wireproto.Message
	for m, err := range client.History(id, opts) {
		if err != nil {
			t.Fatalf("history: %v", err)
		}
		list = append(list, m)
	}
	return list
}

func replayed(t testing.TB, ctx context.Context, s *client.Session) []wireproto.Message {
	t.Helper()
	var list []wireproto.Message
	for m, err := range s.Replay(ctx) {
		if err != nil {
			t.Fatalf("replay: %v", err)
		}
		list = append(list, m)
	}
	return list
}

// replayable returns the messages of a history without those that a replay lacks: the server of Kimi Code does not say
// what earlier steps have used.
func (b *backend) replayable(history []wireproto.Message) []wireproto.Message {
	if b.name == "kimi-cli" {
		return history
	}
	return slices.DeleteFunc(slices.Clone(history), func(m wireproto.Message) bool { _, ok := m.(*wireproto.StatusUpdate); return ok })
}

// prompts returns the texts that begin the turns.
func prompts(msgs []wireproto.Message) (list []string) {
	for _, m := range only[*wireproto.TurnBegin](msgs) {
		list = append(list, m.UserInput.String())
	}
	return list
}

// steers returns the texts that were added to running turns.
func steers(msgs []wireproto.Message) (list []string) {
	for _, m := range only[*wireproto.SteerInput](msgs) {
		list = append(list, m.UserInput.String())
	}
	return list
}

// The files of a session tell when each message was recorded.
func TestBackendsHistoryTimes(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t, say("text: I look.", b.run("look", "sleep 0.3")), "text: one", "text: two")
		opts.Yolo = true
		start := time.Now().Truncate(time.Millisecond)
		s := liveSession(t, ctx, opts)
		finished(t, ctx, s, "first", "one")
		between := time.Now()
		finished(t, ctx, s, "second", "two")
		closed(t, s)
		end := time.Now()

		var begun, called []time.Time
		last := start
		var took time.Duration
		for rec, err := range client.HistoryRecords(s.ID(), opts) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Time.Before(last) || rec.Time.After(end) {
				t.Errorf("%T has the time %v; the one before %v, the end %v", rec.Message, rec.Time, last, end)
			}
			last = rec.Time
			switch rec.Message.(type) {
			case *wireproto.TurnBegin:
				begun = append(begun, rec.Time)
			case *wireproto.ToolCall:
				called = append(called, rec.Time)
			case *wireproto.ToolResult:
				took = rec.Time.Sub(called[0])
			}
		}
		if len(begun) != 2 || begun[0].After(between) || begun[1].Before(between.Truncate(time.Millisecond)) {
			t.Errorf("turns begin at %v; the first was over at %v", begun, between)
		}
		if took < 250*time.Millisecond {
			t.Errorf("the tool took %v", took)
		}
	})
}

// History yields the same messages from the files as Replay does from the running kimi, and more tokens.
func TestBackendsHistory(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		tool := nothing(t)
		opts, _ := b.model(t, say("think: hm", "text: one"),
			say("text: I look.", b.run("look", "echo 42")), say(b.run("no", "touch no"), clienttest.ToolCall("go", b.tool("nothing"), map[string]string{})), "text: two", "text: two more",
			"text: three", "text: a summary", "text: four")
		opts.Tools = []client.Tool{tool}
		opts.SlashCommands = true
		s := liveSession(t, ctx, opts)
		finished(t, ctx, s, "first <b> prompt", "one")
		turn, err := s.Prompt(ctx, "second")
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range turn.Messages() {
			r, asked := m.(*client.ApprovalRequest)
			switch {
			case err != nil:
				t.Fatal(err)
			case !asked:
			case strings.Contains(r.Description+r.Action, "touch"):
				err = r.Reject("no thanks")
			default:
				if err = s.Steer(ctx, "steered"); err == nil {
					err = r.Approve()
				}
			}
			if err != nil {
				t.Error(err)
			}
		}
		picture := "data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("no picture", 600)))
		if _, _, err := playTurn(t, ctx, s, "third", &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: picture}}, &wireproto.TextPart{Text: "after"}); err != nil {
			t.Error(err)
		}
		playTurn(t, ctx, s, "/compact")
		playTurn(t, ctx, s, "fourth")

		want, got := replayed(t, ctx, s), told(t, s.ID(), opts)
		if diff := cmp.Diff(want, b.replayable(got)); diff != "" {
			t.Errorf("(-replay +history):\n%.8000s", diff)
		}
		want = got
		steps, used := only[*wireproto.StepBegin](got), only[*wireproto.StatusUpdate](got)
		if b.name == "Kimi Code" && (len(used) != len(steps) || used[0].TokenUsage == nil || used[0].TokenUsage.Output == 0) {
			t.Errorf("%d steps, %d with tokens", len(steps), len(used))
		}
		begun := prompts(got)
		begun = slices.DeleteFunc(begun, func(text string) bool { return text == "/compact" }) // in Kimi Code it is not a turn
		e2eSame(t, "steered", []string{"steered"}, steers(got))
		if len(begun) != 4 || begun[0] != "first <b> prompt" || begun[1] != "second" || begun[3] != "fourth" {
			t.Errorf("prompts %q", begun)
		}
		if calls := only[*wireproto.ToolCall](got); len(calls) != 3 || calls[2].Function.Name != "nothing" {
			t.Errorf("calls %+v", calls)
		}
		closed(t, s)
		if diff := cmp.Diff(want, told(t, s.ID(), opts)); diff != "" {
			t.Errorf("after the end (-replay +history):\n%.4000s", diff)
		}
		for range client.History(s.ID(), opts) {
			break
		}
		info := listedAll(t, opts)
		if len(info) != 1 || info[0].Turns != len(prompts(got)) || info[0].Created.IsZero() || info[0].Updated.Before(info[0].Created) {
			t.Errorf("listed %+v", info)
		}

		// History ends before a last line that kimi has not written completely.
		path := journal(t, opts, s.ID())
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(`{"type":"context.append_message","timestamp": 1, "message": {"type": "TextPart", "pay`)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, told(t, s.ID(), opts)); diff != "" {
			t.Errorf("with half a line (-replay +history):\n%.4000s", diff)
		}
		for _, id := range []string{"", "no-such-session", "../" + s.ID()} {
			for _, err := range client.History(id, opts) {
				e2eIs(t, "history of "+id, err, client.ErrSessionNotFound)
			}
		}
	})
}

func nothing(t testing.TB) client.Tool {
	t.Helper()
	tool, err := client.NewTool("nothing", "Does nothing", func(context.Context, struct{}) (string, error) { return "nothing done", nil })
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

func listedAll(t testing.TB, opts *client.Options) []client.SessionInfo {
	t.Helper()
	list, err := client.ListAllSessions(opts)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// journal returns the file with the history of a session.
func journal(t testing.TB, opts *client.Options, id string) string {
	t.Helper()
	if path := filepath.Join(sessionDir(opts.ShareDir, opts.WorkDir, id), "wire.jsonl"); exists(path) {
		return path
	}
	return codeJournal(t, opts, id)
}

// folder returns the folder of a session.
func folder(t testing.TB, opts *client.Options, id string) string {
	t.Helper()
	dir, _, _ := strings.Cut(journal(t, opts, id), id)
	return filepath.Join(dir, id)
}

// Each fork continues from its own turns, and the model gets those turns.
func TestBackendsFork(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, "text: answer 1", b.run("look", "echo 42"), "text: answer 2", "text: answer 3", "text: SUMMARY", "text: answer 4")
		opts.SlashCommands, opts.Approve = true, client.ApproveAll
		s := liveSession(t, ctx, opts)
		finished(t, ctx, s, "prompt 1", "answer 1")
		finished(t, ctx, s, "prompt 2", "answer 2")
		finished(t, ctx, s, "prompt 3", "answer 3")
		playTurn(t, ctx, s, "/compact")
		finished(t, ctx, s, "prompt 4", "answer 4")
		// A session that is open may be forked.
		early, err := client.ForkSession(ctx, s.ID(), 2, opts)
		if err != nil {
			t.Fatal(err)
		}
		closed(t, s)
		before := tree(t, folder(t, opts, s.ID()))
		whole, err := client.ForkSession(ctx, s.ID(), -1, opts)
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.ForkSession(ctx, early, 1, opts)
		if err != nil {
			t.Fatal(err)
		}
		e2eSame(t, "the session that was forked", before, tree(t, folder(t, opts, s.ID())))
		var few *client.TurnsError
		if _, err := client.ForkSession(ctx, s.ID(), 9, opts); !errors.As(err, &few) || few.Turns != 9 || few.Available < 4 || few.Available > 5 {
			t.Errorf("nine turns of four: %#v", few)
		}
		e2eSame(t, "history of the early fork", []string{"prompt 1", "prompt 2"}, prompts(told(t, early, opts)))
		if diff := cmp.Diff(told(t, s.ID(), opts), told(t, whole, opts)); diff != "" {
			t.Errorf("history of the whole fork (-original +fork):\n%.4000s", diff)
		}
		titles := make(map[string]string)
		for _, info := range listed(t, opts) {
			titles[info.ID] = info.Title
		}
		e2eSame(t, "titles", map[string]string{s.ID(): "prompt 1", early: "Fork: prompt 1", whole: "Fork: prompt 1", again: "Fork: Fork: prompt 1"}, titles)

		for _, branch := range []struct {
			name, id    string
			with, wants []string
		}{
			{"early", early, []string{"prompt 1", "answer 1", "prompt 2", "42", "answer 2"}, []string{"prompt 3", "answer 3", "prompt 4", "SUMMARY"}},
			{"original", s.ID(), []string{"SUMMARY", "prompt 4", "answer 4"}, []string{"answer 1", "on the early branch"}},
			{"whole", whole, []string{"SUMMARY", "prompt 4", "answer 4"}, []string{"answer 1", "on the early branch", "on the original branch"}},
			{"again", again, []string{"prompt 1", "answer 1"}, []string{"prompt 2", "answer 2", "on the early branch"}},
		} {
			model.Add("text: gone on")
			r := resumed(t, ctx, branch.id, opts)
			finished(t, ctx, r, "on the "+branch.name+" branch", "gone on")
			last := model.Requests()[len(model.Requests())-1]
			for want, is := range map[bool][]string{true: branch.with, false: branch.wants} {
				for _, text := range is {
					if strings.Contains(string(last), text) != want {
						t.Errorf("%s: that the model reads %q is %v", branch.name, text, !want)
					}
				}
			}
			if diff := cmp.Diff(replayed(t, ctx, r), b.replayable(told(t, branch.id, opts))); diff != "" {
				t.Errorf("%s (-replay +history):\n%.4000s", branch.name, diff)
			}
			closed(t, r)
		}
	})
}

// The real kimi shows a new title and does not show a deleted session. No other file has changed.
func TestBackendsRenameDelete(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, "text: one", "text: two")
		keep := liveSession(t, ctx, opts)
		finished(t, ctx, keep, "first", "one")
		for name, err := range map[string]error{"rename": client.RenameSession(keep.ID(), "New", opts), "delete": client.DeleteSession(keep.ID(), opts)} {
			e2eIs(t, name+" of an open session", err, client.ErrInUse)
		}
		closed(t, keep)
		gone := liveSession(t, ctx, opts)
		finished(t, ctx, gone, "second", "two")
		closed(t, gone)
		before := tree(t, opts.ShareDir)

		const title = "A <new> title"
		if err := client.RenameSession(keep.ID(), " A <new>\n title ", opts); err != nil {
			t.Fatal(err)
		}
		if err := client.DeleteSession(gone.ID(), opts); err != nil {
			t.Fatal(err)
		}
		e2eSame(t, "changed", []string{"state.json"}, changes(before, tree(t, opts.ShareDir), gone.ID()))
		e2eSame(t, "listed", map[string]string{keep.ID(): title}, listedTitles(t, opts))
		e2eSame(t, "listed by kimi", map[string]string{keep.ID(): title}, kimiLists(t, ctx, b, opts))
		for name, err := range map[string]error{
			"delete again": client.DeleteSession(gone.ID(), opts), "rename": client.RenameSession(gone.ID(), "x", opts), "delete none": client.DeleteSession("", opts),
		} {
			e2eIs(t, name, err, client.ErrSessionNotFound)
		}
		if _, err := client.ResumeSession(ctx, gone.ID(), opts); !errors.Is(err, client.ErrSessionNotFound) {
			t.Errorf("resumed: %v", err)
		}
		// The renamed session can continue, and keeps its title.
		model.Add("text: three")
		r := resumed(t, ctx, keep.ID(), opts)
		finished(t, ctx, r, "third", "three")
		closed(t, r)
		e2eSame(t, "listed after a turn", map[string]string{keep.ID(): title}, listedTitles(t, opts))
		e2eSame(t, "prompts", []string{"first", "third"}, prompts(told(t, keep.ID(), opts)))
	})
}

func listedTitles(t testing.TB, opts *client.Options) map[string]string {
	titles := make(map[string]string)
	for _, info := range listed(t, opts) {
		titles[info.ID] = info.Title
	}
	return titles
}

// changes names the files that have changed. It leaves out the files of the session gone, and Kimi Code's index files.
func changes(before, after map[string]string, gone string) (list []string) {
	paths := maps.Clone(before)
	maps.Copy(paths, after)
	for path := range paths {
		if before[path] != after[path] && !strings.Contains(path, gone) && !strings.Contains(path, ".index-dirty") && filepath.Base(path) != "session_index.jsonl" {
			list = append(list, filepath.Base(path))
		}
	}
	return list
}

// kimiLists asks the program itself for its sessions. It returns the title of each session by id.
func kimiLists(t *testing.T, ctx context.Context, b *backend, opts *client.Options) map[string]string {
	t.Helper()
	titles := make(map[string]string)
	if b.name == "Kimi Code" {
		s, _ := codeServer(t, ctx, opts)
		var page struct {
			Items []struct{ ID, Title string }
		}
		if err := s.Call(ctx, "GET", "/sessions", nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, info := range page.Items {
			titles[info.ID] = info.Title
		}
		return titles
	}
	f, err := os.Open(opts.Executable)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head, _ := bufio.NewReader(f).ReadString('\n')
	cmd := exec.CommandContext(ctx, strings.TrimSpace(strings.TrimPrefix(head, "#!")), "-c", `
import asyncio, sys
from kaos.path import KaosPath
from kimi_cli.session import Session
for s in asyncio.run(Session.list(KaosPath(sys.argv[1]))):
    print(s.id + "\t" + s.title)
`, opts.WorkDir)
	cmd.Env = append(os.Environ(), "KIMI_SHARE_DIR="+opts.ShareDir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kimi's own list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		id, title, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		titles[id] = title
	}
	return titles
}

// codeServer starts Kimi Code's own server on the home folder of the options.
func codeServer(t *testing.T, ctx context.Context, opts *client.Options) (*server.Server, *webtest.Process) {
	t.Helper()
	p := webtest.Spawn(t, opts, server.Args...)
	s, err := server.Start(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseIdle)
	return s, p
}

// A session that a "kimi web" of the user has open cannot be changed. A "kimi web" that does not have it open sees the
// change.
func TestKimiCodeStoredBesideServer(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.KimiCode(t, "text: one", "text: two")
	var ids []string
	for _, text := range []string{"one", "two"} {
		s := liveSession(t, ctx, opts)
		finished(t, ctx, s, text, text)
		closed(t, s)
		ids = append(ids, s.ID())
	}
	web, p := codeServer(t, ctx, opts)
	if err := web.Call(ctx, "GET", "/sessions/"+ids[0]+"/status", nil, nil); err != nil { // this opens the session in the server
		t.Fatal(err)
	}
	e2eIs(t, "delete", client.DeleteSession(ids[0], opts), client.ErrInUse)
	e2eIs(t, "rename", client.RenameSession(ids[0], "x", opts), client.ErrInUse)
	if err := client.RenameSession(ids[1], "renamed", opts); err != nil {
		t.Fatal(err)
	}
	fork, err := client.ForkSession(ctx, ids[1], 1, opts)
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Title string }
	if err := web.Call(ctx, "GET", "/sessions/"+fork, nil, &info); err != nil || info.Title != "Fork: renamed" {
		t.Errorf("the server says of the fork: %q, %v", info.Title, err)
	}
	p.Close()
	if err := client.DeleteSession(ids[0], opts); err != nil {
		// The server was killed, so its entry says that it still runs.
		t.Errorf("after the server's end: %v", err)
	}
}

// A command of a plugin, which only Kimi Code's own interface offers, begins a turn: History shows it, and Undo takes it
// back.
func TestKimiCodeUndoPluginCommand(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	b := backends[1]
	opts, _ := b.model(t, "text: one", "text: two")
	s := liveSession(t, ctx, opts)
	finished(t, ctx, s, "alpha", "one")
	finished(t, ctx, s, "beta", "two")
	closed(t, s)
	path := journal(t, opts, s.ID())
	before := readText(t, path)
	first, rest, _ := strings.Cut(before, `"beta"`)
	second := strings.ReplaceAll(rest, `"origin":{"kind":"user"`, `"origin":{"kind":"plugin_command","trigger":"user-slash","activationId":"a","pluginId":"p","commandName":"greet","commandArgs":"me"`)
	if second == rest {
		t.Fatalf("the journal has no origin after the prompt:\n%s", rest)
	}
	write(t, path, first+`"beta"`+second, 0o600)

	s = resumed(t, ctx, s.ID(), opts)
	e2eSame(t, "prompts", []string{"alpha", "/p:greet me"}, prompts(told(t, s.ID(), opts)))
	e2eSame(t, "replayed prompts", []string{"alpha", "/p:greet me"}, prompts(replayed(t, ctx, s)))
	if err := s.Undo(ctx, 1); err != nil {
		t.Fatal(err)
	}
	e2eSame(t, "prompts after the undo", []string{"alpha"}, prompts(told(t, s.ID(), opts)))
	e2eSame(t, "replayed prompts after the undo", []string{"alpha"}, prompts(replayed(t, ctx, s)))
}

func TestBackendsUndo(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, "text: answer 1", b.run("look", "echo 42"), "text: answer 2", "text: answer 3", "text: answer 4")
		opts.Approve = client.ApproveAll
		s := liveSession(t, ctx, opts)
		if b.name == "kimi-cli" {
			e2eIs(t, "undo", s.Undo(ctx, 1), client.ErrUnsupported)
			return
		}
		if err := s.Undo(ctx, 1); err == nil || err.Error() != "client: the session has no turn yet; send a prompt first" {
			t.Errorf("before the first turn: %v", err)
		}
		finished(t, ctx, s, "prompt 1", "answer 1")
		finished(t, ctx, s, "prompt 2", "answer 2")
		var many *client.TurnsError
		if err := s.Undo(ctx, 5); !errors.As(err, &many) || *many != (client.TurnsError{Turns: 5, Available: 2}) {
			t.Errorf("five turns of two: %v", err)
		}
		if err := s.Undo(ctx, 1); err != nil {
			t.Fatal(err)
		}
		e2eSame(t, "prompts", []string{"prompt 1"}, prompts(told(t, s.ID(), opts)))
		finished(t, ctx, s, "prompt 3", "answer 3")
		last := string(model.Requests()[3])
		if !strings.Contains(last, "answer 1") || strings.Contains(last, "answer 2") || strings.Contains(last, "prompt 2") {
			t.Errorf("the model reads %.3000s", last)
		}
		if diff := cmp.Diff(replayed(t, ctx, s), b.replayable(told(t, s.ID(), opts))); diff != "" {
			t.Errorf("(-replay +history):\n%.4000s", diff)
		}
		turn, err := s.Prompt(ctx, "prompt 4")
		if err != nil {
			t.Fatal(err)
		}
		e2eIs(t, "undo in a turn", s.Undo(ctx, 1), client.ErrBusy)
		if _, err := turn.Result(); err != nil {
			t.Error(err)
		}
		closed(t, s)

		// A fork does not contain the turns that were undone.
		fork, err := client.ForkSession(ctx, s.ID(), 2, opts)
		if err != nil {
			t.Fatal(err)
		}
		e2eSame(t, "prompts of the fork", []string{"prompt 1", "prompt 3"}, prompts(told(t, fork, opts)))
		model.Add("text: gone on")
		r := resumed(t, ctx, fork, opts)
		finished(t, ctx, r, "on", "gone on")
		last = string(model.Requests()[len(model.Requests())-1])
		if !strings.Contains(last, "answer 3") || strings.Contains(last, "answer 2") || strings.Contains(last, "prompt 4") {
			t.Errorf("the model of the fork reads %.3000s", last)
		}
	})
}

// The files of sessions can be read on a machine without kimi.
func TestStoredWithoutKimi(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t, "text: one")
	s := liveSession(t, ctx, opts)
	finished(t, ctx, s, "hello", "one")
	closed(t, s)
	bare := &client.Options{WorkDir: opts.WorkDir, ShareDir: opts.ShareDir, Executable: filepath.Join(t.TempDir(), "none")}
	list := listedAll(t, bare)
	if len(list) != 1 || list[0].ID != s.ID() || list[0].Backend != client.BackendWire || list[0].Turns != 1 || list[0].WorkDir != opts.WorkDir {
		t.Errorf("listed %+v", list)
	}
	e2eSame(t, "prompts", []string{"hello"}, prompts(told(t, s.ID(), bare)))
	if err := client.DeleteSession(s.ID(), bare); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(sessionDir(opts.ShareDir, opts.WorkDir, s.ID())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}
