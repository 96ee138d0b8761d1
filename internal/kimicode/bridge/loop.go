package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/bridge/translator"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/kimicode/relay"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/toolhost"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

// loop gives inputs to the translator and does what the outputs say. Only the goroutine of run uses its fields.
type loop struct {
	c      *Conn
	tr     *translator.Translator
	parts  parts
	stream *server.Stream
	timers map[string]*time.Timer
	calls  map[int]*toolhost.Call
	hooks  map[int]*relay.Call
	hook   int // the last key of hooks

	calling int             // how many calls of the server have no answer yet
	gone    context.Context // ends when Kimi Code has ended, because then no call may go to its port
	endCall context.CancelFunc

	launching bool
	quitting  bool
	ended     bool // Kimi Code has ended
}

// These events reach the loop, in addition to the translator's inputs.
type (
	launched struct {
		translator.Launched
		parts parts
		exit  error // why there is no process of Kimi Code; nil otherwise
	}
	opened struct {
		stream *server.Stream
		err    error
	}
	toolCalled struct{ *toolhost.Call }
	hookCalled struct{ *relay.Call }
	hooksHeard struct{} // the session's hooks are known to run
	childEnded struct{ err error }
)

func newLoop(c *Conn) *loop {
	gone, endCall := context.WithCancel(c.ctx)
	return &loop{
		gone: gone, endCall: endCall,
		c: c, tr: translator.New(c.set.Settings), timers: make(map[string]*time.Timer),
		calls: make(map[int]*toolhost.Call), hooks: make(map[int]*relay.Call),
	}
}

// run runs until Kimi Code has ended and everything that it has said is passed on.
func (l *loop) run() {
	c := l.c
	hangUp := c.hangUp
	for {
		c.out.flush()
		var events <-chan struct{}
		if l.stream != nil && !c.out.full() {
			events = l.stream.C
		}
		select {
		case f := <-c.frames:
			l.step(translator.Frame{Frame: f})
		case in := <-c.inputs:
			l.input(in)
		case in := <-c.launches:
			l.launched(in)
		case <-events:
			l.items()
		case <-c.out.room:
		case <-hangUp:
			hangUp = nil
			l.step(translator.ClientGone{})
		case <-c.ctx.Done():
			l.finish()
			return
		}
		if l.over() {
			l.finish()
			return
		}
	}
}

// streamEnded ends the session when the server can no longer be reached.
func (l *loop) streamEnded() {
	if f, ok := l.c.host.(*far); ok && !l.quitting && !l.ended {
		l.parts.guest.fail(f.unreached())
	}
}

// over reports whether nothing more can come.
func (l *loop) over() bool {
	if l.ended {
		return l.stream == nil && l.calling == 0 // the translator gets the answers of all calls first
	}
	return l.quitting && !l.launching && l.parts.child == nil
}

// finish releases everything and lets the client read to the end.
func (l *loop) finish() {
	c := l.c
	c.cancel(errClosed)
	for _, t := range l.timers {
		t.Stop()
	}
	if l.stream != nil {
		l.stream.Close()
	}
	if l.launching { // the launch ends soon, because its context has ended
		l.parts = (<-c.launches).parts
	}
	if child := l.parts.child; child != nil {
		c.own.await()
		child.Close()
		c.exit = child.Wait()
		if l.parts.guest == nil {
			home.Forget(c.set.home, child.PID())
			if l.quitting || c.wasForced() { // the server may not have removed an unused session
				home.Discard(c.set.home, c.set.WorkDir, c.own.unused())
			}
		}
	}
	if err := l.parts.takeDown(); err != nil {
		c.exit = errors.Join(c.exit, err)
	}
	c.out.end()
	close(c.done)
}

// launched handles the end of a launch.
func (l *loop) launched(in launched) {
	l.launching, l.parts = false, in.parts
	if in.exit != nil {
		l.c.exit, l.ended = in.exit, true
	}
	if child := in.parts.child; child != nil {
		go func() { l.c.tell(childEnded{child.Wait()}) }()
	}
	l.step(in.Launched)
	if l.quitting {
		l.quit(translator.Quit{})
	}
}

