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

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

// tab is a page of a relay: it reads the events from a number on.
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

// until returns what comes up to the first entry of this type.
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

// Two pages show a turn with the diff of a request. One page approves it, and one comes late.
func TestBackendsRelay(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		scripts := []string{
			say("text: I edit.", clienttest.ToolCall("edit", b.edit, b.editArgs("notes.txt", "old", "new"))),
			say(ask("q", false, "Colour?")), "text: done", "text: two", say("text: three", "hang:"),
		}
		if b.name == "Kimi Code" { // it edits what it has read
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
		post := func(path, body string, want int) {
			t.Helper()
			resp, err := http.Post(url+"/"+path, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != want {
				t.Errorf("%s %s: %d %s, %v", path, body, resp.StatusCode, answer, err)
			}
		}

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
