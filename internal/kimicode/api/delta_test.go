package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// reference decodes a delta with nothing but encoding/json.
func reference(data []byte) (*api.Event, error) {
	e := new(api.Event)
	if err := json.Unmarshal(data, e); err != nil {
		return nil, err
	}
	d := new(api.Delta)
	d.TurnID = -1
	if err := json.Unmarshal(e.Payload, d); err != nil {
		return nil, err
	}
	e.Payload, e.Delta = nil, d
	return e, nil
}

func frames(t testing.TB) [][]byte {
	t.Helper()
	data, err := os.ReadFile("../webtest/testdata/turn.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(data), []byte("\n"))
}

// DecodeDelta reads the text and thinking frames of the real server, and reads from them what encoding/json reads.
func TestDecodeDelta(t *testing.T) {
	var d api.Decoder
	deltas := 0
	for _, frame := range frames(t) {
		want, err := reference(frame)
		if err != nil {
			t.Fatal(err)
		}
		text := want.Type == api.TypeAssistantDelta || want.Type == api.TypeThinkingDelta
		var got api.Event
		switch ok := d.DecodeDelta(frame, &got); {
		case ok != text:
			t.Errorf("decoded %t: %s", ok, frame)
		case ok:
			deltas++
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Errorf("%s (-json +got)\n%s", frame, diff)
			}
		}
	}
	if deltas < 10 {
		t.Errorf("%d deltas", deltas)
	}
}

// A delta that DecodeDelta accepts equals the one that encoding/json decodes.
func FuzzDelta(f *testing.F) {
	for _, frame := range frames(f) {
		f.Add(frame)
	}
	for _, s := range []string{
		`{"type":"assistant.delta","payload":{"delta":"\ud83d\ude00\n\"\\"}}`, `{"type":"thinking.delta","payload":{}, "seq" : 007}`,
		`{"type":"assistant.delta","payload":{"delta":"a` + "\x01\xff" + `月"},"seq":9,"volatile":false}`,
		`{"type":"assistant.delta","payload":{"delta":"a","delta":"\ud800","turnId":999999999999999},"offset":0,"offset":1}`,
		`{"type":"assistant.delta","payload":{"turnId":-1}}`, `{"type":"assistant.delta","payload":{},}`, `{"payload":{"delta":""},"type":"assistant.delta"} x`,
		`{"type":"assistant.delta","payload":{"turnId":1}{`, `{"type":"assistant.delta","payload":null}`, `{"type":"assistant.delta","payload":{},"seq":1.5}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d api.Decoder
		for range 2 { // what the decoder keeps from the first frame does not change the second
			var got api.Event
			if !d.DecodeDelta(data, &got) {
				return
			}
			want, err := reference(data)
			if err != nil {
				t.Fatalf("%q is accepted, but encoding/json refuses it: %v", data, err)
			}
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Fatalf("%q (-json +got)\n%s", data, diff)
			}
		}
	})
}
