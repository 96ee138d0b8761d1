package main

import (
	"context"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/examples/internal/kimis"
)

func TestSessions(t *testing.T) {
	kimis.Run(t, func(t *testing.T, ctx context.Context, k kimis.Kimi) {
		opts, model := k.Options(t, "text: first answer", "text: second \x1b[2Janswer")
		s, err := client.NewSession(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"first prompt", "second prompt"} {
			turn, err := s.Prompt(ctx, text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := turn.Result(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		prints := func(args ...string) string {
			t.Helper()
			var out strings.Builder
			if err := run(ctx, opts, append([]string{"sessions"}, args...), &out); err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			return out.String()
		}
		fork := strings.TrimSpace(prints("fork", s.ID(), "1"))
		prints("rename", fork, "the \x1b[2Jfork")
		list := prints("list")
		for _, want := range []string{s.ID(), fork, " 2 turns ", ` 1 turns "the`, "first prompt"} {
			if !strings.Contains(list, want) {
				t.Errorf("the list has no %q:\n%s", want, list)
			}
		}
		for id, want := range map[string]string{s.ID(): "first prompt|first answer|second prompt|second ", fork: "first prompt|first answer"} {
			history := prints("history", id)
			for text := range strings.SplitSeq(want, "|") {
				if !strings.Contains(history, text) {
					t.Errorf("the history of %s has no %q:\n%s", id, text, history)
				}
			}
			if id == fork && strings.Contains(history, "second") || strings.Contains(history+list, "\x1b") {
				t.Errorf("the history of %s:\n%q", id, history)
			}
		}
		prints("delete", s.ID())
		if list := prints("list"); strings.Contains(list, s.ID()) || !strings.Contains(list, fork) {
			t.Errorf("after deleting %s:\n%s", s.ID(), list)
		}
		for _, args := range []string{"", "list more", "history", "history none", "fork " + fork + " x", "delete none", "erase " + fork} {
			var out strings.Builder
			if err := run(ctx, opts, append([]string{"sessions"}, strings.Fields(args)...), &out); err == nil {
				t.Errorf("sessions %s gives no error: %s", args, out.String())
			}
		}
		if n := len(model.Requests()); n != 2 {
			t.Errorf("the model was asked %d times", n)
		}
	})
}
