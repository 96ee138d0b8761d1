//go:build unix

package grant

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/rules"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Each offer covers the call of the request, and no more than its words say.
func TestOffers(t *testing.T) {
	for _, tt := range []struct {
		name, tool string
		args       map[string]any
		action     string
		want       []string
	}{
		{"one command", "Shell", map[string]any{"command": "go test ./..."}, "run command", []string{
			"the command “go test ./...”", "commands that begin with “go test” (no dangerous options)"}},
		{"a dangerous option", "Shell", map[string]any{"command": "go test -exec evil ./..."}, "run command", []string{"the command “go test -exec evil ./...”"}},
		{"quoted words", "Shell", map[string]any{"command": `git commit -m "a b"`}, "run command", []string{
			"commands that begin with “git commit” (no dangerous options)"}},
		{"a program that reads", "Bash", map[string]any{"command": "ls -l"}, "run", []string{
			"the command “ls -l”", "commands that begin with “ls” (no dangerous options)"}},
		{"a program that does not", "Shell", map[string]any{"command": "rm -rf x"}, "run command", []string{"the command “rm -rf x”"}},
		{"several commands", "Shell", map[string]any{"command": "git status && rm x"}, "run command", nil},
		{"a substitution", "Shell", map[string]any{"command": "echo $(rm x)"}, "run command", nil},
		{"a glob", "Shell", map[string]any{"command": "rm *"}, "run command", nil},
		{"a redirection", "Shell", map[string]any{"command": "echo x > y"}, "run command", nil},
		{"lines", "Shell", map[string]any{"command": "ls\nrm x"}, "run command", nil},
		{"another folder", "Bash", map[string]any{"command": "git status", "cwd": "/"}, "run", nil},
		{"an argument that it should not have", "Shell", map[string]any{"command": "ls", "x": 1}, "run command", nil},
		{"a tool of another under the name", "Shell", map[string]any{"command": "ls"}, "mcp:Shell", nil},
		{"a tool of another under the name of one of the other kimi", "CronCreate", map[string]any{"x": 1}, "mcp:CronCreate", nil},
		{"a tool of another", "search", map[string]any{"x": 1}, "mcp:search", []string{"every call of search, whatever its arguments"}},
		{"a file", "WriteFile", map[string]any{"path": "a.txt", "content": "x"}, "edit file", []string{"WriteFile of “a.txt”", "WriteFile of any file of the work dir"}},
		{"a file below", "Edit", map[string]any{"path": "src/sub/a.txt", "old_string": "x", "new_string": "y"}, "edit", []string{
			"Edit of “src/sub/a.txt”", "Edit of any file below “src/sub/”"}},
		{"a file elsewhere", "WriteFile", map[string]any{"path": "/etc/hosts", "content": "x"}, "edit file outside of working directory", []string{"WriteFile of “/etc/hosts”"}},
		{"a path with a star", "WriteFile", map[string]any{"path": "a*", "content": "x"}, "edit file", nil},
		{"a tool of a server", "mcp__docs__search", map[string]any{"q": "x"}, "call", []string{"every call of mcp__docs__search, whatever its arguments"}},
		{"a call that is not known", "", nil, "run command", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			args, err := json.Marshal(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Open("")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range b.offers(dir, tt.action, tt.tool, args, false) {
				if o.rule == nil {
					continue
				}
				got = append(got, strings.TrimSuffix(o.Words, ", in this session"))
				if d := (&rules.Rules{Allow: []rules.Rule{*o.rule}}).Decide(tt.tool, args, dir); d.Verdict != rules.Allow {
					t.Errorf("%s decides %v", o.rule, d)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// No rule is offered if a star in the path of the work dir would be a pattern, or if a folder has the name "~", which
// means the home in a rule.
func TestOffersOfStrangeFolders(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	b, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	for work, path := range map[string]string{"a*b/work": "../x", "work": "./~/a.txt"} {
		dir := filepath.Join(home, work)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		args, err := json.Marshal(map[string]string{"path": path, "content": "x"})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range b.offers(dir, "edit file", "WriteFile", args, false) {
			if o.rule != nil {
				t.Errorf("%s in %s: %s is offered as %q", path, work, o.rule, o.Words)
			}
		}
	}
}

// With a file, each rule can be kept. kimi's own approval for the session is offered too.
func TestOffersOfKimi(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.toml")
	b, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	args := json.RawMessage(`{"command":"git status"}`)
	words := func(list []Offer) (all []string) {
		for _, o := range list {
			all = append(all, o.Words)
		}
		return all
	}
	const exact, kind = "the command “git status”, ", "commands that begin with “git status” (no dangerous options), "
	want := []string{exact + "in this session", kind + "in this session", exact + "from now on (in r.toml)", kind + "from now on (in r.toml)",
		"every later “run command”, whatever it is, in this session"}
	if diff := cmp.Diff(want, words(b.offers("/", "run command", "Shell", args, false))); diff != "" {
		t.Errorf("kimi-cli (-want +got):\n%s", diff)
	}
	want = []string{kind + "in this session", "the same call again, in this session", exact + "from now on (in r.toml)", kind + "from now on (in r.toml)"}
	if diff := cmp.Diff(want, words(b.offers("/", "run", "Bash", args, true))); diff != "" {
		t.Errorf("Kimi Code (-want +got):\n%s", diff)
	}
	b.rules = &rules.Rules{Ask: []rules.Rule{{Command: "git *"}}}
	if got := b.offers("/", "run", "Bash", args, true); len(got) != 1 {
		t.Errorf("what a rule asks about is offered: %q", words(got))
	}
}

// A rule is appended to the file, and the next program reads it.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "r.toml")
	for _, before := range []string{"", "# ours\n[[deny]]\ncommand = \"rm *\"", "\n"} {
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []rules.Rule{{Tool: "Shell", Command: "git status *"}, {Tool: "Edit", Path: `a "b"/ü`}} {
			if err := b.Keep(Offer{rule: &r, keep: true}); err != nil {
				t.Fatal(err)
			}
		}
		next, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]rules.Rule{{Tool: "Shell", Command: "git status *"}, {Tool: "Edit", Path: `a "b"/ü`}}, next.rules.Allow); diff != "" {
			t.Errorf("%q (-want +got):\n%s", before, diff)
		}
		data, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(data), before) || len(next.Hooks()) != strings.Count(before, "deny") {
			t.Errorf("%v, %d hooks, the file is\n%s", err, len(next.Hooks()), data)
		}
	}
	// A file that cannot take a rule stays as it is.
	const other = "allow = [{tool = \"x\"}]\n"
	if err := os.WriteFile(file, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &Book{file: file, rules: new(rules.Rules)}
	if err := b.Keep(Offer{rule: &rules.Rule{Tool: "y"}, keep: true}); err == nil || !strings.Contains(err.Error(), "in this session only") {
		t.Errorf("Keep = %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != other {
		t.Errorf("%v, the file is %q", err, data)
	}
	if b, err := Open(filepath.Join(dir, "none.toml")); err != nil || len(b.rules.Allow) != 0 {
		t.Errorf("Open of a file that is not there: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none", "r.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open in a folder that is not there, where no rule could be kept: %v", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a folder is opened")
	}
	if said, err := b.Answer(t.Context(), &client.ApprovalRequest{ApprovalRequest: wireproto.ApprovalRequest{}}, "z", nil); said != "" || err != nil {
		t.Errorf("Answer = %q, %v", said, err)
	}
}

// If only a part of a rule fits on the disk, the part is taken back, and everything else stays: also what another chat has
// appended since the file was read.
func TestKeepOnFullDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.toml")
	text, err := table(rules.Rule{Tool: "Shell", Command: "git status *"})
	if err != nil {
		t.Fatal(err)
	}
	if err := add(file, text); err != nil { // the other chat
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	full := old
	full.Cur = 60 // the second rule does not fit
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	failed := add(file, text)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(file)
	if failed == nil || err != nil || string(after) != string(before) || len(before) >= 60 || len(before)+len(text) <= 60 {
		t.Errorf("%v, %v; the file has %q, and had %q", failed, err, after, before)
	}
}
