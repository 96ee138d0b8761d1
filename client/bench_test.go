//go:build unix

package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// emits answers a prompt "N SIZE" with N texts of SIZE bytes, as fast as a pipe accepts them.
var emits = script("emits", func(a *agent) {
	a.handshake()
	for {
		f := a.call(wireproto.MethodPrompt)
		var p struct {
			UserInput string `json:"user_input"`
		}
		var n, size int
		if err := json.Unmarshal(f.Params, &p); err == nil {
			fmt.Sscan(p.UserInput, &n, &size)
		}
		var line strings.Builder
		w := wireproto.NewEncoder(&line)
		if err := w.Encode(&wireproto.Frame{Method: wireproto.MethodEvent, Message: &wireproto.TextPart{Text: strings.Repeat("x", size)}}); err != nil {
			panic(err)
		}
		block := max(1, (1<<18)/line.Len())
		lines := strings.Repeat(line.String(), block)
		for ; n > block; n -= block {
			a.raw(lines)
		}
		a.raw(lines[:n*line.Len()])
		a.result(f.ID, `{"status":"finished"}`)
	}
})

// benchOptions returns options that run a script as a child process.
func benchOptions(b *testing.B, name string) *client.Options {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return &client.Options{
		Executable: exe, WorkDir: b.TempDir(), ShareDir: b.TempDir(), StartTimeout: 2 * time.Minute,
		Env: map[string]string{programKey: "agent", agentKey: name, "GORACE": "atexit_sleep_ms=0"},
	}
}

// bare is the same child process with two pipes, without this module.
type bare struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startBare(b *testing.B, opts *client.Options) *bare {
	b.Helper()
	cmd := exec.Command(opts.Executable)
	cmd.Env = os.Environ()
	for k, v := range opts.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c := &bare{cmd, in, bufio.NewReaderSize(out, 1<<16)}
	c.write(b, `{"jsonrpc":"2.0","method":"initialize","id":"1","params":{}}`)
	c.read(b)
	return c
}

func (c *bare) write(b *testing.B, line string) {
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		b.Fatal(err)
	}
}

func (c *bare) read(b *testing.B) []byte {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		b.Fatal(err)
	}
	return line
}

func (c *bare) close(b *testing.B) {
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStart starts a session and closes it. over-ns/op is how much longer that takes than starting the same child
// with bare pipes and making the handshake.
func BenchmarkStart(b *testing.B) {
	opts := benchOptions(b, "serves")
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		s, err := client.NewSession(b.Context(), opts)
		if err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		c := startBare(b, opts)
		theirs += time.Since(began)
		c.close(b)
	}
	b.ReportMetric(float64(ours)/float64(b.N), "session-ns/op")
	b.ReportMetric(float64(theirs)/float64(b.N), "child-ns/op")
	b.ReportMetric(float64(ours-theirs)/float64(b.N), "over-ns/op")
}

