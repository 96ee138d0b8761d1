//go:build unix

package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// pooled makes a pool and closes it at the end of the test.
func pooled(t testing.TB, opts *client.Options, p client.PoolOptions) *client.Pool {
	t.Helper()
	pool, err := client.NewPool(opts, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

// taken takes a session from a pool.
func taken(t testing.TB, ctx context.Context, p *client.Pool) *client.Session {
	t.Helper()
	s, err := p.NewSession(ctx)
	return alive(t, s, err)
}

// areReady waits until n sessions of the pool are ready.
func areReady(t testing.TB, p *client.Pool, n int) {
	t.Helper()
	eventually(t, 2*time.Minute, func() bool { return len(p.Ready()) == n }, func() string {
		return fmt.Sprintf("%d sessions are ready, want %d", len(p.Ready()), n)
	})
}

// The sessions of a pool run at the same time. Closing one session ends everything that runs in it, and nothing in the
// others. The next caller gets its place. After the pool is closed, no process and no goroutine is left.
func TestBackendsPool(t *testing.T) {
	needProc(t)
	noLeaks(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			ctx := withinCtx(t)
			fg, bg := uniqueSleep(300), uniqueSleep(301)
			opts, model := b.model(t)
			opts.Yolo, opts.StopGrace = true, 30*time.Second
			p := pooled(t, opts, client.PoolOptions{Max: 3, Warm: 2})
			areReady(t, p, 2)
			first, second := taken(t, ctx, p), taken(t, ctx, p)
			if shared := first.PID() == second.PID(); shared != b.sharesServer || first.ID() == second.ID() {
				t.Errorf("sessions %q of process %d and %q of %d", first.ID(), first.PID(), second.ID(), second.PID())
			}
			model.Add("text: one", "text: two")
			finished(t, ctx, first, "remember me", "one")
			finished(t, ctx, second, "2", "two")

			model.Add(say(
				clienttest.ToolCall("bg", b.shell, map[string]any{"command": "sleep " + bg, "run_in_background": true, "description": "a nap"}), b.run("fg", "sleep "+fg),
			))
			turn, err := first.Prompt(ctx, "sleep")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := e2eRead(turn, func(wireproto.Message) {})
				ended <- err
			}()
			asleep(t, bg, fg)
			third := taken(t, ctx, p)
			next := make(chan *client.Session)
			go func() {
				s, err := p.NewSession(ctx)
				if err != nil {
					t.Error(err)
				}
				next <- s
			}()
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			if s, err := p.NewSession(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a fourth session: %v, %v", s, err)
			}
			closed(t, first)
			e2eIs(t, "the turn of the closed session", recv(t, ctx, "its end", ended), client.ErrClosed)
			if left := append(sleeping(fg), sleeping(bg)...); len(left) > 0 {
				t.Errorf("commands of the closed session run on: %v", left)
			}
			fourth := recv(t, ctx, "the next session", next)
			model.Add("text: two again", "text: three", "text: four")
			finished(t, ctx, second, "2", "two again")
			finished(t, ctx, third, "3", "three")
			finished(t, ctx, fourth, "4", "four")
			if list, err := client.ListSessions(opts); err != nil || len(list) != 4 || list[0].Archived || list[3].Archived {
				t.Errorf("sessions: %+v, %v; want 4 that are not in the archive", list, err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			for _, s := range []*client.Session{second, third, fourth} {
				e2eIs(t, "the session", s.Err(), client.ErrClosed)
			}
			noneLeft(t, root(opts))

			model.Add("text: again")
			again := resumed(t, ctx, first.ID(), opts)
			finished(t, ctx, again, "go on", "again")
			if last := string(model.Requests()[len(model.Requests())-1]); !strings.Contains(last, "remember me") {
				t.Errorf("the session that was closed in a turn has forgotten what was said: %.3000s", last)
			}
			closed(t, again)
			var stacks string
			eventually(t, 10*time.Second, func() bool {
				buf := make([]byte, 4<<20)
				stacks = string(buf[:runtime.Stack(buf, true)])
				return !strings.Contains(stacks, "internal/kimicode/")
			}, func() string { return "goroutines of the bridge are left:\n" + stacks })
		})
	}
}

// If kimi is killed, its sessions end with the error. The pool replaces those that no caller had taken yet.
func TestBackendsPoolKilled(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t)
		opts.Yolo = true
		p := pooled(t, opts, client.PoolOptions{Max: 3, Warm: 1})
		s := taken(t, ctx, p)
		areReady(t, p, 1)
		dead := p.Ready()[0]
		for _, s := range []*client.Session{s, dead} {
			syscall.Kill(s.PID(), syscall.SIGKILL) // if the sessions share a process, it is already killed
		}
		recv(t, ctx, "the session's end", s.Done())
		recv(t, ctx, "the other's end", dead.Done())
		var exit *client.ProcessError
		if err := s.Err(); !errors.As(err, &exit) || exit.Signal != "killed" {
			t.Errorf("the session: %v", err)
		}
		again := taken(t, ctx, p)
		if again == dead || again.PID() == s.PID() {
			t.Error("a session that had ended was handed out")
		}
		model.Add("text: fine")
		finished(t, ctx, again, "hello", "fine")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The hooks and tools of a session in a pool run for that session only.
func TestBackendsPoolCalls(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		for _, withTools := range []bool{false, true} {
			// Each session has a model of its own. The letter in its prompt says which.
			models := make(map[string]*clienttest.Model)
			opts := b.at(t, byPrompt(t, models))
			opts.Yolo = true
			var mu sync.Mutex
			seen := make(map[string]string) // the commands of each session
			opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(_ context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
				var id string
				json.Unmarshal(r.InputData["session_id"], &id)
				mu.Lock()
				seen[id] += string(r.InputData["tool_input"])
				mu.Unlock()
				if strings.Contains(string(r.InputData["tool_input"]), "B") {
					return client.Block("no B here"), nil
				}
				return client.Allow(), nil
			}}}
			name := b.shell
			args := func(letter string) any { return map[string]string{"command": "echo " + letter} }
			if withTools {
				name = b.tool("letter")
				args = func(letter string) any { return map[string]string{"text": letter} }
				opts.Tools = []client.Tool{mustTool(client.NewTool("letter", "", func(_ context.Context, in struct {
					Text string `json:"text"`
				}) (string, error) {
					return "letter " + in.Text, nil
				}))}
			}
			for _, letter := range []string{"A", "B"} {
				models[letter] = clienttest.NewModel(t, clienttest.ToolCall("call", name, args(letter)), "text: done "+letter)
			}
			p := pooled(t, opts, client.PoolOptions{Max: 2, Warm: 2})
			sessions := []*client.Session{taken(t, ctx, p), taken(t, ctx, p)}
			if shared := sessions[0].PID() == sessions[1].PID(); shared != (b.sharesServer && !withTools) {
				t.Errorf("tools %t: sessions share a process: %t", withTools, shared)
			}
			var both sync.WaitGroup
			for i, letter := range []string{"A", "B"} {
				both.Go(func() {
					msgs, result, err := playTurn(t, ctx, sessions[i], "letter "+letter)
					if err != nil || result.Text != "done "+letter {
						t.Errorf("%s: %q, %v", letter, result.Text, err)
						return
					}
					resolved := only[*wireproto.HookResolved](msgs)
					if len(resolved) != 1 || (resolved[0].Action == wireproto.HookBlock) != (letter == "B") {
						t.Errorf("%s: hooks %+v", letter, resolved)
					}
					if got := resultOf(t, msgs, "call"); got.IsError != (letter == "B") {
						t.Errorf("%s: result %+v", letter, got)
					}
				})
			}
			both.Wait()
			mu.Lock()
			for i, letter := range []string{"A", "B"} {
				if got := seen[sessions[i].ID()]; !strings.Contains(got, letter) || len(seen) != 2 {
					t.Errorf("hooks of the session %s: %q", letter, got)
				}
			}
			mu.Unlock()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// byPrompt starts an API that passes each request to the model whose letter the request has. It returns the URL.
func byPrompt(t testing.TB, models map[string]*clienttest.Model) string {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		for letter, m := range models {
			if bytes.Contains(body, []byte("letter "+letter)) {
				target, _ := url.Parse(strings.TrimSuffix(m.URL(), "/v1"))
				httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "no model for this", http.StatusBadRequest)
	}))
	t.Cleanup(api.Close)
	return api.URL + "/v1"
}

// If there is no kimi, or if kimi ends at once, each caller gets the error, and the pool does not start kimi again and
// again.
func TestPoolStartFails(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	dir := t.TempDir()
	count := filepath.Join(dir, "count")
	exe := filepath.Join(dir, "kimi")
	if err := os.WriteFile(exe, []byte("#!/bin/sh\necho >>"+count+"\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, executable := range []string{exe, filepath.Join(dir, "none")} {
		p := pooled(t, &client.Options{Executable: executable, WorkDir: dir}, client.PoolOptions{Max: 4, Warm: 4})
		for range 50 {
			var incompatible *client.IncompatibleError
			var missing *client.NotFoundError
			if _, err := p.NewSession(ctx); !errors.As(err, &incompatible) && !errors.As(err, &missing) {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if lines, err := os.ReadFile(count); err != nil || len(lines) > 20 {
		t.Errorf("it was started %d times: %v", len(lines), err)
	}
}
