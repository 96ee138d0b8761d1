package relay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Options say how a relay works. With the zero value, or nil, Go code can read the log, but all HTTP requests are
// refused.
type Options struct {
	// Authorize decides about every HTTP request, before anything else. If it returns nil, the request is served. If it
	// returns an error, the request is refused with status 403 and the text of the error. Default: nil, which means
	// that all requests are refused.
	Authorize func(*http.Request) error
	// Keep is how many entries stay in memory. Default: 10,000.
	Keep int
	// KeepBytes is how many bytes of entries stay in memory. The newest entry always stays. Default: 64 MiB.
	KeepBytes int64
	// SpillDir is a folder, such as os.TempDir(). Entries that leave the memory go to a file in it, so that no entry is
	// dropped. The file has mode 0600. Close removes it. Default: none.
	SpillDir string
	// Outside passes on the messages that the session sends while no turn runs. Default: none.
	Outside *Outside
	// MaxBody is how many bytes the body of an HTTP request may have. Default: 1 MiB.
	MaxBody int64
	// Heartbeat is how long a stream of events may be silent. After that time, the relay sends a comment to show that
	// the stream is alive. Default: 15 s.
	Heartbeat time.Duration
	// WriteTimeout is how long an HTTP client may leave events unread before its connection ends, and how long it may
	// take to send a body. Default: 30 s.
	WriteTimeout time.Duration
}

// Relay shows one session to many readers. Any goroutine may call its methods.
type Relay struct {
	s           *client.Session
	o           Options
	crossOrigin *http.CrossOriginProtection
	ctx         context.Context // it ends with Close
	stop        context.CancelCauseFunc
	starting    chan struct{}  // holds one value while a turn begins, so that the log has the turns in the session's order
	reader      sync.WaitGroup // the goroutine that reads turns
	waiters     sync.WaitGroup // the goroutines that wait for the end of requests
	done        chan struct{}  // closed when the log is complete
	closing     sync.Once
	closed      chan struct{}
	closeErr    error // set before closed is closed

	mu       sync.Mutex // under it, only the session's own lock is taken
	log      log
	turns    []*turn // the turns that have not ended; the first one is being read
	lastTurn int64
	reading  bool // a goroutine is reading turns
	over     bool // no turn begins any more
	requests requests
}

// turn is a turn of the relay.
type turn struct {
	*client.Turn
	id      int64
	started bool
	release func() // releases the ctx of the turn
}

// New makes a relay of a session. Its log begins now. The caller must call Close, which does not close the session.
func New(s *client.Session, o *Options) *Relay {
	r := &Relay{s: s, starting: make(chan struct{}, 1), done: make(chan struct{}), closed: make(chan struct{}), crossOrigin: http.NewCrossOriginProtection()}
	if o != nil {
		r.o = *o
	}
	r.o.Keep = orElse(r.o.Keep, 10_000)
	r.o.KeepBytes = orElse(r.o.KeepBytes, 64<<20)
	r.o.MaxBody = orElse(r.o.MaxBody, 1<<20)
	r.o.Heartbeat = orElse(r.o.Heartbeat, 15*time.Second)
	r.o.WriteTimeout = orElse(r.o.WriteTimeout, 30*time.Second)
	r.log = log{keep: r.o.Keep, keepBytes: r.o.KeepBytes, file: spill{dir: r.o.SpillDir}}
	r.requests.init()
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	go r.finish()
	if r.o.Outside != nil {
		r.o.Outside.bind(r)
	}
	return r
}

