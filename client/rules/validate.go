package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Validate returns an error that names every rule that matches nothing or contradicts itself, and every pattern that
// cannot match as it is written.
func (r *Rules) Validate() error {
	if r == nil {
		return nil
	}
	if err := r.problems(); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	return nil
}

// problems does what Validate does. Its error does not name this package.
func (r *Rules) problems() error {
	var errs []error
	for _, list := range []struct {
		verdict Verdict
		rules   []Rule
	}{{Deny, r.Deny}, {Ask, r.Ask}, {Allow, r.Allow}} {
		for i := range list.rules {
			if problem := list.rules[i].problem(list.verdict == Allow); problem != "" {
				errs = append(errs, fmt.Errorf("%s rule %d (%.100s): %s", list.verdict, i+1, list.rules[i].String(), problem))
			}
		}
	}
	return errors.Join(errs...)
}

// problem says what is wrong with a rule, and what to do. It returns "" if nothing is wrong.
func (r *Rule) problem(allow bool) string {
	known, ok := shapes[r.Tool]
	switch {
	case r.Tool == "" && r.Command == "" && r.Path == "" && r.MCPServer == "":
		return "it matches nothing; set tool, command, path or mcp_server"
	case strings.ContainsAny(r.Tool, "* \t\n"):
		return "a tool's name cannot be a pattern; write the exact name, in a rule for each tool, or set mcp_server for all tools of a server"
	case r.Command != "" && r.Path != "":
		return "no call has both a command and a path; make it two rules"
	case r.MCPServer != "" && (r.Command != "" || r.Path != ""):
		return "only kimi's own tools have commands and paths; leave command and path or mcp_server out"
	case r.Command != "" && r.Tool != "" && (!ok || known.command == ""):
		return "this tool has no command; the shell is Shell in kimi-cli and Bash in Kimi Code"
	case r.Path != "" && r.Tool != "" && (!ok || len(known.path) == 0):
		return "this tool has no path that is known here; leave tool or path out"
	case r.Options != "" && (!allow || !strings.HasSuffix(r.Command, " *")):
		return `options need a rule of allow with a command that ends in " *"`
	}
	for w := range strings.FieldsSeq(r.Options) {
		if w[0] != '-' && w[0] != '+' {
			return fmt.Sprintf("the option %.40q does not begin with - or +; leave it out", w)
		}
	}
	if r.Command != "" {
		return commandProblem(r.Command, allow)
	}
	if r.Path != "" {
		return pathProblem(r.Path)
	}
	return ""
}

func commandProblem(command string, allow bool) string {
	if strings.Contains(command, "  ") || strings.TrimSpace(command) != command {
		return "the command has more than single spaces between its words; leave them out"
	}
	if strings.ContainsAny(command, "'\"\\$`;&|<>()") || strings.ContainsFunc(command, unicode.IsControl) {
		return "write the words that the program gets, without quotes, $, or signs that join commands; a * matches such characters"
	}
	if strings.Contains(command, "**") {
		return "** means nothing in a command; write *"
	}
	if !allow {
		return ""
	}
	name, operands, _ := strings.Cut(command, " ")
	switch {
	case strings.ContainsAny(name, "*="):
		return "an allowed command begins with the exact name of a program; write that name, or a rule with the tool only"
	case changesShell[name]:
		return name + " changes what later commands do, or runs its arguments, and is never allowed; ask about it"
	case wrappers[programName(name)] && strings.Contains(command, "*"):
		return name + " runs what its arguments say; write the whole command, without *"
	case hazards[programName(name)].first && !fixedOperand(operands):
		return "an operand of " + name + ` can make it run programs; spell out the first operand before the "*"`
	}
	for w := range strings.FieldsSeq(command) {
		if (word{text: w}).escapes() {
			return "a word with .. is never allowed, because it leaves the work dir; leave it out"
		}
	}
	return ""
}

// fixedOperand reports whether the first word that is not an option has no pattern, or there is neither such a word nor
// a "*".
func fixedOperand(words string) bool {
	for w := range strings.FieldsSeq(words) {
		if w[0] != '-' {
			return !strings.Contains(w, "*")
		}
	}
	return true
}

func pathProblem(path string) string {
	rest := strings.TrimPrefix(path, "/")
	if home, ok := strings.CutPrefix(path, "~"); ok {
		if rest, ok = strings.CutPrefix(home, "/"); !ok {
			return "only ~/ means a home; write the whole path of another user's home"
		}
	}
	if strings.Contains(path, `\`) || strings.ContainsFunc(path, unicode.IsControl) {
		return "separate folders by /, also on Windows; leave out \\ and control characters"
	}
	for name := range strings.SplitSeq(rest, "/") {
		switch {
		case name == "":
			return "a name in the path is empty; remove the extra /, and end in /** for everything in a folder"
		case name == "." || name == "..":
			return "the path has the name " + name + "; write where it leads"
		case strings.Contains(name, "**") && name != "**":
			return "** matches whole names; write * within a name"
		}
	}
	return ""
}
