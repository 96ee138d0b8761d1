// Package relay shows one session to any number of readers: browsers, other processes, other goroutines.
//
// A [Relay] keeps a numbered log of what a session says. Each reader reads it from the number that it names to the end
// that is yet to come, so that one that comes late, reloads or loses its connection misses nothing. Prompts and answers
// go in through the relay, from any of them.
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
// An [Entry] is JSON in the envelope of the protocol, {"type":…,"payload":…}: a message of the session, or one of the
// relay's own types, whose names begin with "relay.": [TurnQueued], [TurnStarted], [TurnEnded], [Pending], [Settled]
// and [SessionEnded]. All that a page shows can be made from it. Numbers begin at 1 and have no gaps. Options.Keep and
// KeepBytes bound what stays in memory; with Options.SpillDir the rest goes to a file, and without it is dropped: a
// reader that wants it gets a [GapError]. No reader holds up the session, nor another reader.
//
// # Turns and requests
//
// The relay reads the turns that it has begun itself, with [Relay.Prompt] and [Relay.Queue]; the program should begin
// no others. A request for approval, or a question, that no handler of the session answers is held until [Relay.Answer]
// gets its answer from anyone, or its turn ends. It is a [Pending] entry with the whole call that it asks about, and
// later a [Settled] entry.
//
// # HTTP
//
// Relay is an [http.Handler], to be mounted under [http.StripPrefix] where it has a prefix:
//
//	GET  events       the log as server-sent events, after the number of Last-Event-ID or ?after=
//	GET  state        the turns and requests that are open, as State
//	POST prompt       {"text":…,"parts":[…]} begins a turn: {"turn":…}
//	POST queue        the same, for a turn after those before it
//	POST steer        {"text":…,"parts":[…]} adds to the turn that runs
//	POST cancel       {"turn":…} or {} for the one that runs
//	POST answer/{id}  {"response":"approve", "approve_for_session" or "reject","feedback":…}, or {"answers":{…}}
//
// Errors are {"message":…}. Options.Authorize decides about every request; without it all are refused. A request of
// another web site is refused, too: a POST must be JSON and from the relay's own origin. Encryption, and limits of
// requests, are for the server around it.
package relay
