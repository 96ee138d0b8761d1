package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

const (
	// pongEvery is how often this side sends a sign of life. The server closes a client that has sent nothing for 20
	// s, however much it reads.
	pongEvery = 5 * time.Second
	// probeEvery is how often this side checks whether the server still listens. If another program has asked the
	// server to end, it stops listening and waits until this connection is closed.
	probeEvery = 2 * time.Second
	// byeTime is how long the server may take to answer the end of a connection.
	byeTime = time.Second
	// silence is how long a connection may be silent: the server pings every 10 s.
	silence = 35 * time.Second
	// The waits between attempts to connect again.
	retryFirst, retryMost = 50 * time.Millisecond, 2 * time.Second
	// replays is how often an incomplete replay is requested again.
	replays = 6
	// settleTime is how long the answer to a subscription may take.
	settleTime = 10 * time.Second
)

// Patience is how long a stream of a server elsewhere tries to connect again.
const Patience = 2 * time.Minute

// Item is one element of a [Stream]: an event, or a gap.
type Item struct {
	Event *api.Event // nil for a gap
	// Gap says that the connection was lost and is there again: volatile events may be missing
	// before what follows; durable ones are not.
	Gap bool
	// Resync says, with Gap, that durable events may be missing, too.
	Resync bool
	// Lost says that durable events between the last one and Event, or the gap, were never sent.
	Lost bool
	// Until is, with Gap, the last durable event that is replayed after it.
	Until int64
}

// Stream has the events of one session, in order, each durable one once. It connects as often as needed. For a server
// elsewhere, it ends if it cannot connect for [Patience]. While no one calls Next, nothing is read from the connection,
// and the server keeps the events without a limit.
type Stream struct {
	C <-chan struct{} // has a value when Next may have an item, and at the end

	server  *Server
	session string
	cancel  context.CancelFunc
	last    chan struct{} // closed when the connection that there is is the last
	refused chan struct{} // closed when the server takes no more connections
	closing sync.Once
	bye     chan struct{} // closed by Close
	done    chan struct{}

	mu    sync.Mutex
	queue []Item // for Next
	over  bool   // no more comes
	wake  chan struct{}
	room  chan struct{} // tells the goroutine that Next has taken the queue

	// How many reads of messages have begun and have ended: it is odd while one waits. A part of a message counts as two.
	reads atomic.Int64

	// Next's own.
	batch []Item
	pos   int

	// The goroutine's own.
	seq   int64
	epoch string
	dec   api.Decoder
	buf   bytes.Buffer // the last message
	part  io.Reader    // of the message that comes
	short int          // how often a replay was not whole
	jump  int64        // the number after which one was missing, 0 for none
}

func isLost(i Item) bool { return i.Lost }

// Open subscribes to a session that the server has loaded, and returns when events can come. ctx limits only the
// opening.
func (s *Server) Open(ctx context.Context, session string) (*Stream, error) {
	life, cancel := context.WithCancel(context.Background())
	st := &Stream{
		server: s, session: session, cancel: cancel, last: make(chan struct{}), refused: make(chan struct{}), bye: make(chan struct{}), done: make(chan struct{}),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	st.C = st.wake
	stop := context.AfterFunc(ctx, cancel)
	conn, held, err := st.connect(life)
	for deadline, wait := time.Now().Add(settleTime), retryFirst; lost(err) && time.Now().Before(deadline); wait = min(2*wait, retryMost) {
		select {
		case <-time.After(wait):
		case <-life.Done():
		}
		conn, held, err = st.connect(life)
	}
	if !stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		cancel()
		if conn != nil {
			conn.Close()
		}
		return nil, err
	}
	go st.run(life, conn, held)
	return st, nil
}

// lost reports whether a connection failed in a way in which the next one may not.
func lost(err error) bool {
	var no *NotFoundError
	return err != nil && !errors.As(err, &no) && !errors.Is(err, context.Canceled)
}

