package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/wireproto"
)

// saidFrames returns a frame of each kind that the outlet treats differently.
func saidFrames() []*wireproto.Frame {
	sealed, parent := "sealed", "call"
	event := func(m wireproto.Message) *wireproto.Frame {
		return &wireproto.Frame{Method: wireproto.MethodEvent, Message: m}
	}
	return []*wireproto.Frame{
		event(&wireproto.TextPart{Text: "one"}),
		event(&wireproto.TextPart{Text: "\x00\u2028\"\\\n月 & <b>" + strings.Repeat("x", 300)}),
		event(&wireproto.ThinkPart{Think: "two"}),
		event(&wireproto.ThinkPart{Think: "three", Encrypted: &sealed}),
		event(&wireproto.StepBegin{N: 1}),
		event(&wireproto.SubagentEvent{ParentToolCallID: &parent, Event: &wireproto.TextPart{Text: "four"}}),
		{ID: "1", Method: wireproto.MethodRequest, Message: &wireproto.ApprovalRequest{ID: "1", Action: "run"}},
		{ID: "2", Method: wireproto.MethodRequest, Message: &wireproto.TextPart{Text: "five"}},
		{ID: "3", Result: json.RawMessage(`{"status": "finished"}`)},
		{ID: "4", Error: &wireproto.RPCError{Code: -32000, Message: "no"}},
	}
}

func filled(t *testing.T) *outlet {
	t.Helper()
	o := newOutlet()
	for _, f := range saidFrames() {
		if err := o.add(f); err != nil {
			t.Fatal(err)
		}
	}
	o.end()
	return o
}

// A frame that was not a line is the same as one that was, and is refused for the same lengths.
func TestOutlet(t *testing.T) {
	lines, err := io.ReadAll(filled(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{wireproto.MaxLine, 2000, 150, 10} {
		want, got := wireproto.NewDecoder(bytes.NewReader(lines)), filled(t)
		want.SetMaxLine(limit)
		got.setMaxLine(limit)
		for n := range saidFrames() {
			if !got.buffered() {
				t.Errorf("limit %d, frame %d does not wait", limit, n)
			}
			w, wantErr := want.Decode()
			g, gotErr := got.Decode()
			if (wantErr == nil) != (gotErr == nil) || wantErr != nil && wantErr.Error() != gotErr.Error() {
				t.Fatalf("limit %d, frame %d: %v, as a line %v", limit, n, gotErr, wantErr)
			}
			if diff := cmp.Diff(w, g); diff != "" {
				t.Errorf("limit %d, frame %d (-line +frame)\n%s", limit, n, diff)
			}
			if wantErr == nil && (got.last < want.Size() || got.last > want.Size()+around) {
				t.Errorf("limit %d, frame %d has size %d, as a line %d", limit, n, got.last, want.Size())
			}
		}
		if f, err := got.Decode(); err != io.EOF || got.buffered() {
			t.Errorf("limit %d: %v, %v at the end", limit, f, err)
		}
	}
}

// What waits is counted until the reader takes it. After stop, no frame is added.
func TestOutletFull(t *testing.T) {
	o := newOutlet()
	text := &wireproto.Frame{Method: wireproto.MethodEvent, Message: &wireproto.TextPart{Text: strings.Repeat("x", crowded/2)}}
	for n := range 2 {
		if o.full() {
			t.Errorf("full with %d", n)
		}
		if err := o.add(text); err != nil {
			t.Fatal(err)
		}
	}
	if !o.full() {
		t.Error("not full")
	}
	if _, err := o.Decode(); err != nil || o.full() {
		t.Errorf("%v, full %t", err, o.full())
	}
	<-o.room
	o.stop()
	if err := o.add(text); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if _, err := o.Decode(); err != nil {
		t.Errorf("what was taken before: %v", err)
	}
	if _, err := o.Decode(); err != io.EOF {
		t.Error(err)
	}
}
