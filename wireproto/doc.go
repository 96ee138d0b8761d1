// Package wireproto has the types of Kimi Code's Wire protocol, version 1.10, and
// the codec of its lines. It starts no goroutine and no program; package client
// does.
//
// # Messages
//
// What the agent sends in a turn is a [Message]: an [Event], such as [*TextPart] or
// [*ToolResult], or a [Request], such as [*ApprovalRequest]. Each Wire type is a
// struct of the same name. A Message is a pointer to it:
//
//	switch m := msg.(type) {
//	case *wireproto.TextPart:
//		fmt.Print(m.Text)
//	case *wireproto.ToolCall:
//		fmt.Println(m.Function.Name)
//	}
//
// Optional scalars are pointers. They are nil if the agent wrote null or nothing. If an
// agent leaves out a member that kimi-cli always writes, the field has its default or zero
// value. Members that this version does not know are dropped from the types it knows.
// A message, a content part or a display block that this version does not know decodes
// to a value that keeps the JSON and encodes back to it: [*UnknownMessage],
// [*UnknownPart], [*UnknownDisplayBlock].
//
// # Lines
//
// A [Frame] is one line, JSON-RPC 2.0 with string ids. [Decoder] and [Encoder] read and
// write them; [ReadSessionFile] reads the wire.jsonl of a stored session.
//
// # Errors
//
// A line that is not a frame is a [*LineError]. The stream can be read after it. The error
// that answers a call is an [*RPCError].
//
// The comments say since when a message exists: "Protocol 1.4" is the version of the protocol that InitializeResult has.
// The types follow kimi-cli 1.51.0: kimi_cli/wire/types.py, jsonrpc.py, server.py, file.py.
package wireproto
