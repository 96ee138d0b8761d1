//go:build unix

package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

// tab is a browser page of a relay. It reads the events after a given number.
type tab struct {
	t    *testing.T
	last int64
	next func() (id, data string)
}

func openTab(t *testing.T, ctx context.Context, url string, after int64) *tab {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", fmt.Sprint(after))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	return &tab{t: t, last: after, next: func() (id, data string) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("events: %v", err)
			}
			line = strings.TrimSuffix(line, "\n")
			if v, ok := strings.CutPrefix(line, "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				return id, v
			}
		}
	}}
}

// until returns the entries up to the first one of this type.
func (tab *tab) until(name string) (all []any) {
	tab.t.Helper()
	for {
		id, data := tab.next()
		if tab.last++; id != fmt.Sprint(tab.last) {
			tab.t.Fatalf("entry %s follows %d", id, tab.last-1)
		}
		m, err := relay.Entry{JSON: json.RawMessage(data)}.Message()
		if err != nil {
			tab.t.Fatal(err)
		}
		all = append(all, m)
		if strings.HasPrefix(data, `{"type":"`+name+`"`) {
			return all
		}
	}
}

func lastOf[M any](t *testing.T, all []any) M {
	t.Helper()
	m, ok := all[len(all)-1].(M)
	if !ok {
		t.Fatalf("%T is no %T", all[len(all)-1], m)
	}
	return m
}

// postTo posts JSON and checks the status of the response.
func postTo(t *testing.T, url, body string, want int) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != want {
		t.Errorf("%s %s: %d %s, %v", url, body, resp.StatusCode, answer, err)
	}
}

// relayed starts a session and serves its relay. The end of the test closes both.
func relayed(t *testing.T, ctx context.Context, opts *client.Options) (url string) {
	t.Helper()
	outside := new(relay.Outside)
	opts.OnMessage = outside.OnMessage
	s := liveSession(t, ctx, opts)
	r := relay.New(s, &relay.Options{Outside: outside, Authorize: func(*http.Request) error { return nil }})
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		if err := r.Close(); err != nil { // ends the streams, for which the server waits
			t.Error(err)
		}
		server.Close()
	})
	return server.URL
}

// An answer for the whole session, over HTTP, lets the same call run later without a question.
func TestBackendsRelayForSession(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, _ := b.model(t, b.run("one", "echo on$((1))ce >> ran"), "text: ran", b.run("two", "echo on$((1))ce >> ran"), "text: ran again")
		url := relayed(t, ctx, opts)
		page := openTab(t, ctx, url, 0)
		postTo(t, url+"/prompt", `{"text":"go"}`, http.StatusAccepted)
		asked := lastOf[*relay.Pending](t, page.until("relay.Pending"))
		postTo(t, url+"/answer/"+asked.ID, `{"response":"approve_for_session","feedback":"x"}`, http.StatusBadRequest) // the request still waits after this
		postTo(t, url+"/answer/"+asked.ID, `{"response":"approve_for_session"}`, http.StatusOK)
		if got := lastOf[*relay.Settled](t, page.until("relay.Settled")); got.ID != asked.ID || got.Outcome != relay.ApprovedForSession {
			t.Errorf("%+v", got)
		}
		if got := lastOf[*relay.TurnEnded](t, page.until("relay.TurnEnded")); got.Error != nil || got.Result.Text != "ran" {
			t.Errorf("%+v", got)
		}
		postTo(t, url+"/prompt", `{"text":"again"}`, http.StatusAccepted)
		all := page.until("relay.TurnEnded")
		if got := lastOf[*relay.TurnEnded](t, all); got.Error != nil || got.Result.Text != "ran again" {
			t.Errorf("%+v", got)
		}
		for _, m := range all {
			if p, ok := m.(*relay.Pending); ok {
				t.Errorf("asked again: %s", p.Request)
			}
		}
		if text, err := os.ReadFile(filepath.Join(opts.WorkDir, "ran")); string(text) != "on1ce\non1ce\n" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// A steer over HTTP reaches the model and is in the log. Without a turn it is refused.
func TestBackendsRelaySteer(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts, model := b.model(t, b.run("one", "echo 1"), "text: as you say")
		url := relayed(t, ctx, opts)
		page := openTab(t, ctx, url, 0)
		postTo(t, url+"/steer", `{"text":"too early"}`, http.StatusConflict)
		postTo(t, url+"/prompt", `{"text":"go"}`, http.StatusAccepted)
		asked := lastOf[*relay.Pending](t, page.until("relay.Pending"))
		postTo(t, url+"/steer", `{"text":"another <way>"}`, http.StatusOK)
		postTo(t, url+"/answer/"+asked.ID, `{"response":"approve"}`, http.StatusOK)
		all := page.until("relay.TurnEnded")
		if got := lastOf[*relay.TurnEnded](t, all); got.Error != nil || got.Result.Text != "as you say" {
			t.Errorf("%+v", got)
		}
		var steered []string
		for _, m := range all {
			if m, ok := m.(*wireproto.SteerInput); ok {
				steered = append(steered, m.UserInput.String())
			}
		}
		e2eSame(t, "steered", []string{"another <way>"}, steered)
		if calls := model.Requests(); len(calls) != 2 || !strings.Contains(string(calls[1]), `another`) {
			t.Errorf("the model was asked %d times, the last time without what was said", len(calls))
		}
		postTo(t, url+"/steer", `{"text":"too late"}`, http.StatusConflict)
	})
}

