package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/examples/internal/kimis"
)

// console is the output that the operator sees, one message on each line.
type console chan string

func (c console) Write(p []byte) (int, error) {
	c <- string(p)
	return len(p), nil
}

// wait returns the next line that has a text.
func (c console) wait(t *testing.T, ctx context.Context, text string) string {
	t.Helper()
	for {
		select {
		case line := <-c:
			if strings.Contains(line, text) {
				return line
			}
		case <-ctx.Done():
			t.Fatalf("the operator sees no %q", text)
		}
	}
}

func TestBot(t *testing.T) {
	kimis.Run(t, func(t *testing.T, ctx context.Context, k kimis.Kimi) {
		shell := func(id, command string) string {
			return clienttest.ToolCall(id, k.Shell, map[string]string{"command": command})
		}
		opts, model := k.Options(t, shell("c1", "touch allowed"), shell("c2", "rm allowed"), shell("c3", "mkdir approved"), shell("c4", "mkdir rejected"),
			clienttest.ToolCall("c5", k.Read, map[string]string{"path": "rules.toml"}), "text: done")
		seen := make(console, 1000)
		in, operator := io.Pipe()
		defer operator.Close()
		failed := errors.New("the server has ended")
		say := func(t *testing.T, s *httptest.Server, text string) (result client.TurnResult, status int) {
			t.Helper()
			r, err := http.PostForm(s.URL, url.Values{"text": {text}})
			if err != nil {
				t.Error(err)
				return result, 0
			}
			defer r.Body.Close()
			if r.StatusCode == http.StatusOK {
				if err := json.NewDecoder(r.Body).Decode(&result); err != nil {
					t.Error(err)
				}
			}
			return result, r.StatusCode
		}
		err := run(ctx, opts, "rules.toml", in, slog.New(slog.NewTextHandler(seen, nil)), func(h http.Handler) error {
			s := httptest.NewServer(h)
			defer s.Close()
			answered := make(chan client.TurnResult, 1)
			go func() {
				result, _ := say(t, s, "/yolo on")
				answered <- result
			}()
			for _, decision := range []string{"approve", "reject"} {
				line := seen.wait(t, ctx, "may it?")
				_, id, _ := strings.Cut(line, "id=")
				id, _, _ = strings.Cut(id, " ")
				for _, typed := range []string{decision + " none\n", decision + " " + id + "\n"} {
					if _, err := io.WriteString(operator, typed); err != nil {
						t.Error(err)
					}
				}
				seen.wait(t, ctx, "no such request waits")
				seen.wait(t, ctx, decision)
			}
			if result := <-answered; result.Text != "done" {
				t.Errorf("the stranger gets %+v", result)
			}
			if _, status := say(t, s, ""); status != http.StatusServiceUnavailable {
				t.Errorf("an empty text gives %d", status)
			}
			return failed
		})
		if err != failed {
			t.Error(err)
		}
		for name, want := range map[string]bool{"allowed": true, "approved": true, "rejected": false} {
			if _, err := os.Stat(filepath.Join(opts.WorkDir, name)); (err == nil) != want {
				t.Errorf("%s: %v, want it: %t", name, err, want)
			}
		}
		requests := model.Requests()
		if last := string(requests[len(requests)-1]); !strings.Contains(last, "keep what is there") || !strings.Contains(last, "the operator rejects this") || !strings.Contains(last, "Only the operator may") {
			t.Errorf("the model reads %.6000s", last)
		}
		if err := run(ctx, opts, "none.toml", in, slog.Default(), nil); err == nil {
			t.Error("a bot without rules begins")
		}
	})
}
