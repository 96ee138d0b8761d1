package rules

import (
	"context"
	"runtime"
	"strings"

	"github.com/kimi-go/kimi-go/client"
)

// Approve returns a handler for Options.Approve. It approves requests that the rules allow. It rejects requests that
// they deny, with the reason as feedback, which the model reads. It passes all other requests to next. If next is nil,
// these requests are not answered and so are rejected, which is right for a program that runs without a user. A session
// with a handler cannot answer in the loop over the turn's messages. To answer there, leave Options.Approve out and
// call [Rules.Decide] in the loop.
//
// The rules decide about each request separately. The handler never approves for the session: in kimi-cli, that would
// allow every later command, whatever the rules say.
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

// callOf returns the call that a request asks about.
func callOf(request *client.ApprovalRequest) *call {
	tool, arguments := request.Call()
	whole := tool != "" && arguments != nil
	if !whole {
		tool, arguments = request.Sender, nil
	}
	c := newCall(tool, arguments, request.WorkDir(), runtime.GOOS)
	if !whole {
		c.problem = "the whole call of the request is not known"
	}
	// The actions of kimi-cli's own tools are plain words; those of MCP servers and plugins contain a colon, such as
	// "mcp:NAME". A tool of an MCP server or a plugin can have any name. With the name of kimi's own tool, it replaces
	// it.
	if strings.Contains(request.Action, ":") {
		c.foreign = true
		if ownTools[c.tool] {
			c.problem = "a tool of an MCP server or a plugin has the name of one of kimi's own tools"
		}
	}
	return c
}
