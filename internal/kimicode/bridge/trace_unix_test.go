//go:build unix

package bridge_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator/trace"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Inputs of the translator can be encoded and decoded again. The inputs come from the real server. With -update, they
// are written to files for the tests of package trace.
func TestTraces(t *testing.T) {
	k := webtest.NewKimi(t)
	tests := []struct {
		name    string
		scripts []string
		cuts    []int // numbers of the events before which the connection is lost
		run     func(t *testing.T, s *client.Session)
	}{
		{"turn", longTurn(), nil, func(t *testing.T, s *client.Session) {
			if got := hearTurn(within(t, time.Minute), s, "go", always); got.Status != "finished" {
				t.Error(got.Status)
			}
		}},
		{"cuts", longTurn(), []int{18, 50, 66}, func(t *testing.T, s *client.Session) {
			if got := hearTurn(within(t, time.Minute), s, "go", always); got.Status != "finished" {
				t.Error(got.Status)
			}
		}},
		{"cancel", []string{"text: one\nhang:", "text: two"}, nil, func(t *testing.T, s *client.Session) {
			ctx := within(t, time.Minute)
			turn, err := s.Prompt(ctx, "go")
			if err != nil {
				t.Fatal(err)
			}
			for m, err := range turn.Messages() {
				if _, ok := m.(*wireproto.TextPart); ok {
					if err := turn.Cancel(ctx); err != nil {
						t.Error(err)
					}
				} else if err != nil {
					break
				}
			}
			if got := hearTurn(ctx, s, "again", always); got.Status != "finished" {
				t.Error(got.Status)
			}
		}},
		{"reject", []string{clienttest.ToolCall("c1", "Bash", map[string]string{"command": "touch x"}), "text: well"}, nil, func(t *testing.T, s *client.Session) {
			got := hearTurn(within(t, time.Minute), s, "go", func(*client.ApprovalRequest) bool { return false })
			if got.Status != "finished" || len(got.Approvals) != 1 {
				t.Errorf("%+v", got)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k.Model.Add(test.scripts...)
			var mu sync.Mutex
			events := 0
			hooks := webtest.Hooks{Frame: func(f []byte) ([][]byte, webtest.Cut) {
				mu.Lock()
				defer mu.Unlock()
				events++
				if slices.Contains(test.cuts, events) {
					return [][]byte{f}, webtest.Before
				}
				return [][]byte{f}, webtest.Keep
			}}
			p := webtest.NewProxy(t, k.URL, k.Token, hooks)
			var lines [][]byte
			watch := func(set translator.Settings, in translator.Input, at time.Time) {
				mu.Lock()
				defer mu.Unlock()
				if lines == nil {
					raw, _ := json.Marshal(set)
					lines = append(lines, raw)
				}
				if e, ok := in.(translator.Event); ok && e.Type == "context.spliced" { // reminders to the model depend on this machine
					short := *e.Event
					short.Payload = json.RawMessage(`{"type":"context.spliced","agentId":"main"}`)
					in = translator.Event{Event: &short}
				}
				if a, ok := in.(translator.Answer); ok && bytes.Contains(a.Data, []byte(`"skills"`)) {
					in = translator.Answer{ID: a.ID, Data: json.RawMessage(`{"skills":[]}`)}
				}
				line, err := trace.Encode(in, at)
				if err != nil {
					t.Error(err)
				}
				back, _, err := trace.Decode(line)
				if err != nil {
					t.Errorf("%T: %v", in, err)
				}
				if again, err := trace.Encode(back, at); err != nil || !bytes.Equal(again, line) {
					t.Errorf("%T is read back as another: %v\n%s\n%s", in, err, line, again)
				}
				lines = append(lines, line)
			}
			s, err := client.NewSession(within(t, time.Minute), &client.Options{
				Transport: transport{spawn: func() bridge.Child { return p.Child() }, watch: watch},
				WorkDir:   k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
			})
			if err != nil {
				t.Fatal(err)
			}
			test.run(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if *update {
				raw := bytes.ReplaceAll(append(bytes.Join(lines, []byte("\n")), '\n'), []byte(filepath.Dir(k.Options.WorkDir)), []byte("/tmp/test"))
				if err := os.WriteFile(filepath.Join("translator", "trace", "testdata", test.name+".jsonl"), raw, 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
