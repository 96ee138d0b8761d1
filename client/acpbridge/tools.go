package acpbridge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"regexp"

	"github.com/kimi-go/kimi-go/wireproto"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolServerName is the MCP server of the client's own tools. The model knows a tool as
// mcp__NAME__TOOL.
const toolServerName = "program"

const toolPrefix = "mcp__" + toolServerName + "__"

var underscores = regexp.MustCompile(`_+`)

// toolServer offers the client's tools to kimi: an MCP server on loopback, which only
// knows who has its token.
type toolServer struct {
	names map[string]string // the client's, by kimi's
	url   string
	guard *guard
	done  chan struct{} // closed when the server has ended
	stop  context.CancelFunc
}

// toolCall is a call of one of the client's tools.
type toolCall struct {
	name   string
	args   json.RawMessage
	result chan *mcp.CallToolResult // takes one, without waiting
}

// serveTools starts the server and tells which tools it takes.
func (b *Conn) serveTools(tools []wireproto.ExternalTool) (*wireproto.ExternalTools, error) {
	if b.tools != nil || b.session != "" {
		return nil, errors.New("the program's tools must be told before the session is open")
	}
	taken := &wireproto.ExternalTools{Accepted: []string{}, Rejected: []wireproto.RejectedTool{}}
	server := mcp.NewServer(&mcp.Implementation{Name: toolServerName, Version: "1"}, nil)
	ctx, stop := context.WithCancel(context.Background())
	s := &toolServer{names: make(map[string]string), done: make(chan struct{}), stop: stop}
	for _, t := range tools {
		var schema struct {
			Type string `json:"type"`
		}
		name := toolPrefix + underscores.ReplaceAllString(t.Name, "_") // as kimi makes it
		switch {
		case s.names[name] != "":
			taken.Rejected = append(taken.Rejected, wireproto.RejectedTool{Name: t.Name, Reason: "kimi does not tell it from " + s.names[name]})
		case len(name) > 64:
			taken.Rejected = append(taken.Rejected, wireproto.RejectedTool{Name: t.Name, Reason: "its name has more than 50 letters, with which kimi would change it"})
		case json.Unmarshal(t.Parameters, &schema) != nil || schema.Type != "object":
			taken.Rejected = append(taken.Rejected, wireproto.RejectedTool{Name: t.Name, Reason: "the schema of its parameters is not of the type object"})
		default:
			s.names[name] = t.Name
			taken.Accepted = append(taken.Accepted, t.Name)
			server.AddTool(&mcp.Tool{Name: t.Name, Description: t.Description, InputSchema: t.Parameters}, b.handler(ctx, t.Name))
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		stop()
		return nil, fmt.Errorf("serve the program's tools: %w", err)
	}
	s.url = "http://" + listener.Addr().String() + "/"
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{MaxRequestBodyBytes: wireproto.MaxLine})
	s.guard = newGuard(ctx, handler)
	b.tools = s
	go func() {
		defer close(s.done)
		s.guard.http.Serve(listener)
		for session := range server.Sessions() {
			session.Close()
		}
	}()
	return taken, nil
}

// handler hands a call to run and waits for its result.
func (b *Conn) handler(ctx context.Context, name string) mcp.ToolHandler {
	return func(call context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		c := &toolCall{name: name, args: req.Params.Arguments, result: make(chan *mcp.CallToolResult, 1)}
		gone := errors.New("the program has ended")
		select {
		case b.toolCalls <- c:
		case <-call.Done():
			return nil, context.Cause(call)
		case <-b.done:
			return nil, gone
		case <-ctx.Done():
			return nil, gone
		}
		select {
		case r := <-c.result:
			return r, nil
		case <-call.Done():
			return nil, context.Cause(call)
		case <-b.done:
			return nil, gone
		case <-ctx.Done():
			return nil, gone
		}
	}
}

// server describes the server to kimi.
func (s *toolServer) server() mcpServer {
	return mcpServer{Type: "http", Name: toolServerName, URL: s.url, Headers: &[]pair{{"Authorization", s.guard.authorization()}}}
}

func (s *toolServer) close() {
	s.stop()
	s.guard.http.Close()
	<-s.done
}

// isOwnTool reports whether the model's name of a tool is one of the client's.
func (b *Conn) isOwnTool(name string) bool {
	return b.tools != nil && b.tools.names[name] != ""
}

// toolName returns the name by which the client knows a tool.
func (b *Conn) toolName(name string) string {
	if b.isOwnTool(name) {
		return b.tools.names[name]
	}
	return name
}

// startTool asks the client to run a tool. MCP does not tell for which call of the model it is: the
// oldest with the same arguments, which has no request yet.
func (b *Conn) startTool(c *toolCall) {
	id, state := "", (*toolCallState)(nil)
	if b.turn != nil {
		for callID, s := range b.turn.calls {
			if b.toolName(s.name) == c.name && !s.asked && sameJSON(s.args, string(c.args)) && (state == nil || s.n < state.n) {
				id, state = callID, s
			}
		}
	}
	if state != nil {
		state.asked = true
	} else {
		id = b.newID("tool")
	}
	args := string(c.args)
	if args == "" {
		args = "{}"
	}
	b.lastID++
	b.ask(id, &wireproto.ToolCallRequest{ID: id, Name: c.name, Arguments: &args}, b.turn == nil, func(f *wireproto.Frame) {
		var a wireproto.ToolAnswer
		switch {
		case f.Error != nil:
			a.ReturnValue = wireproto.ToolReturnValue{IsError: true, Message: f.Error.Message}
		case json.Unmarshal(f.Result, &a) != nil:
			a.ReturnValue = wireproto.ToolReturnValue{IsError: true, Message: "the program's answer could not be read"}
		}
		if state != nil && a.ReturnValue.Display != nil {
			state.display = a.ReturnValue.Display
		}
		c.result <- toolResult(&a.ReturnValue)
	}, func() {
		if b.turn == nil || !b.turn.cancelled { // else kimi gives the call up itself; with a result it might go on first
			c.result <- toolResult(&wireproto.ToolReturnValue{IsError: true, Message: "the turn has ended"})
		}
	})
}

func sameJSON(x, y string) bool {
	var a, b any
	return json.Unmarshal([]byte(x), &a) == nil && json.Unmarshal([]byte(y), &b) == nil && reflect.DeepEqual(a, b)
}

// toolResult turns a result into that of MCP.
func toolResult(v *wireproto.ToolReturnValue) *mcp.CallToolResult {
	r := &mcp.CallToolResult{IsError: v.IsError, Content: []mcp.Content{}}
	text := func(s string) {
		if s != "" {
			r.Content = append(r.Content, &mcp.TextContent{Text: s})
		}
	}
	parts := v.Output.Parts
	if parts == nil {
		text(v.Output.Text)
	}
	for _, p := range parts {
		switch p := p.(type) {
		case *wireproto.TextPart:
			text(p.Text)
			continue
		case *wireproto.ImageURLPart:
			kind, encoded, ok := dataURL(p.ImageURL.URL)
			if data, err := base64.StdEncoding.DecodeString(encoded); ok && err == nil {
				r.Content = append(r.Content, &mcp.ImageContent{MIMEType: kind, Data: data})
				continue
			}
		}
		if raw, err := json.Marshal(wireproto.Content{Parts: []wireproto.ContentPart{p}}); err == nil {
			text(string(raw)) // what MCP has no content for
		}
	}
	if v.Message != "" && len(r.Content) > 0 {
		text("\n" + v.Message) // kimi puts texts together as they are
	} else {
		text(v.Message)
	}
	return r
}
