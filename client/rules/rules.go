package rules

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
)

// Rule says which calls it matches. All fields that are set must match. At least one of Tool, Command, Path and
// MCPServer must be set. The package documentation explains the patterns.
type Rule struct {
	// Tool is the exact name of a tool, such as "Shell" (kimi-cli) or "Bash" (Kimi Code). Default: any tool.
	Tool string `toml:"tool" json:"tool,omitzero"`
	// Command is a pattern for the commands of a shell tool, word by word, such as "git diff *".
	Command string `toml:"command" json:"command,omitzero"`
	// Path is a pattern for the file or folder that a file tool names, such as "src/**", "/etc/**" or "~/.ssh/**".
	Path string `toml:"path" json:"path,omitzero"`
	// MCPServer is the name of an MCP server in the configuration. With Tool, the rule matches only that tool of the
	// server.
	MCPServer string `toml:"mcp_server" json:"mcp_server,omitzero"`
	// Reason says why. If the rule denies a call, the model reads it. Default: a sentence that names the pattern.
	Reason string `toml:"reason" json:"reason,omitzero"`
	// Options limit the last "*" of Command: of the words that begin with "-" or "+", it then matches only these. They
	// are separated by spaces, such as "-- --stat -U*". Only rules of Allow may have options. Default: every option
	// except those that are known to run programs or to write files.
	Options string `toml:"options" json:"options,omitzero"`
}

// Rules decide about calls of tools. Deny overrides Ask, and Ask overrides Allow. The zero value has no rule. Many
// goroutines may use Rules at the same time, if none changes them.
type Rules struct {
	Deny  []Rule `toml:"deny" json:"deny,omitzero"`
	Ask   []Rule `toml:"ask" json:"ask,omitzero"`
	Allow []Rule `toml:"allow" json:"allow,omitzero"`
	// Logger gets every decision of Approve, at level Info: the id of the request, the tool and the Decision, without
	// the arguments. Default: nil, which means no log.
	Logger *slog.Logger `toml:"-" json:"-"`
}

// Verdict is what the rules say about a call.
type Verdict string

// The zero Verdict means that no rule matches the call.
const (
	Deny  Verdict = "deny"
	Ask   Verdict = "ask"
	Allow Verdict = "allow"
)

// Decision is a verdict and the reason for it. It can be stored as JSON.
type Decision struct {
	Verdict Verdict `json:"verdict"`
	Rule    *Rule   `json:"rule,omitzero"` // a copy of the rule that decided; nil if it was not one rule
	Reason  string  `json:"reason,omitzero"`
}

// LogValue implements [slog.LogValuer] with the fields of d.
func (d Decision) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("verdict", string(d.Verdict))}
	if d.Rule != nil {
		attrs = append(attrs, slog.String("rule", d.Rule.String()))
	}
	return slog.GroupValue(append(attrs, slog.String("reason", d.Reason))...)
}

// String returns the patterns of the rule, without its reason.
func (r Rule) String() string {
	var s string
	for _, field := range []struct{ name, value string }{
		{"tool", r.Tool}, {"mcp_server", r.MCPServer}, {"command", r.Command}, {"options", r.Options}, {"path", r.Path},
	} {
		if field.value == "" {
			continue
		}
		if s != "" {
			s += " "
		}
		s += fmt.Sprintf("%s %q", field.name, field.value)
	}
	return s
}

// Decide returns the decision of the rules about a call of a tool. arguments is a JSON object. workDir is the absolute
// path of the agent's work dir; if it is not absolute, no path is allowed. Decide reads symbolic links on disk and
// changes nothing. Rules that Validate refuses deny everything.
//
// Decide cannot know whether a tool with that name is kimi's own. [Rules.Approve] can.
func (r *Rules) Decide(tool string, arguments json.RawMessage, workDir string) Decision {
	return r.decide(newCall(tool, arguments, workDir, runtime.GOOS))
}

// match says how certain it is that a rule matches a call.
type match int

const (
	no match = iota
	maybe
	yes
)

func (r *Rules) decide(c *call) Decision {
	if r == nil {
		return Decision{}
	}
	if err := r.Validate(); err != nil {
		return Decision{Verdict: Deny, Reason: fmt.Sprintf("the rules for approvals are invalid, so that nothing is allowed: %v", err)}
	}
	var doubt *Rule
	for i := range r.Deny {
		switch rule := &r.Deny[i]; rule.concerns(c) {
		case yes:
			return rule.decision(Deny, "a rule denies it: "+rule.String())
		case maybe:
			if doubt == nil {
				doubt = rule
			}
		}
	}
	if doubt != nil {
		d := doubt.decision(Ask, "")
		d.Reason = "it is not certain whether this rule denies it: " + doubt.String()
		return d
	}
	for i := range r.Ask {
		if rule := &r.Ask[i]; rule.concerns(c) != no {
			return rule.decision(Ask, "a rule asks about it: "+rule.String())
		}
	}
	if c.problem != "" {
		return Decision{Verdict: Ask, Reason: c.problem}
	}
	if rule := r.allows(c); rule != nil {
		return rule.decision(Allow, "a rule allows it: "+rule.String())
	}
	return Decision{}
}

func (r *Rule) decision(v Verdict, reason string) Decision {
	own := *r
	if own.Reason != "" {
		reason = own.Reason
	}
	return Decision{Verdict: v, Rule: &own, Reason: reason}
}

// concerns reports whether a rule of Deny or Ask matches the call. If that is not certain, it returns maybe.
func (r *Rule) concerns(c *call) match {
	m := yes
	if r.MCPServer != "" {
		m = min(m, c.fromServer(r.MCPServer, r.Tool))
	} else if r.Tool != "" && r.Tool != c.tool {
		return no
	}
	if r.Command != "" && m != no {
		m = min(m, c.runs(r.Command))
	}
	if r.Path != "" && m != no {
		m = min(m, c.touches(r.Path))
	}
	return m
}

// allows returns the rule that allows the call. It returns nil if there is none. Each command of a script needs a rule
// that allows it; for a script, allows returns the rule of the first command.
func (r *Rules) allows(c *call) *Rule {
	for i := range r.Allow {
		rule := &r.Allow[i]
		switch {
		case rule.MCPServer != "":
			if c.surelyFromServer(rule.MCPServer, rule.Tool) {
				return rule
			}
		case rule.Tool != "" && rule.Tool != c.tool || c.foreign && (ownTools[c.tool] || rule.Tool == ""):
		case rule.Path != "":
			if c.within(rule.Path) {
				return rule
			}
		case rule.Command == "":
			return rule
		}
	}
	commands := c.simpleCommands()
	var first *Rule
	for _, words := range commands {
		rule := r.allowsCommand(c, words)
		if rule == nil {
			return nil
		}
		if first == nil {
			first = rule
		}
	}
	return first
}

func (r *Rules) allowsCommand(c *call, words []word) *Rule {
	for i := range r.Allow {
		rule := &r.Allow[i]
		if rule.Command != "" && (rule.Tool == "" || rule.Tool == c.tool) && rule.covers(words) {
			return rule
		}
	}
	return nil
}
