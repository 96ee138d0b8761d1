package relay_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/client/relay"
	"github.com/kimi-go/kimi-go/wireproto"
)

func anyone(*http.Request) error { return nil }

// serve serves a relay below a prefix.
func serve(t testing.TB, r *relay.Relay) string {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix("/agent", r))
	t.Cleanup(server.Close)
	return server.URL + "/agent/"
}

func post(t testing.TB, url, body string) (status int, answer string) {
	t.Helper()
	resp, err := http.Post(url, "application/json; charset=utf-8", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

// event is a server-sent event. Its id is 0 if the event has none.
type event struct {
	id   int64
	data string
}

// events reads a stream of events until yield returns false. It also returns the lines that are not part of an event.
func events(t testing.TB, url, lastEventID string, yield func(event) bool) (resp *http.Response, rest []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e event
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "id":
			if e.id, err = strconv.ParseInt(value, 10, 64); err != nil {
				t.Fatal(err)
			}
		case "data":
			e.data = value
		case "":
			if e.data != "" && !yield(e) {
				return resp, rest
			}
			e = event{}
		default:
			if rest = append(rest, lines.Text()); len(rest) > 100 {
				return resp, rest
			}
		}
	}
	return resp, rest
}

func isType(data, name string) bool { return strings.HasPrefix(data, `{"type":"`+name+`"`) }

func TestHTTP(t *testing.T) {
	_, r := start(t, &relay.Options{Authorize: anyone}, func(t *clienttest.Turn) {
		a := t.Approval(wireproto.ApprovalRequest{Action: "run command"}, nil)
		t.Say(string(a.Response) + " after " + <-t.Steered)
	}, func(t *clienttest.Turn) { t.Hang() })
	url := serve(t, r)
	if status, answer := post(t, url+"prompt", `{"text":"Hello","parts":[{"type":"text","text":"there"}]}`); status != http.StatusAccepted || answer != `{"turn":1}` {
		t.Fatalf("%d %s", status, answer)
	}
	id, last := "", int64(0)
	resp, _ := events(t, url+"events", "", func(e event) bool {
		if last++; e.id != last {
			t.Errorf("event %d has the id %d", last, e.id)
		}
		var pending struct{ Payload relay.Pending }
		if isType(e.data, "relay.Pending") {
			if err := json.Unmarshal([]byte(e.data), &pending); err != nil {
				t.Error(err)
			}
		}
		id = pending.Payload.ID
		return id == ""
	})
	if h := resp.Header; h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%v", h)
	}
	for _, step := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"prompt", `{"text":"too early"}`, http.StatusConflict, "client: a turn is running"},
		{"answer/" + id, `{"response":"perhaps"}`, http.StatusBadRequest, "is no response; use"},
		{"answer/" + id, `{"response":"approve"}`, http.StatusOK, "{}"},
		{"answer/" + id, `{"response":"approve"}`, http.StatusConflict, "answered already"},
		{"answer/other", `{"response":"approve"}`, http.StatusNotFound, "relay: no such request"},
		{"steer", `{"text":"this"}`, http.StatusOK, "{}"},
		{"queue", `{"text":"next"}`, http.StatusAccepted, `{"turn":2}`},
		{"cancel", `{"turn":2}`, http.StatusOK, "{}"},
		{"cancel", `{"turn":9}`, http.StatusConflict, "client: no turn"},
		{"prompt", `{"text":""}`, http.StatusBadRequest, "client: empty prompt"},
		{"prompt", `{"prompt":"Hello"}`, http.StatusBadRequest, "the body cannot be read"},
		{"prompt", `{"text":"a"}{"text":"b"}`, http.StatusBadRequest, "more than one value"},
		{"prompt", `{"parts":"text"}`, http.StatusBadRequest, "parts must be a list"},
		{"prompt", `{"text":"` + strings.Repeat("a", 1<<20) + `"}`, http.StatusRequestEntityTooLarge, "raise Options.MaxBody"},
		{"else", `{}`, http.StatusNotFound, "relay: no such path"},
		{"events", `{}`, http.StatusMethodNotAllowed, "use GET"},
	} {
		if status, answer := post(t, url+step.path, step.body); status != step.status || !strings.Contains(answer, step.answer) {
			t.Errorf("POST %s %.60s: %d %s", step.path, step.body, status, answer)
		}
		if step.path == "steer" { // the turn ends only after this step
			read[*relay.TurnEnded](t, r, 0)
		}
	}
	var texts []string
	events(t, url+"events?after=1", fmt.Sprint(last), func(e event) bool { // the header Last-Event-ID overrides ?after=
		if last++; e.id != last {
			t.Errorf("event %d has the id %d", last, e.id)
		}
		if isType(e.data, "relay.Settled") || isType(e.data, "ContentPart") {
			texts = append(texts, e.data)
		}
		return !isType(e.data, "relay.TurnEnded")
	})
	if len(texts) != 2 || !strings.Contains(texts[0], `"outcome":"approve"`) || !strings.Contains(texts[1], "approve after this") {
		t.Errorf("%q", texts)
	}
	resp, err := http.Get(url + "state")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var state relay.State
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil || state.Oldest != 1 || state.Last < last {
		t.Errorf("%+v, %v", state, err)
	}
	for _, bad := range []string{"x", "-1"} {
		if resp, _ := events(t, url+"events?after="+bad, "", func(event) bool { return true }); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("after=%s: %s", bad, resp.Status)
		}
	}
}

