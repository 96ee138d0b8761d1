package page_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"golang.org/x/net/html"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/page"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/internal/fixture"
)

// attributes are the attributes that the elements of a page may have.
var attributes = map[string]string{
	"html": "lang", "head": "", "meta": "charset http-equiv content name", "title": "", "style": "", "body": "", "header": "", "main": "", "section": "",
	"h1": "", "h2": "", "h3": "", "h4": "", "h5": "", "h6": "", "p": "class", "dl": "", "div": "class", "dt": "", "dd": "", "label": "for",
	"input": "id type autocomplete", "output": "id for", "svg": "viewBox role aria-label", "line": "class x1 y1 x2 y2", "a": "href rel",
	"rect": "class x y width height", "polyline": "class points", "text": "class x y", "article": "id class", "span": "class", "pre": "class",
	"details": "class", "summary": "", "script": "", "code": "", "em": "", "strong": "", "del": "", "ul": "", "ol": "start", "li": "", "blockquote": "",
	"hr": "", "br": "", "table": "", "thead": "", "tbody": "", "tr": "", "th": "", "td": "",
}

var (
	classes = regexp.MustCompile(`^(|search|note|who|when|md|block|diff|raw|inert|added|removed|same|user|text|think|tool|request|plan|error|end|(turn|step|tool|wait)( failed)?|cache|input|write|output)$`)
	own     = regexp.MustCompile(`^m[0-9]+$`)
	scalar  = regexp.MustCompile(`^[0-9., -]*$`)
)

