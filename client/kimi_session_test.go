//go:build unix

package client_test

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// sessionDir returns the directory in which kimi keeps a session.
func sessionDir(shareDir, workDir, id string) string {
	return filepath.Join(shareDir, "sessions", fmt.Sprintf("%x", md5.Sum([]byte(workDir))), id)
}

// listed returns the sessions of the work dir, with only the fields that differ between them.
func listed(t testing.TB, opts *client.Options) []client.SessionInfo {
	t.Helper()
	list, err := client.ListSessions(opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i] = client.SessionInfo{ID: list[i].ID, WorkDir: list[i].WorkDir, Title: list[i].Title, Archived: list[i].Archived}
	}
	return list
}

// history replays the session. It returns the prompts and the texts of the agent.
func history(t testing.TB, ctx context.Context, s *client.Session) []string {
	t.Helper()
	var lines []string
	for m, err := range s.Replay(ctx) {
		if err != nil {
			t.Fatalf("replay: %v", err)
		}
		switch m := m.(type) {
		case *wireproto.TurnBegin:
			lines = append(lines, "> "+m.UserInput.String())
		case *wireproto.TextPart:
			lines = append(lines, m.Text)
		}
	}
	return lines
}

// touched sets the time of the last change of a session.
func touched(t testing.TB, opts *client.Options, id string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(sessionDir(opts.ShareDir, opts.WorkDir, id), "context.jsonl"), at, at); err != nil {
		t.Fatal(err)
	}
}

