package grant

import (
	"encoding/json"
	slashes "path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client/rules"
)

// suggestion is a rule that may cover a call. The rules themselves decide whether it does.
type suggestion struct {
	rule  rules.Rule
	words string
	exact bool // it covers the same command or file only
}

// suggest returns rules for a call, the narrowest first. foreign says that the tool belongs to an MCP server or a
// plugin of kimi-cli.
func suggest(tool string, arguments json.RawMessage, workDir string, foreign bool) []suggestion {
	switch tool {
	case "":
		return nil
	case "Shell", "Bash":
		if foreign {
			return nil
		}
		return commands(tool, text(arguments, "command"))
	case "WriteFile", "StrReplaceFile", "Write", "Edit":
		if foreign {
			return nil
		}
		return paths(tool, text(arguments, "path"), workDir)
	}
	if foreign && isOwn(tool) { // the rule would allow kimi's own tool instead of this one
		return nil
	}
	return []suggestion{{rules.Rule{Tool: tool}, "every call of " + tool + ", whatever its arguments", false}}
}

// isOwn reports whether kimi-cli or Kimi Code has a tool of this name. It asks the rules: for such a tool, a rule about
// an MCP server has no effect. For any other tool, it may have one.
func isOwn(tool string) bool {
	servers := rules.Rules{Deny: []rules.Rule{{MCPServer: "any"}}}
	return servers.Decide(tool, json.RawMessage("{}"), "/").Verdict == ""
}

// plain matches words that have no special meaning in a shell or in a pattern.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// subcommands are programs whose first argument says what they do. reading are programs that change nothing.
var (
	subcommands = strings.Fields("apt brew bun cargo docker dotnet gh git go gradle kubectl make mvn npm pip pnpm poetry uv yarn")
	reading     = strings.Fields("cat df du echo file grep head ls pwd stat tail tree wc which")
)

// commands suggests rules for a command of one line.
func commands(tool, command string) []suggestion {
	words := strings.Fields(command)
	if len(words) == 0 || strings.ContainsAny(command, "\n\r") {
		return nil
	}
	var list []suggestion
	if !slices.ContainsFunc(words, func(w string) bool { return !plain.MatchString(w) }) {
		exact := strings.Join(words, " ")
		list = append(list, suggestion{rules.Rule{Tool: tool, Command: exact}, "the command “" + exact + "”", true})
	}
	n := 0
	switch {
	case slices.Contains(reading, words[0]):
		n = 1
	case len(words) > 1 && slices.Contains(subcommands, words[0]) && plain.MatchString(words[1]) && !strings.HasPrefix(words[1], "-"):
		n = 2
	}
	if n > 0 {
		head := strings.Join(words[:n], " ")
		list = append(list, suggestion{rules.Rule{Tool: tool, Command: head + " *"}, "commands that begin with “" + head + "” (no dangerous options)", false})
	}
	return list
}

// paths suggests rules for changing a file.
func paths(tool, path, workDir string) []suggestion {
	if path == "" || workDir == "" || strings.Contains(path, "*") {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(workDir, path)
	}
	path = filepath.Clean(path)
	rel, err := filepath.Rel(workDir, path)
	if err != nil {
		return nil
	}
	rel = filepath.ToSlash(rel)
	if strings.HasPrefix(rel, "~") { // in a rule, ~ is the home
		return nil
	}
	if rel == ".." || strings.HasPrefix(rel, "../") {
		if strings.Contains(path, "*") { // the star is in the path of the work dir
			return nil
		}
		return []suggestion{{rules.Rule{Tool: tool, Path: path}, tool + " of “" + path + "”", true}}
	}
	list := []suggestion{{rules.Rule{Tool: tool, Path: rel}, tool + " of “" + rel + "”", true}}
	if dir := slashes.Dir(rel); dir != "." {
		list = append(list, suggestion{rules.Rule{Tool: tool, Path: dir + "/**"}, tool + " of any file below “" + dir + "/”", false})
	} else {
		list = append(list, suggestion{rules.Rule{Tool: tool, Path: "**"}, tool + " of any file of the work dir", false})
	}
	return list
}
