package server

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A connection is silent if a read waits too long, but not if no read waits because the events are not taken.
func TestQuiet(t *testing.T) {
	const most = int(silence / pongEvery)
	var q quiet
	silent := func(reads int64, ticks int) (at int) {
		for n := 1; n <= ticks; n++ {
			if q.tick(reads) {
				return n
			}
		}
		return 0
	}
	if n := silent(4, 10*most); n != 0 {
		t.Errorf("silent at tick %d, and nothing is read", n)
	}
	if n := silent(5, most); n != 0 {
		t.Errorf("silent at tick %d of a read", n)
	}
	if n := silent(7, 10*most); n != most+1 {
		t.Errorf("silent at tick %d of the next read", n)
	}
}

// A connection is not silent while a long message comes in small parts.
func TestLongMessage(t *testing.T) {
	more := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		message, err := conn.NextWriter(websocket.TextMessage)
		if err != nil {
			t.Error(err)
			return
		}
		for range more {
			message.Write(bytes.Repeat([]byte(" "), readSize))
		}
	}))
	defer srv.Close()
	conn, unhook, err := Attach(srv.URL, "t").dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer unhook()
	defer close(more)
	var st Stream
	over := make(chan struct{})
	go func() {
		defer close(over)
		st.read(conn)
	}()
	limit := time.After(10 * time.Second)
	for before := int64(-1); before < 6; {
		more <- struct{}{}
		for st.reads.Load() <= before {
			select {
			case <-over:
				t.Fatal("the message has ended")
			case <-limit:
				t.Fatalf("silent after %d reads", before)
			default:
				runtime.Gosched()
			}
		}
		before = st.reads.Load()
		if before%2 != 0 {
			t.Errorf("%d reads", before)
		}
	}
}
