package bridge

import (
	"bytes"
	"io"
	"sync"

	"github.com/kimi-go/kimi-go/wireproto"
)

// crowded is how many bytes may wait for the client before the loop takes no more events.
const crowded = 1 << 20

// outlet is the queue of frames to the client. The client reads frames or lines. Adding to the queue never waits.
type outlet struct {
	mu      sync.Mutex
	waiting []said
	size    int  // the approximate length of their lines
	ended   bool // nothing more comes
	stopped bool // no one reads
	wanted  bool // the loop waits for room

	added bool          // a frame was added since the last flush; only the loop uses it
	wake  chan struct{} // tells the reader that there is something new
	room  chan struct{} // tells the loop that there is room again

	// Only the reader uses these.
	batch   []said
	pos     int
	lines   bytes.Buffer       // what Read returns next, or the line that Decode reads
	enc     *wireproto.Encoder // writes to lines
	dec     *wireproto.Decoder // reads from lines
	maxLine int                // the longest line that Decode accepts
	last    int                // the size of the last frame of Decode
}

// said is a frame of text, or the line of any other frame. A text stays the same if it becomes a line and is read back,
// so it need not become one. Other messages may change: for example, a nil list is empty after that.
type said struct {
	frame *wireproto.Frame
	line  []byte
	size  int // the approximate length of the line
}

// around is an upper bound for the length of a text's line without the text.
const around = 128

// textSize returns the length of the text in a frame of text or thinking. Most frames are such frames. It returns false
// for any other frame, and for a frame whose line may be longer than limit.
func textSize(f *wireproto.Frame, limit int) (int, bool) {
	n := 0
	switch p := f.Message.(type) {
	case *wireproto.TextPart:
		n = len(p.Text)
	case *wireproto.ThinkPart:
		if p.Encrypted != nil {
			return 0, false
		}
		n = len(p.Think)
	default:
		return 0, false
	}
	const longest = len(`\u0000`) // what one byte becomes at most
	return n, f.Method == wireproto.MethodEvent && n*longest < limit-around
}

func newOutlet() *outlet {
	o := &outlet{wake: make(chan struct{}, 1), room: make(chan struct{}, 1), maxLine: wireproto.MaxLine}
	o.enc, o.dec = wireproto.NewEncoder(&o.lines), wireproto.NewDecoder(&o.lines)
	return o
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add queues a frame. flush then wakes the reader. add returns an error if the frame cannot become a line.
func (o *outlet) add(f *wireproto.Frame) error {
	s := said{frame: f}
	if n, ok := textSize(f, wireproto.MaxLine); ok {
		s.size = around + n
	} else {
		var line bytes.Buffer
		if err := wireproto.NewEncoder(&line).Encode(f); err != nil {
			return err
		}
		s = said{line: line.Bytes(), size: line.Len()}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return io.ErrClosedPipe
	}
	o.waiting = append(o.waiting, s)
	o.size += s.size
	o.added = true
	return nil
}

func (o *outlet) setMaxLine(n int) {
	o.maxLine = n
	o.dec.SetMaxLine(n)
}

// flush wakes the reader if something waits for it.
func (o *outlet) flush() {
	if o.added {
		o.added = false
		signal(o.wake)
	}
}

// full reports whether too much waits for the client. If so, the loop gets a message through room later.
func (o *outlet) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = o.size > crowded && !o.stopped
	return o.wanted
}

// next waits for the next frame. It returns false at the end. Only one goroutine at a time may call it.
func (o *outlet) next() (said, bool) {
	for o.pos == len(o.batch) {
		o.mu.Lock()
		switch {
		case o.stopped, len(o.waiting) == 0 && o.ended:
			o.mu.Unlock()
			return said{}, false
		case len(o.waiting) == 0:
			o.mu.Unlock()
			<-o.wake
			continue
		}
		o.batch, o.waiting = o.waiting, o.batch[:0]
		o.pos, o.size = 0, 0
		if o.wanted {
			o.wanted = false
			signal(o.room)
		}
		o.mu.Unlock()
	}
	s := o.batch[o.pos]
	o.batch[o.pos] = said{}
	o.pos++
	return s, true
}

// buffered reports whether next would return at once.
func (o *outlet) buffered() bool {
	if o.pos < len(o.batch) {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) > 0
}

// Decode returns the next frame, with the errors of a [wireproto.Decoder].
func (o *outlet) Decode() (*wireproto.Frame, error) {
	s, ok := o.next()
	if !ok {
		return nil, io.EOF
	}
	if s.frame != nil {
		if _, ok := textSize(s.frame, o.maxLine); ok {
			o.last = s.size
			return s.frame, nil
		}
	}
	o.write(s)
	f, err := o.dec.Decode()
	o.last = o.dec.Size()
	return f, err
}

// Read returns the lines of the frames. A reader uses Read or Decode, not both.
func (o *outlet) Read(p []byte) (int, error) {
	for o.lines.Len() == 0 || o.lines.Len() < len(p) && o.buffered() {
		s, ok := o.next()
		if !ok {
			return 0, io.EOF
		}
		o.write(s)
	}
	return o.lines.Read(p)
}

// write adds a line to lines.
func (o *outlet) write(s said) {
	if s.frame != nil {
		o.enc.Encode(s.frame) // a text can always become a line
	} else {
		o.lines.Write(s.line)
	}
}

// end lets the reader read what waits, and then ends it.
func (o *outlet) end() {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	signal(o.wake)
}

// stop ends the reader at once.
func (o *outlet) stop() {
	o.mu.Lock()
	o.stopped = true
	o.mu.Unlock()
	signal(o.wake)
	signal(o.room)
}
