package home

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// toolNames maps the names of kimi-cli's tools to Kimi Code's names.
var toolNames = map[string]string{
	"kimi_cli.tools.agent:Agent":              "Agent",
	"kimi_cli.tools.ask_user:AskUserQuestion": "AskUserQuestion",
	"kimi_cli.tools.todo:SetTodoList":         "TodoList",
	"kimi_cli.tools.shell:Shell":              "Bash",
	"kimi_cli.tools.background:TaskList":      "TaskList",
	"kimi_cli.tools.background:TaskOutput":    "TaskOutput",
	"kimi_cli.tools.background:TaskStop":      "TaskStop",
	"kimi_cli.tools.file:ReadFile":            "Read",
	"kimi_cli.tools.file:ReadMediaFile":       "ReadMediaFile",
	"kimi_cli.tools.file:Glob":                "Glob",
	"kimi_cli.tools.file:Grep":                "Grep",
	"kimi_cli.tools.file:WriteFile":           "Write",
	"kimi_cli.tools.file:StrReplaceFile":      "Edit",
	"kimi_cli.tools.web:SearchWeb":            "WebSearch",
	"kimi_cli.tools.web:FetchURL":             "FetchURL",
	"kimi_cli.tools.plan:ExitPlanMode":        "ExitPlanMode",
	"kimi_cli.tools.plan.enter:EnterPlanMode": "EnterPlanMode",
}

// promptVariables maps the variables in kimi-cli's prompts to Kimi Code's variables.
var promptVariables = map[string]string{
	"KIMI_WORK_DIR": "${cwd}", "KIMI_WORK_DIR_LS": "${cwd_listing}", "KIMI_AGENTS_MD": "${agents_md}", "KIMI_SKILLS": "${skills}",
	"KIMI_ADDITIONAL_DIRS_INFO": "${additional_dirs_info}", "KIMI_OS": "${os}", "KIMI_SHELL": "${shell}",
}

const (
	basePrompt = "${base_prompt}" // the prompt of Kimi Code's own agent
	roleArg    = "ROLE_ADDITIONAL"
	// depthMost limits how many files may extend each other.
	depthMost = 8
)

// spec is an agent specification of kimi-cli, together with the files that it extends (kimi_cli/agentspec.py, 1.51.0).
// The field of a key that no file has is nil.
type spec struct {
	name      *field
	prompt    *field
	args      map[string]*field
	model     *field
	whenToUse *field
	tools     *field
	allowed   *field
	exclude   *field
	subagents *field
	standard  bool // whether it extends kimi-cli's own agent
}

// loadSpec reads a specification and the files that it extends.
func loadSpec(path string, depth int) (*spec, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	top, err := fieldsOf(path, data)
	if err != nil {
		return nil, err
	}
	if v := top["version"]; v != nil && v.node.Value != "1" {
		return nil, v.errorf("version must be 1")
	}
	agent := top["agent"]
	if agent == nil {
		return nil, fmt.Errorf("%s:1: the key agent is missing", path)
	}
	fields, err := agent.fields()
	if err != nil {
		return nil, err
	}
	s := &spec{args: make(map[string]*field)}
	if e := fields["extend"]; e != nil && e.node.Tag != "!!null" {
		switch base, err := e.text("extend"); {
		case err != nil:
			return nil, err
		case base == "default":
			s.standard = true
		case depth == 0:
			return nil, e.errorf("too many files extend each other")
		default:
			if s, err = loadSpec(filepath.Join(filepath.Dir(path), base), depth-1); err != nil {
				return nil, err
			}
		}
	}
	for key, into := range map[string]**field{
		"name": &s.name, "system_prompt_path": &s.prompt, "model": &s.model, "when_to_use": &s.whenToUse, "tools": &s.tools,
		"allowed_tools": &s.allowed, "exclude_tools": &s.exclude, "subagents": &s.subagents,
	} {
		if f := fields[key]; f != nil && (f.node.Tag != "!!null" || key != "model" && key != "when_to_use") {
			*into = f
		}
	}
	if f := fields["system_prompt_args"]; f != nil {
		args, err := f.fields()
		if err != nil {
			return nil, err
		}
		maps.Copy(s.args, args)
	}
	return s, nil
}

