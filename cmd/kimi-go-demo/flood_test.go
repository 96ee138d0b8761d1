package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/kimi-go/kimi-go/wireproto"
)

const (
	floodRate    = 20_000 // parts a second
	floodSeconds = 4
)

// flood is a kimi that writes Markdown in many small parts, at the rate of floodRate.
func flood() {
	dec, enc := wireproto.NewDecoder(os.Stdin), wireproto.NewEncoder(os.Stdout)
	words := []string{"word ", "and **bold** ", "`code` ", "世界 ", "more. "}
	ends := []string{"\n", "\n\n", "\n\n- an item\n- ", "\n\n```go\nfunc f() int { return 1 }\n```\n\n", "\n\n|a|b|\n|-|-|\n|1|2|\n\n"}
	const ticks = 50 // a second
	var chunk bytes.Buffer
	parts := wireproto.NewEncoder(&chunk)
	for i := range floodRate / ticks {
		text := words[i%len(words)]
		if i%19 == 18 {
			text = ends[i/19%len(ends)]
		}
		parts.Encode(&wireproto.Frame{Method: wireproto.MethodEvent, Message: &wireproto.TextPart{Text: text}})
	}
	for {
		f, err := dec.Decode()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(err)
		case f.Method == wireproto.MethodInitialize:
			enc.Encode(&wireproto.Frame{ID: f.ID, Result: json.RawMessage(`{"protocol_version":"1.10","server":{"name":"flood","version":"0"},"slash_commands":[]}`)})
		case f.Method == wireproto.MethodPrompt:
			tick := time.NewTicker(time.Second / ticks)
			for range floodSeconds * ticks {
				<-tick.C
				os.Stdout.Write(chunk.Bytes())
			}
			enc.Encode(&wireproto.Frame{ID: f.ID, Result: json.RawMessage(`{"status":"finished"}`)})
		}
	}
}
