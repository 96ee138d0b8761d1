package rules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client/rules"
)

// Deny overrides Ask, and Ask overrides Allow, whatever the order of the rules is and however narrow they are.
func TestOrder(t *testing.T) {
	all := rules.Rules{Deny: []rules.Rule{{Tool: "a"}}, Ask: []rules.Rule{{Tool: "a"}, {Tool: "b"}}, Allow: []rules.Rule{{Tool: "a"}, {Tool: "b"}, {Tool: "c", Reason: "harmless"}}}
	for tool, want := range map[string]rules.Decision{
		"a": {Verdict: rules.Deny, Rule: &rules.Rule{Tool: "a"}, Reason: `a rule denies it: tool "a"`},
		"b": {Verdict: rules.Ask, Rule: &rules.Rule{Tool: "b"}, Reason: `a rule asks about it: tool "b"`},
		"c": {Verdict: rules.Allow, Rule: &rules.Rule{Tool: "c", Reason: "harmless"}, Reason: "harmless"},
		"d": {},
		"C": {},
		"":  {},
	} {
		if diff := cmp.Diff(want, all.Decide(tool, json.RawMessage(`{}`), "/")); diff != "" {
			t.Errorf("%q: %s", tool, diff)
		}
	}
	var none *rules.Rules
	if d := none.Decide("a", nil, ""); d != (rules.Decision{}) {
		t.Errorf("nil rules: %+v", d)
	}
	if d := new(rules.Rules).Decide("a", nil, ""); d != (rules.Decision{}) {
		t.Errorf("no rules: %+v", d)
	}
}

// Rules for MCP servers work with the names of both kimis: Kimi Code names the server, kimi-cli does not.
func TestMCP(t *testing.T) {
	r := &rules.Rules{
		Deny:  []rules.Rule{{MCPServer: "prod"}, {MCPServer: "db", Tool: "drop"}},
		Allow: []rules.Rule{{MCPServer: "db"}, {MCPServer: "my.wiki", Tool: "search page"}, {MCPServer: "prod", Tool: "read"}},
	}
	r.Allow[1].Tool = "search-page"
	for tool, want := range map[string]rules.Verdict{
		"mcp__db__query": rules.Allow, "mcp__db__drop": rules.Deny, "mcp__db__drop_all": rules.Allow, "mcp__prod__read": rules.Deny, "mcp__my_wiki__search-page": rules.Allow,
		"mcp__my_wiki__delete": "", "mcp__db": "", "mcp__db__": "", "mcp__db___x": "", "mcp__dba__query": "", "mcp__other__db__query": "", "mcp__DB__query": "",
		"query": rules.Ask, "drop": rules.Ask, "Shell": rules.Ask, "Agent": "", "WriteFile": "",
		"mcp__" + strings.Repeat("x", 50) + "_01234567": "",
	} {
		if d := r.Decide(tool, json.RawMessage(`{"sql":"x"}`), "/"); d.Verdict != want {
			t.Errorf("%s: %+v, want %q", tool, d, want)
		}
	}
	long := strings.Repeat("s", 70)
	r = &rules.Rules{Deny: []rules.Rule{{MCPServer: long}}, Allow: []rules.Rule{{Tool: ("mcp__" + long)[:55] + "_01234567"}}}
	if d := r.Decide(r.Allow[0].Tool, json.RawMessage(`{}`), "/"); len(r.Allow[0].Tool) != 64 || d.Verdict != rules.Ask {
		t.Errorf("%s: %+v", r.Allow[0].Tool, d)
	}
}

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	r := &rules.Rules{Allow: []rules.Rule{{Command: "git diff *", Options: "-- --stat -U* --format=*"}}}
	for command, want := range map[string]bool{
		"git diff": true, "git diff --stat": true, "git diff -U3 -- a": true, "git diff --format=%h": true, "git diff a b": true,
		"git diff --sta": false, "git diff --stat=3": false, "git diff -p": false, "git diff --output=x": false, "git diff --format": false, "git diff '-p'": false, "git diff -- -p": false, "git diff +x": false, "git diff -": false,
	} {
		if d := r.Decide("Bash", json.RawMessage(`{"command":"`+command+`"}`), dir); (d.Verdict == rules.Allow) != (want && os.PathSeparator == '/') {
			t.Errorf("%s: %+v, want %v", command, d, want)
		}
	}
}

