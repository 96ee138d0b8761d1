//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
)

// codeAgent is what a request to the model shows about the agent.
type codeAgent struct {
	System string
	Tools  []string
}

func codeAgentOf(t testing.TB, m *clienttest.Model, request int) (a codeAgent) {
	t.Helper()
	var r struct {
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
		Tools []struct {
			Function struct{ Name, Description string }
		}
	}
	all := m.Requests()
	if request >= len(all) {
		t.Fatalf("the model was called %d times, not %d", len(all), request+1)
	}
	if err := json.Unmarshal(all[request], &r); err != nil {
		t.Fatal(err)
	}
	for _, msg := range r.Messages {
		if msg.Role == "system" {
			a.System += string(msg.Content)
		}
	}
	for _, tool := range r.Tools {
		a.Tools = append(a.Tools, tool.Function.Name)
	}
	slices.Sort(a.Tools)
	return a
}

// Kimi Code runs an agent file of kimi-cli, with its prompt, its tools and its subagents. The session keeps them.
func TestKimiCodeAgentFile(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t,
		say(clienttest.ToolCall("c1", "Agent", map[string]string{"description": "d", "prompt": "help me", "subagent_type": "helper"})), "text: helped", "text: one",
		"text: two", "text: three", "text: plain", "text: six")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	dir := filepath.Join(root(opts), "agent")
	write(t, filepath.Join(dir, "prompt.md"), "You are a parrot of ${FEATHERS} feathers in ${KIMI_WORK_DIR}.", 0o600)
	write(t, filepath.Join(dir, "helper.yaml"), "agent:\n  extend: default\n  system_prompt_args:\n    ROLE_ADDITIONAL: You are a helper.\n"+
		"  tools: [\"kimi_cli.tools.file:ReadFile\", \"kimi_cli.tools.file:WriteFile\"]\n  exclude_tools: [\"kimi_cli.tools.file:WriteFile\"]\n", 0o600)
	spec := func(name, tools string) string {
		return write(t, filepath.Join(dir, name), "version: 1\nagent:\n  extend: default\n  name: Parrot\n  system_prompt_path: ./prompt.md\n"+
			"  system_prompt_args:\n    FEATHERS: green\n  tools: ["+tools+"]\n  subagents:\n    helper:\n      path: ./helper.yaml\n      description: Helps the parrot.\n", 0o600)
	}
	const shell, agent = `"kimi_cli.tools.shell:Shell"`, `"kimi_cli.tools.agent:Agent"`
	opts.AgentFile = spec("agent.yaml", shell+", "+agent)
	opts.Thinking = ptr(false)
	opts.Tools = []client.Tool{mustTool(client.NewTool("add", "", func(context.Context, noInput) (string, error) { return "", nil }))}
	// Agents of the user and of the project with the same names do not come first.
	for _, home := range []string{opts.ShareDir, filepath.Join(opts.WorkDir, ".kimi-code")} {
		write(t, filepath.Join(home, "agents", "agent.md"), "---\nname: agent\ndescription: d\noverride: true\n---\nYou are someone else.\n", 0o600)
	}

	s := e2eStart(t, ctx, opts)
	e2eText(t, ctx, s, "hi", "one")
	first := codeAgentOf(t, m, 0)
	if !strings.Contains(first.System, "You are a parrot of green feathers in "+opts.WorkDir) || strings.Contains(first.System, "someone else") {
		t.Errorf("system prompt: %.300s", first.System)
	}
	e2eSame(t, "tools", []string{"Agent", "Bash", "mcp__program__add"}, first.Tools)
	if all := string(m.Requests()[0]); !strings.Contains(all, "Helps the parrot.") {
		t.Error("the model is not told of the subagent")
	}
	helper := codeAgentOf(t, m, 1)
	if !strings.Contains(helper.System, "You are a helper.") || !strings.Contains(helper.System, "You are Kimi Code CLI") {
		t.Errorf("system prompt of the subagent: %.300s", helper.System)
	}
	e2eSame(t, "tools of the subagent", []string{"Read", "mcp__program__add"}, helper.Tools)
	if r := codeRequests(t, m)[0]; r.Model != "scripted" || r.Thinking.Type != "disabled" {
		t.Errorf("the model's settings: %+v", r)
	}
	closed(t, s)

	// The session keeps its agent, even if the prompt file has changed, or if no agent file is given.
	write(t, filepath.Join(dir, "prompt.md"), "You are a crow.", 0o600)
	s = resumed(t, ctx, s.ID(), opts)
	e2eText(t, ctx, s, "again", "two")
	e2eSame(t, "the agent of the session", first, codeAgentOf(t, m, 3))
	closed(t, s)
	without := *opts
	without.AgentFile = ""
	s = resumed(t, ctx, s.ID(), &without)
	e2eText(t, ctx, s, "without a file", "three")
	e2eSame(t, "the agent of the session", first, codeAgentOf(t, m, 4))
	closed(t, s)

	// An agent file with other tools does not fit the session. The prompt fails before it reaches the model.
	other := *opts
	other.AgentFile = spec("other.yaml", agent)
	s = resumed(t, ctx, s.ID(), &other)
	if turn, err := s.Prompt(ctx, "with other tools"); err == nil {
		if _, err = turn.Result(); err == nil || !strings.Contains(err.Error(), " agent") {
			t.Errorf("the prompt of another agent: %v", err)
		}
	}
	if n := len(m.Requests()); n != 5 {
		t.Errorf("the model was called %d times, want 5", n)
	}
	closed(t, s)
	s = e2eStart(t, ctx, &without) // a new session can have no agent file
	e2eText(t, ctx, s, "plain", "plain")
	closed(t, s)
	noneLeft(t, root(opts))
}

