// Package rules answers requests for approval by rules that a team keeps in a file. The rules say what runs without a
// question, what is asked about, what is refused, and why.
//
//	r, err := rules.Load("rules.toml")
//	if err != nil {
//		return err
//	}
//	r.Logger = slog.Default()
//	s, err := client.NewSession(ctx, &client.Options{WorkDir: ".", Approve: r.Approve(askMe)})
//
// The file is TOML. Deny overrides ask, and ask overrides allow; the order of the rules does not matter. The handler
// askMe gets the requests that a rule of ask matches, and those that no rule matches. With nil instead of askMe, such
// requests are rejected. The model reads the reason of a rule that denies, and continues.
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
// Approve sees only the requests of kimi. With Options.Yolo, kimi-cli sends none, and Kimi Code sends few. Neither asks
// before it reads files. Kimi Code does not ask before it changes files in a Git work tree. In these cases, Rules.Hook
// blocks the calls that the rules deny.
//
// # Commands
//
// A command is parsed, not compared as text. The pattern is compared word by word with each simple command of the
// script. If the last word of the pattern is "*", it matches any number of further words, also none. Within a word, "*"
// matches any characters of that word. Patterns have no quotes: "*" also matches words with spaces. If a word of the
// pattern begins with "*", it does not match an option.
//
// A script is allowed only if all of the following holds:
//   - It consists of simple commands, joined by ";", "&&", "||", "|" and newlines, and a rule of allow matches each command.
//   - It has no redirections except 2>&1 and 1>&2.
//   - No word has an expansion (variables, globs, braces, tilde), a substitution, an unquoted backslash, or a ".." that
//     leads to a parent folder.
//   - It has no assignment, here-document, function, alias or compound command, and no "&", "!" or "time".
//   - No command changes the shell for later commands, such as cd and export, or runs its arguments, such as eval.
//   - The cwd of Kimi Code's Bash is the work dir.
//
// The name of a program is compared exactly: "git" does not match "./git".
//
// Some options make programs run other programs or write files: git diff --output=FILE, go test -exec, find -delete,
// sort -o, rg --pre. The options of a rule limit the last "*": of the words that begin with "-" or "+", it then matches
// only those that are named. An abbreviation, or several letters in one word, must be named, too. Without options, "*"
// matches every option except those that this package knows to be dangerous. That list is not complete, so name the
// options when it is important. The author of a rule must know what the program does with its other words. "git *"
// allows git config, which can make git diff run anything; "cat *" reads any file; "go test *" runs the code that the
// agent has written. Path rules do not limit commands.
//
// A rule of deny or ask matches a script if it matches any command in it. The commands within $(…), functions, sh -c,
// eval, env, xargs, sudo, nohup, timeout, find -exec and similar programs count, too. Such a rule compares programs
// without their folder and without case: "rm *" also matches /bin/rm. Some words are not known before they run, as in
// $x or in a pipe to sh. If a rule might match them, the verdict is ask. Rules protect against mistakes, not against a
// hostile program: no rule can know which files python3 x.py removes. Use a sandbox to make actions impossible.
//
// The verdict is ask for a script that cannot be parsed, is longer than 64 KiB, or has very many brackets. The same
// holds for control characters (also CRLF) and for bytes that are not UTF-8. On Windows, no command and no path is ever
// allowed: PowerShell is not a POSIX shell, and one file can be written in many ways there. Deny and ask work on
// Windows.
//
// # Paths
//
// A path rule matches the file or folder that one of kimi's file tools names: ReadFile, WriteFile, StrReplaceFile,
// ReadMediaFile (kimi-cli), Read, Write, Edit (Kimi Code), Glob and Grep. To allow reading but not writing, name the
// tool in the rule. "src/**" is relative to the work dir, "/etc/**" is absolute, and "~/" is the home directory of the
// user who runs this program. "*" matches any characters of a name. "**" matches any number of names, also none. All
// other characters match themselves.
//
// A rule of allow uses the place to which the path leads after all symbolic links and "..", because src/link may lead
// out of src. So write an absolute pattern without links, such as /private/tmp on macOS. Four kinds of paths are never
// allowed: a missing path, a path that begins with "~", a path that cannot be resolved, and a path that leads to
// different places for programs that read ".." after a link in different ways. A rule of deny or ask matches the path
// as written and as resolved, without case.
//
// A search covers a whole tree. A pattern that ends in "**" can allow it. If the tree may have a file that a rule
// denies, the verdict is ask. With Options.Server, the files are on another machine: no path is allowed, and a rule
// that denies paths makes the verdict ask for every path. Links are followed when the request is decided. A command
// that runs at the same time can change them.
//
// # MCP servers and other tools
//
// mcp_server matches all tools of a server. Together with tool, it matches one of them. Kimi Code names the server in
// each call (mcp__SERVER__TOOL). kimi-cli does not. So with kimi-cli, such a rule allows nothing, and if it denies or
// asks, the verdict is ask for every call of an unknown tool. Allow such a tool by its name. A tool that this package
// does not know is matched only by its name.
//
// # What is never allowed
//
// Three kinds of requests are never allowed: a request whose whole call is not known; a request with arguments that
// occur twice or do not belong to the tool; and a request for a tool of an MCP server or a plugin that has the name of
// one of kimi's own tools. Rules that Validate refuses deny everything. No request is ever approved for the session:
// kimi-cli would then run every later command without asking the rules.
package rules
