package clienttest

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Reply returns the script of one call of a model. Its arguments are lines in the script language, or what Text,
// Think, ToolCall and Error return:
//
//	clienttest.Kimi(t,
//		clienttest.Reply(clienttest.Text("# Plan\n\n1. look\n"), clienttest.ToolCall("c1", "Shell", args), "usage: input_other=7 output=2"),
//		clienttest.Error(429, "slow down"))
func Reply(lines ...string) string { return strings.Join(lines, "\n") }

// Text returns the script line of a piece of text. Any text arrives unchanged, also with line breaks, quotes, and
// blanks at its start or end. Bytes that are not UTF-8 become U+FFFD.
func Text(text string) string { return say("text", text) }

// Think returns the script line of a piece of thinking, which may be any text.
func Think(text string) string { return say("think", text) }

// Error returns the script of a call that fails with an HTTP status from 400 to 599. The message may be any text. If it
// is empty, the error has a default text with the status.
func Error(status int, message string) string {
	said := strconv.Itoa(status)
	if message != "" {
		said += " " + message
	}
	if strings.TrimSpace(message) == message && !strings.ContainsFunc(message, breaksLine) {
		return "error: " + said
	}
	return line("error"+asJSON, said)
}

// ToolCall returns the script line of a tool call of the model. args is marshalled to JSON.
func ToolCall(id, name string, args any) string {
	raw, err := json.Marshal(args)
	if err != nil {
		panic("clienttest: ToolCall: " + err.Error())
	}
	return line("tool_call", map[string]string{"id": id, "name": name, "arguments": string(raw)})
}

// say returns a script line with a text: in quotes, which keep blanks and quotes, or as JSON if quotes cannot keep it.
func say(kind, text string) string {
	if strings.ContainsFunc(text, breaksLine) {
		return line(kind+asJSON, text)
	}
	return kind + `: "` + text + `"`
}

// line returns a line with a value as JSON.
func line(kind string, value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic("clienttest: " + kind + ": " + err.Error())
	}
	return kind + ": " + strings.ReplaceAll(string(raw), "\u0085", `\u0085`)
}

// asJSON is the end of the name of a line whose value is a JSON string. kimi-cli's own model does not know such lines.
const asJSON = "_json"

// breaksLine reports whether r ends a line for kimi-cli, whose parser uses Python's str.splitlines.
func breaksLine(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// needsServer reports whether a script has a line that [NewModel] knows and kimi-cli's own model does not know.
func needsServer(scripts []string) bool {
	for _, script := range scripts {
		for line := range strings.FieldsFuncSeq(script, breaksLine) {
			kind, _, _ := strings.Cut(line, ":")
			kind = strings.ToLower(strings.TrimSpace(kind))
			switch kind {
			case "drop", "end", "hang", "wait", "finish":
				return true
			}
			if strings.HasSuffix(kind, asJSON) {
				return true
			}
		}
	}
	return false
}
