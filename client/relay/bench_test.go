package relay_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

// BenchmarkReaders shows a stream of 2,000 parts a second to many readers, in the process and over HTTP. Each reader
// must get all parts. "parts/s" is the rate of the session.
func BenchmarkReaders(b *testing.B) {
	const parts, rate = 4000, 2000
	for _, kind := range []string{"Read", "events"} {
		for _, readers := range []int{0, 100} {
			b.Run(fmt.Sprintf("%s/%d", kind, readers), func(b *testing.B) {
				var took time.Duration
				for b.Loop() {
					var spoken time.Duration
					_, r := start(b, &relay.Options{Authorize: anyone}, func(t *clienttest.Turn) {
						begun := time.Now()
						for i := range parts {
							for time.Since(begun) < time.Duration(i)*time.Second/rate {
								time.Sleep(time.Millisecond)
							}
							t.Say("a part of an answer")
						}
						spoken = time.Since(begun)
					})
					url := serve(b, r)
					var all sync.WaitGroup
					for range readers {
						all.Go(func() {
							n := 0
							if kind == "events" {
								events(b, url+"events", "", func(e event) bool {
									if isType(e.data, "ContentPart") {
										n++
									}
									return !isType(e.data, "relay.TurnEnded")
								})
							} else {
								for e, err := range r.Read(b.Context(), 0) {
									if err != nil {
										b.Error(err)
										break
									}
									if isType(string(e.JSON), "ContentPart") {
										n++
									}
									if isType(string(e.JSON), "relay.TurnEnded") {
										break
									}
								}
							}
							if n != parts {
								b.Errorf("a reader got %d of %d parts", n, parts)
							}
						})
					}
					prompt(b, r, "go")
					read[*relay.TurnEnded](b, r, 0)
					all.Wait()
					took += spoken
				}
				b.ReportMetric(float64(parts*b.N)/took.Seconds(), "parts/s")
			})
		}
	}
}

// BenchmarkLog measures what a message costs the session if there is no reader.
func BenchmarkLog(b *testing.B) {
	outside := new(relay.Outside)
	start(b, &relay.Options{Outside: outside})
	b.ReportAllocs()
	for b.Loop() {
		outside.OnMessage(&wireproto.TextPart{Text: "a part of an answer"})
	}
}
