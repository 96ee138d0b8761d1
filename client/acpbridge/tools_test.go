package acpbridge

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/kimi-go/kimi-go/wireproto"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// program returns the server of the program's own tools, as kimi is told of it.
func (f *fakeKimi) program() (addr string, header http.Header) {
	f.t.Helper()
	var params struct {
		Servers []mcpServer `json:"mcpServers"`
	}
	if !f.called("session/new", &params) || len(params.Servers) != 1 || params.Servers[0].Type != "http" {
		f.t.Fatalf("session/new with %+v", params)
	}
	header = make(http.Header)
	for _, h := range *params.Servers[0].Headers {
		header.Set(h.Name, h.Value)
	}
	return params.Servers[0].URL, header
}

// post sends what an MCP client begins with.
func post(t *testing.T, addr string, header http.Header) int {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"0"}}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, addr, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// gone waits until nobody listens any more.
func gone(t *testing.T, addr string) {
	t.Helper()
	u, err := url.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", u.Host, time.Second)
		if err != nil {
			return
		}
		c.Close()
		select {
		case <-deadline:
			t.Fatalf("%s still listens", u.Host)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var echo = wireproto.ExternalTool{Name: "echo", Description: "says it again", Parameters: json.RawMessage(`{"type":"object","properties":{"say":{"type":"string"}}}`)}

// Nobody but kimi calls the program's tools, and nobody at all once the session is over.
func TestToolServer(t *testing.T) {
	for name, end := range map[string]func(*fakeKimi, *wire){
		"closed": func(_ *fakeKimi, w *wire) { w.conn.Close() },
		"killed": func(f *fakeKimi, _ *wire) { f.die() },
		"input closed": func(_ *fakeKimi, w *wire) {
			if err := w.conn.CloseWrite(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			w := f.bridge()
			w.initialize(echo)
			addr, header := f.program()
			if u, err := url.Parse(addr); err != nil || u.Hostname() != "127.0.0.1" {
				t.Errorf("it listens on %s", addr)
			}
			token := header.Get("Authorization")
			for name, value := range map[string]string{"none": "", "another": "Bearer x", "a part": token[:len(token)-1], "more": token + "x", "bare": strings.TrimPrefix(token, "Bearer ")} {
				bad := make(http.Header)
				if value != "" {
					bad.Set("Authorization", value)
				}
				if got := post(t, addr, bad); got != http.StatusUnauthorized {
					t.Errorf("token %s: status %d", name, got)
				}
			}
			if got := post(t, addr, header); got != http.StatusOK {
				t.Errorf("with the token: status %d", got)
			}
			end(f, w)
			gone(t, addr)
		})
	}
}

// withHeader sends a header with each request.
type withHeader http.Header

func (h withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	maps.Copy(r.Header, h)
	return http.DefaultTransport.RoundTrip(r)
}

// What the program answers, as the model gets it.
func TestToolCalls(t *testing.T) {
	f := newFake(t)
	w := f.bridge()
	taken := w.initialize(echo, echo, wireproto.ExternalTool{Name: "bad", Parameters: json.RawMessage(`{"type":"string"}`)}).ExternalTools
	if diff := cmp.Diff([]string{"echo"}, taken.Accepted); diff != "" || len(taken.Rejected) != 2 || taken.Rejected[0].Name != "echo" || taken.Rejected[1].Name != "bad" {
		t.Errorf("taken %+v", taken)
	}
	addr, header := f.program()
	client := mcp.NewClient(&mcp.Implementation{Name: "x", Version: "0"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: addr, HTTPClient: &http.Client{Transport: withHeader(header)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	list, err := session.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "echo" || list.Tools[0].Description != echo.Description {
		t.Fatalf("tools %+v, %v", list, err)
	}
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:image/png;base64,AAEC"}}
	for _, tt := range []struct {
		name   string
		answer any // a ToolReturnValue, or an error
		want   *mcp.CallToolResult
	}{
		{"text", wireproto.ToolReturnValue{Output: wireproto.Content{Text: "hi"}}, &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hi"}}}},
		{"empty", wireproto.ToolReturnValue{}, &mcp.CallToolResult{Content: []mcp.Content{}}},
		{"failed", wireproto.ToolReturnValue{IsError: true, Message: "no"}, &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "no"}}}},
		{"parts", wireproto.ToolReturnValue{Output: wireproto.Content{Parts: []wireproto.ContentPart{&wireproto.TextPart{Text: "see"}, image}}, Message: "so"},
			&mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "see"}, &mcp.ImageContent{MIMEType: "image/png", Data: []byte{0, 1, 2}}, &mcp.TextContent{Text: "\nso"}}}},
		{"error", &wireproto.RPCError{Code: 1, Message: "gone"}, &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "gone"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			results := make(chan *mcp.CallToolResult, 1)
			go func() {
				r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]string{"say": tt.name}})
				if err != nil {
					t.Error(err)
				}
				results <- r
			}()
			frame, err := w.dec.Decode()
			if err != nil {
				t.Fatal(err)
			}
			call, ok := frame.Message.(*wireproto.ToolCallRequest)
			if !ok || call.Name != "echo" || *call.Arguments != `{"say":"`+tt.name+`"}` || call.ID != frame.ID {
				t.Fatalf("request %+v", frame)
			}
			answer := &wireproto.Frame{ID: frame.ID}
			if v, ok := tt.answer.(wireproto.ToolReturnValue); ok {
				if answer.Result, err = json.Marshal(wireproto.ToolAnswer{ToolCallID: call.ID, ReturnValue: v}); err != nil {
					t.Fatal(err)
				}
			} else {
				answer.Error = tt.answer.(*wireproto.RPCError)
			}
			if err := w.enc.Encode(answer); err != nil {
				t.Fatal(err)
			}
			got := <-results
			if got != nil {
				got.Meta = nil
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(mcp.CallToolResult{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	// A call that waits when the session ends is given up.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		r, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "echo"})
		if err == nil && !r.IsError {
			t.Errorf("a call that nobody has answered: %+v", r)
		}
		failed <- ctx.Err()
	}()
	if _, err := w.dec.Decode(); err != nil {
		t.Fatal(err)
	}
	w.conn.Close()
	if err := <-failed; err != nil {
		t.Error(err)
	}
	gone(t, addr)
}
