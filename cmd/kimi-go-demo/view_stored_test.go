//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// A page can be made of a stored session of either kimi. It has no secrets.
func TestViewStored(t *testing.T) {
	t.Parallel()
	const key = "sk-kept-out-of-any-page-0123456789"
	script := []string{clienttest.Text("The key is **not** " + key), "text: unused"}
	for name, d := range map[string]*demo{
		"kimi-cli":  newDemo(t, script...),
		"Kimi Code": func() *demo { d, _ := codeDemo(t, script...); return d }(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.setenv(map[string]string{"SOME_API_KEY": key})
			args := []string{"prompt", "--quiet", "What is it?"}
			if d.config != "" {
				args = append(args, "--config", d.config)
			}
			d.run(t, "", args...).check(t, 0, []string{key}, nil)
			id := d.newest(t)
			out := filepath.Join(d.work, "page.html")
			d.run(t, "", "view", id, "-o", out).check(t, 0, nil, nil)
			contains(t, out, "What is it?", "The key is <strong>not</strong>", "without the pauses between turns", "<dt>Duration, without the pauses between turns</dt>", "<dt>Turns</dt><dd>1</dd>", "("+id+")")
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
	add(&c, at(90000.75), &wireproto.TurnBegin{})
	if diff := cmp.Diff([]int64{0, 2000, 2000, 3000, 3500, 3750}, c.ms); diff != "" || !c.known {
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
