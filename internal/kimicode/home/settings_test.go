package home

import (
	"errors"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

func TestHooksOf(t *testing.T) {
	good := "event = \"Stop\"\ncommand = \"true\"\n"
	for text, want := range map[string]string{
		"":                   "",
		"[[hooks]]\n" + good: "",
		"[[hooks]]\n" + good + "timeout = 600\nmatcher = \"(\"\n": "", // a matcher that never matches is no error
		"hooks = [{event = \"Stop\", command = \"true\"}]":        "",
		"hooks = []":                                         "",
		"hooks = \"x\"":                                      "hooks is not a list: write each as [[hooks]]",
		"hooks = [1]":                                        "hook 1 is not a table",
		"[hooks]\nevent = \"Stop\"":                          "hooks is not a list: write each as [[hooks]]",
		"[[hooks]]\n" + good + "timeout = 601":               "hook 1: timeout must be a whole number of seconds from 1 to 600",
		"[[hooks]]\n" + good + "timeout = 0":                 "hook 1: timeout must be a whole number of seconds from 1 to 600",
		"[[hooks]]\n" + good + "timeout = 1.5":               "hook 1: timeout must be a whole number of seconds from 1 to 600",
		"[[hooks]]\n" + good + "matcher = 1":                 "hook 1: matcher must be a text",
		"[[hooks]]\n" + good + "extra = 1":                   `hook 1: there is no key "extra"`,
		"[[hooks]]\n" + good + "[[hooks]]\nevent = \"Stop\"": "hook 2: command is missing",
		"[[hooks]]\ncommand = \"true\"":                      "hook 1: event is missing",
		"[[hooks]]\nevent = \"Stop\"\ncommand = \"\"":        "hook 1: command must be a text that is not empty",
		"[[hooks]]\nevent = \"stop\"\ncommand = \"true\"":    `hook 1: there is no event "stop"`,
	} {
		table := make(map[string]any)
		if _, err := toml.Decode(text, &table); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		_, err := hooksOf(table["hooks"])
		if got := errText(err); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAddServers(t *testing.T) {
	n := func(v int) *int { return &v }
	for name, tt := range map[string]struct {
		in   config.MCPServer
		want map[string]any
		no   string // the key that Kimi Code cannot use
	}{
		"program": {
			in: config.MCPServer{Command: "c", Args: []string{"a"}, Env: map[string]config.Secret{"K": "v"}, CWD: "/w", Timeout: n(1500)},
			want: map[string]any{
				"transport": "stdio", "command": "c", "args": []string{"a"}, "env": map[string]string{"K": "v"}, "cwd": "/w", "toolTimeoutMs": 1500,
			},
		},
		"what kimi-cli ignores": {
			in: config.MCPServer{Command: "c", Timeout: n(0), KeepAlive: new(bool), Extra: config.Extra{
				"type": "stdio", "name": "n", "enabled": true, "disabled": true, "alwaysAllow": []any{"x"}, "tools": []any{"*"}, "description": "d", "icon": "i",
			}},
			want: map[string]any{"transport": "stdio", "command": "c", "args": []string{}, "env": map[string]string{}},
		},
		"hidden tools": {
			in: config.MCPServer{URL: "http://h/", Extra: config.Extra{"tools": map[string]any{
				"b": map[string]any{"enabled": false}, "a": map[string]any{"enabled": false, "name": nil}, "c": map[string]any{"enabled": true},
			}}},
			want: map[string]any{"transport": "http", "url": "http://h/", "headers": map[string]string{}, "disabledTools": []string{"a", "b"}},
		},
		"tools of another program": {
			in:   config.MCPServer{URL: "http://h/sse", Extra: config.Extra{"tools": map[string]any{"a": map[string]any{"allow": true, "enabled": false}}}},
			want: map[string]any{"transport": "sse", "url": "http://h/sse", "headers": map[string]string{}},
		},
		"token":    {in: config.MCPServer{URL: "http://h/", Auth: "t", Headers: map[string]config.Secret{"A": "b"}}, want: map[string]any{"transport": "http", "url": "http://h/", "headers": map[string]string{"A": "b", "Authorization": "Bearer t"}}},
		"login":    {in: config.MCPServer{URL: "http://h/", Auth: "oauth"}, want: map[string]any{"transport": "http", "url": "http://h/", "headers": map[string]string{}, "auth": "oauth"}},
		"by name":  {in: config.MCPServer{URL: "http://h/sse", Transport: config.MCPStreamableHTTP}, want: map[string]any{"transport": "http", "url": "http://h/sse", "headers": map[string]string{}}},
		"renaming": {in: config.MCPServer{URL: "http://h/", Extra: config.Extra{"tools": map[string]any{"a": map[string]any{"name": "b"}}}}, no: "mcpServers.renaming.tools"},
		"tags":     {in: config.MCPServer{URL: "http://h/", Extra: config.Extra{"include_tags": []any{"a"}}}, no: "mcpServers.tags.include_tags"},
		"sse":      {in: config.MCPServer{URL: "http://h/", SSEReadTimeout: new(float64)}, no: "mcpServers.sse.sse_read_timeout"},
	} {
		s := &Spec{}
		err := s.AddServers(map[string]config.MCPServer{name: tt.in})
		var no *api.UnsupportedError
		if errors.As(err, &no); (no != nil) != (tt.no != "") || no != nil && no.Option != tt.no {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tt.no == "" {
			if diff := cmp.Diff(tt.want, s.Servers[name]); diff != "" || err != nil {
				t.Errorf("%s: %s, %v", name, diff, err)
			}
		}
	}
}

func TestServersOf(t *testing.T) {
	for text, want := range map[string]string{
		"":   "",
		`{}`: "",
		`{"mcpServers":{"a":{"command":"x","cwd":"/","args":["1"],"deferred":1,"enabled":false}}}`: "",
		`{"mcpServers":{"a":{"url":"https://h","auth":"oauth","toolTimeoutMs":2147483647}}}`:       "",
		`{"mcpServers":{"a":{"transport":"sse","url":"https://h"}}}`:                               "",
		`{`:                                   "it is not the JSON of an mcp.json",
		`{"mcpServers":[]}`:                   "it is not the JSON of an mcp.json",
		`{"mcpServers":{"a":1}}`:              `"a": it is not a table`,
		`{"mcpServers":{"a":{}}}`:             `"a": it has no command and no url, or a transport other than stdio, http and sse`,
		`{"mcpServers":{"a":{"command":""}}}`: `"a": command is missing`,
		`{"mcpServers":{"a":{"command":"x","args":[1]}}}`:             `"a": args must not be of the type number`,
		`{"mcpServers":{"a":{"command":"x","transport":"http"}}}`:     `"a": url must be a URL`,
		`{"mcpServers":{"a":{"command":"x","more":null}}}`:            "",
		`{"mcpServers":{"a":{"command":"x","args":null}}}`:            `"a": args must not be null`,
		`{"mcpServers":{"a":{"command":"x","env":{"A":null}}}}`:       `"a": env must not be null`,
		`{"mcpServers":{"a":{"url":"h"}}}`:                            `"a": url must be a URL`,
		`{"mcpServers":{"a":{"url":"http://h","auth":"t"}}}`:          `"a": auth can be "oauth" only`,
		`{"mcpServers":{"a":{"command":"x","toolTimeoutMs":0}}}`:      `"a": toolTimeoutMs must be a whole number from 1 to 2147483647`,
		`{"mcpServers":{"a":{"command":"x","startupTimeoutMs":1.5}}}`: `"a": startupTimeoutMs must be a whole number from 1 to 2147483647`,
	} {
		if _, err := serversOf([]byte(text)); errText(err) != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
