package wireproto

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// read is the outcome of one call of ReadLine: a line or an error.
type read struct {
	Line string
	Size int64 // the length of a line that was too long
	Half bool
}

// readAll reads all lines.
func readAll(t testing.TB, l *LineReader) (reads []read) {
	t.Helper()
	for {
		line, err := l.ReadLine()
		var long *LineError
		switch {
		case err == io.EOF:
			return reads
		case errors.As(err, &long):
			if !errors.Is(err, ErrLineTooLong) {
				t.Fatalf("the cause is not ErrLineTooLong: %v", err)
			}
			reads = append(reads, read{Line: long.Preview, Size: long.Size})
		case err == nil || err == io.ErrUnexpectedEOF:
			reads = append(reads, read{Line: string(line), Half: err != nil})
		default:
			t.Fatal(err)
		}
	}
}

// splitLines returns what readAll should return.
func splitLines(data string, limit int) (reads []read) {
	lines := strings.Split(data, "\n")
	for i, line := range lines {
		half := i == len(lines)-1
		switch {
		case half && line == "":
		case len(line) > limit:
			reads = append(reads, read{Line: line[:min(len(line), maxPreview)], Size: int64(len(line))})
		default:
			reads = append(reads, read{Line: line, Half: half})
		}
	}
	return reads
}

func TestReadLine(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, in string
		limit    int
	}{
		{"nothing", "", 0},
		{"blank lines", "\n\na\n\n", 0},
		{"only 0x0A ends a line", "a\u2028b\u2029c\u0085d\re\x00f\vg\fh\r\ni\n", 0},
		{"half line", "a\nhalf", 0},
		{"half line after a carriage return", "a\r", 0},
		{"byte order mark", "\ufeffa\n", 0},
		{"the size of the buffer", x(32<<10) + "\n" + x(32<<10-1) + "\n" + x(32<<10+1) + "\nend\n", 0},
		{"64 KiB and one", x(64<<10+1) + "\nend\n", 0},
		{"5 MB", x(5_000_000) + "\nend\n" + x(5_000_000), 0},
		{"limit", x(10) + "\n" + x(9) + "\n" + x(10), 10},
		{"over the limit", x(11) + "\na\n" + x(200) + "\nb\n", 10},
		{"half line over the limit", "a\n" + x(11), 10},
		{"limit beyond the buffer", x(100_000) + "\n" + x(100_001) + "\nend\n" + x(100_001), 100_000},
		{"far over the limit", x(5_000_000) + "\nend\n", 1000},
		{"far over the limit at the end", "a\n" + x(5_000_000), 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLineReader(strings.NewReader(tt.in))
			l.Limit = tt.limit
			if tt.limit == 0 {
				tt.limit = MaxLine
			}
			if diff := cmp.Diff(splitLines(tt.in, tt.limit), readAll(t, l)); diff != "" {
				t.Errorf("(-want +got):\n%.500s", diff)
			}
		})
	}
}

// ReadLine does not keep a line that is longer than the limit in memory.
func TestReadLineHoldsLittle(t *testing.T) {
	l := NewLineReader(&endless{5_000_000})
	l.Limit = 100_000
	if _, err := l.ReadLine(); !errors.Is(err, ErrLineTooLong) {
		t.Fatal(err)
	}
	if cap(l.long) > 2*l.Limit {
		t.Errorf("%d bytes are held", cap(l.long))
	}
}

// endless is a reader that yields n bytes 'x'.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.n)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.n -= n
	return n, nil
}

// ReadLine reads a line of the greatest length that kimi-cli accepts. It reports and skips a line of one byte more.
func TestReadLineOf100MiB(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 200 MiB")
	}
	l := NewLineReader(io.MultiReader(
		&endless{MaxLine}, strings.NewReader("\n"),
		&endless{MaxLine + 1}, strings.NewReader("\nend\n"),
	))
	line, err := l.ReadLine()
	if err != nil || len(line) != MaxLine {
		t.Fatalf("line of %d bytes, %v", len(line), err)
	}
	var long *LineError
	if _, err = l.ReadLine(); !errors.As(err, &long) || long.Size != MaxLine+1 || len(long.Preview) != maxPreview {
		t.Fatalf("got %v", err)
	}
	if line, err = l.ReadLine(); err != nil || string(line) != "end" {
		t.Fatalf("the next line is %q, %v", line, err)
	}
	if cap(l.long) > 1<<20 {
		t.Errorf("the reader keeps %d bytes", cap(l.long))
	}
}