// Close ends the stream and returns when its connection is closed. It first tells the server, if the server reads that
// in time.
func (st *Stream) Close() {
	st.closing.Do(func() { close(st.bye) })
	timer := time.AfterFunc(byeTime, st.cancel)
	defer timer.Stop()
	<-st.done
	st.cancel()
}

// Last says that the server has ended: Next returns what is left, and the stream is over. It is called once.
func (st *Stream) Last() { close(st.last) }

// Next returns the next item, or false if there is none yet. Only one goroutine may use Next and Over.
func (st *Stream) Next() (Item, bool) {
	if st.pos == len(st.batch) {
		st.mu.Lock()
		st.batch, st.queue = st.queue, st.batch[:0]
		st.pos = 0
		st.mu.Unlock()
		if len(st.batch) == 0 {
			return Item{}, false
		}
		signal(st.room)
	}
	item := st.batch[st.pos]
	st.batch[st.pos] = Item{}
	st.pos++
	return item, true
}

// Over reports whether the stream has ended and Next has returned all items.
func (st *Stream) Over() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.over && st.pos == len(st.batch) && len(st.queue) == 0
}

// Wake puts a value into C.
func (st *Stream) Wake() { signal(st.wake) }

// most is how many items may wait for Next.
const most = 64

// give queues an item for Next, and waits while the queue is full. It reports false when the stream is to end.
func (st *Stream) give(ctx context.Context, item Item) bool {
	for {
		st.mu.Lock()
		n := len(st.queue)
		if n < most {
			st.queue = append(st.queue, item)
		}
		st.mu.Unlock()
		if n == 0 { // else C has got a value, and Next takes the whole queue
			st.Wake()
		}
		if n < most {
			return true
		}
		select {
		case <-st.room:
		case <-st.bye:
			return true // no reader is left: the connection is being closed
		case <-ctx.Done():
			return false
		}
	}
}

// end ends the stream after the queue.
func (st *Stream) end() {
	st.mu.Lock()
	st.over = true
	st.mu.Unlock()
	st.Wake()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// frame is what comes over the WebSocket: an event, or the server's own words.
type frame struct {
	api.Event
	ID string `json:"id"`
}

// ack is the payload of the answer to a subscription.
type ack struct {
	Accepted []string          `json:"accepted"`
	NotFound []string          `json:"not_found"`
	Resync   []json.RawMessage `json:"resync_required"`
	Cursors  map[string]struct {
		Seq   int64  `json:"seq"`
		Epoch string `json:"epoch"`
	} `json:"cursors"`
}

// NotFoundError says that the server does not have the session loaded.
type NotFoundError struct{ Session string }

// Error names the session.
func (e *NotFoundError) Error() string {
	return "the server does not have the session " + e.Session + " loaded"
}

// connect makes a connection and subscribes, from the cursor on if there is one. The server
// replays durable events before it answers: they are held.
func (st *Stream) connect(ctx context.Context) (*websocket.Conn, []Item, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, errors.New("the server did not answer in time"))
	defer cancel()
	conn, unhook, err := st.server.dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the server's events: %w", err)
	}
	again, seq, epoch := st.epoch != "", st.seq, st.epoch
	payload := map[string]any{"session_ids": []string{st.session}}
	if again {
		payload["cursors"] = map[string]any{st.session: map[string]any{"seq": st.seq, "epoch": st.epoch}}
	}
	request, err := json.Marshal(map[string]any{"type": "subscribe", "id": "1", "payload": payload})
	if err == nil {
		err = conn.WriteMessage(websocket.TextMessage, request)
	}
	var held []Item
	if again {
		held = append(held, Item{Gap: true})
	}
	for err == nil {
		var f *frame
		if f, err = st.read(conn); err != nil {
			break
		}
		switch {
		case f.Type == "ack" && f.ID == "1":
			var a ack
			if err = json.Unmarshal(f.Payload, &a); err != nil {
				break
			}
			if len(a.NotFound) > 0 {
				err = &NotFoundError{st.session}
				break
			}
			cursor := a.Cursors[st.session]
			if again && cursor.Epoch == st.epoch && len(a.Resync) == 0 && (st.seq < cursor.Seq || slices.ContainsFunc(held, isLost)) {
				// For a moment, the server's journal may lack events that it has already numbered.
				if st.short++; st.short <= replays {
					err = errors.New("the server has not replayed all of its numbered events")
					break
				}
				held[0].Lost = st.seq < cursor.Seq
				st.seq = max(st.seq, cursor.Seq)
			}
			st.short = 0
			if again {
				held[0].Resync = held[0].Resync || len(a.Resync) > 0 || cursor.Epoch != st.epoch
				held[0].Until = cursor.Seq
			}
			if !again || held[0].Resync {
				st.seq, st.epoch = cursor.Seq, cursor.Epoch
			}
			if unhook() {
				return conn, held, nil
			} // else ctx has ended and closes the connection
			err = context.Cause(ctx)
		case f.Type == "resync_required" && again:
			held[0].Resync = true
		default:
			if item, ok := st.take(f); ok {
				held = append(held, item)
			}
		}
	}
	if !unhook() {
		err = context.Cause(ctx)
	}
	conn.Close()
	st.seq, st.epoch = seq, epoch // what was held is given up, and replayed once more
	return nil, nil, fmt.Errorf("subscribe to the server's events: %w", err)
}

