package client_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Before Wire 1.6, a cancelled turn does not end while one of its requests is open. So the client rejects the open
// requests directly after the cancellation, and also the later requests of the turn.
func TestCancelDeclines(t *testing.T) {
	for _, tt := range []struct {
		version string
		want    int // how many answers the agent gets
	}{{"1.5", 2}, {"1.10", 0}} {
		t.Run(tt.version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := 0
				old := memory(func(a *agent) {
					a.result(a.call(wireproto.MethodInitialize).ID, strings.Replace(initialized, "1.10", tt.version, 1))
					a.begin()
					a.ask("a1")
					a.result(a.call(wireproto.MethodCancel).ID, "{}")
					for _, id := range []string{"a1", "a2"} {
						if id == "a2" {
							a.ask(id)
						}
						if tt.want > 0 {
							if got := a.answer(id); !strings.Contains(got, `"reject"`) {
								t.Errorf("%s: %s", id, got)
							}
							answers++
						}
					}
					a.finish("cancelled")
					a.serve()
				})
				s, err := client.NewSession(t.Context(), &client.Options{Transport: old, WorkDir: t.TempDir(), ShareDir: t.TempDir()})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				turn, err := s.Prompt(t.Context(), "go")
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for m := range turn.Messages() {
					if r, ok := m.(*client.ApprovalRequest); ok && r.ID == "a1" {
						if err := turn.Cancel(limited(t)); err != nil {
							t.Errorf("cancel: %v", err)
						}
					}
				}
				if result, _ := turn.Result(); result.Status != wireproto.StatusCancelled || time.Since(began) > time.Second {
					t.Errorf("%q after %v", result.Status, time.Since(began))
				}
				if answers != tt.want {
					t.Errorf("%d answers, want %d", answers, tt.want)
				}
			})
		})
	}
}
