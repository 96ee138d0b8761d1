// Command kimi-go-demo drives Kimi Code from the command line, through package client. It shows what a program can do
// with that package, and is useful by itself.
//
//	kimi-go-demo prompt [flags] TEXT      one turn; TEXT "-" reads standard input
//	kimi-go-demo chat [flags]             a conversation of many turns
//	kimi-go-demo sessions [--json]        the sessions of the work dir
//	kimi-go-demo resume [ID [TEXT]]       continues a session; ID "-" or --last is the newest; without
//	                                      ID, you choose one in the terminal. Without TEXT, it shows
//	                                      the history and, in a terminal, starts a chat
//	kimi-go-demo replay FILE              shows a recording, as prompt shows a turn
//	kimi-go-demo view -o PAGE FILE|ID     a recording or a stored session as an HTML page, or --markdown
//	kimi-go-demo proxy [flags] -- KIMI …  starts kimi for a Wire client; --record records both directions
//	kimi-go-demo wire [flags of kimi]     does what "kimi --wire" does, with Kimi Code 2.x
//	kimi-go-demo shell [ID]               kimi's own user interface for a session; "-" is the newest
//	kimi-go-demo login                    kimi's own login
//	kimi-go-demo doctor                   what would run, with which configuration, and what is wrong
//	kimi-go-demo completion SHELL         a script for bash, zsh or fish
//
// In a terminal, the command asks before the agent acts. It shows the whole call with all its arguments, one page at a
// time. m shows the next page, y allows the call once, a allows it for the session, and n rejects it. After n, you may
// tell the agent what to do instead. A key that was typed before the question appeared does not answer it. Without a
// terminal, the command rejects requests, and its exit status says so. With --answer it answers y, a or n. With --yolo
// or --afk, kimi itself allows everything.
//
// In a terminal, a chat has a screen. Finished text scrolls into the terminal's history. Below it are the running turn
// and an editor. The last line shows the keys that work at the moment. Text that you type while the agent works is
// queued; after Tab, it steers the turn. When the agent asks, y, a and n answer, and e rejects and tells the agent what
// to do instead. A key that was typed before the request appeared does not answer it. The texts that you type are kept
// for later, for each work dir, in a file in the user's state directory that only the user can read.
//
// With --plain, ACCESSIBLE=1 or TERM=dumb, and without a terminal, a chat has plain lines. A line that ends in \
// continues in the next line. Text that you type while the agent works steers it. In both forms, /help lists the
// commands. Text that you type in a chat may be a command of kimi, such as /compact. A TEXT argument, or the input of a
// chat that is not a terminal, is only text for the agent, unless --slash is given, because /yolo and /afk turn
// approvals off.
//
// Text of the agent cannot control the terminal. Control characters, and other invisible characters, are written as ^X
// and \uNNNN; in JSON they are escapes with the same meaning. proxy and wire copy the output of kimi unchanged to
// standard output.
//
// Standard output has only the text and the actions of the agent. With --json it has one Wire message on each line, in
// its envelope {"type":…,"payload":…}. With --quiet it has only the agent's text. Standard error has a line about the
// end of the turn, with the command that continues the session, and errors: a line and a hint for each.
//
// The first Ctrl-C cancels the turn, and the session can be resumed. A second Ctrl-C closes the session at once.
//
// # As a replacement for kimi --wire
//
// Kimi Code 2.x has no Wire mode. "kimi-go-demo wire" replaces "kimi --wire", with its arguments and its environment. It
// also answers "kimi info --json" and "kimi --version". Under the name kimi-wire, as a symbolic link or a copy, the
// program does the same, so any Wire client may have it as its executable:
//
//	ln -s "$(command -v kimi-go-demo)" ~/bin/kimi-wire
//
// An argument that Kimi Code does not support gives an error with its name, and exit status 2. Otherwise the exit
// status, or the signal, is that of kimi. If kimi is kimi-cli, which has a Wire mode, the program runs it unchanged.
//
// # Exit status
//
//	0    the turn finished (doctor: kimi is usable)
//	1    an error
//	2    the command line is wrong
//	3    the turn reached the limit of steps
//	4    the turn finished, but a request was rejected because there was no one to ask
//	130  cancelled by Ctrl-C; 143 by a termination signal
//
// NO_COLOR turns colours off. The variables of Kimi Code have their usual effect (KIMI_PATH, KIMI_SHARE_DIR,
// KIMI_API_KEY, …); doctor says which of them have an effect.
package main
