// Package rules answers requests for approval by rules that a team keeps in a file. The rules say which calls of tools
// run without a question, which a person decides about, which are refused, and why.
//
//	r, err := rules.Load("rules.toml")
//	if err != nil {
//		return err
//	}
//	r.Logger = slog.Default()
//	s, err := client.NewSession(ctx, &client.Options{WorkDir: ".", Approve: r.Approve(askMe)})
//
// The file is TOML. Deny overrides ask, and ask overrides allow; the order of the rules does not matter. The handler askMe gets
// the requests that a rule of ask matches, and those that no rule matches. With nil instead of askMe, Approve rejects such
// requests. The model reads the reason of a rule that denies, and goes on.
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
// The file testdata/rules.toml is a longer example. Keep the file where the agent cannot write it, or deny its path.
//
// Approve sees only what kimi asks about. With Options.Yolo, kimi-cli asks about nothing, and Kimi Code asks about few calls.
// Neither asks before it reads files. Kimi Code does not ask before it changes files in a Git work tree. In these cases,
// Rules.Hook blocks what the rules deny.
//
// # Commands
//
// This package parses a command as a script of bash. It compares the pattern word by word with each simple command of the script.
// If the last word of the pattern is "*", it matches any number of further words, also none. Within a word, "*" matches any
// characters of that word. Patterns have no quotes: "*" also matches words with spaces. An option does not match a word
// of the pattern that begins with "*".
//
// A script is allowed only if all of the following holds:
//   - It consists of simple commands, joined by ";", "&&", "||", "|" and newlines, and a rule of allow matches each command.
//   - It has no redirections except 2>&1 and 1>&2.
//   - No word has an expansion (variables, globs, braces, tilde), a substitution, an unquoted backslash, or a ".." that
//     leads to a parent folder.
//   - It has no assignment, here-document, function, alias or compound command, and no "&", "!" or "time".
//   - No command changes the shell for later commands, such as cd and export, or runs its arguments, such as eval.
//   - If a call of Kimi Code's tool Bash has a cwd, the cwd is the work dir.
//
// The name of a program is compared exactly: "git" does not match "./git".
//
// Some options make programs run other programs or write files: git diff --output=FILE, go test -exec, find -delete, sort -o, rg
// --pre. The options of a rule limit the last "*": it then matches a word that begins with "-" or "+" only if the options name
// this word. They must also name abbreviations, and several letters in one word, such as -la. Without options, "*" matches every
// option except those that this package knows to be dangerous. That list is not complete, so name the options if a wrong one
// could do harm. The author of a rule must know what the program does with the words that are no options. "git *" allows git
// config, which can make git diff run anything; "cat *" reads any file; "go test *" runs what the agent has written. Path rules
// have no effect on commands.
//
// A rule of deny or ask matches a script if it matches any command of the script. The commands within $(…), functions, sh -c,
// eval, env, xargs, sudo, nohup, timeout, find -exec and the like count, too. Such a rule ignores the folder of a program, and
// upper and lower case: "rm *" also matches /bin/rm. Some words are not known before they run, as in $x or in a pipe to sh. If a
// rule might match them, the verdict is ask. Rules guard against mistakes, not against a hostile program: no rule can know what
// python3 x.py removes. If something must never happen, use a sandbox, too.
//
// The verdict is ask for a script that cannot be parsed, is longer than 64 KiB, or has very many brackets. The same holds for
// control characters (CRLF included) and for bytes that are not UTF-8. On Windows, no command and no path is ever allowed:
// PowerShell is not a POSIX shell, and the path of a file has many spellings there. Deny and ask work on Windows.
//
// # Paths
//
// A path rule matches the file or folder that one of kimi's file tools names: ReadFile, WriteFile, StrReplaceFile,
// ReadMediaFile (kimi-cli), Read, Write, Edit (Kimi Code), Glob and Grep. To allow reading but not writing, name the
// tool in the rule. "src/**" is relative to the work dir, "/etc/**" is absolute, and "~/" is the home directory of the
// user who runs this program. "*" matches any characters of a name. "**" matches any number of names, also none. All
// other characters match themselves.
//
// A rule of allow follows all symbolic links and ".." of the path first, because src/link may lead out of src. So write an
// absolute pattern without symbolic links, such as /private/tmp for /tmp on macOS. Four kinds of paths are never allowed: a
// missing path; a path that begins with "~"; a path that cannot be resolved; and a path with ".." after a link, if programs that
// read such a path in different ways would find different files. A rule of deny or ask compares both the path as it is written
// and the path with links resolved, and ignores upper and lower case.
//
// Glob and Grep search a whole tree. Only a pattern that ends in "**" allows a search. If the tree may hold something that a rule
// denies, the verdict is ask. With Options.Server, the files are on another machine: no path is allowed, and a rule that denies
// paths makes the verdict ask for every path. This package follows links when it decides. A command that runs at the same time
// can change a link afterwards.
//
// # MCP servers and other tools
//
// mcp_server matches all tools of a server. Together with tool, it matches only that tool. Kimi Code names the server in each
// call (mcp__SERVER__TOOL). kimi-cli does not. So with kimi-cli, a rule with mcp_server allows nothing. If it denies or asks,
// the verdict is ask for every call of a tool that this package does not know. With kimi-cli, allow such a tool by a rule with
// only its name. For a tool that this package does not know, a rule compares only the name.
//
// # What is never allowed
//
// Three kinds of requests are never allowed: a request whose whole call is not known; a request with an argument that occurs
// twice or does not belong to the tool; and a request for a tool of an MCP server or a plugin if the tool has the name of one of
// kimi's own tools. Rules that Validate refuses deny everything. The rules never approve a request for the session, because
// kimi-cli would then run every later command and not ask again.
package rules
