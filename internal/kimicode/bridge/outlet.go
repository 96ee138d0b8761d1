package bridge

import (
	"bytes"
	"io"
	"sync"

	"github.com/kimi-go/kimi-go/wireproto"
)

// crowded is how many bytes may wait for the client before the loop takes no more events.
const crowded = 1 << 20

// outlet is the queue of frames to the client, who reads them as frames or as lines. Adding to it never waits.
type outlet struct {
	mu      sync.Mutex
	waiting []said
	size    int  // of their lines, about
	ended   bool // nothing more comes
	stopped bool // no one reads
	wanted  bool // the loop waits for room

	added bool          // since flush; the loop's own
	wake  chan struct{} // to the reader: something new
	room  chan struct{} // tells the loop that there is room again

	// The reader's own.
	batch   []said
	pos     int
	lines   bytes.Buffer       // what Read has yet to give out, or the line that Decode reads
	enc     *wireproto.Encoder // to lines
	dec     *wireproto.Decoder // of lines
	maxLine int
	last    int // the size of what Decode has returned
}

// said is a frame: itself, if it is a text and could be nothing else once it was a line, or its line.
type said struct {
	frame *wireproto.Frame
	line  []byte
	size  int // of the line, or about that
}

// around is more than the length of a text's line without the text.
const around = 128

// textSize returns the length of the text of a frame that is nothing but text or thinking, as most are; false for any other frame,
// and for one whose line may have more than limit bytes.
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
	const longest = len(`\u0000`) // of what a byte may become
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

// add queues a frame, of which the reader learns by flush. One that has no line is refused.
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

// full reports whether much waits for the client.
func (o *outlet) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = o.size > crowded && !o.stopped
	return o.wanted
}

// next returns what comes next, waiting for it; false at the end. It is called by one goroutine at a time.
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

// buffered reports whether next would return without waiting.
func (o *outlet) buffered() bool {
	if o.pos < len(o.batch) {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) > 0
}

// Decode returns the next frame, as [wireproto.Decoder] does.
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

// Read gives out the lines of the frames. Whoever calls it does not call Decode.
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

// write puts a line into lines.
func (o *outlet) write(s said) {
	if s.frame != nil {
		o.enc.Encode(s.frame) // which does not fail for a text
	} else {
		o.lines.Write(s.line)
	}
}

// end lets the reader end after what waits.
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
