package rules

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// unasked are the tools that kimi never asks about: they only read.
var unasked = map[string]bool{"ReadFile": true, "Read": true, "ReadMediaFile": true, "Glob": true, "Grep": true}

// Hook returns a hook for Options.Hooks. It blocks each call of a tool that the rules deny, with the reason, which the model
// reads, also where kimi does not ask: when it reads files, with Options.Yolo, and when Kimi Code changes files in a Git
// work tree. It blocks reading that the rules ask about as well, because no one can be asked.
//
// All other calls go on, to Approve where kimi asks. What kimi-cli's background agents do is seen by Approve alone: see [client.Hook].
func (r *Rules) Hook() client.Hook {
	return client.Hook{Event: "PreToolUse", Handle: func(ctx context.Context, request *wireproto.HookRequest) (client.HookDecision, error) {
		var workDir string
		if err := json.Unmarshal(request.InputData["cwd"], &workDir); err != nil {
			return client.HookDecision{}, fmt.Errorf("rules: the hook does not tell the work dir: %w", err)
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