// ReadLine returns an error of its reader, without the incomplete line before it.
func TestReadLineError(t *testing.T) {
	broken := errors.New("broken")
	l := NewLineReader(io.MultiReader(strings.NewReader("a\nhal"), iotest.ErrReader(broken)))
	if line, err := l.ReadLine(); err != nil || string(line) != "a" {
		t.Fatalf("got %q, %v", line, err)
	}
	if line, err := l.ReadLine(); err != broken || line != nil {
		t.Fatalf("got %q, %v", line, err)
	}
}

func TestBuffered(t *testing.T) {
	pr, pw := io.Pipe()
	d := NewDecoder(pr)
	if d.Buffered() {
		t.Error("something is buffered before the first read")
	}
	go func() {
		io.WriteString(pw, `{"id":"1","result":{}}`+"\n"+`{"id":"2","result":{}}`+"\n"+`{"id":`)
		pw.Close()
	}()
	for i, want := range []bool{true, false} {
		if _, err := d.Decode(); err != nil {
			t.Fatal(err)
		}
		if d.Buffered() != want {
			t.Errorf("after line %d: Buffered is %t", i, !want)
		}
		if d.Size() != len(`{"id":"1","result":{}}`) {
			t.Errorf("after line %d: Size is %d", i, d.Size())
		}
	}
	if _, err := d.Decode(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the half line gives %v", err)
	}
	if _, err := d.Decode(); err != io.EOF {
		t.Errorf("the end gives %v", err)
	}
}

func TestDecodeLine(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	tests := []struct {
		line string
		want *Frame
	}{
		{`{"jsonrpc":"2.0","method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"a"}}}`,
			&Frame{Method: MethodEvent, Message: &TextPart{"a"}}},
		{`{"jsonrpc":"2.0","method":"request","id":"e1","params":{"type":"ToolCallRequest","payload":{"id":"e1","name":"ext","arguments":null}}}`,
			&Frame{ID: "e1", Method: MethodRequest, Message: &ToolCallRequest{ID: "e1", Name: "ext"}}},
		{`{"jsonrpc":"2.0","id":"p","result":{"status":"finished"}}`, &Frame{ID: "p", Result: raw(`{"status":"finished"}`)}},
		{`{"id":"p","result":null}`, &Frame{ID: "p", Result: raw(`null`)}},
		{`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Invalid JSON format","data":null}}`,
			&Frame{Error: &RPCError{Code: CodeParseError, Message: "Invalid JSON format"}}},
		{`{"id":"p","error":{"code":-1,"message":"m","data":{"x":1}},"result":{}}`,
			&Frame{ID: "p", Error: &RPCError{Code: -1, Message: "m", Data: raw(`{"x":1}`)}}},
		{`{"id":"p","error":null,"result":{}}`, &Frame{ID: "p", Result: raw(`{}`)}},
		{`{"id":"1","method":"prompt","params":{"user_input":"hi"}}`, &Frame{ID: "1", Method: "prompt", Params: raw(`{"user_input":"hi"}`)}},
		{`{"id":"1","method":"cancel"}`, &Frame{ID: "1", Method: "cancel"}},
		{`{"method":"cancel","params":null}`, &Frame{Method: "cancel", Params: raw(`null`)}},
		{`{"\u0069d":"lost","id":"\u0031\ud83d\ude00","method":"\u0065vent","params":{"type":"TurnEnd","payload":{}}}`,
			&Frame{ID: "1😀", Method: MethodEvent, Message: &TurnEnd{}}},
		{" \t{ \"params\" : { \"payload\" : { } , \"type\" : \"TurnEnd\" } ,\r\"method\":\"event\" } \r", &Frame{Method: MethodEvent, Message: &TurnEnd{}}},
		{`{"method":"event","extra":[{"}]":"]}"},{}],"params":{"x":{"type":"No"},"type":"TurnEnd","payload":{}}}`,
			&Frame{Method: MethodEvent, Message: &TurnEnd{}}},
		{`{"method":"event","params":{"type":"New","payload":1}}`, &Frame{Method: MethodEvent, Message: &UnknownMessage{"New", raw(`1`)}}},
		{"{\"id\":\"a\u2028b\u2029c\u0085\x7f\",\"result\":0}", &Frame{ID: "a\u2028b\u2029c\u0085\x7f", Result: raw(`0`)}},
		{`{"id":"","result":0}`, &Frame{Result: raw(`0`)}},
	}
	for _, tt := range tests {
		got, err := DecodeLine([]byte(tt.line))
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
	}
}

