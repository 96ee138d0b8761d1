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

Each file is one conversation with kimi-cli 1.51.0 (one of them with 1.52.0). Files with a name that begins with ` + "`code-`" + ` are
conversations with Kimi Code 2.1.0: they have the Wire messages that this module's bridge makes of them. ` + "`make fixtures`" + ` records the files and
writes this page. The code that drives the conversations, ` + "`scripts/record-fixtures/scenarios`" + `, also replays them in the tests. A replay needs no kimi:
` + "`clienttest.Replay`" + ` plays the agent's lines and checks that the client says what it said. The model is kimi's own
scripted one, or a server on loopback: nothing here describes the behaviour of a real model. To record kimi-cli 1.52.0 too, set
` + "`" + TombstoneKey + "`" + ` to its kimi. ` + "`testdata/acp`" + ` has old recordings of Kimi Code over ACP. They replay, but cannot be made again.

## Format

A file is JSON lines, made by ` + "`Options.Record`" + `. The first line is the header: the version of the format, and the name and version that the
agent gave. They are empty if there was no handshake.

    {"fixture":1,"agent":{"name":"Kimi Code CLI","version":"1.51.0"},"wire":"1.10"}

Each further line is a record: the milliseconds since the start, who wrote (` + "`client`" + ` or ` + "`agent`" + `), and the exact line without its end. Lines
that are not frames of the protocol are recorded as well. Bytes that are not UTF-8 become U+FFFD.

    {"ms":1130,"from":"client","line":"{\"jsonrpc\":\"2.0\",\"method\":\"prompt\",…}"}
    {"ms":1180,"from":"agent","line":"{\"jsonrpc\":\"2.0\",\"method\":\"event\",…}"}

The last line says how the agent ended. ` + "`signal`" + ` names the signal that killed it. ` + "`unasked`" + ` says that the client had neither closed its input nor ended it.

    {"ms":1600,"from":"agent","end":{"exit_code":0}}

Secrets that the configuration, the environment or a stored login hold are ` + "`***`" + `, and so is everything that looks like a bearer token or an
API key. The work dir is ` + "`/work`" + `, the share dir ` + "`/share`" + `, the home ` + "`/home/user`" + `, the place where kimi is installed ` + "`/kimi`" + `, the directory of
temporary files ` + "`/tmp`" + `. Ids and times are unchanged.

## The recordings
`

const readmeUnprovoked = `
A test fails if some part of the protocol is in no recording of kimi-cli and not in this table.

## What cannot be provoked

| kind | name | why |
|---|---|---|
`
