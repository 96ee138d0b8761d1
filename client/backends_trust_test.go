//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A prompt that looks like a slash command reaches the model as text, in each form. It does not change which actions
// need an approval, in this process and in the next one.
func TestBackendsSlashText(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		const png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
		part := func(s string) wireproto.ContentPart { return &wireproto.TextPart{Text: s} }
		forms := []struct {
			text  string
			parts []wireproto.ContentPart
			words string // the text that the model must read
		}{
			{text: "/yolo", words: "/yolo"},
			{text: "  /yolo", words: "/yolo"},
			{text: "/yolo please", words: "/yolo please"},
			{text: "\u00a0\u3000/yolo", words: "/yolo"},
			{text: "\x1c/yolo\x1fa/b", words: "/yolo"},
			{text: "/afk", words: "/afk"},
			{text: "/auto", words: "/auto"},
			{parts: []wireproto.ContentPart{part("/yolo")}, words: "/yolo"},
			{text: "/yolo", parts: []wireproto.ContentPart{part("now")}, words: "/yolo"},
			{text: " ", parts: []wireproto.ContentPart{part(""), part("/afk now")}, words: "/afk now"},
			{parts: []wireproto.ContentPart{&wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: png}}, part("/yolo")}, words: "/yolo"},
			{text: "/nonesuch is full", words: "/nonesuch is full"},
			{text: "/etc/passwd", words: "/etc/passwd"},
		}
		opts, model := b.model(t)
		opts.StartTimeout = 2 * time.Minute
		var asked atomic.Int32
		opts.Approve = func(_ context.Context, r *client.ApprovalRequest) error {
			asked.Add(1)
			return r.Reject("not now")
		}
		s := liveSession(t, ctx, opts)
		for i, f := range forms {
			name := fmt.Sprintf("form-%d", i)
			asked.Store(0)
			model.Add(b.run(name, "touch "+name), "text: done")
			before := len(model.Requests())
			turn, err := s.Prompt(ctx, f.text, f.parts...)
			if err != nil {
				t.Fatal(err)
			}
			result, err := turn.Result()
			if err != nil || result.Text != "done" {
				t.Errorf("%q: %+v, %v", f.words, result, err)
			}
			if n := asked.Load(); n != 1 || wasRun(t, opts, name) {
				t.Errorf("%q %d: asked %d times, carried out: %v", f.words, i, n, wasRun(t, opts, name))
			}
			if requests := model.Requests(); len(requests) != before+2 || !strings.Contains(string(requests[before]), f.words) {
				t.Errorf("%q: the model was asked %d times and does not read it", f.words, len(requests)-before)
			}
		}
		if b.name == "kimi-cli" { // Kimi Code has no steering
			asked.Store(0)
			model.Add(b.run("steer-1", "touch steer-1"), b.run("steer-2", "touch steer-2"), "text: done")
			steering := *opts
			steering.Approve = nil
			closed(t, s)
			s = resumed(t, ctx, s.ID(), &steering)
			steered := false
			msgs := e2eTurn(t, ctx, s, "go", func(m wireproto.Message) {
				r, ok := m.(*client.ApprovalRequest)
				if !ok {
					return
				}
				asked.Add(1)
				if !steered {
					steered = true
					if err := s.Steer(ctx, "/yolo"); err != nil {
						t.Error(err)
					}
				}
				if err := r.Reject("not now"); err != nil {
					t.Error(err)
				}
			})
			if n := asked.Load(); n != 2 || len(e2eOf[*wireproto.SteerInput](msgs)) != 1 {
				t.Errorf("with a steer: asked %d times, %v", n, e2eTypes(msgs))
			}
		}
		closed(t, s)
		if list := listed(t, opts); len(list) != 1 || list[0].Title != "/yolo" {
			t.Errorf("listed: %+v", list)
		}
		asked.Store(0)
		model.Add(b.run("resumed", "touch resumed"), "text: done")
		s = resumed(t, ctx, s.ID(), opts)
		e2eText(t, ctx, s, "go", "done")
		if n := asked.Load(); n != 1 || wasRun(t, opts, "resumed") {
			t.Errorf("after the resume: asked %d times, carried out: %v", n, wasRun(t, opts, "resumed"))
		}
		if status := s.Status().Approvals; status.All != "" || len(status.Actions) > 0 {
			t.Errorf("status %+v", status)
		}
		commands := s.Server().SlashCommands
		if len(commands) == 0 || slices.ContainsFunc(commands, func(c wireproto.SlashCommand) bool { return c.Name == "" }) {
			t.Errorf("commands %+v", commands)
		}
	})
}