// A request of a background agent while no turn runs is in the log, and can be answered over HTTP.
func TestBackendsRelayOutside(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		idle := make(chan struct{}) // closed when the turn is over
		api := newModelAPI(t, func(r modelRequest) string {
			results := r.says("tool", "")
			switch {
			case r.says("user", "do the subtask") && !results:
				select {
				case <-idle:
				case <-ctx.Done():
				}
				return toolDelta("sub", b.shell, map[string]string{"command": "touch asked-outside"})
			case r.says("user", "do the subtask"):
				return textDelta(strings.TrimPrefix(summary, "text: "))
			case !results:
				return toolDelta("ag", "Agent", agentArgs(true))
			}
			return textDelta("started")
		})
		opts := b.at(t, api.url)
		url := relayed(t, ctx, opts)
		page := openTab(t, ctx, url, 0)
		postTo(t, url+"/prompt", `{"text":"go"}`, http.StatusAccepted)
		all := page.until("relay.TurnEnded")
		if got := lastOf[*relay.TurnEnded](t, all); got.Error != nil || got.Result.Text != "started" {
			t.Errorf("%+v", got)
		}
		close(idle)
		asked := lastOf[*relay.Pending](t, page.until("relay.Pending"))
		if asked.Call == nil || asked.Call.Name != b.shell || !strings.Contains(string(asked.Call.Arguments), "touch asked-outside") {
			t.Errorf("%s, call %+v", asked.Request, asked.Call)
		}
		var state relay.State
		resp, err := http.Get(url + "/state")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&state); err != nil || len(state.Turns) != 0 || len(state.Pending) != 1 || state.Pending[0].ID != asked.ID {
			t.Errorf("%+v, %v", state, err)
		}
		if wasRun(t, opts, "asked-outside") {
			t.Error("carried out before the answer")
		}
		postTo(t, url+"/answer/"+asked.ID, `{"response":"approve"}`, http.StatusOK)
		if got := lastOf[*relay.Settled](t, page.until("relay.Settled")); got.ID != asked.ID || got.Outcome != relay.Approved {
			t.Errorf("%+v", got)
		}
		postTo(t, url+"/answer/"+asked.ID, `{"response":"reject"}`, http.StatusConflict)
		eventually(t, time.Minute, func() bool { return wasRun(t, opts, "asked-outside") }, func() string { return "it was not carried out" })
	})
}

