// Package rules decides about requests for approval by rules that a team keeps in a file: what runs unasked, what is asked,
// what is refused and why.
//
//	r, err := rules.Load("rules.toml")
//	if err != nil {
//		return err
//	}
//	r.Logger = slog.Default()
//	s, err := client.NewSession(ctx, &client.Options{WorkDir: ".", Approve: r.Approve(askMe)})
//
// The file is TOML. Deny overrides ask, ask overrides allow, whatever their order; what no rule is about goes to askMe, as does what is asked.
// With nil instead of askMe it is rejected. The model reads the reason of a rule that denies, and goes on.
//
//	[[deny]]
//	command = "rm *"
//	reason = "Do not remove files with rm; use git rm, or say what should go."
//
//	[[ask]]
//	command = "git commit *"
//
//	[[allow]]
//	command = "git diff *"
//	options = "-- --stat --cached --name-only -U*"
//
//	[[allow]]
//	path = "src/**"
//
//	[[allow]]
//	mcp_server = "docs"
//
// testdata/rules.toml has a longer one. Keep the file where the agent cannot write it, or deny its path. Approve sees only what
// kimi asks about: with Options.Yolo it asks nothing, or little (Kimi Code), reading files is never asked, and Kimi Code does not
// ask before it changes files in a Git work tree. Rules.Hook blocks there, too, what the rules deny.
//
// # Commands
//
// A command is parsed, not compared as text. The pattern is compared word by word with each simple command of the script. A "*" as the last
// word stands for any further words, or none; within a word, it stands for any characters of that word. There is no quoting: "*"
// stands for words with spaces, too. An option does not match a word of the pattern that begins with "*".
//
// A script is allowed if it has nothing but simple commands, each of which a rule of allow covers, joined by ";", "&&", "||", "|" and
// newlines. Only the redirections 2>&1 and 1>&2 are allowed. No rule covers a word with an expansion (variables, globs, braces, tilde), a
// substitution, an unquoted backslash or a ".." that leads to a parent folder; nor an assignment, a redirection to a file, a here-document, a function, an alias, a
// compound command, "&", "!" or "time"; nor a command that changes the shell for those after it, such as cd and export, or that runs its arguments, such
// as eval. The name of a program is compared as it is: "git" is not "./git". The cwd of Kimi Code's Bash must be the work dir.
//
// Programs have options that run other programs or write files: git diff --output=FILE, go test -exec, find -delete, sort -o, rg --pre. The
// options of a rule name the only words beginning with "-" or "+" that its last "*" stands for. An abbreviation or several letters in one word are none of
// these, unless they are named. Without options, "*" stands for all but those that this package knows to be dangerous. That list is
// not complete, so name the options where it matters. What a program does with its other words is for the rule's author to
// know: "git *" allows git config, which can make git diff run anything; "cat *" reads any file; "go test *" runs what the agent has written. Path
// rules say nothing about commands.
//
// A rule of deny or ask is about a script if any command in it matches, also within $(…), a function, sh -c, eval, env, xargs, sudo, nohup,
// timeout, find -exec and the like. There, programs are compared without folder and case: "rm *" is about /bin/rm, too. Where a word cannot be known
// before it runs, as in $x or in a pipe to sh, a rule that it may break makes the verdict ask. It is a guard against habits, not against
// a program: no one sees from python3 x.py what that removes. What must not happen needs a sandbox.
//
// A script that cannot be parsed, is longer than 64 KiB, has very many brackets, control characters (CRLF included) or bytes that are no UTF-8 is asked about.
// On Windows, no command and no path is ever allowed: PowerShell is no POSIX shell, and the names of files have many
// spellings. Deny and ask work there.
//
// # Paths
//
// A path rule is about the file or folder that one of kimi's file tools names: ReadFile, WriteFile, StrReplaceFile, ReadMediaFile (kimi-cli), Read,
// Write, Edit (Kimi Code), Glob and Grep. Name the tool in the rule to allow reading but not writing. "src/**" is below the work dir, "/etc/**" absolute,
// and "~/" is the home of this program. "*" stands for any characters of a name, "**" for any number of names, also none. All other characters
// stand for themselves.
//
// For allow, the place counts where the path leads after all symbolic links and "..": "src/link" may lead out of src. An absolute pattern is written as
// resolved (/private/tmp on macOS). A path that is missing, begins with "~", cannot be resolved or leads to two places, depending on who reads ".." after a link, is never
// allowed. For deny and ask, the path counts as written and as resolved, without case. A search is about the whole tree: it is
// allowed by patterns that end in "**", and asked about if the tree may hold what a rule denies. With Options.Server, the files are those of another
// machine: no path is allowed, and a rule that denies paths makes every path ask. Links are followed when the request is decided; a command that runs
// at the same time can change them.
//
// # MCP servers and other tools
//
// mcp_server is about all tools of a server, or with tool about one of them. Kimi Code names the server in each call (mcp__SERVER__TOOL). kimi-cli
// does not: there, no such rule allows anything, and one that denies or asks makes every call of an unknown tool ask. Allow such a tool by
// its name. A tool that this package does not know is matched by its name alone.
//
// # What is never allowed
//
// A request whose whole call is not known, one with arguments that are there twice or that the tool should not have, or a tool of an MCP server or a plugin under the name of one of
// kimi's own. Rules that Validate refuses deny everything. No request is ever approved for the session, since kimi-cli would then run every later
// command, and no rule would be asked.
package rules
