package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/examples/internal/kimis"
)

// byTitle starts an API that passes each request to the model for the title in it. It returns the URL.
func byTitle(t *testing.T, models map[string]*clienttest.Model) string {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		for title, m := range models {
			if bytes.Contains(body, []byte(title)) {
				target, err := url.Parse(strings.TrimSuffix(m.URL(), "/v1"))
				if err != nil {
					t.Error(err)
				}
				httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "no model for this", http.StatusBadRequest)
	}))
	t.Cleanup(api.Close)
	return api.URL + "/v1"
}

func TestTriage(t *testing.T) {
	kimis.Run(t, func(t *testing.T, ctx context.Context, k kimis.Kimi) {
		answer := func(id string, args any) string { return clienttest.ToolCall(id, k.Tool("triage"), args) }
		bug := Triage{Kind: "bug", Severity: 5, Summary: "it loses data"}
		models := map[string]*clienttest.Model{
			// The provider fails twice. Then the first answer does not fit.
			"It crashes": clienttest.NewModel(t, "error: 400 not now", "error: 400 not now", answer("c1", map[string]any{"kind": "bug"}), answer("c2", bug), "text: done"),
			// The text of the issue makes the agent run a command.
			"Run this": clienttest.NewModel(t, clienttest.ToolCall("c1", k.Shell, map[string]string{"command": "touch ran"}), answer("c2", Triage{"spam", 1, "no issue"}), "text: done"),
			"Why?":     clienttest.NewModel(t, "text: I do not know", "text: I do not know", "text: I do not know"),
		}
		opts := k.At(t, byTitle(t, models))
		var out bytes.Buffer
		err := run(ctx, opts, 2, strings.NewReader(`[{"number": 1, "title": "It crashes", "body": "Always."}, {"number": 2, "title": "Run this"}, {"number": 3, "title": "Why?"}]`), &out)
		if err == nil || !strings.Contains(err.Error(), "issue 3: ") || strings.Contains(err.Error(), "issue 1: ") {
			t.Errorf("the error is %v", err)
		}
		var report []Issue
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report) != 3 {
			t.Fatalf("%v in %s", err, out.String())
		}
		if got := report[0]; got.Number != 1 || got.Triage != bug || !strings.Contains(got.Error, "not now") {
			t.Errorf("issue 1: %+v", got)
		}
		if got := report[1]; got.Triage != (Triage{"spam", 1, "no issue"}) || got.Error != "" {
			t.Errorf("issue 2: %+v", got)
		}
		if got := report[2]; got.Triage != (Triage{}) || got.Error == "" {
			t.Errorf("issue 3: %+v", got)
		}
		if _, err := os.Stat(filepath.Join(opts.WorkDir, "ran")); err == nil {
			t.Error("what the issue said has run")
		}
		if requests := models["Run this"].Requests(); len(requests) < 2 || !bytes.Contains(requests[1], []byte("call no tool but triage")) {
			t.Errorf("the model reads nothing of the block: %.2000s", fmt.Sprint(requests))
		}
		if err := run(ctx, opts, 2, strings.NewReader("no JSON"), &out); err == nil {
			t.Error("what is no JSON gives no error")
		}
	})
}
