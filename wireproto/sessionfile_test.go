package wireproto

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// In the session file of a real run, every line decodes to a record with equal JSON.
func TestReadSessionFileOfKimi(t *testing.T) {
	file, err := os.Open("testdata/wire.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := jsonLines(t, "wire.jsonl")[1:]
	n := 0
	for rec, err := range ReadSessionFile(file) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.ProtocolVersion != "1.10" {
			t.Errorf("version is %q", rec.ProtocolVersion)
		}
		var line struct {
			Timestamp float64
			Message   json.RawMessage
		}
		if err := json.Unmarshal([]byte(lines[n]), &line); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(rec.Message)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffJSON(t, string(line.Message), string(got)); diff != "" {
			t.Errorf("line %d (-file +got):\n%s", n+2, diff)
		}
		for _, u := range unknowns(reflect.ValueOf(rec.Message)) {
			if u != "block mything" {
				t.Errorf("line %d: unknown %s", n+2, u)
			}
		}
		if d := float64(rec.Time.UnixMicro())/1e6 - line.Timestamp; d > 1e-6 || d < -1e-6 {
			t.Errorf("line %d: time is off by %g s", n+2, d)
		}
		n++
	}
	if n != len(lines) {
		t.Errorf("%d records in %d lines", n, len(lines))
	}
}

func TestReadSessionFile(t *testing.T) {
	const (
		header = `{"type": "metadata", "protocol_version": "1.9"}` + "\n"
		end    = `{"timestamp": 1795499524.84, "message": {"type": "TurnEnd", "payload": {}}}` + "\n"
	)
	record := func(version string) string { return version + " 2026-11-24T05:52:04.84Z TurnEnd" }
	tests := []struct {
		name, in string
		want     []string // records, or parts of error texts
	}{
		{"nothing", "", nil},
		{"header only", header, nil},
		{"one message", header + end, []string{record("1.9")}},
		{"no header", end, []string{record("1.1")}},
		{"blank lines", "\n \r\n" + header + "\t\n\n" + end + "\n", []string{record("1.9")}},
		{"carriage returns", strings.ReplaceAll(header+end, "\n", "\r\n"), []string{record("1.9")}},
		{"last end missing", header + strings.TrimSuffix(end, "\n"), []string{record("1.9")}},
		{"truncated", header + end + end[:40], []string{record("1.9"), "unexpected EOF: line of 40 bytes"}},
		{"truncated header", header[:20], []string{"unexpected EOF: line of 20 bytes"}},
		{"garbage", header + "garbage\x00\n" + end, []string{"not a line of a session file: line of 8 bytes", record("1.9")}},
		{"other JSON", "5\n[]\n{}\n" + end, []string{"not a line of a session file", "not a line of a session file", "not a message", record("1.1")}},
		{"header without version", `{"type":"metadata"}` + "\n" + end, []string{"not a message", record("1.1")}},
		{"header with an empty version", `{"type":"metadata","protocol_version":""}` + "\n" + end, []string{"not a message", record("1.1")}},
		{"null message", `{"timestamp":1,"message":null}` + "\n" + end, []string{"not a message", record("1.1")}},
		{"huge time", `{"timestamp":1e400,"message":{"type":"TurnEnd"}}` + "\n" + end, []string{"not a line of a session file", record("1.1")}},
		{"time to the microsecond", `{"timestamp":1795504337.1660266,"message":{"type":"TurnEnd"}}` + "\n", []string{"1.1 2026-11-24T07:12:17.166027Z TurnEnd"}},
		{"unknown type", `{"timestamp":0,"message":{"type":"New","payload":{}}}` + "\n", []string{"1.1 1970-01-01T00:00:00Z New"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for rec, err := range ReadSessionFile(strings.NewReader(tt.in)) {
				if err == nil {
					got = append(got, rec.ProtocolVersion+" "+rec.Time.UTC().Format(time.RFC3339Nano)+" "+rec.Message.MessageType())
					continue
				}
				var lineErr *LineError
				if !errors.As(err, &lineErr) || rec.Message != nil {
					t.Fatalf("got %+v, %v", rec, err)
				}
				got = append(got, err.Error())
			}
			for i, want := range tt.want {
				if i < len(got) && strings.Contains(got[i], want) {
					got[i] = want
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadSessionFileStops(t *testing.T) {
	broken := errors.New("broken")
	var errs []error
	for _, err := range ReadSessionFile(io.MultiReader(strings.NewReader("x\n"), iotest.ErrReader(broken))) {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[1] != broken {
		t.Errorf("errors are %v", errs)
	}
	for range 3 { // the loop ends early, at an error and at a record
		for range ReadSessionFile(strings.NewReader("x\n" + `{"message":{"type":"TurnEnd"}}` + "\n")) {
			break
		}
	}
}
