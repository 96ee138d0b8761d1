// Package wireproto has the types of Kimi Code's Wire protocol, version 1.10, and the
// codec of its lines. It starts nothing and waits for nothing; package client does.
//
// # Messages
//
// What the agent sends in a turn is a [Message]: an [Event], such as [*TextPart] or
// [*ToolResult], or a [Request], such as [*ApprovalRequest]. Each Wire type is a
// struct of the same name, met as a pointer:
//
//	switch m := msg.(type) {
//	case *wireproto.TextPart:
//		fmt.Print(m.Text)
//	case *wireproto.ToolCall:
//		fmt.Println(m.Function.Name)
//	}
//
// Optional scalars are pointers, nil where the agent wrote null or nothing. A member that
// kimi-cli always writes, and another agent leaves out or null, has its default or zero
// value; members that this version does not know are dropped from the types it knows. What this
// version does not know, whether a message, a content part or a display block, decodes
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
// A line that is not a frame is a [*LineError], and the stream lives on. The error that
// answers a call is an [*RPCError].
//
// The facts rest on kimi-cli 1.51.0: kimi_cli/wire/types.py, jsonrpc.py, server.py, file.py.
package wireproto
