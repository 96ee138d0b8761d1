//go:build unix

package client_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// kimi-cli runs no hooks for background agents. The documentation of Hook says so.
func TestKimiHookOfBackgroundAgent(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	told := make(chan struct{}, 8)
	api := newModelAPI(t, func(r modelRequest) string {
		results := r.says("tool", "")
		switch {
		case r.says("user", "the subtask") && !results:
			return toolDelta("sub", "Shell", map[string]any{"command": "touch guarded"})
		case r.says("user", "the subtask"):
			told <- struct{}{}
			return textDelta(strings.Repeat("The subtask is done. ", 20))
		case !results:
			return toolDelta("agent", "Agent", map[string]any{"description": "a subtask", "prompt": "do the subtask", "run_in_background": true})
		}
		return textDelta("started")
	})
	opts := apiOptions(t, api)
	opts.Yolo = true
	asked := make(chan string, 8)
	opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(_ context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
		if asked <- r.Target; r.Target == "Shell" {
			return client.Block("no"), nil
		}
		return client.Allow(), nil
	}}}
	s := liveSession(t, ctx, opts)
	finished(t, ctx, s, "go", "started")
	recv(t, ctx, "the end of the subtask", told)
	if got := recv(t, ctx, "the hook", asked); got != "Agent" || len(asked) > 0 {
		t.Errorf("the hook was asked about %s and %d more", got, len(asked))
	}
	if !exists(filepath.Join(opts.WorkDir, "guarded")) {
		t.Error("the hook has blocked the background agent: say so in the documentation of Hook")
	}
}
