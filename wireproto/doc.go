// Package wireproto has the types of Kimi Code's Wire protocol, version 1.10, and
// the codec of its lines. It starts no goroutine and no program. To start kimi, use
// package client.
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
// value. If a message of a known type has a member that this package does not know, the
// member is dropped. If the type of a message, a content part or a display block is not
// known, the result is an [*UnknownMessage], an [*UnknownPart] or an
// [*UnknownDisplayBlock]. It keeps the JSON, and encodes to the same JSON.
//
// # Lines
//
// A [Frame] is one line: a JSON-RPC 2.0 message whose id is a string. [Decoder] reads
// frames, and [Encoder] writes them. [ReadSessionFile] reads the file wire.jsonl of a
// stored session.
//
// # Errors
//
// For a line that is not a frame, the error is a [*LineError]. The lines after it can still
// be read. An error with which the agent answers a call is an [*RPCError].
//
// The comments say which version of the protocol was the first to have a message, such as "Protocol 1.4". The version that
// an agent speaks is in InitializeResult.
// The types follow kimi-cli 1.51.0: kimi_cli/wire/types.py, jsonrpc.py, server.py, file.py.
package wireproto
