//go:build unix

package bridge_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
)

// longTurn returns the scripts of a turn with thinking, text that is not only ASCII, calls with long arguments,
// approvals, and a subagent.
func longTurn() []string {
	slowly := func(lines ...string) string { return strings.Join(lines, "\nwait: 25ms\n") }
	say := func(lines ...string) string { return strings.Join(lines, "\n") }
	bash := func(id, name string) []string {
		args, _ := json.Marshal(map[string]string{"command": "echo " + name + " " + strings.Repeat("#", 30)})
		raw := string(args)
		part := func(s string) string {
			b, _ := json.Marshal(s)
			return "tool_call_part: " + string(b)
		}
		call, _ := json.Marshal(map[string]string{"id": id, "name": "Bash", "arguments": raw[:8]})
		return []string{"tool_call: " + string(call), part(raw[8:20]), part(raw[20:30]), part(raw[30:])}
	}
	lines := func(before []string, more []string) []string { return append(before, more...) }
	return []string{
		slowly(lines([]string{clienttest.Think("let me "), clienttest.Think("see 😀 "), clienttest.Think("now"),
			clienttest.Text("I go "), clienttest.Text("😀 "), clienttest.Text("to work")}, bash("c1", "main"))...),
		slowly(clienttest.Text("delegate "), clienttest.Text("it"), clienttest.ToolCall("c2", "Agent", map[string]any{
			"description": "some work", "prompt": "do it", "subagent_type": "coder", "run_in_background": false})),
		slowly(lines([]string{clienttest.Think("sub "), clienttest.Think("thinks"), clienttest.Text("sub "), clienttest.Text("says")}, bash("c3", "sub"))...),
		slowly(clienttest.Text("sub "), clienttest.Text(strings.Repeat("is done ", 40))),
		say(clienttest.Text("gone "), "tool_call: "+`{"id":"c4","name":"TodoList","arguments":"{\"todos\": [{\"title\": \"x\", \"status\": \"pending\"}]}"}`),
		slowly(clienttest.Think("well"), clienttest.Text("all "), clienttest.Text("is 😀"), clienttest.Text(" done")),
	}
}

// prompted runs a turn on a server through a proxy with hooks.
func prompted(t *testing.T, k *webtest.Kimi, hooks webtest.Hooks, approve func(*client.ApprovalRequest) bool) *tale {
	t.Helper()
	p := webtest.NewProxy(t, k.URL, k.Token, hooks)
	defer p.Close()
	opts := &client.Options{
		Transport: transport{spawn: func() bridge.Child { return p.Child() }},
		WorkDir:   k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
	}
	ctx := within(t, time.Minute)
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	told := hearTurn(ctx, s, "go", approve)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return told
}

var update = flag.Bool("update", false, "record again what the real server says")