// input handles an event of another goroutine.
func (l *loop) input(in any) {
	switch in := in.(type) {
	case opened:
		l.stream = in.stream
		l.step(translator.Opened{Err: in.err})
	case toolCalled:
		l.calls[in.Key] = in.Call
		go func() {
			select {
			case <-in.Done:
				l.c.tell(translator.ToolGone{Key: in.Key})
			case <-l.c.done:
			}
		}()
		l.step(translator.ToolCalled{Key: in.Key, Name: in.Name, Args: in.Args})
	case translator.ToolGone:
		delete(l.calls, in.Key)
		l.step(in)
	case hookCalled:
		l.hook++
		key := l.hook
		l.hooks[key] = in.Call
		go func() {
			select {
			case <-in.Done:
				l.c.tell(translator.HookGone{Key: key})
			case <-l.c.done:
			}
		}()
		l.step(translator.HookCalled{Key: key, Event: in.Event, Data: in.Data})
	case translator.HookGone:
		delete(l.hooks, in.Key)
		l.step(in)
	case hooksHeard:
		l.step(translator.HookCalled{Event: "SessionStart"})
	case childEnded:
		l.ended = true
		l.endCall()
		if l.stream != nil {
			l.stream.Last()
		}
	case translator.Answer:
		l.calling--
		l.step(in)
	case translator.Input:
		l.step(in)
	}
}

// batch is how many events of the stream are handled before the loop looks at anything else.
const batch = 64

// items passes on events that have come.
func (l *loop) items() {
	now := time.Now()
	for range batch {
		item, ok := l.stream.Next()
		switch {
		case ok:
			l.item(item, now)
		case l.stream.Over():
			l.stream = nil
			l.streamEnded()
			return
		default:
			return
		}
		if l.stream == nil {
			return
		}
		if l.c.out.full() {
			break
		}
	}
	l.stream.Wake() // more may have come
}

// item passes on an event. If an approval is about writing a file, it adds the current text of the file.
func (l *loop) item(item server.Item, now time.Time) {
	if item.Lost {
		l.stepAt(translator.Lost{}, now)
	}
	switch {
	case item.Gap:
		l.stepAt(translator.Gap{Resync: item.Resync, From: item.From, Until: item.Until}, now)
	case item.Event.Type == api.TypeApprovalRequested && !l.c.set.remote:
		l.stepAt(translator.Event{Event: withOldText(item.Event)}, now)
	default:
		l.stepAt(translator.Event{Event: item.Event}, now)
	}
}

// withOldText adds what the file itself says to the display of its change: see [translator.OldText].
func withOldText(e *api.Event) *api.Event {
	var payload map[string]json.RawMessage
	if json.Unmarshal(e.Payload, &payload) != nil {
		return e
	}
	payload["display"] = translator.OldText(payload["display"], currentText)
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false) // keeps the input of the tool as the server wrote it
	if enc.Encode(payload) != nil {
		return e
	}
	with := *e
	with.Payload = raw.Bytes()
	return &with
}

