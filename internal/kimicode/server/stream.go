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
	// pongEvery is how often this side sends a sign of life. The server closes the connection of a client that has sent
	// nothing for 20 s, even if the client reads.
	pongEvery = 5 * time.Second
	// probeEvery is how often this side checks whether the server still listens. When another program asks the server
	// to end, the server stops listening and then waits until this connection is closed.
	probeEvery = 2 * time.Second
	// byeTime is how long the server may take to answer when this side closes the connection.
	byeTime = time.Second
	// silence is how long a connection may bring nothing. The server sends a ping every 10 s.
	silence = 35 * time.Second
	// The first wait before another attempt to connect, and the longest.
	retryFirst, retryMost = 50 * time.Millisecond, 2 * time.Second
	// replays is how often an incomplete replay is requested again before the events count as lost.
	replays = 6
	// settleTime is how long the answer to a subscription may take.
	settleTime = 10 * time.Second
)

// Patience is how long a stream of a server on another machine tries to connect again.
const Patience = 2 * time.Minute

// Item is one element of a [Stream]: an event, or a gap.
type Item struct {
	Event *api.Event // nil for a gap
	// Gap says that the connection was lost and is back. Volatile events may be missing before the next item; durable
	// events are not.
	Gap bool
	// Resync is set only with Gap. It says that durable events may be missing, too.
	Resync bool
	// Lost says that the server never sent some durable events between the last one and this item.
	Lost bool
	// From and Until are set only with Gap: the numbers of the last durable event before the gap, and of the last one
	// that is replayed after it.
	From, Until int64
}

// Stream yields the events of one session in order, and each durable event only once. It connects again as often as
// needed. For a server on another machine, it ends if it cannot connect for [Patience]. While Next is not called,
// nothing is read from the connection, and the server keeps the events without a limit.
type Stream struct {
	C <-chan struct{} // has a value when Next may have an item, and at the end

	server  *Server
	session string
	cancel  context.CancelFunc
	last    chan struct{} // closed by Last: no further connection is made
	refused chan struct{} // closed when the server takes no more connections
	closing sync.Once
	bye     chan struct{} // closed by Close
	done    chan struct{}

	mu    sync.Mutex
	queue []Item // for Next
	over  bool   // no more items follow
	wake  chan struct{}
	room  chan struct{} // tells the goroutine that Next has taken the queue

	// reads is how many reads of messages have begun, plus how many have ended. It is odd while a read waits. Each part
	// of a message counts 2.
	reads atomic.Int64

	// Only Next uses these.
	batch []Item
	pos   int

	// Only the goroutine uses these.
	seq   int64
	epoch string
	dec   api.Decoder
	buf   bytes.Buffer // the last message
	part  io.Reader    // the message that is being read
	short int          // how often a replay was incomplete
	jump  int64        // the number of the last event before a missing one; 0 if none is missing
}

func isLost(i Item) bool { return i.Lost }

// Open subscribes to a session that the server has loaded. It returns when the subscription is in force. ctx limits
// only Open itself.
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

// lost reports whether another attempt to connect may succeed after this error.
func lost(err error) bool {
	var no *NotFoundError
	return err != nil && !errors.As(err, &no) && !errors.Is(err, context.Canceled)
}

// Close ends the stream and returns when its connection is closed. It first tells the server, but waits only [byeTime]
// for it.
func (st *Stream) Close() {
	st.closing.Do(func() { close(st.bye) })
	timer := time.AfterFunc(byeTime, st.cancel)
	defer timer.Stop()
	<-st.done
	st.cancel()
}

// Last says that the server has ended. Next then returns the remaining items, and the stream is over. Call it only
// once.
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

// Wake makes C have a value.
func (st *Stream) Wake() { signal(st.wake) }

// most is how many items may wait for Next.
const most = 64

// give queues an item for Next, and waits while the queue is full. It returns false if the stream is to end.
func (st *Stream) give(ctx context.Context, item Item) bool {
	for {
		st.mu.Lock()
		n := len(st.queue)
		if n < most {
			st.queue = append(st.queue, item)
		}
		st.mu.Unlock()
		if n == 0 { // if n > 0, C already has a value, and Next takes the whole queue
			st.Wake()
		}
		if n < most {
			return true
		}
		select {
		case <-st.room:
		case <-st.bye:
			return true // Next is no longer called: the stream is being closed
		case <-ctx.Done():
			return false
		}
	}
}

