//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// codeFloods is a server as "kimi web" is one. It answers a prompt "N SIZE" by N texts of SIZE bytes.
var codeFloods = func() string {
	programs["code floods"] = func() {
		f := webtest.NewFake(never{})
		f.Script = func(prompt string) iter.Seq[[]byte] {
			var n, size int
			fmt.Sscan(prompt, &n, &size)
			head := `"session_id":"session_flood","epoch":"e","timestamp":"2026-11-26T01:36:11.760Z"`
			delta := fmt.Appendf(nil, `{"type":"assistant.delta","seq":10,%s,"payload":{"type":"assistant.delta","time":1795656971760,"agentId":"main","turnId":0,"delta":%q,"sessionId":"session_flood"},"volatile":true,"offset":0}`,
				head, strings.Repeat("x", size))
			return func(yield func([]byte) bool) {
				event := func(kind, payload string) bool {
					return yield(fmt.Appendf(nil, `{"type":%q,%s,"payload":{"agentId":"main","turnId":0,%s}}`, kind, head, payload))
				}
				if !event("turn.started", `"promptId":"p0"`) || !event("turn.step.started", `"step":1`) {
					return
				}
				for range n {
					if !yield(delta) {
						return
					}
				}
				_ = event("turn.step.completed", `"step":1,"finishReason":"tool_use","providerFinishReason":"stop"`) && event("turn.ended", `"reason":"completed"`)
			}
		}
		child := f.Child()
		io.Copy(os.Stdout, io.LimitReader(child, int64(len("  Local:    ")+len(f.URL)+len("/#token=")+len(f.Token)+1)))
		<-child.Done()
	}
	return "code floods"
}()

// never cleans nothing up: the process ends.
type never struct{}

func (never) Cleanup(func()) {}

// BenchmarkKimiCodeEvents reads the events of one turn of Kimi Code's server, beside BenchmarkEvents.
func BenchmarkKimiCodeEvents(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			exe, err := os.Executable()
			if err != nil {
				b.Fatal(err)
			}
			s, err := client.NewSession(b.Context(), &client.Options{
				Executable: exe, Transport: client.KimiCode(nil), WorkDir: b.TempDir(), ShareDir: b.TempDir(), StartTimeout: 2 * time.Minute,
				Env: map[string]string{programKey: codeFloods, "GORACE": "atexit_sleep_ms=0"},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
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
				if text, ok := m.(*wireproto.TextPart); ok && len(text.Text) == size {
					n++
				}
			}
			if n != b.N {
				b.Fatalf("%d of %d", n, b.N)
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkKimiCodeTurn runs turns of one word with the real Kimi Code, and beside each one the same prompt over a bare
// WebSocket of the same server.
func BenchmarkKimiCodeTurn(b *testing.B) {
	k := webtest.NewKimi(b)
	child := webtest.NewChild(k.URL, k.Token)
	defer child.End(nil) // which ends the bridge, and leaves the server
	s, err := client.NewSession(b.Context(), &client.Options{
		Transport: overServer{child}, WorkDir: k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
	})
	if err != nil {
		b.Fatal(err)
	}
	bare := newBareSession(b, k)
	var first, whole, bareFirst, bareWhole time.Duration
	for b.Loop() {
		k.Model.Add("text: ok", "text: ok")
		began := time.Now()
		turn, err := s.Prompt(b.Context(), "go")
		if err != nil {
			b.Fatal(err)
		}
		seen := false
		for m, err := range turn.Messages() {
			if err != nil {
				b.Fatal(err)
			}
			if _, ok := m.(*wireproto.StepBegin); ok && !seen {
				first, seen = first+time.Since(began), true
			}
		}
		whole += time.Since(began)
		f, w := bare.turn(b)
		bareFirst, bareWhole = bareFirst+f, bareWhole+w
	}
	n := float64(b.N) * 1e6
	b.ReportMetric(float64(first)/n, "step-ms/op")
	b.ReportMetric(float64(whole)/n, "turn-ms/op")
	b.ReportMetric(float64(bareFirst)/n, "bare-step-ms/op")
	b.ReportMetric(float64(bareWhole)/n, "bare-turn-ms/op")
	b.ReportMetric(float64(whole)/float64(bareWhole), "turn/bare")
}

// overServer is a transport over a server that runs.
type overServer struct{ child *webtest.Child }

func (t overServer) Start(ctx context.Context, cmd *client.Command) (client.Conn, error) {
	return bridge.Start(ctx, (*bridge.Command)(cmd), func(context.Context, *bridge.Command, string, []string) (bridge.Child, error) { return t.child, nil })
}

// bareSession is a session of a server with nothing between.
type bareSession struct {
	k    *webtest.Kimi
	id   string
	conn *websocket.Conn
	n    int
}

func newBareSession(b *testing.B, k *webtest.Kimi) *bareSession {
	b.Helper()
	s := &bareSession{k: k}
	var made struct{ ID string }
	s.post(b, "/sessions", map[string]any{"metadata": map[string]string{"cwd": k.Options.WorkDir}}, &made)
	s.id = made.ID
	s.post(b, "/sessions/"+s.id+"/profile", map[string]any{"agent_config": map[string]any{"model": "__kimi_env_model__", "permission_mode": "manual"}}, nil)
	conn, _, err := websocket.Dial(b.Context(), "ws"+strings.TrimPrefix(k.URL, "http")+"/api/v1/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + k.Token}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(-1)
	s.conn = conn
	if err := conn.Write(b.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":"subscribe","id":"1","payload":{"session_ids":[%q]}}`, s.id)); err != nil {
		b.Fatal(err)
	}
	go func() { // as any client does
		for {
			select {
			case <-time.After(5 * time.Second):
				if conn.Write(b.Context(), websocket.MessageText, []byte(`{"type":"pong","payload":{}}`)) != nil {
					return
				}
			case <-b.Context().Done():
				return
			}
		}
	}()
	s.until(b, "ack")
	return s
}

func (s *bareSession) post(b *testing.B, path string, body, result any) {
	b.Helper()
	if err := s.k.Call(b.Context(), http.MethodPost, path, body, result); err != nil {
		b.Fatal(err)
	}
}

// until reads up to an event.
func (s *bareSession) until(b *testing.B, kind string) {
	b.Helper()
	for {
		_, data, err := s.conn.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		var f struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(data, &f); err != nil {
			b.Fatal(err)
		}
		if f.Type == kind {
			return
		}
	}
}

func (s *bareSession) turn(b *testing.B) (first, whole time.Duration) {
	b.Helper()
	s.n++
	began := time.Now()
	done := make(chan error, 1)
	go func() {
		done <- s.k.Call(context.WithoutCancel(b.Context()), http.MethodPost, "/sessions/"+s.id+"/prompts",
			map[string]any{"content": []map[string]string{{"type": "text", "text": "go"}}, "prompt_id": fmt.Sprint("bare-", s.n)}, nil)
	}()
	s.until(b, "turn.step.started")
	first = time.Since(began)
	s.until(b, "turn.ended")
	whole = time.Since(began)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return first, whole
}