// text returns a text.
func (f *field) text(key string) (string, error) {
	if f.node.Kind != yaml.ScalarNode || f.node.Tag == "!!null" {
		return "", f.errorf("%s must be a text", key)
	}
	return f.node.Value, nil
}

// file returns a path. In the file, the path is relative to the folder of the file.
func (f *field) file(key string) (string, error) {
	path, err := f.text(key)
	if err != nil || filepath.IsAbs(path) {
		return path, err
	}
	return filepath.Join(filepath.Dir(f.path), path), nil
}

// loadYAML reads an agent of kimi-cli and its subagents.
func (a *Agent) loadYAML(path string) (*profile, error) {
	s, err := loadSpec(path, depthMost)
	if err != nil {
		return nil, err
	}
	p, err := s.profile(path)
	if err != nil {
		return nil, err
	}
	name := ""
	if s.name != nil {
		if name, err = s.name.text("name"); err != nil {
			return nil, err
		}
	}
	if p.name = kebabOf(name); p.name == "" {
		p.name = "agent"
	}
	p.description = "The agent of the program"
	if name != "" {
		p.description = name
	}
	if s.subagents == nil {
		return p, nil
	}
	list, err := s.subagents.fields()
	if err != nil {
		return nil, err
	}
	p.subagents = []string{}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		f := list[name]
		p.subagents = append(p.subagents, name)
		if err := a.subagent(name, f); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// subagent reads a subagent of kimi-cli. It leaves out the subagents of the subagent: a subagent cannot call them,
// neither in kimi-cli nor in Kimi Code.
func (a *Agent) subagent(name string, f *field) error {
	if !kebab.MatchString(name) {
		return f.errorf("the name of the subagent %.40q must be of lower-case letters and digits, with single hyphens between", name)
	}
	fields, err := f.fields()
	if err != nil {
		return err
	}
	description, err := fields["description"].or(f.path, f.line).need("description")
	if err != nil {
		return err
	}
	if _, err := fields["path"].or(f.path, f.line).need("path"); err != nil {
		return err
	}
	path, err := fields["path"].file("path")
	if err != nil {
		return err
	}
	s, err := loadSpec(path, depthMost)
	if err != nil {
		return f.errorf("the subagent %s: %w", name, err)
	}
	if s.model != nil {
		return &api.UnsupportedError{Option: fmt.Sprintf("the model of a subagent (%s:%d)", s.model.path, s.model.line), Why: "its subagents take the session's"}
	}
	p, err := s.profile(path)
	if err != nil {
		return f.errorf("the subagent %s: %w", name, err)
	}
	p.name, p.description, p.override = name, description, true
	if s.whenToUse != nil {
		p.whenToUse = strings.TrimSpace(s.whenToUse.node.Value)
	}
	return a.add(p)
}

// need returns a text that must be there and must not be empty.
func (f *field) need(key string) (string, error) {
	if f.node == nil {
		return "", f.errorf("%s is missing", key)
	}
	text, err := f.text(key)
	if text = strings.TrimSpace(text); err == nil && text == "" {
		err = f.errorf("%s is empty", key)
	}
	return text, err
}

// profile turns a specification into an agent file, without its name and description.
func (s *spec) profile(path string) (*profile, error) {
	for key, f := range map[string]*field{"name": s.name, "system_prompt_path": s.prompt, "tools": s.tools} {
		if f == nil && !s.standard {
			return nil, fmt.Errorf("%s:1: %s is missing; or write extend: default", path, key)
		}
	}
	p := new(profile)
	skills := false
	var err error
	if p.prompt, skills, err = s.system(); err != nil {
		return nil, err
	}
	return p, s.setTools(p, skills)
}

// setTools sets the tools of an agent. It adds the tools of MCP servers and of the program, as kimi-cli does.
func (s *spec) setTools(p *profile, skills bool) error {
	list := s.tools
	if s.allowed != nil && s.allowed.node.Tag != "!!null" {
		list = s.allowed
	}
	var excluded []string
	if s.exclude != nil {
		var err error
		if excluded, err = s.exclude.list("exclude_tools"); err != nil {
			return err
		}
	}
	if list == nil { // the tools of Kimi Code's own agent
		for _, tool := range excluded {
			if name := toolNames[tool]; name != "" { // a tool that Kimi Code does not have need not be excluded
				p.disallowed = append(p.disallowed, name)
			}
		}
		return nil
	}
	tools, err := list.list("tools")
	if err != nil {
		return err
	}
	p.tools = []string{"mcp__*"}
	if skills {
		p.tools = append(p.tools, "Skill")
	}
	for i, tool := range tools {
		if slices.Contains(excluded, tool) {
			continue
		}
		name := toolNames[tool]
		if name == "" {
			line := list.line
			if i < len(list.node.Content) {
				line = list.node.Content[i].Line
			}
			return &api.UnsupportedError{Option: fmt.Sprintf("the tool %.80q (%s:%d)", tool, list.path, line), Why: "leave it out"}
		}
		p.tools = append(p.tools, name)
	}
	return nil
}

var (
	variable = regexp.MustCompile(`\$\{([^}]*)\}`)
	name     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// system returns the system prompt, and whether it mentions skills.
func (s *spec) system() (prompt string, skills bool, err error) {
	if s.prompt == nil {
		prompt = basePrompt
		if role := s.args[roleArg]; role != nil && strings.TrimSpace(role.node.Value) != "" {
			prompt += "\n\n" + strings.TrimSpace(role.node.Value)
		}
		return prompt, false, nil
	}
	path, err := s.prompt.file("system_prompt_path")
	if err != nil {
		return "", false, err
	}
	data, err := readSmall(path)
	if err != nil {
		return "", false, s.prompt.errorf("the system prompt: %w", err)
	}
	text := strings.TrimSpace(strings.ReplaceAll(string(data), "\r\n", "\n"))
	at := func(offset int) *field { return &field{path: path, line: 1 + strings.Count(text[:offset], "\n")} }
	for _, mark := range []string{"{%", "{#"} {
		if i := strings.Index(text, mark); i >= 0 {
			return "", false, &api.UnsupportedError{Option: fmt.Sprintf("a statement of Jinja (%s:%d)", path, at(i).line), Why: "write the text out"}
		}
	}
	var b strings.Builder
	last := 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		key := strings.TrimSpace(text[m[2]:m[3]])
		b.WriteString(text[last:m[0]])
		last = m[1]
		switch arg := s.args[key]; {
		case arg != nil:
			b.WriteString(arg.node.Value)
		case key == "KIMI_NOW":
			b.WriteString(time.Now().Format("2006-01-02T15:04:05.000000-07:00"))
		case promptVariables[key] != "":
			skills = skills || key == "KIMI_SKILLS"
			b.WriteString(promptVariables[key])
		case !name.MatchString(key):
			return "", false, at(m[0]).errorf("${%.40s} is not the name of a variable", key)
		default:
			return "", false, at(m[0]).errorf("there is no variable %.40s; name it in system_prompt_args", key)
		}
	}
	b.WriteString(text[last:])
	if prompt = strings.TrimSpace(b.String()); prompt == "" {
		return "", false, s.prompt.errorf("the system prompt %s is empty", path)
	}
	return prompt, skills, nil
}

var others = regexp.MustCompile(`[^a-z0-9]+`)

// kebabOf turns a name into one that Kimi Code accepts. It returns "" for a name without letters and digits.
func kebabOf(name string) string {
	return strings.Trim(others.ReplaceAllString(strings.ToLower(name), "-"), "-")
}