// A frame keeps nothing of its line, because the reader uses the memory of the line again.
func TestFrameHoldsNothingOfItsLine(t *testing.T) {
	lines := append(jsonLines(t, "agent.jsonl"),
		`{"id":"1","method":"prompt","params":{"user_input":"hi"}}`,
		`{"id":"1","error":{"code":1,"message":"m","data":{"x":"y"}}}`,
		`{"method":"event","params":{"type":"New","payload":{"x":"y"}}}`,
		`{"method":"event","params":{"type":"ContentPart","payload":{"type":"smell","x":"y"}}}`,
		`{"method":"event","params":{"type":"TurnBegin","payload":{"user_input":[{"type":"smell","x":"y"}]}}}`,
	)
	for _, line := range lines {
		want, err := DecodeLine([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		buf := []byte(line)
		got, err := DecodeLine(buf)
		if err != nil {
			t.Fatal(err)
		}
		for i := range buf {
			buf[i] = '!'
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s changed with its line (-want +got):\n%s", line, diff)
		}
	}
}

func TestNotAFrame(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"blank", "", "not a JSON object"},
		{"spaces", "  \r", "not a JSON object"},
		{"plain text", `SCRIPTED_ECHO TURN 1: "text: a"`, "not a JSON object"},
		{"the tombstone", "kimi-cli is no longer maintained. Please use the new Kimi Code CLI.", "not a JSON object"},
		{"byte order mark", "\ufeff" + `{"id":"1","result":{}}`, "not a JSON object"},
		{"batch", `[{"id":"1","result":{}}]`, "not a JSON object"},
		{"half", `{"id":"1","result":{`, "not a JSON object"},
		{"two objects", `{"id":"1","result":{}}{"id":"2","result":{}}`, "not a JSON object"},
		{"comma at the end", `{"id":"1","result":{},}`, "not a JSON object"},
		{"no name", `{:1}`, "not a JSON object"},
		{"empty", `{}`, "neither a call nor an answer"},
		{"version only", `{"jsonrpc":"2.0","id":"1"}`, "neither a call nor an answer"},
		{"null error and no result", `{"id":"1","error":null}`, "neither a call nor an answer"},
		{"integer id", `{"id":1,"result":{}}`, "id is not a string"},
		{"object id", `{"id":{},"result":{}}`, "id is not a string"},
		{"control character in the id", "{\"id\":\"a\x01\",\"result\":{}}", "id is not a string"},
		{"method is a number", `{"id":"1","method":5}`, "neither a call nor an answer"},
		{"method is empty", `{"id":"1","method":"","result":{}}`, "neither a call nor an answer"},
		{"event without params", `{"method":"event"}`, "not a message"},
		{"event of text", `{"method":"event","params":"x"}`, "not a message"},
		{"event without type", `{"method":"event","params":{"payload":{}}}`, "not a message"},
		{"control character in the text", "{\"method\":\"event\",\"params\":{\"type\":\"ContentPart\",\"payload\":{\"type\":\"text\",\"text\":\"" + strings.Repeat("long ", 9) + "\t\"}}}", "payload is not valid JSON"},
		{"bad escape in the text", `{"method":"event","params":{"type":"ContentPart","payload":{"type":"text","text":"\x"}}}`, "payload is not valid JSON"},
		{"brackets that do not match", `{"method":"event","params":{"type":"New","payload":[}}}`, "payload is not valid JSON"},
		{"result of garbage", `{"id":"1","result":{"a":tru}}`, "not valid JSON"},
		{"result of a bad number", `{"id":"1","result":-}`, "not valid JSON"},
		{"params of garbage", `{"id":"1","method":"prompt","params":[1,,2]}`, "not valid JSON"},
		{"error is text", `{"id":"1","error":"bad"}`, "error is not an error object"},
		{"error code is huge", `{"id":"1","error":{"code":` + strings.Repeat("9", 5000) + `}}`, "error is not an error object"},
		{"deep garbage", `{"id":"1","result":` + strings.Repeat(`[{"a":`, 30_000), "not a JSON object"},
		{"deep", `{"id":"1","result":` + strings.Repeat(`[`, 30_000) + strings.Repeat(`]`, 30_000) + `}`, "not valid JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := DecodeLine([]byte(tt.line))
			var lineErr *LineError
			if !errors.As(err, &lineErr) {
				t.Fatalf("got %+v, %v", f, err)
			}
			if got := lineErr.Unwrap().Error(); !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "wireproto: ") {
				t.Errorf("cause is %q, want %q", got, tt.want)
			}
			if lineErr.Size != int64(len(tt.line)) || !strings.HasPrefix(tt.line, lineErr.Preview) {
				t.Errorf("Size %d and Preview %q of %d bytes", lineErr.Size, lineErr.Preview, len(tt.line))
			}
		})
	}
}