// Two pages show the same turn with the diff of a request. One page approves the request. A third page connects late.
func TestBackendsRelay(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		scripts := []string{
			say("text: I edit.", clienttest.ToolCall("edit", b.edit, b.editArgs("notes.txt", "old", "new"))),
			say(ask("q", false, "Colour?")), "text: done", "text: two", say("text: three", "hang:"),
		}
		if b.name == "Kimi Code" { // it edits only files that it has read
			scripts = slices.Insert(scripts, 0, clienttest.ToolCall("read", "Read", map[string]string{"path": "notes.txt"}))
		}
		opts, _ := b.model(t, scripts...)
		file := filepath.Join(opts.WorkDir, "notes.txt")
		if err := os.WriteFile(file, []byte("an old line\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		opts.SupportsQuestion = true
		outside := new(relay.Outside)
		opts.OnMessage = outside.OnMessage
		s := e2eStart(t, ctx, opts)
		r := relay.New(s, &relay.Options{Outside: outside, Authorize: func(*http.Request) error { return nil }})
		defer r.Close()
		server := httptest.NewServer(http.StripPrefix("/agent", r))
		defer server.Close()
		url := server.URL + "/agent"
		post := func(path, body string, want int) { t.Helper(); postTo(t, url+"/"+path, body, want) }

		one, two := openTab(t, ctx, url, 0), openTab(t, ctx, url, 0)
		post("prompt", `{"text":"edit"}`, http.StatusAccepted)
		asked := lastOf[*relay.Pending](t, one.until("relay.Pending"))
		if same := lastOf[*relay.Pending](t, two.until("relay.Pending")); same.ID != asked.ID {
			t.Errorf("%s and %s", asked.ID, same.ID)
		}
		request, err := wireproto.UnmarshalMessage(asked.Request)
		if err != nil {
			t.Fatal(err)
		}
		approval, ok := request.(*wireproto.ApprovalRequest)
		if !ok || asked.Call == nil || asked.Call.Name != b.edit || !strings.Contains(string(asked.Call.Arguments), `"new"`) {
			t.Fatalf("%+v, %T", asked, request)
		}
		if !slices.ContainsFunc(approval.Display, func(d wireproto.DisplayBlock) bool {
			diff, ok := d.(*wireproto.DiffDisplayBlock)
			return ok && strings.Contains(diff.NewText, "new")
		}) {
			t.Errorf("no diff in %s", asked.Request)
		}
		if text, _ := os.ReadFile(file); string(text) != "an old line\n" {
			t.Errorf("before the approval: %q", text)
		}
		late := openTab(t, ctx, url, one.last)
		post("answer/"+asked.ID, `{"response":"approve"}`, http.StatusOK)
		post("answer/"+asked.ID, `{"response":"reject"}`, http.StatusConflict)
		for _, tab := range []*tab{one, two, late} {
			if got := lastOf[*relay.Settled](t, tab.until("relay.Settled")); got.ID != asked.ID || got.Outcome != relay.Approved {
				t.Errorf("%+v", got)
			}
		}
		asked = lastOf[*relay.Pending](t, late.until("relay.Pending"))
		post("answer/"+asked.ID, `{"answers":{"Colour?":"Blue"}}`, http.StatusOK)
		for _, tab := range []*tab{one, two, late} {
			if got := lastOf[*relay.TurnEnded](t, tab.until("relay.TurnEnded")); got.Error != nil || got.Result.Text != "done" || got.Result.Status != wireproto.StatusFinished {
				t.Errorf("%+v", got)
			}
		}
		if text, _ := os.ReadFile(file); string(text) != "an new line\n" {
			t.Errorf("after the approval: %q", text)
		}

		post("queue", `{"text":"second"}`, http.StatusAccepted)
		post("queue", `{"text":"third"}`, http.StatusAccepted)
		if got := lastOf[*relay.TurnEnded](t, one.until("relay.TurnEnded")); got.Turn != 2 || got.Result.Text != "two" {
			t.Errorf("%+v", got)
		}
		for !slices.ContainsFunc(one.until("ContentPart"), func(m any) bool { p, ok := m.(*wireproto.TextPart); return ok && p.Text == "three" }) {
		}
		post("cancel", `{"turn":3}`, http.StatusOK)
		if got := lastOf[*relay.TurnEnded](t, one.until("relay.TurnEnded")); got.Turn != 3 || got.Result.Status != wireproto.StatusCancelled || got.Error == nil {
			t.Errorf("%+v", got)
		}
		post("cancel", `{"turn":3}`, http.StatusConflict)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		one.until("relay.SessionEnded")
		if err := s.Err(); err != client.ErrClosed {
			t.Error(err)
		}
	})
}
