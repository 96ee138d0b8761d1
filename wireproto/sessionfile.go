package wireproto

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"
)

// SessionRecord is one message of a session's wire.jsonl.
type SessionRecord struct {
	ProtocolVersion string // of the file; "1.1" when it has no header
	Time            time.Time
	Message         Message
}

// ReadSessionFile reads a wire.jsonl (kimi_cli/wire/file.py), a record for each line behind
// its header. A line that cannot be read gives a [*LineError], as does the half line that a
// killed kimi leaves at the end, and reading goes on; any other error ends it.
func ReadSessionFile(r io.Reader) iter.Seq2[SessionRecord, error] {
	return func(yield func(SessionRecord, error) bool) {
		lines := NewLineReader(r)
		version := "1.1"
		for {
			line, err := lines.ReadLine()
			if err == io.EOF {
				return
			}
			var long *LineError
			switch {
			case errors.As(err, &long):
				if !yield(SessionRecord{}, err) {
					return
				}
				continue
			case err != nil && err != io.ErrUnexpectedEOF:
				yield(SessionRecord{}, err)
				return
			case len(line) == 0:
				continue
			}
			rec, header, lineErr := decodeRecord(line)
			if header != "" {
				version = header
				continue
			}
			rec.ProtocolVersion = version
			if lineErr != nil {
				lineErr = lineError(line, lineErr)
			}
			if !yield(rec, lineErr) {
				return
			}
		}
	}
}

func decodeRecord(line []byte) (rec SessionRecord, header string, err error) {
	var p struct {
		Type      string          `json:"type"`
		Version   string          `json:"protocol_version"`
		Timestamp float64         `json:"timestamp"`
		Message   json.RawMessage `json:"message"`
	}
	if err := json.Unmarshal(line, &p); err != nil {
		return rec, "", fmt.Errorf("wireproto: session file: %w", err)
	}
	if p.Type == "metadata" && p.Message == nil {
		return rec, p.Version, nil
	}
	rec.Message, err = decodeEnvelope(p.Message)
	sec, frac := math.Modf(p.Timestamp)
	rec.Time = time.Unix(int64(sec), int64(frac*1e9))
	return rec, "", err
}
