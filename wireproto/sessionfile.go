package wireproto

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math"
	"time"
)

// SessionRecord is one message of a session's wire.jsonl.
type SessionRecord struct {
	ProtocolVersion string    // the version of the file; "1.1" if it has no header
	Time            time.Time // when kimi wrote the message, to the microsecond
	Message         Message
}

// ReadSessionFile reads a wire.jsonl (kimi_cli/wire/file.py). It yields a record for each line after the header. For a
// line that cannot be read, it yields a [*LineError] and continues. An example is the incomplete last line that a
// killed kimi leaves. Any other error ends the loop. Blank lines are skipped.
func ReadSessionFile(r io.Reader) iter.Seq2[SessionRecord, error] {
	return func(yield func(SessionRecord, error) bool) {
		lines := NewLineReader(r)
		version := "1.1"
		for {
			line, err := lines.ReadLine()
			half := err == io.ErrUnexpectedEOF
			if err == io.EOF {
				return
			}
			if err != nil && !half {
				var long *LineError
				if !yield(SessionRecord{}, err) || !errors.As(err, &long) {
					return
				}
				continue
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			rec, header, err := decodeRecord(line)
			switch {
			case err != nil && half:
				err = lineError(line, io.ErrUnexpectedEOF)
			case err != nil:
				err = lineError(line, err)
			case header != "":
				version = header
				continue
			default:
				rec.ProtocolVersion = version
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// decodeRecord reads a line. It returns a record, or the protocol version if the line is a header.
func decodeRecord(line []byte) (rec SessionRecord, header string, err error) {
	var p struct {
		Version   string          `json:"protocol_version"`
		Timestamp float64         `json:"timestamp"`
		Message   json.RawMessage `json:"message"`
	}
	if json.Unmarshal(line, &p) != nil {
		return rec, "", errRecord
	}
	if p.Message == nil && p.Version != "" {
		return rec, p.Version, nil
	}
	m, err := decodeEnvelope(p.Message, 0)
	if err != nil {
		return rec, "", err
	}
	return SessionRecord{Time: time.UnixMicro(int64(math.Round(p.Timestamp * 1e6))), Message: m}, "", nil
}

var errRecord = errors.New("wireproto: not a line of a session file")
