//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// benchAsks answers a prompt "N" with N approval requests. Each comes after the answer to the one before it. benchRuns
// does the same with tool calls.
var (
	benchAsks = requester("bench asks", "ApprovalRequest", `{"id":"r","tool_call_id":"t","sender":"Shell","action":"run","description":"d","display":[]}`)
	benchRuns = requester("bench runs", "ToolCallRequest", `{"id":"r","name":"echo","arguments":"{\"text\":\"x\"}"}`)
)

func requester(name, kind, payload string) string {
	line := `{"jsonrpc":"2.0","method":"request","id":"r","params":{"type":"` + kind + `","payload":` + payload + `}}`
	return script(name, func(a *agent) {
		init := a.call(wireproto.MethodInitialize)
		a.result(init.ID, `{"protocol_version":"1.10","server":{"name":"bench","version":"0"},"slash_commands":[],"external_tools":{"accepted":["echo"],"rejected":[]}}`)
		for {
			f := a.call(wireproto.MethodPrompt)
			var p wireproto.PromptParams
			var n int
			if err := json.Unmarshal(f.Params, &p); err == nil {
				fmt.Sscan(p.UserInput.Text, &n)
			}
			for range n {
				a.line("%s", line)
				a.answer("r")
			}
			a.result(f.ID, `{"status":"finished"}`)
		}
	})
}

// BenchmarkRequests answers approvals in the loop and runs Go tools, one after the other. In the same run, it answers
// the same lines over bare pipes.
func BenchmarkRequests(b *testing.B) {
	tool, err := client.NewTool("echo", "echoes", func(_ context.Context, in struct {
		Text string `json:"text"`
	}) (string, error) {
		return in.Text, nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct{ name, script, answer string }{
		{"approvals", benchAsks, `{"jsonrpc":"2.0","id":"r","result":{"request_id":"r","response":"approve"}}`},
		{"tools", benchRuns, `{"jsonrpc":"2.0","id":"r","result":{"tool_call_id":"r","return_value":{"is_error":false,"output":"x","message":"","display":[]}}}`},
	} {
		b.Run(kind.name+"/session", func(b *testing.B) {
			opts := benchOptions(b, kind.script)
			opts.Tools = []client.Tool{tool}
			s, err := client.NewSession(b.Context(), opts)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ResetTimer()
			turn, err := s.Prompt(b.Context(), fmt.Sprint(b.N))
			if err != nil {
				b.Fatal(err)
			}
			for m, err := range turn.Messages() {
				if err != nil {
					b.Fatal(err)
				}
				if r, ok := m.(*client.ApprovalRequest); ok {
					r.Approve()
				}
			}
			b.StopTimer()
		})
		b.Run(kind.name+"/pipe", func(b *testing.B) {
			c := startBare(b, benchOptions(b, kind.script))
			defer c.close(b)
			b.ResetTimer()
			c.write(b, fmt.Sprintf(`{"jsonrpc":"2.0","method":"prompt","id":"2","params":{"user_input":"%d"}}`, b.N))
			for range b.N {
				c.read(b)
				c.write(b, kind.answer)
			}
			c.read(b)
			b.StopTimer()
		})
	}
}

// BenchmarkSlowLoop uses a millisecond for each event while 450 MB wait, for two seconds. It reports how much memory
// this process uses, and how long Steer, Cancel and Close take.
func BenchmarkSlowLoop(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var peak uint64
			var steer, cancel, closing time.Duration
			for b.Loop() {
				before := resident()
				s, err := client.NewSession(b.Context(), benchOptions(b, benchFloods))
				if err != nil {
					b.Fatal(err)
				}
				turn, err := s.Prompt(b.Context(), fmt.Sprint(450_000_000/(size+100), size))
				if err != nil {
					b.Fatal(err)
				}
				var done atomic.Bool
				time.AfterFunc(2*time.Second, func() { done.Store(true) })
				tick := time.NewTicker(time.Millisecond)
				n := 0
				for m, err := range turn.Messages() {
					if err != nil {
						break
					}
					if _, ok := m.(*wireproto.TextPart); ok {
						<-tick.C
					}
					if n++; n%100 == 0 {
						peak = max(peak, resident()-min(before, resident()))
					}
					if done.Load() && n > 0 {
						done.Store(false)
						began := time.Now()
						if err := s.Steer(b.Context(), "more"); err != nil {
							b.Error(err)
						}
						steer += time.Since(began)
						began = time.Now()
						if err := turn.Cancel(b.Context()); err != nil {
							b.Error(err)
						}
						cancel += time.Since(began)
						break
					}
				}
				tick.Stop()
				began := time.Now()
				s.Close()
				closing += time.Since(began)
			}
			b.ReportMetric(float64(peak)/1e6, "peak-MB")
			b.ReportMetric(float64(steer)/1e6/float64(b.N), "steer-ms")
			b.ReportMetric(float64(cancel)/1e6/float64(b.N), "cancel-ms")
			b.ReportMetric(float64(closing)/1e6/float64(b.N), "close-ms")
		})
	}
}

// benchFloods sends as emits does, and also answers calls while it sends.
var benchFloods = script("bench floods", func(a *agent) {
	a.handshake()
	f := a.call(wireproto.MethodPrompt)
	var p wireproto.PromptParams
	var n, size int
	if err := json.Unmarshal(f.Params, &p); err == nil {
		fmt.Sscan(p.UserInput.Text, &n, &size)
	}
	var cancelled atomic.Bool
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		a.result(a.call(wireproto.MethodSteer).ID, `{"status":"steered"}`)
		c := a.call(wireproto.MethodCancel)
		cancelled.Store(true)
		a.result(c.ID, "{}")
	}()
	text := strings.Repeat("x", size)
	for range n {
		if cancelled.Load() {
			break
		}
		a.text(text)
	}
	<-listening
	a.result(f.ID, `{"status":"cancelled"}`)
	a.next()
})

// resident returns how much memory this process holds, as the Go runtime reports it.
func resident() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpuTime returns how much processor time this process has used so far.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
