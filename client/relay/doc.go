// Package relay shows one session to any number of readers: browsers, other processes, other goroutines.
//
// A [Relay] keeps a numbered log of all that happens in a session. A reader gives the number of the last entry that it
// has. It gets the later entries, and then each new entry. So a reader misses nothing if it starts late, reloads or
// loses its connection. Any reader can send prompts and answers through the relay.
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
// An [Entry] is JSON in the envelope of the protocol, {"type":…,"payload":…}. It is a message of the session, or one of
// the relay's own types, whose names begin with "relay.": [TurnQueued], [TurnStarted], [TurnEnded], [Pending],
// [Settled] and [SessionEnded]. A page can show the session with the log alone. Numbers begin at 1 and have no gaps.
//
// Options.Keep and KeepBytes limit how much stays in memory. With Options.SpillDir, older entries go to a file. Without
// it, they are dropped, and a reader that needs them gets a [GapError]. A slow reader does not slow down the session or
// other readers.
//
// # Turns and requests
//
// The relay reads the turns that it has begun itself, with [Relay.Prompt] and [Relay.Queue]. The program should begin
// no other turns. If the session has no handler for a request for approval or a question, the relay holds the request
// until [Relay.Answer] is called or its turn ends. The log then has a [Pending] entry with the whole call that the
// request asks about, and later a [Settled] entry.
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
//	POST cancel       {"turn":…} cancels that turn, {} the running one
//	POST answer/{id}  {"response":"approve", "approve_for_session" or "reject","feedback":…}, or {"answers":{…}}
//
// Errors are {"message":…}. Options.Authorize decides about every HTTP request; without it, the relay refuses all of
// them. The relay also refuses requests of other web sites: a POST must be JSON and must come from the relay's own
// origin. The HTTP server must provide encryption and rate limits.
package relay
