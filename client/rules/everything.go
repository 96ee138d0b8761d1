package rules

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// everything lists all commands that a script may run, as far as this can be seen. It is for Deny and Ask, so a command
// too many is better than a missing one.
type everything struct {
	commands [][]word
	unsure   bool // there may be more commands
	left     int  // how many bytes of scripts within scripts may still be parsed
}

// wrappers are programs that run the command in their arguments, or a script in one of their arguments.
var wrappers = set("alias arch at batch bash builtin busybox bwrap caffeinate chronic chroot command coproc csh dash dbus-run-session doas " +
	"dumb-init entr env eval exec expect fakeroot firejail fish flock gdb gosu i386 ionice ksh linux32 linux64 ltrace mksh " +
	"nice nohup nsenter parallel pkexec proxychains rbash rlwrap runuser screen script setarch setpriv setsid sh ssh stdbuf strace su su-exec " +
	"sudo systemd-run taskset tcsh time timeout tini tmux torsocks toybox trap unbuffer unshare valgrind watch x86_64 xargs zsh chrt")

// shells are the wrappers that read a script from their input if their arguments have none.
var shells = set("bash csh dash fish ksh mksh rbash sh tcsh zsh")

// maxDeep is how deeply scripts may be nested.
const maxDeep = 8

// runs reports whether a script has a command that matches the pattern.
func (c *call) runs(command string) match {
	switch {
	case c.shape.command == "":
		return no
	case c.script == nil || c.script.err != nil:
		return maybe
	}
	if c.script.all == nil {
		c.script.all = &everything{left: 4 * maxScript}
		c.script.all.file(c.script.file, 0)
	}
	patterns := strings.Fields(command)
	found := no
	for _, words := range c.script.all.commands {
		if found = max(found, resembles(patterns, words)); found == yes {
			return yes
		}
	}
	if c.script.all.unsure || c.windows || c.strange {
		found = maybe
	}
	return found
}

func (e *everything) file(f *syntax.File, deep int) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				words := make([]word, len(n.Args))
				for i, arg := range n.Args {
					words[i] = newWord(arg)
				}
				e.command(words, deep)
			}
		case *syntax.DeclClause:
			words := []word{{text: n.Variant.Value, known: true}}
			for _, arg := range n.Args {
				words = append(words, declared(arg))
			}
			e.commands = append(e.commands, words)
			e.unsure = true // the shell evaluates an index in an argument, which may run commands
		case *syntax.LetClause:
			e.commands = append(e.commands, []word{{text: "let", known: true}, {}})
			e.unsure = true
		case *syntax.ArithmCmd, *syntax.ArithmExp, *syntax.TestClause: // the shell evaluates an index in a variable, too
			e.unsure = true
		case *syntax.Stmt:
			for _, r := range n.Redirs {
				if body := hereText(r); body != nil && isShell(n.Cmd) {
					e.text(*body, deep)
				}
			}
		}
		return true
	})
}

// declared returns an argument of declare or a similar command.
func declared(a *syntax.Assign) word {
	if a.Naked && a.Name != nil && a.Index == nil {
		return word{text: a.Name.Value, known: true}
	}
	if a.Naked && a.Name == nil && a.Value != nil {
		return newWord(a.Value)
	}
	return word{}
}

// hereText returns the text of a here-document or here-string as a word.
func hereText(r *syntax.Redirect) *word {
	var w word
	switch {
	case r.Op == syntax.WordHdoc && r.Word != nil:
		w = newWord(r.Word)
	case (r.Op == syntax.Hdoc || r.Op == syntax.DashHdoc) && r.Hdoc != nil:
		w.known = true
		for _, part := range r.Hdoc.Parts {
			if lit, ok := part.(*syntax.Lit); ok {
				w.text += lit.Value
			} else {
				w.known = false
			}
		}
	default:
		return nil
	}
	return &w
}

// isShell reports whether a command may read its input as a script.
func isShell(cmd syntax.Command) bool {
	call, ok := cmd.(*syntax.CallExpr)
	return ok && slices.ContainsFunc(call.Args, func(arg *syntax.Word) bool {
		w := newWord(arg)
		return !w.known || shells[programName(w.text)]
	})
}

// command adds a simple command and the commands in its arguments.
func (e *everything) command(words []word, deep int) {
	e.commands = append(e.commands, words)
	if !words[0].known {
		e.unsure = true
		return
	}
	inner := words[1:] // each of them may be the first word of another command
	switch name := programName(words[0].text); {
	case wrappers[name] || strings.HasPrefix(name, "ld-linux"):
		e.stdin(name, words)
		if name == "eval" {
			e.joined(inner, deep)
		}
	case name == "find" || name == "fd" || name == "fdfind":
		i := slices.IndexFunc(words, func(w word) bool { return !w.known || execOptions[w.text] })
		if i < 0 {
			return
		}
		inner = words[i+1:]
	case name == "git":
		i := slices.IndexFunc(words, func(w word) bool { return gitRuns[w.text] || strings.Contains(w.text, "!") })
		if i < 0 {
			return
		}
		inner = words[i:]
	default:
		return
	}
	for i, w := range inner {
		e.commands = append(e.commands, inner[i:])
		e.text(w, deep)
	}
}

var (
	execOptions = set("-exec -execdir -ok -okdir -x -X --exec --exec-batch")
	gitRuns     = set("run foreach --exec -x")
)

// stdin sets unsure if a wrapper runs commands that it reads from its input.
func (e *everything) stdin(name string, words []word) {
	reads := len(words) == 1
	for _, w := range words[1:] {
		inner := programName(w.text)
		switch name {
		case "xargs", "parallel":
			reads = reads || wrappers[inner] || strings.HasPrefix(w.text, "-I") || strings.HasPrefix(w.text, "-i") || strings.HasPrefix(w.text, "-J") ||
				strings.HasPrefix(w.text, "--r")
		default:
			reads = reads || w.text == "-" || w.text == "-s" || w.text == "/dev/stdin"
		}
	}
	e.unsure = e.unsure || reads
}

// joined adds the script that eval makes from its arguments.
func (e *everything) joined(words []word, deep int) {
	script := word{known: true}
	for _, w := range words {
		script.text += w.text + " "
		script.known = script.known && w.known
	}
	e.text(script, deep)
}

// text adds the commands of a word that may be a script, or an option with a script, such as -crm or --command=rm.
func (e *everything) text(w word, deep int) {
	if !w.known {
		e.unsure = true
	}
	if e.left -= len(w.text); e.left < 0 || deep == maxDeep {
		e.unsure = true
		return
	}
	e.parse(w.text, deep)
	for _, sep := range []string{"=", "!"} {
		if _, value, ok := strings.Cut(w.text, sep); ok {
			e.parse(value, deep)
		}
	}
	if len(w.text) > 2 && w.text[0] == '-' {
		e.parse(w.text[2:], deep)
	}
}

func (e *everything) parse(text string, deep int) {
	f, err := parse(text)
	if err != nil {
		e.unsure = true
		return
	}
	e.file(f, deep+1)
}