// check fails the test if a page has anything that this package does not write. It returns the page's text and the
// targets of its links.
func check(t *testing.T, data []byte) (content string, links []string) {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	var policy strings.Builder
	inline := make(map[string][]string)
	ids := make(map[string]bool)
	var targets []string
	for n := range doc.Descendants() {
		switch n.Type {
		case html.TextNode:
			if clean := screen.Clean(n.Data); clean != n.Data {
				t.Errorf("what is not seen: %.200q", n.Data)
			}
			all.WriteString(n.Data)
			if p := n.Parent.Data; p == "style" || p == "script" {
				inline[p] = append(inline[p], n.Data)
			}
		case html.CommentNode:
			t.Errorf("a comment: %.100q", n.Data)
		case html.ElementNode:
			allowed, known := attributes[n.Data]
			if !known {
				t.Errorf("an element that is not ours: %s", n.Data)
			}
			rel := ""
			for _, a := range n.Attr {
				if a.Key == "rel" {
					rel = a.Val
				}
			}
			for _, a := range n.Attr {
				if !slices.Contains(strings.Fields(allowed), a.Key) {
					t.Errorf("an attribute that is not ours: %s of %s = %.100q", a.Key, n.Data, a.Val)
				}
				if clean := screen.Clean(a.Val); clean != a.Val {
					t.Errorf("what is not seen: %s = %.200q", a.Key, a.Val)
				}
				switch a.Key {
				case "class":
					if !classes.MatchString(a.Val) {
						t.Errorf("a class that is not ours: %.100q", a.Val)
					}
				case "id":
					if ids[a.Val] || !own.MatchString(a.Val) && a.Val != "search" && a.Val != "found" {
						t.Errorf("an id that is not ours, or there twice: %.100q", a.Val)
					}
					ids[a.Val] = true
				case "x", "y", "x1", "x2", "y1", "y2", "width", "height", "points", "start", "viewBox":
					if !scalar.MatchString(a.Val) {
						t.Errorf("%s = %.100q", a.Key, a.Val)
					}
				case "href":
					if to, ok := strings.CutPrefix(a.Val, "#"); ok {
						targets = append(targets, to)
						continue
					}
					u, err := url.Parse(a.Val)
					if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || rel != "noopener noreferrer" {
						t.Errorf("a link that leads elsewhere: %.200q, rel %q", a.Val, rel)
					}
					links = append(links, a.Val)
				case "content":
					if strings.HasPrefix(a.Val, "default-src") {
						policy.WriteString(a.Val)
					}
				}
			}
		}
	}
	for _, to := range targets {
		if !ids[to] {
			t.Errorf("a link to %q, which is not there", to)
		}
	}
	var want strings.Builder
	want.WriteString("default-src 'none'")
	for _, tag := range []string{"style", "script"} {
		if len(inline[tag]) != 1 {
			t.Errorf("%d of %s", len(inline[tag]), tag)
			continue
		}
		sum := sha256.Sum256([]byte(inline[tag][0]))
		want.WriteString("; " + tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	if want.WriteString("; base-uri 'none'; form-action 'none'"); policy.String() != want.String() {
		t.Errorf("policy %q, want %q", policy.String(), want.String())
	}
	return all.String(), links
}

// attacks are texts that try to be more than text.
var attacks = []string{
	`"><script>alert(1)</script><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)' style='x'`,
	"</style></script></title></textarea></svg><svg onload=alert(1)>",
	"<!-- --><iframe src=//evil.example></iframe><base href=//evil.example><form action=//evil.example>",
	"\n\n<div style=\"position:fixed\" onclick=alert(1)>\n\n<a href=\"javascript:alert(1)\">x</a>\n\n</div>\n",
	"[click](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](data:text/html,x) [d](//evil.example) [e](vbscript:x) [f](&#106;avascript:alert(1)) [g](java\tscript:x) [h](file:///etc/passwd) [i](#m1)",
	"[good](https://good.example/?a=b&c=\"d 'e) [u](https://bank.example@evil.example/) <https://auto.example/> <javascript:alert(1)> <a@b.example>",
	"![pixel](https://evil.example/p.png \"t\") [![in](https://evil.example/q.png)](https://good.example/in)",
	"[ref]: javascript:alert(1) \"x\"\n\n[ref] [r2][ref] ![ref]\n",
	"```js\" onload=alert(1) class=x\nfence </code></pre><script>alert(1)</script>\n```\n",
	"| a | b |\n|:--|--:|\n| <b>x</b> | `<i>` |\n",
	"# Turn 2\n\nSetext\n===\n\n1000. list\n\n- [ ] task\n\n> quote\n\n~~gone~~\n",
	"reversed \u202e\u2066 entity &#x202e;&#8238;&rlm;&ZeroWidthSpace;&#0;&#x1b; zero\u200bwidth \x1b[2J \u2028",
	"````\n@everyone #1 ![x](https://evil.example/i.png)\n```\n`````\n~~~\n",
	strings.Repeat("> ", 3000) + strings.Repeat("[", 3000) + strings.Repeat("*a_", 3000),
	"{{.}} ${x} &lt;b&gt; %3Cscript%3E ]]> <![CDATA[ <?php ?>",
}

// hostile makes a recording in which each text of each message is the attack.
func hostile(t *testing.T, attack string) *fixture.Fixture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "wireproto", "testdata", "messages.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture.Fixture{Header: fixture.Header{Fixture: fixture.Version, Wire: attack}}
	f.Agent.Name, f.Agent.Version = attack, attack
	add := func(from fixture.Side, v any) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		f.Records = append(f.Records, fixture.Record{MS: int64(10 * len(f.Records)), From: from, Line: string(line)})
	}
	add(fixture.Client, map[string]any{"jsonrpc": "2.0", "id": attack, "method": "prompt", "params": map[string]any{"user_input": attack}})
	add(fixture.Client, map[string]any{"jsonrpc": "2.0", "id": "x", "method": attack, "params": map[string]any{attack: attack}})
	for line := range bytes.Lines(data) {
		var m any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		params := poison(m, attack, "")
		method := "event"
		if strings.HasSuffix(params.(map[string]any)["type"].(string), "Request") {
			method = "request"
		}
		frame := map[string]any{"jsonrpc": "2.0", "method": method, "params": params}
		if method == "request" {
			frame["id"] = attack
		}
		add(fixture.Agent, frame)
	}
	add(fixture.Client, map[string]any{"jsonrpc": "2.0", "id": attack, "result": map[string]any{"request_id": attack, "response": attack, "feedback": attack, "answers": map[string]string{attack: attack}}})
	add(fixture.Agent, map[string]any{"jsonrpc": "2.0", "id": attack, "error": map[string]any{"code": -1, "message": attack}})
	f.Records = append(f.Records, fixture.Record{From: fixture.Agent, Line: attack}, fixture.Record{From: fixture.Client, Line: attack},
		fixture.Record{From: fixture.Agent, End: &fixture.End{Signal: attack, Unasked: true}})
	return f
}

// poison replaces each string except the names of types by the attack.
func poison(v any, attack, key string) any {
	switch v := v.(type) {
	case string:
		if key == "type" {
			return v
		}
		return attack
	case []any:
		for i := range v {
			v[i] = poison(v[i], attack, "")
		}
	case map[string]any:
		for k := range v {
			v[k] = poison(v[k], attack, k)
		}
	}
	return v
}

