package client_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// dirt is output between the texts a and b. The client must still deliver both texts.
var dirt = map[string]struct {
	raw  string
	want string // the message that is delivered for it, "" for none
}{
	"plain text":                {raw: "Downloading ripgrep…\n"},
	"blank lines":               {raw: "\n\n \n"},
	"text before JSON":          {raw: "debug: {\"jsonrpc\":\"2.0\",\"method\":\"event\"}\n"},
	"half a line":               {raw: `{"jsonrpc":"2.0","method":"event","params":{"type":"Cont` + "\n"},
	"two lines in one":          {raw: `{"jsonrpc":"2.0","method":"event"}{"jsonrpc":"2.0"}` + "\n"},
	"invalid UTF-8":             {raw: "\xff\xfe\xc3\x28\n"},
	"invalid UTF-8 in a string": {`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"` + "x\xffy" + `"}}}` + "\n", "x\ufffdy"},
	"NUL":                       {raw: "\x00\x00\x00\n"},
	"BOM":                       {raw: "\ufeff{}\n"},
	"CRLF":                      {`{"jsonrpc":"2.0","method":"event","params":{"type":"TurnEnd","payload":{}}}` + "\r\n", "TurnEnd"},
	"line separators":           {`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"` + "x\u2028\u0085y" + `"}}}` + "\n", "x\u2028\u0085y"},
	"empty object":              {raw: "{}\n"},
	"batch":                     {raw: "[{\"jsonrpc\":\"2.0\"}]\n"},
	"very deep":                 {raw: strings.Repeat("[", 100_000) + "\n"},
	"very deep event":           {raw: `{"jsonrpc":"2.0","method":"event","params":{"type":"New","payload":` + strings.Repeat("[", 100_000) + "}}\n"},
	"number as id":              {raw: `{"jsonrpc":"2.0","id":1,"result":{"status":"finished"}}` + "\n"},
	"number as id of a request": {raw: `{"jsonrpc":"2.0","id":7,"method":"request","params":{"type":"ApprovalRequest","payload":{"id":"7"}}}` + "\n"},
	"null as id":                {raw: `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Invalid JSON","data":null}}` + "\n"},
	"no id":                     {raw: `{"jsonrpc":"2.0","result":{"status":"finished"}}` + "\n"},
	"answer to nothing":         {raw: `{"jsonrpc":"2.0","id":"999","result":{"status":"finished"}}` + "\n"},
	"error about nothing":       {raw: `{"jsonrpc":"2.0","id":"999","error":{"code":-32000,"message":"busy"}}` + "\n"},
	"answer to the handshake":   {raw: `{"jsonrpc":"2.0","id":"1","result":{}}` + "\n"},
	"answer without a result":   {raw: `{"jsonrpc":"2.0","id":"2"}` + "\n"},
	"unknown event":             {`{"jsonrpc":"2.0","method":"event","params":{"type":"Surprise","payload":{"n":[1,2]}}}` + "\n", "Surprise"},
	"unknown event, no payload": {`{"jsonrpc":"2.0","method":"event","params":{"type":"Surprise"}}` + "\n", "Surprise"},
	"event without a type":      {raw: `{"jsonrpc":"2.0","method":"event","params":{"payload":{}}}` + "\n"},
	"event without params":      {raw: `{"jsonrpc":"2.0","method":"event"}` + "\n"},
	"unknown notification":      {raw: `{"jsonrpc":"2.0","method":"surprise","params":{}}` + "\n"},
	"wrong payload":             {`{"jsonrpc":"2.0","method":"event","params":{"type":"StepBegin","payload":{"n":"one"}}}` + "\n", "StepBegin"},
	"wrong part":                {`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":5}}}` + "\n", "ContentPart"},
	"part that is none":         {`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":[]}}` + "\n", "ContentPart"},
	"unknown part":              {`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"smell"}}}` + "\n", "ContentPart"},
	"wrong status":              {`{"jsonrpc":"2.0","method":"event","params":{"type":"StatusUpdate","payload":{"token_usage":"many"}}}` + "\n", "StatusUpdate"},
	"wrong event of a subagent": {`{"jsonrpc":"2.0","method":"event","params":{"type":"SubagentEvent","payload":{"event":5}}}` + "\n", "SubagentEvent"},
	"request without an id":     {`{"jsonrpc":"2.0","method":"request","params":{"type":"ApprovalRequest","payload":{"id":"r1"}}}` + "\n", "ApprovalRequest"},
}