func TestKimiSessions(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t, "text: one", "text: two")
	if list, err := client.ListSessions(opts); len(list) != 0 || err != nil {
		t.Fatalf("ListSessions of an unknown work dir: %v, %v", list, err)
	}
	if _, err := client.ResumeSession(ctx, "", opts); !errors.Is(err, client.ErrSessionNotFound) {
		t.Fatalf("ResumeSession \"\" of an unknown work dir: %v", err)
	}

	// The library makes the id of the first session. The program chooses the id of the second.
	first := liveSession(t, ctx, opts)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(first.ID()) {
		t.Errorf("ID %q is no UUID", first.ID())
	}
	if _, err := os.Stat(sessionDir(opts.ShareDir, opts.WorkDir, first.ID())); err != nil {
		t.Errorf("the id before the first turn is not kimi's: %v", err)
	}
	if list := listed(t, opts); len(list) != 0 {
		t.Errorf("a session without a turn is listed: %v", list)
	}
	long := "first  prompt,\nwhich is longer than the fifty letters that a title has"
	finished(t, ctx, first, long, "one")
	closed(t, first)

	named := *opts
	named.SessionID = "my-own.id"
	second := liveSession(t, ctx, &named)
	if second.ID() != "my-own.id" {
		t.Errorf("ID %q", second.ID())
	}
	finished(t, ctx, second, "second prompt", "one")
	closed(t, second)

	title := "first prompt, which is longer than the fifty…"
	infos := map[string]client.SessionInfo{
		first.ID():  {ID: first.ID(), WorkDir: opts.WorkDir, Title: title},
		second.ID(): {ID: second.ID(), WorkDir: opts.WorkDir, Title: "second prompt"},
	}
	now := time.Now()
	touched(t, opts, first.ID(), now.Add(-time.Hour))
	if diff := cmp.Diff([]client.SessionInfo{infos[second.ID()], infos[first.ID()]}, listed(t, opts)); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	touched(t, opts, first.ID(), now.Add(time.Hour))
	if diff := cmp.Diff([]client.SessionInfo{infos[first.ID()], infos[second.ID()]}, listed(t, opts)); diff != "" {
		t.Errorf("sessions, the other way round (-want +got):\n%s", diff)
	}
	if list, err := client.ListSessions(opts); err != nil || len(list) != 2 || list[0].Updated.Sub(now.Add(time.Hour)).Abs() > time.Second {
		t.Errorf("Updated: %v, %v", list, err)
	}

	// A session can be resumed by id. In each process, the model's scripts begin again.
	again := resumed(t, ctx, first.ID(), opts)
	if again.ID() != first.ID() || again.PID() == first.PID() {
		t.Errorf("resumed %q in process %d", again.ID(), again.PID())
	}
	if diff := cmp.Diff([]string{"> " + long, "one"}, history(t, ctx, again)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	finished(t, ctx, again, "third prompt", "one")
	if diff := cmp.Diff([]string{"> " + long, "one", "> third prompt", "one"}, history(t, ctx, again)); diff != "" {
		t.Errorf("history after one more turn (-want +got):\n%s", diff)
	}
	finished(t, ctx, again, "after a replay", "two")
	closed(t, again)

	// ResumeSession with "" takes the newest session, even if kimi was last used with another one.
	touched(t, opts, second.ID(), now.Add(2*time.Hour))
	newest := resumed(t, ctx, "", opts)
	if newest.ID() != second.ID() {
		t.Errorf("ResumeSession \"\" took %q, want %q", newest.ID(), second.ID())
	}
	if diff := cmp.Diff([]string{"> second prompt", "one"}, history(t, ctx, newest)); diff != "" {
		t.Errorf("history of the newest (-want +got):\n%s", diff)
	}
	closed(t, newest)

	// A session can have a title of its own, and can be archived.
	statePath := filepath.Join(sessionDir(opts.ShareDir, opts.WorkDir, second.ID()), "state.json")
	var state map[string]any
	data, err := os.ReadFile(statePath)
	if err := errors.Join(err, json.Unmarshal(data, &state)); err != nil {
		t.Fatal(err)
	}
	state["custom_title"], state["archived"] = "My title", true
	data, _ = json.Marshal(state)
	if err := os.WriteFile(statePath, data, 0o600); err != nil {
		t.Fatal(err)
	}
	infos[second.ID()] = client.SessionInfo{ID: second.ID(), WorkDir: opts.WorkDir, Title: "My title", Archived: true}
	byID := cmpopts.SortSlices(func(a, b client.SessionInfo) bool { return a.ID < b.ID })
	if diff := cmp.Diff([]client.SessionInfo{infos[first.ID()], infos[second.ID()]}, listed(t, opts), byID); diff != "" {
		t.Errorf("sessions with a title (-want +got):\n%s", diff)
	}

	// An id without a session, in this or another work dir, gives an error and makes no session.
	before := tree(t, opts.ShareDir)
	for _, elsewhere := range []string{opts.WorkDir, t.TempDir()} {
		missing := *opts
		missing.WorkDir = elsewhere
		if _, err := client.ResumeSession(ctx, "no-such-session", &missing); !errors.Is(err, client.ErrSessionNotFound) || !strings.Contains(err.Error(), "ListSessions") {
			t.Errorf("ResumeSession of a missing id: %v", err)
		}
	}
	elsewhere := *opts
	elsewhere.WorkDir = t.TempDir()
	if _, err := client.ResumeSession(ctx, first.ID(), &elsewhere); !errors.Is(err, client.ErrSessionNotFound) {
		t.Errorf("ResumeSession in another work dir: %v", err)
	}
	if diff := cmp.Diff(before, tree(t, opts.ShareDir)); diff != "" {
		t.Errorf("looking for missing sessions left something (-before +after):\n%s", diff)
	}

	// If kimi.json did not list the work dir, kimi would start a session from nothing and overwrite the files.
	if err := os.WriteFile(filepath.Join(opts.ShareDir, "kimi.json"), []byte(`{"work_dirs":[{"path":"/elsewhere","kaos":"local"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	before = tree(t, opts.ShareDir)
	taken := *opts
	taken.SessionID = first.ID()
	for name, start := range map[string]func() (*client.Session, error){
		"ResumeSession":      func() (*client.Session, error) { return client.ResumeSession(ctx, first.ID(), opts) },
		"ResumeSession \"\"": func() (*client.Session, error) { return client.ResumeSession(ctx, "", opts) },
		"NewSession":         func() (*client.Session, error) { return client.NewSession(ctx, &taken) },
	} {
		s, err := start()
		if !errors.Is(err, client.ErrSessionNotFound) {
			t.Errorf("%s of a session that kimi would overwrite: %v", name, err)
		}
		if s != nil {
			s.Close()
		}
	}
	if diff := cmp.Diff(before, tree(t, opts.ShareDir)); diff != "" {
		t.Errorf("kimi has changed the files (-before +after):\n%s", diff)
	}
}

// tree returns the files below dir with the sums of their content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			files[path] = "dir"
			return nil
		}
		data, err := os.ReadFile(path)
		files[path] = fmt.Sprintf("%d bytes, %x", len(data), md5.Sum(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestKimiSessionIDsRefused(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t)
	for _, id := range []string{
		"a/b", "/a", `a\b`, "..", ".", "../evil", ".hidden", "-S", "--yolo", " a", "a ", " ", "a\nb", "a\x00b", "a\x7f", "a\u0085b",
		"bad\xffutf8", strings.Repeat("x", 129),
	} {
		named := *opts
		named.SessionID = id
		if s, err := client.NewSession(ctx, &named); s != nil || err == nil || !strings.Contains(err.Error(), "SessionID") {
			t.Errorf("NewSession with the id %q: %v", id, err)
		}
		if s, err := client.ResumeSession(ctx, id, opts); s != nil || !errors.Is(err, client.ErrSessionNotFound) || !strings.Contains(err.Error(), "session id") {
			t.Errorf("ResumeSession of the id %q: %v", id, err)
		}
	}
	if entries, err := os.ReadDir(opts.ShareDir); err != nil || len(entries) > 0 {
		t.Errorf("the share dir has %v, %v", entries, err)
	}
}

func TestKimiSessionAfterKill(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t, "text: one", clienttest.ToolCall("a", "wait", map[string]any{}))
	running := make(chan struct{}, 1)
	wait, err := client.NewTool("wait", "waits", func(ctx context.Context, _ struct{}) (string, error) {
		running <- struct{}{}
		<-ctx.Done()
		return "", ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	opts.Tools = []client.Tool{wait}
	kill := func(s *client.Session) {
		t.Helper()
		if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
	}

	s := liveSession(t, ctx, opts)
	finished(t, ctx, s, "first", "one")
	turn, err := s.Prompt(ctx, "second")
	if err != nil {
		t.Fatal(err)
	}
	go turn.Result()
	<-running
	wire := filepath.Join(opts.ShareDir, "sessions", "*", s.ID(), "wire.jsonl")
	eventually(t, time.Minute, func() bool { // kimi writes the prompt while the turn runs
		files, _ := filepath.Glob(wire)
		if len(files) != 1 {
			return false
		}
		written, _ := os.ReadFile(files[0])
		return strings.Contains(string(written), "second")
	}, func() string { return "the prompt is not in " + wire })
	kill(s)

	// kimi --continue does not find the session, because kimi saves the id of the last session only at a regular end.
	args := []string{"--wire", "--continue", "--work-dir", opts.WorkDir}
	cmd := exec.CommandContext(ctx, opts.Executable, args...)
	cmd.Env = append(os.Environ(), "KIMI_SHARE_DIR="+opts.ShareDir, "HOME="+filepath.Join(root(opts), "home"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var exit *exec.ExitError
	if out, err := cmd.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("kimi --continue: %v, %s", err, out)
	}

	byID := resumed(t, ctx, s.ID(), opts)
	if diff := cmp.Diff([]string{"> first", "one", "> second"}, history(t, ctx, byID)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	finished(t, ctx, byID, "third", "one")
	kill(byID)
	newest := resumed(t, ctx, "", opts)
	if newest.ID() != s.ID() {
		t.Errorf("ResumeSession \"\" took %q, want %q", newest.ID(), s.ID())
	}
	if diff := cmp.Diff([]string{"> first", "one", "> second", "> third", "one"}, history(t, ctx, newest)); diff != "" {
		t.Errorf("history after another kill (-want +got):\n%s", diff)
	}
	finished(t, ctx, newest, "fourth", "one")
}

func TestKimiWorkDirs(t *testing.T) {
	ctx := withinCtx(t)
	for _, tt := range []struct {
		name string
		// set sets the work dir of the options. It returns the path under which kimi stores it.
		set func(t *testing.T, o *client.Options) string
	}{
		{"a symlink, relative", func(t *testing.T, o *client.Options) string {
			link := filepath.Join(root(o), "link")
			if err := os.Symlink(o.WorkDir, link); err != nil {
				t.Fatal(err)
			}
			t.Chdir(root(o))
			o.WorkDir = "share/../link/."
			return link // kimi does not resolve the link
		}},
		{"current, through a symlink", func(t *testing.T, o *client.Options) string {
			link := filepath.Join(root(o), "link")
			if err := os.Symlink(o.WorkDir, link); err != nil {
				t.Fatal(err)
			}
			t.Chdir(link)
			spelled := o.WorkDir
			o.WorkDir = ""
			return spelled
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := clienttest.Kimi(t, clienttest.ToolCall("a", "Shell", map[string]any{"command": "echo cwd=$(pwd -P)"}), "text: done")
			opts.Yolo = true
			physical := opts.WorkDir
			spelled := tt.set(t, opts)
			s := liveSession(t, ctx, opts)
			msgs := finished(t, ctx, s, "where", "done")
			if r := only[*wireproto.ToolResult](msgs); len(r) != 1 || !strings.Contains(r[0].ReturnValue.Output.String(), "cwd="+physical+"\n") {
				t.Errorf("the agent works elsewhere: %+v", r)
			}
			if _, err := os.Stat(filepath.Join(sessionDir(opts.ShareDir, spelled, s.ID()), "wire.jsonl")); err != nil {
				t.Errorf("kimi has another name for the work dir: %v", err)
			}
			closed(t, s)
			want := []client.SessionInfo{{ID: s.ID(), WorkDir: spelled, Title: "where"}}
			if diff := cmp.Diff(want, listed(t, opts)); diff != "" {
				t.Errorf("sessions (-want +got):\n%s", diff)
			}
			other := *opts
			other.WorkDir = physical
			if spelled == physical {
				other.WorkDir = filepath.Join(root(opts), "link")
			}
			if list := listed(t, &other); len(list) > 0 {
				t.Errorf("sessions of %s, which kimi takes for another work dir: %v", other.WorkDir, list)
			}
		})
	}
}

func TestKimiSessionWithoutTurns(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t)
	s := liveSession(t, ctx, opts)
	dir := sessionDir(opts.ShareDir, opts.WorkDir, s.ID())
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of a session without turns is left: %v", err)
	}
	if list := listed(t, opts); len(list) > 0 {
		t.Errorf("sessions: %v", list)
	}
	if _, err := client.ResumeSession(ctx, s.ID(), opts); !errors.Is(err, client.ErrSessionNotFound) {
		t.Errorf("ResumeSession: %v", err)
	}
}

func TestKimiStatePersists(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	shell := clienttest.ToolCall("a", "Shell", map[string]any{"command": "echo approved"})
	opts := clienttest.Kimi(t, shell, "text: done")
	s := liveSession(t, ctx, opts)
	turn, err := s.Prompt(ctx, "run")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for m, err := range turn.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := m.(*client.ApprovalRequest); ok {
			asked++
			if err := r.ApproveForSession(); err != nil {
				t.Error(err)
			}
		}
	}
	if on, err := s.SetPlanMode(ctx, true); !on || err != nil {
		t.Fatalf("SetPlanMode: %v, %v", on, err)
	}
	if asked != 1 || !s.Status().PlanMode {
		t.Errorf("asked %d times, plan mode %v", asked, s.Status().PlanMode)
	}
	closed(t, s)

	again := resumed(t, ctx, s.ID(), opts)
	msgs := finished(t, ctx, again, "run again", "done")
	if !again.Status().PlanMode {
		t.Error("plan mode is off in the resumed session")
	}
	if r := only[*client.ApprovalRequest](msgs); len(r) > 0 {
		t.Errorf("what was approved for the session is asked for again: %+v", r[0].ApprovalRequest)
	}
	if r := only[*wireproto.ToolResult](msgs); len(r) != 1 || r[0].ReturnValue.IsError || !strings.Contains(r[0].ReturnValue.Output.String(), "approved") {
		t.Errorf("tool results: %+v", r)
	}
}

func TestKimiTwoSessionsAtOnce(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t, clienttest.ToolCall("a", "meet", map[string]any{}), "text: met")
	var meeting sync.WaitGroup
	meeting.Add(2)
	meet, err := client.NewTool("meet", "waits for the other session", func(ctx context.Context, _ struct{}) (string, error) {
		meeting.Done()
		met := make(chan struct{})
		go func() { meeting.Wait(); close(met) }()
		select {
		case <-met:
			return "met", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	opts.Tools = []client.Tool{meet}
	sessions := make([]*client.Session, 2)
	var both sync.WaitGroup
	for i := range sessions {
		both.Go(func() {
			s, err := client.NewSession(ctx, opts)
			if err != nil {
				t.Error(err)
				meeting.Done()
				return
			}
			sessions[i] = s
			defer s.Close()
			turn, err := s.Prompt(ctx, fmt.Sprintf("prompt %d", i))
			if err != nil {
				t.Error(err)
				return
			}
			if r, err := turn.Result(); err != nil || r.Text != "met" {
				t.Errorf("session %d: %+v, %v", i, r, err)
			}
		})
	}
	both.Wait()
	if t.Failed() {
		return
	}
	want := []client.SessionInfo{
		{ID: sessions[0].ID(), WorkDir: opts.WorkDir, Title: "prompt 0"},
		{ID: sessions[1].ID(), WorkDir: opts.WorkDir, Title: "prompt 1"},
	}
	byTitle := cmpopts.SortSlices(func(a, b client.SessionInfo) bool { return a.Title < b.Title })
	if diff := cmp.Diff(want, listed(t, opts), byTitle); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

// TestKimiBackgroundShell holds that a later turn reports the end of a command in the background.
func TestKimiBackgroundShell(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t,
		clienttest.ToolCall("bg", "Shell", map[string]any{"command": "touch ended", "run_in_background": true, "description": "a nap"}),
		"text: started", "text: heard")
	opts.Yolo = true
	s := liveSession(t, ctx, opts)
	msgs := finished(t, ctx, s, "go", "started")
	var task *wireproto.BackgroundTaskDisplayBlock
	for _, r := range only[*wireproto.ToolResult](msgs) {
		for _, block := range r.ReturnValue.Display {
			if b, ok := block.(*wireproto.BackgroundTaskDisplayBlock); ok {
				task = b
			}
		}
	}
	if task == nil || task.Description != "a nap" {
		t.Fatalf("the tool's result shows no background task: %+v", task)
	}
	// The task's own file says when the task has ended. kimi reports the end in the next turn.
	record := filepath.Join(sessionDir(opts.ShareDir, opts.WorkDir, s.ID()), "tasks", task.TaskID, "runtime.json")
	eventually(t, time.Minute, func() bool {
		data, _ := os.ReadFile(record)
		return strings.Contains(string(data), `"completed"`)
	}, func() string { data, err := os.ReadFile(record); return fmt.Sprintf("%s, %v", data, err) })
	msgs = finished(t, ctx, s, "and?", "heard")
	notes := only[*wireproto.Notification](msgs)
	if len(notes) != 1 || notes[0].Type != "task.completed" || notes[0].SourceID != task.TaskID {
		t.Errorf("notifications: %+v", notes)
	}
}

// TestKimiBackgroundAgent holds that OnMessage gets the request of a background agent while no turn runs.
func TestKimiBackgroundAgent(t *testing.T) {
	t.Parallel()
	for _, approve := range []bool{true, false} {
		t.Run(fmt.Sprintf("approve %v", approve), func(t *testing.T) {
			ctx := withinCtx(t)
			idle := make(chan struct{}) // closed when the turn has ended
			var opts *client.Options
			api := newModelAPI(t, func(r modelRequest) string {
				results := r.says("tool", "")
				switch {
				case r.says("user", "the subtask") && !results:
					select {
					case <-idle:
					case <-ctx.Done():
					}
					return toolDelta("sub", "Shell", map[string]any{"command": "touch approved"})
				case r.says("user", "the subtask"):
					return textDelta(strings.Repeat("The subtask is done. ", 20))
				case !results:
					return toolDelta("agent", "Agent", map[string]any{"description": "a subtask", "prompt": "do the subtask", "run_in_background": true})
				}
				return textDelta("started")
			})
			opts = apiOptions(t, api)
			var log lockedBuffer
			opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			live := make(chan *client.ApprovalRequest, 8)
			if approve {
				opts.OnMessage = func(m wireproto.Message) {
					if r, ok := m.(*client.ApprovalRequest); ok {
						if err := r.Approve(); err != nil {
							t.Errorf("Approve: %v", err)
						}
						live <- r
					}
				}
			}
			s := liveSession(t, ctx, opts)
			msgs := finished(t, ctx, s, "go", "started")
			if r := only[*client.ApprovalRequest](msgs); len(r) > 0 {
				t.Fatalf("the request came within the turn: %+v", r)
			}
			close(idle)
			marker := filepath.Join(opts.WorkDir, "approved")
			if approve {
				select {
				case r := <-live:
					if r.SourceKind == nil || *r.SourceKind != "background_agent" || r.AgentID == nil || !strings.Contains(r.Description, "touch approved") {
						t.Errorf("request: %+v", r.ApprovalRequest)
					}
					if err := r.Reject(""); !errors.Is(err, client.ErrAnswered) {
						t.Errorf("a second answer: %v", err)
					}
				case <-ctx.Done():
					t.Fatalf("no request outside a turn; log: %s", log.String())
				}
				eventually(t, time.Minute, func() bool { return exists(marker) },
					func() string { return "the approved command did not run" })
			} else {
				eventually(t, time.Minute, func() bool { return strings.Contains(log.String(), "rejected") },
					func() string { return "nothing was rejected: " + log.String() })
			}
			// kimi reports the end of the agent in a later turn. Only then is it certain what the agent has not done.
			var notes []*wireproto.Notification
			for range 100 {
				msgs := finished(t, ctx, s, "and?", "started")
				if notes = only[*wireproto.Notification](msgs); len(notes) > 0 {
					break
				}
			}
			if len(notes) == 0 || !strings.HasPrefix(notes[0].Type, "task.") {
				t.Errorf("notifications: %+v", notes)
			}
			if ran := exists(marker); ran != approve {
				t.Errorf("approved %v, but the command has run: %v", approve, ran)
			}
		})
	}
}

func TestKimiBigThings(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	text := strings.Repeat("0123456789abcde\n", 5<<20/16)
	opts := clienttest.Kimi(t, clienttest.ToolCall("a", "big", map[string]any{}), "text: read", "text: seen", "text: alive")
	model := opts.Config.Models["scripted"]
	model.Capabilities, model.MaxContextSize = []config.Capability{config.CapabilityImageIn}, 100_000_000
	opts.Config.Models["scripted"] = model
	big, err := client.NewTool("big", "returns 5 MB", func(context.Context, struct{}) (string, error) { return text, nil })
	if err != nil {
		t.Fatal(err)
	}
	opts.Tools = []client.Tool{big}
	s := liveSession(t, ctx, opts)

	msgs := finished(t, ctx, s, "read", "read")
	if r := only[*wireproto.ToolResult](msgs); len(r) != 1 || r[0].ReturnValue.Output.String() != text {
		t.Errorf("a result of %d bytes came back differently", len(text))
	}

	url := "data:image/png;base64," + strings.Repeat("AAAA", 20<<20/4)
	msgs, result, err := playTurn(t, ctx, s, "look", &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: url}})
	if err != nil || result.Text != "seen" {
		t.Fatalf("a prompt with an image of 20 MB: %q, %v", result.Text, err)
	}
	begin := only[*wireproto.TurnBegin](msgs)
	if len(begin) != 1 || len(begin[0].UserInput.Parts) != 2 {
		t.Fatalf("TurnBegin came %d times", len(begin))
	}
	if image, ok := begin[0].UserInput.Parts[1].(*wireproto.ImageURLPart); !ok || image.ImageURL.URL != url {
		t.Error("the image came back differently")
	}

	turn, err := s.Prompt(ctx, strings.Repeat("x", 105<<20))
	if turn != nil || !errors.Is(err, wireproto.ErrLineTooLong) || len(err.Error()) > 400 {
		t.Errorf("a prompt of 105 MB: %v, %.400v", turn, err)
	}
	finished(t, ctx, s, "still there?", "alive")
}