// record writes the events of a turn and the routes of the server to files, for tests without a real server.
func record(t *testing.T, k *webtest.Kimi, frames [][]byte) {
	t.Helper()
	var lines []string
	for _, frame := range frames {
		var f map[string]json.RawMessage
		if err := json.Unmarshal(frame, &f); err != nil {
			t.Fatal(err)
		}
		kind := string(f["type"])
		if lines == nil && kind != `"prompt.submitted"` {
			continue
		}
		if kind == `"context.spliced"` { // reminders to the model are not needed, and depend on this machine
			f["payload"] = json.RawMessage(`{"type":"context.spliced","agentId":"main","start":0,"deleteCount":0,"messages":[]}`)
		}
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.ReplaceAll(string(raw), filepath.Dir(k.Options.WorkDir), "/tmp/test"))
	}
	req, _ := http.NewRequest(http.MethodGet, k.URL+"/openapi.json", nil)
	req.Header.Set("Authorization", "Bearer "+k.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	for _, methods := range doc.Paths {
		for method := range methods {
			methods[method] = json.RawMessage("{}")
		}
	}
	routes, err := json.MarshalIndent(doc, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "webtest", "testdata")
	for name, data := range map[string]string{"turn.jsonl": strings.Join(lines, "\n"), "openapi.json": string(routes)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var onKimi = flag.Bool("soak.kimi", false, "cause many faults on the real server, which takes minutes")

// The connection to the real server is lost before, in the middle of, or after an event of a long turn. make soak does
// this at every event. The client gets everything, and nothing twice.
func TestLostSocket(t *testing.T) {
	k := webtest.NewKimi(t)
	frames := 0
	var recording [][]byte
	count := webtest.Hooks{Frame: func(f []byte) ([][]byte, webtest.Cut) {
		frames++
		recording = append(recording, f)
		return [][]byte{f}, webtest.Keep
	}}
	k.Model.Add(longTurn()...)
	want := prompted(t, k, count, always)
	if want.Status != "finished" || len(want.Agents) != 2 || len(want.Approvals) != 2 {
		raw, _ := json.MarshalIndent(want, "", " ")
		t.Fatalf("without a cut: %s", raw)
	}
	t.Logf("%d frames", frames)
	if *update {
		record(t, k, recording)
	}
	every := 7
	if *onKimi {
		every = 1
	}
	for n := 1; n <= frames && !*update; n += every {
		how := []webtest.Cut{webtest.Before, webtest.Half, webtest.After}[n%3]
		var mu sync.Mutex
		seen, event := 0, ""
		hooks := webtest.Hooks{Frame: func(f []byte) ([][]byte, webtest.Cut) {
			mu.Lock()
			defer mu.Unlock()
			if seen++; seen == n {
				event = string(f[:min(len(f), 200)])
				return [][]byte{f}, how
			}
			return [][]byte{f}, webtest.Keep
		}}
		k.Model.Add(longTurn()...)
		got := prompted(t, k, hooks, always)
		if diff := cmp.Diff(want, got, sameTale); diff != "" {
			t.Errorf("cut %d (%d: before, half, after) at %s:\n(-want +got)\n%s", n, how, event, diff)
		}
	}
}

// With random faults between the bridge and the real server, the client gets the whole turn.
func TestFaultsKimi(t *testing.T) {
	k := webtest.NewKimi(t)
	k.Model.Add(longTurn()...)
	want := prompted(t, k, webtest.Hooks{}, always)
	n := 3
	if *onKimi {
		n = 30
	}
	for seed := range uint64(n) {
		x := newFaults(1000+seed, nil)
		k.Model.Add(longTurn()...)
		got := prompted(t, k, x.hooks(), always)
		if diff := cmp.Diff(want, got, sameTale); diff != "" {
			t.Errorf("seed %d: %s\n(-want +got)\n%s", seed, strings.Join(x.log, "\n"), diff)
		}
	}
}

// The real server is killed during a turn. The client gets what the server has said before, and the turn does not end as
// finished.
func TestKilledKimi(t *testing.T) {
	kills := 1
	if *onKimi {
		kills = 5
	}
	for n := range kills {
		k := webtest.NewKimi(t)
		k.Model.Add(longTurn()...)
		var mu sync.Mutex
		events := 0
		p := webtest.NewProxy(t, k.URL, k.Token, webtest.Hooks{Frame: func(f []byte) ([][]byte, webtest.Cut) {
			mu.Lock()
			defer mu.Unlock()
			if events++; events == 25+17*n {
				syscall.Kill(-k.Process.PID(), syscall.SIGKILL)
			}
			return [][]byte{f}, webtest.Keep
		}})
		child := p.Child()
		go func() {
			<-k.Process.Done()
			child.End(k.Process.Wait())
		}()
		s, err := client.NewSession(within(t, time.Minute), &client.Options{
			Transport: transport{spawn: func() bridge.Child { return child }},
			WorkDir:   k.Options.WorkDir, ShareDir: k.Options.ShareDir, Env: k.Options.Env,
		})
		if err != nil {
			t.Fatal(err)
		}
		got := hearTurn(within(t, time.Minute), s, "go", always)
		if got.Status == "finished" || strings.Contains(got.Status, "deadline") || got.told == 0 {
			t.Errorf("killed at %d: %s after %d messages", 25+17*n, got.Status, got.told)
		}
		s.Close()
	}
}
