//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

// chromium finds a Chromium. If there is none, it skips the test or, if KIMI_GO_REQUIRE_CHROMIUM or CI is set, fails
// it.
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
	if err := chromedp.Do(ctx); err != nil { // the tab ends with this ctx, so the ctx has no limit
		t.Fatal(err)
	}
	return ctx
}

type step = chromedp.Action[chromedp.Void]

// do takes steps in a tab, in a minute at most.
func do(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(limited, steps...); err != nil {
		t.Fatalf("%v\n%s", err, value[string](t, ctx, `document.body.innerText.slice(-4000)`))
	}
}

// value returns the value of a JavaScript expression.
func value[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shows waits until a JavaScript expression is true. chromedp.Poll makes a function of a text, which the page's policy
// forbids.
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

// says waits until the blocks of a kind have this text.
func says(kind, text string) step {
	return shows(`[...document.querySelectorAll(".` + kind + `")].some(e => e.textContent.includes("` + text + `"))`)
}

func send(text string) step { return chromedp.SendKeys(chromedp.CSS("#text"), text+"\n") }

func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }

// serve runs the program until the test ends. It returns the URL of the page.
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

// backends are both programs, with the names of their tools.
var backends = []struct {
	name, edit, read, shell string
	options                 func(clienttest.TB, ...string) *client.Options
	args                    map[string]any
}{
	{"kimi-cli", "StrReplaceFile", "ReadFile", "Shell", clienttest.Kimi, map[string]any{"path": "notes.txt", "edit": map[string]string{"old": "old", "new": "<b>new</b>"}}},
	{"Kimi Code", "Edit", "Read", "Bash", clienttest.KimiCode, map[string]any{"path": "notes.txt", "old_string": "old", "new_string": "<b>new</b>"}},
}

