//go:build unix

package rules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/kimi-go/kimi-go/client/rules"
)

// workspace makes a work dir that is reached through a link. It has links that lead out of it and into it.
func workspace(t *testing.T) (dir string) {
	t.Helper()
	base := t.TempDir()
	t.Setenv("HOME", filepath.Join(base, "home"))
	for _, name := range []string{"real/src/sub", "real/[id]", "real/.git/hooks", "outside", "home/.ssh"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"work": "real", "real/src/out": "../../outside", "real/src/abs": base + "/outside", "real/in": "src/sub", "real/src/dangling": "../../outside/new", "real/src/loop": "loop",
		"real/src/file": "../../outside/file", "real/src/root": "/", "real/src/chain": "out", "real/src/self": ".",
	} {
		if err := os.Symlink(target, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(base, "work")
}

func TestPaths(t *testing.T) {
	dir := workspace(t)
	base := filepath.Dir(dir)
	r := &rules.Rules{
		Deny:  []rules.Rule{{Path: ".git/**"}, {Path: "**/*.pem"}, {Path: "~/.ssh/**"}, {Path: "/etc/**"}},
		Allow: []rules.Rule{{Path: "src/**"}, {Path: "docs/*.md"}, {Tool: "Read", Path: "notes"}, {Path: "[id]/*"}},
	}
	for _, tt := range []struct {
		path string
		want rules.Verdict
	}{
		{"src/a.go", rules.Allow}, {"src/sub/new/deep/a.go", rules.Allow}, {"src", rules.Allow}, {"./src/a.go", rules.Allow}, {"src//a.go", rules.Allow}, {"src/sub/../a.go", rules.Allow}, {dir + "/src/a.go", rules.Allow},
		{base + "/real/src/a.go", rules.Allow}, {"in/a.go", rules.Allow}, {"src/self/a.go", rules.Allow}, {"docs/a.md", rules.Allow}, {"[id]/page", rules.Allow}, {"src/...", rules.Allow}, {"src/*", rules.Allow},
		{"a.go", ""}, {"docs/sub/a.md", ""}, {"docs/a.txt", ""}, {"i/page", ""}, {"d/page", ""}, {"notes", ""}, {"SRC/a.go", ""}, {"srcs/a.go", ""}, {".", ""}, {"..", ""},
		{"../outside/a", ""}, {"src/../a.go", ""}, {"src/../../outside/a", ""}, {"src/sub/../../a.go", ""}, {base + "/outside/a", ""}, {base + "/real/src/../../outside/x", ""},
		{"src/out/a", ""}, {"src/abs/a", ""}, {"src/file", ""}, {"src/dangling", ""}, {"src/chain/a", ""}, {"src/root/" + base + "/outside/a", ""}, {"src/self/out/a", ""}, {"src/sub/../out/a", ""},
		{"in/../a.go", rules.Ask}, {"src/out/../a.go", rules.Ask}, {"src/new/../a", rules.Ask}, {"src/loop", rules.Ask}, {"src/loop/a", rules.Ask}, {"", rules.Ask}, {" src/a.go", rules.Ask}, {"src/a.go ", rules.Ask}, {"src/a\x00.go", rules.Ask}, {"src/a\n.go", rules.Ask},
		{"~/src/a.go", rules.Ask}, {"~root/src/a", rules.Ask}, {"kimi-file://src/a", rules.Ask}, {"file:///etc/passwd", rules.Ask},
		{".git/config", rules.Deny}, {".git", rules.Deny}, {"src/../.git/hooks/pre-commit", rules.Deny}, {".GIT/config", rules.Deny}, {dir + "/.git/config", rules.Deny}, {base + "/real/.git/config", rules.Deny},
		{"src/a.pem", rules.Deny}, {"a.PEM", rules.Deny}, {"~/.ssh/id", rules.Deny}, {"~/.ssh", rules.Deny}, {base + "/home/.ssh/id", rules.Deny}, {"../home/.ssh/id", rules.Deny}, {"src/out/../home/.ssh/id", rules.Ask},
		{"/etc/passwd", rules.Deny}, {"/etc", rules.Deny}, {"/ETC/passwd", rules.Deny}, {"src/root/etc/passwd", rules.Deny}, {"/usr/../etc/passwd", rules.Deny}, {"/proc/self/root/etc/passwd", rules.Deny},
	} {
		for _, tool := range []string{"Write", "WriteFile"} {
			d := r.Decide(tool, arguments(t, map[string]string{"path": tt.path, "content": "x"}), dir)
			if d.Verdict != tt.want {
				t.Errorf("%s %q: %+v, want %q", tool, tt.path, d, tt.want)
			}
		}
	}
	for _, tt := range []struct {
		tool, args, dir string
		want            rules.Verdict
	}{
		{"Read", `{"path":"notes"}`, dir, rules.Allow},
		{"ReadFile", `{"path":"notes"}`, dir, ""},
		{"Edit", `{"path":"src/a","old_string":"a","new_string":"b"}`, dir, rules.Allow},
		{"StrReplaceFile", `{"path":"src/a","edit":[{"old":"a","new":"b"}]}`, dir, rules.Allow},
		{"Write", `{"path":"src/a","content":"x","mode":"append"}`, dir, rules.Allow},
		{"Write", `{"path":"src/a","file_path":"/tmp/x","content":"x"}`, dir, rules.Ask},
		{"Write", `{"path":"/tmp/x","path":"src/a"}`, dir, rules.Ask},
		{"Write", `{"path":["src/a"]}`, dir, rules.Ask},
		{"Write", `{}`, dir, ""},
		{"Write", `{"path":null}`, dir, ""},
		{"Write", ``, dir, rules.Ask},
		{"Write", `{"path":"src/a"}`, "", rules.Ask},
		{"Write", `{"path":"` + dir + `/src/a"}`, "", rules.Ask},
		{"Write", `{"path":"/etc/passwd"}`, "", rules.Deny},
		{"Upload", `{"path":"src/a"}`, dir, ""},
		{"Bash", `{"command":"cat src/a"}`, dir, ""},
		{"Grep", `{"pattern":"x","path":"src"}`, dir, rules.Ask}, // the folder may have a *.pem file
		{"Grep", `{"pattern":"x","path":".git"}`, dir, rules.Deny},
		{"Grep", `{"pattern":"x"}`, dir, rules.Ask},
	} {
		if d := r.Decide(tt.tool, json.RawMessage(tt.args), tt.dir); d.Verdict != tt.want {
			t.Errorf("%s %s: %+v, want %q", tt.tool, tt.args, d, tt.want)
		}
	}
}

// The path of a search means the whole tree below it.
func TestSearches(t *testing.T) {
	dir := workspace(t)
	r := &rules.Rules{Deny: []rules.Rule{{Path: "secret/**"}}, Allow: []rules.Rule{{Path: "src/**"}, {Path: "docs/*"}}}
	for _, tt := range []struct {
		tool, args string
		want       rules.Verdict
	}{
		{"Grep", `{"pattern":"x","path":"src","-i":true}`, rules.Allow},
		{"Grep", `{"pattern":"../x","path":"src/sub"}`, rules.Allow},
		{"Grep", `{"pattern":"x","path":"docs/a"}`, ""},
		{"Grep", `{"pattern":"x","path":"src/out"}`, ""},
		{"Grep", `{"pattern":"x"}`, rules.Ask},
		{"Grep", `{"pattern":"x","path":"."}`, rules.Ask},
		{"Grep", `{"pattern":"x","path":"secret/a"}`, rules.Deny},
		{"Grep", `{"pattern":"x","path":"/"}`, rules.Ask},
		{"Glob", `{"pattern":"**/*.go","path":"src"}`, rules.Allow},
		{"Glob", `{"pattern":"**/*.go","directory":"src"}`, rules.Allow},
		{"Glob", `{"pattern":"**/*.go","path":"src","directory":"/usr"}`, ""},
		{"Glob", `{"pattern":"**/*.go","path":"src","directory":"src"}`, ""},
		{"Glob", `{"pattern":"../*","path":"src"}`, rules.Ask},
		{"Glob", `{"pattern":"/etc/*","path":"src"}`, rules.Ask},
		{"Glob", `{"pattern":"~/*","path":"src"}`, rules.Ask},
		{"Glob", `{"path":"src"}`, ""},
	} {
		if d := r.Decide(tt.tool, json.RawMessage(tt.args), dir); d.Verdict != tt.want {
			t.Errorf("%s %s: %+v, want %q", tt.tool, tt.args, d, tt.want)
		}
	}
}