// dial makes a connection for events. The end of ctx closes the connection, unless unhook was called before.
func (s *Server) dial(ctx context.Context) (conn *websocket.Conn, unhook func() bool, err error) {
	dialer := websocket.Dialer{
		ReadBufferSize:  readSize,
		TLSClientConfig: s.tls,
		NetDialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			c, err := s.dialer(ctx, network, address)
			if err == nil {
				unhook = context.AfterFunc(ctx, func() { c.Close() }) // the library only looks at the deadline
			}
			return c, err
		},
	}
	url := "ws" + strings.TrimPrefix(s.url, "http") + "/api/v1/ws"
	conn, resp, err := dialer.DialContext(ctx, url, http.Header{"Authorization": {"Bearer " + s.token}})
	switch {
	case err == nil:
		return conn, unhook, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case resp != nil:
		err = fmt.Errorf("%w: HTTP status %d", err, resp.StatusCode)
	}
	if unhook != nil {
		unhook()
	}
	return nil, nil, err
}

// readSize is how much one call of the system reads from a connection. Most messages have a few hundred bytes.
const readSize = 32 << 10

// maxBuf is the largest buffer that is kept for the next message.
const maxBuf = 1 << 20

// message is the Stream as a reader of the message that comes.
type message struct{ *Stream }

// Read notes that the connection is not silent: a long message may take any time.
func (m message) Read(p []byte) (int, error) {
	n, err := m.part.Read(p)
	if n > 0 {
		m.reads.Add(2)
	}
	return n, err
}

func (st *Stream) read(conn *websocket.Conn) (*frame, error) {
	_, r, err := conn.NextReader()
	if err != nil {
		return nil, err
	}
	if st.buf.Reset(); st.buf.Cap() > maxBuf {
		st.buf = bytes.Buffer{}
	}
	st.part = r
	_, err = st.buf.ReadFrom(message{st})
	if st.part = nil; err != nil {
		return nil, err
	}
	data := st.buf.Bytes()
	f := new(frame)
	if st.dec.DecodeDelta(data, &f.Event) {
		return f, nil
	}
	*f = frame{}
	if json.Unmarshal(data, f) != nil {
		return &frame{Event: api.Event{Type: "unreadable", Volatile: true}}, nil
	}
	return f, nil
}

// control reports whether a frame of this type is of the connection.
func control(frameType string) bool {
	switch frameType {
	case "server_hello", "ack", "ping", "pong", "error", "resync_required":
		return true
	}
	return false
}

