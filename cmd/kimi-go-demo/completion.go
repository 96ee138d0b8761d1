package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how to use the script.
func (completionCmd) Help() string {
	return `bash: write the line "source <(` + program + ` completion bash)" in ~/.bashrc.

zsh: write the line "source <(` + program + ` completion zsh)" in ~/.zshrc, after compinit.

fish: run "` + program + ` completion fish > ~/.config/fish/completions/` + program + `.fish".`
}

// Run writes a script that completes commands and flags and, in other places, the names of files.
func (c *completionCmd) Run(e *env, k *kong.Kong) error {
	script := map[string]func([]*kong.Node) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := fmt.Fprint(e.stdout, script(k.Model.Children))
	return err
}

// flagsOf returns the flags of a command: its own flags, and those that all commands have.
func flagsOf(command *kong.Node) (list []*kong.Flag) {
	for _, group := range command.AllFlags(true) {
		list = append(list, group...)
	}
	return list
}

// spellings returns the ways to write a flag.
func spellings(f *kong.Flag) []string {
	list := []string{"--" + f.Name}
	if f.Tag != nil && f.Tag.Negatable != "" {
		list = append(list, "--no-"+f.Name)
	}
	if f.Short != 0 {
		list = append(list, "-"+string(f.Short))
	}
	return list
}

func bashCompletion(commands []*kong.Node) string {
	var names []string
	var cases strings.Builder
	for _, command := range commands {
		names = append(names, command.Name)
		var flags []string
		for _, f := range flagsOf(command) {
			flags = append(flags, spellings(f)...)
		}
		fmt.Fprintf(&cases, "  %s) list='%s' ;;\n", command.Name, strings.Join(flags, " "))
	}
	return `_kimi_go_demo() {
  local cur=${COMP_WORDS[COMP_CWORD]} list=
  COMPREPLY=()
  case ${COMP_WORDS[1]} in
` + cases.String() + `  esac
  if [ "$COMP_CWORD" -eq 1 ]; then list='` + strings.Join(names, " ") + ` --help --version'; fi
  if [ "$COMP_CWORD" -eq 1 ] || [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$list" -- "$cur")); fi
}
complete -o default -F _kimi_go_demo ` + program + "\n"
}

// described writes a word and its description in the form of zsh.
func described(word, help string) string {
	return shellQuote(strings.ReplaceAll(word, ":", `\:`) + ":" + help)
}

func zshCompletion(commands []*kong.Node) string {
	var names, cases strings.Builder
	for _, command := range commands {
		fmt.Fprintf(&names, "      %s\n", described(command.Name, command.Help))
		fmt.Fprintf(&cases, "    %s) list=(\n", command.Name)
		for _, f := range flagsOf(command) {
			for _, word := range spellings(f) {
				fmt.Fprintf(&cases, "      %s\n", described(word, f.Help))
			}
		}
		cases.WriteString("    ) ;;\n")
	}
	return `#compdef ` + program + `
_kimi_go_demo() {
  local -a list
  if (( CURRENT == 2 )); then
    list=(
` + names.String() + `    )
    _describe command list
  elif [[ $words[CURRENT] == -* ]]; then
    case $words[2] in
` + cases.String() + `    esac
    _describe flag list
  else
    _files
  fi
}
if [[ $funcstack[1] == _kimi_go_demo ]]; then _kimi_go_demo "$@"; else compdef _kimi_go_demo ` + program + `; fi
`
}

func fishCompletion(commands []*kong.Node) string {
	var b strings.Builder
	for _, command := range commands {
		fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -f -a %s -d %s\n", program, command.Name, fishQuote(command.Help))
		for _, f := range flagsOf(command) {
			short, value := "", ""
			if f.Short != 0 {
				short = " -s " + string(f.Short)
			}
			if !f.IsBool() {
				value = " -r"
			}
			for _, word := range spellings(f) {
				if name, long := strings.CutPrefix(word, "--"); long {
					fmt.Fprintf(&b, "complete -c %s -n '__fish_seen_subcommand_from %s' -l %s%s%s -d %s\n", program, command.Name, name, short, value, fishQuote(f.Help))
					short = ""
				}
			}
		}
	}
	return b.String()
}

// fishQuote quotes a text for fish.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
