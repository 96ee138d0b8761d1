//go:build unix

package home

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/internal/tempdir"
)

// odd is a config.toml with details that a merge could lose.
const odd = `default_model = "my.model/v1"
big = 9007199254740993
date = 2026-01-02
moment = 2026-01-02T03:04:05.678+09:00
local = 2026-01-02T03:04:05
time = 03:04:05
ratio = 1e-3
endless = inf
mixed = [1, "two", 3.5, [true, {a = 1}]]
empty = []
"" = "an empty key"
text = '''
a\b
"quoted" # no comment'''
extra_skill_dirs = ["skills/of mine"]
[models."my.model/v1"]
provider = "a.b"
max_context_size = 100000
"x.y".'z w' = {deep = {er = "ü 🎉\u007f"}}
[providers."a.b"]
type = "kimi"
api_key = "sk-user"
[providers."a.b".env]
"A-B" = "1"
[[hooks]]
event = "Stop"
command = "true"
timeout = 5.0
[unknown_section]
[[unknown_section.list]]
[[unknown_section.list.inner]]
x = 1
`

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func decodeTOML(t *testing.T, path string) map[string]any {
	t.Helper()
	table := make(map[string]any)
	if _, err := toml.DecodeFile(path, &table); err != nil {
		t.Fatal(err)
	}
	return table
}

// snapshot returns the content of a folder: the texts of files and the targets of links.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			all[name], err = os.Readlink(path)
		case d.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			all[name] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOverlay(t *testing.T) {
	temp, real, outside := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	for name, text := range map[string]string{
		"config.toml": odd, "tui.toml": "x", "AGENTS.md": "mine", "skills/s/SKILL.md": "s", "credentials/kimi-code.json": "token",
		"mcp.json": `{"other":1,"mcpServers":{"theirs":{"url":"http://127.0.0.1:1/","headers":{"X":"secret"},"new":[1.50]}}}`, "server.token": "secret",
		"workspaces.json": "{}", "session_index.jsonl": "{}\n", "search-index/x": "text", "some-new-folder/x": "x",
	} {
		writeFile(t, filepath.Join(real, name), text)
	}
	writeFile(t, filepath.Join(outside, "precious"), "x")
	if err := errors.Join(os.Symlink(outside, filepath.Join(real, "elsewhere")), os.Symlink("/nowhere", filepath.Join(real, "dangling"))); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, real)

	agent := writeAgent(t, "a.md", "---\nname: mine\ndescription: d\n---\nprompt\n")
	o, err := Build(&Spec{
		Real: real, Hooks: []string{"PreToolUse"}, HookScript: []byte("script"), Agent: agent, SkillsDirs: []string{"/skills"},
		Tools: &ToolServer{"program", "http://127.0.0.1:2/", "Bearer token"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Warnings) > 0 {
		t.Errorf("warnings: %q", o.Warnings)
	}
	if filepath.Dir(o.Dir) != temp || !strings.HasPrefix(filepath.Base(o.Dir), "kimi-go-home-") {
		t.Errorf("the home is %s", o.Dir)
	}
	want := decodeTOML(t, filepath.Join(real, "config.toml"))
	got := decodeTOML(t, filepath.Join(o.Dir, "config.toml"))
	hooks, err := hooksOf(got["hooks"])
	if err != nil || len(hooks) != 3 {
		t.Errorf("hooks: %v, %v", hooks, err)
	} else if diff := cmp.Diff(want["hooks"].([]map[string]any)[0], hooks[0]); diff != "" {
		t.Errorf("the user's hook: %s", diff)
	}
	delete(want, "hooks")
	delete(got, "hooks")
	want["extra_skill_dirs"] = []any{"/skills", "skills/of mine"}
	want["extra_agent_dirs"] = []any{filepath.Join(o.Dir, "program-agents")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config.toml: %s", diff)
	}
	var mcp struct{ MCPServers map[string]json.RawMessage }
	data, err := os.ReadFile(filepath.Join(o.Dir, "mcp.json"))
	if err == nil {
		err = json.Unmarshal(data, &mcp)
	}
	if string(mcp.MCPServers["theirs"]) != `{"url":"http://127.0.0.1:1/","headers":{"X":"secret"},"new":[1.50]}` || err != nil {
		t.Errorf("mcp.json: %s, %v", data, err)
	}
	if s := string(mcp.MCPServers["program"]); !strings.Contains(s, `"toolTimeoutMs":2147483647`) || !strings.Contains(s, "Bearer token") {
		t.Errorf("the program's own tools: %s", s)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	links, files := []string{}, []string{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			links = append(links, e.Name())
		case e.IsDir() && info.Mode().Perm() != 0o700, !e.IsDir() && info.Mode().Perm() != 0o600:
			t.Errorf("%s has the mode %v", e.Name(), info.Mode())
			fallthrough
		default:
			files = append(files, e.Name())
		}
	}
	if diff := cmp.Diff([]string{
		"AGENTS.md", "credentials", "dangling", "device_id", "elsewhere", "oauth", "plugins", "sessions", "some-new-folder", "tui.toml", "workspace-trust",
	}, links); diff != "" {
		t.Errorf("links: %s", diff)
	}
	if diff := cmp.Diff([]string{
		"config.toml", "hook.sh", tempdir.Marker, "mcp.json", "program-agents", "session_index.jsonl", "workspaces.json",
	}, files); diff != "" {
		t.Errorf("files: %s", diff)
	}
	if info, err := os.Stat(o.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the home: %v, %v", info, err)
	}

	// Close also removes what Kimi Code has made in the private home.
	writeFile(t, filepath.Join(o.Dir, "a-folder-of-a-later-version", "x"), "x")
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if diff := cmp.Diff(before, snapshot(t, real)); diff != "" {
		t.Errorf("the user's home: %s", diff)
	}
	if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
		t.Error(err)
	}

	// After a killed program, the next Build removes the entries whose names Kimi Code uses.
	o, err = Build(&Spec{Real: real, NoOwnMCP: true, Agent: agent})
	if err != nil {
		t.Fatal(err)
	}
	inUse, err := Build(&Spec{Real: real, NoOwnMCP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	for _, name := range []string{"config.toml.tmp.12.ab", "server.token", "server/events/s.jsonl", "cache/query-store/x", "logs/kimi-code.log", "gui.toml"} {
		writeFile(t, filepath.Join(o.Dir, name), "x")
	}
	leave(t, o)
	Sweep()
	if _, err := os.Stat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left by a killed program: %v", slices.Collect(maps.Keys(snapshot(t, o.Dir))))
	}
	if _, err := os.Stat(filepath.Join(inUse.Dir, "config.toml")); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, snapshot(t, real)); diff != "" {
		t.Errorf("the user's home: %s", diff)
	}
}

