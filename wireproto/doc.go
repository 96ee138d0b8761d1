// Package wireproto has the types of Kimi Code's Wire protocol, version 1.10, and reads and writes its lines. It starts
// no goroutine and no program; package client does that.
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
// Optional scalars are pointers. They are nil if the agent wrote null or left them out. If an agent leaves out another
// member, which kimi-cli always writes, the field has its default or zero value. In known types, unknown members are
// dropped. An unknown message, content part or display block decodes to a value that keeps its JSON and encodes to the
// same JSON: [*UnknownMessage], [*UnknownPart], [*UnknownDisplayBlock].
//
// # Lines
//
// A [Frame] is one line: JSON-RPC 2.0 with string ids. [Decoder] and [Encoder] read and write frames. [ReadSessionFile]
// reads the wire.jsonl of a stored session.
//
// # Errors
//
// For a line that is not a frame, the error is a [*LineError], and the next line can be read. The error that answers a
// call is an [*RPCError].
//
// # Versions
//
// The comments of the types say since when each message exists. "Protocol 1.4" means the version that InitializeResult
// contains. The types follow kimi-cli 1.51.0: kimi_cli/wire/types.py, jsonrpc.py, server.py, file.py.
package wireproto
