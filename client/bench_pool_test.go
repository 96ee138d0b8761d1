//go:build linux

package client_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

var poolSessions = flag.Int("pool.sessions", 100, "sessions of BenchmarkPool")

// residentMB returns the resident memory of a process, in MB.
func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	b.Fatalf("process %d has no VmRSS", pid)
	return 0
}

// firstToken runs a turn and returns the time from the prompt to the first text.
func firstToken(b *testing.B, s *client.Session) time.Duration {
	b.Helper()
	began := time.Now()
	turn, err := s.Prompt(b.Context(), "go")
	if err != nil {
		b.Fatal(err)
	}
	var first time.Duration
	for m, err := range turn.Messages() {
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := m.(*wireproto.TextPart); ok && first == 0 {
			first = time.Since(began)
		}
	}
	return first
}

// BenchmarkPool runs a turn in each of 100 sessions of a pool. It reports the time in which the pool hands out a
// session that is ready, the time from then to the first text of the model, the same time without a pool, and the
// memory of all processes.
func BenchmarkPool(b *testing.B) {
	for _, back := range backends {
		b.Run(back.name, func(b *testing.B) {
			opts, model := back.model(b)
			opts.Yolo, opts.StartTimeout, opts.StopGrace = true, 10*time.Minute, 5*time.Minute
			n := *poolSessions
			for range b.N {
				began := time.Now()
				p, err := client.NewPool(opts, client.PoolOptions{Max: n, Warm: n})
				if err != nil {
					b.Fatal(err)
				}
				for len(p.Ready()) < n {
					select {
					case <-time.After(20 * time.Millisecond):
					case <-b.Context().Done():
						b.Fatal("not ready")
					}
				}
				b.ReportMetric(time.Since(began).Seconds(), "s-to-fill")
				var out, most, first time.Duration
				pids := make(map[int]bool)
				for range n {
					asked := time.Now()
					s, err := p.NewSession(b.Context())
					took := time.Since(asked)
					if err != nil {
						b.Fatal(err)
					}
					out, most = out+took, max(most, took)
					model.Add("text: ok")
					first += took + firstToken(b, s)
					pids[s.PID()] = true
				}
				var mb float64
				for pid := range pids {
					mb += residentMB(b, pid)
				}
				if err := p.Close(); err != nil {
					b.Fatal(err)
				}
				asked := time.Now()
				s, err := client.NewSession(b.Context(), opts)
				if err != nil {
					b.Fatal(err)
				}
				started := time.Since(asked)
				model.Add("text: ok")
				b.ReportMetric(float64((started+firstToken(b, s)).Microseconds())/1e3, "cold-first-ms")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(out.Microseconds())/1e3/float64(n), "out-ms")
				b.ReportMetric(float64(most.Microseconds())/1e3, "out-most-ms")
				b.ReportMetric(float64(first.Microseconds())/1e3/float64(n), "first-ms")
				b.ReportMetric(mb, "MB")
				b.ReportMetric(float64(len(pids)), "processes")
			}
		})
	}
}
