//go:build unix

package client_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// codeFloods is a server that behaves like "kimi web". It answers a prompt "N SIZE" with N texts of SIZE bytes, as fast
// as the socket accepts them.
var codeFloods = func() string {
	programs["code floods"] = func() {
		fake := webtest.NewFake(never{})
		prompts := make(chan floodPrompt)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/prompts"):
				var p floodPrompt
				if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
					panic(err)
				}
				prompts <- p
				fmt.Fprintf(w, `{"code":0,"msg":"","data":{"prompt_id":%q,"status":"running"}}`, p.ID)
			case strings.HasSuffix(r.URL.Path, "/ws"):
				codeFlood(w, r, prompts)
			default:
				fake.ServeHTTP(w, r)
			}
		}))
		child := fake.Use(webtest.NewChild(server.URL, fake.Token))
		io.Copy(os.Stdout, io.LimitReader(child, int64(len("  Local:    ")+len(server.URL)+len("/#token=")+len(fake.Token)+1)))
		<-child.Done()
	}
	return "code floods"
}()

type floodPrompt struct {
	ID      string `json:"prompt_id"`
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
}

// codeFlood writes WebSocket frames itself, so that the benchmark does not measure a server library.
func codeFlood(w http.ResponseWriter, r *http.Request, prompts <-chan floodPrompt) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	hash := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	out := bufio.NewWriterSize(conn, 1<<18)
	fmt.Fprintf(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(hash[:]))
	write := func(frame []byte) {
		head := []byte{0x81, 126, 0, 0}
		switch n := len(frame); {
		case n < 126:
			head = []byte{0x81, byte(n)}
		case n < 1<<16:
			binary.BigEndian.PutUint16(head[2:], uint16(n))
		default:
			head = binary.BigEndian.AppendUint64([]byte{0x81, 127}, uint64(n))
		}
		out.Write(head)
		out.Write(frame)
	}
	write([]byte(`{"type":"server_hello","payload":{"protocol_version":2,"heartbeat_ms":10000}}`))
	out.Flush()
	const session = "session_fake_1"
	const closes, head = 0x88, 6             // the first byte of the frame that ends a connection, and how long the head of a short frame is
	if _, err := rw.Peek(head); err != nil { // the client subscribes
		return
	}
	gone := make(chan struct{})
	go func() { // wait for the client's close frame, and ignore all its other frames
		defer close(gone)
		for {
			frame, err := rw.Peek(head)
			if err != nil || frame[0] == closes {
				return
			}
			n := int(frame[1] & 0x7f)
			if n == 126 {
				n = 2 + int(binary.BigEndian.Uint16(frame[2:]))
			}
			if _, err := rw.Discard(head + n); err != nil {
				return
			}
		}
	}()
	write(fmt.Appendf(nil, `{"type":"ack","id":"1","code":0,"payload":{"accepted":[%q],"not_found":[],"resync_required":[],"cursors":{%[1]q:{"seq":0,"epoch":"e"}}}}`, session))
	seq, frame := 0, []byte(nil)
	event := func(kind, payload string) {
		seq++
		write(fmt.Appendf(nil, `{"type":%q,"seq":%d,"session_id":%q,"epoch":"e","timestamp":"2026-11-26T01:36:11.760Z","payload":{"agentId":"main","turnId":0,%s}}`, kind, seq, session, payload))
	}
	for {
		out.Flush()
		select {
		case p := <-prompts:
			var n, size int
			fmt.Sscan(p.Content[0].Text, &n, &size)
			event("turn.started", fmt.Sprintf(`"promptId":%q`, p.ID))
			event("turn.step.started", `"step":1`)
			delta := fmt.Sprintf(`{"type":"assistant.delta","seq":%d,"session_id":%q,"epoch":"e","timestamp":"2026-11-26T01:36:11.760Z",`, seq, session) +
				fmt.Sprintf(`"payload":{"type":"assistant.delta","time":1795656971760,"agentId":"main","turnId":0,"delta":%q,"sessionId":%q},"volatile":true,"offset":`, strings.Repeat("x", size), session)
			for i := range n {
				frame = append(append(frame[:0], delta...), strconv.Itoa(i*size)...)
				write(append(frame, '}'))
			}
			event("turn.step.completed", `"step":1,"finishReason":"tool_use","providerFinishReason":"stop"`)
			event("turn.ended", `"reason":"completed"`)
		case <-gone:
			out.Write([]byte{0x88, 0})
			out.Flush()
			return
		}
	}
}

// never ignores cleanup functions, because the process ends anyway.
type never struct{}

func (never) Cleanup(func()) {}

// BenchmarkKimiCodeEvents reads the events of one turn from a server that behaves like "kimi web". Compare it with
// BenchmarkEvents.
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

// BenchmarkKimiCodeTurn runs turns of one word with the real Kimi Code. After each turn, it sends the same prompt over
// a bare WebSocket of the same server.
func BenchmarkKimiCodeTurn(b *testing.B) {
	k := webtest.NewKimi(b)
	child := webtest.NewChild(k.URL, k.Token)
	defer child.End(nil) // this ends the bridge and leaves the server running
	s, err := client.NewSession(b.Context(), &client.Options{
		Transport: overServer{child}, WorkDir: k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
	})
	if err != nil {
		b.Fatal(err)
	}
	bare := newBareSession(b, k)
	var first, whole, bareFirst, bareWhole medians
	ours := func() {
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
				first, seen = append(first, time.Since(began)), true
			}
		}
		whole = append(whole, time.Since(began))
	}
	theirs := func() {
		f, w := bare.turn(b)
		bareFirst, bareWhole = append(bareFirst, f), append(bareWhole, w)
	}
	for b.Loop() { // the order changes, because the server still works after a turn, which makes the next one slower
		k.Model.Add("text: ok", "text: ok", "text: ok", "text: ok")
		ours()
		theirs()
		theirs()
		ours()
	}
	b.ReportMetric(first.ms(), "step-ms")
	b.ReportMetric(whole.ms(), "turn-ms")
	b.ReportMetric(bareFirst.ms(), "bare-step-ms")
	b.ReportMetric(bareWhole.ms(), "bare-turn-ms")
	b.ReportMetric(whole.ms()/bareWhole.ms(), "turn/bare")
}

// medians are times. The result is their median, because other programs use the machine, too.
type medians []time.Duration

func (m medians) ms() float64 {
	slices.Sort(m)
	return float64(m[len(m)/2]) / 1e6
}

// overServer is a transport to a server that runs already.
type overServer struct{ child *webtest.Child }

func (t overServer) Start(ctx context.Context, cmd *client.Command) (client.Conn, error) {
	return bridge.Start(ctx, (*bridge.Command)(cmd), func(context.Context, *bridge.Command, string, []string) (bridge.Child, error) { return t.child, nil }, nil)
}

// bareSession is a session of a server, without this module.
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
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(k.URL, "http")+"/api/v1/ws", http.Header{"Authorization": {"Bearer " + k.Token}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	s.conn = conn
	if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"subscribe","id":"1","payload":{"session_ids":[%q]}}`, s.id)); err != nil {
		b.Fatal(err)
	}
	go func() { // read the messages in a goroutine, as any client does
		for {
			select {
			case <-time.After(5 * time.Second):
				if conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"pong","payload":{}}`)) != nil {
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

// until reads events up to the first one of a kind, and returns that event.
func (s *bareSession) until(b *testing.B, kind string) []byte {
	b.Helper()
	for {
		_, data, err := s.conn.ReadMessage()
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
			return data
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