func render(t *testing.T, s *page.Session) []byte {
	t.Helper()
	var a, b bytes.Buffer
	for _, to := range []*bytes.Buffer{&a, &b} {
		if err := s.HTML(to); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same session gives two pages")
	}
	return a.Bytes()
}

func TestHostile(t *testing.T) {
	t.Parallel()
	for _, attack := range attacks {
		t.Run(strings.Map(func(c rune) rune {
			if c < '0' || c > 'z' {
				return -1
			}
			return c
		}, attack[:min(len(attack), 30)]), func(t *testing.T) {
			t.Parallel()
			s := &page.Session{Title: attack, Recording: hostile(t, attack), Timed: true}
			content, links := check(t, render(t, s))
			for _, l := range links {
				if u, _ := url.Parse(l); u.Host != "good.example" && u.Host != "auto.example" {
					t.Errorf("a link to %s", l)
				}
			}
			if first := strings.Fields(screen.Clean(attack))[0]; !strings.Contains(content, first[:min(len(first), 10)]) {
				t.Errorf("the text is lost: %.100q", attack)
			}
			checkIssue(t, s)
		})
	}
}

// checkIssue fails the test if the Markdown of a session has structure that this package does not write.
func checkIssue(t *testing.T, s *page.Session) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if clean := screen.Clean(b.String()); clean != b.String() {
		t.Error("the Markdown has what is not seen")
	}
	source := b.Bytes()
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	headings := 0
	ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link, *ast.Image, *ast.AutoLink, *ast.RawHTML, *ast.HTMLBlock, *ast.List, *ast.Blockquote, *ast.Emphasis, *ast.CodeBlock:
			t.Errorf("the Markdown has a %s of what the session holds", n.Kind())
		case *ast.Heading:
			headings++
		case *ast.Text:
			// Text outside of code must be this package's own words.
			if _, code := n.Parent().(*ast.CodeSpan); !code && strings.ContainsAny(string(n.Value(source)), "<>@![]{}\"") {
				t.Errorf("the Markdown has text of the session outside of code: %.100q", n.Value(source))
			}
		}
		return ast.WalkContinue, nil
	})
	if own := len(regexp.MustCompile("(?m)^#{2,3} (Session|user|text|think|tool|request|plan|error|note)").FindAll(source, -1)); headings == 0 || headings > own {
		t.Errorf("%d headings, of which %d are ours", headings, own)
	}
	return b.String()
}

// Every recording in the fixtures makes a valid page.
func TestFixtures(t *testing.T) {
	t.Parallel()
	list, err := filepath.Glob("../../../../testdata/fixtures/*.jsonl")
	if err != nil || len(list) < 20 {
		t.Fatalf("%q, %v", list, err)
	}
	for _, path := range list {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			for _, timed := range []bool{true, false} {
				s := read(t, path)
				s.Timed = timed
				check(t, render(t, s))
				checkIssue(t, s)
			}
		})
	}
}

func read(t *testing.T, path string) *page.Session {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec, err := fixture.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return &page.Session{Title: filepath.Base(path), Recording: rec, Timed: true}
}

// The page of a known recording has the right facts.
func TestPage(t *testing.T) {
	t.Parallel()
	s := read(t, filepath.Join("testdata", "session.jsonl"))
	data := render(t, s)
	content, links := check(t, data)
	for _, want := range []string{
		"session.jsonl", "Kimi 1.0, Wire 1.10", "Turns1", "Steps2", "Tool calls2 (1 failed)", "Requests1", "Duration9.000 s", "Waiting for answers3.000 s", "Tokens in1,110", "Tokens out55",
		"Time line", "turn 1, 8.000 s", "waiting: Shell wants to run, 3.000 s", "Tokens", "1,000 input", "Context",
		"Edit a.txt", "I will edit it.", "Tool WriteFile", `"path": "a.txt"`, "a.txt:1", "- old\n", "+ new\n", "  same\n", "$ rm -rf x", "Answer: reject", "not that", "Done", "The turn ended: finished", "exit code 0",
	} {
		_, tail, found := strings.Cut(content, want)
		if !found {
			t.Fatalf("the page lacks %q, or has it in another order", want)
		}
		content = tail
	}
	if !slices.Equal(links, []string{"https://go.dev/"}) {
		t.Errorf("links %q", links)
	}
	for _, want := range []string{"I will <strong>edit</strong> it.", `<article id="m`, `<span class="added">&#43; new`, `<details class="raw"><summary>2 lines</summary>`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("the page lacks %s", want)
		}
	}
	issue := checkIssue(t, s)
	for _, want := range []string{"## Session `session.jsonl`", "| Turns | 1 |", "### user: `Prompt`", "```\nEdit a.txt\n```", "````\nI will **edit** it.\n", "```diff\n- old\n+ new\n  same\n```", "`The turn ended: finished`"} {
		_, tail, found := strings.Cut(issue, want)
		if !found {
			t.Fatalf("the Markdown lacks %q, or has it in another order:\n%s", want, issue)
		}
		issue = tail
	}
}