var dirty = script("dirty", func(a *agent) {
	a.handshake()
	a.begin()
	a.text("a")
	a.raw(dirt[a.arg].raw)
	a.text("b")
	a.finish("finished")
	a.serve()
})

func TestDirt(t *testing.T) {
	for name, test := range dirt {
		t.Run(name, func(t *testing.T) {
			s := start(t, spawn(t, dirty, name))
			got, err := read(t, prompt(t, limited(t), s))
			if err != nil {
				t.Error(err)
			}
			want := []string{"TurnBegin", "StepBegin", "a", "b", "TurnEnd"}
			if test.want != "" {
				want = slices.Insert(want, 3, test.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			works(t, s)
		})
	}
}

// asked are requests. Each of them is answered, even if the client cannot understand it, because the agent would
// otherwise wait for ever. Each has the id "x1".
var asked = map[string]struct{ line, want string }{
	"unknown request":   {`"method":"request","id":"x1","params":{"type":"Surprise","payload":{}}`, "error -32601"},
	"unknown method":    {`"method":"surprise","id":"x1","params":{}`, "error -32601"},
	"wrong approval":    {`"method":"request","id":"x1","params":{"type":"ApprovalRequest","payload":{"id":5}}`, "error -32601"},
	"wrong tool call":   {`"method":"request","id":"x1","params":{"type":"ToolCallRequest","payload":{"id":5}}`, "error -32601"},
	"wrong hook":        {`"method":"request","id":"x1","params":{"type":"HookRequest","payload":{"id":"x1","input_data":5}}`, `"action":"block"`},
	"hook of nobody":    {`"method":"request","id":"x1","params":{"type":"HookRequest","payload":{"id":"x1","subscription_id":"?"}}`, `"action":"block"`},
	"tool of nobody":    {`"method":"request","id":"x1","params":{"type":"ToolCallRequest","payload":{"id":"x1","name":"?"}}`, `"is_error":true`},
	"approval":          {`"method":"request","id":"x1","params":{"type":"ApprovalRequest","payload":{"id":"y1"}}`, `{"request_id":"x1","response":"reject"}`},
	"approval, no body": {`"method":"request","id":"x1","params":{"type":"ApprovalRequest"}`, `{"request_id":"x1","response":"reject"}`},
	"question":          {`"method":"request","id":"x1","params":{"type":"QuestionRequest","payload":{"id":"x1"}}`, `{"request_id":"x1","answers":{}}`},
}

var asks = script("asks", func(a *agent) {
	a.handshake()
	a.begin()
	for range 2 { // the id is used twice, one request after the other
		a.line(`{"jsonrpc":"2.0",%s}`, asked[a.arg].line)
		a.text(a.answer("x1"))
	}
	a.line(`{"jsonrpc":"2.0",%s}`, asked[a.arg].line)
	a.line(`{"jsonrpc":"2.0",%s}`, asked[a.arg].line) // the id is used again while the first request waits
	a.text(a.answer("x1"), a.answer("x1"))
	a.finish("finished")
	a.serve()
})

func TestAsked(t *testing.T) {
	for name, test := range asked {
		t.Run(name, func(t *testing.T) {
			s := start(t, spawn(t, asks, name))
			turn := prompt(t, limited(t), s)
			if _, err := read(t, turn); err != nil {
				t.Error(err)
			}
			r, _ := turn.Result()
			if n := strings.Count(r.Text, test.want); n != 4 {
				t.Errorf("%q is in the answers %d times: %s", test.want, n, r.Text)
			}
			works(t, s)
		})
	}
}

// answers are lines that end a turn in an unusual way.
var answers = map[string]struct {
	lines string // %s is the id of the prompt
	want  string // the error, if any
}{
	"no TurnEnd":       {lines: `{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"finished"}}` + "\n"},
	"twice":            {lines: strings.Repeat(`{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"finished"}}`+"\n", 2)},
	"unknown status":   {`{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"exploded"}}` + "\n", `unknown status "exploded"`},
	"no status":        {`{"jsonrpc":"2.0","id":"%[1]s","result":{}}` + "\n", `unknown status ""`},
	"not an object":    {`{"jsonrpc":"2.0","id":"%[1]s","result":[]}` + "\n", "unexpected result"},
	"not an error":     {`{"jsonrpc":"2.0","id":"%[1]s","error":{"code":"five"}}` + "\n" + `{"jsonrpc":"2.0","id":"%[1]s","error":{"code":-32603,"message":"oops"}}` + "\n", "oops"},
	"error and result": {`{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"finished"},"error":{"code":-32003,"message":"503"}}` + "\n", client.ErrProvider.Error()},
	"null error":       {lines: `{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"finished"},"error":null}` + "\n"},
	"cancelled":        {`{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"cancelled"}}` + "\n", client.ErrCancelled.Error()},
	"max steps":        {`{"jsonrpc":"2.0","id":"%[1]s","result":{"status":"max_steps_reached","steps":7}}` + "\n", client.ErrMaxSteps.Error()},
}

var answersOddly = script("answers oddly", func(a *agent) {
	a.handshake()
	f := a.call(wireproto.MethodPrompt)
	a.text("a")
	a.raw(fmt.Sprintf(answers[a.arg].lines, f.ID))
	a.serve()
})

func TestAnswers(t *testing.T) {
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			s := start(t, spawn(t, answersOddly, name))
			turn := prompt(t, limited(t), s)
			got, err := read(t, turn)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error: %v", err)
			}
			if diff := cmp.Diff([]string{"a"}, got); diff != "" {
				t.Error(diff)
			}
			if name == "max steps" {
				if r, _ := turn.Result(); r.Steps != 7 || r.Status != wireproto.StatusMaxSteps {
					t.Errorf("Result: %+v", r)
				}
			}
			works(t, s)
		})
	}
}