// BenchmarkTurn runs a turn without events. In the same run, it exchanges the same two lines over bare pipes.
func BenchmarkTurn(b *testing.B) {
	b.Run("session", func(b *testing.B) {
		s := benchSession(b, emits)
		for b.Loop() {
			turn, err := s.Prompt(b.Context(), "0 0")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := turn.Result(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pipe", func(b *testing.B) {
		c := startBare(b, benchOptions(b, emits))
		defer c.close(b)
		for b.Loop() {
			c.write(b, `{"jsonrpc":"2.0","method":"prompt","id":"2","params":{"user_input":"0 0"}}`)
			c.read(b)
		}
	})
}

func benchSession(b *testing.B, name string) *client.Session {
	b.Helper()
	s, err := client.NewSession(b.Context(), benchOptions(b, name))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// BenchmarkEvents reads the events of one turn. In the same run, it reads the same lines from bare pipes, with one
// json.Unmarshal for each.
func BenchmarkEvents(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(strconv.Itoa(size)+"/session", func(b *testing.B) {
			s := benchSession(b, emits)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			cpu := cpuTime()
			b.ResetTimer()
			turn, err := s.Prompt(b.Context(), fmt.Sprint(b.N, size))
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for m, err := range turn.Messages() {
				if err != nil {
					b.Fatal(err)
				}
				if text, ok := m.(*wireproto.TextPart); !ok || len(text.Text) != size {
					b.Fatalf("%T", m)
				}
				n++
			}
			if n != b.N {
				b.Fatalf("%d of %d", n, b.N)
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(strconv.Itoa(size)+"/json", func(b *testing.B) {
			c := startBare(b, benchOptions(b, emits))
			defer c.close(b)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			cpu := cpuTime()
			b.ResetTimer()
			c.write(b, fmt.Sprintf(`{"jsonrpc":"2.0","method":"prompt","id":"2","params":{"user_input":"%d %d"}}`, b.N, size))
			var line struct {
				Method string `json:"method"`
				Params struct {
					Type    string `json:"type"`
					Payload struct {
						Type string `json:"type"`
						Text string `json:"text"`
					} `json:"payload"`
				} `json:"params"`
			}
			for range b.N {
				if err := json.Unmarshal(c.read(b), &line); err != nil || len(line.Params.Payload.Text) != size {
					b.Fatal(err)
				}
			}
			c.read(b)
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkObserver reads turns of many events without an Observer and, in the same run, with an Observer.
func BenchmarkObserver(b *testing.B) {
	const events = 50_000
	opts := benchOptions(b, emits)
	plain := benchSession(b, emits)
	seen := 0
	opts.Observer = observing(func(client.Observation) { seen++ })
	observed, err := client.NewSession(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer observed.Close()
	run := func(s *client.Session) time.Duration {
		before := cpuTime()
		turn, err := s.Prompt(b.Context(), fmt.Sprint(events, 64))
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range turn.Messages() {
			if err != nil {
				b.Fatal(err)
			}
		}
		return cpuTime() - before
	}
	var without, with time.Duration
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 { // the order changes, because a run pays for the garbage of the run before it
			without += run(plain)
			with += run(observed)
		} else {
			with += run(observed)
			without += run(plain)
		}
	}
	if observed.Close(); seen < 2*b.N {
		b.Fatalf("%d observations of %d turns", seen, b.N)
	}
	b.ReportMetric(float64(without)/float64(b.N)/events, "nil-cpu-ns/event")
	b.ReportMetric(float64(with)/float64(b.N)/events, "set-cpu-ns/event")
	b.ReportMetric(100*(float64(with)/float64(without)-1), "over-%")
}

// BenchmarkIdleSessions keeps 200 sessions open at once, and reports what each of them costs this process.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 200
	opts := benchOptions(b, "serves")
	var heap, stack, goroutines, threads float64
	for b.Loop() {
		before, routines, created := settled(), runtime.NumGoroutine(), pprof.Lookup("threadcreate").Count()
		sessions := make([]*client.Session, n)
		atOnce := make(chan struct{}, 8)
		var all sync.WaitGroup
		for i := range sessions {
			all.Go(func() {
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				s, err := client.NewSession(context.Background(), opts)
				if err != nil {
					b.Error(err)
					return
				}
				sessions[i] = s
			})
		}
		all.Wait()
		after := settled()
		heap += float64(after.HeapAlloc) - float64(before.HeapAlloc)
		stack += float64(after.StackInuse) - float64(before.StackInuse)
		goroutines += float64(runtime.NumGoroutine() - routines)
		threads += float64(pprof.Lookup("threadcreate").Count() - created)
		for _, s := range sessions {
			if s != nil {
				all.Go(func() { s.Close() })
			}
		}
		all.Wait()
	}
	for unit, total := range map[string]float64{"heap-B/session": heap, "stack-B/session": stack, "goroutines/session": goroutines, "threads/session": threads} {
		b.ReportMetric(total/float64(b.N)/n, unit)
	}
}

func settled() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