// The configuration file of the user may let every action run without a question. kimi-cli obeys it, and the library
// reports that. Kimi Code obeys the options instead.
func TestBackendsUnaskedByFile(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t, b.run("unasked", "touch unasked"), "text: done")
		opts.StartTimeout = 2 * time.Minute
		var log lockedBuffer
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		path := filepath.Join(opts.ShareDir, "config.toml")
		if opts.Config != nil {
			opts.Config.DefaultYolo = true
			if err := opts.Config.Save(path); err != nil {
				t.Fatal(err)
			}
			opts.Config = nil
		} else {
			write(t, path, "default_permission_mode = \"yolo\"\n", 0o600)
		}
		opts.Approve = client.RejectAll
		s := liveSession(t, ctx, opts)
		msgs := finished(t, ctx, s, "go", "done")
		asked, ran, all := len(only[*wireproto.ApprovalRequest](msgs)), wasRun(t, opts, "unasked"), s.Status().Approvals.All
		if b.name == "kimi-cli" {
			if asked != 0 || !ran || all != "default_yolo of "+path || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), all) {
				t.Errorf("asked %d times, carried out: %v, told %q, log %s", asked, ran, all, log.String())
			}
			return
		}
		if asked != 1 || ran || all != "" {
			t.Errorf("asked %d times, carried out: %v, told %q", asked, ran, all)
		}
	})
}

// After a command that a hook has blocked, and in a new process that reads default_yolo again, the library reports what
// runs unasked.
func TestKimiYoloStays(t *testing.T) {
	t.Parallel()
	b, ctx := backends[0], withinCtx(t)
	opts, _ := b.model(t, b.run("again", "touch again"), "text: done")
	opts.SlashCommands, opts.StartTimeout = true, 2*time.Minute
	opts.Config.DefaultYolo = true
	var allow atomic.Bool
	opts.Hooks = []client.Hook{{Event: "UserPromptSubmit", Matcher: "^/yolo$", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		if allow.Load() {
			return client.Allow(), nil
		}
		return client.Block("no"), nil
	}}}
	s := liveSession(t, ctx, opts)
	told := func(when, want string) {
		t.Helper()
		if got := s.Status().Approvals.All; got != want {
			t.Errorf("%s: %q runs everything unasked, want %q", when, got, want)
		}
	}
	const byConfig = "default_yolo of Options.Config"
	told("at first", byConfig)
	playTurn(t, ctx, s, "/yolo")
	told("after a blocked command", byConfig)
	allow.Store(true)
	playTurn(t, ctx, s, "/yolo")
	told("after the command", "")
	if err := s.SetModel(ctx, s.Model()); err != nil {
		t.Fatal(err)
	}
	told("in a new process", byConfig)
	msgs := finished(t, ctx, s, "go", "done")
	if n := len(only[*wireproto.ApprovalRequest](msgs)); n != 0 || !wasRun(t, opts, "again") {
		t.Errorf("asked %d times, carried out: %v", n, wasRun(t, opts, "again"))
	}
}