// Kimi Code runs an agent file in its own format.
func TestKimiCodeAgentMarkdown(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, "text: one", "text: two")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	opts.AgentFile = write(t, filepath.Join(root(opts), "reader.md"), "---\nname: reader\ndescription: \"Reads: files.\"\ntools: Read, Grep\nsubagents: []\n---\nYou read. ${base_prompt}\n", 0o600)
	opts.SlashCommands = true
	s := e2eStart(t, ctx, opts)
	if turn, err := s.Prompt(ctx, "/compact"); err == nil {
		if _, err = turn.Result(); err == nil {
			t.Error("a command before the agent is made")
		}
	}
	for _, text := range []string{"one", "two"} {
		e2eText(t, ctx, s, "go", text)
	}
	for i := range 2 {
		a := codeAgentOf(t, m, i)
		if !strings.HasPrefix(a.System, `"You read. You are Kimi Code CLI`) {
			t.Errorf("system prompt: %.100s", a.System)
		}
		e2eSame(t, "tools", []string{"Grep", "Read"}, a.Tools)
	}
}

// A bad agent file gives an error. Kimi Code itself would skip it silently and run its default agent.
func TestKimiCodeAgentFileBad(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"version: 1\nagent:\n  extend: default\n  tools: [\"my.tools:Own\"]\n": "agent.yaml:4",
		"version: 1\nagent:\n  extend: default\n  tools: 3\n":                  "agent.yaml:4: tools must be a list of names",
	} {
		ctx := e2eCtx(t)
		opts := clienttest.KimiCode(t)
		opts.AgentFile = write(t, filepath.Join(root(opts), "agent.yaml"), text, 0o600)
		opts.ModifyCmd = func(cmd *exec.Cmd) { t.Errorf("%q is started", cmd.Args) }
		s, err := client.NewSession(ctx, opts)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Options.SkillsDirs replaces the user's folders of skills. The folders of the project are still used.
func TestKimiCodeSkillsDirs(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	m := clienttest.NewModel(t, "text: one", "text: two")
	opts := clienttest.KimiCode(t)
	opts.Env["KIMI_MODEL_BASE_URL"] = m.URL()
	skill := func(dir, name string) string {
		write(t, filepath.Join(dir, name, "SKILL.md"), "---\nname: "+name+"\ndescription: About "+name+".\n---\nDo it.\n", 0o600)
		return dir
	}
	skill(filepath.Join(opts.ShareDir, "skills"), "of-the-user")
	skill(filepath.Join(opts.WorkDir, ".kimi-code", "skills"), "of-the-project")
	configured := skill(filepath.Join(root(opts), "configured"), "configured")
	write(t, filepath.Join(opts.ShareDir, "config.toml"), "extra_skill_dirs = ["+quote(configured)+"]\n", 0o600)
	names := func(s *client.Session) (list []string) {
		for _, c := range s.Server().SlashCommands {
			if strings.HasPrefix(c.Description, "About ") {
				list = append(list, c.Name)
			}
		}
		slices.Sort(list)
		return list
	}
	s := e2eStart(t, ctx, opts)
	e2eSame(t, "skills", []string{"configured", "of-the-project", "of-the-user"}, names(s))
	closed(t, s)
	opts.SkillsDirs = []string{skill(filepath.Join(root(opts), "mine"), "mine"), skill(filepath.Join(root(opts), "more"), "more")}
	s = e2eStart(t, ctx, opts)
	e2eSame(t, "skills", []string{"configured", "mine", "more", "of-the-project"}, names(s))
	e2eText(t, ctx, s, "hi", "one")
	if a := codeAgentOf(t, m, 0); !strings.Contains(a.System, "About mine.") || strings.Contains(a.System, "About of-the-user") {
		t.Error("the model is told of other skills")
	}
	closed(t, s)
	if !exists(filepath.Join(opts.ShareDir, "skills", "of-the-user", "SKILL.md")) {
		t.Error("the user's skill is gone")
	}
}

func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}