// Validate refuses each of these rules. Without a call of Validate, each of them denies everything.
func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		list string // the lists that the rule is tried in: deny (d) and allow (a)
		rule rules.Rule
		want string
	}{
		{"da", rules.Rule{}, "it matches nothing"},
		{"da", rules.Rule{Reason: "x"}, "it matches nothing"},
		{"da", rules.Rule{Tool: "*"}, "cannot be a pattern"},
		{"da", rules.Rule{Tool: "mcp__x__*"}, "cannot be a pattern"},
		{"da", rules.Rule{Command: "ls", Path: "x"}, "both"},
		{"da", rules.Rule{MCPServer: "x", Command: "ls"}, "only kimi's own"},
		{"da", rules.Rule{MCPServer: "x", Path: "ls"}, "only kimi's own"},
		{"da", rules.Rule{Tool: "Read", Command: "ls"}, "no command"},
		{"da", rules.Rule{Tool: "bash", Command: "ls"}, "no command"},
		{"da", rules.Rule{Tool: "Bash", Path: "x"}, "no path"},
		{"da", rules.Rule{Command: "ls  x"}, "spaces"},
		{"da", rules.Rule{Command: " "}, "spaces"},
		{"da", rules.Rule{Command: "ls\tx"}, "without quotes"},
		{"da", rules.Rule{Command: "ls; x"}, "without quotes"},
		{"da", rules.Rule{Command: "ls 'x'"}, "without quotes"},
		{"da", rules.Rule{Command: "ls $x"}, "without quotes"},
		{"da", rules.Rule{Command: "ls **"}, "**"},
		{"a", rules.Rule{Command: "*"}, "exact name"},
		{"a", rules.Rule{Command: "g* diff"}, "exact name"},
		{"a", rules.Rule{Command: "A=1 git diff"}, "exact name"},
		{"a", rules.Rule{Command: "cd *"}, "never allowed"},
		{"a", rules.Rule{Command: "eval *"}, "never allowed"},
		{"a", rules.Rule{Command: "env *"}, "without *"},
		{"a", rules.Rule{Command: "/usr/bin/env *"}, "without *"},
		{"a", rules.Rule{Command: "sudo ls *"}, "without *"},
		{"a", rules.Rule{Command: "bash -c *"}, "without *"},
		{"a", rules.Rule{Command: "sed *"}, "first operand"},
		{"a", rules.Rule{Command: "sed -n *"}, "first operand"},
		{"a", rules.Rule{Command: "/bin/sed *p x"}, "first operand"},
		{"a", rules.Rule{Command: "cat ../x"}, ".."},
		{"d", rules.Rule{Command: "ls *", Options: "-l"}, "options need"},
		{"a", rules.Rule{Command: "ls", Options: "-l"}, "options need"},
		{"a", rules.Rule{Tool: "Bash", Options: "-l"}, "options need"},
		{"a", rules.Rule{Command: "ls *", Options: "l"}, "does not begin"},
		{"da", rules.Rule{Path: "a//b"}, "empty"},
		{"da", rules.Rule{Path: "a/"}, "empty"},
		{"da", rules.Rule{Path: "../a"}, "the name .."},
		{"da", rules.Rule{Path: "./a"}, "the name ."},
		{"da", rules.Rule{Path: "a/b**"}, "whole names"},
		{"da", rules.Rule{Path: "~root/x"}, "~/"},
		{"da", rules.Rule{Path: "~"}, "~/"},
		{"da", rules.Rule{Path: `a\b`}, "separate folders by /"},
		{"da", rules.Rule{Path: "/"}, "empty"},
	} {
		for _, list := range tt.list {
			r := &rules.Rules{Allow: []rules.Rule{{Tool: "Think"}}}
			if list == 'd' {
				r.Deny = append(r.Deny, tt.rule)
			} else {
				r.Allow = append(r.Allow, tt.rule)
			}
			err := r.Validate()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "rules: ") {
				t.Errorf("%c %+v: %v, want %q", list, tt.rule, err, tt.want)
			}
			if d := r.Decide("Think", json.RawMessage(`{}`), "/"); d.Verdict != rules.Deny || !strings.Contains(d.Reason, tt.want) {
				t.Errorf("%c %+v: %+v", list, tt.rule, d)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	got, err := rules.Load("testdata/rules.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Deny) == 0 || len(got.Ask) == 0 || len(got.Allow) == 0 || got.Deny[0].Reason == "" {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"[[allow]]\ntool = \"Read\"\ncomand = \"ls\"\n":                               `line 3: unknown key "allow.comand"`,
		"# comand = 1\n[[allow]]\ncomand = \"a\"\n[[allow]]\n comand= \"b\"":          `line 5: unknown key "allow.comand"`,
		"[[alow]]\ntool = \"Read\"\n":                                                 `line 1: unknown key "alow"`,
		"version = 1\n":                                                               `line 1: unknown key "version"`,
		"[[allow]]\nTool = \"Read\"\n":                                                `line 2: unknown key "allow.Tool"`,
		"[[Allow]]\ntool = \"Read\"\n":                                                `line 1: unknown key "Allow"`,
		"[[allow]]\nlogger = \"x\"\ntool = \"x\"\n":                                   `line 2: unknown key "allow.logger"`,
		"Logger = \"x\"\n":                                                            `line 1: unknown key "Logger"`,
		"allow = [{tool = \"Read\",\n comand = \"x\"}]\n":                             `line 2: unknown key "allow.comand"`,
		"[[deny]]\ncomand = \"a\"\n[[allow]]\ncomand = \"b\"":                         `line 4: unknown key "allow.comand"`,
		"[[allow]]\ntool = \"Read\"\n[[alow]]\ntool = \"Read\"\n":                     `line 4: unknown key "alow.tool"`,
		"[[allow]]\ntool = \"Read\n":                                                  "line 2: strings cannot contain newlines; correct the TOML",
		"[[allow]]\ntool = 1\n":                                                       `line 2 (last key "allow.tool"): every value is a string`,
		"allow = [\"Read\"]":                                                          `line 1 (last key "allow"): every value`,
		"[allow]\ntool = \"Read\"\n":                                                  `line 1 (last key "allow"): every value is a string, every table one of [[deny]], [[ask]] and [[allow]]`,
		"[[allow]]\nreason = \"x\"\n":                                                 "allow rule 1",
		"[[deny]]\ncommand = \"rm *\"\n[[deny]]\ncommand = \"ls\"\npath = \"/etc\"\n": "deny rule 2",
		strings.Repeat("#", 1<<20+1):                                                  "MiB",
	} {
		file := filepath.Join(t.TempDir(), "rules.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := rules.Load(file); err == nil || r != nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "rules: load ") {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
		if _, err := rules.Load(file); err != nil {
			told := strings.TrimPrefix(err.Error(), "rules: load "+file+": ")
			for said := range strings.Lines(told) {
				if strings.Contains(said, "rules: ") || strings.Contains(said, "toml: ") || strings.Count(said, "line ") > 1 {
					t.Errorf("%.60q: it is told twice: %v", text, err)
				}
			}
		}
	}
	if _, err := rules.Load(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
	if r, err := rules.Parse(nil); err != nil || len(r.Allow) != 0 {
		t.Errorf("an empty file: %+v, %v", r, err)
	}
}

func TestDecisionJSON(t *testing.T) {
	want := rules.Decision{Verdict: rules.Deny, Rule: &rules.Rule{Command: "rm *", Reason: "no"}, Reason: "no"}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"verdict":"deny","rule":{"command":"rm *","reason":"no"},"reason":"no"}` {
		t.Errorf("%s, %v", text, err)
	}
	var got rules.Decision
	if err := json.Unmarshal(text, &got); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%+v, %v", got, err)
	}
}
