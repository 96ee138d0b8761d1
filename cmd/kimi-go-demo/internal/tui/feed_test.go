package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kimi-go/kimi-go/wireproto"
)

// However fast an agent writes, the model gets its text at most 30 times a second: all of it, in order, once.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(noGrants)
		ctx, stop := context.WithCancel(t.Context())
		var got strings.Builder
		batches, begun := 0, time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.pump(ctx, func(msg tea.Msg) {
				batches++
				for _, item := range msg.(batch) {
					switch item := item.(type) {
					case *run:
						fmt.Fprintf(&got, "%d:%s", item.kind, item.text)
					case *wireproto.StepBegin:
						fmt.Fprintf(&got, "step %d", item.N)
					}
				}
			})
		}()
		var want strings.Builder
		for i := range 20_000 { // in a second
			f.add(&wireproto.TextPart{Text: fmt.Sprintf("<%d>", i)})
			fmt.Fprintf(&want, "<%d>", i)
			if i%1000 == 999 {
				f.add(&wireproto.ThinkPart{Think: "t"})
				f.add(&wireproto.ToolCallPart{ArgumentsPart: ptr("a")})
				f.add(&wireproto.StepBegin{N: i})
				fmt.Fprintf(&want, "1:t2:astep %d", i)
			}
			time.Sleep(50 * time.Microsecond) // of the test's clock
		}
		time.Sleep(time.Second)
		frames := int(time.Since(begun) / frame)
		stop()
		<-done
		if s := strings.ReplaceAll(got.String(), "0:", ""); s != want.String() {
			t.Errorf("%d bytes came of %d", len(s), want.Len())
		}
		if batches > frames+1 || batches < 20 {
			t.Errorf("%d batches in %d frames", batches, frames)
		}
	})
}

// A turn waits for a slow model, and goes on when the feed is closed.
func TestFeedFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(noGrants)
		added := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2 * maxWaiting / 1000 {
				f.add(&wireproto.TextPart{Text: strings.Repeat("x", 1000)})
				added++
			}
		}()
		synctest.Wait()
		if n := added * 1000; n < maxWaiting/2 || n > maxWaiting+2000 {
			t.Errorf("%d bytes wait", n)
		}
		before := added
		if b := f.take(); len(b) == 0 || len(b[0].(*run).text) > maxBatch {
			t.Errorf("a batch of %d items", len(b))
		}
		synctest.Wait()
		if added == before {
			t.Error("nothing goes on after something was taken")
		}
		f.close()
		<-done
		if f.add(1); len(f.take()) != 0 {
			t.Error("a closed feed takes something")
		}
	})
}
