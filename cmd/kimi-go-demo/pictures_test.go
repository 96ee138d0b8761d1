//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client/clienttest"
)

var newPictures = flag.Bool("pictures", false, "record the casts in docs/pictures again, and draw the pictures")

// pictures is the folder of the casts and of the pictures that are drawn from them.
var pictures = filepath.Join("..", "..", "docs", "pictures")

// pictureLimit is the largest size of a cast or a picture, in bytes, because a page loads them.
const pictureLimit = 60 << 10

// castEvent is one line of a cast: output, or the name of a moment that is drawn.
type castEvent struct {
	at   time.Duration
	kind string // "o" or "m"
	data string
}

// cast is the output that a terminal got, with its times.
type cast struct {
	start  time.Time
	rest   string // the first bytes of a character that is not complete
	events []castEvent
}

// add appends output or the name of a moment. Output that comes at almost the same time is joined to one event.
func (c *cast) add(kind, data string) {
	if c.start.IsZero() {
		c.start = time.Now()
	}
	at := time.Since(c.start).Round(time.Millisecond)
	if kind == "o" {
		data = c.rest + data
		n := len(data)
		for n > 0 && n > len(data)-utf8.UTFMax && !utf8.ValidString(data[:n]) {
			n--
		}
		data, c.rest = data[:n], data[n:]
		if last := len(c.events) - 1; last >= 0 && c.events[last].kind == "o" && at-c.events[last].at < 40*time.Millisecond {
			c.events[last].data += data
			return
		}
	}
	c.events = append(c.events, castEvent{at, kind, data})
}

type castHeader struct {
	Version int    `json:"version"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Title   string `json:"title"`
}

// encode returns the cast as a file of asciinema, version 2.
func (c *cast) encode(h castHeader) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(h)
	for _, e := range c.events {
		enc.Encode([]any{e.at.Seconds(), e.kind, e.data})
	}
	return b.Bytes()
}

// readCast reads a cast that encode has written.
func readCast(t *testing.T, data []byte) (h castHeader, events []castEvent) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&h); err != nil || h.Version != 2 {
		t.Fatalf("version %d, %v", h.Version, err)
	}
	for dec.More() {
		var at float64
		var e castEvent
		if err := dec.Decode(&[]any{&at, &e.kind, &e.data}); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return h, events
}

// moment waits as shows does, and then marks the screen as a picture.
func (g *glass) moment(name string, want ...string) {
	g.t.Helper()
	g.until(strings.Join(want, " … "), func(all string) bool {
		if !inOrder(all, want) {
			return false
		}
		g.cast.add("m", name)
		return true
	})
}

// slowly types as fast as a person, so that the cast can be watched.
func (g *glass) slowly(text string) {
	g.t.Helper()
	tick := time.NewTicker(45 * time.Millisecond)
	defer tick.Stop()
	for _, c := range text {
		<-tick.C
		g.typed(string(c))
	}
}

// scene is a cast that is recorded with the real Kimi Code and a scripted model, in a window.
type scene struct {
	name          string
	columns, rows int
	before        []string // the prompts of the sessions that exist already
	scripts       []string
	args          []string
	play          func(g *glass)
}

const greeting = `package main

import "fmt"

func main() {
	fmt.Println("Hello, world!")
}
`

// paced returns a reply whose text comes in pieces, as from a real model.
func paced(text string) string {
	var list []string
	for piece := range strings.SplitAfterSeq(text, " ") {
		list = append(list, clienttest.Text(piece), "wait: 25ms")
	}
	return strings.Join(list, "\n")
}

func scenes() []scene {
	edit := clienttest.ToolCall("e", "Edit", map[string]any{"path": "main.go", "old_string": `fmt.Println("Hello, world!")`, "new_string": `fmt.Println("Hello, Go!")`})
	look := clienttest.ToolCall("r", "Read", map[string]any{"path": "main.go"})
	return []scene{
		{"chat", 92, 40, nil, []string{
			"think: One file, so I read it first.\nwait: 600ms\n" + look,
			paced("It is a **program of one file** that greets:\n\n```go\nfmt.Println(\"Hello, world!\")\n```\n\n- `main.go` has all of it\n- there are *no tests* yet"),
			edit,
			paced("Done: it greets Go now."),
		}, []string{"chat"}, func(g *glass) {
			g.shows("Enter sends")
			g.slowly("What does this program do?")
			g.typed("\r")
			g.moment("chat", "no tests yet", "finished after", "\n>\n", "Enter sends")
			g.slowly("Make it greet Go.")
			g.typed("\r")
			g.moment("approval", "wants to", "main.go", "Hello, Go!", "y yes, once", "a key answers")
			g.typed("y")
			g.shows("it greets Go now", "finished after")
			g.typed(ctrlD)
			g.end(0)
		}},
		{"resume", 92, 24, []string{"Explain main.go to me", "Write a test for the greeting", "Make it greet Go.", "Why does the test hang?", "Add a flag for the greeting."}, nil, []string{"resume"}, func(g *glass) {
			g.shows("Which session?", "❯ Add a flag", "type to search")
			g.typed("\x1b[B")
			g.moment("resume", "Which session?", "❯ Why does", "type to search")
			g.typed("\x1b")
			g.end(130)
		}},
		{"prompt", 92, 24, nil, []string{look, paced("A program of one file that greets the world.") + "\n" + edit, paced("It greets Go now.")}, []string{"prompt", "Make this program greet Go."}, func(g *glass) {
			g.shows("[y]")
			g.typed("y\r")
			g.end(0)
			g.moment("prompt", "go on with")
		}},
	}
}

