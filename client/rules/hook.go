package rules

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// unasked are the tools that kimi uses without a question, because they only read.
var unasked = map[string]bool{"ReadFile": true, "Read": true, "ReadMediaFile": true, "Glob": true, "Grep": true}

// Hook returns a hook for Options.Hooks. It blocks each tool call that the rules deny, and the model reads the reason.
// It also works for calls that kimi does not ask about: when kimi reads files, with Options.Yolo, and when Kimi Code
// changes files in a Git work tree. If the verdict about reading a file is ask, the hook blocks the call, too, because
// kimi does not ask about it.
//
// All other calls continue, and kimi asks Approve about them as usual. kimi-cli runs no hooks for background agents;
// for these, only Approve works. See [client.Hook].
func (r *Rules) Hook() client.Hook {
	return client.Hook{Event: "PreToolUse", Handle: func(ctx context.Context, request *wireproto.HookRequest) (client.HookDecision, error) {
		var workDir string
		if err := json.Unmarshal(request.InputData["cwd"], &workDir); err != nil {
			return client.HookDecision{}, fmt.Errorf("rules: the hook request does not have the work dir: %w", err)
		}
		d := r.Decide(request.Target, request.InputData["tool_input"], workDir)
		if d.Verdict != Deny && (d.Verdict != Ask || !unasked[request.Target]) {
			return client.Allow(), nil
		}
		if r.Logger != nil {
			r.Logger.InfoContext(ctx, "rules: blocked", "request", request.ID, "tool", request.Target, "decision", d)
		}
		return client.Block(d.Reason), nil
	}}
}
