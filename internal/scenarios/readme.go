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

Each file is one conversation with kimi-cli 1.51.0 (one of them with 1.52.0) or, where the name begins with ` + "`code-`" + `, with Kimi Code 2.1.0
behind this module's bridge, whose face of Wire it shows. ` + "`make fixtures`" + ` records them and writes this page. The code that drives them, ` + "`internal/scenarios`" + `, is the same that replays them in the tests, where
no kimi is needed: ` + "`clienttest.Replay`" + ` plays the agent's lines and checks that the client says what it said. The model is kimi's own
scripted one, or a server on loopback: nothing here describes the behaviour of a real model. To record kimi-cli 1.52.0 too, set
` + "`" + TombstoneKey + "`" + ` to its kimi. ` + "`testdata/acp`" + ` has old recordings of Kimi Code, as it was driven over ACP: they replay, and cannot be made any more.

## Format

A file is JSON lines, made by ` + "`Options.Record`" + `. The first is the header: the version of the format, and who the agent said it
was, which is empty when there was no handshake.

    {"fixture":1,"agent":{"name":"Kimi Code CLI","version":"1.51.0"},"wire":"1.10"}

Each further one is a record: milliseconds since the start, who wrote (` + "`client`" + ` or ` + "`agent`" + `), and the exact line without its end, whether
it is a frame of the protocol or not. Bytes that are not UTF-8 become U+FFFD.

    {"ms":1130,"from":"client","line":"{\"jsonrpc\":\"2.0\",\"method\":\"prompt\",…}"}
    {"ms":1180,"from":"agent","line":"{\"jsonrpc\":\"2.0\",\"method\":\"event\",…}"}

The last tells how the agent ended; ` + "`signal`" + ` names what killed it, and ` + "`unasked`" + ` says that the client had neither closed its input nor ended it.

    {"ms":1600,"from":"agent","end":{"exit_code":0}}

Secrets that the configuration, the environment or a stored login hold are ` + "`***`" + `, as is all that looks like a bearer token or an
API key. The work dir is ` + "`/work`" + `, the share dir ` + "`/share`" + `, the home ` + "`/home/user`" + `, the place where kimi is installed ` + "`/kimi`" + `, the directory of
temporary files ` + "`/tmp`" + `. Ids and times are as they were.

## The recordings
`

const readmeUnprovoked = `
A test fails if something of the protocol is in none of those of kimi-cli, unless it is in the following table.

## What cannot be provoked

| kind | name | why |
|---|---|---|
`
