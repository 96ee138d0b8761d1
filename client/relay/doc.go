// Package relay shows one session to any number of readers: browsers, other processes, other goroutines.
//
// A [Relay] keeps a numbered log of what a session says. A reader names the number of the last entry that it has. It gets
// the later entries, and then each new one. So a reader gets everything, even if it comes late, reloads or loses its connection.
// Any reader can send prompts and answers through the relay.
//
//	outside := new(relay.Outside)
//	s, err := client.NewSession(ctx, &client.Options{OnMessage: outside.OnMessage, SupportsQuestion: true})
//	…
//	defer s.Close()
//	r := relay.New(s, &relay.Options{Outside: outside, Authorize: authorize})
//	defer r.Close()
//	http.Handle("/agent/", http.StripPrefix("/agent", r))
//
// # The log
//
// An [Entry] is JSON in the envelope of the protocol, {"type":…,"payload":…}. It is a message of the session, or a value of one
// of the relay's own types. In JSON, the names of these types begin with "relay.": [TurnQueued], [TurnStarted], [TurnEnded],
// [Pending], [Settled] and [SessionEnded]. A page can show the session with these entries alone. Numbers begin at 1 and have no
// gaps.
//
// Options.Keep and KeepBytes limit what stays in memory. With Options.SpillDir, older entries go to a file. Without SpillDir,
// the relay drops them, and a reader that asks for them gets a [GapError]. A slow reader does not slow down the session or
// other readers.
//
// # Turns and requests
//
// The relay reads the turns that it has begun itself, with [Relay.Prompt] and [Relay.Queue]. The program should begin no other
// turns. If no handler of the session answers a request for approval or a question, the relay holds it until [Relay.Answer] is
// called or the turn of the request ends. The log then has a [Pending] entry with the whole call that the request is about, and
// later a [Settled] entry.
//
// # HTTP
//
// Relay is an [http.Handler]. If its paths have a prefix, wrap it in [http.StripPrefix]. It has these routes:
//
//	GET  events       the log as server-sent events, after the number of Last-Event-ID or ?after=
//	GET  state        the turns and requests that are open, as State
//	POST prompt       {"text":…,"parts":[…]} begins a turn: {"turn":…}
//	POST queue        the same, for a turn that begins after all others
//	POST steer        {"text":…,"parts":[…]} adds to the running turn
//	POST cancel       {"turn":…} cancels that turn, {} cancels the running turn
//	POST answer/{id}  {"response":"approve"}, {"response":"approve_for_session"},
//	                  {"response":"reject","feedback":…} or {"answers":{…}} answers the request
//
// Errors are {"message":…}. Options.Authorize decides about every HTTP request; without it, the relay refuses all of
// them. It also refuses requests of other web sites: a POST must be JSON and come from the relay's own origin.
// The HTTP server must provide encryption and rate limits.
package relay