// leave replaces a private home by a copy that no process holds, as a killed program leaves it.
func leave(t *testing.T, o *Overlay) {
	t.Helper()
	held := o.Dir + "-held"
	if err := os.Rename(o.Dir, held); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range snapshot(t, held) {
		if info, err := os.Lstat(filepath.Join(held, name)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if err := os.Symlink(text, filepath.Join(o.Dir, name)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		writeFile(t, filepath.Join(o.Dir, name), text)
	}
	if err := os.RemoveAll(held); err != nil { // the home that this test holds
		t.Fatal(err)
	}
}

// If one hook or one MCP server of the user is bad, Kimi Code would use none. So Build leaves out the user's and warns,
// and the program's own still work.
func TestOverlayBadSettings(t *testing.T) {
	temp, real := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	writeFile(t, filepath.Join(real, "config.toml"), "[[hooks]]\nevent = \"Stop\"\ncommand = \"true\"\n[[hooks]]\nevent = \"Nonesuch\"\ncommand = \"true\"\n")
	writeFile(t, filepath.Join(real, "mcp.json"), `{"mcpServers":{"good":{"command":"x"},"bad":{"transport":"http"}}}`)
	o, err := Build(&Spec{Real: real, Hooks: []string{"Stop"}, Tools: &ToolServer{Name: "program"}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if len(o.Warnings) != 2 || !strings.Contains(o.Warnings[0], `hook 2: there is no event "Nonesuch"`) || !strings.Contains(o.Warnings[1], `"bad": url must be a URL`) {
		t.Errorf("warnings: %q", o.Warnings)
	}
	hooks, err := hooksOf(decodeTOML(t, filepath.Join(o.Dir, "config.toml"))["hooks"])
	if err != nil || len(hooks) != 2 || !strings.Contains(hooks[1].(map[string]any)["command"].(string), "hook.sh") {
		t.Errorf("hooks: %v, %v", hooks, err)
	}
	if data, err := os.ReadFile(filepath.Join(o.Dir, "mcp.json")); err != nil || strings.Contains(string(data), "good") || !strings.Contains(string(data), "program") {
		t.Errorf("mcp.json: %s, %v", data, err)
	}
}

// If a private home cannot be made, the error says why, and no folder is left.
func TestOverlayErrors(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, real string){
		"config.toml:": func(t *testing.T, real string) { writeFile(t, filepath.Join(real, "config.toml"), "a = \n") },
		"config.toml: not a regular file": func(t *testing.T, real string) {
			if err := syscall.Mkfifo(filepath.Join(real, "config.toml"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"sessions": func(t *testing.T, real string) { writeFile(t, filepath.Join(real, "sessions"), "a file") },
	} {
		t.Run(name, func(t *testing.T) {
			temp, real := t.TempDir(), t.TempDir()
			t.Setenv("TMPDIR", temp)
			set(t, real)
			if o, err := Build(&Spec{Real: real, NoOwnMCP: true}); err == nil || o != nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, %v", o, err)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}
