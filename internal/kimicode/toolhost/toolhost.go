// Package toolhost offers a program's functions to Kimi Code as the tools of an MCP server on the loopback interface.
// The server answers only clients that know its random token.
package toolhost

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/kimi-go/kimi-go/wireproto"
)

// ServerName is the name of the MCP server in Kimi Code. The model knows a tool as mcp__NAME__TOOL.
const ServerName = "program"

const prefix = "mcp__" + ServerName + "__"

var underscores = regexp.MustCompile(`_+`)

// Call is a call of a tool.
type Call struct {
	Key    int // differs for each call
	Name   string
	Args   json.RawMessage
	Done   <-chan struct{}                // closed when Kimi Code no longer waits
	result chan wireproto.ToolReturnValue // has room for one
}

// Return sets the result of the call. Only the first result counts.
func (c *Call) Return(v wireproto.ToolReturnValue) {
	select {
	case c.result <- v:
	default:
	}
}

// Host is a running MCP server.
type Host struct {
	URL      string
	Accepted []string
	Rejected []wireproto.RejectedTool
	Names    map[string]string // the keys are the model's names of the tools, the values the program's

	Authorization string // the header that Kimi Code must send

	calls func(*Call)
	keys  atomic.Int64
	close func() // a function value, so that the linker can leave the HTTP server out of programs that never call Start
}

// Start starts a server with those tools that Kimi Code accepts. It calls calls for each call of a tool, each time from
// a new goroutine.
func Start(tools []wireproto.ExternalTool, calls func(*Call)) (*Host, error) {
	server := mcp.NewServer(&mcp.Implementation{Name: ServerName, Version: "1"}, nil)
	ctx, stop := context.WithCancel(context.Background())
	h := &Host{Accepted: []string{}, Rejected: []wireproto.RejectedTool{}, Names: make(map[string]string), calls: calls}
	for _, t := range tools {
		if why := h.refusal(t); why != "" {
			h.Rejected = append(h.Rejected, wireproto.RejectedTool{Name: t.Name, Reason: why})
			continue
		}
		h.Names[modelName(t.Name)] = t.Name
		h.Accepted = append(h.Accepted, t.Name)
		server.AddTool(&mcp.Tool{Name: t.Name, Description: t.Description, InputSchema: t.Parameters}, h.handler(ctx, t.Name))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		stop()
		return nil, fmt.Errorf("serve the program's tools: %w", err)
	}
	h.URL = "http://" + listener.Addr().String() + "/"
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{MaxRequestBodyBytes: wireproto.MaxLine})
	guard := newGuard(ctx, handler)
	h.Authorization = guard.authorization()
	done := make(chan struct{})
	h.close = func() {
		stop()
		guard.http.Close()
		<-done
	}
	go func() {
		defer close(done)
		guard.http.Serve(listener)
		for session := range server.Sessions() {
			session.Close()
		}
	}()
	return h, nil
}

func modelName(tool string) string {
	return prefix + underscores.ReplaceAllString(tool, "_") // Kimi Code does the same
}

// refusal says why Kimi Code cannot accept a tool. It returns "" if Kimi Code can.
func (h *Host) refusal(t wireproto.ExternalTool) string {
	name := modelName(t.Name)
	var schema struct {
		Type string `json:"type"`
	}
	switch {
	case h.Names[name] != "":
		return "Kimi Code cannot tell it apart from " + h.Names[name]
	case len(name) > 64:
		return "its name has more than 50 letters, so Kimi Code would change it"
	case json.Unmarshal(t.Parameters, &schema) != nil || schema.Type != "object":
		return "the schema of its parameters is not of the type object"
	}
	return ""
}

var errStopped = errors.New("the program has ended")

// handler passes a call to the program and waits for the result.
func (h *Host) handler(ctx context.Context, name string) mcp.ToolHandler {
	return func(call context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		gone, end := context.WithCancel(call)
		defer end()
		c := &Call{
			Key: int(h.keys.Add(1)), Name: name, Args: req.Params.Arguments,
			Done: gone.Done(), result: make(chan wireproto.ToolReturnValue, 1),
		}
		h.calls(c)
		select {
		case v := <-c.result:
			return resultOf(&v), nil
		case <-call.Done():
			return nil, context.Cause(call)
		case <-ctx.Done():
			return nil, errStopped
		}
	}
}

// Close ends the server and all calls.
func (h *Host) Close() { h.close() }

// resultOf turns a result of Wire into a result of MCP.
func resultOf(v *wireproto.ToolReturnValue) *mcp.CallToolResult {
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
			if kind, data, ok := imageData(p.ImageURL.URL); ok {
				r.Content = append(r.Content, &mcp.ImageContent{MIMEType: kind, Data: data})
				continue
			}
		}
		if raw, err := json.Marshal(wireproto.Content{Parts: []wireproto.ContentPart{p}}); err == nil {
			text(string(raw)) // MCP has no type of content for this part
		}
	}
	if v.Message != "" && len(r.Content) > 0 {
		text("\n" + v.Message) // Kimi Code joins texts without a separator
	} else {
		text(v.Message)
	}
	return r
}

var dataURL = regexp.MustCompile(`^data:([^;,]*);base64,`)

// imageData returns the type and the bytes of a picture in a data: URL.
func imageData(url string) (kind string, data []byte, ok bool) {
	m := dataURL.FindStringSubmatch(url)
	if m == nil {
		return "", nil, false
	}
	data, err := base64.StdEncoding.DecodeString(url[len(m[0]):])
	return m[1], data, err == nil
}
