package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	// pace is the pause of a stream after each write, so that many small entries are written together.
	pace = 20 * time.Millisecond
	// maxBuffer limits how many bytes a stream collects for its next write.
	maxBuffer = 1 << 20
)

// serveEvents serves the log as server-sent events. The data of each event is an entry, and its id is the entry's
// number.
func (r *Relay) serveEvents(w http.ResponseWriter, req *http.Request) {
	after, err := afterOf(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	batch, wait, gap, err := r.next(after, nil)
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	if len(batch) == 0 && wait == nil && gap == nil {
		w.WriteHeader(http.StatusNoContent) // after this status, an EventSource does not connect again
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	defer rc.SetWriteDeadline(time.Time{}) // remove the deadline for the next request on the connection
	var out bytes.Buffer
	send := func() bool {
		rc.SetWriteDeadline(time.Now().Add(r.o.WriteTimeout)) // an error means that the ResponseWriter has no deadlines
		_, err := w.Write(out.Bytes())
		if err == nil {
			err = rc.Flush()
		}
		if out.Cap() > maxBuffer {
			out = bytes.Buffer{}
		}
		out.Reset()
		return err == nil
	}
	if err := rc.Flush(); err != nil {
		h.Del("X-Accel-Buffering")
		refuse(w, http.StatusInternalServerError, fmt.Errorf("relay: events cannot be streamed: %w; let the ResponseWriter around it have Flush or Unwrap", err))
		return
	}
	out.WriteString("retry: 1000\n\n")
	heartbeat := time.NewTicker(r.o.Heartbeat)
	defer heartbeat.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		if gap != nil {
			after = gap.Oldest - 1
			writeEvent(&out, 0, encodeGap(gap))
		}
		for _, e := range batch {
			after = e.ID
			writeEvent(&out, e.ID, e.JSON)
		}
		if out.Len() > 0 {
			if !send() {
				return
			}
			heartbeat.Reset(r.o.Heartbeat)
			rest.Reset(pace)
			select {
			case <-rest.C:
			case <-req.Context().Done():
				return
			}
		}
		batch, wait, gap, err = r.next(after, batch[:0])
		switch {
		case err != nil, len(batch) == 0 && wait == nil && gap == nil:
			return
		case wait == nil:
			continue
		}
		select {
		case <-wait:
		case <-heartbeat.C:
			out.WriteString(":\n\n")
		case <-req.Context().Done():
			return
		}
	}
}

// afterOf returns the number of the last entry that the client already has.
func afterOf(req *http.Request) (int64, error) {
	text := req.Header.Get("Last-Event-ID") // an EventSource sends it after a lost connection; its ?after= is then too old
	if text == "" {
		text = req.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, fmt.Errorf("relay: %.40q is not the number of an entry; set Last-Event-ID or ?after= to the number of the last entry that you read, or to 0", text)
	}
	return after, nil
}

// writeEvent writes one event. data is on one line, because encoding/json writes no line breaks.
func writeEvent(out *bytes.Buffer, id int64, data json.RawMessage) {
	if id > 0 {
		out.WriteString("id: ")
		out.Write(strconv.AppendInt(out.AvailableBuffer(), id, 10))
		out.WriteByte('\n')
	}
	out.WriteString("data: ")
	out.Write(data)
	out.WriteString("\n\n")
}

// encodeGap makes the JSON of a gap. A gap is not an entry of the log.
func encodeGap(gap *GapError) json.RawMessage {
	raw, _ := json.Marshal(envelope{"relay.Gap", struct {
		*GapError
		Message string `json:"message"`
	}{gap, gap.Error()}})
	return raw
}