// currentText returns the text of a file that the agent has named; "" if there is no such file. It reads no more than
// the size of the file. The size of a file in /proc is 0, and reading one may never end or tell secrets.
func currentText(path string) (text string, ok bool) {
	f, err := regular.Open(path)
	if err != nil {
		return "", errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() > 1<<20 {
		return "", false
	}
	data, err := io.ReadAll(io.LimitReader(f, info.Size()))
	return string(data), err == nil
}

// step gives the translator an input and does what it says.
func (l *loop) step(in translator.Input) { l.stepAt(in, time.Now()) }

func (l *loop) stepAt(in translator.Input, now time.Time) {
	if l.c.watch != nil {
		l.c.watch(in, now)
	}
	for _, o := range l.tr.Step(in, now) {
		l.do(o)
	}
}

func (l *loop) do(o translator.Output) {
	c := l.c
	switch o := o.(type) {
	case translator.Send:
		l.send(o.Frame)
	case translator.Launch:
		l.launching = true
		go func() { c.launches <- c.host.launch(c, o) }()
	case translator.Call:
		l.calling++
		p := l.parts
		ctx, answered := c.own.asks(c, l.gone, o)
		go func() {
			a := call(ctx, p.server, o)
			if o.Method == http.MethodPost && o.Path == newSession {
				id := made(a)
				if p.guest != nil && id != "" {
					p.guest.is(id)
				}
				answered(id)
			}
			c.tell(a)
		}()
	case translator.Upload:
		l.calling++
		s := l.parts.server
		go func() {
			id, err := s.Upload(l.gone, o.Name, o.MediaType, o.Data)
			data, _ := json.Marshal(map[string]string{"id": id})
			c.tell(translator.Answer{ID: o.ID, Data: data, Err: err})
		}()
	case translator.Open:
		s := l.parts.server
		go func() {
			stream, err := s.Open(c.ctx, o.Session)
			if !c.tell(opened{stream, err}) && stream != nil {
				stream.Close()
			}
		}()
	case translator.ToolReply:
		if call := l.calls[o.Key]; call != nil {
			delete(l.calls, o.Key)
			call.Return(o.Result)
		}
	case translator.HookReply:
		if call := l.hooks[o.Key]; call != nil {
			delete(l.hooks, o.Key)
			if o.Block {
				call.Block(o.Reason)
			} else {
				call.Allow()
			}
		}
	case translator.SetTimer:
		if old := l.timers[o.Name]; old != nil {
			old.Stop()
		}
		l.timers[o.Name] = time.AfterFunc(o.After, func() { c.tell(translator.Timer{Name: o.Name}) })
	case translator.Quit:
		l.quit(o)
	}
}

// send queues a frame for the client. If an answer is too long for a line, an error is sent instead. If a request is too
// long, the translator gets an error as its answer.
func (l *loop) send(f *wireproto.Frame) {
	err := l.c.out.add(f)
	if err == nil || errors.Is(err, io.ErrClosedPipe) {
		return
	}
	switch {
	case f.Method == "" && f.ID != "":
		l.c.out.add(&wireproto.Frame{ID: f.ID, Error: &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: err.Error()}})
	case f.ID != "": // the client cannot answer a request that it does not get
		l.step(translator.Frame{Frame: &wireproto.Frame{ID: f.ID, Error: &wireproto.RPCError{Code: wireproto.CodeInternalError, Message: err.Error()}}})
	}
}

// quit ends the server. It closes all connections first, because a server with a connection does not end.
func (l *loop) quit(q translator.Quit) {
	l.quitting = true
	s, stream, c := l.parts.server, l.stream, l.c
	if s == nil {
		c.cancel(errClosed) // the start is no longer wanted
		return
	}
	l.stream = nil
	guest := l.parts.guest
	go func() {
		ctx, cancel := context.WithTimeout(c.ctx, stopWait)
		defer cancel()
		if stream != nil {
			stream.Close()
		}
		if guest != nil {
			guest.leave(ctx, q)
			return
		}
		if q.DeleteUnused && home.Unused(c.set.home, q.Session) {
			s.Call(ctx, http.MethodPost, "/sessions/"+q.Session+":delete", struct{}{}, nil)
		}
		s.CloseIdle()
		s.Shutdown(ctx)
		// Even without connections, a server whose session has MCP servers may hang. If it is asked again, it ends at
		// once.
		for {
			select {
			case <-time.After(stopAgain):
				c.running().Interrupt()
			case <-c.ctx.Done():
				return
			}
		}
	}()
}

// call calls a route of the server. If no answer comes and the call may be repeated, call repeats it as long as the
// server lives.
func call(ctx context.Context, s *server.Server, o translator.Call) translator.Answer {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var data json.RawMessage
		err := s.Call(ctx, o.Method, o.Path, o.Body, &data)
		var e *api.Error
		if !o.Again || !errors.As(err, &e) || e.Code != api.CodeConnectionError || ctx.Err() != nil {
			return translator.Answer{ID: o.ID, Data: data, Err: err}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}
