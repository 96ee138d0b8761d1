package home

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func writeAgent(t *testing.T, name, text string) *Agent {
	t.Helper()
	a, err := loadText(t, map[string]string{name: text}, name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// loadText writes files and loads the agent file name.
func loadText(t *testing.T, files map[string]string, name string) (*Agent, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := LoadAgent(filepath.Join(dir, name))
	if err != nil {
		err = errorText(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	}
	return a, err
}

type errorText string

func (e errorText) Error() string { return string(e) }

func TestLoadAgent(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		load  string
		want  map[string]string // by name; the part of the name that depends on the content is cut off
	}{
		"markdown": {
			files: map[string]string{"x.md": "\ufeff---\r\nname: my-agent\r\ndescription: \"it: does\"\r\noverride: true\r\ntools: Read, Bash\r\nsubagents: []\r\n---\r\n\r\nYou are ${cwd}.\r\n---\r\nmore\r\n"},
			load:  "x.md",
			want:  map[string]string{"my-agent": "---\nname: NAME\ndescription: \"it: does\"\ntools: [\"Read\",\"Bash\"]\nsubagents: []\n---\nYou are ${cwd}.\n---\nmore\n"},
		},
		"markdown without a name, all tools": {
			files: map[string]string{"the-file.txt": "---\ndescription: d\ntools: ['*']\ndisallowedTools: [Bash]\nwhenToUse: \"<always>\"\n---\nx"},
			load:  "the-file.txt",
			want:  map[string]string{"the-file": "---\nname: NAME\ndescription: \"d\"\nwhenToUse: \"<always>\"\ndisallowedTools: [\"Bash\"]\n---\nx\n"},
		},
		"yaml": {
			files: map[string]string{
				"a.yaml": "---\nversion: 1\nagent:\n  name: My Agent 2\n  system_prompt_path: ./p.md\n  system_prompt_args: {WHO: 'a \"b\"', N: 3}\n" +
					"  tools: [\"kimi_cli.tools.shell:Shell\", \"kimi_cli.tools.file:ReadFile\"]\n  exclude_tools:\n    - kimi_cli.tools.shell:Shell\n" +
					"  subagents:\n    helper:\n      path: sub.yml\n      description: helps\n",
				"p.md":     "\n${WHO} ${ N } in ${KIMI_WORK_DIR} with ${KIMI_SKILLS}: $HOME {x}\n\n",
				"sub.yml":  "agent:\n  extend: base.yml\n  exclude_tools: [\"kimi_cli.tools.think:Think\", \"kimi_cli.tools.web:SearchWeb\"]\n  when_to_use: |\n    often\n",
				"base.yml": "agent:\n  extend: default\n  system_prompt_args:\n    ROLE_ADDITIONAL: |\n      Be brief.\n",
			},
			load: "a.yaml",
			want: map[string]string{
				"my-agent-2": "---\nname: NAME\ndescription: \"My Agent 2\"\ntools: [\"mcp__*\",\"Skill\",\"Read\"]\nsubagents: [\"helper\"]\n---\na \"b\" 3 in ${cwd} with ${skills}: $HOME {x}\n",
				"helper":     "---\nname: NAME\ndescription: \"helps\"\nwhenToUse: \"often\"\noverride: true\ndisallowedTools: [\"WebSearch\"]\n---\n${base_prompt}\n\nBe brief.\n",
			},
		},
		"yaml that allows nothing": {
			files: map[string]string{"a.yml": "agent: {extend: default, allowed_tools: [], subagents: }"},
			load:  "a.yml",
			want:  map[string]string{"agent": "---\nname: NAME\ndescription: \"The agent of the program\"\ntools: [\"mcp__*\"]\nsubagents: []\n---\n${base_prompt}\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := loadText(t, tt.files, tt.load)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			apart := regexp.MustCompile(`-[0-9a-f]{8}$`)
			for name, text := range a.files {
				if !kebab.MatchString(name) {
					t.Errorf("Kimi Code takes no agent of the name %q", name)
				}
				text = strings.Replace(text, "name: \""+name+"\"", "name: NAME", 1)
				if name == a.Name {
					name = apart.ReplaceAllString(name, "")
				}
				lines := strings.SplitAfter(text, "\n")
				got[name] = strings.Join(sortedFields(lines), "")
			}
			want := make(map[string]string)
			for name, text := range tt.want {
				want[name] = strings.Join(sortedFields(strings.SplitAfter(text, "\n")), "")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// sortedFields sorts the front matter, because its order has no meaning.
func sortedFields(lines []string) []string {
	for i := 1; i < len(lines) && lines[i] != "---\n"; i++ {
		for j := i; j > 1 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return lines
}

// An agent with other tools or subagents has another name. An agent with another prompt has the same name, because a
// session keeps the prompt that it began with.
func TestAgentName(t *testing.T) {
	name := func(front, prompt string) string {
		return writeAgent(t, "a.md", "---\nname: n\ndescription: d\n"+front+"---\n"+prompt).Name
	}
	all := name("", "p")
	if other := name("", "q"); other != all {
		t.Errorf("another prompt: %s, %s", other, all)
	}
	if none := name("tools: []\n", "p"); none == all {
		t.Errorf("no tools: %s", none)
	}
}

// A mistake for which Kimi Code would silently skip the file is an error that names the line.
func TestLoadAgentErrors(t *testing.T) {
	md := func(text string) map[string]string { return map[string]string{"a.md": text} }
	yml := func(text string) map[string]string {
		return map[string]string{"a.yaml": text, "p.md": "ok\n\n${NOPE}", "jinja.md": "ok\n{% if x %}", "expr.md": "${a|b}", "empty.md": "\n", "sub.yaml": "agent:\n  extend: default\n  model: m\n"}
	}
	const base = "version: 1\nagent:\n  extend: default\n"
	for _, tt := range []struct {
		files map[string]string
		want  string
	}{
		{md("no front matter"), "the agent file a.md:1: it must begin with a front matter between two lines of ---"},
		{md("---\nname: A B\ndescription: d\n---\nx"), `the agent file a.md:2: the name "A B" must be of lower-case letters and digits, with single hyphens between`},
		{md("---\ndescription: ''\n---\nx"), "the agent file a.md:2: description is missing"},
		{md("---\nname: a\n\ndescription: [d]\n---\nx"), "the agent file a.md:4: description must be a text"},
		{md("---\nname: a\ndescription: d\ntools: {a: b}\n---\nx"), "the agent file a.md:4: tools must be a list of names"},
		{md("---\nname: a\ndescription: d\nsubagents: [1]\n---\nx"), "the agent file a.md:4: subagents must be a list of names"},
		{md("---\nname: a\ndescription: d\noverride: maybe\n---\nx"), "the agent file a.md:4: override must be true or false"},
		{md("---\nname: a\ndescription: d\n---\n\n"), "the agent file a.md:5: there is no prompt after the front matter"},
		{md("---\nname: a\ndescription: d: e\n---\nx"), "the agent file a.md: line 3: mapping values are not allowed in this context"},
		{yml("version: 1"), "the agent file a.yaml:1: the key agent is missing"},
		{yml("version: 2\nagent: {}"), "the agent file a.yaml:1: version must be 1"},
		{yml("agent: []"), "the agent file a.yaml:1: there must be keys with values here"},
		{yml(base + "  system_prompt_path: gone.md\n"), "the agent file a.yaml:4: the system prompt: open gone.md: no such file or directory"},
		{yml(base + "  system_prompt_path: empty.md\n"), "the agent file a.yaml:4: the system prompt empty.md is empty"},
		{yml(base + "  system_prompt_path: p.md\n"), "the agent file p.md:3: there is no variable NOPE; name it in system_prompt_args"},
		{yml(base + "  system_prompt_path: expr.md\n"), "the agent file expr.md:1: ${a|b} is not the name of a variable"},
		{yml(base + "  system_prompt_path: jinja.md\n"), "Kimi Code has no place for a statement of Jinja (jinja.md:2): write the text out"},
		{yml(base + "  tools:\n    - kimi_cli.tools.shell:Shell\n    - my.tools:Own\n"), `Kimi Code has no place for the tool "my.tools:Own" (a.yaml:6): leave it out`},
		{yml(base + "  subagents:\n    Bad Name: {path: sub.yaml, description: d}\n"), `the agent file a.yaml:5: the name of the subagent "Bad Name" must be of lower-case letters and digits, with single hyphens between`},
		{yml(base + "  subagents:\n    s: {path: sub.yaml}\n"), "the agent file a.yaml:5: description is missing"},
		{yml(base + "  subagents:\n    s: {path: gone.yaml, description: d}\n"), "the agent file a.yaml:5: the subagent s: open gone.yaml: no such file or directory"},
		{yml(base + "  subagents:\n    s: {path: sub.yaml, description: d}\n"), "Kimi Code has no place for the model of a subagent (sub.yaml:3): its subagents take the session's"},
		{yml("agent:\n  extend: a.yaml\n"), "the agent file a.yaml:2: too many files extend each other"},
		{yml("agent:\n  system_prompt_path: p.md\n  tools: []\n"), "the agent file a.yaml:1: name is missing; or write extend: default"},
	} {
		name := "a.yaml"
		if tt.files["a.md"] != "" {
			name = "a.md"
		}
		if _, err := loadText(t, tt.files, name); errText(err) != tt.want {
			t.Errorf("%q:\n%v, want\n%s", tt.files[name], err, tt.want)
		}
	}
}
