//go:build unix

package examples_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A page that "kimi-go-demo view" has made of a hostile session works in a real Chromium: its style and its search
// work, text of the agent has no effect, and nothing is loaded.
func TestViewPage(t *testing.T) {
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
		}
	}
	if chromium == "" {
		if os.Getenv("KIMI_GO_REQUIRE_CHROMIUM") != "" || os.Getenv("CI") == "true" {
			t.Fatal("there is no chromium on PATH; install it (Debian: apt-get install chromium)")
		}
		t.Skip("there is no chromium on PATH")
	}
	var loads atomic.Int32
	away := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { loads.Add(1) }))
	defer away.Close()

	// These texts would run, load or change something in a page that shows them as HTML.
	said := `# Needle **bold** ![x](URL/a.png) [go](javascript:document.title='taken')` + "\n\n" +
		`<script>document.title="taken"</script><img src="URL/b.png" onerror="document.title='taken'"><link rel=stylesheet href=URL/c.css>` + "\n\n" +
		`<div style="display:none">x</div><iframe src=URL/d></iframe></style></script><svg onload="document.title='taken'">`
	said = strings.ReplaceAll(said, "URL", away.URL)
	lines := []any{map[string]any{"fixture": 1, "agent": map[string]string{"name": said, "version": "1"}, "wire": "1.10"}}
	for i, payload := range []map[string]any{
		{"type": "TurnBegin", "payload": map[string]any{"user_input": said}},
		{"type": "ContentPart", "payload": map[string]any{"type": "text", "text": said}},
		{"type": "ToolCall", "payload": map[string]any{"type": "function", "id": said, "function": map[string]any{"name": said, "arguments": said}}},
		{"type": "StatusUpdate", "payload": map[string]any{"context_usage": 0.5}},
	} {
		line, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": "event", "params": payload})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, map[string]any{"ms": 100 * i, "from": "agent", "line": string(line)})
	}
	dir := t.TempDir()
	recording, page, command := filepath.Join(dir, "recording.jsonl"), filepath.Join(dir, "page.html"), filepath.Join(dir, "kimi-go-demo")
	var text strings.Builder
	for _, line := range lines {
		if err := json.NewEncoder(&text).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(recording, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", command, "./cmd/kimi-go-demo")
	build.Dir = ".."
	for _, cmd := range []*exec.Cmd{build, exec.Command(command, "view", recording, "-o", page)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
		}
	}

	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		flags = append(flags, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil { // the browser ends with this ctx, so the ctx has no limit
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate("file://"+page)); err != nil {
		t.Fatal(err)
	}
	is := func(what, expression string) {
		t.Helper()
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err != nil || !ok {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
	}
	is("the title", `document.title === "recording.jsonl"`)
	is("the style", `getComputedStyle(document.querySelector("article.user")).borderLeftStyle === "solid"`)
	is("Markdown", `document.querySelector("article.text strong").textContent === "bold"`)
	is("elements", `document.querySelectorAll("script").length === 1 && document.querySelectorAll("img, iframe, link, [style], [onload], main div:not(.md)").length === 0`)
	is("links", `[...document.querySelectorAll("a")].every(a => (a.href.baseVal ?? a.getAttribute("href")).startsWith("#"))`)
	is("all is shown", `[...document.querySelectorAll("article")].every(e => !e.hidden)`)
	if err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#search"), "context 50")); err != nil {
		t.Fatal(err)
	}
	is("the search", `document.querySelectorAll("article:not([hidden])").length === 1 && document.querySelector("#found").textContent === "1 of 4"`)
	if n := loads.Load(); n != 0 {
		t.Errorf("the page has loaded %d things", n)
	}
}
