package client

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kimi-go/kimi-go/wireproto"
)

func numbered(i int) *wireproto.TextPart { return &wireproto.TextPart{Text: fmt.Sprint(i)} }

// drain takes all messages that are there and returns their texts.
func drain(q *stream) string {
	var all []string
	for {
		m, ok := q.next()
		if !ok {
			return strings.Join(all, " ")
		}
		all = append(all, m.(*wireproto.TextPart).Text)
	}
}

func TestStreamOrder(t *testing.T) {
	const n = 10_000
	q := newStream()
	go func() {
		for i := range n {
			if taken, wait := q.push(numbered(i), 100); !taken {
				t.Errorf("%d was not taken", i)
			} else if wait {
				q.waitRoom()
			}
			if i%7 == 0 {
				q.flush()
			}
		}
		q.end()
	}()
	for i := range n {
		m, ok := q.next()
		if !ok || m.(*wireproto.TextPart).Text != fmt.Sprint(i) {
			t.Fatalf("%v, %v instead of %d", m, ok, i)
		}
	}
	for range 3 { // after the end, next returns false each time
		if m, ok := q.next(); ok {
			t.Fatalf("%v after the end", m)
		}
	}
	if taken, wait := q.push(numbered(0), 100); taken || wait {
		t.Error("a message after the end")
	}
}

// Each of these calls lets a reader continue that waits for room.
func TestStreamRoom(t *testing.T) {
	for name, free := range map[string]func(*stream){
		"next":   func(q *stream) { q.next() },
		"lift":   func(q *stream) { q.lift() },
		"cancel": func(q *stream) { q.cancel() },
		"end":    func(q *stream) { q.end() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newStream()
				waits := false
				for i := 0; !waits; i++ {
					if i > 2*window {
						t.Fatal("it never fills")
					}
					_, waits = q.push(numbered(i), 1000)
				}
				passed := false
				go func() {
					q.waitRoom()
					passed = true
				}()
				synctest.Wait()
				if passed {
					t.Error("the reader does not wait")
				}
				free(q)
				synctest.Wait()
				if !passed {
					t.Error("the reader waits on")
				}
			})
		})
	}
}

// Lifts are counted. After the last lower, the reader must wait again.
func TestStreamLift(t *testing.T) {
	q := newStream()
	q.push(numbered(0), 2*window)
	push := func(want bool) {
		t.Helper()
		if _, wait := q.push(numbered(1), 1); wait != want {
			t.Errorf("wait: %v", wait)
		}
	}
	push(true)
	q.lift()
	q.lift()
	push(false)
	q.lower()
	push(false)
	q.lower()
	push(true)
	q.next()
	push(false)
}

// flush and end wake a consumer that waits. push alone does not.
func TestStreamWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newStream()
		got := ""
		go func() { got = drain(q) + "." }()
		synctest.Wait()
		q.push(numbered(1), 1)
		q.push(numbered(2), 1)
		synctest.Wait()
		if !q.pending() {
			t.Error("taken before flush")
		}
		q.flush()
		q.flush()
		synctest.Wait()
		if q.pending() {
			t.Error("not taken")
		}
		q.push(numbered(3), 1)
		q.end()
		synctest.Wait()
		if got != "1 2 3." {
			t.Errorf("%q", got)
		}
	})
}

// After a cancellation, the stream accepts a limited number of bytes, without a gap.
func TestStreamCut(t *testing.T) {
	q := newStream()
	q.push(numbered(0), 1)
	q.cancel()
	taken := 1
	for i := 1; i < 3*cutWindow/window*10; i++ {
		ok, wait := q.push(numbered(i), window/10)
		if wait {
			t.Fatal("the reader is held up")
		}
		if ok {
			if taken != i {
				t.Fatalf("%d after a gap", i)
			}
			taken++
		}
	}
	if size := taken * window / 10; size > cutWindow+window || size < cutWindow-window {
		t.Errorf("%d bytes were taken", size)
	}
	q.end()
	if n := len(strings.Fields(drain(q))); n != taken {
		t.Errorf("%d of %d came out", n, taken)
	}
}
