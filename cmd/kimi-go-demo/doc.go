// Command kimi-go-demo drives Kimi Code from the command line, through package client. It is the
// reference for what a program can do with it, and useful by itself.
//
//	kimi-go-demo prompt [flags] TEXT      one turn; TEXT "-" reads standard input
//	kimi-go-demo chat [flags]             turn after turn
//	kimi-go-demo sessions [--json]        the sessions of the work dir
//	kimi-go-demo resume [ID [TEXT]]       goes on with a session; ID "-" or --last is the newest, and
//	                                      without one you choose at the terminal. Without TEXT it shows
//	                                      the history and, at a terminal, chats on
//	kimi-go-demo replay FILE              a recording, shown as prompt would have
//	kimi-go-demo view FILE|ID -o PAGE     a recording or a stored session as an HTML page, or --markdown
//	kimi-go-demo proxy [flags] -- KIMI …  stands between a Wire client and kimi, and may record
//	kimi-go-demo wire [flags of kimi]     is "kimi --wire" for a Wire client, with Kimi Code 2.x
//	kimi-go-demo shell [ID]               kimi's own user interface on a session, - for the newest
//	kimi-go-demo login                    kimi's own login
//	kimi-go-demo doctor                   what would run, with which configuration, and what is wrong
//	kimi-go-demo completion SHELL         a script for bash, zsh or fish
//
// At a terminal, what the agent wants to do is asked about: the whole call is shown, with all its arguments, a page at
// a time; m shows the next one, y allows it once, a for the session, n rejects it, and the next line may tell the agent what to
// do instead. What was typed before the question was there answers nothing. Elsewhere it is
// rejected, which the exit status tells, unless --answer y, a or n says otherwise or --yolo or --afk lets kimi itself allow everything.
//
// At a terminal, a chat has a screen: what is finished scrolls into the terminal's history, what goes on stands below it, and
// below that an editor. The last line names the keys of the moment. What is typed while the agent works is queued or, after Tab, steers the turn. When
// the agent asks, y, a and n answer, and e says what it is to do instead; no key that was typed before the request was on the screen answers it. What
// was typed is kept for later, for each work dir, in a file of the user's state directory that only the user can read.
//
// With --plain or ACCESSIBLE=1, with TERM=dumb and where there is no terminal, a chat is plain lines: a line that ends in \ goes on in the next one,
// and what is typed while the agent works steers it. In both, /help lists the commands. What is typed there may be a command of kimi, such as /compact; a TEXT, or a
// chat's input that is no terminal, is the agent's to read unless --slash is given, since /yolo and /afk switch approvals off.
//
// What the agent says cannot act on the terminal: control characters, and others that are not seen, are written as ^X and
// \uNNNN; in JSON as escapes, which mean the same. proxy and wire hand on what kimi writes to standard output as it is.
//
// Standard output has what the agent says and does, or with --json one Wire message a line, as
// its envelope {"type":…,"payload":…}, and nothing else; with --quiet the agent's text alone. Standard error has a
// line about the end of the turn, with how to go on, and errors: a line each, and a hint.
//
// The first Ctrl-C cancels the turn; the session can be resumed. A second one closes it at once.
//
// # As the kimi of other programs
//
// Kimi Code 2.x has no Wire mode. "kimi-go-demo wire", and the program itself under the name kimi-wire, a
// symbolic link or a copy, replaces "kimi --wire" with its arguments and its environment, "kimi info --json" and
// "kimi --version" included, so that any Wire client may name it as its executable:
//
//	ln -s "$(command -v kimi-go-demo)" ~/bin/kimi-wire
//
// What Kimi Code has no place for is refused by name, with exit status 2; else the exit status, or the signal,
// is kimi's. Before kimi-cli, which has Wire mode, it steps aside.
//
// # Exit status
//
//	0    the turn finished (doctor: kimi is usable)
//	1    an error
//	2    the command line is wrong
//	3    the turn reached the limit of steps
//	4    the turn finished, but a request was rejected since there was no one to ask
//	130  cancelled by Ctrl-C; 143 by a termination signal
//
// NO_COLOR turns colours off. The variables of Kimi Code act as ever (KIMI_PATH, KIMI_SHARE_DIR,
// KIMI_API_KEY, …); doctor says which do.
package main
