// Package client runs Kimi Code for a Go program. It starts kimi as a child process and gives the program its events,
// approvals, questions, tools, hooks and sessions. A turn is one prompt and everything that the agent does because of
// it. [Ask] runs one turn:
//
//	answer, err := client.Ask(ctx, "Which Go version is this?", &client.Options{Yolo: true})
//
// [NewSession] starts a session of many turns. The loop sees every message and answers requests:
//
//	s, err := client.NewSession(ctx, &client.Options{WorkDir: "."}) // check err, then defer s.Close()
//	turn, err := s.Prompt(ctx, "List the files")                    // check err
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
// The folder docs has a page for each subject: session.md for lifetimes and cancellation, approvals.md, tools.md,
// kimi-code.md for the two programs, watching.md for limits, troubleshooting.md for every error.
//
// This is how a message gets from kimi to your code, with the file that does each part:
//
//	kimi's stdout -> process.go (pipe) -> conn.go (line) -> dispatch.go (message) -> turn.go -> your loop
//	                                                                             \-> handlers.go -> your handlers
package client
