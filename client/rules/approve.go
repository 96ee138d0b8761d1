package rules

import (
	"context"
	"runtime"
	"strings"

	"github.com/kimi-go/kimi-go/client"
)

// Approve returns a handler for Options.Approve. It approves what the rules allow. It rejects what they deny, with
// the reason as feedback, which the model reads. It passes everything else to next. With a nil next, such requests
// are left unanswered and so are rejected; this is enough for a program that runs without a user. A session with a
// handler cannot answer in the loop over the turn's messages. To answer there, leave Options.Approve out and call
// [Rules.Decide] in the loop.
//
// The rules decide each request on its own. The handler never approves for the session: in kimi-cli, that would allow
// every later command, whatever the rules say.
//
// A request is never allowed if its whole call is not known ([client.ApprovalRequest.Call]), or if a tool of a plugin
// or an MCP server has the name of one of kimi's own tools.
func (r *Rules) Approve(next func(context.Context, *client.ApprovalRequest) error) func(context.Context, *client.ApprovalRequest) error {
	return func(ctx context.Context, request *client.ApprovalRequest) error {
		d := r.decide(callOf(request))
		if r != nil && r.Logger != nil {
			r.Logger.InfoContext(ctx, "rules: decision", "request", request.ID, "tool", request.Sender, "decision", d)
		}
		switch {
		case d.Verdict == Deny:
			return request.Reject(d.Reason)
		case d.Verdict == Allow:
			return request.Approve()
		case next == nil:
			return nil
		}
		return next(ctx, request)
	}
}

// callOf is the call that a request asks about.
func callOf(request *client.ApprovalRequest) *call {
	tool, arguments := request.Call()
	whole := tool != "" && arguments != nil
	if !whole {
		tool, arguments = request.Sender, nil
	}
	c := newCall(tool, arguments, request.WorkDir(), runtime.GOOS)
	if !whole {
		c.problem = "the whole call that is asked about is not known"
	}
	// kimi-cli's own actions are plain words; those of MCP servers and plugins are "mcp:NAME" and the like. Such a tool
	// can have any name, that of a tool of kimi's own included, which it then replaces.
	if strings.Contains(request.Action, ":") {
		c.foreign = true
		if ownTools[c.tool] {
			c.problem = "a tool of an MCP server or a plugin has the name of one of kimi's own tools"
		}
	}
	return c
}
