package scenarios

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// README returns the text of testdata/fixtures/README.md.
func README() []byte {
	var b strings.Builder
	b.WriteString(readmeHead)
	b.WriteString("\n| fixture | shows |\n|---|---|\n")
	for _, s := range All() {
		fmt.Fprintf(&b, "| [%s](%s.jsonl) | %s |\n", s.Name, s.Name, s.Shows)
	}
	b.WriteString(readmeUnprovoked)
	features := slices.SortedFunc(maps.Keys(unprovoked), func(a, b Feature) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	for _, f := range features {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Kind, f.Name, unprovoked[f])
	}
	return []byte(b.String())
}

const readmeHead = `# Recordings of the real kimi

Each file is the recording of one conversation with kimi-cli 1.51.0; [tombstone](tombstone.jsonl) is one with 1.52.0. If the name of a file begins with ` + "`code-`" + `, it is a
conversation with Kimi Code 2.1.0. It has the Wire messages into which the bridge of this module translates the conversation. ` + "`make fixtures`" + ` records the files and
writes this page. The code in ` + "`scripts/record-fixtures/scenarios`" + ` holds the conversations. The tests use the same code to replay the recordings. A replay needs no kimi:
` + "`clienttest.Replay`" + ` sends the lines of the agent, and checks that the client sends the same lines as in the recording. The model is scripted: it is part of kimi-cli, or a
server on the loopback interface. So the recordings do not show how a real model behaves. To record kimi-cli 1.52.0 too, set ` + "`" + TombstoneKey + "`" + ` to the path of its program.
` + "`testdata/acp`" + ` has old recordings of Kimi Code over ACP, another protocol. The tests replay them, but no one can record them again.

## Format

` + "`Options.Record`" + ` writes these files. Each line is JSON. The first line is the header. It has the version of the format, and the name and version that the
agent gave. The name and version are empty if there was no handshake.

    {"fixture":1,"agent":{"name":"Kimi Code CLI","version":"1.51.0"},"wire":"1.10"}

Each further line is a record: the milliseconds since the start, who wrote the line (` + "`client`" + ` or ` + "`agent`" + `), and the exact line without its end. Lines
that are not frames of the protocol are recorded as well. Bytes that are not UTF-8 become U+FFFD.

    {"ms":1130,"from":"client","line":"{\"jsonrpc\":\"2.0\",\"method\":\"prompt\",…}"}
    {"ms":1180,"from":"agent","line":"{\"jsonrpc\":\"2.0\",\"method\":\"event\",…}"}

The last line says how the agent ended. ` + "`signal`" + ` names the signal that killed it. ` + "`unasked`" + ` says that the agent ended although the client had not closed the agent's input and had not ended the agent.

    {"ms":1600,"from":"agent","end":{"exit_code":0}}

In a recording, ` + "`***`" + ` stands for the secrets of the configuration, of the environment and of stored logins, and for everything that looks like a bearer token or an
API key. ` + "`/work`" + ` stands for the work dir, ` + "`/share`" + ` for the share dir, ` + "`/home/user`" + ` for the home, ` + "`/kimi`" + ` for the folder where kimi is installed, and ` + "`/tmp`" + ` for the folder of
temporary files. Ids and times are unchanged.

## The recordings
`

const readmeUnprovoked = `
## What cannot be recorded

In a test, kimi-cli never sends these parts of the protocol. A test fails if any other part of the protocol is in no recording of kimi-cli.

| kind | name | why |
|---|---|---|
`
