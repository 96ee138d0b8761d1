//go:build !windows

package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A page can be made of a stored session of either kimi. It has no secrets. It has the tokens of the steps and the time
// of the turns, and says what is not known.
func TestViewStored(t *testing.T) {
	t.Parallel()
	const key = "sk-kept-out-of-any-page-0123456789"
	// Each process of kimi-cli begins with the first script.
	reply := clienttest.Reply(clienttest.Text("The key is **not** "+key), "usage: input_other=1200 output=34")
	script := []string{reply, reply}
	for name, d := range storedDemos(t, script...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.setenv(map[string]string{"SOME_API_KEY": key})
			d.quiet(t, "prompt", "What is it?").check(t, 0, []string{key}, nil)
			id := d.newest(t)
			d.quiet(t, "resume", id, "Again").check(t, 0, []string{key}, nil) // the start of a kimi is a pause between the turns
			out := filepath.Join(d.work, "page.html")
			d.run(t, "", "view", id, "-o", out).check(t, 0, nil, nil)
			requests, waits := "0", "0.000 s"
			if name == "Kimi Code" {
				requests, waits = "not known", "not known"
			}
			contains(t, out, "What is it?", "The key is <strong>not</strong>", "without the pauses between turns", "<dt>Turns</dt><dd>2</dd>", "("+id+")",
				"<dt>Requests</dt><dd>"+requests+"</dd>", "<dt>Waiting for answers</dt><dd>"+waits+"</dd>",
				"<dt>Tokens in</dt><dd>2,400</dd>", "<dt>Tokens out</dt><dd>68</dd>", "1,200 input")
			checkDuration(t, out)
			issue := filepath.Join(d.work, "issue.md")
			d.run(t, "", "view", "--markdown", "-", "-o", issue).check(t, 0, nil, nil)
			contains(t, issue, "("+id+")", "| Requests | "+requests+" |", "| Tokens in | 2,400 |", "| Tokens out | 68 |", "What is it?")
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			for what, secret := range map[string]string{"the key": key, "the work dir": d.work} {
				if strings.Contains(string(data), secret) {
					t.Errorf("the page has %s", what)
				}
			}
		})
	}
}

// checkDuration checks that the duration on a page is the sum of its turns.
func checkDuration(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(expr string) (sum float64, n int) {
		for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(string(data), -1) {
			s, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum, n = sum+s, n+1
		}
		return sum, n
	}
	turns, n := seconds(`<title>turn \d+, ([0-9.]+) s</title>`)
	whole, found := seconds(`<dt>Duration, without the pauses between turns</dt><dd>([0-9.]+) s</dd>`)
	if n != 2 || found != 1 || math.Abs(turns-whole) > 0.002 {
		t.Errorf("%d turns take %.3f s; the page says %.3f s", n, turns, whole)
	}
}

// If kimi has stored no token counts, the page says so.
func TestViewStoredUncounted(t *testing.T) {
	t.Parallel()
	for name, d := range storedDemos(t, "text: one\nusage: input_other=0 output=0") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.quiet(t, "prompt", "Say one").check(t, 0, []string{"one"}, nil)
			out := filepath.Join(d.work, "page.html")
			d.run(t, "", "view", "-", "-o", out).check(t, 0, nil, nil)
			contains(t, out, "<dt>Tokens in</dt><dd>not known</dd>", "<dt>Tokens out</dt><dd>not known</dd>", "Not known: the messages of this session have no token counts.")
		})
	}
}

// storedDemos sets up both kimis with scripts.
func storedDemos(t *testing.T, script ...string) map[string]*demo {
	t.Helper()
	code, _ := codeDemo(t, script...)
	return map[string]*demo{"kimi-cli": newDemo(t, script...), "Kimi Code": code}
}

// quiet runs a command that runs a turn.
func (d *demo) quiet(t *testing.T, command string, args ...string) result {
	t.Helper()
	flags := []string{command, "--quiet"}
	if d.config != "" {
		flags = append(flags, "--config", d.config)
	}
	return d.run(t, "", append(flags, args...)...)
}

// The times of a stored session leave out the pauses between its turns. If not all times are known, there are none.
func TestStoredClock(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Time {
		return time.Unix(1700000000, 0).Add(time.Duration(s * float64(time.Second)))
	}
	add := func(c *storedClock, when time.Time, m wireproto.Message) {
		c.add(wireproto.SessionRecord{Time: when, Message: m})
	}
	var c storedClock
	add(&c, at(0), &wireproto.TurnBegin{})
	add(&c, at(2), &wireproto.TextPart{})
	add(&c, at(1), &wireproto.TurnEnd{}) // here the clock was set back
	add(&c, at(90000), &wireproto.TurnBegin{})
	add(&c, at(90000.5), &wireproto.TurnEnd{})
	add(&c, at(90000.75), &wireproto.StatusUpdate{}) // between turns
	add(&c, at(90001), &wireproto.TurnBegin{})
	add(&c, at(90002), &wireproto.TextPart{})
	add(&c, at(95000), &wireproto.TurnBegin{}) // the turn before has no end
	if diff := cmp.Diff([]int64{0, 2000, 2000, 2000, 2500, 2500, 2500, 3500, 3500}, c.ms); diff != "" || !c.known {
		t.Errorf("known %v (-want +got):\n%s", c.known, diff)
	}
	add(&c, time.Time{}, &wireproto.TurnEnd{})
	add(&c, at(90001), &wireproto.TurnEnd{})
	if c.known {
		t.Error("known, though one time was missing")
	}
}

// newest returns the id of the newest session.
func (d *demo) newest(t *testing.T) string {
	t.Helper()
	r := d.run(t, "", "sessions")
	lines := strings.Split(r.stdout, "\n")
	if r.code != 0 || len(lines) < 2 {
		t.Fatalf("sessions: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	id, _, _ := strings.Cut(lines[1], " ")
	return id
}