func orElse[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

var errNilContext = errors.New("relay: nil context; pass context.Background() for none")

// Prompt starts a turn as [client.Session.Prompt] does, and returns its number. ctx limits the turn. The log has all
// messages of the turn, from its TurnQueued to its TurnEnded.
func (r *Relay) Prompt(ctx context.Context, text string, parts ...wireproto.ContentPart) (turn int64, err error) {
	return r.begin(ctx, r.s.Prompt, text, parts)
}

// Queue starts a turn that begins when all earlier turns have ended, as [client.Session.Queue] does.
func (r *Relay) Queue(ctx context.Context, text string, parts ...wireproto.ContentPart) (turn int64, err error) {
	return r.begin(ctx, r.s.Queue, text, parts)
}

func (r *Relay) begin(ctx context.Context, start func(context.Context, string, ...wireproto.ContentPart) (*client.Turn, error), text string, parts []wireproto.ContentPart) (int64, error) {
	if ctx == nil {
		return 0, errNilContext
	}
	ctx, release := r.bounded(ctx)
	select {
	case r.starting <- struct{}{}:
		defer func() { <-r.starting }()
	case <-ctx.Done():
		release()
		return 0, fmt.Errorf("relay: prompt: %w", context.Cause(ctx))
	}
	r.mu.Lock()
	over := r.over
	r.mu.Unlock()
	if over {
		release()
		return 0, r.whyOver()
	}
	t, err := start(ctx, text, parts...)
	if err != nil {
		release()
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastTurn++
	input := wireproto.Content{Text: text}
	if len(parts) > 0 {
		input.Parts = parts
		if text != "" {
			input.Parts = append([]wireproto.ContentPart{&wireproto.TextPart{Text: text}}, parts...)
		}
	}
	r.log.add(encode(&TurnQueued{r.lastTurn, input}))
	r.turns = append(r.turns, &turn{Turn: t, id: r.lastTurn, release: release})
	if !r.reading {
		r.reading = true
		r.reader.Go(r.readTurns)
	}
	return r.lastTurn, nil
}

// bounded returns a ctx that also ends when the relay ends.
func (r *Relay) bounded(ctx context.Context) (context.Context, func()) {
	ctx, stop := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(r.ctx, func() { stop(ErrClosed) })
	return ctx, func() { unwatch(); stop(nil) }
}

// whyOver returns the error that says why no turn can begin any more.
func (r *Relay) whyOver() error {
	if err := r.s.Err(); err != nil && r.ctx.Err() == nil {
		return err
	}
	return ErrClosed
}

// Steer adds input to the running turn, as [client.Session.Steer] does.
func (r *Relay) Steer(ctx context.Context, text string, parts ...wireproto.ContentPart) error {
	if ctx == nil {
		return errNilContext
	}
	ctx, release := r.bounded(ctx)
	defer release()
	return r.s.Steer(ctx, text, parts...)
}

// Cancel cancels the turn with this number; 0 means the running turn. It returns when the turn has ended or ctx is
// done. If the turn has ended, or never existed, the error is [client.ErrNoTurn].
func (r *Relay) Cancel(ctx context.Context, number int64) error {
	if ctx == nil {
		return errNilContext
	}
	var found *turn
	r.mu.Lock()
	for _, t := range r.turns {
		if number == 0 || t.id == number {
			found = t
			break
		}
	}
	r.mu.Unlock()
	if found == nil {
		return client.ErrNoTurn
	}
	ctx, release := r.bounded(ctx)
	defer release()
	return found.Cancel(ctx)
}

// readTurns reads one turn after the other.
func (r *Relay) readTurns() {
	for {
		r.mu.Lock()
		if len(r.turns) == 0 {
			r.reading = false
			r.mu.Unlock()
			return
		}
		t := r.turns[0]
		r.mu.Unlock()
		for m, err := range t.Messages() {
			if err == nil { // the TurnEnded has the error
				r.take(m, t)
			}
		}
		result, err := t.Result()
		t.release()
		r.mu.Lock()
		r.settleDoneLocked()
		r.log.add(encode(&TurnEnded{t.id, result, textOf(err)}))
		r.turns = r.turns[1:]
		r.mu.Unlock()
	}
}

// take adds a message to the log. t is the turn of the message, or nil outside of turns.
func (r *Relay) take(m wireproto.Message, t *turn) {
	asks, _ := m.(live)
	if asks != nil {
		asks.Hold() // hold it before a reader can answer it
	}
	raw := encode(m)
	r.mu.Lock()
	defer r.mu.Unlock()
	if t == nil && r.over {
		if asks != nil {
			decline(asks)
		}
		return
	}
	if t != nil && !t.started {
		t.started = true
		r.log.add(encode(&TurnStarted{t.id}))
	}
	r.log.add(raw)
	if asks != nil {
		r.openLocked(asks, raw)
	}
}

// finish completes the log after the end of the session or after Close.
func (r *Relay) finish() {
	select {
	case <-r.s.Done():
	case <-r.ctx.Done():
	}
	r.starting <- struct{}{} // after this, no turn is in the middle of its start
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	<-r.starting
	r.reader.Wait() // this does not take long, because the session or the ctx of the turns has ended
	r.mu.Lock()
	r.declineAllLocked()
	r.mu.Unlock()
	r.waiters.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		r.log.add(encode(&SessionEnded{textOf(r.s.Err())}))
	}
	r.log.end()
	close(r.done)
}

// Close ends the relay, but not the session. It cancels the relay's turns, rejects the requests that have no answer,
// ends the readers and removes the file of Options.SpillDir. An error is about that file. Close takes a second at most.
// Any goroutine may call it at any time, and again.
func (r *Relay) Close() error {
	r.closing.Do(func() {
		r.stopWaiting()
		r.stop(ErrClosed)
		<-r.done
		r.mu.Lock()
		r.closeErr = r.log.file.close()
		r.mu.Unlock()
		close(r.closed)
	})
	<-r.closed
	return r.closeErr
}

// stopWaiting withdraws the turns that wait, so that none begins when the running turn ends.
func (r *Relay) stopWaiting() {
	r.mu.Lock()
	r.over = true
	turns := slices.Clone(r.turns)
	r.mu.Unlock()
	noWait, cancel := context.WithCancel(context.Background())
	cancel()
	for i := len(turns) - 1; i > 0; i-- {
		turns[i].Cancel(noWait) // Cancel returns the end of noWait as its error
	}
}

// Read yields the entries after the entry with this number, and then each new entry. 0 means all entries. It ends when
// the session has ended and everything is read. There may be any number of readers, and each reads at its own speed. If
// entries that a reader needs were dropped, it gets a *[GapError], and then the entries that are kept. Other errors
// come last: [ErrClosed], or the cause of ctx.
func (r *Relay) Read(ctx context.Context, after int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if ctx == nil {
			yield(Entry{}, errNilContext)
			return
		}
		after := max(after, 0)
		var batch []Entry
		for {
			var wait <-chan struct{}
			var gap *GapError
			var err error
			batch, wait, gap, err = r.next(after, batch[:0])
			switch {
			case err != nil:
				yield(Entry{}, err)
				return
			case gap != nil:
				after = gap.Oldest - 1
				if !yield(Entry{}, gap) {
					return
				}
				continue
			case len(batch) == 0 && wait == nil:
				return
			}
			for _, e := range batch {
				if ctx.Err() != nil {
					break
				}
				if after = e.ID; !yield(e, nil) {
					return
				}
			}
			if len(batch) == 0 {
				select {
				case <-ctx.Done():
				case <-wait:
				}
			}
			if ctx.Err() != nil {
				yield(Entry{}, fmt.Errorf("relay: read: %w", context.Cause(ctx)))
				return
			}
		}
	}
}

