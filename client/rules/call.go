package rules

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// shape says what the arguments of a tool mean. If a call has other arguments, it is not known what the call does.
type shape struct {
	command string   // the argument with a script for the shell
	dir     string   // the argument with the folder that the script runs in
	path    []string // the arguments of which one has a file or a folder
	tree    bool     // path means a folder and everything below it; if it is absent, it is the work dir
	pattern string   // the argument with a pattern for files below path
	rest    []string // the arguments that do not change which files the call touches
}

// shapes are the tools with commands and paths, by their schemas in kimi-cli 1.51.0 (Shell, ReadFile, WriteFile,
// StrReplaceFile) and in Kimi Code 2.1.0 (Bash, Read, Write, Edit). The other tools are in both.
var shapes = map[string]shape{
	"Shell":          {command: "command", rest: []string{"timeout", "run_in_background", "description"}},
	"Bash":           {command: "command", dir: "cwd", rest: []string{"timeout", "run_in_background", "description", "disable_timeout"}},
	"ReadFile":       {path: []string{"path"}, rest: []string{"line_offset", "n_lines"}},
	"Read":           {path: []string{"path"}, rest: []string{"line_offset", "column_offset", "n_lines", "max_chars"}},
	"ReadMediaFile":  {path: []string{"path"}, rest: []string{"region", "full_resolution"}},
	"WriteFile":      {path: []string{"path"}, rest: []string{"content", "mode"}},
	"Write":          {path: []string{"path"}, rest: []string{"content", "mode"}},
	"StrReplaceFile": {path: []string{"path"}, rest: []string{"edit"}},
	"Edit":           {path: []string{"path"}, rest: []string{"old_string", "new_string", "replace_all"}},
	"Glob": {path: []string{"path", "directory"}, tree: true, pattern: "pattern",
		rest: []string{"include_dirs", "head_limit", "offset", "include_ignored"}},
	"Grep": {path: []string{"path"}, tree: true, rest: []string{"pattern", "glob", "type", "output_mode", "-i", "-n", "-A", "-B", "-C",
		"head_limit", "offset", "multiline", "include_ignored"}},
}

// ownTools are the names of the tools that are part of kimi-cli or Kimi Code. A tool with another name may come from an
// MCP server.
var ownTools = func() map[string]bool {
	names := make(map[string]bool)
	for name := range shapes {
		names[name] = true
	}
	for name := range strings.FieldsSeq("Agent AgentSwarm AskUserQuestion CronCreate CronDelete CronList EnterPlanMode ExitPlanMode FetchURL " +
		"NotifyUser SearchWeb SendDMail SetTodoList Skill TaskList TaskOutput TaskStop Think TodoList WaitFor WebSearch") {
		names[name] = true
	}
	return names
}()

// call is a call of a tool, with everything that is known about it.
type call struct {
	tool    string
	shape   shape
	args    map[string]json.RawMessage // nil if they are not known or are not an object
	strange bool                       // an argument occurs twice, or the tool has no such argument
	workDir string                     // an absolute path, or ""
	windows bool
	foreign bool   // the tool is of an MCP server or a plugin in kimi-cli
	problem string // why no rule can allow the call

	script *script // the parsed command; nil if the tool has no command
}

func newCall(tool string, arguments json.RawMessage, workDir, system string) *call {
	c := &call{tool: tool, shape: shapes[tool], windows: system == "windows"}
	if filepath.IsAbs(workDir) {
		c.workDir = filepath.Clean(workDir)
	}
	c.args, c.strange = members(arguments)
	for name := range c.args {
		known := name == c.shape.command || name == c.shape.dir || name == c.shape.pattern
		c.strange = c.strange || !known && !slices.Contains(c.shape.path, name) && !slices.Contains(c.shape.rest, name)
	}
	if c.shape.command != "" {
		text, ok := c.text(c.shape.command)
		if !ok {
			c.problem = "it is not known which command it runs"
		} else if c.script = newScript(text); c.script.err != nil {
			c.problem = "the command cannot be judged: " + c.script.err.Error()
		}
	}
	return c
}

// members returns the members of a JSON object. Of several members with one name it returns the last, which both kimis
// use. twice is true if there are such members, or if the text is not an object.
func members(object json.RawMessage) (m map[string]json.RawMessage, twice bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !json.Valid(object) {
		return nil, true
	}
	m = make(map[string]json.RawMessage)
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil, true
		}
		_, again := m[name]
		m[name], twice = value, twice || again
	}
	return m, twice
}

// text returns the value of an argument. It returns false if the value is not a string, or if it has U+FFFD, which
// shows that decoders may read it in different ways.
func (c *call) text(name string) (string, bool) {
	var s *string
	if raw, ok := c.args[name]; !ok || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, !strings.ContainsRune(*s, utf8.RuneError)
}

// absent reports whether an argument is missing or null.
func (c *call) absent(name string) bool {
	raw, ok := c.args[name]
	return c.args != nil && (!ok || string(raw) == "null")
}

// serverPrefix begins the names that Kimi Code gives to the tools of an MCP server: mcp__SERVER__TOOL.
const serverPrefix = "mcp__"

// part returns the name of a server or a tool in the form in which it is part of such a name.
func part(name string) string {
	var b strings.Builder
	under := false
	for _, c := range name {
		plain := c == '-' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		switch {
		case plain:
			b.WriteRune(c)
		case !under:
			b.WriteByte('_')
		}
		under = !plain
	}
	return b.String()
}

// fromServer reports whether the call is a call of an MCP server's tool. If tool is not "", it must be that tool.
// kimi-cli does not say which server a tool belongs to.
func (c *call) fromServer(server, tool string) match {
	prefix := serverPrefix + part(server) + "__"
	rest, found := strings.CutPrefix(c.tool, prefix)
	switch {
	case found && (tool == "" || rest == part(tool)):
		return yes
	case c.foreign, !ownTools[c.tool] && !strings.HasPrefix(c.tool, serverPrefix):
		if tool == "" || c.tool == tool {
			return maybe
		}
	case len(c.tool) == longest && strings.HasPrefix(prefix+part(tool), c.tool[:longest-hashed]):
		return maybe
	}
	return no
}

// surelyFromServer does what fromServer does, but only returns true if it is certain. Allow needs that.
func (c *call) surelyFromServer(server, tool string) bool {
	rest, found := strings.CutPrefix(c.tool, serverPrefix+part(server)+"__")
	return found && rest != "" && rest[0] != '_' && !c.foreign && c.args != nil && (tool == "" || rest == part(tool))
}

// Kimi Code shortens a long name to longest bytes. The last hashed bytes of it are "_" and a hash.
const (
	longest = 64
	hashed  = 9
)
