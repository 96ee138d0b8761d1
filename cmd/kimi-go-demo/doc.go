// Command kimi-go-demo runs Kimi Code or kimi-cli from the command line, through package client. It shows
// what a program can do with that package. You can also use it for your work.
//
//	kimi-go-demo prompt [flags] TEXT      runs one turn; TEXT "-" reads standard input
//	kimi-go-demo chat [flags]             runs a conversation of many turns
//	kimi-go-demo sessions [--json]        lists the sessions of the work dir
//	kimi-go-demo resume [ID [TEXT]]       continues a session; ID "-" or --last means the newest.
//	                                      Without ID, you choose a session at the terminal. Without TEXT,
//	                                      it shows the history and, at a terminal, starts a chat
//	kimi-go-demo replay FILE              shows a recording, as prompt shows a turn
//	kimi-go-demo view -o PAGE FILE|ID     writes a recording or a stored session as an HTML page or,
//	                                      with --markdown, as Markdown; ID "-" means the newest session
//	kimi-go-demo proxy [flags] -- KIMI …  starts kimi for a Wire client; --record records the messages
//	kimi-go-demo wire [flags of kimi]     does what "kimi --wire" does, with Kimi Code 2.x
//	kimi-go-demo shell [ID]               opens a session in kimi's own user interface; ID "-" means the newest
//	kimi-go-demo login                    runs kimi's own login
//	kimi-go-demo doctor                   says which kimi is used, with which configuration, and what is wrong
//	kimi-go-demo completion SHELL         writes a script that completes commands in bash, zsh or fish
//
// At a terminal, the command asks you before the agent acts. It shows the whole call with all its arguments, a page at
// a time. m shows the next page, y allows the call once, and n rejects it. After n, you can tell the agent what to do
// instead. a allows more than this call: you choose what, from a list. Text that you typed before the question appeared does not
// answer it. Without a terminal, the command rejects requests, and its exit status says so. With --answer, the command
// answers y, a or n to every request; a then allows for the session. With --yolo or --afk, kimi itself allows everything.
//
// At a terminal, a chat has a screen. Finished text scrolls into the terminal's history. Below it are the running turn and an
// editor. The last line shows the keys that work now. Text that you type while the agent works waits for the next turn; after
// Tab, it steers the running turn. When the agent asks, y, a and n answer. e rejects, and lets you say what to do instead. A key
// that you typed before the request appeared does not answer it. The chat keeps your texts, for each work dir, in a file of the
// user's state directory that only the user can read. The arrow keys bring them back.
//
// With --plain, ACCESSIBLE=1 or TERM=dumb, and without a terminal, a chat writes plain lines. A line that ends in \ continues
// in the next one. Text that you type while the agent works steers it. In both forms, /help lists the commands. Text that
// you type there may be a command of kimi, such as /compact. A TEXT, or the input of a chat that is not a terminal, is
// only text for the agent, unless --slash is given, because /yolo and /afk turn approvals off.
//
// Text of the agent cannot control the terminal. Control characters, and other invisible characters, are written as ^X
// and \uNNNN; in JSON they are escapes with the same meaning. proxy and wire copy the output of kimi unchanged to
// standard output.
//
// Standard output has only what the agent says and does. With --json, it has one Wire message on each line, as
// {"type":…,"payload":…}. With --quiet, it has only the agent's text. Standard error has a line about the end of the turn,
// with the command that continues the session. It also has the errors, each with a hint.
//
// The first Ctrl-C cancels the turn, and the session can be resumed. A second Ctrl-C closes the session at once.
//
// # Use by other programs
//
// Kimi Code 2.x has no Wire mode. "kimi-go-demo wire" replaces "kimi --wire", with its arguments and its environment. It
// also answers "kimi info --json" and "kimi --version". A Wire client starts its kimi without
// the argument wire. So make a symbolic link with the name kimi-wire, and set it as the kimi of the Wire client:
//
//	ln -s "$(command -v kimi-go-demo)" ~/bin/kimi-wire
//
// If Kimi Code has nothing that corresponds to an argument, the program prints an error with the name of the argument, and its
// exit status is 2. Otherwise the program ends with the exit status, or by the signal, of kimi. If kimi is kimi-cli, which has a
// Wire mode, the program runs it unchanged.
//
// # Exit status
//
//	0    the turn finished (doctor: kimi is usable)
//	1    an error
//	2    the command line is wrong
//	3    the turn reached the limit of steps
//	4    the turn finished, but a request was rejected because there was no one to ask
//	130  the turn was cancelled by Ctrl-C
//	143  the turn was cancelled by a termination signal
//
// NO_COLOR turns colours off. The variables of Kimi Code have their usual effect (KIMI_PATH, KIMI_SHARE_DIR,
// KIMI_API_KEY, …); doctor shows which of them are used.
package main