// After each line that is not a frame, the decoder reads the next one.
func TestDecoderLivesOn(t *testing.T) {
	const good = `{"id":"1","result":{}}`
	bad := []string{"", "text", "\ufeff" + good, "[" + good + "]", `{"id":1,"result":{}}`, strings.Repeat("x", 101), "{" + strings.Repeat("x", 5_000_000)}
	var in strings.Builder
	for _, line := range bad {
		in.WriteString(line + "\n" + good + "\n")
	}
	in.WriteString(good) // this line has no line end
	d := NewDecoder(strings.NewReader(in.String()))
	d.SetMaxLine(100)
	for i, line := range bad {
		var lineErr *LineError
		if _, err := d.Decode(); !errors.As(err, &lineErr) || lineErr.Size != int64(len(line)) {
			t.Errorf("line %d gives %v", i, err)
		} else if errors.Is(err, ErrLineTooLong) != (len(line) > 100) {
			t.Errorf("line %d of %d bytes gives %v", i, len(line), err)
		}
		if f, err := d.Decode(); err != nil || f.ID != "1" {
			t.Errorf("the line after line %d gives %+v, %v", i, f, err)
		}
	}
	if f, err := d.Decode(); err != nil || f.ID != "1" {
		t.Errorf("the last line gives %+v, %v", f, err)
	}
	for range 2 {
		if _, err := d.Decode(); err != io.EOF {
			t.Errorf("the end gives %v", err)
		}
	}
}

// The text of an error quotes the input, and contains at most 200 bytes of it.
func TestErrorsAreShort(t *testing.T) {
	for _, c := range []string{"Z", "\x00", "月", "\U000e0001", "\xff", `"`} {
		long := strings.Repeat(c, 5000)
		quoted, err := json.Marshal(long)
		if err != nil {
			t.Fatal(err)
		}
		var errs []error
		for _, line := range []string{
			long,
			fmt.Sprintf(`{"id":%s}`, quoted),
			fmt.Sprintf(`{"method":%s}`, quoted),
			fmt.Sprintf(`{"method":"event","params":%s}`, quoted),
			fmt.Sprintf(`{"method":"event","params":{"type":%s,"payload":[}}}`, quoted),
		} {
			f, err := DecodeLine([]byte(line))
			if err == nil {
				err = NewEncoder(io.Discard).Encode(f) // a call without an id
			}
			errs = append(errs, err)
		}
		_, err = UnmarshalMessage([]byte(long))
		errs = append(errs, err)
		_, err = UnmarshalMessage(quoted)
		errs = append(errs, err)
		_, err = ParseVersion(long)
		errs = append(errs, err, Content{Parts: []ContentPart{&UnknownPart{Type: long}}}.Sendable())
		errs = append(errs, json.Unmarshal([]byte("["+string(quoted)+"]"), new(Content)))
		errs = append(errs, json.Unmarshal([]byte("["+string(quoted)+"]"), new(DisplayBlocks)))
		errs = append(errs, &RPCError{Method: "prompt", Code: -1, Message: long})
		for i, err := range errs {
			if err == nil {
				t.Fatalf("%q: error %d is nil", c, i)
			}
			if len(err.Error()) > 320 || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: error %d has %d bytes: %.400s", c, i, len(err.Error()), err)
			}
			if n := strings.Count(err.Error(), c); n*len(c) > 210 { // the rest of the text may contain the same characters
				t.Errorf("%q: error %d holds it %d times", c, i, n)
			}
		}
	}
}
