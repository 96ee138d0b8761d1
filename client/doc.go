// Package client drives Kimi Code from Go: it starts kimi as a child process and gives a
// program its events, approvals, questions, tools, hooks and sessions. It speaks Wire to kimi-cli, and drives the server
// of Kimi Code 2.x, which has no Wire mode; [Info] tells which it is, and [ErrUnsupported] what the one cannot do.
// Configuration, credentials, tools, skills and MCP servers are Kimi Code's own.
//
// [Prompt] and [Ask] run one turn in a session of their own:
//
//	answer, err := client.Ask(ctx, "Which Go version does this module need?", &client.Options{Yolo: true})
//
// [AskAs] and [Answer] give the answer as a Go type.
//
// [NewSession] gives control: many turns, every message, approvals by hand.
//
//	s, err := client.NewSession(ctx, &client.Options{WorkDir: "."})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	turn, err := s.Prompt(ctx, "List the files")
//	if err != nil {
//		return err
//	}
//	for msg, err := range turn.Messages() {
//		if err != nil {
//			return err
//		}
//		switch m := msg.(type) {
//		case *wireproto.TextPart:
//			fmt.Print(m.Text)
//		case *client.ApprovalRequest:
//			m.Approve()
//		}
//	}
//
// # Lifecycle
//
// A session is one process, but for [Session.SetModel], with which kimi-cli begins another. Its id is known at once, and [ResumeSession] continues it in a
// later process; [ListSessions] finds it in kimi's files. One turn runs at a time; those of
// [Session.Queue] wait for their turn. Messages that
// come while none runs go to Options.OnMessage. [Session.Close] closes kimi's input, waits,
// interrupts, waits, and kills, Options.StopGrace in all; nothing that kimi has started
// lives on. If the Go program is killed, kimi sees the end of its input and ends as well; Kimi Code's server, which has no
// input, is ended by a shell that watches over the program (not on Windows, where a job object ends it).
//
// A [Pool] has sessions ready before they are asked for, and limits how many there are. Options.Server names a Kimi Code
// server that runs elsewhere, of which nothing is started or stopped here.
//
// A loop that is slow slows the agent down: about 2 MiB wait for it, the rest waits in the
// agent. Cancel, Steer, SetPlanMode, Close and the answers to requests work all the while.
//
// # Kimi Code 2.x
//
// The child of a session is "kimi web", a server on loopback with a port and a token of its own. A bridge in this
// program translates between Wire and the server's REST calls and WebSocket, so that the API is the same.
// Where the options name tools, hooks, MCP servers, an agent, skills or a configuration, the server gets a private home:
// links lead to the user's sessions and logins, and a login that is renewed in one is renewed in the other. The private
// home is removed when the session ends.
//
// A turn is finished only if the server says so of the turn that this prompt began; else the error is
// [ErrOutcomeUnknown]. A connection that is lost is made again, and what was said meanwhile is read from the server's
// journal and transcript. The transcript also makes good what a server of another version does not send, and a
// [*wireproto.Notification] of the type "bridge.unknown_event" tells of that. It stands in for what is not understood, too. What no
// one can notice is text that the server has neither sent nor written down, and a change that begins after the first steps of a
// session have been found whole.
//
// # Cancellation
//
// The ctx of NewSession and ResumeSession bounds the start alone. The ctx of
// [Session.Prompt] bounds the turn, as [Turn.Cancel] and leaving the loop do: kimi is asked to
// cancel, the session stays usable. A kimi that does not obey within Options.StopGrace is
// killed, except after Cancel, which has a ctx of its own. When the ctx of Prompt ends, whoever
// waits for the turn is let go within a second, however deaf kimi is; the next Prompt waits for the
// turn's end. Handlers, hooks and tools get a ctx
// that ends with the turn and with Close; [context.Cause] tells why. None starts once its turn is
// being cancelled or Close has begun, and Close waits for those that run. There is no deadline but
// those of Options.StartTimeout, Options.StopGrace and Hook.Timeout. Options.IdleTimeout guards
// against an agent that lives and says nothing.
//
// # Requests
//
// An approval or a question is answered by a handler (Options.Approve, Options.Answer) or
// in the loop. Unanswered requests are rejected, and what a hook fails to decide is blocked: nothing
// waits for ever, and nothing is allowed by accident.
//
// # Watching and limits
//
// Options.Observer is told of each turn, step, tool call, approval and retry, with times and tokens; [TurnResult] has the sums.
// Options.Limits and Options.SessionLimits end a turn that uses more than it may, with [ErrLimit].
//
// # Errors
//
// Every wait ends with an event, an answer, ctx, the end of the process or Close, and the error
// says which. Test for the Err… values with [errors.Is]; with [errors.As] for
// [*ProcessError] (exit code, signal, stderr), [*NotFoundError], [*IncompatibleError], [*AnswerError] and
// [*wireproto.RPCError]. Each message says what to do next; none holds a secret.
//
// # How a line becomes a message
//
// process.go connects the child by pipes. conn.go reads its lines on one goroutine, which
// never runs the program's code: an answer ends its call, anything else goes to handle in
// dispatch.go, and from there into the turn's queue, stream.go, or to a handler. turn.go
// takes the queue for the loop over [Turn.Messages]. The answer to the prompt goes the same way,
// so that it comes after everything that was sent before it.
package client
