package acpbridge

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolServerName is the MCP server of the client's own tools. The model knows a tool as
// mcp__NAME__TOOL.
const toolServerName = "program"

const toolPrefix = "mcp__" + toolServerName + "__"

// toolServer offers the client's tools to kimi: an MCP server on loopback, which only
// knows who has its token.
type toolServer struct {
	names map[string]bool
	url   string
	token string
	http  *http.Server
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
	taken := &wireproto.ExternalTools{Accepted: []string{}, Rejected: []wireproto.RejectedTool{}}
	server := mcp.NewServer(&mcp.Implementation{Name: toolServerName, Version: "1"}, nil)
	ctx, stop := context.WithCancel(context.Background())
	s := &toolServer{names: make(map[string]bool), token: rand.Text(), done: make(chan struct{}), stop: stop}
	for _, t := range tools {
		var schema struct {
			Type string `json:"type"`
		}
		switch {
		case s.names[t.Name]:
			taken.Rejected = append(taken.Rejected, wireproto.RejectedTool{Name: t.Name, Reason: "there are two of this name"})
		case json.Unmarshal(t.Parameters, &schema) != nil || schema.Type != "object":
			taken.Rejected = append(taken.Rejected, wireproto.RejectedTool{Name: t.Name, Reason: "the schema of its parameters is not of the type object"})
		default:
			s.names[t.Name] = true
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
	s.http = &http.Server{
		BaseContext: func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.token)) != 1 {
				http.Error(w, "no token", http.StatusUnauthorized)
				return
			}
			handler.ServeHTTP(w, r)
		}),
	}
	b.tools = s
	go func() {
		defer close(s.done)
		s.http.Serve(listener)
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
	return mcpServer{Type: "http", Name: toolServerName, URL: s.url, Headers: &[]pair{{"Authorization", "Bearer " + s.token}}}
}

func (s *toolServer) close() {
	s.stop()
	s.http.Close()
	<-s.done
}

// isOwnTool reports whether the model's name of a tool is one of the client's.
func (b *Conn) isOwnTool(name string) bool {
	own, ok := strings.CutPrefix(name, toolPrefix)
	return ok && b.tools != nil && b.tools.names[own]
}

// toolName returns the name by which the client knows a tool.
func (b *Conn) toolName(name string) string {
	if b.isOwnTool(name) {
		return strings.TrimPrefix(name, toolPrefix)
	}
	return name
}

// startTool asks the client to run a tool. MCP does not tell for which call of the model it is: the
// oldest with the same arguments, which has no request yet.
func (b *Conn) startTool(c *toolCall) {
	id, state := "", (*toolCallState)(nil)
	if b.turn != nil {
		for callID, s := range b.turn.calls {
			if s.name == toolPrefix+c.name && !s.asked && sameJSON(s.args, string(c.args)) && (id == "" || callID < id) {
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
		c.result <- toolResult(&wireproto.ToolReturnValue{IsError: true, Message: "the turn has ended"})
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
		image, ok := p.(*wireproto.ImageURLPart)
		if t, isText := p.(*wireproto.TextPart); isText {
			text(t.Text)
		} else if kind, data, isData := dataURL(image, ok); isData {
			r.Content = append(r.Content, &mcp.ImageContent{MIMEType: kind, Data: data})
		} else if raw, err := json.Marshal(wireproto.Content{Parts: []wireproto.ContentPart{p}}); err == nil {
			text(string(raw))
		}
	}
	if v.Message != "" && len(r.Content) > 0 {
		text("\n" + v.Message) // kimi puts texts together as they are
	} else {
		text(v.Message)
	}
	return r
}

func dataURL(image *wireproto.ImageURLPart, ok bool) (kind string, data []byte, isData bool) {
	if !ok {
		return "", nil, false
	}
	head, encoded, found := strings.Cut(image.ImageURL.URL, ";base64,")
	kind, isData = strings.CutPrefix(head, "data:")
	data, err := base64.StdEncoding.DecodeString(encoded)
	return kind, data, found && isData && err == nil
}
