package wireproto_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kimi-go/kimi-go/wireproto"
)

// The decoder reports a line that is not a frame, and then reads the next line.
func ExampleDecoder() {
	agent := strings.NewReader(`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"Hello!"}}}
Some library has printed this.
{"jsonrpc":"2.0","id":"1","result":{"status":"finished"}}
`)
	dec := wireproto.NewDecoder(agent)
	for {
		frame, err := dec.Decode()
		var lineErr *wireproto.LineError
		switch {
		case err == io.EOF:
			return
		case errors.As(err, &lineErr):
			fmt.Println("skipped:", lineErr.Preview)
			continue
		case err != nil:
			fmt.Println(err)
			return
		}
		switch m := frame.Message.(type) {
		case *wireproto.TextPart:
			fmt.Println("text:", m.Text)
		case nil:
			fmt.Printf("answer to %s: %s\n", frame.ID, frame.Result)
		}
	}
	// Output:
	// text: Hello!
	// skipped: Some library has printed this.
	// answer to 1: {"status":"finished"}
}

func ExampleEncoder() {
	params, err := json.Marshal(wireproto.PromptParams{UserInput: wireproto.Content{Text: "Hello"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	enc := wireproto.NewEncoder(os.Stdout)
	if err := enc.Encode(&wireproto.Frame{ID: "1", Method: wireproto.MethodPrompt, Params: params}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"jsonrpc":"2.0","method":"prompt","id":"1","params":{"user_input":"Hello"}}
}

func ExampleUnmarshalMessage() {
	for _, data := range []string{
		`{"type":"StatusUpdate","payload":{"context_usage":0.25,"plan_mode":null}}`,
		`{"type":"Telepathy","payload":{"to":"you"}}`,
	} {
		msg, err := wireproto.UnmarshalMessage([]byte(data))
		if err != nil {
			fmt.Println(err)
			return
		}
		switch m := msg.(type) {
		case *wireproto.StatusUpdate:
			fmt.Println("context:", *m.ContextUsage)
			fmt.Println("plan mode changed:", m.PlanMode != nil)
		case *wireproto.UnknownMessage:
			fmt.Println("unknown:", m.Type, string(m.Payload))
		}
	}
	// Output:
	// context: 0.25
	// plan mode changed: false
	// unknown: Telepathy {"to":"you"}
}

func ExampleReadSessionFile() {
	file := strings.NewReader(`{"type": "metadata", "protocol_version": "1.10"}
{"timestamp": 1795499524.84, "message": {"type": "TurnBegin", "payload": {"user_input": "hi"}}}
{"timestamp": 1795499525.1, "mess`)
	for rec, err := range wireproto.ReadSessionFile(file) {
		if err != nil {
			fmt.Println("skipped:", err)
			continue
		}
		if m, ok := rec.Message.(*wireproto.TurnBegin); ok {
			fmt.Println(rec.Time.UTC(), m.UserInput)
		}
	}
	// Output:
	// 2026-11-24 05:52:04.84 +0000 UTC hi
	// skipped: unexpected EOF: line of 33 bytes: "{\"timestamp\": 1795499525.1, \"mess"
}

func ExampleParseVersion() {
	old, err := wireproto.ParseVersion("1.9")
	if err != nil {
		fmt.Println(err)
		return
	}
	current, err := wireproto.ParseVersion(wireproto.ProtocolVersion)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(current, current.Compare(old) > 0)
	// Output:
	// 1.10 true
}