// A session of kimi-cli may store a mode without questions. Such a session is refused unless the options ask for the
// mode, and the mode can be turned off. The library reports the actions that were approved for the session.
func TestKimiKeptApprovals(t *testing.T) {
	t.Parallel()
	b := backends[0]
	for mode, set := range map[string]func(*client.Options, bool){
		"/yolo": func(o *client.Options, on bool) { o.Yolo = on },
		"/afk":  func(o *client.Options, on bool) { o.AFK = on },
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx := withinCtx(t)
			opts, _ := b.model(t, "text: hello", b.run("again", "touch again"), "text: done")
			opts.SlashCommands, opts.StartTimeout = true, 2*time.Minute
			s := liveSession(t, ctx, opts)
			finished(t, ctx, s, "hello", "hello")
			told := func(s *client.Session, want string) {
				t.Helper()
				if got := s.Status().Approvals.All; got != want {
					t.Errorf("%q runs everything unasked, want %q", got, want)
				}
			}
			told(s, "")
			playTurn(t, ctx, s, mode)
			told(s, mode)
			playTurn(t, ctx, s, " ", &wireproto.TextPart{Text: mode})
			told(s, "")
			playTurn(t, ctx, s, mode)
			if _, err := s.SetPlanMode(ctx, true); err != nil {
				t.Fatal(err)
			}
			if err := s.SetModel(ctx, s.Model()); err != nil { // a new process keeps the mode
				t.Fatal(err)
			}
			told(s, mode)
			closed(t, s)

			for name, start := range map[string]func() (*client.Session, error){
				"ResumeSession": func() (*client.Session, error) { return client.ResumeSession(ctx, s.ID(), opts) },
				"the newest":    func() (*client.Session, error) { return client.ResumeSession(ctx, "", opts) },
				"NewSession": func() (*client.Session, error) {
					o := *opts
					o.SessionID, o.Approve = s.ID(), client.RejectAll
					return client.NewSession(ctx, &o)
				},
			} {
				resumed, err := start()
				if err == nil {
					resumed.Close()
				}
				e2eIs(t, name, err, client.ErrUnasked)
				if err == nil || !strings.Contains(err.Error(), mode) || !strings.Contains(err.Error(), "SlashCommands") {
					t.Errorf("%s does not say how: %v", name, err)
				}
			}

			set(opts, true)
			again := resumed(t, ctx, s.ID(), opts)
			if got := again.Status().Approvals.All; !strings.HasPrefix(got, "Options.") {
				t.Errorf("told %q", got)
			}
			if !again.Status().PlanMode {
				t.Error("plan mode, which the session keeps, is not reported")
			}
			if _, err := again.SetPlanMode(ctx, false); err != nil {
				t.Fatal(err)
			}
			playTurn(t, ctx, again, mode)
			told(again, "")
			closed(t, again)

			set(opts, false)
			opts.Approve = client.RejectAll
			again = resumed(t, ctx, s.ID(), opts)
			msgs := finished(t, ctx, again, "go", "done")
			if n := len(only[*wireproto.ApprovalRequest](msgs)); n != 1 || wasRun(t, opts, "again") {
				t.Errorf("asked %d times, carried out: %v", n, wasRun(t, opts, "again"))
			}
		})
	}
	t.Run("actions", func(t *testing.T) {
		t.Parallel()
		ctx := withinCtx(t)
		opts, _ := b.model(t, b.run("first", "touch first"), "text: done", b.run("second", "touch second"), "text: done")
		opts.StartTimeout = 2 * time.Minute
		opts.Approve = func(_ context.Context, r *client.ApprovalRequest) error { return r.ApproveForSession() }
		s := liveSession(t, ctx, opts)
		if got := s.Status().Approvals; got.All != "" || got.Actions != nil {
			t.Errorf("before: %+v", got)
		}
		finished(t, ctx, s, "go", "done")
		want := client.Approvals{Actions: []string{"run command"}}
		e2eSame(t, "approvals", want, s.Status().Approvals)
		closed(t, s)

		var log lockedBuffer
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		opts.Approve = client.RejectAll
		s = resumed(t, ctx, s.ID(), opts)
		e2eSame(t, "approvals after a resume", want, s.Status().Approvals)
		if !strings.Contains(log.String(), "run command") {
			t.Errorf("log: %s", log.String())
		}
		finished(t, ctx, s, "go", "done")
		if !wasRun(t, opts, "second") {
			t.Error("it was asked again: the documentation says otherwise")
		}
	})
}

// checkCall checks that a request shows the call that it asks about.
func checkCall(t testing.TB, r *client.ApprovalRequest, name string, args map[string]any) {
	t.Helper()
	gotName, raw := r.Call()
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Errorf("the call of %s: %q %q: %v", r.Description, gotName, raw, err)
		return
	}
	e2eSame(t, "name of the call", name, gotName)
	e2eSame(t, "arguments of the call", args, got)
}

// checkSubagentCall checks what the request of a subagent shows of its call of the shell.
func checkSubagentCall(t testing.TB, b *backend, r *client.ApprovalRequest, command string) {
	t.Helper()
	if b.tellsCalls {
		checkCall(t, r, b.shell, map[string]any{"command": command})
	} else if name, args := r.Call(); name != "" || args != nil {
		t.Errorf("the call of a subagent: %q %q", name, args)
	}
}