// The page works with both programs: text appears while it is written, a request shows the diff, the page can be
// reloaded during a turn, and a second tab shows the same and can answer. Text of the agent is shown as text.
func TestWebchat(t *testing.T) {
	path := chromium(t)
	for _, b := range backends {
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

			// The page is reloaded in the middle of the turn. Everything is shown again, once.
			do(t, ctx, chromedp.Reload(), says("ask .diff .new", "<b>new</b>"),
				shows(`document.querySelectorAll(".user").length === 1 && document.querySelectorAll(".ask").length === 1`))
			if text, err := os.ReadFile(file); err != nil || string(text) != "an old line\n" {
				t.Errorf("before the approval: %q, %v", text, err)
			}

			// Another tab, which has the token, approves. Both tabs show how the turn continues.
			other := tab(t, ctx)
			do(t, other, chromedp.Navigate(strings.SplitN(url, "#", 2)[0]), says("ask .diff .new", "<b>new</b>"), click(".ask .approve"))
			for _, ctx := range []context.Context{ctx, other} {
				do(t, ctx, says("outcome", "approve"), says("said", "It is done."), shows(`document.querySelector("[data-turn='1']")?.textContent === "finished"`),
					shows(`document.querySelectorAll(".ask button").length === 0`))
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != "an <b>new</b> line\n" {
				t.Errorf("after the approval: %q, %v", text, err)
			}

			// One tab starts a turn, the other stops it.
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

// typed types text into the editor.
func typed(text string) step { return chromedp.SendKeys(chromedp.CSS("#text"), text) }

// A text that is sent while a turn runs waits for its end, or steers the turn.
func TestWebchatSteerAndQueue(t *testing.T) {
	path := chromium(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			ctx := browser(t, path)
			url := serve(t, b.options(t, clienttest.ToolCall("run", b.shell, map[string]string{"command": "true"}), clienttest.Text("as you say"), clienttest.Text("the second")))
			const idle = `document.querySelector("#send").textContent === "Send" && document.querySelector("#steer").hidden && document.querySelector("#stop").hidden`
			const busy = `document.querySelector("#send").textContent === "Queue" && !document.querySelector("#steer").hidden`
			do(t, ctx, chromedp.Navigate(url), shows(idle), send("Go"), says("ask .call", b.shell), shows(busy),
				typed("queued <i>later</i>"), click("#send"), says("user", "queued <i>later</i>"), shows(`document.querySelector("#text").value === ""`),
				typed("steered now"), click("#steer"), shows(`document.querySelector("#text").value === ""`), click(".ask .approve"),
				says("user", "steered now"), says("said", "as you say"), says("said", "the second"), shows(idle))
			if got := value[string](t, ctx, `[...document.querySelectorAll("[data-turn]")].map(e => e.dataset.turn + e.textContent).join()`); got != "1finished,2finished" {
				t.Errorf("turns %s", got)
			}
			// The text that has steered a turn is shown in that turn, not where it was sent.
			if got := value[string](t, ctx, `[...document.querySelectorAll(".user, .said")].map(e => e.textContent).join("|")`); got != "Go|queued <i>later</i>|steered now|as you say|the second" {
				t.Errorf("shown %s", got)
			}
			do(t, ctx, chromedp.Reload(), says("said", "the second"), shows(`document.querySelectorAll(".user").length === 3`), shows(idle))
		})
	}
}

// Questions can have one answer, several answers, or an answer in other words.
func TestWebchatQuestions(t *testing.T) {
	path := chromium(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			ctx := browser(t, path)
			option := func(label string) map[string]string {
				return map[string]string{"label": label, "description": "about " + label}
			}
			url := serve(t, b.options(t, clienttest.ToolCall("ask", "AskUserQuestion", map[string]any{"questions": []any{
				map[string]any{"question": "Which one <b>now</b>?", "header": "Colour", "options": []any{option("Red"), option("Blue")}},
				map[string]any{"question": "Which ones?", "header": "Parts", "multi_select": true, "options": []any{option("tests"), option("docs"), option("code")}},
				map[string]any{"question": "Why?", "header": "Reason", "options": []any{option("Because"), option("Just so")}},
			}}), clienttest.Text("thanks"), clienttest.ToolCall("again", "AskUserQuestion", map[string]any{"questions": []any{
				map[string]any{"question": "Really?", "header": "Sure", "options": []any{option("Yes"), option("No")}},
			}}), clienttest.Text("never mind")))
			pick := func(name string) step {
				return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
					_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`[...document.querySelectorAll(".option")].find(e => e.textContent.startsWith("`+name+`")).click() ?? true`))
					return err
				})
			}
			do(t, ctx, chromedp.Navigate(url), send("Ask me"), says("ask", "Which one <b>now</b>?"), says("option", "Red (about Red)"),
				pick("Red"), pick("Blue"), // the last choice counts
				pick("tests"), pick("docs"), pick("code"), pick("docs"), // the second click takes the choice back
				chromedp.SendKeys(chromedp.CSS(".ask input:last-of-type"), "it is 世界, <i>so</i>"),
				click(".ask .answer"), says("outcome", "answer: "), says("said", "thanks"))
			if got := value[int](t, ctx, `document.querySelectorAll("main b, main i, .ask button, .ask input").length`); got != 0 {
				t.Errorf("%d elements are left, or were said", got)
			}
			answers := value[string](t, ctx, `document.querySelector(".outcome").textContent`)
			for question, answer := range map[string]string{"Which one <b>now</b>?": "Blue", "Which ones?": "tests, code", "Why?": "it is 世界, <i>so</i>"} {
				if !strings.Contains(answers, `"`+question+`":"`+answer+`"`) {
					t.Errorf("%s is not answered with %s in %s", question, answer, answers)
				}
				do(t, ctx, says("tool", strings.Split(answer, ",")[0])) // the answers that the model reads
			}
			do(t, ctx, send("Once more"), says("ask", "Really?"), click(".ask .dismiss"), says("outcome", "dismiss"), says("said", "never mind"))
		})
	}
}