var talksAfter = script("talks after the turn", func(a *agent) {
	a.handshake()
	a.begin()
	a.finish("finished")
	for i := range 100 {
		a.text(strconv.Itoa(i))
	}
	a.serve()
})

func TestEventsAfterTheTurn(t *testing.T) {
	opts := spawn(t, talksAfter, "")
	got := make(chan string, 100)
	opts.OnMessage = func(m wireproto.Message) { got <- brief(m) }
	s := start(t, opts)
	if all, err := read(t, prompt(t, limited(t), s)); err != nil || len(all) != 3 {
		t.Errorf("the turn: %q, %v", all, err)
	}
	within(t, limit, "OnMessage", func() {
		for i := range 100 {
			if m := <-got; m != strconv.Itoa(i) {
				t.Errorf("%q instead of %d", m, i)
			}
		}
	})
	works(t, s)
}

const manyChunks = 10_000

var chunks = script("chunks", func(a *agent) {
	a.handshake()
	a.begin()
	var all bytes.Buffer
	a.out = &all
	for i := range manyChunks {
		a.text(strconv.Itoa(i))
	}
	a.out = os.Stdout
	for n := 1; all.Len() > 0; n = n*7%8191 + 1 { // cut the output at many different places
		a.raw(string(all.Next(n)))
	}
	a.finish("finished")
	a.serve()
})

func TestManyChunks(t *testing.T) {
	s := start(t, spawn(t, chunks, ""))
	turn := prompt(t, limited(t), s)
	got, err := read(t, turn)
	if err != nil || len(got) != manyChunks+3 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	for i, text := range got[2 : manyChunks+2] {
		if text != strconv.Itoa(i) {
			t.Fatalf("%q instead of %d", text, i)
		}
	}
}

var longLine = script("long line", func(a *agent) {
	n, _ := strconv.Atoi(a.arg)
	a.handshake()
	a.begin()
	a.text("a")
	a.raw(`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"`)
	for piece := strings.Repeat("x", 1<<16); n > 0; n -= len(piece) {
		a.raw(piece[:min(n, len(piece))])
	}
	a.raw(`"}}}` + "\n")
	a.text("b")
	a.finish("finished")
	a.serve()
})

func TestLongLine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 90 MB")
	}
	const size = 90 << 20
	s := start(t, spawn(t, longLine, strconv.Itoa(size)))
	within(t, limit, "the turn", func() {
		var got []int
		for m, err := range prompt(t, limited(t), s).Messages() {
			if err != nil {
				t.Error(err)
			}
			if text, ok := m.(*wireproto.TextPart); ok {
				got = append(got, len(text.Text))
			}
		}
		if diff := cmp.Diff([]int{1, size, 1}, got); diff != "" {
			t.Error(diff)
		}
	})
	works(t, s)
}

func TestMaxLine(t *testing.T) {
	for _, size := range []int{1000, 100_000, 5 << 20} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			opts := spawn(t, longLine, strconv.Itoa(size))
			opts.MaxLine = 1000
			var log bytes.Buffer
			opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			s := start(t, opts)
			got, err := read(t, prompt(t, limited(t), s))
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"TurnBegin", "StepBegin", "a", "b", "TurnEnd"}, got); diff != "" {
				t.Error(diff)
			}
			works(t, s)
			shut(t, s)
			if !strings.Contains(log.String(), "line is too long") || log.Len() > 1000 {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}