// take returns the item of a frame. It returns false for a frame of another session, or one that has come before.
func (st *Stream) take(f *frame) (Item, bool) {
	if f.SessionID == "" && !control(f.Type) {
		f.Type, f.Volatile, f.Payload = "of no session: "+f.Type, true, nil // no version has sent such: it is told
	} else if f.SessionID != st.session {
		return Item{}, false
	}
	if !f.Volatile && f.Seq > 0 && st.epoch != "" && f.Epoch == st.epoch {
		if f.Seq <= st.seq {
			return Item{}, false
		}
		lost := f.Seq > st.seq+1
		st.seq = f.Seq
		return Item{Event: &f.Event, Lost: lost}, true
	}
	return Item{Event: &f.Event}, true
}

// run gives out the events until Close, connecting again as often as it takes.
func (st *Stream) run(ctx context.Context, conn *websocket.Conn, held []Item) {
	defer close(st.done)
	defer st.end()
	var since time.Time // when the first attempt failed; zero if the last one has not
	for wait := retryFirst; ; {
		if conn != nil {
			wait = retryFirst
			if !st.serve(ctx, conn, held) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-st.last:
			return
		case <-st.refused:
			return
		case <-st.bye:
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMost)
		var err error
		if conn, held, err = st.connect(ctx); err == nil {
			since = time.Time{}
			continue
		}
		if !st.server.far {
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > st.server.patience {
			return
		}
		var no *NotFoundError
		if errors.As(err, &no) { // the server was restarted
			load, cancel := context.WithTimeout(ctx, settleTime)
			st.server.LoadSession(load, st.session)
			cancel()
		}
	}
}

// serve gives out what one connection brings. It reports false when the stream is to end.
func (st *Stream) serve(ctx context.Context, conn *websocket.Conn, held []Item) bool {
	alive, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	ponged := make(chan struct{})
	defer func() { // a pong that cannot be written ends with the connection
		stop()
		unhook()
		conn.Close()
		<-ponged
	}()
	go func() {
		defer close(ponged)
		probe := time.NewTicker(probeEvery)
		defer probe.Stop()
		tick := time.NewTicker(pongEvery)
		defer tick.Stop()
		var quiet quiet
		for {
			select {
			case <-probe.C:
				if st.server.listens(alive) {
					continue
				}
				close(st.refused)
				conn.Close()
				return
			case <-st.bye:
				bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
				conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(byeTime)) // the answer ends the reading
				return
			case <-tick.C:
				conn.SetWriteDeadline(time.Now().Add(pongEvery))
				if quiet.tick(st.reads.Load()) || conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"pong","payload":{}}`)) != nil {
					conn.Close()
					return
				}
			case <-alive.Done():
				return
			}
		}
	}()
	for _, item := range held {
		if !st.give(ctx, item) {
			return false
		}
	}
	for {
		st.reads.Add(1)
		f, err := st.read(conn)
		st.reads.Add(1) // giving out may take any time
		if err != nil {
			return ctx.Err() == nil
		}
		if f.Type == "resync_required" {
			var p struct {
				Seq   int64  `json:"current_seq"`
				Epoch string `json:"epoch"`
			}
			if json.Unmarshal(f.Payload, &p) == nil && p.Epoch != "" {
				st.seq, st.epoch = p.Seq, p.Epoch
			}
			if !st.give(ctx, Item{Gap: true, Resync: true, Until: st.seq}) {
				return false
			}
			continue
		}
		if st.skips(f) && st.jump != st.seq { // it may come if it is asked for
			st.jump = st.seq
			return true
		}
		if item, ok := st.take(f); ok && !st.give(ctx, item) {
			return false
		}
	}
}

// quiet finds out that a connection is silent.
type quiet struct {
	reads int64 // at the last tick
	ticks int   // since it has changed
}

// tick is called every pongEvery with the number of reads, which is odd while one waits.
func (q *quiet) tick(reads int64) bool {
	if reads != q.reads || reads%2 == 0 {
		*q = quiet{reads: reads}
		return false
	}
	q.ticks++
	return time.Duration(q.ticks)*pongEvery >= silence
}

// skips reports whether a durable event is missing before this one.
func (st *Stream) skips(f *frame) bool {
	return f.SessionID == st.session && !f.Volatile && f.Epoch == st.epoch && f.Seq > st.seq+1
}