// A client without permission gets an error, whatever it asks for. So does a page of another site.
func TestRefused(t *testing.T) {
	denied := errors.New("show the token")
	for _, test := range []struct {
		name      string
		authorize func(*http.Request) error
		method    string
		path      string
		header    http.Header
		status    int
		says      string
	}{
		{"nobody", nil, "GET", "/events", nil, 403, "relay.Options.Authorize"},
		{"nobody, a path that is none", nil, "GET", "/x", nil, 403, "relay.Options.Authorize"},
		{"denied", func(*http.Request) error { return denied }, "POST", "/prompt", nil, 403, "show the token"},
		{"denied events", func(*http.Request) error { return denied }, "GET", "/events", nil, 403, "show the token"},
		{"cross-site", anyone, "POST", "/prompt", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"application/json"}}, 403, "cross-origin"},
		{"same site, another origin", anyone, "POST", "/prompt", http.Header{"Sec-Fetch-Site": {"same-site"}, "Content-Type": {"application/json"}}, 403, "cross-origin"},
		{"an old browser", anyone, "POST", "/prompt", http.Header{"Origin": {"https://other.example"}, "Content-Type": {"application/json"}}, 403, "cross-origin"},
		{"a form", anyone, "POST", "/prompt", http.Header{"Content-Type": {"text/plain"}}, 415, "application/json"},
		{"no type", anyone, "POST", "/cancel", nil, 415, "application/json"},
		{"GET", anyone, "GET", "/prompt", nil, 405, "use POST"},
		{"no events", anyone, "HEAD", "/events", nil, 405, "use GET"},
		{"two ids", anyone, "POST", "/answer/a/b", nil, 404, "no such path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, r := start(t, &relay.Options{Authorize: test.authorize})
			req := httptest.NewRequest(test.method, test.path, strings.NewReader(`{"text":"Hello"}`))
			maps.Copy(req.Header, test.header)
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			var told relay.Error
			if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || w.Code != test.status || !strings.Contains(told.Message, test.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Code == 405 && w.Header().Get("Allow") == "" {
				t.Error("no Allow")
			}
			if last := r.State().Last; last != 0 { // no turn was begun
				t.Errorf("%d entries", last)
			}
		})
	}
}

// A silent stream sends comments to show that it is alive. When the session ends, its stream ends, and an EventSource
// does not connect again.
func TestHeartbeatAndEnd(t *testing.T) {
	s, r := start(t, &relay.Options{Authorize: anyone, Heartbeat: time.Millisecond})
	url := serve(t, r)
	if _, rest := events(t, url+"events", "", func(event) bool { return true }); len(rest) < 100 || rest[0] != "retry: 1000" || rest[1] != ":" {
		t.Errorf("%q", rest)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var got []event
	events(t, url+"events", "", func(e event) bool { got = append(got, e); return true })
	if len(got) != 1 || !isType(got[0].data, "relay.SessionEnded") {
		t.Errorf("%v", got)
	}
	if resp, _ := events(t, url+"events", "1", func(event) bool { return true }); resp.StatusCode != http.StatusNoContent {
		t.Errorf("after the end: %s", resp.Status)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if resp, _ := events(t, url+"events", "", func(event) bool { return true }); resp.StatusCode != http.StatusOK { // the entries in memory can still be read
		t.Errorf("after Close: %s", resp.Status)
	}
	if status, answer := post(t, url+"prompt", `{"text":"late"}`); status != http.StatusGone {
		t.Errorf("a prompt after Close: %d %s", status, answer)
	}
}

func TestGapEvent(t *testing.T) {
	_, r := start(t, &relay.Options{Authorize: anyone, Keep: 2}, func(t *clienttest.Turn) { t.Say("a") })
	prompt(t, r, "go")
	untilIdle(t, r)
	last := r.State().Last
	var got []event
	events(t, serve(t, r)+"events", "1", func(e event) bool { got = append(got, e); return e.id != last })
	if len(got) != 3 || got[0].id != 0 || got[1].id != last-1 {
		t.Fatalf("%v", got)
	}
	var gap struct {
		Type    string
		Payload struct {
			After, Oldest int64
			Message       string
		}
	}
	if err := json.Unmarshal([]byte(got[0].data), &gap); err != nil || gap.Type != "relay.Gap" || gap.Payload.After != 1 || gap.Payload.Oldest != last-1 || !strings.Contains(gap.Payload.Message, "Options.Keep") {
		t.Errorf("%s, %v", got[0].data, err)
	}
}

// A client that does not read loses its connection, and delays no other client.
func TestStuckClient(t *testing.T) {
	const parts, size = 200, 64 << 10
	_, r := start(t, &relay.Options{Authorize: anyone, WriteTimeout: 50 * time.Millisecond}, func(t *clienttest.Turn) {
		for range parts {
			t.Say(strings.Repeat("x", size))
		}
	})
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(w, req)
		close(ended)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	prompt(t, r, "go")
	entries, _ := read[*relay.TurnEnded](t, r, 0)
	if len(entries) < parts {
		t.Errorf("%d entries", len(entries))
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the stream of the stuck client goes on")
	}
}

// noFlush is a ResponseWriter that cannot stream.
type noFlush struct{ w *httptest.ResponseRecorder }

func (n noFlush) Header() http.Header         { return n.w.Header() }
func (n noFlush) Write(p []byte) (int, error) { return n.w.Write(p) }
func (n noFlush) WriteHeader(status int)      { n.w.WriteHeader(status) }

func TestNoFlush(t *testing.T) {
	_, r := start(t, &relay.Options{Authorize: anyone})
	w := httptest.NewRecorder()
	r.ServeHTTP(noFlush{w}, httptest.NewRequest("GET", "/events", nil))
	var told relay.Error
	if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(http.StatusInternalServerError, w.Code); diff != "" || !strings.Contains(told.Message, "Unwrap") {
		t.Errorf("%s %s", diff, told.Message)
	}
}
