//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// chromium finds a Chromium. If there is none, it skips the test, or fails it if KIMI_GO_REQUIRE_CHROMIUM or CI is
// set.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("KIMI_GO_REQUIRE_CHROMIUM") != "" || os.Getenv("CI") == "true" {
		t.Fatal("there is no chromium on PATH; install it (Debian: apt-get install chromium)")
	}
	t.Skip("there is no chromium on PATH")
	return ""
}

// browser starts a headless Chromium with a tab.
func browser(t *testing.T, path string) context.Context {
	t.Helper()
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	t.Cleanup(cancel)
	return tab(t, ctx)
}

// tab opens a tab of the browser.
func tab(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // it lives as long as this ctx, so without a limit
		t.Fatal(err)
	}
	return ctx
}

type step = chromedp.Action[chromedp.Void]

// do takes steps in a tab, a minute at most.
func do(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(limited, steps...); err != nil {
		t.Fatalf("%v\n%s", err, value[string](t, ctx, `document.body.innerText`))
	}
}

// value evaluates an expression of JavaScript.
func value[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shows waits for an expression of JavaScript to be true. chromedp.Poll makes a function of text, which the page's
// policy forbids.
func shows(expression string) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err != nil || ok {
				if err != nil {
					return fmt.Errorf("%s: %w", expression, err)
				}
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", expression, ctx.Err())
			}
		}
	})
}

// says waits until the blocks of a kind have this text in them.
func says(kind, text string) step {
	return shows(`[...document.querySelectorAll(".` + kind + `")].some(e => e.textContent.includes("` + text + `"))`)
}

func send(text string) step { return chromedp.SendKeys(chromedp.CSS("#text"), text+"\n") }

func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }

// serve runs the program until the test ends.
func serve(t *testing.T, opts *client.Options) (url string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", opts, func(url string) { ready <- url }) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case url = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return url
}

const hostile = `<script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">`

// The page on both programs: text streams, a request shows the diff, the page is reloaded during a turn, and a second
// tab shows the same and answers. Text of the agent stays text.
func TestWebchat(t *testing.T) {
	path := chromium(t)
	for _, b := range []struct {
		name, edit, read string
		options          func(clienttest.TB, ...string) *client.Options
		args             map[string]any
	}{
		{"kimi-cli", "StrReplaceFile", "ReadFile", clienttest.Kimi, map[string]any{"path": "notes.txt", "edit": map[string]string{"old": "old", "new": "<b>new</b>"}}},
		{"Kimi Code", "Edit", "Read", clienttest.KimiCode, map[string]any{"path": "notes.txt", "old_string": "old", "new_string": "<b>new</b>"}},
	} {
		t.Run(b.name, func(t *testing.T) {
			ctx := browser(t, path)
			opts := b.options(t,
				clienttest.Reply(clienttest.Text("I say "+hostile), clienttest.ToolCall("read", b.read, map[string]string{"path": "notes.txt"})),
				clienttest.Reply(clienttest.Text("I edit."), clienttest.ToolCall("edit", b.edit, b.args)),
				clienttest.Text("It is done."),
				clienttest.Reply(clienttest.Text("I go on"), "hang:"))
			file := filepath.Join(opts.WorkDir, "notes.txt")
			if err := os.WriteFile(file, []byte("an old line\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			url := serve(t, opts)
			do(t, ctx, chromedp.Navigate(url), shows(`location.hash === ""`), send("Edit "+hostile),
				says("user", "onerror"), says("said", "onerror"), says("ask .diff .old", "old"), says("ask .diff .new", "<b>new</b>"), says("ask .call", b.edit))

			// Reloaded in the middle of the turn: all is there again, once.
			do(t, ctx, chromedp.Reload(), says("ask .diff .new", "<b>new</b>"),
				shows(`document.querySelectorAll(".user").length === 1 && document.querySelectorAll(".ask").length === 1`))
			if text, err := os.ReadFile(file); err != nil || string(text) != "an old line\n" {
				t.Errorf("before the approval: %q, %v", text, err)
			}

			// Another tab, which has the cookie, approves; both see how it goes on.
			other := tab(t, ctx)
			do(t, other, chromedp.Navigate(strings.SplitN(url, "#", 2)[0]), says("ask .diff .new", "<b>new</b>"), click(".ask .approve"))
			for _, ctx := range []context.Context{ctx, other} {
				do(t, ctx, says("outcome", "approve"), says("said", "It is done."), shows(`document.querySelector("[data-turn='1']")?.textContent === "finished"`),
					shows(`document.querySelectorAll(".ask button").length === 0`))
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != "an <b>new</b> line\n" {
				t.Errorf("after the approval: %q, %v", text, err)
			}

			// Stopped in the one, started in the other.
			do(t, ctx, send("Go on"), says("said", "I go on"))
			do(t, other, says("said", "I go on"), click("#stop"), shows(`document.querySelector("[data-turn='2']") !== null`))
			do(t, ctx, says("error", "cancelled"), shows(`document.querySelector("#stop").hidden`))

			for _, ctx := range []context.Context{ctx, other} {
				title := value[string](t, ctx, `document.title`)
				elements := value[int](t, ctx, `document.querySelectorAll("main script, main img, main b").length`)
				if title != "kimi" || elements != 0 {
					t.Errorf("what was said has become %d elements; the title is %q", elements, title)
				}
			}
		})
	}
}

// Without the token, or with a wrong one, nothing is served.
func TestWebchatToken(t *testing.T) {
	url := serve(t, &client.Options{Transport: clienttest.NewAgent(t)})
	base, _, _ := strings.Cut(url, "#")
	for _, test := range []struct {
		method, path, body, host, cookie string
		status                           int
	}{
		{"GET", "", "", "", "", http.StatusOK}, // the page alone has no secret
		{"GET", "agent/events", "", "", "", http.StatusForbidden},
		{"GET", "agent/state", "", "", "webchat=wrong", http.StatusForbidden},
		{"POST", "agent/prompt", `{"text":"Hello"}`, "", "", http.StatusForbidden},
		{"POST", "login", `{"token":"wrong"}`, "", "", http.StatusForbidden},
		{"POST", "login", `{"token":"` + url[len(base)+1:] + `"}`, "other.example", "", http.StatusForbidden},
		{"POST", "login", `{"token":"` + url[len(base)+1:] + `"}`, "", "", http.StatusNoContent},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, base+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Cookie", test.cookie)
		req.Host = test.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s %s %s: %s", test.method, test.path, test.host, resp.Status)
		}
		if policy := resp.Header.Get("Content-Security-Policy"); test.path == "" && (!strings.HasPrefix(policy, "default-src 'none'; script-src 'nonce-") || strings.Contains(policy, "unsafe")) {
			t.Errorf("policy %q", policy)
		}
	}
}