// next appends to batch the entries after an entry. If there are none yet, the next change closes wait. If wait is nil,
// the log has ended.
func (r *Relay) next(after int64, batch []Entry) (_ []Entry, wait <-chan struct{}, gap *GapError, err error) {
	r.mu.Lock()
	batch, part, wait, gap := r.log.next(after, batch)
	r.mu.Unlock()
	if part.file != nil {
		batch, err = part.read(batch)
	}
	if err == nil && len(batch) == 0 && wait == nil && gap == nil && r.ctx.Err() != nil {
		err = ErrClosed
	}
	return batch, wait, gap, err
}

// State has the turns and requests that are open.
type State struct {
	Oldest  int64     `json:"oldest"`  // the number of the oldest entry that is kept; if there is none, the number of the next entry
	Last    int64     `json:"last"`    // the number of the newest entry, 0 if there is none
	Turns   []Turn    `json:"turns"`   // the turns that have not ended, in their order
	Pending []Pending `json:"pending"` // the requests that wait for an answer and have a Pending entry in the log, in their order
}

// Turn is a turn that has not ended.
type Turn struct {
	Turn    int64 `json:"turn"`
	Started bool  `json:"started"`
}

// State returns the turns and requests that are open. It is for a reader that has missed entries.
func (r *Relay) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := State{Oldest: r.log.oldestKept(), Last: r.log.last, Turns: []Turn{}, Pending: r.pendingLocked()}
	for _, t := range r.turns {
		s.Turns = append(s.Turns, Turn{t.id, t.started})
	}
	return s
}