// A request shows the whole call to the loop and to a handler, also the parts that are too long for the description. If
// the model gives one id to two calls, the request shows no call, because it could show the wrong one.
func TestBackendsCall(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		sql := "SELECT count(*) FROM users --" + strings.Repeat(" harmless", 1000) + "\n\"; DROP TABLE users"
		twice := say(b.run("dup", "echo 1"), b.run("dup", "echo 2"))
		opts, model := b.model(t)
		opts.StartTimeout = 2 * time.Minute
		opts.MCPServers = map[string]config.MCPServer{"db": mcpProgram(t, map[string]config.Secret{"MCP_TOOL": "query", "MCP_SECRET": "1"})}
		check := map[string]func(*client.ApprovalRequest){
			"sql":  func(r *client.ApprovalRequest) { checkCall(t, r, b.mcpTool("db", "query"), map[string]any{"sql": sql}) },
			"echo": func(r *client.ApprovalRequest) { checkCall(t, r, b.shell, map[string]any{"command": "echo 1"}) },
			"twice": func(r *client.ApprovalRequest) {
				if name, args := r.Call(); b.name == "kimi-cli" && (name != "" || args != nil) || b.name != "kimi-cli" && name != b.shell {
					t.Errorf("of two calls with one id: %q %q", name, args)
				}
			},
		}
		scripts := map[string]string{"sql": clienttest.ToolCall("sql", b.mcpTool("db", "query"), map[string]string{"sql": sql}), "echo": b.run("e", "echo 1"), "twice": twice}
		var now func(*client.ApprovalRequest)
		var asked int
		take := func(r *client.ApprovalRequest) error {
			now(r)
			asked++
			return r.Reject("no")
		}
		for _, handler := range []bool{false, true} {
			if opts.Approve = nil; handler {
				var mu sync.Mutex
				opts.Approve = func(_ context.Context, r *client.ApprovalRequest) error {
					mu.Lock()
					defer mu.Unlock()
					return take(r)
				}
			}
			s := liveSession(t, ctx, opts)
			for _, name := range []string{"sql", "echo", "twice"} {
				now, asked = check[name], 0
				model.Add(scripts[name], "text: done")
				turn, err := s.Prompt(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				if _, err = e2eRead(turn, func(m wireproto.Message) {
					if r, ok := m.(*client.ApprovalRequest); ok {
						if err := take(r); err != nil {
							t.Error(err)
						}
					}
				}); err != nil || asked == 0 {
					t.Errorf("%s: asked %d times, %v", name, asked, err)
				}
			}
			closed(t, s)
		}
	})
}

// A hook runs for each tool that its expression matches in Go. kimi-cli drops a hook whose expression Python cannot
// compile, and would let the command run.
func TestKimiHookMatchers(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	for matcher, match := range map[string]bool{`^[[:upper:]]\pL+\z`: true, `^\pN|hell[^\pL]`: false} {
		t.Run(matcher, func(t *testing.T) {
			opts := clienttest.Kimi(t, touch("c", "guarded"), "text: done")
			opts.Yolo, opts.StartTimeout = true, 2*time.Minute
			var asked atomic.Int32
			opts.Hooks = []client.Hook{{Event: "PreToolUse", Matcher: matcher, Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
				asked.Add(1)
				return client.Block("no"), nil
			}}}
			finished(t, ctx, liveSession(t, ctx, opts), "go", "done")
			if ran := wasRun(t, opts, "guarded"); ran == match || (asked.Load() == 1) != match {
				t.Errorf("asked %d times, carried out: %v", asked.Load(), ran)
			}
		})
	}
}

// Two programs with this library cannot write the same history: the second gets an error until the first has ended.
func TestKimiSessionInUse(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	opts := clienttest.Kimi(t, "text: one")
	opts.StartTimeout = 2 * time.Minute
	first := liveSession(t, ctx, opts)
	finished(t, ctx, first, "one", "one")
	named := *opts
	named.SessionID = first.ID()
	for name, start := range map[string]func() (*client.Session, error){
		"ResumeSession": func() (*client.Session, error) { return client.ResumeSession(ctx, first.ID(), opts) },
		"NewSession":    func() (*client.Session, error) { return client.NewSession(ctx, &named) },
	} {
		s, err := start()
		if err == nil {
			s.Close()
		}
		e2eIs(t, name, err, client.ErrInUse)
	}
	closed(t, first)
	again := resumed(t, ctx, first.ID(), opts)
	if _, err := client.ResumeSession(ctx, first.ID(), opts); !errors.Is(err, client.ErrInUse) {
		t.Errorf("a session that is continued: %v", err)
	}
	closed(t, again)
	closed(t, resumed(t, ctx, first.ID(), opts))
}
