package bridge_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// make soak sets this to a larger number.
var schedules = flag.Int("soak.schedules", 20, "number of schedules of random faults, on a fake server")

// faults is a schedule of random faults. Its seed decides which faults come.
type faults struct {
	mu   sync.Mutex
	rng  *rand.Rand
	kill int // the number of the event at which the server dies; 0 for none

	// These are probabilities.
	cuts   float64 // that the connection is lost at an event
	lost   float64 // that a call or its answer is lost
	late   float64 // that an answer comes late
	double float64 // that an event comes twice

	events int
	log    []string
	fake   *webtest.Fake
}

func newFaults(seed uint64, f *webtest.Fake) *faults {
	x := &faults{rng: rand.New(rand.NewPCG(seed, 1)), fake: f}
	for _, p := range []*float64{&x.cuts, &x.lost, &x.late, &x.double} {
		if x.rng.IntN(2) == 0 {
			*p = x.rng.Float64() * 0.15
		}
	}
	x.cuts /= 3
	if x.rng.IntN(6) == 0 {
		x.kill = 1 + x.rng.IntN(120)
	}
	return x
}

func (x *faults) say(format string, args ...any) { x.log = append(x.log, fmt.Sprintf(format, args...)) }

func (x *faults) hooks() webtest.Hooks {
	return webtest.Hooks{
		Call: func(method, path string) webtest.Fate {
			x.mu.Lock()
			defer x.mu.Unlock()
			if strings.HasSuffix(path, "/shutdown") || method == "POST" && strings.HasSuffix(path, "/sessions") {
				return webtest.Pass
			}
			switch n := x.rng.Float64(); {
			case n < x.lost/2:
				x.say("drop %s %s", method, path)
				return webtest.Drop
			case n < x.lost:
				x.say("lose %s %s", method, path)
				return webtest.Lose
			}
			return webtest.Pass
		},
		Answer: func(method, path string, body []byte) []byte {
			x.mu.Lock()
			late := x.rng.Float64() < x.late
			wait := time.Duration(x.rng.IntN(30)) * time.Millisecond
			if late {
				x.say("late %s %s", method, path)
			}
			x.mu.Unlock()
			if late {
				<-time.After(wait)
			}
			return body
		},
		Frame: func(frame []byte) ([][]byte, webtest.Cut) {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.events++
			if x.events == x.kill && x.fake != nil {
				x.say("kill at %d", x.events)
				go x.fake.Kill()
				return nil, webtest.Before
			}
			frames := [][]byte{frame}
			// If a volatile event has no offset, it is not possible to know whether it came twice.
			if x.rng.Float64() < x.double && (!bytes.Contains(frame, []byte(`"volatile":true`)) || bytes.Contains(frame, []byte(`"offset":`))) {
				x.say("double %d", x.events)
				frames = append(frames, frame)
			}
			if x.rng.Float64() < x.cuts {
				how := webtest.Cut(1 + x.rng.IntN(3))
				x.say("cut %d at %d", how, x.events)
				return frames, how
			}
			return frames, webtest.Keep
		},
	}
}

// prefixOf reports whether a tale is the beginning of another one: it has nothing that the other does not have.
func (t *tale) prefixOf(whole *tale) bool {
	for name, a := range t.Agents {
		b := whole.Agents[name]
		if b == nil || len(a.Steps) > len(b.Steps) {
			return false
		}
		for i, s := range a.Steps {
			w := b.Steps[i]
			if !strings.HasPrefix(w.Think, s.Think) || !strings.HasPrefix(w.Text, s.Text) || len(s.Calls) > len(w.Calls) || len(s.Results) > len(w.Results) {
				return false
			}
		}
	}
	return len(t.Approvals) <= len(whole.Approvals)
}

// Whatever happens to the server, the connection and the answers: nothing is lost, nothing comes twice, and nothing is
// approved that the client has not approved. A turn that is not whole does not end as finished. No goroutine is left at
// the end.
func TestFaults(t *testing.T) {
	want := told(t, webtest.Hooks{})
	if want.Status != "finished" || len(want.Approvals) != 2 {
		raw, _ := json.MarshalIndent(want, "", " ")
		t.Fatalf("without a fault: %s", raw)
	}
	before := runtime.NumGoroutine()
	var tally tally
	t.Run("schedules", func(t *testing.T) {
		for seed := range uint64(*schedules) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				f := webtest.NewFake(t)
				x := newFaults(seed, f)
				defer func() {
					if t.Failed() {
						t.Logf("%s", strings.Join(x.log, "\n"))
					}
					tally.add(x)
				}()
				s, err := overFake(t, f, x.hooks())
				if err != nil {
					if x.kill == 0 {
						t.Errorf("start: %v", err)
					}
					return
				}
				approved := 0
				got := hearTurn(within(t, time.Minute), s, "go", func(*client.ApprovalRequest) bool {
					approved++
					return true
				})
				s.Close()
				if n := len(f.Decisions()); n > approved {
					t.Errorf("%d approvals of %d were decided: %v", n, approved, f.Decisions())
				}
				died := x.kill > 0 && x.events >= x.kill
				switch {
				case died && got.Status == "finished" && !got.same(want):
					t.Errorf("finished, but not whole")
				case died:
					if !got.prefixOf(want) {
						t.Errorf("no beginning of the turn:\n%s", cmp.Diff(want, got, sameTale))
					}
				default:
					if diff := cmp.Diff(want, got, sameTale); diff != "" {
						t.Errorf("(-want +got)\n%s", diff)
					}
				}
			})
		}
	})
	gone(t, before)
	t.Logf("%d schedules: %v", *schedules, tally.faults)
	for _, kind := range []string{"kill", "cut", "drop", "lose", "late", "double"} {
		if *schedules >= 100 && tally.faults[kind] == 0 {
			t.Errorf("no schedule had a fault of the kind %q", kind)
		}
	}
}

// tally counts the faults of all schedules by their kind.
type tally struct {
	mu     sync.Mutex
	faults map[string]int
}

func (c *tally) add(x *faults) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults == nil {
		c.faults = make(map[string]int)
	}
	for _, line := range x.log {
		kind, _, _ := strings.Cut(line, " ")
		c.faults[kind]++
	}
}

func (t *tale) same(other *tale) bool { return cmp.Equal(t, other, sameTale) }

// gone waits until no more goroutines run than before.
func gone(t *testing.T, before int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			buf := make([]byte, 1<<20)
			t.Fatalf("goroutines left: %d, before %d\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
