package wireproto

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxLine is the length of the longest line that kimi-cli reads, in bytes: 100 MiB. A longer line ends kimi-cli. It is
// also the default limit for lines from the agent.
const MaxLine = 100 << 20

// Frame is one line of the protocol. A call has a Method and an ID. An event has a Method but no ID. The answer to a
// call has an ID and either a Result or an Error, but no Method.
type Frame struct {
	ID      string          // "" in an event, and in an error about a line that the agent could not read
	Method  string          // "" in an answer
	Message Message         // only with MethodEvent and MethodRequest
	Params  json.RawMessage // only with other methods
	Result  json.RawMessage
	Error   *RPCError
}

// LineError says that a line is not a frame. The next call of Decode reads the next line.
type LineError struct {
	Preview string // the start of the line, at most 160 bytes
	Size    int64  // the length of the line in bytes
	Err     error  // the cause, which never contains text of the line
}

// Error returns the cause, the size of the line and its first bytes.
func (e *LineError) Error() string {
	return fmt.Sprintf("%v: line of %d bytes: %s", e.Err, e.Size, preview(e.Preview))
}

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// ErrLineTooLong says that a line is longer than the limit. ReadLine and Decode return it inside a [LineError]. Encode
// returns it for a line that kimi-cli could not read.
var ErrLineTooLong = errors.New("wireproto: line is too long")

// LineReader reads lines that end with the byte 0x0A. No other character ends a line: a line may contain U+2028 and
// U+0085.
type LineReader struct {
	// Limit is the length of the longest line that is returned, in bytes without the line end. Default: [MaxLine]. A
	// longer line is skipped and reported.
	Limit int

	r    *bufio.Reader
	long []byte // a line that is longer than the buffer of r
}

// NewLineReader returns a reader for the lines of r.
func NewLineReader(r io.Reader) *LineReader {
	return &LineReader{r: bufio.NewReaderSize(r, 32<<10)}
}