// proxy is a server between a browser and another server. Between stall and resume it reads nothing from the other
// server.
func proxy(t *testing.T, to string) (addr string, stall func() (resume func())) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	gate := make(chan struct{}) // closed while the proxy reads
	close(gate)
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	conns.Go(func() {
		for {
			browser, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				browser.Close()
				continue
			}
			end := func() { browser.Close(); server.Close() }
			context.AfterFunc(ctx, end)
			conns.Go(func() { defer end(); io.Copy(server, browser) })
			conns.Go(func() {
				defer end()
				buf := make([]byte, 32<<10)
				for {
					mu.Lock()
					open := gate
					mu.Unlock()
					select {
					case <-open:
					case <-ctx.Done():
						return
					}
					n, err := server.Read(buf)
					if _, writeErr := browser.Write(buf[:n]); err != nil || writeErr != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { cancel(); listener.Close(); conns.Wait() })
	return listener.Addr().String(), func() func() {
		open := make(chan struct{})
		mu.Lock()
		gate = open
		mu.Unlock()
		return func() { close(open) }
	}
}

// If a page is too slow, it loses its connection and connects again. It is told what it has missed, and continues with
// the requests that are open then.
func TestWebchatGap(t *testing.T) {
	ctx := browser(t, chromium(t))
	began, ended := make(chan string, 8), make(chan struct{}, 8) // the starts and ends of streams; a start has the number of the last entry that the page has
	ask := func(turn *clienttest.Turn, id string) {
		turn.Say(string(turn.Approval(wireproto.ApprovalRequest{ID: id, Action: "run", Description: "May I " + id + "?"}, map[string]string{"command": "echo \u202esrever"}).Response))
	}
	agent := clienttest.NewAgent(t, func(turn *clienttest.Turn) { ask(turn, "before") }, func(turn *clienttest.Turn) {
		ask(turn, "now")
		turn.Say(", all is well")
	})
	const keep = 700
	outside := new(relay.Outside)
	flood := func(size, n int) { // sends messages that the page does not show
		for range n {
			outside.OnMessage(&wireproto.UnknownMessage{Type: "Newer", Payload: json.RawMessage(`"` + strings.Repeat("x", size) + `"`)})
		}
	}
	s, err := client.NewSession(t.Context(), &client.Options{Transport: agent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := &chat{token: "secret"}
	c.relay = relay.New(s, &relay.Options{Authorize: c.authorize, Outside: outside, Keep: keep, WriteTimeout: 300 * time.Millisecond})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/events") {
			began <- req.Header.Get("Last-Event-ID")
			defer func() { ended <- struct{}{} }()
		}
		c.handler().ServeHTTP(w, req)
	}))
	defer server.Close()
	defer c.relay.Close()
	addr, stall := proxy(t, server.Listener.Addr().String())
	c.host = addr
	do(t, ctx, chromedp.Navigate("http://"+addr+"/#"+c.token), send("Go"), says("ask", "May I before?"))

	resume := stall()
	flood(64<<10, keep-100) // together much more than a system buffers
	select {
	case <-ended: // the connection was dropped
	case <-time.After(time.Minute):
		t.Error("the stream goes on")
	}
	until := func(ready func(relay.State) bool) {
		for s := c.relay.State(); !ready(s); s = c.relay.State() {
			for range c.relay.Read(t.Context(), s.Last) {
				break
			}
		}
	}
	if err := c.relay.Answer("before", relay.Answer{Response: wireproto.Approve}); err != nil {
		t.Error(err)
	}
	until(func(s relay.State) bool { return len(s.Turns) == 0 })
	flood(1, keep) // no reader can get the entries of the meantime any more
	if _, err := c.relay.Queue(t.Context(), "And now"); err != nil {
		t.Error(err)
	}
	until(func(s relay.State) bool { return len(s.Pending) == 1 && s.Pending[0].Call != nil })
	resume()
	do(t, ctx, says("error", "are dropped"), says("ask", "May I now?"), says("call", `echo \\u{202e}srever`),
		shows(`document.querySelectorAll(".ask").length === 2 && document.querySelectorAll(".ask .approve").length === 1`),
		click(".ask .approve"), says("said", "approve, all is well"), shows(`document.querySelector("#stop").hidden && document.querySelector("#send").textContent === "Send"`))
	if got := value[string](t, ctx, `[...document.querySelectorAll(".outcome")].map(e => e.textContent).join()`); got != "gone,approve" {
		t.Errorf("outcomes %s", got)
	}
	if first, again := <-began, <-began; first != "" || again == "" || len(began) > 0 {
		t.Errorf("it began with %q, came back with %q, and came %d times more", first, again, len(began))
	}
}

// Without the token, or with a wrong token, nothing is served.
func TestWebchatToken(t *testing.T) {
	url := serve(t, &client.Options{Transport: clienttest.NewAgent(t)})
	base, token, _ := strings.Cut(url, "#")
	for _, test := range []struct {
		method, path, body, host, token string
		status                          int
	}{
		{"GET", "", "", "", "", http.StatusOK}, // the page itself has no secret
		{"GET", "agent/events", "", "", "", http.StatusForbidden},
		{"GET", "agent/events?token=wrong", "", "", "", http.StatusForbidden},
		{"GET", "agent/events?token=" + token, "", "", "wrong", http.StatusForbidden},
		{"GET", "agent/events?token=" + token, "", "other.example", "", http.StatusForbidden},
		{"GET", "agent/events?token=" + token, "", "", "", http.StatusOK},
		{"GET", "agent/state", "", "", "wrong", http.StatusForbidden},
		{"POST", "agent/prompt", `{"text":"Hello"}`, "", "", http.StatusForbidden},
		{"POST", "agent/cancel", `{}`, "other.example", token, http.StatusForbidden},
		{"POST", "agent/cancel", `{}`, "", token, http.StatusConflict}, // no turn runs
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, base+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if test.token != "" {
			req.Header.Set("Authorization", "Bearer "+test.token)
		}
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