// A turn whose end is not known is not shown as finished.
func TestNoEnd(t *testing.T) {
	t.Parallel()
	s := read(t, filepath.Join("testdata", "session.jsonl"))
	s.Recording.Records = s.Recording.Records[:5]
	content, _ := check(t, render(t, s))
	if !strings.Contains(content, "turn 1 (no end in this recording)") || strings.Contains(content, "finished") {
		t.Errorf("the page says of a turn without an end:\n%s", content)
	}
}

// A question whose answer is not in the recording waits until its call has a result, or its turn has ended.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	const (
		begin    = `{"type": "TurnBegin", "payload": {"user_input": "a"}}`
		call     = `{"type": "ToolCall", "payload": {"type": "function", "id": "c", "function": {"name": "AskUserQuestion", "arguments": "{}"}}}`
		question = `{"type": "QuestionRequest", "payload": {"id": "q", "tool_call_id": "c", "questions": []}}`
		result   = `{"type": "ToolResult", "payload": {"tool_call_id": "c", "return_value": {"is_error": false, "output": "x", "message": "", "display": []}}}`
		end      = `{"type": "TurnEnd", "payload": {}}`
	)
	for _, messages := range [][]string{{begin, call, question, result, begin, end}, {begin, call, question, end, begin, end}, {begin, call, question, begin, end}} {
		f := new(fixture.Fixture)
		for i, m := range messages {
			method := `"event"`
			if m == question {
				method = `"request", "id": "q"`
			}
			f.Records = append(f.Records, fixture.Record{MS: int64(1000 * i), From: fixture.Agent, Line: `{"jsonrpc": "2.0", "method": ` + method + `, "params": ` + m + `}`})
		}
		content, _ := check(t, render(t, &page.Session{Recording: f, Timed: true}))
		if want := "Requests1Duration" + strconv.Itoa(len(messages)-1) + ".000 sWaiting for answers1.000 s"; !strings.Contains(content, want) {
			t.Errorf("the page lacks %q:\n%.600s", want, content)
		}
	}
}

// What a recording does not have is not shown as zero.
func TestNotKnown(t *testing.T) {
	t.Parallel()
	s := read(t, filepath.Join("testdata", "session.jsonl"))
	s.TurnsOnly = true
	s.Recording.Records = slices.DeleteFunc(s.Recording.Records, func(r fixture.Record) bool { return strings.Contains(r.Line, "StatusUpdate") })
	content, _ := check(t, render(t, s))
	for _, want := range []string{"Tool calls2", "Subagentsnot counted", "Requestsnot known", "Waiting for answersnot known", "Tokens innot known", "Tokens outnot known", "TokensNot known: ", "ContextNot known: "} {
		_, tail, found := strings.Cut(strings.ReplaceAll(content, "\n", ""), want)
		if !found {
			t.Fatalf("the page lacks %q, or has it in another order:\n%.900s", want, content)
		}
		content = tail
	}
	issue := checkIssue(t, s)
	for _, want := range []string{"| Requests | not known |", "| Waiting for answers | not known |", "| Tokens in | not known |", "| Tokens out | not known |"} {
		if !strings.Contains(issue, want) {
			t.Errorf("the Markdown lacks %q:\n%.900s", want, issue)
		}
	}
}

// The Markdown of an agent, in any form, leaves only this package's own elements on the page.
func FuzzHTML(f *testing.F) {
	for _, attack := range attacks {
		f.Add(attack)
	}
	f.Fuzz(func(t *testing.T, said string) {
		line, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": "event", "params": map[string]any{"type": "ContentPart", "payload": map[string]any{"type": "text", "text": said}}})
		if err != nil {
			t.Skip()
		}
		s := &page.Session{Title: "fuzz", Recording: &fixture.Fixture{Records: []fixture.Record{{From: fixture.Agent, Line: string(line)}}}}
		check(t, render(t, s))
		checkIssue(t, s)
	})
}