// end marks the stream as over once the queue is empty.
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

// frame is a message on the WebSocket: an event, or a message of the server about the connection.
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

// NotFoundError says that the server has not loaded the session.
type NotFoundError struct{ Session string }

// Error names the session.
func (e *NotFoundError) Error() string {
	return "the server does not have the session " + e.Session + " loaded"
}

// connect connects and subscribes, with the cursor of the last event if there is one. The server replays durable events
// before it answers the subscription, and connect returns them.
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
		held = append(held, Item{Gap: true, From: st.seq})
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
			} // if unhook returns false, ctx has ended and closes the connection
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
	st.seq, st.epoch = seq, epoch // drop the events that were replayed so far; the next replay has them again
	return nil, nil, fmt.Errorf("subscribe to the server's events: %w", err)
}

// dial connects for events. When ctx ends, the connection is closed, unless unhook was called before.
func (s *Server) dial(ctx context.Context) (conn *websocket.Conn, unhook func() bool, err error) {
	dialer := websocket.Dialer{
		ReadBufferSize:  readSize,
		TLSClientConfig: s.tls,
		NetDialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			c, err := s.dialer(ctx, network, address)
			if err == nil {
				unhook = context.AfterFunc(ctx, func() { c.Close() }) // the library itself only watches the deadline
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

// readSize is how many bytes one system call reads from a connection. Most messages have a few hundred bytes.
const readSize = 32 << 10

// maxBuf is the size of the largest buffer that is kept for the next message, in bytes.
const maxBuf = 1 << 20

// message reads the message that is coming from the connection of a Stream.
type message struct{ *Stream }

// Read counts each read. So the connection of a long message does not seem silent.
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

// control reports whether a frame of this type is about the connection, and not about a session.
func control(frameType string) bool {
	switch frameType {
	case "server_hello", "ack", "ping", "pong", "error", "resync_required":
		return true
	}
	return false
}

// take returns the item of a frame. It returns false for a frame of another session and for a frame that came before.
func (st *Stream) take(f *frame) (Item, bool) {
	if f.SessionID == "" && !control(f.Type) {
		f.Type, f.Volatile, f.Payload = "of no session: "+f.Type, true, nil // no known version sends this
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

// run yields the events until Close, and connects again whenever needed.
func (st *Stream) run(ctx context.Context, conn *websocket.Conn, held []Item) {
	defer close(st.done)
	defer st.end()
	var since time.Time // when the first of the latest failed attempts failed; zero if the last attempt succeeded
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

// serve yields the events of one connection. It returns false if the stream is to end.
func (st *Stream) serve(ctx context.Context, conn *websocket.Conn, held []Item) bool {
	alive, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	ponged := make(chan struct{})
	defer func() { // closing the connection also ends the write of a pong that blocks
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
				conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(byeTime)) // the answer of the server ends the read
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
		st.reads.Add(1) // Next may take the event at any later time
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
		if st.skips(f) && st.jump != st.seq { // the missing event may come in a replay
			st.jump = st.seq
			return true
		}
		if item, ok := st.take(f); ok && !st.give(ctx, item) {
			return false
		}
	}
}

// quiet detects that a connection brings nothing.
type quiet struct {
	reads int64 // the value of reads at the last tick
	ticks int   // how many ticks ago it has changed
}

// tick reports whether the connection is silent. It is called every [pongEvery] with Stream.reads.
func (q *quiet) tick(reads int64) bool {
	if reads != q.reads || reads%2 == 0 {
		*q = quiet{reads: reads}
		return false
	}
	q.ticks++
	return time.Duration(q.ticks)*pongEvery >= silence
}

// skips reports whether durable events are missing before this frame.
func (st *Stream) skips(f *frame) bool {
	return f.SessionID == st.session && !f.Volatile && f.Epoch == st.epoch && f.Seq > st.seq+1
}