// place is the folder of a scene. The cast shows its name. It must not exist before.
const place = "/tmp/me"

// record plays a scene and returns its cast.
func (s *scene) record(t *testing.T) []byte {
	scripts := s.scripts
	for _, c := range s.before {
		scripts = append(scripts, clienttest.Text("About that: "+c))
	}
	d := newCodeDemo(t, scripts...)
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatalf("%v; remove it", err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	secrets := []string{filepath.Dir(d.work)}
	d.work = filepath.Join(place, "hello")
	if err := errors.Join(os.Mkdir(d.work, 0o700), os.WriteFile(filepath.Join(d.work, "main.go"), []byte(greeting), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, text := range s.before {
		g := d.glass(t, s.columns, s.rows, "chat")
		g.shows("Enter sends")
		g.typed(text + "\r")
		g.shows("finished after")
		g.typed(ctrlD)
		g.end(0)
	}
	g := d.glass(t, s.columns, s.rows, s.args...)
	s.play(g)
	g.mu.Lock()
	defer g.mu.Unlock()
	data := g.cast.encode(castHeader{Version: 2, Width: s.columns, Height: s.rows, Title: "kimi-go-demo " + strings.Join(s.args, " ")})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(secrets, host, home) {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("the cast names %q", secret)
		}
	}
	return data
}

// The pictures of the documents are drawn from the casts next to them. With -pictures, the casts are recorded first.
func TestPictures(t *testing.T) {
	wanted := make(map[string]bool) // the files that are expected
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			file := filepath.Join(pictures, s.name+".cast")
			wanted[file] = true
			if *newPictures {
				if err := os.WriteFile(file, s.record(t), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			drawn := drawCast(t, data)
			if len(drawn) == 0 {
				t.Error("the cast marks no moment")
			}
			for name, picture := range drawn {
				file := filepath.Join(pictures, name+".svg")
				wanted[file] = true
				if *newPictures {
					if err := os.WriteFile(file, picture, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				have, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(picture), string(have)); diff != "" {
					t.Errorf("%s is not what the cast shows; run make screenshots (-cast +file):\n%s", file, diff)
				}
				if len(data) > pictureLimit || len(picture) > pictureLimit {
					t.Errorf("%d bytes, the picture %d", len(data), len(picture))
				}
			}
		})
	}
	have, err := filepath.Glob(filepath.Join(pictures, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range have {
		if !wanted[file] {
			t.Errorf("no scene makes %s", file)
		}
	}
}

// A picture shows text exactly, with its style, whatever characters the text has.
func TestPictureText(t *testing.T) {
	var c cast
	c.add("o", "a<b> &amp; \"q\" \x1b[1;31mred\x1b[0m \x1b[7mback\x1b[0m 世界 \xe2")
	c.add("o", "\x9c\x93")
	c.add("m", "x")
	got := string(drawCast(t, c.encode(castHeader{Version: 2, Width: 60, Height: 4}))["x"])
	for _, want := range []string{"a&lt;b&gt; &amp;amp; ", `font-weight="bold"`, fmt.Sprintf("fill=%q", palette[1]), ">red<", ">back<", ">世<", ">界<", ">✓<"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}