// ReadLine returns the next line without its end. The line is valid until the next call. For a line that is longer than
// the limit, the error is a [*LineError], and ReadLine may be called again. Text after the last line end is returned
// together with [io.ErrUnexpectedEOF], because that line is incomplete. At the end, ReadLine returns [io.EOF].
func (l *LineReader) ReadLine() ([]byte, error) {
	limit := l.Limit
	if limit <= 0 {
		limit = MaxLine
	}
	if cap(l.long) > 1<<20 {
		l.long = nil // give back the memory of a huge line
	}
	l.long = l.long[:0]
	var size int // how many bytes of the line were read, without its end
	for {
		chunk, err := l.r.ReadSlice('\n')
		if err == nil {
			chunk = chunk[:len(chunk)-1]
		}
		size += len(chunk)
		switch {
		case err == nil || err == io.EOF && size > 0: // the last piece of the line
		case err == bufio.ErrBufferFull:
			if size > limit { // keep only what the error contains
				l.long = bytes.Clone(l.long[:min(len(l.long), maxPreview)])
				chunk = chunk[:min(len(chunk), maxPreview)]
			}
			l.long = append(l.long, chunk...)
			continue
		default:
			return nil, err
		}
		if len(l.long) > 0 {
			l.long = append(l.long, chunk...)
			chunk = l.long
		}
		if size > limit {
			return nil, &LineError{string(chunk[:min(len(chunk), maxPreview)]), int64(size), ErrLineTooLong}
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return chunk, err
	}
}

// maxPreview is how many bytes of a line a [LineError] contains at most.
const maxPreview = 160

// Buffered reports whether the next line is already in memory, so that ReadLine returns it without reading.
func (l *LineReader) Buffered() bool {
	head, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(head, '\n') >= 0
}

// Decoder reads frames.
type Decoder struct {
	lines *LineReader
	size  int
}

// NewDecoder returns a decoder for the lines of r.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{lines: NewLineReader(r)} }

// SetMaxLine sets the length of the longest line that Decode accepts, in bytes without the line end. Default:
// [MaxLine].
func (d *Decoder) SetMaxLine(n int) { d.lines.Limit = n }

// Buffered reports whether Decode would return without reading.
func (d *Decoder) Buffered() bool { return d.lines.Buffered() }

// Size returns the length of the last line in bytes. It is 0 if the line was longer than the limit.
func (d *Decoder) Size() int { return d.size }

// Decode returns the next frame. For a line that is not a frame, the error is a [*LineError], and Decode may be called
// again. At the end it returns [io.EOF].
func (d *Decoder) Decode() (*Frame, error) {
	line, err := d.lines.ReadLine()
	d.size = len(line)
	if err == io.ErrUnexpectedEOF {
		if f, err := DecodeLine(line); err == nil {
			return f, nil // only the line end is missing
		}
		return nil, lineError(line, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	return DecodeLine(line)
}

// DecodeLine reads one line without its line end. Its error is a [*LineError].
func DecodeLine(line []byte) (*Frame, error) {
	f := new(Frame)
	if err := f.decode(line); err != nil {
		return nil, lineError(line, err)
	}
	return f, nil
}

func (f *Frame) decode(line []byte) error {
	var id, method, params, result, rpcErr []byte
	err := eachMember(line, func(key, value []byte) {
		switch string(key) {
		case "id":
			id = value
		case "method":
			method = value
		case "params":
			params = value
		case "result":
			result = value
		case "error":
			rpcErr = value
		}
	})
	if err != nil {
		return err
	}
	if id != nil && string(id) != "null" {
		if f.ID, err = decodeString(id); err != nil {
			return errID
		}
	}
	switch string(method) {
	case `"event"`:
		f.Method = MethodEvent
	case `"request"`:
		f.Method = MethodRequest
	case "", "null":
		switch {
		case rpcErr != nil && string(rpcErr) != "null":
			f.Error, err = decodeError(rpcErr)
		case result != nil:
			f.Result, err = cloneValid(result)
		default:
			err = errNoFrame
		}
		return err
	default:
		if f.Method, err = decodeString(method); err != nil || f.Method == "" {
			return errNoFrame
		}
	}
	switch {
	case f.Method == MethodEvent || f.Method == MethodRequest:
		f.Message, err = decodeEnvelope(params, 0)
	case params != nil:
		f.Params, err = cloneValid(params)
	}
	return err
}

var (
	errID      = errors.New("wireproto: id is not a string")
	errNoFrame = errors.New("wireproto: neither a call nor an answer")
	errError   = errors.New("wireproto: error is not an error object")
)

func decodeError(raw []byte) (*RPCError, error) {
	var e RPCError
	if json.Unmarshal(raw, &e) != nil {
		return nil, errError
	}
	if string(e.Data) == "null" {
		e.Data = nil
	}
	return &e, nil
}

func cloneValid(raw []byte) (json.RawMessage, error) {
	if !json.Valid(raw) {
		return nil, errSyntax
	}
	return bytes.Clone(raw), nil
}

func lineError(line []byte, err error) error {
	return &LineError{string(line[:min(len(line), maxPreview)]), int64(len(line)), err}
}

// Encoder writes frames. It is not safe for concurrent use.
type Encoder struct {
	w     io.Writer
	buf   bytes.Buffer
	limit int // the longest line, in bytes without the line end
}

// NewEncoder returns an encoder that writes to w. Each call of w.Write gets one whole line.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w, limit: MaxLine} }

// Encode writes one frame. It refuses a frame that would end kimi-cli or that kimi-cli would not answer: a line longer
// than [MaxLine] ([ErrLineTooLong]), and a call without an id. It replaces unpaired surrogates and invalid UTF-8, which
// only raw JSON can contain, by U+FFFD.
func (e *Encoder) Encode(f *Frame) error {
	e.buf.Reset()
	e.buf.Grow(len(f.Params) + len(f.Result) + 64)
	defer func() {
		if e.buf.Cap() > 1<<20 {
			e.buf = bytes.Buffer{} // give back the memory of a huge line
		}
	}()
	if err := appendFrame(&e.buf, f); err != nil {
		return err
	}
	e.buf.WriteByte('\n')
	line := pairSurrogates(e.buf.Bytes())
	if !utf8.Valid(line) {
		line = appendValid(nil, line)
	}
	if n := len(line) - 1; n > e.limit {
		return fmt.Errorf("%w: %d bytes; kimi reads at most %d", ErrLineTooLong, n, e.limit)
	}
	_, err := e.w.Write(line)
	return err
}

func appendFrame(b *bytes.Buffer, f *Frame) error {
	b.WriteString(`{"jsonrpc":"2.0"`)
	member := func(name string, v any) error {
		b.WriteString(`,"` + name + `":`)
		return encodeJSON(b, v)
	}
	var err error
	switch {
	case f.Method == MethodEvent:
		b.WriteString(`,"method":"event"`)
	case f.Method != "":
		if f.ID == "" {
			return fmt.Errorf("wireproto: %s needs an id: without one, it is never answered", preview(f.Method))
		}
		err = member("method", f.Method)
	}
	switch {
	case err != nil:
	case f.ID != "":
		err = member("id", f.ID)
	case f.Method == "" && f.Error != nil:
		b.WriteString(`,"id":null`)
	case f.Method == "":
		err = errors.New("wireproto: an answer needs the id of its call")
	}
	switch {
	case err != nil:
	case f.Method == MethodEvent || f.Method == MethodRequest:
		if isNil(f.Message) {
			return fmt.Errorf("wireproto: %s without a message", f.Method)
		}
		if b.WriteString(`,"params":`); !appendPart(b, f.Message) {
			err = encodeJSON(b, f.Message)
		}
	case f.Method != "" && f.Params != nil:
		err = member("params", f.Params)
	case f.Method != "":
	case f.Error != nil:
		err = member("error", f.Error)
	case f.Result != nil:
		err = member("result", f.Result)
	default:
		err = errors.New("wireproto: an answer needs a result or an error")
	}
	b.WriteByte('}')
	return err
}

// pairSurrogates replaces in place each escape from \uD800 to \uDFFF that has no partner. After one such escape,
// kimi-cli would never answer again.
func pairSurrogates(line []byte) []byte {
	for i := 0; ; {
		next := bytes.IndexByte(line[i:], '\\')
		if next < 0 {
			return line
		}
		i += next
		r, ok := hex4(line[i:])
		switch {
		case !ok:
			i += 2 // the escaped byte may be a backslash
		case r < 0xD800 || r > 0xDFFF:
			i += 6
		default:
			if low, ok := hex4(line[i+6:]); ok && r < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF {
				i += 12
				continue
			}
			copy(line[i:], `\ufffd`)
			i += 6
		}
	}
}
